"""A spiking network as data: its synapses, shortcuts, merges and classifier as layers for counting and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from ...sim.network import workload as sim
from .binary_weights import BinaryConv2d, BinaryLinear
from .blocks import Block
from .integer_weights import IntegerConv2d, IntegerLinear
from .layouts import NETWORKS, Node
from .network_config import NetworkConfig


def shortcut_name(population: str) -> str:
    """Name of the layer that is the shortcut into a population's current: ``s1b1_conv2`` -> ``s1b1_skip``."""
    return population.rpartition("_")[0] + "_skip"


def recurrent_name(population: str) -> str:
    """Name of the layer that is a population's self-connections."""
    return population + "_recurrent"


def describe(config: NetworkConfig, blocks: nn.ModuleDict, classifier: nn.Module) -> sim.Workload:
    """The workload of a network: every layer with what it reads, and where scale, bias and gate went.

    Parameters
    ----------
    config : NetworkConfig
    blocks : ModuleDict of Block
        By population.
    classifier : module

    Notes
    -----
    Batch norm, the 1/size of pooling and constant gains fold into threshold and bias. Where two branches with scales
    of their own meet in one current, the scale of the population's own layer goes there, and the other branch keeps a
    constant per channel, which its weights carry: a shortcut's spikes add that constant, binary self-connections add or
    subtract it (docs/definitions.md, 6). These are the layer's synaptic operations; no further ones are executed, but
    for integer weights, whose sum is multiplied by it (`multiplies_branch`).
    """
    nodes, layers, signals = config.nodes, list[sim.Layer](), {}
    signals[sim.INPUT] = (config.input_shape, config.input_kind)
    for node in nodes:
        shape, kind = signals[node.source]
        other = signals.get(node.other or "")
        if node.kind == "merge":
            assert other is not None
            layers.append(
                sim.Add(
                    name=node.name,
                    source=node.source,
                    in_shape=shape,
                    input_kind=kind,
                    others=(str(node.other),),
                    other_kinds=(other[1],),
                    mode=node.mode,
                )
            )
        else:
            block = blocks[node.name]
            assert isinstance(block, Block)
            layers.append(_own_layer(node, block, shape, kind))
            layers += _branches(node, block, layers[-1], other)
        emitted = next(layer for layer in layers if layer.name == node.name)
        signals[node.name] = (emitted.neuron_shape, emitted.output_kind)
    shape, kind = signals[nodes[-1].name]
    layers.append(_classifier(config, classifier, nodes[-1].name, shape, kind))
    return sim.Workload(
        name=config.network,
        input_shape=config.input_shape,
        input_kind=config.input_kind,
        held_input=config.held_input,
        layers=tuple(layers),
    )


def _own_layer(node: Node, block: Block, shape: tuple[int, ...], kind: str) -> sim.Layer:
    gate = None if block.gate is None else block.gate.config
    live = gate is not None and gate.kind == "agmm"
    weights = _weights(block.conv)
    common: dict[str, Any] = {
        "name": node.name,
        "in_shape": shape,
        "input_kind": kind,
        "source": node.source,
        "bias": True,
        # a data-dependent gain stands between batch norm and the threshold: only float weights can take the scale up
        "scale": "explicit" if live and weights["weight_kind"] != "float" else "folded",
        "gate": {"agmm": "live", "alpha": "per_step"}.get(gate.kind) if gate is not None else None,
        "gate_axes": gate.axes if gate is not None else "channel",
        "channel_vectors": 2,  # batch norm's gamma and beta; the mean and variance fold into them
        **weights,
    }
    if node.kind != "conv":
        return sim.Linear(out_features=node.channels, pooled=node.pooled, **common)
    pool = None if block.pool is None else sim.AveragePool(kernel_size=(block.pool_size, block.pool_size))
    return _conv2d(node.channels, node.kernel, node.stride, pool=pool, **common)


def _branches(node: Node, block: Block, own: sim.Layer, other: tuple[tuple[int, ...], str] | None) -> list[sim.Layer]:
    """Layers that join a population's current: its shortcut, its self-connections."""
    joined: dict[str, Any] = {"joins": node.name, "neuron": None}
    if block.recurrent is not None:
        return [
            sim.RecurrentLinear(
                name=recurrent_name(node.name),
                source=node.name,
                joins=node.name,
                in_shape=own.neuron_shape,
                out_features=own.neurons,
                scale="folded",
                channel_vectors=1,  # its factor per neuron
                **_weights(block.recurrent.synapses),
            )
        ]
    if block.shortcut is None or other is None:
        return []
    shape, kind = other
    joined |= {"name": shortcut_name(node.name), "source": node.other, "in_shape": shape, "input_kind": kind}
    if block.shortcut.conv is None:
        return [sim.Identity(**joined)]
    weights = _weights(block.shortcut.conv)
    stride = node.shortcut_stride
    return [_conv2d(node.channels, 1, stride, scale="folded", channel_vectors=2, **joined, **weights)]


def _conv2d(channels: int, kernel: int, stride: int, **common: Any) -> sim.Conv2d:
    return sim.Conv2d(out_channels=channels, kernel_size=kernel, stride=stride, padding=kernel // 2, **common)


def _classifier(
    config: NetworkConfig, classifier: nn.Module, source: str, shape: tuple[int, ...], kind: str
) -> sim.Linear:
    integer = config.weight_bits == 8
    return sim.Linear(
        name="classifier",
        in_shape=shape,
        input_kind=kind,
        out_features=config.classes,
        pooled=NETWORKS[config.network].pooled,
        source=source,
        neuron="readout",
        bias=True,
        # per-class scales meet no threshold to fold into; float weights carry theirs
        scale="explicit" if integer else "none",
        channel_vectors=2 if integer else 1,
        **_weights(classifier),
    )


def _weights(module: nn.Module) -> dict[str, Any]:
    """Kind of the weights that are used at inference, and where they are not zero."""
    if isinstance(module, BinaryConv2d | BinaryLinear):
        return {"weight_kind": "binary", "nonzero": None}
    kind = "integer" if isinstance(module, IntegerConv2d | IntegerLinear) else "float"
    return {"weight_kind": kind, "nonzero": _nonzero(module)}


def _nonzero(module: nn.Module) -> NDArray[np.bool_] | None:
    """None if no weight is zero."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    mask = np.ascontiguousarray(weight.detach().cpu().numpy() != 0)
    return None if mask.all() else mask
