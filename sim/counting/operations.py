"""What work a trace is: exact operation counts per layer, step and sample, synaptic and otherwise.

Synaptic operations come from the compiled counter (`layer_counts`). Neuron updates, bias, pooling, gate and scale
operations (`neuron_operations`) are rows of their own, never hidden in the synaptic count. No machine is assumed: which
of these a machine executes is decided in `hardware.execution`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..display import brief, html_table, lines, one_line
from ..errors import InvalidInput
from ..files import write_table
from ..network.workload import INPUT, Layer, Workload
from ..readable_numbers import COUNT, number, percent, with_unit
from .graded import count_units, reads_graded, unit_events
from .layer_counts import Counts, SynapticCounts, count_packed
from .neuron_operations import Row, other_rows

if TYPE_CHECKING:
    import pandas as pd

    from ..trace.spike_trace import SpikeTrace

Tables = dict[tuple[str, str], Counts]  # (what, signal or layer)
EMITTED, UNITS = "emitted", "unit "
COUNTED = ("nonzero_weights", "all_weights", "events")


@dataclass(frozen=True)
class KernelWords:
    """What a layer's events fetch on one machine whose weights lie in `kernel_major` (`fetch_maps`).

    Attributes
    ----------
    made_for : (int, int, int)
        Bits of a weight and of a memory word, and weights added per cycle: other machines need other counts.
    words, cycles : int64 array (steps, samples)
        Of the events.
    all_words, all_cycles : int
        Of every element of the input, whether an event or not.
    """

    made_for: tuple[int, int, int]
    words: Counts
    cycles: Counts
    all_words: int
    all_cycles: int


@dataclass(frozen=True)
class LayerOperations:
    """Operations of one layer and the neurons it feeds.

    Attributes
    ----------
    synaptic : SynapticCounts
        Pairs of a non-zero input and an in-range weight, as int64 ``(steps, samples)`` arrays.
    spikes : int64 array (steps, samples) or None
        Spikes its neurons emitted; None for a readout or a layer that joins another.
    rows : mapping of (part, operation) to int64 array (steps, samples)
        Everything else; parts are neuron, reset, bias, pool, gate, scale and readout, operations add, multiply,
        compare and sigmoid.
    units : SynapticCounts, optional
        ``synaptic`` with each graded input n as n unit events; None if it reads none, or their values are not known.
    kernels : KernelWords, optional
        Only where they were counted for a machine that needs them.
    """

    synaptic: SynapticCounts
    spikes: Counts | None
    rows: Mapping[Row, Counts]
    units: SynapticCounts | None = None
    kernels: KernelWords | None = None

    def __repr__(self) -> str:
        return brief(self)


@dataclass(frozen=True)
class OperationCounts:
    """Exact operation counts of one trace; see `count`.

    Attributes
    ----------
    workload : Workload
    trace_hash : str
    steps, samples : int
    layers : mapping of layer name to LayerOperations
    input_events : int64 array (steps, samples)
        Non-zero elements of the network's input.
    accuracy : float or None
        Share of samples whose prediction equals the label, 0..1; None where the trace holds no labels or predictions.
    provenance : mapping
        What the trace says of its origin: run, variant, seed, data set, versions.
    unit_events : mapping of signal to int64 array (steps, samples)
        Sums of the values of every graded signal; none where they are not known.
    """

    workload: Workload
    trace_hash: str
    steps: int
    samples: int
    layers: Mapping[str, LayerOperations]
    input_events: Counts
    accuracy: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    unit_events: Mapping[str, Counts] = field(default_factory=dict)

    @property
    def synaptic_operations(self) -> float:
        """SOPs per inference, mean over samples: pairs of an input event and an in-range weight, zero ones included.

        Products with an analog input are no synaptic operations; they are in the layer's own count.
        """
        driven = [layer.name for layer in self.workload.layers if layer.weights and layer.input_kind != "analog"]
        return sum(int(self.layers[name].synaptic.all_weights.sum()) for name in driven) / self.samples

    def firing_rate(self, layer: str | None = None) -> float:
        """Spikes per neuron and step, of one layer or (None) of all spiking neurons of the network."""
        spikes = neurons = 0
        for name, operations in self.layers.items():
            if operations.spikes is not None and layer in (None, name):
                spikes += int(operations.spikes.sum())
                neurons += self.workload.layer(name).neurons
        if neurons == 0:
            raise InvalidInput(f"firing rate: no spiking neurons in layer {layer!r} of {self.workload.name!r}")
        return spikes / (neurons * self.steps * self.samples)

    def __repr__(self) -> str:
        return lines(
            f"OperationCounts of {self.workload.name}: {self.steps} steps, {self.samples:,} samples, "
            f"{len(self.layers)} layers",
            f"synaptic operations  {with_unit(self.synaptic_operations, COUNT)} per inference",
            f"firing rate          {percent(self._rate())} of neurons in a step",
            f"accuracy             {percent(self.accuracy)}",
        )

    def _repr_html_(self) -> str:
        rows = []
        for name, own in self.layers.items():
            pairs, zero_free = own.synaptic.all_weights, own.synaptic.nonzero_weights
            rows.append(
                {
                    "layer": name,
                    "operation": self.workload.layer(name).operation,
                    "per inference": number(pairs.sum() / self.samples),
                    "of non-zero weights": number(zero_free.sum() / self.samples),
                    "dense": number(own.synaptic.dense * self.steps),
                    "firing rate": "" if own.spikes is None else percent(self.firing_rate(name)),
                }
            )
        return html_table(one_line(self), rows)

    def _rate(self) -> float | None:
        spiking = any(layer.spikes is not None for layer in self.layers.values())
        return self.firing_rate() if spiking else None

    def to_frame(self, *, by_sample: bool = True) -> pd.DataFrame:
        """Tidy table ``layer, step, sample, part, operation, count``; without ``by_sample`` the sum over samples."""
        import pandas as pd

        frames = []
        for layer, part, operation, counts in self._rows():
            steps, samples = np.indices(counts.shape) if by_sample else (np.arange(self.steps)[:, None], None)
            columns: dict[str, object] = {"layer": layer, "step": steps.ravel()}
            if samples is not None:
                columns["sample"] = samples.ravel()
            values = counts if by_sample else counts.sum(axis=1, dtype=np.int64)
            columns |= {"part": part, "operation": operation, "count": values.ravel()}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    def _rows(self) -> Iterator[tuple[str, str, str, Counts]]:
        for name, layer in self.layers.items():
            synaptic = layer.synaptic
            yield name, "synapse", self.workload.layer(name).operation, synaptic.all_weights
            yield name, "pairs", "nonzero_weights", synaptic.nonzero_weights
            yield name, "pairs", "all_weights", synaptic.all_weights
            yield name, "pairs", "dense", np.full_like(synaptic.all_weights, synaptic.dense)
            for (part, operation), counts in layer.rows.items():
                yield name, part, operation, counts


def count(trace: SpikeTrace, *, executor: Executor | None = None) -> OperationCounts:
    """Count every operation of a recorded trace, stored chunk by stored chunk.

    Parameters
    ----------
    trace : SpikeTrace
    executor : concurrent.futures.Executor, optional
        Counts ranges of samples at the same time: a process pool, a thread pool, or the ``get_executor()`` of a dask
        client. Workers in other processes open the trace again, so its path must mean the same to them.

    Returns
    -------
    OperationCounts
        int64 throughout; batch size, chunking and workers never change a figure.

    Raises
    ------
    InvalidInput
        When a chunk of the trace does not match its manifest, or the trace holds no sample.

    Notes
    -----
    Memory stays within a few stored chunks beside the counts themselves, whatever the size of the trace.
    """
    if trace.samples == 0:
        raise InvalidInput(f"trace {trace.path}: holds no sample, so there is no inference to count; record some data")
    if executor is None:
        parts = [_count_samples(trace, samples) for samples in trace.chunks()]
    else:
        ranges = _ranges(list(trace.chunks()))
        parts = list(executor.map(partial(_count_stored, trace.path, trace.hash, trace.memory), ranges))
    tables = _joined(parts)
    workload, shape = trace.workload, (trace.steps, trace.samples)
    layers = {}
    for layer in workload.layers:
        spikes = tables.get((EMITTED, layer.name))
        units = _synaptic(tables, layer, UNITS) if reads_graded(layer) else None
        rows = other_rows(layer, spikes, shape)
        layers[layer.name] = LayerOperations(_synaptic(tables, layer), spikes, rows, units)
    sums = {name: values for (what, name), values in tables.items() if what == UNITS + EMITTED}
    return OperationCounts(
        workload, trace.hash, *shape, layers, tables[EMITTED, INPUT], trace.accuracy, trace.provenance, sums
    )


def write_counts(counts: OperationCounts, path: str | Path) -> Path:
    """Write the tidy table of operation counts, summed over samples, as Parquet or (by its ending) CSV."""
    return write_table(counts.to_frame(by_sample=False), path)


def _ranges(chunks: list[slice], most: int = 64) -> list[tuple[int, int]]:
    """Sample ranges of whole chunks, few enough that each is worth a task."""
    per_task = -(-len(chunks) // most)
    return [
        (chunks[first].start, chunks[min(first + per_task, len(chunks)) - 1].stop)
        for first in range(0, len(chunks), per_task)
    ]


def _count_stored(path: str | Path, trace_hash: str, memory: int, samples: tuple[int, int]) -> Tables:
    """Count a range of samples in a worker, which may be another process."""
    from ..trace.spike_trace import SpikeTrace

    trace = SpikeTrace.open(path, memory=memory)
    if trace.hash != trace_hash:
        raise InvalidInput(f"trace {path}: changed while it was counted; count it again")
    inside = [part for part in trace.chunks() if samples[0] <= part.start and part.stop <= samples[1]]
    return _joined([_count_samples(trace, part) for part in inside])


def _joined(parts: Sequence[Tables]) -> Tables:
    """The tables of consecutive samples as one."""
    return {key: np.concatenate([part[key] for part in parts], axis=1) for key in parts[0]}


def _synaptic(tables: Tables, layer: Layer, reading: str = "") -> SynapticCounts:
    """A layer's counts, value by value or (`UNITS`) unit event by unit event."""
    return SynapticCounts(**{name: tables[reading + name, layer.name] for name in COUNTED}, dense=layer.dense)


def _count_samples(trace: SpikeTrace, samples: slice) -> Tables:
    """Counts of one range of samples, read in blocks of steps where a sample is large."""
    shape = (trace.steps, samples.stop - samples.start)
    tables: Tables = {}
    for signal, (_, kind) in trace.workload.signals.items():
        tables[EMITTED, signal] = emitted = np.zeros(shape, np.int64)
        for steps in _blocks_of_steps(trace, signal, samples):
            words = trace.packed(signal, samples, steps)
            emitted[steps] = np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
        if kind == "graded":
            tables[UNITS + EMITTED, signal] = sums = np.zeros(shape, np.int64)
            for steps in _blocks_of_steps(trace, signal, samples):
                sums[steps] = unit_events(trace.each_plane(signal, samples, steps))
    for layer in trace.workload.layers:
        for name in COUNTED:
            tables[name, layer.name] = np.zeros(shape, np.int64)
        for steps in _blocks_of_steps(trace, layer.sources[0], samples):
            before = min(layer.delay, steps.start)  # a recurrent layer reads the step before
            wanted = slice(steps.start - before, steps.stop)
            part = count_packed(layer, *(trace.packed(signal, samples, wanted) for signal in layer.sources))
            for name in COUNTED:
                tables[name, layer.name][steps] = getattr(part, name)[before:]
        if reads_graded(layer):
            tables |= _count_units(trace, layer, samples)
    return tables


def _count_units(trace: SpikeTrace, layer: Layer, samples: slice) -> Tables:
    """The counts of a layer with every graded input n as n unit events."""
    shape = (trace.steps, samples.stop - samples.start)
    tables: Tables = {(UNITS + name, layer.name): np.zeros(shape, np.int64) for name in COUNTED}
    for steps in _blocks_of_steps(trace, layer.sources[0], samples):
        signals = (
            trace.each_plane(name, samples, steps) if kind == "graded" else [trace.packed(name, samples, steps)]
            for name, _, kind in layer.reads
        )
        part = count_units(layer, *signals)
        for name in COUNTED:
            tables[UNITS + name, layer.name][steps] = getattr(part, name)
    return tables


def _blocks_of_steps(trace: SpikeTrace, signal: str, samples: slice) -> Iterator[slice]:
    return (steps for block, steps in trace.blocks(signal) if block.start == samples.start)
