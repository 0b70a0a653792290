"""Operations beside the synaptic ones: of one layer and the neurons it feeds, by rule from what the layer declares.

Neuron updates, resets, bias, pooling, gate, scale and readout. But for resets they depend on no spike.
"""

from __future__ import annotations

import numpy as np

from ..errors import InvalidInput
from ..network.layers import Layer
from ..network.neuron_models import NEURON_MODELS
from .layer_counts import Counts

Row = tuple[str, str]  # (part, operation)


def other_rows(layer: Layer, spikes: Counts | None, shape: tuple[int, int]) -> dict[Row, Counts]:
    """Operations beside the synaptic ones, for one layer and the neurons it feeds.

    Parameters
    ----------
    layer : Layer
    spikes : int64 array (steps, samples) or None
        What those neurons emitted.
    shape : (steps, samples)

    Returns
    -------
    mapping of (part, operation) to int64 array (steps, samples)
        See `LayerOperations`.

    Raises
    ------
    InvalidInput
        For a gate on a layer that joins another, and a gain per step on a readout: they have no rule.

    Notes
    -----
    A gain that varies with the step folds into the leak, ``lambda g[t-1] / g[t]``, and the threshold, ``V_th / g[t]``
    (docs/definitions.md, 10). The rescaled leak is the multiply that a leaky neuron does anyway; an integrate-and-fire
    neuron gains one, in a row of its own. The words of both tables are in `placement`. A branch of integer weights with
    a scale of its own is rescaled before it joins: N multiplies and N adds in part ``scale``.
    """
    _check_gate(layer)
    rows: dict[Row, Counts] = {}

    def every_step(part: str, operation: str, per_step: int) -> None:
        if per_step:
            rows[part, operation] = np.full(shape, per_step, np.int64)

    if layer.pool is not None:  # one add per element before pooling; a scatter machine needs none
        every_step("pool", "add", int(np.prod(layer.out_shape)))
    if multiplies_branch(layer):  # its sum is rescaled on its own, and only then joins the current
        every_step("scale", "multiply", layer.neurons)
        every_step("scale", "add", layer.neurons)
    if layer.neuron is None:
        return rows
    neurons, model = layer.neurons, NEURON_MODELS[layer.neuron]
    every_step("neuron", "multiply", neurons * model.multiplies)
    every_step("neuron", "add", neurons * model.integrates)
    every_step("neuron", "compare", neurons * model.compares)
    if model.adds_per_spike and spikes is not None:
        rows["reset", "add"] = spikes * model.adds_per_spike
    if model.spikes:
        every_step("bias", "add", neurons * layer.bias)
    else:  # the sum over steps starts at the bias times the steps, and ends in one search for the largest
        rows |= _readout_rows(layer, shape)
    if layer.gate == "live":
        for (part, operation), per_step in _live_gate(layer).items():
            every_step(part, operation, per_step)
        return rows
    if layer.gate == "per_step" and not model.multiplies:
        every_step("gate", "multiply", neurons)
    if layer.scale == "explicit" and model.spikes:
        every_step("scale", "multiply", neurons)
    return rows


def _live_gate(layer: Layer) -> dict[Row, int]:
    """Per step, of a gain that depends on the data, and of the batch norm that cannot fold through it."""
    neurons, channels = layer.neurons, layer.neuron_shape[0]
    gates = channels if layer.gate_axes == "channel" else 1
    return {
        ("gate", "add"): neurons,
        ("gate", "sigmoid"): gates,
        ("gate", "multiply"): neurons + gates,
        # per channel the mean is rescaled and shifted, and the gain is multiplied into the scale (binary weights only;
        # others hold it) and the bias
        ("scale", "multiply"): (3 if layer.scale == "explicit" else 2) * channels,
        ("scale", "add"): channels,
    }


def multiplies_branch(layer: Layer) -> bool:
    """Whether a branch into another layer's current has a factor per channel that its weights cannot carry.

    Real weights take the factor up; with +-1 weights (and zeros) every event adds plus or minus the factor. Integer
    weights take N multiplies per step instead (docs/definitions.md, 6).
    """
    return bool(layer.weights) and layer.joins is not None and layer.weight_kind == "integer" and layer.scale != "none"


def _check_gate(layer: Layer) -> None:
    """Refuse a gate whose operations have no rule."""
    if layer.gate is None:
        return
    if layer.neuron is None:
        raise InvalidInput(
            f"layer {layer.name!r} has a {layer.gate} gate but no neurons; put the gate on the layer that it joins"
        )
    if layer.gate == "per_step" and not NEURON_MODELS[layer.neuron].spikes:
        raise InvalidInput(
            f"layer {layer.name!r} is a readout with a per_step gate, which has no leak or threshold to fold into; "
            f"fold a constant gain into its weights, or gate spiking layers only"
        )


def _readout_rows(layer: Layer, shape: tuple[int, int]) -> dict[Row, Counts]:
    """What a readout does once per inference: start its sums at the bias, rescale them, find the largest."""
    first, last = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    first[0] = last[-1] = 1
    rows = {("readout", "compare"): last * (layer.neurons - 1)}
    if layer.bias:
        rows["bias", "add"] = first * layer.neurons
    if layer.scale == "explicit":
        rows["scale", "multiply"] = last * layer.neurons
    return rows
