"""SpikeTrace: the recorded spikes of a network on disk; written once, verified on every read, read in chunks.

Format v1 (docs/formats.md): Zarr v3 arrays of packed spikes and a manifest, written last, with a digest per chunk. Zarr
alone would read a missing file as zeros; here whatever is missing, swapped, truncated or edited is refused.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..display import html_table, lines, one_line, shape_words
from ..errors import InvalidInput
from ..network.fan_out import WORD_BITS, Words, words_per_row
from ..network.workload import Workload
from ..readable_numbers import BYTES, percent, with_unit
from .chunking import DEFAULT_MEMORY, MIB
from .manifest import MANIFEST, Manifest, read_manifest
from .packing import Recorded, unpack, unpack_planes
from .shards import ITEM_BYTES, StoredArray, damaged, digest, read_chunks
from .storage import LocalStore, Store, open_store
from .unfinished import siblings, unfinished

ALL = slice(None)


@dataclass(frozen=True, eq=False)
class SpikeTrace:
    """A whole trace, opened for reading with `SpikeTrace.open`. Holds no spikes: each read fetches and verifies them.

    Attributes
    ----------
    path : str or Path
        Its folder or URL.
    workload : Workload
        The network that was recorded, zero-weight maps included.
    steps, samples : int
    labels, predictions : int64 array (samples,) or None
    hash : str
        Names the recorded content: arrays and workload, not times, versions or provenance.
    provenance : mapping
        Where the spikes come from, as the writer was told.
    memory : int
        Largest result of one read, in bytes; larger reads are refused with a hint.
    """

    path: str | Path
    workload: Workload
    steps: int
    samples: int
    labels: NDArray[np.int64] | None
    predictions: NDArray[np.int64] | None
    hash: str
    provenance: Mapping[str, object]
    memory: int = DEFAULT_MEMORY
    manifest: Manifest = field(repr=False, kw_only=True)
    store: Store = field(repr=False, kw_only=True)

    def __repr__(self) -> str:
        signals = [f"{name} ({shape_words(shape)} {kind})" for name, (shape, kind) in self.workload.signals.items()]
        return lines(
            f"SpikeTrace of {self.workload.name}: {self.steps} steps, {self.samples:,} samples, hash {self.hash[:12]}",
            f"signals   {', '.join(signals)}",
            f"accuracy  {percent(self.accuracy)}",
            f"at        {self.path}",
        )

    def _repr_html_(self) -> str:
        rows = []
        for name, (shape, kind) in self.workload.signals.items():
            packed = with_unit(self._array(name).nbytes, BYTES)
            rows.append({"signal": name, "kind": kind, "shape": shape_words(shape), "packed": packed})
        return html_table(one_line(self), rows)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, memory: int = DEFAULT_MEMORY) -> SpikeTrace:
        """Open a trace; verifies manifest and metadata, that every file is there at its size, labels and masks.

        Raises
        ------
        InvalidInput
            If it is missing, unfinished, edited, truncated, foreign or of a newer version.

        Notes
        -----
        Spikes are verified when they are read. `verify` reads them all.
        """
        store = open_store(path)
        size = store.sizes([MANIFEST])[0]
        if size is None:
            raise _no_trace(store)
        manifest, workload = read_manifest(store, size)
        _check_files(store, manifest)
        arrays = manifest.arrays
        masks = [name for name in arrays if name.startswith("nonzero/")]
        if sum(arrays[name].nbytes * 9 for name in masks) + 16 * manifest.samples > memory:
            raise InvalidInput(
                f"trace {store}: labels and zero-weight maps exceed the {memory // MIB} MiB memory setting"
            )
        if masks:
            workload = _with_masks(store, manifest, workload, masks)
        labels, predictions = (
            _read(store, manifest, arrays[name], [slice(0, manifest.samples)]) if name in arrays else None
            for name in ("labels", "predictions")
        )
        return cls(
            path=store.root if isinstance(store, LocalStore) else store.url,
            workload=workload,
            steps=manifest.steps,
            samples=manifest.samples,
            labels=labels,
            predictions=predictions,
            hash=manifest.hash,
            provenance=manifest.provenance,
            memory=memory,
            manifest=manifest,
            store=store,
        )

    @property
    def accuracy(self) -> float | None:
        """Share of samples whose prediction equals the label, 0..1; None where either was not recorded."""
        if self.labels is None or self.predictions is None:
            return None
        return float(np.mean(self.labels == self.predictions))

    def packed(self, signal: str, samples: slice = ALL, steps: slice = ALL) -> Words:
        """Non-zero bits of a signal: uint64 ``(steps, n, words)``, bit 0 first, rows padded with zeros.

        Parameters
        ----------
        signal : str
            ``"input"`` or a layer that emits spikes.
        samples, steps : slice
            Without a stride; all by default.

        Raises
        ------
        InvalidInput
            If the signal is unknown, the result exceeds the memory setting, or what is stored was damaged.
        """
        array = self._array(signal)
        if self.workload.signals[signal][1] != "graded":
            return self._planes(array, samples, steps, slice(0, 1))[0]
        result = self._planes(array, samples, steps, slice(0, 1))[0]
        for plane in range(1, array.shape[0]):
            result |= self._planes(array, samples, steps, slice(plane, plane + 1))[0]
        return result

    def planes(self, signal: str, samples: slice = ALL, steps: slice = ALL) -> Words:
        """All stored planes of a signal: uint64 ``(planes, steps, n, words)``.

        signed_spike: plane 0 non-zero, plane 1 negative. graded: the bits of the value, least significant first.
        spike and analog: the one plane of non-zero bits.
        """
        return self._planes(self._array(signal), samples, steps, ALL)

    def each_plane(self, signal: str, samples: slice = ALL, steps: slice = ALL) -> Iterator[Words]:
        """The planes of `planes` one after the other, uint64 ``(steps, n, words)``: one in memory at a time."""
        array = self._array(signal)
        for plane in range(array.shape[0] if len(array.shape) == 4 else 1):
            yield self._planes(array, samples, steps, slice(plane, plane + 1))[0]

    def read(self, signal: str, samples: slice = ALL, steps: slice = ALL) -> Recorded:
        """Dense values ``(steps, n, *shape)``: uint8 spikes, int8 signed spikes, uint8 or uint16 graded values.

        Of an analog signal a trace keeps only where it is not zero: a bool array.
        """
        shape, kind = self.workload.signals[self._array(signal).name.partition("/")[2]]
        rows = len(range(*steps.indices(self.steps))) * len(range(*samples.indices(self.samples)))
        self._check_memory(rows * words_per_row(math.prod(shape)) * WORD_BITS * 2, signal)
        return unpack_planes(self.planes(signal, samples, steps), shape, kind)

    def chunks(self) -> Iterator[slice]:
        """Sample ranges of the stored chunks, in order: the cheapest pieces to read one after the other."""
        size = self.manifest.arrays["signals/input"].grid.chunk[-2]
        for start in range(0, self.samples, size):
            yield slice(start, min(start + size, self.samples))

    def blocks(self, signal: str) -> Iterator[tuple[slice, slice]]:
        """(samples, steps) of every stored chunk of a signal: what to read where one sample alone is large."""
        size = self._array(signal).grid.chunk[-3]
        for samples in self.chunks():
            for start in range(0, self.steps, size):
                yield samples, slice(start, min(start + size, self.steps))

    def _array(self, signal: str) -> StoredArray:
        array = self.manifest.arrays.get(f"signals/{signal}")
        if array is None:
            known = ", ".join(self.workload.signals)
            raise InvalidInput(f"trace {self.store}: no signal {signal!r} was recorded; there are {known}")
        return array

    def _planes(self, array: StoredArray, samples: slice, steps: slice, planes: slice) -> Words:
        region = [
            _bounds(steps, self.steps, "steps"),
            _bounds(samples, self.samples, "samples"),
            slice(0, array.shape[-1]),
        ]
        if len(array.shape) == 4:
            region.insert(0, _bounds(planes, array.shape[0], "planes"))
        size = ITEM_BYTES
        for part in region:
            size *= part.stop - part.start
        self._check_memory(size, array.name)
        words = _read(self.store, self.manifest, array, region)
        used = math.prod(self.workload.signals[array.name.partition("/")[2]][0]) % WORD_BITS
        if used and (words[..., -1] >> np.uint64(used)).any():
            raise damaged(self.store, array.name, "it has spikes beyond the last neuron")
        return words if words.ndim == 4 else words[None]

    def _check_memory(self, size: int, what: str) -> None:
        if size > self.memory:
            raise InvalidInput(
                f"trace {self.store}: reading this much of {what} takes {-(-size // MIB)} MiB, the memory setting "
                f"allows {self.memory // MIB}; read by chunks() or blocks(), or open the trace with a larger memory"
            )


def _bounds(part: slice, size: int, what: str) -> slice:
    start, stop, stride = part.indices(size)
    if stride != 1:
        raise InvalidInput(f"{what} are read as a range, not with a stride of {stride}")
    return slice(start, max(start, stop))


def _read(store: Store, manifest: Manifest, array: StoredArray, region: list[slice]) -> NDArray[Any]:
    """A region of an array, from its verified chunks."""
    result = np.empty([part.stop - part.start for part in region], array.grid.dtype)
    for chunk, content in read_chunks(store, manifest.prefix, array, region):
        source, target = [], []
        for index, size, part in zip(chunk, array.grid.chunk, region, strict=True):
            start, stop = max(index * size, part.start), min((index + 1) * size, part.stop)
            source.append(slice(start - index * size, stop - index * size))
            target.append(slice(start - part.start, stop - part.start))
        result[tuple(target)] = content[tuple(source)]
    return result


def _check_files(store: Store, manifest: Manifest) -> None:
    """Refuse a trace with a missing or truncated file, or edited Zarr metadata."""
    metadata = [f"{manifest.prefix}{name}/zarr.json" for name in manifest.arrays]
    shards = [manifest.prefix + key for array in manifest.arrays.values() for key in array.shard_keys()]
    expected = [size for array in manifest.arrays.values() for size in array.shard_bytes]
    sizes = store.sizes([*metadata, *shards])
    for key, size, array in zip(metadata, sizes, manifest.arrays.values(), strict=False):
        if size is None:
            raise damaged(store, key, "it is missing")
        if size > 2**16 or digest(store.read(key, 0, size)) != array.metadata:
            raise damaged(store, key, "it differs from its digest in the manifest")
    for key, size, wanted in zip(shards, sizes[len(metadata) :], expected, strict=True):
        if size is None:
            raise damaged(store, key, "it is missing")
        if size != wanted:
            raise damaged(store, key, f"it has {size} bytes, the manifest says {wanted}")


def _with_masks(store: Store, manifest: Manifest, workload: Workload, masks: list[str]) -> Workload:
    layers = []
    for layer in workload.layers:
        name = f"nonzero/{layer.name}"
        if name in masks:
            array = manifest.arrays[name]
            words = _read(store, manifest, array, [slice(0, array.shape[0])])
            layer = dataclasses.replace(layer, nonzero=unpack(words, layer.weight_shape))
        layers.append(layer)
    return dataclasses.replace(workload, layers=tuple(layers))


def _no_trace(store: Store) -> InvalidInput:
    """Why there is nothing to open, and what can be done about it."""
    where = f"trace {store}"
    left = unfinished(store.root if isinstance(store, LocalStore) else store.url)
    if left:
        fate = "died" if isinstance(store, LocalStore) else "died or is still at work"  # a URL has no locks
        return InvalidInput(
            f"{where}: unfinished, its writer {fate}: {left[0].samples} whole samples lie in {left[0].draft}; "
            f"record it again, or make a trace of these samples with spikejoule.sim.trace.salvage.salvage"
        )
    if store.names():
        return InvalidInput(
            f"{where}: it has no {MANIFEST}: no trace, damaged, or still being written; record it again"
        )
    if isinstance(store, LocalStore):
        if replaced := siblings(store.root, "old"):
            return InvalidInput(
                f"{where}: its replacement was interrupted; the earlier trace is {replaced[0]}: rename it"
            )
        if siblings(store.root, "partial"):
            return InvalidInput(f"{where}: it is being written; wait until its writer is done")
    return InvalidInput(f"{where}: there is none; check the path or record it")
