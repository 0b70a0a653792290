"""Integer maps over a layer's inputs as weighted bit masks, so that a sum over spikes is a handful of popcounts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 64
Words = NDArray[np.uint64]  # bits, bit 0 first, padded with zeros to whole words


@dataclass(frozen=True)
class MaskedSum:
    """An integer map over the inputs, ``base + sum(coefficients[k] * masks[k])``; masks packed as a trace's rows."""

    base: int
    coefficients: NDArray[np.int64]
    masks: Words


def decompose(values: NDArray[np.int64]) -> MaskedSum:
    """Write an integer map (n,) as a constant and the fewest masks of two ways: one per value, or one per bit.

    A 3x3 convolution with padding has three fan-outs, so two masks; zero weights give hundreds of values in a narrow
    range, so a few bit planes of the difference from the smallest.
    """
    distinct, inverse, times = np.unique(values, return_inverse=True, return_counts=True)
    spread = distinct - distinct[0]
    unit = int(np.gcd.reduce(spread)) or 1
    planes = (int(spread[-1]) // unit).bit_length()
    if len(distinct) - 1 <= planes:
        common = int(times.argmax())
        rest = [index for index in range(len(distinct)) if index != common]
        masks = [pack_bits(inverse == index) for index in rest]
        base, coefficients = int(distinct[common]), [int(distinct[index] - distinct[common]) for index in rest]
    else:
        units = (spread // unit)[inverse]
        masks = [pack_bits((units >> bit) & 1 != 0) for bit in range(planes)]
        base, coefficients = int(distinct[0]), [unit << bit for bit in range(planes)]
    shape = (len(masks), words_per_row(values.size))
    return MaskedSum(base, np.array(coefficients, np.int64), np.array(masks, np.uint64).reshape(shape))


def words_per_row(n: int) -> int:
    """64-bit words that hold n bits."""
    return -(-n // WORD_BITS)


def pack_bits(bits: NDArray[np.bool_]) -> Words:
    """Booleans (n,) as 64-bit words, bit 0 first."""
    data = np.packbits(bits, bitorder="little")
    padded = np.zeros(words_per_row(bits.size) * 8, np.uint8)
    padded[: data.size] = data
    return padded.view("<u8").astype(np.uint64, copy=False)
