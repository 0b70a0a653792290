"""The compiled loops of the counter: serial Numba kernels on packed spikes, free of the interpreter lock.

Rows are ``(step, sample)`` pairs; a row's words hold one bit per neuron, bit 0 first, padded to whole 64-bit words.
Threads call these kernels on slices of the rows: a popcount inlined in a ``prange`` body runs three times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from ..network.connections import Ints
from ..network.fan_out import Words

Intrinsic = tuple[object, Callable[..., object]]  # its signature, and what writes its LLVM code
TILE = 1024  # words: 8 KiB of a row and as much of three masks stay in a 32 KiB first-level cache


@intrinsic
def _popcount(typing_context: object, word: object) -> Intrinsic:
    """Set bits of a uint64, by LLVM's own operation (which vectorises)."""

    def generate(context: object, builder: Any, signature: object, arguments: Any) -> object:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def _lowest_bit(typing_context: object, word: object) -> Intrinsic:
    """Index of the lowest set bit of a uint64 that is not zero."""

    def generate(context: Any, builder: Any, signature: object, arguments: Any) -> object:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


popcount: Any = _popcount  # called with the word alone: the compiler supplies the typing context
lowest_bit: Any = _lowest_bit


@njit(cache=True, nogil=True)
def popcounts(words: Words, out: Ints) -> None:
    """Set bits of every row of ``words`` (rows, words) into ``out`` (rows,) int64: the limit of any counter."""
    for row in range(words.shape[0]):
        out[row] = _set_bits(words[row])


@njit(cache=True, nogil=True)
def masked_popcounts(words: Words, masks: Words, out: Ints) -> None:
    """Set bits of every row under every mask, added to ``out`` (rows, 1 + masks) int64; column 0 is without a mask.

    A word is loaded once for itself and two masks; further masks go two by two over a tile that is still in cache.
    """
    rows, size = words.shape
    fused = 2 if masks.shape[0] >= 2 else 0
    for start in range(0, size, TILE):
        for row in range(rows):
            part = words[row, start : start + TILE]
            if fused:
                first, second = masks[0, start : start + TILE], masks[1, start : start + TILE]
                every, one, two = _set_bits_and_two(part, first, second)
                out[row, 0] += every
                out[row, 1] += one
                out[row, 2] += two
            else:
                out[row, 0] += _set_bits(part)
            for mask in range(fused, masks.shape[0] - 1, 2):
                first, second = masks[mask, start : start + TILE], masks[mask + 1, start : start + TILE]
                one, two = _set_bits_under_two(part, first, second)
                out[row, mask + 1] += one
                out[row, mask + 2] += two
            if (masks.shape[0] - fused) % 2:
                out[row, masks.shape[0]] += _set_bits_under(part, masks[-1, start : start + TILE])


@njit(cache=True, nogil=True)
def _set_bits(words: Words) -> np.int64:
    total = np.uint64(0)
    for index in range(words.size):
        total += popcount(words[index])
    return np.int64(total)


@njit(cache=True, nogil=True)
def _set_bits_under(words: Words, mask: Words) -> np.int64:
    total = np.uint64(0)
    for index in range(words.size):
        total += popcount(words[index] & mask[index])
    return np.int64(total)


@njit(cache=True, nogil=True)
def _set_bits_under_two(words: Words, first: Words, second: Words) -> tuple[np.int64, np.int64]:
    one, two = np.uint64(0), np.uint64(0)
    for index in range(words.size):
        word = words[index]
        one += popcount(word & first[index])
        two += popcount(word & second[index])
    return np.int64(one), np.int64(two)


@njit(cache=True, nogil=True)
def _set_bits_and_two(words: Words, first: Words, second: Words) -> tuple[np.int64, np.int64, np.int64]:
    every, one, two = np.uint64(0), np.uint64(0), np.uint64(0)
    for index in range(words.size):
        word = words[index]
        every += popcount(word)
        one += popcount(word & first[index])
        two += popcount(word & second[index])
    return np.int64(every), np.int64(one), np.int64(two)


@njit(cache=True, nogil=True)
def segment_popcounts(words: Words, bounds: Ints, out: Ints) -> None:
    """Set bits of ``words`` (n,) between consecutive ``bounds`` (segments + 1,) into ``out`` (segments,) int64."""
    for segment in range(out.size):
        out[segment] = _set_bits(words[bounds[segment] : bounds[segment + 1]])


@njit(cache=True, nogil=True)
def transpose_bits(words: Words, ranks: Ints, out: Words) -> None:
    """Rows of bits per (step, sample) into rows of bits per neuron.

    Bit i of row r of ``words`` (rows, words) becomes bit r of row ``ranks[i]`` of ``out`` (neurons, ceil(rows / 64)).
    """
    rows, size = words.shape
    block = np.empty(64, np.uint64)
    for column in range(out.shape[1]):
        last = min(64, rows - 64 * column)
        for index in range(size):
            for row in range(last):
                block[row] = words[64 * column + row, index]
            for row in range(last, 64):
                block[row] = np.uint64(0)
            _transpose_block(block)
            for bit in range(min(64, ranks.size - 64 * index)):
                out[ranks[64 * index + bit], column] = block[bit]


@njit(cache=True, nogil=True)
def _transpose_block(block: Words) -> None:
    """Transpose 64 words of 64 bits in place: swap quarters, then quarters of quarters (Hacker's Delight, 7-3)."""
    width, mask = 32, np.uint64(0x00000000FFFFFFFF)
    while width:
        shift = np.uint64(width)
        for start in range(0, 64, 2 * width):
            for row in range(start, start + width):
                swap = ((block[row] >> shift) ^ block[row + width]) & mask
                block[row] ^= swap << shift
                block[row + width] ^= swap
        width //= 2
        mask ^= mask << np.uint64(width)
