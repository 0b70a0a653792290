"""Who reaches whom in one layer, as arrays for the compiled loops: grouped channels times a sparse map of positions.

Every kind of layer that counts by fan-out factors this way. A convolution connects all channels of a group and, along
each axis, an input position with the output positions whose taps read it; a fully connected layer has one position and
only channels; pooling and up-sampling have one channel per group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOWHERE = -1
Ints = NDArray[np.int64]  # positions, taps and channels, or where the edges of one begin


@dataclass(frozen=True)
class Connections:
    """The edges of a layer: input ``(channel, position)`` to output ``(channel, position)``.

    Attributes
    ----------
    groups, in_channels, out_channels : int
        Input channel c reaches every output channel of group ``c // (in_channels / groups)``.
    in_positions, out_positions : int
    starts : int64 array (in_positions + 1,)
        Edges of input position p are ``starts[p]`` to ``starts[p + 1] - 1``.
    outs, taps : int64 arrays (edges,)
        Output position and kernel tap of each edge.
    nonzero : uint8 array (in_channels, taps, out_channels / groups) or None
        1 where the weight is not zero. None: no weight is zero.
    """

    groups: int
    in_channels: int
    out_channels: int
    in_positions: int
    out_positions: int
    starts: Ints
    outs: Ints
    taps: Ints
    nonzero: NDArray[np.uint8] | None


def join_axes(tables: Sequence[Ints], out_sizes: Sequence[int]) -> tuple[Ints, Ints, Ints]:
    """``starts, outs, taps`` over flattened positions from one table per axis.

    Parameters
    ----------
    tables : int64 arrays (input size, taps)
        Output position that each tap of each input position reaches along that axis, `NOWHERE` for none.
    out_sizes : ints
        Output size of each axis.
    """
    outs = np.zeros((1, 1), np.int64)
    taps = np.zeros((1, 1), np.int64)
    for table, out_size in zip(tables, out_sizes, strict=True):
        size, kernel = table.shape
        shape = (len(outs) * size, outs.shape[1] * kernel)
        before, here = outs[:, None, :, None], table[None, :, None, :]
        reached = np.where((before == NOWHERE) | (here == NOWHERE), NOWHERE, before * out_size + here)
        steps = np.broadcast_to(taps[:, None, :, None] * kernel + np.arange(kernel), reached.shape)
        outs, taps = reached.reshape(shape), steps.reshape(shape)
    there = outs != NOWHERE
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return starts, outs[there], taps[there]


def pool_map(shape: Sequence[int], kernel: Sequence[int]) -> Ints:
    """Pooled position of each flattened position of ``shape``, `NOWHERE` for the rest that no whole window holds."""
    result = np.zeros(1, np.int64)
    for size, window in zip(shape, kernel, strict=True):
        place = np.arange(size) // window
        place[place >= size // window] = NOWHERE
        joined = result[:, None] * (size // window) + place
        result = np.where((result[:, None] == NOWHERE) | (place == NOWHERE), NOWHERE, joined).ravel()
    return result


def redirect(connections: Connections, positions: Ints, out_positions: int) -> Connections:
    """The same edges with their output positions renamed; edges to `NOWHERE` are dropped."""
    outs = positions[connections.outs]
    kept = outs != NOWHERE
    sources = np.repeat(np.arange(connections.in_positions), np.diff(connections.starts))[kept]
    counts = np.bincount(sources, minlength=connections.in_positions)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Connections(
        connections.groups,
        connections.in_channels,
        connections.out_channels,
        connections.in_positions,
        out_positions,
        starts,
        outs[kept],
        connections.taps[kept],
        connections.nonzero,
    )


def edge_product(tables: Sequence[Ints]) -> int:
    """Edges over all positions, exact, without building them."""
    return math.prod(int((table != NOWHERE).sum()) for table in tables)
