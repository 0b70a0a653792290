"""Spikes to bits and back: one bit per neuron in 64-bit words, with the declared kind verified in the same pass.

A row is one (step, sample) pair. Its neurons, in C, H, W order, become ``ceil(n / 64)`` little-endian words, bit 0
first; the bits after the last neuron are zero. A ``spike`` or ``analog`` signal is one plane of such rows (analog: the
bits say where the value is not zero), ``signed_spike`` two (non-zero, negative), ``graded`` one per bit of the largest
value, least significant first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..network.fan_out import WORD_BITS, Words, words_per_row

MAX_GRADED_PLANES = 16
ALLOWED = {
    "spike": "0 or 1",
    "signed_spike": "-1, 0 or 1",
    "graded": f"an integer from 0 to {2**MAX_GRADED_PLANES - 1}",
    "analog": "a finite number",
}
Values = NDArray[np.bool_ | np.integer | np.floating]  # of a signal, as given
Recorded = NDArray[np.bool_ | np.integer]  # of a signal, as read back


def pack(values: ArrayLike, kind: str = "analog", where: str = "values") -> Words:
    """Non-zero bits of a signal, as a trace stores them.

    Parameters
    ----------
    values : array (steps, samples, *shape)
        Any real dtype; ``shape`` has at least one axis.
    kind : {'spike', 'signed_spike', 'graded', 'analog'}
        Verified against every value; 'analog', the loosest, only refuses NaN and infinities.
    where : str
        What the values are, for the error message.

    Returns
    -------
    uint64 array (steps, samples, words)

    Raises
    ------
    InvalidInput
        If a value contradicts the kind.

    Examples
    --------
    >>> pack(np.array([[[0, 1, 1, 0]]]), "spike")
    array([[[6]]], dtype=uint64)
    """
    array = _plain(values, where)
    if kind == "graded":  # verified as graded; one more pass writes the bits
        _graded_planes(array, where, (0, 0))
        kind = "analog"
    return pack_planes(array, kind, where)[0]


def pack_planes(values: ArrayLike, kind: str, where: str = "values", offset: tuple[int, int] = (0, 0)) -> Words:
    """All planes of a signal: uint64 ``(planes, steps, samples, words)``.

    Parameters
    ----------
    values : array (steps, samples, *shape)
    kind : {'spike', 'signed_spike', 'graded', 'analog'}
    where, offset : str and (step, sample)
        What the values are and where they start, for the error message.

    Raises
    ------
    InvalidInput
        If a value contradicts the kind; the message names the first one.
    """
    if kind not in ALLOWED:
        raise InvalidInput(f"{where}: kind {kind!r} is not known; use one of {', '.join(ALLOWED)}")
    array = _plain(values, where)
    steps, samples = array.shape[:2]
    neurons = math.prod(array.shape[2:])
    rows = array.reshape(steps * samples, neurons)
    planes = _graded_planes(array, where, offset) if kind == "graded" else 1 + (kind == "signed_spike")
    words = np.empty((planes, steps * samples, words_per_row(neurons)), np.uint64)
    wrong = False
    if kind == "graded":
        for plane in range(planes):
            _pack_bit(rows, plane, words[plane])
    elif kind == "signed_spike":
        wrong = _pack_signed(rows, words[0], words[1])
    else:
        wrong = (_pack_spikes if kind == "spike" else _pack_finite)(rows, words[0])
    if wrong:
        raise _contradiction(array, kind, where, offset)
    return words.reshape(planes, steps, samples, words.shape[-1])


def unpack(words: Words, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Bits back to neurons: bool ``(..., *shape)`` from uint64 ``(..., words)``.

    >>> unpack(np.array([[[6]]], np.uint64), (2, 2))[0, 0]
    array([[False,  True],
           [ True, False]])
    """
    octets = np.ascontiguousarray(words, "<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=-1, count=math.prod(shape), bitorder="little")
    return bits.view(np.bool_).reshape(*words.shape[:-1], *shape)


def unpack_planes(planes: Words, shape: Sequence[int], kind: str) -> Recorded:
    """Values ``(steps, samples, *shape)`` of planes ``(planes, steps, samples, words)``.

    uint8 for spikes, int8 for signed spikes, uint8 or uint16 for graded values, bool (non-zero) for analog ones.
    """
    first = unpack(planes[0], shape)
    if kind == "analog":
        return first
    if kind == "signed_spike":
        signed = first.view(np.int8)
        signed[unpack(planes[1], shape)] = -1
        return signed
    values: NDArray[np.unsignedinteger] = first.astype(np.uint16) if len(planes) > 8 else first.view(np.uint8)
    for bit in range(1, len(planes)):
        values |= unpack(planes[bit], shape).astype(values.dtype) << values.dtype.type(bit)
    return values


def _plain(values: ArrayLike, where: str) -> Values:
    """The same values, contiguous, in a type that the kernels know."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise InvalidInput(f"{where}: dtype {array.dtype} holds no spikes; give booleans, integers or real numbers")
    if array.ndim < 3:
        raise InvalidInput(f"{where}: shape {array.shape}; give (steps, samples, *shape of one sample and step)")
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):  # half and extended floats have no kernel
        array = array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def _graded_planes(values: Values, where: str, offset: tuple[int, int]) -> int:
    """Bit planes that hold these graded values: 1 for all zeros, 3 for a largest value of 4 to 7."""
    largest = int(_largest_graded(values.reshape(-1), 2**MAX_GRADED_PLANES - 1))
    if largest < 0:
        raise _contradiction(values, "graded", where, offset)
    return max(1, largest.bit_length())


def _contradiction(array: Values, kind: str, where: str, offset: tuple[int, int]) -> InvalidInput:
    with np.errstate(invalid="ignore"):
        if kind == "graded":
            right = (array >= 0) & (array < 2**MAX_GRADED_PLANES) & (np.floor(array) == array)
        elif kind == "analog":
            right = np.isfinite(array)
        else:
            right = (array == 0) | (array == 1) | ((array == -1) & (kind == "signed_spike"))
    place = tuple(int(index) for index in np.unravel_index(int(np.argmin(right)), right.shape))
    return InvalidInput(
        f"{where}: step {place[0] + offset[0]}, sample {place[1] + offset[1]}, neuron {place[2:]} is {array[place]}, "
        f"but the declared kind is {kind!r}, which allows only {ALLOWED[kind]}; declare the kind that the model emits, "
        f"or mend the data"
    )


# One kernel per kind: a word of non-zero bits and a word of allowed non-zero bits are built side by side, and differ
# where a value contradicts the kind. With the test in the same loop and no early exit, memory sets the speed; one loop
# that chooses between the kinds takes up to twice as long on bytes.


@njit(cache=True, nogil=True)
def _pack_spikes(rows: Values, words: Words) -> bool:
    """Non-zero bits of ``rows`` (rows, n) into ``words``; True if a value is neither 0 nor 1."""
    wrong = False
    whole = rows.shape[1] // WORD_BITS
    for row in range(rows.shape[0]):
        for word in range(whole):
            bits = np.uint64(0)
            allowed = np.uint64(0)
            for bit in range(WORD_BITS):
                value = rows[row, word * WORD_BITS + bit]
                bits |= np.uint64(value != 0) << np.uint64(bit)
                allowed |= np.uint64(value == 1) << np.uint64(bit)
            words[row, word] = bits
            wrong |= bits != allowed
        if whole < words.shape[1]:
            bits = np.uint64(0)
            for index in range(whole * WORD_BITS, rows.shape[1]):
                value = rows[row, index]
                bits |= np.uint64(value != 0) << np.uint64(index % WORD_BITS)
                wrong |= value != 0 and value != 1
            words[row, whole] = bits
    return wrong


@njit(cache=True, nogil=True)
def _pack_finite(rows: Values, words: Words) -> bool:
    """Non-zero bits of ``rows`` (rows, n) into ``words``; True if a value is NaN or infinite."""
    wrong = False
    whole = rows.shape[1] // WORD_BITS
    for row in range(rows.shape[0]):
        for word in range(whole):
            bits = np.uint64(0)
            allowed = np.uint64(0)
            for bit in range(WORD_BITS):
                value = rows[row, word * WORD_BITS + bit]
                bits |= np.uint64(value != 0) << np.uint64(bit)
                allowed |= np.uint64((value != 0) & (value - value == 0)) << np.uint64(bit)
            words[row, word] = bits
            wrong |= bits != allowed
        if whole < words.shape[1]:
            bits = np.uint64(0)
            for index in range(whole * WORD_BITS, rows.shape[1]):
                value = rows[row, index]
                bits |= np.uint64(value != 0) << np.uint64(index % WORD_BITS)
                wrong |= value - value != 0
            words[row, whole] = bits
    return wrong


@njit(cache=True, nogil=True)
def _pack_signed(rows: Values, words: Words, negative: Words) -> bool:
    """Non-zero and negative bits of ``rows`` (rows, n); True if a value is none of -1, 0 and 1."""
    wrong = False
    for row in range(rows.shape[0]):
        for word in range(words.shape[1]):
            bits = np.uint64(0)
            below = np.uint64(0)
            allowed = np.uint64(0)
            for bit in range(min(WORD_BITS, rows.shape[1] - word * WORD_BITS)):
                value = rows[row, word * WORD_BITS + bit]
                bits |= np.uint64(value != 0) << np.uint64(bit)
                below |= np.uint64(value == -1) << np.uint64(bit)
                allowed |= np.uint64((value == 1) | (value == -1)) << np.uint64(bit)
            words[row, word] = bits
            negative[row, word] = below
            wrong |= bits != allowed
    return wrong


@njit(cache=True, nogil=True)
def _largest_graded(values: Values, limit: int) -> np.int64:
    """Largest of ``values`` (n,), or -1 if one is no integer from 0 to ``limit``."""
    largest = np.int64(0)
    for value in values:
        if not (value >= 0 and value <= limit):
            return np.int64(-1)
        whole = np.int64(value)
        if whole != value:
            return np.int64(-1)
        largest = max(largest, whole)
    return largest


@njit(cache=True, nogil=True)
def _pack_bit(rows: Values, plane: int, words: Words) -> None:
    """Bit ``plane`` of the integers in ``rows`` (rows, n) into ``words``."""
    for row in range(rows.shape[0]):
        for word in range(words.shape[1]):
            bits = np.uint64(0)
            for bit in range(min(WORD_BITS, rows.shape[1] - word * WORD_BITS)):
                value = np.int64(rows[row, word * WORD_BITS + bit])
                bits |= np.uint64((value >> plane) & 1) << np.uint64(bit)
            words[row, word] = bits
