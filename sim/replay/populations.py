"""Neuron populations of a workload and the synapses that feed each, in an order that can be computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..network.layers import INPUT, Layer
from ..network.workload import Workload


@dataclass(frozen=True)
class Population:
    """Neurons of one layer, with every layer whose current reaches them.

    Attributes
    ----------
    name : str
        The layer's name, which is also the name of the signal that the neurons emit.
    layer : Layer
        The layer that owns the neurons.
    synapses : tuple of Layer
        That layer first, then those that join it, in the workload's order.
    """

    name: str
    layer: Layer
    synapses: tuple[Layer, ...]


def stages(workload: Workload) -> tuple[Population | Layer, ...]:
    """Populations, and the layers that pass values on between signals, each after whose values of the step it reads."""
    waiting: list[Population | Layer] = []
    for layer in workload.layers:
        if layer.neuron is not None:
            joined = (other for other in workload.layers if other.joins == layer.name)
            waiting.append(Population(layer.name, layer, (layer, *joined)))
        elif layer.joins is None:
            waiting.append(layer)
    done, ordered = {INPUT}, list[Population | Layer]()
    while waiting:  # the workload has refused cycles within a step, so each round finds at least one
        ready = [item for item in waiting if done.issuperset(_same_step(item))]
        ordered += ready
        done |= {item.name for item in ready}
        waiting = [item for item in waiting if item.name not in done]
    return tuple(ordered)


def feeding(workload: Workload) -> list[Layer]:
    """Layers that feed neurons: all but those that pass values on between signals. They have parameters."""
    return [layer for layer in workload.layers if layer.neuron is not None or layer.joins is not None]


def _same_step(item: Population | Layer) -> list[str]:
    """The signals whose values of a step it needs in that step."""
    layers = item.synapses if isinstance(item, Population) else (item,)
    return [source for layer in layers if not layer.delay for source in layer.sources]


def populations(workload: Workload) -> tuple[Population, ...]:
    """The populations of a network of neurons alone, each after those whose spikes of the same step it reads.

    Raises
    ------
    InvalidInput
        When a layer passes values on without neurons (pooling of spikes, sums, concatenation, up-sampling): its
        outputs are no spikes of a neuron. `with_relays` turns some of them into neurons.
    """
    found = stages(workload)
    for layer in found:
        if not isinstance(layer, Population):
            raise InvalidInput(
                f"workload {workload.name!r}: layer {layer.name!r} ({type(layer).__name__}) passes values on between "
                f"signals; only layers with neurons, and layers that join their current, are neurons and synapses"
            )
    return tuple(item for item in found if isinstance(item, Population))


def depths(workload: Workload) -> dict[str, int]:
    """Synaptic hops from the input to each population along its longest path: the input is 0, its readers 1."""
    result = {INPUT: 0}
    for item in populations(workload):
        result[item.name] = 1 + max((result[source] for source in _same_step(item)), default=0)
    return result


def tap_major(layer: Layer, weights: NDArray) -> NDArray:
    """A layer's weights as (input channel, kernel tap, output channel of the group), the order they are fetched in.

    Parameters
    ----------
    layer : Layer
    weights : array of ``layer.weight_shape``
        A layer without weights (a skip path) takes one number: what each of its edges carries.
    """
    groups, in_channels, _ = layer.channel_groups
    weights = np.asarray(weights)
    if layer.weight_shape == (0,):
        taps = int(layer.connections.taps.max(initial=-1)) + 1
        if weights.shape != ():
            raise InvalidInput(f"layer {layer.name!r}: has no weights of its own; give one number for all of its edges")
        return np.full((in_channels, taps, layer.run_length), weights)
    if weights.shape != layer.weight_shape:
        raise InvalidInput(f"layer {layer.name!r}: weights are {weights.shape}; they must be {layer.weight_shape}")
    kernel = layer.weight_shape[2:]
    size = int(np.prod(kernel, dtype=np.int64))
    taps_of = np.unravel_index(np.arange(size), kernel) if kernel else ()
    channel = np.arange(in_channels)[:, None, None]
    out_channel = channel // (in_channels // groups) * layer.run_length + np.arange(layer.run_length)
    index: Any = layer.weight_index  # arithmetic on its arguments, so it takes arrays as well
    chosen = weights[index(channel, out_channel, tuple(tap[None, :, None] for tap in taps_of))]
    return np.ascontiguousarray(np.broadcast_to(chosen, (in_channels, size, layer.run_length)))


def scaled_weights(layer: Layer, weights: ArrayLike, scale: ArrayLike) -> NDArray[np.float64]:
    """Weights x scale in the order of `tap_major`; ``scale`` is one number or one per output channel of the layer."""
    stored = tap_major(layer, np.asarray(weights, np.float64))
    groups, in_channels, out_channels = layer.channel_groups
    factors = np.asarray(scale, np.float64)
    if factors.shape not in ((), (out_channels,)):
        raise InvalidInput(
            f"layer {layer.name!r}: scale is {factors.shape}; it must be one number or ({out_channels},) by channel"
        )
    by_group = np.broadcast_to(factors, (out_channels,)).reshape(groups, 1, 1, -1)
    result = stored.reshape(groups, in_channels // groups, -1, layer.run_length) * by_group
    return np.ascontiguousarray(result.reshape(stored.shape))
