"""What a hardware model needs beyond operation counts: touched neurons, row fetches, core traffic, spike statistics.

`layer_statistics` gathers them from the packed chunk that the counter reads, so that one pass over a trace gives all;
`merge_statistics` joins the chunks. Figures are exact integers and depend on neither batch size nor chunking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..network.fan_out import Words, decompose, words_per_row
from ..network.layers import Layer
from .event_kernels import core_fan_out, spike_times, touched_by_groups, touched_through_weights
from .event_kernels import core_traffic as _core_traffic
from .layer_counts import Counts, SynapticCounts, count_packed, delayed, sum_maps


@dataclass(frozen=True)
class SpikeStatistics:
    """When the neurons of one signal spiked.

    Attributes
    ----------
    steps, samples : int
    spikes_per_neuron : int64 array (neurons,)
        Over all steps and samples.
    histogram : int64 array (steps + 1,)
        Pairs of a neuron and a sample by their number of spikes.
    intervals : int64 array (steps,)
        Inter-spike intervals: pairs of consecutive spikes of a neuron in one sample, by the steps between them.
    silent : int64 array (samples,)
        Neurons that stayed silent in each sample.
    """

    steps: int
    samples: int
    spikes_per_neuron: Counts
    histogram: Counts
    intervals: Counts
    silent: Counts

    @property
    def firing_rate(self) -> float:
        """Spikes per neuron and step, 0..1."""
        return int(self.spikes_per_neuron.sum()) / (self.spikes_per_neuron.size * self.steps * self.samples)

    @property
    def silent_share(self) -> float:
        """Share of neurons without a spike in a sample, mean over samples."""
        return int(self.silent.sum()) / (self.spikes_per_neuron.size * self.samples)

    @property
    def never_fired_share(self) -> float:
        """Share of neurons without a spike in any sample."""
        return int((self.spikes_per_neuron == 0).sum()) / self.spikes_per_neuron.size


@dataclass(frozen=True)
class RowFetches:
    """Runs of consecutive weights fetched, int64 (steps, samples), in both layouts (definitions, 13).

    Attributes
    ----------
    tap_major
        One run per (spike, kernel tap in range): the weights of all targets of that tap.
    kernel_major
        One run per (spike, output channel), where any tap is in range: the kernel of that pair of channels.
    """

    tap_major: Counts
    kernel_major: Counts


@dataclass(frozen=True)
class CoreTraffic:
    """What a mapping makes of one layer's spikes, per step and sample (int64).

    Attributes
    ----------
    spikes : (steps, samples, source cores)
        Spikes of the neurons on each source core.
    events : (steps, samples, target cores)
        Synaptic events delivered to neurons on each target core.
    packets : (steps, samples, source cores, target cores)
        Messages when a spike sends one to every core that holds a target of its neuron, its own core included.
    """

    spikes: Counts
    events: Counts
    packets: Counts


@dataclass(frozen=True)
class LayerStatistics:
    """Everything one pass gathers for a layer; `touched` is int64 (steps, samples), distinct target neurons."""

    counts: SynapticCounts
    touched: Counts
    fetches: RowFetches
    spikes: SpikeStatistics
    traffic: CoreTraffic | None


def touched_neurons(layer: Layer, words: Words, *, skip_zero_weights: bool = False) -> Words:
    """The neurons that receive an event, as packed bits (steps, samples, words of neurons).

    The union over layers that feed one population is the bitwise or of their results. Outputs dropped by a pooling of
    the current, whose windows do not cover them, are no neurons.
    """
    edges, rows = layer.neuron_connections, _rows(words)
    run = layer.run_length
    out = np.zeros((len(rows), words_per_row(edges.out_channels * edges.out_positions)), np.uint64)
    if skip_zero_weights and edges.nonzero is not None:
        arrays = edges.starts, edges.outs, edges.taps, edges.nonzero
        touched_through_weights(rows, edges.groups, *arrays, edges.out_positions, out)
    else:
        arrays_by_group = edges.starts, edges.outs, edges.out_positions
        touched_by_groups(rows, edges.groups, edges.in_channels, run, *arrays_by_group, out)
    return delayed(out.reshape(*words.shape[:2], out.shape[1]), layer.delay)


def row_fetches(layer: Layer, words: Words) -> RowFetches:
    """Weight runs fetched for the spikes of each step and sample; none for a layer without weights."""
    if layer.weights == 0:
        return RowFetches(np.zeros(words.shape[:2], np.int64), np.zeros(words.shape[:2], np.int64))
    every, _ = layer.fan_out_masks
    reaching = decompose((layer.fan_out().ravel() > 0).astype(np.int64))
    (pairs, spikes), _ = sum_maps(words, (every, reaching))
    return RowFetches(delayed(pairs // layer.run_length, layer.delay), delayed(spikes * layer.run_length, layer.delay))


def core_traffic(
    layer: Layer,
    words: Words,
    source_cores: NDArray[np.integer],
    target_cores: NDArray[np.integer],
    *,
    skip_zero_weights: bool = False,
) -> CoreTraffic:
    """Spikes, synaptic events and packets between cores (or banks) for any mapping of neurons to cores.

    Parameters
    ----------
    layer : Layer
    words : uint64 array (steps, samples, words)
    source_cores : int array (inputs,)
        Core of each source neuron, from 0.
    target_cores : int array (neurons,)
        Core of each target neuron, from 0.
    skip_zero_weights : bool
        Whether zero weights are no synapses.

    Notes
    -----
    Events into outputs that a pooling of the current drops reach no core, and are not counted here.
    """
    sources = _cores(layer, "source_cores", source_cores, layer.inputs)
    targets = _cores(layer, "target_cores", target_cores, layer.neurons)
    edges, rows = layer.neuron_connections, _rows(words)
    nonzero = edges.nonzero if skip_zero_weights and edges.nonzero is not None else np.zeros((0, 0, 0), np.uint8)
    head = edges.groups, edges.in_channels, layer.run_length, edges.starts, edges.outs, edges.taps, nonzero
    bounds, none = np.zeros(layer.inputs + 1, np.int64), np.zeros(0, np.int64)
    core_fan_out(*head, edges.out_positions, targets, bounds, none, none)
    core, weights = np.empty(bounds[-1], np.int64), np.empty(bounds[-1], np.int64)
    core_fan_out(*head, edges.out_positions, targets, bounds, core, weights)
    many, others = int(sources.max()) + 1, int(targets.max()) + 1
    shapes = ((many,), (others,), (many, others))
    spikes, events, packets = (np.zeros((len(rows), *shape), np.int64) for shape in shapes)
    _core_traffic(rows, sources, bounds, core, weights, spikes, events, packets)
    by_step = (array.reshape(*words.shape[:2], *array.shape[1:]) for array in (spikes, events, packets))
    spikes, events, packets = (delayed(array, layer.delay) for array in by_step)
    return CoreTraffic(spikes, events, packets)


def spike_statistics(words: Words, neurons: int) -> SpikeStatistics:
    """Spike counts, intervals and silence of packed spikes (steps, samples, words) of ``neurons`` neurons."""
    steps, samples, size = words.shape
    if size != words_per_row(neurons):
        raise InvalidInput(f"packed spikes have {size} words a row; {neurons} neurons take {words_per_row(neurons)}")
    shapes = neurons, steps + 1, max(steps, 1), samples
    per_neuron, histogram, intervals, silent = (np.zeros(length, np.int64) for length in shapes)
    spike_times(np.ascontiguousarray(words), per_neuron, histogram, intervals, silent)
    return SpikeStatistics(steps, samples, per_neuron, histogram, intervals, silent)


def layer_statistics(
    layer: Layer, words: Words, cores: tuple[NDArray[np.integer], NDArray[np.integer]] | None = None
) -> LayerStatistics:
    """All statistics of one layer from one packed chunk (all steps of some samples) of the signal it reads.

    Parameters
    ----------
    layer : Layer
        Of a kind that counts by fan-out from one signal.
    words : uint64 array (steps, samples, words)
    cores : pair of int arrays, optional
        Core of each source and of each target neuron; without it no traffic is gathered.

    Examples
    --------
    >>> from spikejoule.sim.network.workload import Conv2d
    >>> layer = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)
    >>> corner = np.ones((1, 1, 1), np.uint64)
    >>> statistics = layer_statistics(layer, corner)
    >>> statistics.touched.item(), statistics.fetches.tap_major.item(), statistics.fetches.kernel_major.item()
    (8, 4, 2)
    """
    counts = count_packed(layer, words)
    touched = np.bitwise_count(touched_neurons(layer, words)).sum(axis=-1, dtype=np.int64)
    traffic = None if cores is None else core_traffic(layer, words, *cores)
    return LayerStatistics(counts, touched, row_fetches(layer, words), spike_statistics(words, layer.inputs), traffic)


def merge_statistics(parts: Sequence[LayerStatistics]) -> LayerStatistics:
    """Join the statistics of one layer over consecutive chunks of samples."""
    if not parts:
        raise InvalidInput("merge_statistics: no chunk was given")

    def join(*path: str) -> Counts:
        return np.concatenate([_follow(part, path) for part in parts], axis=1)

    counts = SynapticCounts(
        join("counts", "nonzero_weights"),
        join("counts", "all_weights"),
        join("counts", "events"),
        parts[0].counts.dense,
    )
    fetches = RowFetches(join("fetches", "tap_major"), join("fetches", "kernel_major"))
    traffic = None
    if parts[0].traffic is not None:
        traffic = CoreTraffic(join("traffic", "spikes"), join("traffic", "events"), join("traffic", "packets"))
    spikes = SpikeStatistics(
        parts[0].spikes.steps,
        sum(part.spikes.samples for part in parts),
        np.sum([part.spikes.spikes_per_neuron for part in parts], axis=0),
        np.sum([part.spikes.histogram for part in parts], axis=0),
        np.sum([part.spikes.intervals for part in parts], axis=0),
        np.concatenate([part.spikes.silent for part in parts]),
    )
    return LayerStatistics(counts, join("touched"), fetches, spikes, traffic)


def _follow(part: object, path: Sequence[str]) -> Counts:
    for name in path:
        part = getattr(part, name)
    return np.asarray(part)


def _rows(words: Words) -> Words:
    return np.ascontiguousarray(words).reshape(words.shape[0] * words.shape[1], words.shape[2])


def _cores(layer: Layer, name: str, cores: NDArray[np.integer], size: int) -> Counts:
    cores = np.asarray(cores)
    if cores.shape != (size,) or cores.dtype.kind not in "iu" or (cores < 0).any():
        raise InvalidInput(
            f"layer {layer.name!r}: {name} is {cores.dtype} {cores.shape}; it must be {size} core numbers from 0, one "
            f"per neuron"
        )
    return cores.astype(np.int64)
