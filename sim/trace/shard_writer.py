"""Chunks to shard files: collects encoded chunks, writes each shard once it is complete, and keeps the journal."""

from __future__ import annotations

import datetime
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..network.workload import Workload, workload_to_dict
from . import unfinished as drafts
from .chunking import Chunking, mask_grid
from .manifest import FORMAT, VERSION, Manifest, manifest_bytes, sealed, trace_hash
from .packing import pack_planes
from .shards import (
    DIGEST_BYTES,
    GROUP_METADATA,
    Grid,
    Index,
    Items,
    StoredArray,
    array_metadata,
    chunk_digest,
    digest,
    encode_chunk,
    join_shard,
    shard_key,
)

Record = tuple[int, str]  # of one shard: size of its file, digests of its chunks in order of their slots


@dataclass
class ShardWriter:
    """Writes the arrays of one draft, chunk by chunk.

    Attributes
    ----------
    draft : Draft
    steps : int
        Steps of the trace, which say how full the last shard of steps gets.
    records : mapping of array name to {shard: Record}
        Every shard written so far.
    """

    draft: drafts.Draft
    steps: int
    records: dict[str, dict[Index, Record]] = field(default_factory=lambda: defaultdict(dict))
    _open: dict[tuple[str, Index], dict[int, tuple[bytes, str]]] = field(default_factory=lambda: defaultdict(dict))
    _grids: dict[str, Grid] = field(default_factory=dict)
    _fresh: list[tuple[str, Index, int, str]] = field(default_factory=list)  # written since the last journal row
    _rows: int = 0

    def put(self, name: str, grid: Grid, chunk: Index, words: Items) -> None:
        """Encode and digest one chunk; write its shard once all of its chunks are there."""
        shard, slot = grid.place(chunk)
        chunks = self._open[name, shard]
        chunks[slot] = encode_chunk(words), chunk_digest(name, chunk, grid, words)
        self._grids[name] = grid
        slots = math.prod(grid.per_shard)
        if len(grid.chunk) > 1:  # the last shard of steps may hold fewer chunks
            per_shard, step_chunks = grid.per_shard[-3], -(-self.steps // grid.chunk[-3])
            slots = slots // per_shard * min(per_shard, step_chunks - shard[-3] * per_shard)
        if len(chunks) == slots:
            self._write(name, shard)

    def _write(self, name: str, shard: Index) -> None:
        chunks = self._open.pop((name, shard))
        slots = math.prod(self._grids[name].per_shard)
        data = join_shard({slot: encoded for slot, (encoded, _) in chunks.items()}, slots)
        self.draft.write(shard_key(name, shard), data)
        digests = "".join(found for _, (_, found) in sorted(chunks.items()))
        self.records[name][shard] = len(data), digests
        self._fresh.append((name, shard, len(data), digests))

    def flush(self) -> None:
        """Write the shards that are not full: the trace ends here."""
        for name, shard in list(self._open):
            self._write(name, shard)

    def end_row(self, samples: int) -> None:
        """Note in the journal that this many samples are whole."""
        self.draft.write(drafts.row_key(self._rows), journal_entry(samples=samples, shards=self._fresh))
        self._fresh = []
        self._rows += 1

    def write_masks(self, workload: Workload) -> dict[str, StoredArray]:
        """Write the zero-weight maps of a workload, which are known from the start."""
        masks = {}
        for layer in workload.layers:
            if layer.nonzero is None:
                continue
            name, words = f"nonzero/{layer.name}", pack_planes(layer.nonzero.reshape(1, 1, -1), "spike")[0, 0, 0]
            grid = mask_grid(words.size)
            for chunk in range(-(-words.size // grid.chunk[0])):
                part = np.zeros(grid.chunk, np.uint64)
                piece = words[chunk * part.size : (chunk + 1) * part.size]
                part[: piece.size] = piece
                self.put(name, grid, (chunk,), part)
            self.flush()
            masks[name] = finish_array(self.draft, name, (words.size,), grid, self.records.pop(name))
        if masks:
            self.draft.write("nonzero/zarr.json", GROUP_METADATA)
        self._fresh = []
        return masks


@dataclass(frozen=True)
class Content:
    """What a manifest says beside the shards that were written."""

    workload: Workload
    steps: int
    samples: int
    chunking: Chunking
    masks: Mapping[str, StoredArray]
    provenance: Mapping[str, object]


def finish(draft: drafts.Draft, content: Content, records: Mapping[str, Mapping[Index, Record]]) -> bytes:
    """Write the metadata of all arrays of a draft and return its manifest, which is still to be committed."""
    from importlib.metadata import version

    arrays = dict(content.masks)
    for name, written in records.items():
        grid, shape = content.chunking.labels, (content.samples,)
        if name.startswith("signals/"):
            grid = content.chunking.grids[name.partition("/")[2]]
            planes = (1 + max(shard[0] for shard in written),) if len(grid.chunk) == 4 else ()
            shape = (*planes, content.steps, content.samples, grid.chunk[-1])
        arrays[name] = finish_array(draft, name, shape, grid, written)
    workload = json.loads(json.dumps(workload_to_dict(content.workload)))  # as a reader will find it
    manifest = Manifest(
        hash=trace_hash(content.steps, content.samples, workload, arrays.values()),
        steps=content.steps,
        samples=content.samples,
        prefix=draft.prefix,
        workload=workload,
        arrays=arrays,
        provenance=content.provenance,
        written_by={
            "spikejoule": version("spikejoule"),
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )
    return manifest_bytes(manifest)


def finish_array(
    draft: drafts.Draft, name: str, shape: Index, grid: Grid, records: Mapping[Index, Record]
) -> StoredArray:
    """Write an array's metadata, and gather the digests of its chunks from the records of its shards."""
    digests = np.empty((*grid.chunks(shape), DIGEST_BYTES), np.uint8)
    for shard, (_, found) in records.items():
        place = tuple(slice(s * per, (s + 1) * per) for s, per in zip(shard, grid.per_shard, strict=True))
        digests[place] = np.frombuffer(bytes.fromhex(found), np.uint8).reshape(digests[place].shape)
    metadata = array_metadata(shape, grid)
    draft.write(f"{name}/zarr.json", metadata)
    sizes = tuple(records[shard][0] for shard in np.ndindex(*grid.shards(shape)))
    return StoredArray(name, shape, grid, digests.tobytes().hex(), sizes, digest(metadata))


def journal_entry(**members: object) -> bytes:
    """A journal file: sealed, so that a torn one shows."""
    return sealed({"format": FORMAT, "version": VERSION, **members})
