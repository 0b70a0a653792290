"""Looking at a trace: what it holds, whether every byte of it is right, and its first samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidInput
from .manifest import VERSION
from .shards import read_chunks
from .spike_trace import SpikeTrace


@dataclass(frozen=True)
class SignalInfo:
    """One recorded signal.

    Attributes
    ----------
    name, kind : str
    shape : tuple of int
        Of one sample and step.
    planes : int
        Stored bit planes.
    packed_bytes, stored_bytes : int
        Decompressed and on disk.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    planes: int
    packed_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class TraceInfo:
    """What a trace holds, from its manifest alone."""

    path: str
    version: int
    hash: str
    workload: str
    layers: int
    steps: int
    samples: int
    signals: tuple[SignalInfo, ...]
    zero_weight_maps: tuple[str, ...]
    has_labels: bool
    has_predictions: bool
    accuracy: float | None
    chunk_samples: int
    shard_samples: int
    files: int
    stored_bytes: int
    provenance: Mapping[str, object]
    written_by: Mapping[str, object]


@dataclass(frozen=True)
class Verification:
    """Result of `verify`: everything was read and is right."""

    path: str
    hash: str
    samples: int
    chunks: int
    bytes: int


@dataclass(frozen=True)
class SampleSummary:
    """One sample: its label and prediction, and the non-zero values of each signal over all steps."""

    sample: int
    label: int | None
    prediction: int | None
    events: Mapping[str, int]


def info(path: str | os.PathLike[str]) -> TraceInfo:
    """What the trace at this path or URL holds.

    Raises
    ------
    InvalidInput
        If there is no whole trace; the message says how many samples of an unfinished one are.
    """
    trace = SpikeTrace.open(path)
    arrays = trace.manifest.arrays
    grid = arrays["signals/input"].grid
    return TraceInfo(
        path=str(trace.path),
        version=VERSION,
        hash=trace.hash,
        workload=trace.workload.name,
        layers=len(trace.workload.layers),
        steps=trace.steps,
        samples=trace.samples,
        signals=_signals(trace),
        zero_weight_maps=tuple(name.partition("/")[2] for name in arrays if name.startswith("nonzero/")),
        has_labels=trace.labels is not None,
        has_predictions=trace.predictions is not None,
        accuracy=trace.accuracy,
        chunk_samples=grid.chunk[-2],
        shard_samples=grid.shard[-2],
        files=sum(len(array.shard_bytes) for array in arrays.values()),
        stored_bytes=sum(sum(array.shard_bytes) for array in arrays.values()),
        provenance=trace.provenance,
        written_by=trace.manifest.written_by,
    )


def _signals(trace: SpikeTrace) -> tuple[SignalInfo, ...]:
    found = []
    for name, (shape, kind) in trace.workload.signals.items():
        array = trace.manifest.arrays[f"signals/{name}"]
        planes = (1, *array.shape)[-4]  # spike and analog signals have no axis of planes
        found.append(SignalInfo(name, kind, shape, planes, array.nbytes, sum(array.shard_bytes)))
    return tuple(found)


def verify(path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None) -> Verification:
    """Read every chunk of a trace and check it against its digest.

    Parameters
    ----------
    progress : callable, optional
        Told ``(bytes read, bytes in all)`` after each chunk.

    Raises
    ------
    InvalidInput
        At the first thing that is not as it was written.
    """
    trace = SpikeTrace.open(path)
    arrays = trace.manifest.arrays
    total = sum(len(array.digests) // 32 * array.grid.chunk_bytes for array in arrays.values())
    chunks = size = 0
    for array in arrays.values():
        whole = [slice(0, length) for length in array.shape]
        for _, content in read_chunks(trace.store, trace.manifest.prefix, array, whole):
            chunks, size = chunks + 1, size + content.nbytes
            if progress is not None:
                progress(size, total)
    for name, (_, kind) in trace.workload.signals.items():
        if kind == "signed_spike":
            _check_signs(trace, name)
    return Verification(str(trace.path), trace.hash, trace.samples, chunks, size)


def _check_signs(trace: SpikeTrace, name: str) -> None:
    for samples, steps in trace.blocks(name):
        nonzero, negative = trace.planes(name, samples, steps)
        if (negative & ~nonzero).any():
            raise InvalidInput(f"trace {trace.path}: signal {name!r} has negative zeros; no writer of ours leaves them")


def head(path: str | os.PathLike[str], samples: int = 5) -> list[SampleSummary]:
    """The first samples of a trace, read and verified."""
    if samples < 1:
        raise InvalidInput(f"head of trace {os.fspath(path)}: {samples} samples; give at least 1")
    trace = SpikeTrace.open(path)
    count = min(samples, trace.samples)
    events = {name: np.zeros(count, np.int64) for name in trace.workload.signals}
    for name, total in events.items():
        for chosen, steps in trace.blocks(name):
            part = slice(chosen.start, min(chosen.stop, count))
            if part.start >= count:
                break
            total[part] += np.bitwise_count(trace.packed(name, part, steps)).sum(axis=(0, 2), dtype=np.int64)
    return [
        SampleSummary(
            index,
            None if trace.labels is None else int(trace.labels[index]),
            None if trace.predictions is None else int(trace.predictions[index]),
            {name: int(total[index]) for name, total in events.items()},
        )
        for index in range(count)
    ]
