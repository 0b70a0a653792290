"""What layers between signals pass on when a network is run again: sums, ``and``, ``or``, pooling and copies of values.

They hold no state and saturate nowhere: sums of spikes stay small integers, of any width that they need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..network.layers import INPUT, Layer
from ..network.merging_layers import Add, Concatenate
from ..network.passing_layers import Identity, Upsample
from ..network.pooling_layers import Pool, PoolingLayer
from ..network.workload import Workload
from .neuron_kernels import scatter
from .populations import Population, stages, tap_major


def plain(values: NDArray) -> NDArray:
    """(steps, samples, n) of a signal: bytes for spikes and small counts, int64 for other integers, else float64."""
    flat = values.reshape(*values.shape[:2], -1)
    if flat.dtype.kind == "f":
        return flat.astype(np.float64)
    small = flat.dtype == np.bool_ or (flat.size and flat.min() >= 0 and flat.max() <= 255)
    return flat.astype(np.uint8 if small else np.int64)


def passed_on(layer: Layer, values: Sequence[NDArray]) -> NDArray:
    """The signal that a layer without neurons passes on, (steps, samples, outputs).

    Parameters
    ----------
    layer : Layer
        With neither a neuron nor a layer that it joins.
    values : sequence of array (steps, samples, inputs)
        The signals that it reads, in its order, as `plain` keeps them.

    Raises
    ------
    InvalidInput
        For an average with an explicit scale over windows that reach into the padding, since frameworks divide such
        sums by different numbers; and for kinds of layers without a rule.

    Notes
    -----
    ``and`` and ``or`` are of non-zero values. A maximum is over the inputs inside its window, padding never counted; a
    window that holds none gives 0. An average with folded scale passes sums on, for its 1/size lives in the weights
    behind it; with an explicit one the sum is divided by the inputs inside the window.
    """
    if isinstance(layer, Add):
        return plain(_added(layer.mode, values))
    if isinstance(layer, Concatenate):  # C, H, W order: channels one after the other
        return plain(np.concatenate(values, axis=2))
    if isinstance(layer, PoolingLayer) and layer.mode == "max":
        return plain(_largest(layer, values[0]))
    if isinstance(layer, PoolingLayer | Upsample | Identity):
        sums = _summed(layer, values[0])
        return plain(sums if not isinstance(layer, PoolingLayer) or layer.scale == "folded" else _means(layer, sums))
    raise InvalidInput(
        f"layer {layer.name!r}: {type(layer).__name__} between signals has no rule for a replay; give it neurons, or "
        f"let it join a current"
    )


def largest_values(workload: Workload) -> dict[str, float]:
    """The largest size that a value of each signal can have; infinite where its declared kind has no bound."""
    bounds = {INPUT: 1.0 if workload.input_kind in ("spike", "signed_spike") else math.inf}
    for stage in stages(workload):
        if isinstance(stage, Population):
            bounds[stage.name] = 1.0
        else:
            bounds[stage.name] = _bound(stage, [bounds[source] for source in stage.sources])
    return bounds


def _bound(layer: Layer, sources: Sequence[float]) -> float:
    if isinstance(layer, Add):
        return sum(sources) if layer.mode == "graded" else 1.0
    if isinstance(layer, PoolingLayer) and layer.mode == "average" and layer.scale == "folded":
        return layer.largest_window * sources[0]
    return max(sources)


def _added(mode: str, values: Sequence[NDArray]) -> NDArray:
    if mode == "graded":
        real = any(each.dtype.kind == "f" for each in values)
        return np.asarray(np.sum(values, axis=0, dtype=np.float64 if real else np.int64))
    merge = np.logical_and if mode == "and" else np.logical_or
    result: NDArray = merge.reduce([each != 0 for each in values])
    return result


def _summed(layer: Layer, values: NDArray) -> NDArray:
    """Every value added once to each output that it reaches."""
    steps, samples, _ = values.shape
    edges = layer.connections
    real = values.dtype.kind == "f"
    weights = tap_major(layer, np.ones(())).astype(np.float64 if real else np.int64)
    result = np.empty((steps, samples, edges.out_channels * edges.out_positions), weights.dtype)
    for sample in range(samples):
        sums = np.zeros((steps, edges.out_positions, edges.out_channels), weights.dtype)
        touched = np.zeros((steps, edges.out_positions, edges.groups), np.uint8)
        own = np.ascontiguousarray(values[:, sample])
        group_size = edges.in_channels // edges.groups
        scatter(own, 0, edges.starts, edges.outs, edges.taps, group_size, weights, sums, touched)
        result[:, sample] = sums.transpose(0, 2, 1).reshape(steps, -1)
    return result


def _means(layer: PoolingLayer, sums: NDArray) -> NDArray:
    edges = layer.connections
    inside = np.bincount(edges.outs, minlength=edges.out_positions)
    if isinstance(layer, Pool) and (inside != np.prod(layer.kernel_size)).any():
        raise InvalidInput(
            f"layer {layer.name!r}: an average over windows that reach into the padding; whether padding counts is not "
            f"declared, so its divisor is not known; use scale 'folded', which leaves the factor to the weights behind"
        )
    return sums / np.tile(inside, edges.out_channels)


def _largest(layer: PoolingLayer, values: NDArray) -> NDArray:
    steps, samples, _ = values.shape
    edges = layer.connections
    inputs = np.repeat(np.arange(edges.in_positions), np.diff(edges.starts))
    order = np.argsort(edges.outs, kind="stable")
    reached, first = np.unique(edges.outs[order], return_index=True)
    result = np.zeros((steps, samples, edges.out_channels, edges.out_positions), values.dtype)
    maps = values.reshape(steps, samples, edges.in_channels, edges.in_positions)
    for sample in range(samples):  # one at a time: overlapping windows hold an element many times
        candidates = maps[:, sample][..., inputs[order]]
        result[:, sample][..., reached] = np.maximum.reduceat(candidates, first, axis=-1)
    return result.reshape(steps, samples, -1)
