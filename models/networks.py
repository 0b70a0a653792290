"""Spiking convolutional networks whose weight width and gate are arguments: one code path for twin and BSNN."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from norse.torch import LIFBoxCell
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..sim import workload as sim
from ..sim.errors import InvalidInput
from .agmm import Gate, GateConfig
from .binary import BinaryConv2d
from .integer import IntegerConv2d, IntegerPooledLinear

WEIGHT_BITS = {1: "binary", 8: "integer", 32: "float"}

# (channels, size of the average pooling after the convolution) of each 3 x 3 convolution
NETWORKS: dict[str, tuple[tuple[int, int], ...]] = {
    # 16C3-AP2-32C3-AP2-32C3-GAP-FC
    "csnn": ((16, 2), (32, 2), (32, 1)),
    # 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-GAP-FC (Liang et al., BSO, ICML 2025)
    "vgg11": ((64, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2), (512, 1), (512, 1)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Everything that fixes a network's structure.

    Attributes
    ----------
    network : str
        A key of `NETWORKS`.
    input_shape : tuple of int
        Channels, height, width of one input at one step.
    classes, steps : int
    input_kind : {'spike', 'analog', ...}
        Declared kind of the input (see `spikejoule.sim.workload`).
    held_input : bool
        Every step sees the same input.
    weight_bits : {1, 8, 32}
        1: binary between the first convolution and the classifier, which stay float; 8: every layer integer, made
        from a trained float network and not trainable; 32: float.
    gate : GateConfig or None
        The gate in front of every spiking population.
    width : float
        Factor on the number of channels.
    threshold, leak : float
        V_th and lambda of ``u[t] = lambda (u[t-1] - V_th s[t-1]) + X[t]``, ``s[t] = u[t] > V_th``.
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

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise InvalidInput(f"network {self.network!r} is not known; use one of {', '.join(NETWORKS)}")
        if self.weight_bits not in WEIGHT_BITS:
            raise InvalidInput(
                f"network: weight_bits is {self.weight_bits!r}; use one of {', '.join(map(str, WEIGHT_BITS))}"
            )
        if len(self.input_shape) != 3:
            raise InvalidInput(
                f"network {self.network!r}: input shape {self.input_shape} is not (channels, height, width)"
            )


class Neurons(nn.Module):
    """A population of leaky integrate-and-fire neurons with soft reset, stepped through all time steps.

    ``u[t] = lambda (u[t-1] - V_th s[t-1]) + X[t]``, ``s[t] = 1 if u[t] > V_th else 0``, from ``u = 0``. Norse's box
    neuron obeys it with ``dt tau_mem_inv = 1 - lambda`` and input ``X / (1 - lambda)``. The surrogate gradient is the
    triangle ``max(0, 1 - |u - V_th|)`` (Esser et al. 2016, doi:10.1073/pnas.1604850113).
    """

    def __init__(self, threshold: float, leak: float) -> None:
        super().__init__()
        self.leak = leak
        parameters = LIFBoxParameters(
            tau_mem_inv=torch.as_tensor(1.0 - leak),
            v_th=torch.as_tensor(threshold),
            method="triangle",
            alpha=1.0,
            reset_method=reset_subtract,
        )
        self.cell = LIFBoxCell(parameters, dt=1.0)

    def forward(self, current: Tensor) -> Tensor:
        """Spikes 0/1 of the same shape as ``current`` (steps, batch, *neurons)."""
        state, spikes = None, []
        for step in current / (1.0 - self.leak):
            emitted, state = self.cell(step, state)
            spikes.append(emitted)
        return torch.stack(spikes)


class PooledLinear(nn.Linear):
    """Classifier on the spatial mean of spike maps: ``(n, channels, height, width)`` to ``(n, classes)``."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x.mean(dim=(2, 3)), self.weight, self.bias)


class Block(nn.Module):
    """Convolution, batch norm, average pooling of the current, gate, neurons."""

    def __init__(self, conv: nn.Conv2d | IntegerConv2d, channels: int, pool: int, config: NetworkConfig) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(channels)
        self.pool_size = pool
        self.pool = nn.AvgPool2d(pool) if pool > 1 else None
        self.gate = None if config.gate is None else Gate(config.gate, config.steps)
        self.neurons = Neurons(config.threshold, config.leak)

    def current(self, x: Tensor, steps: int) -> Tensor:
        """The current before the gate, (steps, batch, channels, height, width); ``x`` is (steps * batch, ...)."""
        x = self.norm(self.conv(x))
        x = x if self.pool is None else self.pool(x)
        return x.view(steps, -1, *x.shape[1:])

    def forward(self, x: Tensor, steps: int) -> Tensor:
        current = self.current(x, steps)
        spikes: Tensor = self.neurons(current if self.gate is None else self.gate(current))
        return spikes.flatten(0, 1)


class SpikingNetwork(nn.Module):
    """A feed-forward stack of `Block` and a classifier, built from a `NetworkConfig`.

    Convolutions, batch norm and pooling run on all steps at once, as one batch of ``steps * batch`` maps in time-major
    order; only the neurons loop over the steps. The convolutions have no bias: batch norm follows.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        blocks: dict[str, Block] = {}
        channels = config.input_shape[0]
        for index, (out, pool) in enumerate(NETWORKS[config.network], start=1):
            out = max(1, round(out * config.width))
            kind = {1: BinaryConv2d if index > 1 else nn.Conv2d, 8: IntegerConv2d, 32: nn.Conv2d}[config.weight_bits]
            conv = kind(channels, out, kernel_size=3, padding=1, bias=False)
            blocks[f"conv{index}"] = Block(conv, out, pool, config)
            channels = out
        self.blocks = nn.ModuleDict(blocks)
        self.classifier = (IntegerPooledLinear if config.weight_bits == 8 else PooledLinear)(channels, config.classes)

    def _blocks(self) -> Iterator[tuple[str, Block]]:
        for name, block in self.blocks.items():
            assert isinstance(block, Block)
            yield name, block

    @property
    def gates(self) -> dict[str, Gate]:
        """The gate of every block that has one, by block."""
        return {name: block.gate for name, block in self._blocks() if block.gate is not None}

    @property
    def synapses(self) -> dict[str, nn.Module]:
        """The layers with weights by name, in order; each sees what the previous population emits."""
        return {**{name: block.conv for name, block in self._blocks()}, "classifier": self.classifier}

    @property
    def binarised(self) -> tuple[str, ...]:
        """Names of the layers that are binary in a BSNN: all but the first convolution and the classifier."""
        return tuple(self.blocks)[1:]

    def populations(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield each population's name and its spikes (steps, batch, *shape), and last ``"classifier"`` and logits."""
        steps = len(x)
        x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        for name, block in self._blocks():
            x = block(x, steps)
            yield name, x.view(steps, -1, *x.shape[1:])
        logits = self.classifier(x)
        yield "classifier", logits.view(steps, -1, logits.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, classes), the mean over steps; ``x`` is (steps, batch, *input_shape)."""
        *_, (_, logits) = self.populations(x)
        return logits.mean(0)

    def workload(self) -> sim.Workload:
        """This network as data for counting and simulation, zero weights included."""
        layers: list[sim.Layer] = []
        shape, source, kind = self.config.input_shape, sim.INPUT, self.config.input_kind
        for name, block in self._blocks():
            layers.append(_conv_layer(name, block, shape, source, kind))
            shape, source, kind = layers[-1].neuron_shape, name, "spike"
        integer = self.config.weight_bits == 8
        layers.append(
            sim.Linear(
                name="classifier",
                in_shape=shape,
                out_features=self.config.classes,
                pooled=True,
                source=source,
                weight_kind="integer" if integer else "float",
                nonzero=_nonzero(self.classifier),
                neuron="readout",
                bias=True,
                # per-class scales meet no threshold to fold into; float weights carry theirs
                scale="explicit" if integer else "none",
                channel_vectors=2 if integer else 1,
            )
        )
        return sim.Workload(
            name=self.config.network,
            input_shape=self.config.input_shape,
            input_kind=self.config.input_kind,
            held_input=self.config.held_input,
            layers=tuple(layers),
        )


def _conv_layer(name: str, block: Block, shape: tuple[int, ...], source: str, kind: str) -> sim.Conv2d:
    conv, gate = block.conv, None if block.gate is None else block.gate.config
    weight_kind = {BinaryConv2d: "binary", IntegerConv2d: "integer"}.get(type(conv), "float")
    live = gate is not None and gate.kind == "agmm"
    return sim.Conv2d(
        name=name,
        in_shape=shape,
        out_channels=conv.out_channels,
        kernel_size=3,
        padding=1,
        input_kind=kind,
        weight_kind=weight_kind,
        nonzero=_nonzero(conv),
        source=source,
        pool=None if block.pool is None else sim.AveragePool(kernel_size=(block.pool_size, block.pool_size)),
        bias=True,
        # a data-dependent gain stands between batch norm and the threshold: only float weights can take the scale up
        scale="explicit" if live and weight_kind != "float" else "folded",
        gate={"agmm": "live", "alpha": "per_step"}.get(gate.kind) if gate is not None else None,
        gate_axes=gate.axes if gate is not None else "channel",
        channel_vectors=2,  # batch norm's gamma and beta; the mean and variance fold into them
    )


def _nonzero(module: nn.Module) -> NDArray[np.bool_] | None:
    """Where the weights that are used at inference are not zero; None if none is."""
    if isinstance(module, BinaryConv2d):
        return None
    weight = module.weight
    assert isinstance(weight, Tensor)
    mask = np.ascontiguousarray(weight.detach().numpy() != 0)
    return None if mask.all() else mask
