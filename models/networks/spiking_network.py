"""Spiking networks whose weight width and gate are arguments: one code path for the twin, the BSNN and the controls."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...sim.errors import InvalidInput
from ...sim.network import workload as sim
from .agmm import Gate, GateConfig
from .blocks import Block, Merge, Recurrent, Shortcut, Synapses, convolution, linear
from .layouts import NETWORKS, RESIDUALS, Node, scaled, shapes
from .neurons import Neurons
from .workloads import WEIGHT_KINDS, describe, recurrent_name, shortcut_name

__all__ = ["NETWORKS", "Block", "Merge", "NetworkConfig", "Neurons", "SpikingNetwork"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Everything that fixes a network's structure.

    Attributes
    ----------
    network : str
        A key of `NETWORKS`.
    input_shape : tuple of int
        Channels, height, width of one input at one step; features alone where the network reads vectors.
    classes, steps : int
    input_kind : {'spike', 'analog', ...}
        Declared kind of the input (see `sim.network.workload`).
    held_input : bool
        Every step sees the same input.
    weight_bits : {1, 8, 32}
        1: binary between the first layer and the classifier, which stay float, as do the 1 x 1 convolutions of
        shortcuts; 8: every layer integer, made from a trained float network and not trainable; 32: float.
    gate : GateConfig or None
        The gate in front of every spiking population, on its whole current.
    width : float
        Factor on the number of channels.
    threshold, leak : float
        V_th and lambda of ``u[t] = lambda (u[t-1] - V_th s[t-1]) + X[t]``, ``s[t] = u[t] > V_th``.
    residual : {'current', 'graded', 'and', 'or'}
        Of networks with branches: summed before the neuron, so that spikes stay 0/1 (tdBN, arXiv 2011.05280), or
        spikes merged behind the neurons, element by element (SEW, arXiv 2102.04159).
    """

    network: str = "csnn"
    input_shape: tuple[int, ...] = (2, 16, 16)
    classes: int = 10
    steps: int = 10
    input_kind: str = "spike"
    held_input: bool = False
    weight_bits: int = 32
    gate: GateConfig | None = None
    width: float = 1.0
    threshold: float = 1.0
    leak: float = 0.5
    residual: str = "current"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise InvalidInput(f"network {self.network!r} is not known; use one of {', '.join(NETWORKS)}")
        if self.weight_bits not in WEIGHT_KINDS:
            raise InvalidInput(
                f"network: weight_bits is {self.weight_bits!r}; use one of {', '.join(map(str, WEIGHT_KINDS))}"
            )
        allowed = RESIDUALS if NETWORKS[self.network].residual else RESIDUALS[:1]
        if self.residual not in allowed:
            raise InvalidInput(
                f"network {self.network!r}: residual is {self.residual!r}; use one of {', '.join(allowed)}"
            )
        shapes(self.network, self.nodes, self.input_shape)

    @property
    def nodes(self) -> list[Node]:
        """Its populations and merges, at its width, in the order they are computed."""
        return scaled(NETWORKS[self.network].nodes(self.residual), self.width)


class SpikingNetwork(nn.Module):
    """Populations and a classifier, built from a `NetworkConfig`.

    Synapses, batch norm and pooling run on all steps at once, as one batch of ``steps * batch`` inputs in time-major
    order; only the neurons loop over the steps, and the self-connections of recurrent layers. No layer but the
    classifier has a bias: batch norm follows.

    Attributes
    ----------
    blocks : ModuleDict of Block
        By population, in the order they are computed.
    merges : ModuleDict of Merge
        By signal.
    classifier : module
    nodes : list of Node
        What is computed, in order.
    pools_last : bool
        Whether the classifier reads the spatial mean of the last maps.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.nodes = config.nodes
        self._shapes = shapes(config.network, self.nodes, config.input_shape)
        self.blocks, self.merges = nn.ModuleDict(), nn.ModuleDict()
        for index, node in enumerate(self.nodes):
            if node.kind == "merge":
                self.merges[node.name] = Merge(node.mode)
            else:
                self.blocks[node.name] = self._block(node, first=index == 0)
        bits, last = 8 if config.weight_bits == 8 else 32, self._shapes[self.nodes[-1].name]
        pooled = self.pools_last = NETWORKS[config.network].pooled
        inputs = last[0] if pooled else math.prod(last)
        self.classifier = linear(bits, inputs, config.classes, pooled=pooled, bias=True)

    def _block(self, node: Node, first: bool) -> Block:
        config, before = self.config, self._shapes[node.source]
        bits = 32 if config.weight_bits == 1 and (first or node.float_weights) else config.weight_bits
        conv: Synapses
        if node.kind == "conv":
            conv = convolution(bits, before[0], node.channels, node.kernel, node.stride)
        else:
            inputs = before[0] if node.pooled else math.prod(before)
            conv = linear(bits, inputs, node.channels, pooled=node.pooled, bias=False)
        return Block(
            conv,
            node.channels,
            node.pool,
            config.gate,
            config.steps,
            config.threshold,
            config.leak,
            self._shortcut(node),
            Recurrent(config.weight_bits, node.channels) if node.kind == "recurrent" else None,
        )

    def _shortcut(self, node: Node) -> Shortcut | None:
        if node.shortcut is None:
            return None
        if node.shortcut == "identity":
            return Shortcut(None, node.channels)
        bits = 8 if self.config.weight_bits == 8 else 32
        inputs = self._shapes[str(node.other)][0]
        return Shortcut(convolution(bits, inputs, node.channels, 1, node.shortcut_stride), node.channels)

    def _blocks(self) -> Iterator[tuple[Node, Block]]:
        for node in self.nodes:
            if node.kind != "merge":
                block = self.blocks[node.name]
                assert isinstance(block, Block)
                yield node, block

    @property
    def gates(self) -> dict[str, Gate]:
        """The gate of every block that has one, by block."""
        return {node.name: block.gate for node, block in self._blocks() if block.gate is not None}

    @property
    def synapses(self) -> dict[str, nn.Module]:
        """The layers with weights by name, each block's own first, then its shortcut's or its self-connections."""
        found: dict[str, nn.Module] = {}
        for node, block in self._blocks():
            found[node.name] = block.conv
            if block.shortcut is not None and block.shortcut.conv is not None:
                found[shortcut_name(node.name)] = block.shortcut.conv
            if block.recurrent is not None:
                found[recurrent_name(node.name)] = block.recurrent.synapses
        return {**found, "classifier": self.classifier}

    @property
    def binarised(self) -> tuple[str, ...]:
        """Names of the layers that are binary in a BSNN: all but the first, shortcuts and the classifier."""
        float_weights = {self.nodes[0].name, *(node.name for node in self.nodes if node.float_weights)}
        float_weights |= {shortcut_name(node.name) for node in self.nodes} | {"classifier"}
        return tuple(name for name in self.synapses if name not in float_weights)

    def populations(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield each population's name and its spikes (steps, batch, *shape), and last ``"classifier"`` and logits."""
        steps = len(x)
        x = x.flatten(0, 1)
        signals = {sim.INPUT: x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x}
        last_use = {name: node.name for node in self.nodes for name in (node.source, node.other) if name}
        for node in self.nodes:
            read, other = signals[node.source], signals.get(node.other or "")
            if node.kind == "merge":
                x = self.merges[node.name](read, other)
            else:
                vectors = node.kind in ("linear", "recurrent") and not node.pooled
                x = self.blocks[node.name](read.flatten(1) if vectors else read, steps, other)
            signals[node.name] = x
            for name in [name for name in signals if last_use.get(name) == node.name]:
                del signals[name]  # no later node reads it
            if node.kind != "merge":
                yield node.name, x.view(steps, -1, *x.shape[1:])
        logits = self.classifier(x if self.pools_last else x.flatten(1))
        yield "classifier", logits.view(steps, -1, logits.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes), the mean over steps; ``x`` is (steps, batch, *input_shape)."""
        *_, (_, logits) = self.populations(x)
        return logits.mean(0)

    def workload(self) -> sim.Workload:
        """This network as data for counting and simulation, zero weights included."""
        return describe(self)

    @property
    def readers(self) -> dict[str, nn.Module]:
        """By signal, a module whose first argument is that signal."""
        found: dict[str, nn.Module] = {}
        for node in self.nodes:
            found[node.source] = self.merges[node.name] if node.kind == "merge" else self.synapses[node.name]
        return {**found, self.nodes[-1].name: self.classifier}

    @property
    def emitters(self) -> dict[str, nn.Module]:
        """By signal but the input, the module that returns it."""
        return {**dict(self.blocks.items()), **dict(self.merges.items())}
