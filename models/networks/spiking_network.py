"""Spiking networks whose weight width and gate are arguments: one code path for the twin, the BSNN and the controls."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...sim.network import workload as sim
from .agmm import Gate
from .blocks import Block, Merge, Recurrent, Shortcut, Synapses, convolution, linear
from .layouts import NETWORKS, Node, shapes
from .network_config import NetworkConfig
from .workloads import describe, recurrent_name, shortcut_name


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
        return describe(self.config, self.blocks, self.classifier)

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
