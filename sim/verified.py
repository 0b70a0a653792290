"""Dense inputs to packed bits, each value verified against the declared kind in the same pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .errors import InvalidInput
from .fanout import WORD_BITS, words_per_row
from .kernels import lowest_bit

ALLOWED = {"spike": "0 or 1", "signed_spike": "-1, 0 or 1", "graded": "an integer from 0", "analog": "finite"}


def pack_values(values: NDArray, kind: str, where: str) -> NDArray[np.uint64]:
    """The non-zero bits of recorded values.

    Parameters
    ----------
    values : array (steps, samples, *shape)
        Any real dtype.
    kind : str
        Declared kind; every value is verified.
    where : str
        What the values are, for the message, such as ``"layer 'conv1'"``.

    Returns
    -------
    uint64 array (steps, samples, words)
        C,H,W order, bit 0 first, rows padded to whole words.

    Raises
    ------
    InvalidInput
        At the first value that contradicts the kind, or if the array holds no numbers.
    """
    values = np.asarray(values)
    if values.ndim < 3 or values.dtype.kind not in "biuf":
        raise InvalidInput(
            f"{where}: input is {values.dtype} {values.shape}; it must be boolean, integer or real, and of shape "
            f"(steps, samples, ...)"
        )
    steps, samples, *shape = values.shape
    size = math.prod(shape)
    words = np.empty((steps, samples, words_per_row(size)), np.uint64)
    for step in range(steps):
        flat = _plain(values[step]).reshape(samples, size)  # at most one step is copied at a time
        wrong = _pack_rows(flat, kind, words[step])
        if wrong is not None:
            sample, place = wrong
            raise InvalidInput(
                f"{where}: input {flat[sample, place]!s} at step {step}, sample {sample}, index "
                f"{tuple(int(index) for index in np.unravel_index(place, shape))} is no {kind}: it must be "
                f"{ALLOWED[kind]}; declare another input_kind or mend the data"
            )
    return words


def _pack_rows(values: NDArray, kind: str, words: NDArray[np.uint64]) -> tuple[int, int] | None:
    """Pack rows of values; gives the row and place of a value that contradicts the kind, or None."""
    rows, size = values.shape
    whole, rest = divmod(size, WORD_BITS)
    wrong = PACKERS[kind](values, words, 0)
    if wrong >= 0:
        row, place = divmod(wrong, size)
        return row, place
    if rest:  # the last word of every row, padded with zeros
        last = np.zeros((rows, WORD_BITS), values.dtype)
        last[:, :rest] = values[:, -rest:]
        wrong = PACKERS[kind](last, words, whole)
        if wrong >= 0:
            row, place = divmod(wrong, WORD_BITS)
            return row, whole * WORD_BITS + place
    return None


def _plain(values: NDArray) -> NDArray:
    """The same values in a type the kernel knows: native byte order, bytes for booleans, no half or long floats."""
    if values.dtype == np.bool_:
        return np.ascontiguousarray(values).view(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return np.ascontiguousarray(values, np.float32 if values.dtype.itemsize == 2 else np.float64)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


@njit(cache=True, nogil=True)
def pack_spikes(values: Any, words: Any, first: int) -> Any:
    """See `PACKERS`; values are to be 0 or 1."""
    for row in range(values.shape[0]):
        for word in range(values.shape[1] // WORD_BITS):
            block = values[row, word * WORD_BITS : word * WORD_BITS + WORD_BITS]
            bits, allowed = np.uint64(0), np.uint64(0)
            for index in range(WORD_BITS):
                value = block[index]
                bits |= np.uint64(value != 0) << np.uint64(index)
                allowed |= np.uint64(value == 1) << np.uint64(index)
            if bits != allowed:
                return row * values.shape[1] + word * WORD_BITS + lowest_bit(bits ^ allowed)
            words[row, first + word] = bits
    return -1


@njit(cache=True, nogil=True)
def pack_signed_spikes(values: Any, words: Any, first: int) -> Any:
    """See `PACKERS`; values are to be -1, 0 or 1."""
    for row in range(values.shape[0]):
        for word in range(values.shape[1] // WORD_BITS):
            block = values[row, word * WORD_BITS : word * WORD_BITS + WORD_BITS]
            bits, allowed = np.uint64(0), np.uint64(0)
            for index in range(WORD_BITS):
                value = block[index]
                bits |= np.uint64(value != 0) << np.uint64(index)
                allowed |= np.uint64((value == 1) | (value == -1)) << np.uint64(index)
            if bits != allowed:
                return row * values.shape[1] + word * WORD_BITS + lowest_bit(bits ^ allowed)
            words[row, first + word] = bits
    return -1


@njit(cache=True, nogil=True)
def pack_graded(values: Any, words: Any, first: int) -> Any:
    """See `PACKERS`; values are to be integers from 0."""
    for row in range(values.shape[0]):
        for word in range(values.shape[1] // WORD_BITS):
            block = values[row, word * WORD_BITS : word * WORD_BITS + WORD_BITS]
            bits, allowed = np.uint64(0), np.uint64(0)
            for index in range(WORD_BITS):
                value = block[index]
                bits |= np.uint64(value != 0) << np.uint64(index)
                allowed |= np.uint64((value > 0) & (np.floor(value) == value) & (value - value == 0)) << np.uint64(
                    index
                )
            if bits != allowed:
                return row * values.shape[1] + word * WORD_BITS + lowest_bit(bits ^ allowed)
            words[row, first + word] = bits
    return -1


@njit(cache=True, nogil=True)
def pack_analog(values: Any, words: Any, first: int) -> Any:
    """See `PACKERS`; values are to be neither NaN nor infinite."""
    for row in range(values.shape[0]):
        for word in range(values.shape[1] // WORD_BITS):
            block = values[row, word * WORD_BITS : word * WORD_BITS + WORD_BITS]
            bits, allowed = np.uint64(0), np.uint64(0)
            for index in range(WORD_BITS):
                value = block[index]
                bits |= np.uint64(value != 0) << np.uint64(index)
                allowed |= np.uint64((value != 0) & (value - value == 0)) << np.uint64(index)
            if bits != allowed:
                return row * values.shape[1] + word * WORD_BITS + lowest_bit(bits ^ allowed)
            words[row, first + word] = bits
    return -1


# Per kind: write the non-zero bits of the whole words of ``values`` (rows, n) into ``words`` from column ``first`` on.
# Each returns the flat index of the first value that contradicts the kind, or -1. One loop of a length known on
# compiling per kind, because that is what vectorises; a choice of the kind inside the loop made it twice as slow.
PACKERS = {"spike": pack_spikes, "signed_spike": pack_signed_spikes, "graded": pack_graded, "analog": pack_analog}
