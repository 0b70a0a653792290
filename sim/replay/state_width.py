"""Networks at a narrow state: every channel in a unit of its own, so that its threshold uses the range well.

Each neuron has its own potential, so the potentials of a channel may be kept in any unit: weights, bias and threshold
are scaled together once, before anything runs, and no spike changes but by rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..network.layers import Layer
from ..network.neuron_models import NEURON_MODELS
from ..network.workload import Workload
from .forwarding import largest_values
from .neuron_kernels import scatter
from .parameters import FixedPoint, LayerParameters
from .populations import Population, scaled_weights, stages

# (widest state, headroom): thresholds are at most 1/headroom of the highest state, and more than half of that. On the
# validation split of the main job's 18 runs (6 variants x 3 seeds) the fewest spikes differ so, one choice for all; the
# figures are in docs/energy-models.md, "Narrow states".
HEADROOMS = ((8, 3.0), (40, 6.0))
READOUT_BITS = 16  # a readout sums over all steps and neither leaks nor resets: 8 bits hold no useful part of its sum


def in_state_units(
    workload: Workload,
    parameters: Mapping[str, LayerParameters],
    state_bits: int,
    steps: int,
    *,
    headroom: float | None = None,
) -> tuple[dict[str, LayerParameters], dict[str, FixedPoint]]:
    """A network's parameters in units of the last place of a narrow state, for `replay`.

    Parameters
    ----------
    workload : Workload
    parameters : mapping of layer name to LayerParameters
    state_bits : int
        Width of potentials and accumulators, 2 to 40.
    steps : int
        Time steps that will be run.
    headroom : float, optional
        From 1; by the width, from `HEADROOMS`, unless given. A channel's threshold (the largest over the steps) comes
        to lie above half of, and at most at, ``highest state / headroom``.

    Returns
    -------
    parameters, numbers : dict of LayerParameters and dict of FixedPoint, by layer
        Potentials of a replay with them are in each channel's own unit, which is its ``unit``.

    Raises
    ------
    InvalidInput
        A threshold of 0, which fixes no unit; a readout of values without a bound; a headroom below 1.

    Notes
    -----
    The rule, the same for every network, is ours. A spiking channel's unit is a quantum divided by a power of two
    (which may be below one): the power that puts the threshold as said. The quantum is the scale of a channel whose
    weights are stored as integers (+-1, ternary, int8), so that they stay exact integers of the last place wherever
    the power is at least 1; of a channel with real weights it is 1. A shift by a power of two costs nothing, and scales
    fold into threshold and bias. Weights, biases and thresholds are rounded to the nearest last place: there is no
    accumulator wider than the state, because an event-driven machine adds into the state itself. Leaks are cut toward
    zero. Saturation is applied once per step; within a step it is not modelled.

    Layers that join a current take the unit of the neurons they reach. The quantum is that of the population's own
    layer, so another branch with a scale of its own (a shortcut, self-connections) is rounded: what a skip path adds is
    one constant per channel, and +-1 weights stay plus or minus one constant, but of whole last places.

    A readout has no threshold. Its unit is the smallest power of two, one for all classes so that their sums compare,
    with which not even input that fires everywhere at every step could leave the range (of summed spikes: with all of
    them at once), and it is kept in `READOUT_BITS` or ``state_bits``, whichever is wider.
    """
    spiking = FixedPoint(state_bits=state_bits, frac_bits=0)
    if headroom is None:
        headroom = next(value for widest, value in HEADROOMS if state_bits <= widest)
    if not headroom >= 1:
        raise InvalidInput(f"headroom is {headroom}; it must be 1 or more: no potential passes the range")
    scaled, numbers = dict(parameters), {}
    bounds = largest_values(workload)
    for item in (stage for stage in stages(workload) if isinstance(stage, Population)):
        own, channels = parameters[item.name], item.layer.neuron_shape[0]
        if own.reset:
            raise InvalidInput(f"layer {item.name!r}: resets to {own.reset:g}; only 0 is the same in all units")
        if NEURON_MODELS[str(item.layer.neuron)].spikes:
            number = spiking
            unit = _spiking_unit(item, own, number.highest / headroom)
        else:
            number = FixedPoint(state_bits=max(state_bits, READOUT_BITS), frac_bits=0)
            unit = np.full(channels, _readout_unit(item, parameters, bounds, number, steps))
        numbers[item.name] = number
        scaled |= _in_unit(item, parameters, unit)
    return scaled, numbers


def _in_unit(
    item: Population, parameters: Mapping[str, LayerParameters], unit: NDArray[np.float64]
) -> dict[str, LayerParameters]:
    """The parameters of a population and of all that feeds it, in one unit for each of its channels."""
    scaled = {}
    for layer in item.synapses:
        given = parameters[layer.name]
        # a joining layer may see the neurons as channels without positions
        by_output = np.repeat(unit, layer.channel_groups[2] // len(unit))
        scaled[layer.name] = replace(given, scale=np.asarray(given.scale, np.float64) / by_output)
    own = parameters[item.name]
    scaled[item.name] = replace(
        scaled.get(item.name, own),
        threshold=np.asarray(own.threshold) / unit,
        bias=np.asarray(own.bias) / unit,
        unit=np.asarray(own.unit) * unit,
    )
    return scaled


def _spiking_unit(item: Population, own: LayerParameters, level: float) -> NDArray[np.float64]:
    channels = item.layer.neuron_shape[0]
    threshold = np.abs(np.asarray(own.threshold, np.float64))
    highest = np.broadcast_to(threshold.max(axis=0) if threshold.ndim == 2 else threshold, (channels,))
    if not (highest > 0).all():
        raise InvalidInput(f"layer {item.name!r}: a threshold of 0 fixes no unit for the potentials of its channel")
    quantum = np.ones(channels)
    if item.layer.weight_kind != "float":
        scale = np.abs(np.broadcast_to(np.asarray(own.scale, np.float64), (channels,)))
        quantum = np.where(scale > 0, scale, 1.0)
    unit: NDArray[np.float64] = quantum * 2.0 ** -np.floor(np.log2(level * quantum / highest))
    return unit


def _readout_unit(
    item: Population,
    parameters: Mapping[str, LayerParameters],
    bounds: Mapping[str, float],
    number: FixedPoint,
    steps: int,
) -> float:
    """The smallest power of two with which no sum over all steps leaves the range, whatever fires."""
    bias = np.asarray(parameters[item.name].bias, np.float64)
    constants = np.abs(bias).sum(axis=0) if bias.ndim == 2 else steps * np.abs(bias)
    most = float(np.max(constants))
    for layer in item.synapses:
        if not math.isfinite(bounds[layer.source]):
            raise InvalidInput(
                f"layer {item.name!r}: a readout of {layer.input_kind} values has no bound, so no unit; spikes, and "
                f"sums of them, have"
            )
        most += steps * bounds[layer.source] * _largest_current(layer, parameters[layer.name])
    return 2.0 ** math.ceil(math.log2(most / number.highest)) if most else 1.0


def _largest_current(layer: Layer, own: LayerParameters) -> float:
    """The sum of |weight| at the neuron that most weights reach."""
    edges, weights = layer.neuron_connections, np.abs(scaled_weights(layer, own.weights, own.scale))
    current = np.zeros((1, edges.out_positions, edges.out_channels))
    touched = np.zeros((1, edges.out_positions, edges.groups), np.uint8)
    every = np.ones((1, layer.inputs), np.uint8)
    group_size = edges.in_channels // edges.groups
    scatter(every, 0, edges.starts, edges.outs, edges.taps, group_size, weights, current, touched)
    return float(current.max(initial=0.0))
