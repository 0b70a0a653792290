"""The compiled loops of the counter: serial Numba kernels on packed spikes, free of the interpreter lock.

Rows are ``(step, sample)`` pairs; a row's words hold one bit per neuron, bit 0 first, padded to whole 64-bit words.
Threads call these kernels on slices of the rows: a popcount inlined in a ``prange`` body runs three times slower.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

WORD_BITS = 64
TILE = 1024  # words: 8 KiB of a row and as much of each mask stay in a 32 KiB first-level cache
KIND_CODES = {"spike": 0, "signed_spike": 1, "graded": 2, "analog": 3}


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Set bits of a uint64, by LLVM's own operation (which vectorises)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def lowest_bit(typing_context: Any, word: Any) -> Any:
    """Index of the lowest set bit of a uint64 that is not zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@njit(cache=True, nogil=True)
def popcounts(words: Any, out: Any) -> None:
    """Set bits of every row of ``words`` (rows, words) into ``out`` (rows,) int64."""
    for row in range(words.shape[0]):
        total = np.uint64(0)
        for index in range(words.shape[1]):
            total += popcount(words[row, index])
        out[row] = total


@njit(cache=True, nogil=True)
def masked_popcounts(words: Any, masks: Any, out: Any) -> None:
    """Set bits of every row under every mask, added to ``out`` (rows, 1 + masks) int64; column 0 is without a mask."""
    rows, size = words.shape
    for start in range(0, size, TILE):
        stop = min(start + TILE, size)
        for row in range(rows):
            total = np.uint64(0)
            for index in range(start, stop):
                total += popcount(words[row, index])
            out[row, 0] += np.int64(total)
            for mask in range(masks.shape[0]):
                total = np.uint64(0)
                for index in range(start, stop):
                    total += popcount(words[row, index] & masks[mask, index])
                out[row, mask + 1] += np.int64(total)


@njit(cache=True, nogil=True)
def pack_verified(values: Any, kind: int, words: Any) -> int:
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
            for index in range(block.size):
                hits[index] = block[index] != 0
            for index in range(block.size, WORD_BITS):
                hits[index] = 0
            packed = np.uint64(0)
            for byte in range(8):  # eight 0/1 bytes become eight bits by one multiplication
                bits = (eights[byte] * np.uint64(0x0102040810204080)) >> np.uint64(56)
                packed |= bits << np.uint64(8 * byte)
            words[row, word] = packed
    return -1


@njit(cache=True, nogil=True)
def _contradictions(block: Any, kind: int) -> int:
    """How many values of a block are not of the kind; one loop per kind, so that each vectorises."""
    wrong = 0
    if kind == 0:
        for value in block:
            wrong += not (value == 0 or value == 1)
    elif kind == 1:
        for value in block:
            wrong += not (value == 0 or value == 1 or value == -1)
    elif kind == 2:
        for value in block:
            wrong += not (value >= 0 and np.floor(value) == value and value - value == 0)
    else:
        for value in block:
            wrong += not (value - value == 0)  # NaN and infinities
    return wrong
