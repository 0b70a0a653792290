"""The sizes of a layer that published formulas are written in, and what they ask of a recorded trace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...sim.counting.operations import OperationCounts
from ...sim.errors import InvalidInput
from ...sim.network.workload import INPUT, NEURON_MODELS, Conv2d, Layer, Linear

SPIKING_INPUTS = ("spike", "signed_spike")


@dataclass(frozen=True, kw_only=True)
class ConvShape:
    """A two-dimensional convolution as the papers write it: no padding is told apart, every output has all its taps.

    Attributes
    ----------
    in_channels, out_channels, groups : int
    in_size, out_size, kernel, stride : (int, int)
        Height and width.
    """

    in_channels: int
    out_channels: int
    in_size: tuple[int, int]
    out_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        sizes = (self.in_channels, self.out_channels, self.groups)
        for value in (*sizes, *self.in_size, *self.out_size, *self.kernel, *self.stride):
            require("convolution size", value, value > 0, "positive")
        for name, channels in (("in_channels", self.in_channels), ("out_channels", self.out_channels)):
            require(name, channels, channels % self.groups == 0, f"a multiple of groups = {self.groups}")

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def inputs(self) -> int:
        return self.in_channels * math.prod(self.in_size)

    @property
    def outputs(self) -> int:
        return self.out_channels * math.prod(self.out_size)

    @property
    def targets(self) -> int:
        """Output channels that one input channel reaches."""
        return self.out_channels // self.groups

    @property
    def weights(self) -> int:
        return self.in_channels * self.targets * self.taps

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one dense pass, padding included: ``C_in C_out k^2 H_out W_out / groups``."""
        return self.weights * math.prod(self.out_size)


@dataclass(frozen=True, kw_only=True)
class LinearShape:
    """A fully connected layer.

    ``shared`` inputs meet the same stored weight (global average pooling folded into the classifier); else 1.
    """

    inputs: int
    outputs: int
    shared: int = 1

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs", "shared"):
            require(name, getattr(self, name), getattr(self, name) > 0, "positive")
        require("inputs", self.inputs, self.inputs % self.shared == 0, f"a multiple of shared = {self.shared}")

    @property
    def weights(self) -> int:
        return self.inputs // self.shared * self.outputs

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one dense pass: ``N_in N_out``."""
        return self.inputs * self.outputs


Shape = ConvShape | LinearShape


@dataclass(frozen=True)
class LayerActivity:
    """What a trace says of one layer with weights; counts are means per inference.

    Attributes
    ----------
    layer : Layer
    shape : ConvShape or LinearShape
    steps : int
    events_in : float
        Non-zero inputs over all steps (theta_{l-1} in Lemaire's notation).
    spikes_out : float
        Spikes of its neurons over all steps (theta_l); 0 for a readout or a layer that joins another.
    sops : float
        Exact synaptic operations: pairs of a non-zero input and a weight in range.
    dense : int
        Weights in range per step, whatever the input.
    held : bool
        Whether it reads an input that is the same at every step.
    """

    layer: Layer
    shape: Shape
    steps: int
    events_in: float
    spikes_out: float
    sops: float
    dense: int
    held: bool

    @property
    def spiking_input(self) -> bool:
        return self.layer.input_kind in SPIKING_INPUTS

    @property
    def rate_in(self) -> float:
        """Share of non-zero inputs per step, 0..1: the firing rate of the layer's input."""
        return self.events_in / (self.shape.inputs * self.steps)

    @property
    def neurons(self) -> int:
        """Neurons it feeds; 0 for a layer that joins another layer's current."""
        return 0 if self.layer.neuron is None else self.layer.neurons

    @property
    def leaky(self) -> bool:
        return self.layer.neuron is not None and NEURON_MODELS[self.layer.neuron].multiplies > 0

    @property
    def spikes(self) -> bool:
        return self.layer.neuron is not None and NEURON_MODELS[self.layer.neuron].spikes


def activities(counts: OperationCounts) -> list[LayerActivity]:
    """Every layer with weights of a counted trace, in the order they are computed.

    Raises
    ------
    InvalidInput
        For a layer with weights that is neither a `Conv2d` nor a `Linear`: the published formulas name no other.
    """
    result = []
    for layer in counts.workload.layers:
        if layer.weights == 0:  # pooling, sums and the like: no formula here counts them
            continue
        operations = counts.layers[layer.name]
        spikes = operations.spikes if layer.neuron is not None else None
        result.append(
            LayerActivity(
                layer=layer,
                shape=shape_of(layer),
                steps=counts.steps,
                events_in=int(operations.synaptic.events.sum()) / counts.samples,
                spikes_out=0.0 if spikes is None else int(spikes.sum()) / counts.samples,
                sops=int(operations.synaptic.all_weights.sum()) / counts.samples,
                dense=operations.synaptic.dense,
                held=counts.workload.held_input and layer.source == INPUT,
            )
        )
    return result


def shape_of(layer: Layer) -> Shape:
    """The sizes of a layer of a workload."""
    if isinstance(layer, Conv2d):
        return ConvShape(
            in_channels=layer.in_shape[0],
            out_channels=layer.out_shape[0],
            in_size=_pair(layer.in_shape[1:]),
            out_size=_pair(layer.out_shape[1:]),
            kernel=_pair(layer.kernel_size),
            stride=_pair(layer.stride),
            groups=layer.groups,
        )
    if isinstance(layer, Linear):
        shared = layer.inputs // layer.in_shape[0] if layer.pooled else 1
        return LinearShape(inputs=layer.inputs, outputs=layer.out_features, shared=shared)
    raise InvalidInput(
        f"layer {layer.name!r}: the published formulas know Conv2d and Linear, not {type(layer).__name__}; "
        f"use an accelerator (spikejoule estimate --accelerator) for this network"
    )


def require(name: str, value: object, ok: bool, allowed: str) -> None:
    """Refuse a value that a formula is not defined for."""
    if not ok:
        raise InvalidInput(f"{name} is {value!r}; it must be {allowed}")


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, second = value
    return first, second
