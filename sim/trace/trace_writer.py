"""Writing a trace: spikes in, packed, verified, compressed and digested chunk by chunk; committed by its manifest."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..display import lines
from ..errors import InvalidInput
from ..network.fan_out import Words
from ..network.workload import Workload, workload_to_dict
from . import unfinished as drafts
from .chunking import DEFAULT_MEMORY, MIB, Chunking, plan_chunking, shrink
from .manifest import MAX_LAYERS, MAX_STEPS, array_entry
from .packing import pack_planes
from .shard_writer import Content, ShardWriter, finish, journal_entry
from .shards import Grid

MAX_PROVENANCE_BYTES = 2**20


class TraceWriter:
    """Writes one trace, batch by batch; a context manager that commits on a clean exit and else leaves nothing.

    Parameters
    ----------
    path : str or path
        Folder of the trace, or an fsspec URL. It appears only when whole.
    workload : Workload
        Declares the signals to give, their shapes and kinds.
    steps : int
        Time steps of every sample.
    provenance : mapping, optional
        JSON data on where the spikes come from; not part of the trace hash.
    overwrite : bool
        Replace a trace of that name, once the new one is whole.
    chunk_samples : int, optional
        Samples in a chunk. By default it follows from workload and steps; another value is another hash.
    memory : int
        Bytes that writing may take beside the arrays given to `append`.

    Raises
    ------
    InvalidInput
        If the place is taken or cannot be written, or the memory does not suffice.

    Notes
    -----
    How samples are batched does not matter: chunks, digests and hash depend on the samples and their order alone.
    One writer at a time: a second one writes a draft of its own, and the last to finish wins if it may overwrite.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        workload: Workload,
        steps: int,
        *,
        provenance: Mapping[str, object] | None = None,
        overwrite: bool = False,
        chunk_samples: int | None = None,
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        where = f"cannot write trace {os.fspath(path)}"
        if not _is_count(steps, MAX_STEPS):
            raise InvalidInput(f"{where}: steps is {steps!r}; it must be an integer from 1")
        if chunk_samples is not None and not _is_count(chunk_samples, 2**20):
            raise InvalidInput(f"{where}: chunk_samples is {chunk_samples!r}; it must be an integer from 1 to {2**20}")
        _check_layers(workload, where)
        self._provenance = _json_copy(provenance or {}, f"{where}: provenance")
        self.workload, self.steps = workload, int(steps)
        self._chunking = plan_chunking(workload, self.steps, chunk_samples)
        _check_memory(self._chunking, memory, where)
        self.samples = 0
        self._signals = workload.signals
        self._planes = {name: 2 if kind == "signed_spike" else 1 for name, (_, kind) in self._signals.items()}
        # packed samples that do not fill a chunk yet, (planes, steps, samples, words)
        self._pending: dict[str, Words] = {}
        self._labels: dict[str, NDArray[np.int64]] | None = None  # of the current chunk; None before the first batch
        self._chunk = 0  # number of the chunk being filled
        self._done: dict[str, int] = dict.fromkeys(self._signals, 0)  # step chunks of it that are encoded
        self._finished = False
        self._draft = drafts.begin(path, overwrite)
        try:
            self._shards = ShardWriter(self._draft, self.steps)
            self._masks = self._shards.write_masks(workload)
            self._write_header(chunk_samples)
        except BaseException:
            self.abort()
            raise

    def __repr__(self) -> str:
        state = "closed" if self._finished else "open"
        return lines(f"TraceWriter, {state}: {self.samples:,} samples of {self.steps} steps", f"to {self._draft.final}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        elif not self._finished:
            self.close()

    # Taking samples in
    def append(
        self,
        signals: Mapping[str, ArrayLike],
        labels: ArrayLike | None = None,
        predictions: ArrayLike | None = None,
    ) -> None:
        """Add samples.

        Parameters
        ----------
        signals : mapping of signal to array (steps, batch, *shape)
            Every signal of the workload, of any real dtype; each value is verified against the declared kind.
        labels, predictions : integer array (batch,), optional
            In every batch or in none.

        Raises
        ------
        InvalidInput
            If a signal is missing, of another shape or contradicts its kind, or the disk is full. The writer is then
            at its end, and what it wrote removed.
        """
        if self._finished:
            raise InvalidInput(f"trace {self._draft.final}: its writer is closed or has failed; open a new one")
        try:
            self._append(signals, {"labels": labels, "predictions": predictions})
        except BaseException:
            self.abort()
            raise

    def _append(self, signals: Mapping[str, ArrayLike], marks: Mapping[str, ArrayLike | None]) -> None:
        arrays, batch = self._check_signals(signals)
        given = self._check_labels(marks, batch)
        size = self._chunking.chunk_samples
        start = 0
        while start < batch:
            filled = self.samples - self._chunk * size
            stop = min(batch, start + size - filled)
            for name, values in given.items():
                assert self._labels is not None
                self._labels[name][filled : filled + stop - start] = values[start:stop]
            for name, array in arrays.items():
                self._take(name, array[:, start:stop], filled)
            self.samples += stop - start
            if filled + stop - start == size:
                self._end_chunk()
            start = stop

    def _check_signals(self, signals: Mapping[str, ArrayLike]) -> tuple[dict[str, NDArray[np.generic]], int]:
        missing, foreign = set(self._signals) - set(signals), set(signals) - set(self._signals)
        if missing or foreign:
            raise InvalidInput(
                f"trace {self._draft.final}: signals {sorted(missing)} are missing and {sorted(foreign)} unknown; "
                f"the workload has {', '.join(self._signals)}"
            )
        arrays = {name: np.asarray(signals[name]) for name in self._signals}
        batch = arrays["input"].shape[1] if arrays["input"].ndim > 1 else 0
        for name, (shape, _) in self._signals.items():
            wanted = (self.steps, batch, *shape)
            if arrays[name].shape != wanted:
                raise InvalidInput(
                    f"trace {self._draft.final}: signal {name!r} has shape {arrays[name].shape}; it must be {wanted}, "
                    f"(steps, batch, *shape)"
                )
        return arrays, batch

    def _check_labels(self, given: Mapping[str, ArrayLike | None], batch: int) -> dict[str, NDArray[np.int64]]:
        arrays = {name: np.asarray(values) for name, values in given.items() if values is not None}
        if self._labels is None:
            self._labels = {name: np.zeros(self._chunking.chunk_samples, np.int64) for name in arrays}
        if set(arrays) != set(self._labels):
            raise InvalidInput(
                f"trace {self._draft.final}: this batch brings {sorted(arrays)}, earlier ones {sorted(self._labels)}; "
                f"give labels and predictions with every batch or with none"
            )
        for name, values in arrays.items():
            if values.shape != (batch,) or values.dtype.kind not in "iu":
                raise InvalidInput(
                    f"trace {self._draft.final}: {name} are {values.dtype} {values.shape}; give integers of ({batch},)"
                )
        return {name: values.astype(np.int64) for name, values in arrays.items()}

    def _take(self, name: str, values: NDArray[np.generic], filled: int) -> None:
        """Pack the samples of one signal that go into the current chunk, and encode the chunk if they fill it."""
        size, kind = self._chunking.chunk_samples, self._signals[name][1]
        chunk_steps = self._chunking.grids[name].chunk[-3]
        for first in range(0, self.steps, chunk_steps):
            block = values[first : first + chunk_steps]
            words = pack_planes(block, kind, f"trace {self._draft.final}: signal {name!r}", (first, self.samples))
            if block.shape[1] == size:
                self._encode(name, first // chunk_steps, words)
            else:
                pending = self._pending_planes(name, len(words))
                pending[: len(words), first : first + len(block), filled : filled + block.shape[1]] = words

    def _pending_planes(self, name: str, planes: int) -> Words:
        """Room for the samples of the current chunk, with at least this many planes."""
        shape = (self.steps, self._chunking.chunk_samples, self._chunking.grids[name].chunk[-1])
        have = self._pending.get(name)
        if have is None or len(have) < planes:
            room = np.zeros((planes, *shape), np.uint64)
            if have is not None:
                room[: len(have)] = have
            self._pending[name] = room
        return self._pending[name]

    # Chunks and shards
    def _end_chunk(self) -> None:
        """All samples of the current chunk are here: encode what is pending; end the row of shards if it is full."""
        size = self._chunking.chunk_samples
        for name, words in self._pending.items():
            chunk_steps = self._chunking.grids[name].chunk[-3]
            for first in range(0, self.steps, chunk_steps):
                self._encode(name, first // chunk_steps, words[:, first : first + chunk_steps, :size])
        for name, values in (self._labels or {}).items():
            self._shards.put(name, self._chunking.labels, (self._chunk,), values[:size])
            values[:] = 0
        self._pending.clear()
        self._done = dict.fromkeys(self._signals, 0)
        self._chunk += 1
        if self._chunk * size % self._chunking.shard_samples == 0:
            self._shards.end_row(self.samples)

    def _encode(self, name: str, step_chunk: int, words: Words) -> None:
        """Encode the chunks of one signal at one chunk of steps: one for every plane known so far."""
        grid, planes = self._chunking.grids[name], len(words)
        if planes > self._planes[name]:
            self._grow(name, planes)
        for plane in range(self._planes[name]):
            if plane < planes and words.shape[1:] == grid.chunk[-3:]:
                chunk = words[plane]
            else:
                chunk = np.zeros(grid.chunk[-3:], np.uint64)
                if plane < planes:
                    chunk[: words.shape[1], : words.shape[2]] = words[plane]
            self._put_plane(name, grid, plane, step_chunk, self._chunk, chunk)
        self._done[name] = step_chunk + 1

    def _grow(self, name: str, planes: int) -> None:
        """A larger graded value than before: fill the new planes of all earlier chunks with zeros."""
        grid = self._chunking.grids[name]
        zeros = np.zeros(grid.chunk[-3:], np.uint64)
        step_chunks = -(-self.steps // grid.chunk[-3])
        for plane in range(self._planes[name], planes):
            for chunk in range(self._chunk + 1):
                for step_chunk in range(step_chunks if chunk < self._chunk else self._done[name]):
                    self._put_plane(name, grid, plane, step_chunk, chunk, zeros)
        self._planes[name] = planes

    def _put_plane(self, name: str, grid: Grid, plane: int, step_chunk: int, chunk: int, words: Words) -> None:
        index = (plane, step_chunk, chunk, 0) if len(grid.chunk) == 4 else (step_chunk, chunk, 0)
        self._shards.put(f"signals/{name}", grid, index, words.reshape(grid.chunk))

    # Beginning and end
    def _write_header(self, chunk_samples: int | None) -> None:
        header = journal_entry(
            samples=0,
            steps=self.steps,
            chunk_samples=chunk_samples,
            workload=workload_to_dict(self.workload),
            provenance=self._provenance,
            masks={name: array_entry(mask) for name, mask in self._masks.items()},
        )
        self._draft.write(drafts.HEADER, header)

    def close(self) -> None:
        """Commit the trace; afterwards it is at its path, whole.

        Raises
        ------
        InvalidInput
            If no sample was appended, an append failed, or the place cannot be written.
        """
        if self._finished:
            raise InvalidInput(f"trace {self._draft.final}: its writer is closed or has failed; nothing was written")
        self._finished = True
        manifest = None
        try:
            if self.samples == 0:
                raise InvalidInput(
                    f"trace {self._draft.final}: no sample was recorded; give a data set that is not empty"
                )
            size = self._chunking.chunk_samples
            if self.samples < size:
                self._chunking = shrink(self._chunking, self.samples)
            if self.samples % size:
                self._end_chunk()
            self._shards.flush()
            manifest = finish(self._draft, self._content(), self._shards.records)
            drafts.commit(self._draft, manifest)
        except BaseException:
            drafts.discard(self._draft, manifest)
            raise

    def _content(self) -> Content:
        return Content(self.workload, self.steps, self.samples, self._chunking, self._masks, self._provenance)

    def abort(self) -> None:
        """Remove what was written; a trace that was there before stays."""
        if not self._finished:
            self._finished = True
            drafts.discard(self._draft)


def _check_layers(workload: Workload, where: str) -> None:
    """Refuse a workload whose signals cannot lie side by side as folders of one trace."""
    if len(workload.layers) > MAX_LAYERS:
        raise InvalidInput(f"{where}: {len(workload.layers)} layers; at most {MAX_LAYERS} fit one trace")
    if "zarr.json" in workload.signals:
        raise InvalidInput(f"{where}: a layer is called zarr.json, as Zarr's own files are; rename it")
    folded: dict[str, list[str]] = defaultdict(list)
    for name in workload.signals:
        folded[name.casefold()].append(name)
    twins = [names for names in folded.values() if len(names) > 1]
    if twins:
        raise InvalidInput(f"{where}: {twins[0]} differ in case alone, which some file systems cannot; rename one")


def _check_memory(chunking: Chunking, memory: int, where: str) -> None:
    if chunking.writer_bytes > memory:
        raise InvalidInput(
            f"{where}: writing it takes {-(-chunking.writer_bytes // MIB)} MiB, the memory setting allows "
            f"{memory // MIB}; raise it"
        )


def _json_copy(data: Mapping[str, object], where: str) -> dict[str, object]:
    try:
        text = json.dumps(dict(data), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{where} must be JSON data: {error}") from error
    if len(text) > MAX_PROVENANCE_BYTES:
        raise InvalidInput(f"{where} takes {len(text)} bytes; at most {MAX_PROVENANCE_BYTES} are kept")
    return dict(json.loads(text))


def _is_count(value: object, limit: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= int(value) <= limit
