"""What travels between layers on scatter and dense machines: its width, how long it is kept, and the words it moves.

A signal is written once and read by every layer that names it, so it stays until its last reader has run. What is still
needed when another layer's spikes are written takes room from them: a skip path holds its map beside those of the
branch that it bridges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...counting.layer_counts import Counts
from ...counting.operations import OperationCounts
from ...errors import InvalidInput
from ...network.merging_layers import Add
from ...network.pooling_layers import PoolingLayer
from ...network.workload import INPUT, Layer, Workload
from ..architecture import Grid, Memory

Key = tuple[str, str, str]  # layer, component, action
INPUT_LIMIT = 255  # of a network input declared graded: the trace holds no values, frames of counts are bytes


def value_limits(workload: Workload) -> dict[str, int]:
    """The largest absolute value of each signal that is no real number: 1 for spikes, more for sums of spikes.

    A network input declared graded is taken as bytes, for a trace does not hold its values.
    """
    limits = {INPUT: INPUT_LIMIT if workload.input_kind == "graded" else 1}
    for layer in workload.layers:
        if layer.emits:
            limits[layer.name] = _limit(layer, [limits[name] for name in layer.sources])
    return limits


def _limit(layer: Layer, sources: list[int]) -> int:
    if layer.output_kind != "graded":
        return 1
    if isinstance(layer, Add):
        return sum(sources)
    if isinstance(layer, PoolingLayer) and layer.mode == "average":
        return sources[0] * layer.largest_window
    return max(sources)


def element_bits(workload: Workload) -> dict[str, int]:
    """Bits of one element of each signal: 1 for spikes, a sign more for signed ones, the state's for real numbers."""
    limits, result = value_limits(workload), {}
    for name, (_, kind) in workload.signals.items():
        result[name] = limits[name].bit_length() + (kind == "signed_spike")
        if kind == "analog":
            result[name] = workload.state_bits
    return result


@dataclass(frozen=True)
class SpikeTraffic:
    """Words that one pass over a signal moves, per step and sample, and the memory that holds them for each sample.

    Attributes
    ----------
    words : int64 array (steps, samples)
        Of the memory that holds it.
    levels : tuple of Memory
        The memories that may hold spikes, inner to outer.
    level : int64 array (samples,)
        Which of them holds the signal: the first with room beside what is kept there.
    held : int64 array (samples,)
        Bits it takes while it is kept, for a whole hardware batch of inferences like this one.
    element_bits : int
        Bits of one element in a map.

    Notes
    -----
    A spike takes one bit of a bitmap, or an address. The element of a graded signal takes the bits of its largest value
    (`value_limits`) in a map, and beside an address those that tell non-zero values apart; a signed spike takes a sign.
    Where graded values are unit events, a list holds an address for each of them.
    """

    words: Counts
    levels: tuple[Memory, ...]
    level: NDArray[np.int64]
    held: NDArray[np.int64]
    element_bits: int

    def run_words(self, elements: int) -> NDArray[np.int64]:
        """Words of a packed run of so many elements in the memory that holds the signal, int64 (samples,)."""
        return -(-elements * self.element_bits // _word_bits(self.levels, self.level))

    def charge(self, counts: dict[Key, Counts], layer: str, action: str, moved: Counts) -> None:
        """Add ``moved`` words, read or written, to the memory that holds the signal."""
        for place, memory in enumerate(self.levels):
            mask = self.level == place
            if (moved * mask).any():
                key = (layer, memory.name, action)
                counts[key] = counts.get(key, 0) + moved * mask


def spike_traffic(operations: OperationCounts, grid: Grid) -> dict[str, SpikeTraffic]:
    """Every signal of a network with the memory that holds it, placed in the order in which they are made.

    A signal goes to the first memory with room for it beside those kept there beyond the layer that makes it; the last
    has no limit. What that layer reads for the last time is taken to leave as the new map comes. With time inner the
    maps of all steps are kept, with time outer those of one; there a signal that is read one step later is kept
    throughout.
    """
    workload, levels = operations.workload, tuple(grid.levels("spike"))
    width, found = element_bits(workload), dict[str, SpikeTraffic]()
    for signal, kept in _kept_beside(workload, grid.dataflow.time).items():
        bits = _bits(operations, signal, grid)
        held, beside = _held(bits, grid), [found[name] for name in kept]
        fits = np.array([held + _taken(beside, place) <= memory.bits for place, memory in enumerate(levels)])
        level = fits.argmax(axis=0)
        words = -(-bits // _word_bits(levels, level))
        found[signal] = SpikeTraffic(words, levels, level, held, width[signal])
    return {signal: found[signal] for signal in workload.signals}


def _word_bits(levels: tuple[Memory, ...], level: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of a word of the memory that holds a signal, int64 (samples,)."""
    return np.array([memory.word_bits for memory in levels], np.int64)[level]


def spike_bits(operations: OperationCounts, grid: Grid) -> int:
    """Bits that the first spike memory needs to hold every signal of every sample, by the rule of `spike_traffic`."""
    kept_beside = _kept_beside(operations.workload, grid.dataflow.time)
    held = {signal: _held(_bits(operations, signal, grid), grid) for signal in kept_beside}
    together = [sum((held[name] for name in kept), held[signal]) for signal, kept in kept_beside.items()]
    return max(int(bits.max()) for bits in together)


def _kept_beside(workload: Workload, time: str) -> dict[str, list[str]]:
    """Signals in the order in which they take their room, each with those before it that are still kept then."""
    made, last = lifetimes(workload)
    later = {layer.source for layer in workload.layers if layer.delay} if time == "outer" else set()
    order = sorted(workload.signals, key=lambda name: (name not in later, made[name]))
    return {
        signal: [name for name in order[:place] if name in later or last[name] > made[signal]]
        for place, signal in enumerate(order)
    }


def _held(bits: Counts, grid: Grid) -> NDArray[np.int64]:
    """Bits that a signal of a hardware batch takes while it is kept, per sample: of all steps, or of the largest."""
    return grid.hardware_batch * (bits.sum(axis=0) if grid.dataflow.time == "inner" else bits.max(axis=0))


def _taken(beside: list[SpikeTraffic], place: int) -> NDArray[np.int64] | int:
    """Bits of one memory that other signals take, per sample."""
    return sum(item.held * (item.level == place) for item in beside)


def lifetimes(workload: Workload) -> tuple[dict[str, int], dict[str, int]]:
    """Places in the order of layers at which each signal is made, and at which it is read for the last time.

    A population fires when the last layer that joins its current has run.
    """
    made = {INPUT: -1}
    for place, layer in enumerate(workload.layers):
        made[layer.joins or layer.name] = place
    last = dict.fromkeys(made, -1)
    for layer in workload.layers:
        for source in layer.sources:
            last[source] = max(last[source], made[layer.joins or layer.name])
    return made, last


def _bits(operations: OperationCounts, signal: str, grid: Grid) -> Counts:
    """Bits of a signal per step and sample."""
    workload = operations.workload
    shape, kind = workload.signals[signal]
    size, width = math.prod(shape), element_bits(workload)[signal]
    events = operations.input_events if signal == INPUT else operations.layers[signal].spikes
    if events is None:
        raise InvalidInput(f"signal {signal!r} emits no spikes")
    if kind == "analog":  # values, not events: the whole map at the width of the state
        bits = np.full_like(events, size * width)
        if workload.held_input and signal == INPUT:
            bits[1:] = 0
        return bits
    if grid.dataflow.spike_code == "bitmap":
        return np.full_like(events, size * width)
    value = (value_limits(workload)[signal] - 1).bit_length() + (kind == "signed_spike")
    if kind == "graded" and grid.dataflow.graded == "events":
        value = 0  # an address for each of n unit events (`graded.as_delivered`), and no number beside it
    return events * (max(1, (size - 1).bit_length()) + value)
