"""How a trace is cut into chunks and shards: by workload and steps alone, so that equal content hashes equally."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..errors import InvalidInput
from ..network.fan_out import words_per_row
from ..network.workload import Workload
from .shards import ITEM_BYTES, MAX_CHUNK_BYTES, Grid

MIB = 2**20
CHUNK_BYTES = 2 * MIB  # the largest signal's chunk: fits a second-level cache, and costs 32 manifest digits
CHUNK_ROW_BYTES = 16 * MIB  # one chunk of every signal
SHARD_ROW_BYTES = 32 * MIB  # one shard of every signal, held compressed until it is written
MAX_CHUNK_SAMPLES = 4096
DEFAULT_MEMORY = 512 * MIB
PLANES = {"spike": 1, "signed_spike": 2, "graded": 4, "analog": 1}  # graded: a guess, used for sizes alone


@dataclass(frozen=True)
class Chunking:
    """One chunking of samples for all arrays, and the grid of every array.

    Attributes
    ----------
    chunk_samples, shard_samples : int
        Samples in a chunk and in a shard, the same for every array.
    grids : mapping of signal to Grid
    labels : Grid
        Of labels and predictions.
    sample_bytes : int
        Packed bytes of one sample over all signals and steps.
    """

    chunk_samples: int
    shard_samples: int
    grids: Mapping[str, Grid]
    labels: Grid
    sample_bytes: int

    @property
    def writer_bytes(self) -> int:
        """Memory that a writer may need beside the arrays it is given: pending chunks, shards being filled, scratch."""
        pending = self.chunk_samples * self.sample_bytes if self.chunk_samples > 1 else 0
        largest = max(math.prod(grid.shard) * ITEM_BYTES for grid in self.grids.values())
        chunk = max(grid.chunk_bytes for grid in self.grids.values())
        return (
            pending + max(min(self.shard_samples * self.sample_bytes, SHARD_ROW_BYTES), largest) + largest + 4 * chunk
        )


def plan_chunking(workload: Workload, steps: int, chunk_samples: int | None = None) -> Chunking:
    """The chunking of a trace of this workload.

    Parameters
    ----------
    chunk_samples : int, optional
        Samples in a chunk; by default as many (a power of two) as keep chunks near 2 MiB.

    Raises
    ------
    InvalidInput
        If one step of one sample of a signal does not fit a chunk.
    """
    words = {name: words_per_row(math.prod(shape)) for name, (shape, _) in workload.signals.items()}
    sample_bytes = sum(PLANES[kind] * steps * words[name] * ITEM_BYTES for name, (_, kind) in workload.signals.items())
    largest = steps * max(words.values()) * ITEM_BYTES
    if chunk_samples is None:
        fitting = min(CHUNK_BYTES // largest, CHUNK_ROW_BYTES // sample_bytes, MAX_CHUNK_SAMPLES)
        chunk_samples = _power_of_two(fitting)
    in_shard = _power_of_two(min(SHARD_ROW_BYTES // (sample_bytes * chunk_samples), 64))
    grids = {}
    for name, (_, kind) in workload.signals.items():
        row_bytes = chunk_samples * words[name] * ITEM_BYTES
        if row_bytes > MAX_CHUNK_BYTES:
            raise InvalidInput(
                f"workload {workload.name!r}: one step of {chunk_samples} samples of {name!r} takes {row_bytes} bytes "
                f"packed; at most {MAX_CHUNK_BYTES} fit a chunk; use smaller chunks or split the layer"
            )
        chunk_steps = min(steps, max(1, CHUNK_BYTES // row_bytes))
        per_shard = min(-(-steps // chunk_steps), max(1, SHARD_ROW_BYTES // (chunk_steps * row_bytes * in_shard)))
        planes = (1,) if kind in ("signed_spike", "graded") else ()
        chunk = (*planes, chunk_steps, chunk_samples, words[name])
        shard = (*planes, chunk_steps * per_shard, chunk_samples * in_shard, words[name])
        grids[name] = Grid("uint64", chunk, shard)
    labels = Grid("int64", (chunk_samples,), (chunk_samples * in_shard,))
    return Chunking(chunk_samples, chunk_samples * in_shard, grids, labels, sample_bytes)


def shrink(chunking: Chunking, samples: int) -> Chunking:
    """The same for a trace that ends within its first chunk: chunks and shards of just these samples."""
    grids = {
        name: replace(
            grid, chunk=(*grid.chunk[:-2], samples, grid.chunk[-1]), shard=(*grid.shard[:-2], samples, grid.shard[-1])
        )
        for name, grid in chunking.grids.items()
    }
    labels = Grid("int64", (samples,), (samples,))
    return replace(chunking, chunk_samples=samples, shard_samples=samples, grids=grids, labels=labels)


def mask_grid(words: int) -> Grid:
    """Grid of a zero-weight map of this many words."""
    chunk = min(words, CHUNK_BYTES // ITEM_BYTES)
    return Grid("uint64", (chunk,), (chunk * min(-(-words // chunk), 16),))


def _power_of_two(limit: int) -> int:
    """Largest power of two up to ``limit``, at least 1."""
    return 1 << max(0, limit.bit_length() - 1)
