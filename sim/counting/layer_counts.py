"""Exact operation counts of a layer, int64, per step and sample: packed spikes x fan-out, no second convolution.

An operation belongs to one pair (non-zero input element, in-range weight), never to padding. The fan-out map of a layer
is written once as a constant plus a few weighted bit masks; an operation count is then a handful of masked popcounts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..display import brief
from ..errors import InvalidInput
from ..network.fan_out import MaskedSum, Words, words_per_row
from ..network.layers import Layer
from ..trace.packing import pack, pack_planes
from .popcount_kernels import masked_popcounts

Counts = NDArray[np.int64]  # (steps, samples) unless said
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class SynapticCounts:
    """Operations of one layer.

    Attributes
    ----------
    nonzero_weights, all_weights : int64 array (steps, samples)
        Pairs of a non-zero input with a non-zero weight in range, and with any weight in range. For a layer without
        weights both are its operations, of the class that ``layer.operation`` names.
    events : int64 array (steps, samples)
        Non-zero inputs.
    dense : int
        In-range pairs per step and sample, whatever the input and the weights.
    """

    nonzero_weights: Counts
    all_weights: Counts
    events: Counts
    dense: int

    def __repr__(self) -> str:
        return brief(self)


def count_layer(layer: Layer, *inputs: NDArray, graded: str = "value") -> SynapticCounts:
    """Count a layer's operations from its dense input.

    Parameters
    ----------
    layer : Layer
    *inputs : arrays (steps, samples, *in_shape)
        Any real dtype; one, or one per signal of ``layer.sources``. Every value is verified against its declared kind.
    graded : {'value', 'events'}
        Whether a graded input n meets a weight once or in n unit events; `Layer.operation_with` names the operation.

    Raises
    ------
    InvalidInput
        If a shape is not the layer's or a value contradicts the declared kind.

    Examples
    --------
    >>> from spikejoule.sim.network.workload import Conv2d
    >>> layer = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)
    >>> spikes = np.zeros((1, 1, 1, 4, 4))
    >>> spikes[0, 0, 0, 0, 0] = spikes[0, 0, 0, 1, 1] = 1  # a corner meets 2 x 4 weights, the middle 2 x 9
    >>> count_layer(layer, spikes).all_weights
    array([[26]])
    """
    words = pack_input(layer, *inputs)
    layer.operation_with(graded)  # refuses an unknown choice
    if graded == "events" and layer.input_kind == "graded" and not layer.counts_itself:
        return count_planes(layer, pack_planes(inputs[0], "graded", f"layer {layer.name!r}"))
    return count_packed(layer, *words)


def count_packed(layer: Layer, *words: Words, threads: int = 1) -> SynapticCounts:
    """Count a layer's operations from its packed input.

    Parameters
    ----------
    layer : Layer
    *words : uint64 arrays (steps, samples, words)
        Non-zero bits of its input; one, or one per signal of ``layer.sources``. All steps of a recurrent layer must be
        there, as it reads the step before.
    threads : int
        Slices of the rows counted at once. It changes no figure.

    Raises
    ------
    InvalidInput
        If a shape is not the layer's, padding bits are set, or a total could exceed an int64.
    """
    words = _checked_words(layer, words)
    if threads < 1:
        raise InvalidInput(f"layer {layer.name!r}: threads is {threads}; use one or more")
    _check_range(layer, 1)
    if layer.counts_itself:
        pairs = layer.count(*words)
        events = np.sum([np.bitwise_count(signal).sum(axis=-1, dtype=np.int64) for signal in words], axis=0)
        return SynapticCounts(pairs, pairs.copy(), events, layer.dense)
    every, nonzero = layer.fan_out_masks
    (all_weights, nonzero_weights), events = sum_maps(words[0], (every, nonzero), threads)
    return SynapticCounts(
        delayed(nonzero_weights, layer.delay),
        delayed(all_weights, layer.delay),
        delayed(events, layer.delay),
        layer.dense,
    )


def count_planes(layer: Layer, planes: Iterable[Words]) -> SynapticCounts:
    """Count graded input n as n unit events, from its bit planes (steps, samples, words), least significant first."""
    totals = np.zeros((3, 1, 1), np.int64)
    for plane, words in enumerate(planes):
        _check_range(layer, 2 ** (plane + 1))
        counts = count_packed(layer, words)
        totals = totals + (np.stack([counts.nonzero_weights, counts.all_weights, counts.events]) << plane)
    return SynapticCounts(totals[0], totals[1], totals[2], layer.dense)


def pack_input(layer: Layer, *inputs: NDArray) -> tuple[Words, ...]:
    """The non-zero bits of a layer's dense inputs, verified: one uint64 array (steps, samples, words) per signal."""
    _check_number(layer, len(inputs))
    packed = []
    for values, (signal, shape, kind) in zip(inputs, layer.reads, strict=True):
        if np.ndim(values) < 2 or np.shape(values)[2:] != shape:
            raise InvalidInput(
                f"layer {layer.name!r}: input {signal!r} is {np.shape(values)}; it must be (steps, samples, "
                f"{', '.join(map(str, shape))})"
            )
        packed.append(pack(values, kind, f"layer {layer.name!r}"))
    return tuple(packed)


def sum_maps(words: Words, maps: tuple[MaskedSum, ...], threads: int = 1) -> tuple[list[Counts], Counts]:
    """Sums of integer maps over the set bits of every row, and the number of set bits, each int64 (steps, samples)."""
    steps, samples, size = words.shape
    rows = np.ascontiguousarray(words).reshape(steps * samples, size)
    distinct = list({id(part): part for part in maps}.values())
    masks = distinct[0].masks if len(distinct) == 1 else np.concatenate([part.masks for part in distinct])
    bits = np.zeros((len(rows), 1 + len(masks)), np.int64)
    if threads == 1:
        masked_popcounts(rows, masks, bits)
    else:
        edges = np.linspace(0, len(rows), threads + 1).astype(int)
        slices = [slice(first, last) for first, last in itertools.pairwise(edges)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda part: masked_popcounts(rows[part], masks, bits[part]), slices))
    sums, first = {}, 1
    for part in distinct:
        last = first + len(part.masks)
        total = bits[:, 0] * part.base + bits[:, first:last] @ part.coefficients
        sums[id(part)], first = total.reshape(steps, samples), last
    return [sums[id(part)].copy() for part in maps], bits[:, 0].reshape(steps, samples)


def delayed(counts: NDArray[Number], delay: int) -> NDArray[Number]:
    """Counts by step, moved to the step in which the events arrive."""
    if delay == 0:
        return counts
    moved = np.zeros_like(counts)
    moved[delay:] = counts[:-delay]
    return moved


def _check_range(layer: Layer, largest_value: int) -> None:
    """Refuse a layer whose total could leave an int64 (9e18), rather than wrap round."""
    if layer.dense * largest_value >= 2**63:
        raise InvalidInput(
            f"layer {layer.name!r}: up to {layer.dense * largest_value} operations a step exceed the 64-bit counters"
        )


def _check_number(layer: Layer, given: int) -> None:
    if not isinstance(layer, Layer):
        raise InvalidInput(f"{type(layer).__name__} has no counting rule; describe it as one of workload.LAYER_TYPES")
    if given != len(layer.reads):
        names = ", ".join(layer.sources)
        raise InvalidInput(f"layer {layer.name!r}: {given} inputs given; it reads {len(layer.reads)}: {names}")


def _checked_words(layer: Layer, words: tuple[Words, ...]) -> tuple[Words, ...]:
    _check_number(layer, len(words))
    for packed, (signal, shape, _) in zip(words, layer.reads, strict=True):
        inputs = math.prod(shape)
        size, used = words_per_row(inputs), np.uint64(inputs % 64)
        if (
            packed.dtype != np.uint64
            or packed.ndim != 3
            or packed.shape[2] != size
            or packed.shape != (*words[0].shape[:2], size)
        ):
            raise InvalidInput(
                f"layer {layer.name!r}: packed input {signal!r} is {packed.dtype} {packed.shape}; it must be uint64 "
                f"(steps, samples, {size})"
            )
        if used and (packed[..., -1] >> used).any():
            raise InvalidInput(f"layer {layer.name!r}: packed input {signal!r} has bits beyond its {inputs} values")
    return words
