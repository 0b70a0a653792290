"""Dense inputs to packed bits, each value verified against the declared kind in the same pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .errors import InvalidInput
from .fanout import WORD_BITS, words_per_row

KIND_CODES = {"spike": 0, "signed_spike": 1, "graded": 2, "analog": 3}
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
    size = int(np.prod(shape, dtype=np.int64))
    words = np.empty((steps, samples, words_per_row(size)), np.uint64)
    for step in range(steps):
        flat = _plain(values[step]).reshape(samples, size)  # at most one step is copied at a time
        wrong = pack_verified(flat, KIND_CODES[kind], words[step])
        if wrong >= 0:
            sample, *place = (int(index) for index in np.unravel_index(wrong, (samples, *shape)))
            raise InvalidInput(
                f"{where}: input {flat.flat[wrong]!s} at step {step}, sample {sample}, index {tuple(place)} is no "
                f"{kind}: it must be {ALLOWED[kind]}; declare another input_kind or mend the data"
            )
    return words


def _plain(values: NDArray) -> NDArray:
    """The same values in a type the kernel knows: native byte order, bytes for booleans, no half or long floats."""
    if values.dtype == np.bool_:
        return np.ascontiguousarray(values).view(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return np.ascontiguousarray(values, np.float32 if values.dtype.itemsize == 2 else np.float64)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


@njit(cache=True, nogil=True)
def pack_verified(values: Any, kind: int, words: Any) -> Any:
    """Write the non-zero bits of ``values`` (rows, n) into ``words`` (rows, ceil(n / 64)).

    Returns the flat index of the first value that contradicts the kind (a code of `KIND_CODES`), or -1.
    """
    rows, n = values.shape
    hits = np.zeros(WORD_BITS, np.uint8)
    eights = hits.view(np.uint64)
    for row in range(rows):
        for word in range(words.shape[1]):
            first = word * WORD_BITS
            block = values[row, first : min(first + WORD_BITS, n)]
            if _contradictions(block, kind) != 0:
                for index in range(block.size):
                    if _contradictions(block[index : index + 1], kind) != 0:
                        return row * n + first + index
            if block.size == WORD_BITS:  # a length known on compiling, so that it vectorises
                for index in range(WORD_BITS):
                    hits[index] = block[index] != 0
            else:
                hits[:] = 0
                for index in range(block.size):
                    hits[index] = block[index] != 0
            packed = np.uint64(0)
            for byte in range(8):  # eight 0/1 bytes become eight bits by one multiplication
                bits = (eights[byte] * np.uint64(0x0102040810204080)) >> np.uint64(56)
                packed |= bits << np.uint64(8 * byte)
            words[row, word] = packed
    return -1


@njit(cache=True, nogil=True)
def _contradictions(block: Any, kind: int) -> Any:
    """How many values of a block are not of the kind; one loop per kind, so that each vectorises."""
    wrong = 0
    if kind == 0:
        for index in range(block.size):
            wrong += (block[index] != 0) & (block[index] != 1)
    elif kind == 1:
        for index in range(block.size):
            wrong += (block[index] != 0) & (block[index] != 1) & (block[index] != -1)
    elif kind == 2:
        for index in range(block.size):
            value = block[index]
            wrong += (value < 0) | (np.floor(value) != value) | (value - value != 0)
    else:
        for index in range(block.size):
            wrong += (block[index] - block[index]) != 0  # NaN and infinities
    return wrong
