"""Parameters for the replay of a trained network, in float64: whatever can be folded is folded, nothing else moved."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ..sim.errors import InvalidInput
from ..sim.layers import INPUT, Layer
from ..sim.parameters import LayerParameters
from ..sim.workload import Linear
from .agmm import Gate
from .binary import BinaryConv2d, BinaryLinear, binarise
from .blocks import Block, PooledBinaryLinear, PooledLinear
from .integer import IntegerConv2d, IntegerLinear, IntegerPooledLinear
from .networks import NetworkConfig, SpikingNetwork

Values = NDArray[np.float64]
_FLOAT = (nn.Conv2d, nn.Linear, PooledLinear)
_BINARY = (BinaryConv2d, BinaryLinear, PooledBinaryLinear)
_INTEGER = (IntegerConv2d, IntegerLinear, IntegerPooledLinear)


def replay_parameters(model: nn.Module) -> dict[str, LayerParameters]:
    """What `spikejoule.sim.replay.replay` needs to run a network of this package again without torch.

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
    workload, config = model.workload(), model.config
    blocks: dict[str, Any] = dict(model.blocks.items())
    sources = [INPUT, *blocks]
    for layer, source in zip(workload.layers, sources, strict=False):
        if layer.source != source or layer.joins is not None or len(layer.sources) > 1:
            joined = f" and joins {layer.joins}" if layer.joins else ""
            raise InvalidInput(
                f"replay parameters: network {config.network!r} is no plain stack of blocks (layer {layer.name!r} "
                f"reads {', '.join(layer.sources)}{joined}); it has no rule here"
            )
    if [layer.name for layer in workload.layers] != [*blocks, "classifier"]:
        raise InvalidInput(f"replay parameters: network {config.network!r} has layers beside its blocks and classifier")
    result = {name: _block(block, workload.layer(name), config) for name, block in blocks.items()}
    result["classifier"] = _readout(model.classifier, workload.layer("classifier"), config.steps)
    return result


def _block(block: Any, layer: Layer, config: NetworkConfig) -> LayerParameters:
    norm: Any = getattr(block, "norm", None)
    gate: Gate | None = getattr(block, "gate", None)
    known = type(block) is Block and type(norm) in (nn.BatchNorm2d, nn.BatchNorm1d) and norm.track_running_stats
    if not known:
        raise InvalidInput(
            f"replay parameters: block {layer.name!r} of {config.network!r} ({type(block).__name__} with "
            f"{type(norm).__name__}) has no rule here; it must be a Block with batch norm"
        )
    if layer.neuron not in ("lif_soft", "lif_hard", "if_soft", "if_hard"):
        raise InvalidInput(f"replay parameters: neurons {layer.neuron!r} of layer {layer.name!r} have no rule here")
    weights, scale, bias = _weights(block.conv, layer)
    factor = _numpy(norm.weight) / np.sqrt(_numpy(norm.running_var) + norm.eps)
    bias = (bias - _numpy(norm.running_mean)) * factor + _numpy(norm.bias)
    scale = scale * factor / (_pooled(layer) * (1 if layer.pool is None else math.prod(layer.pool.kernel_size)))
    leak = config.leak if layer.neuron.startswith("lif") else 1.0
    own = LayerParameters(weights=weights, scale=scale, bias=bias, leak=leak, threshold=config.threshold)
    return own if gate is None else _gated(own, gate, layer)


def _gated(own: LayerParameters, gate: Gate, layer: Layer) -> LayerParameters:
    alpha = _numpy(gate.alpha)
    if gate.config.kind == "agmm":
        return replace(own, gain=alpha)
    if gate.config.kind == "constant":
        gain = 0.5 * float(alpha[0])
        return replace(own, scale=np.asarray(own.scale) * gain, bias=np.asarray(own.bias) * gain)
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
