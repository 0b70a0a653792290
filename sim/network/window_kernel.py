"""The compiled loop of pooling by maxima: comparisons among the candidates of each window. Serial, free of the GIL."""

from __future__ import annotations

import numpy as np
from numba import njit

from .connections import Ints
from .fan_out import Words


@njit(cache=True, nogil=True)
def window_comparisons(
    words: Words, channels: int, starts: Ints, outs: Ints, sizes: Ints, signed: bool, out: Ints
) -> None:
    """Comparisons of a maximum per row into ``out`` (rows,) int64: candidates of each window less one.

    Non-zero inputs are candidates; where values may be negative (``signed``), the zeros of a window are one more.
    """
    positions = starts.size - 1
    hits = np.zeros(sizes.size, np.int64)
    for row in range(words.shape[0]):
        total = 0
        for channel in range(channels):
            hits[:] = 0
            for position in range(positions):
                bit = channel * positions + position
                if (words[row, bit >> 6] >> np.uint64(bit & 63)) & np.uint64(1):
                    for edge in range(starts[position], starts[position + 1]):
                        hits[outs[edge]] += 1
            for window in range(sizes.size):
                if hits[window]:
                    total += min(hits[window], sizes[window] - 1) if signed else hits[window] - 1
        out[row] = total
