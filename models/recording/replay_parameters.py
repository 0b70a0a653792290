"""Parameters for the replay of a trained network, in float64: whatever can be folded is folded, nothing else moved."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ...sim.errors import InvalidInput
from ...sim.network.layers import Layer
from ...sim.network.workload import Linear, Workload
from ...sim.replay.parameters import LayerParameters
from ...sim.replay.populations import feeding
from ..networks.agmm import Gate
from ..networks.binary_weights import BinaryConv2d, BinaryLinear, binarise
from ..networks.blocks import Block, Merge, PooledBinaryLinear, PooledLinear, Recurrent, Shortcut
from ..networks.integer_weights import IntegerConv2d, IntegerLinear, IntegerPooledLinear
from ..networks.network_config import NetworkConfig
from ..networks.spiking_network import SpikingNetwork
from ..networks.workloads import recurrent_name, shortcut_name

Values = NDArray[np.float64]
_FLOAT = (nn.Conv2d, nn.Linear, PooledLinear)
_BINARY = (BinaryConv2d, BinaryLinear, PooledBinaryLinear)
_INTEGER = (IntegerConv2d, IntegerLinear, IntegerPooledLinear)


def replay_parameters(model: nn.Module) -> dict[str, LayerParameters]:
    """What `replay` needs to run a network of this package again without torch.

    Parameters
    ----------
    model : SpikingNetwork
        Batch norm is taken as in evaluation mode.

    Returns
    -------
    mapping of layer name to LayerParameters
        Weights as they are (+-1, int8, real), and by output channel a scale: batch norm's ``gamma / sqrt(var + eps)``,
        quantisation, 1/size of average pooling and a constant gain. The bias ``beta - mean gamma / sqrt(var + eps)``
        takes the constant gain too. A gain g[t] that varies with the step becomes leak ``lambda g[t-1] / g[t]`` and
        threshold ``V / g[t]``, because ``u / g`` obeys the same recurrence (docs/definitions.md, 10); scale and bias of
        the current stay. An AGMM gate stays live: its alpha is the layer's ``gain``. The classifier's scale holds the
        1/size of its spatial mean, and its bias is added once, at the first step, for all steps.

        A layer that joins a population's current keeps its own scale, the other side of definitions.md, 6: batch norm's
        of a shortcut's convolution, a skip path's constant per channel, the factors of self-connections; a constant
        gain, which is on the whole current, is multiplied into it too. Its bias goes to the population's own layer.
        Merges of spikes between signals have no parameters.

    Raises
    ------
    InvalidInput
        A model of another kind, a network whose structure has no rule here, or a gain that is not positive at every
        step (its sign would turn the threshold round).
    """
    if not isinstance(model, SpikingNetwork):
        raise InvalidInput(
            f"replay parameters: {type(model).__name__} is no network of this package; give LayerParameters yourself"
        )
    workload, config, result = model.workload(), model.config, dict[str, LayerParameters]()
    for name, merge in model.merges.items():
        if type(merge) is not Merge:
            raise InvalidInput(f"replay parameters: merge {name!r} ({type(merge).__name__}) has no rule here")
    for name, block in model.blocks.items():
        result |= _block(block, workload, name, config)
    result["classifier"] = _readout(model.classifier, workload.layer("classifier"), config.steps)
    if result.keys() != {layer.name for layer in feeding(workload)}:
        raise InvalidInput(f"replay parameters: network {config.network!r} has layers beside its blocks and classifier")
    return result


def _block(block: Any, workload: Workload, name: str, config: NetworkConfig) -> dict[str, LayerParameters]:
    """A population's own layer and what joins it. One gate, one bias: both belong to the whole current."""
    layer, gate = workload.layer(name), getattr(block, "gate", None)
    _check_block(block, layer, config.network)
    weights, scale, bias = _normed(block.conv, block.norm, layer)
    scale = scale / (_pooled(layer) * (1 if layer.pool is None else math.prod(layer.pool.kernel_size)))
    branches = {}
    if block.shortcut is not None:
        joined = workload.layer(shortcut_name(name))
        branches[joined.name], more = _shortcut(block.shortcut, joined)
        bias = bias + more
    if block.recurrent is not None:
        joined = workload.layer(recurrent_name(name))
        back, factor, _ = _weights(block.recurrent.synapses, joined)
        branches[joined.name] = LayerParameters(weights=back, scale=factor * _numpy(block.recurrent.scale))
    leak = config.leak if str(layer.neuron).startswith("lif") else 1.0
    own = LayerParameters(weights=weights, scale=scale, bias=bias, leak=leak, threshold=config.threshold)
    if gate is None:
        return {name: own, **branches}
    if gate.config.kind == "constant":
        gain = 0.5 * float(_numpy(gate.alpha)[0])
        gained = {key: replace(each, scale=np.asarray(each.scale) * gain) for key, each in branches.items()}
        return {name: replace(own, scale=scale * gain, bias=bias * gain), **gained}
    return {name: _gated(own, gate, layer), **branches}


def _check_block(block: Any, layer: Layer, network: str) -> None:
    parts = [part for part in (getattr(block, name, None) for name in ("shortcut", "recurrent")) if part is not None]
    branches = [part for part in parts if type(part) is Shortcut and part.conv is not None]
    norms = [getattr(block, "norm", None), *(part.norm for part in branches)]
    known = type(block) is Block and all(type(part) in (Shortcut, Recurrent) for part in parts)
    if not known or not all(_is_batch_norm(norm) for norm in norms):
        kinds = " and ".join(type(part).__name__ for part in (*norms, *parts))
        raise InvalidInput(
            f"replay parameters: block {layer.name!r} of {network!r} ({type(block).__name__} with {kinds}) has no "
            f"rule here; it must be a Block with batch norm"
        )
    if layer.neuron not in ("lif_soft", "lif_hard", "if_soft", "if_hard"):
        raise InvalidInput(f"replay parameters: neurons {layer.neuron!r} of layer {layer.name!r} have no rule here")


def _is_batch_norm(norm: Any) -> bool:
    return type(norm) in (nn.BatchNorm2d, nn.BatchNorm1d) and bool(norm.track_running_stats)


def _normed(module: nn.Module, norm: Any, layer: Layer) -> tuple[Values, Values, Values]:
    """Weights as stored, and scale and bias by output channel behind batch norm."""
    weights, scale, bias = _weights(module, layer)
    factor = _numpy(norm.weight) / np.sqrt(_numpy(norm.running_var) + norm.eps)
    return weights, scale * factor, (bias - _numpy(norm.running_mean)) * factor + _numpy(norm.bias)


def _shortcut(shortcut: Shortcut, layer: Layer) -> tuple[LayerParameters, Values]:
    """A shortcut's weights and scale, and the bias that it adds to the population's own."""
    if shortcut.conv is None:  # every element is a channel of its own
        scale = np.repeat(_numpy(shortcut.scale), layer.neurons // len(shortcut.scale))
        return LayerParameters(weights=1.0, scale=scale), np.zeros(1)
    weights, scale, bias = _normed(shortcut.conv, shortcut.norm, layer)
    return LayerParameters(weights=weights, scale=scale), bias


def _gated(own: LayerParameters, gate: Gate, layer: Layer) -> LayerParameters:
    alpha = _numpy(gate.alpha)
    if gate.config.kind == "agmm":
        return replace(own, gain=alpha)
    if not (alpha > 0).all():
        raise InvalidInput(
            f"replay parameters: layer {layer.name!r} has a gain of {alpha.min():g}; one that varies with the step "
            f"folds into the threshold only where it is positive"
        )
    before = np.concatenate([alpha[:1], alpha[:-1]])  # the first leak acts on a potential of 0
    leak = np.asarray(own.leak) * (before / alpha)[:, None]
    return replace(own, leak=leak, threshold=np.asarray(own.threshold) / alpha[:, None])


def _readout(module: nn.Module, layer: Layer, steps: int) -> LayerParameters:
    weights, scale, bias = _weights(module, layer)
    constants = np.zeros((steps, len(weights)))
    constants[0] = steps * bias
    return LayerParameters(weights=weights, scale=scale / _pooled(layer), bias=constants)


def _pooled(layer: Layer) -> int:
    """Positions that a fully connected layer takes the mean of before its weights; 1 for all others."""
    return math.prod(layer.in_shape[1:]) if isinstance(layer, Linear) and layer.pooled else 1


def _weights(module: nn.Module, layer: Layer) -> tuple[Values, Values, Values]:
    """Weights as stored, scale and bias by output channel."""
    kind = type(module)
    if kind not in (*_FLOAT, *_BINARY, *_INTEGER):
        raise InvalidInput(f"replay parameters: layer {layer.name!r} ({kind.__name__}) has no rule here")
    weight: Tensor = module.weight  # type: ignore[assignment]  # a tensor in each of these kinds
    weights = _numpy(binarise(weight) if kind in _BINARY else weight)
    ones = np.ones(len(weights))
    scale, bias = getattr(module, "scale", None), getattr(module, "bias", None)
    return weights, ones if scale is None else _numpy(scale), 0 * ones if bias is None else _numpy(bias)


def _numpy(tensor: Tensor) -> Values:
    values: Values = tensor.detach().cpu().double().numpy()
    return values
