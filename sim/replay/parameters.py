"""What a replay needs to know of each layer, and the number in which potentials are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..display import brief
from ..errors import InvalidInput
from ..network.layers import Layer
from ..network.neuron_models import NEURON_MODELS
from .neuron_kernels import ROUNDINGS
from .populations import Population, scaled_weights


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerParameters:
    """What one layer needs beyond its geometry; a layer that passes values on between signals needs none.

    ``leak``, ``threshold`` and ``bias`` are one number, one per channel of the neurons, or ``(steps, channels)``. A
    layer that joins another only needs weights and their scale.

    A gain that varies with the step alone (gate ``per_step``) comes folded: leak ``lambda g[t-1] / g[t]`` and threshold
    ``V / g[t]``, both by step (docs/definitions.md, 10); a threshold that is not given by step is refused there. A gain
    that depends on the data (gate ``live``) cannot be folded: its ``alpha`` is given as ``gain``, which no other layer
    may have.

    Attributes
    ----------
    weights : array of the layer's ``weight_shape``
        As stored: +-1, integers, or real numbers. A skip path without weights takes one number.
    scale : array_like
        Factor on the weights, one number or one per output channel: batch norm, quantisation, constant gains, the
        1/size of average pooling. What an event adds is weight x scale.
    leak : array_like
        Factor on the potential per step; 1 for ``if_*`` neurons.
    threshold : array_like
        A neuron fires when its potential is strictly greater.
    bias : array_like
        Added to every neuron at every step.
    reset : float
        Potential after a spike, for ``*_hard`` neurons.
    gain : array_like or None
        ``alpha`` of a live gate, one number or one per step: the current X of a sample and step, bias included, becomes
        ``alpha[t] sigmoid(E(X)) X`` (Liang et al., AAAI-25, arXiv 2502.14344) with E the mean over space per channel,
        or over channels and space, as the layer's ``gate_axes`` says; never over samples.
    unit : array_like
        What one unit of current and potential stands for, one number or one per channel: the gate's mean is taken of
        current x unit. Without a gate it has no effect.
    """

    weights: ArrayLike
    scale: ArrayLike = 1.0
    leak: ArrayLike = 1.0
    threshold: ArrayLike = 1.0
    bias: ArrayLike = 0.0
    reset: float = 0.0
    gain: ArrayLike | None = None
    unit: ArrayLike = 1.0

    def __repr__(self) -> str:
        return brief(self)


@dataclass(frozen=True)
class Real:
    """float64 state.

    ``leak_frac_bits``: the potential is cut toward zero to that many bits after the point once it has leaked, before
    the current is added; None: no rounding. (SANA-FE's model of Loihi keeps 6.)
    """

    leak_frac_bits: int | None = None

    def __post_init__(self) -> None:
        if self.leak_frac_bits is not None and not 0 <= self.leak_frac_bits <= 52:
            raise InvalidInput(f"leak_frac_bits is {self.leak_frac_bits}; it must be from 0 to 52, or None")


@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """Saturating two's complement state of ``state_bits``, ``frac_bits`` of them after the point.

    Weights, biases, thresholds and reset values are rounded to the nearest such number (weights and biases may exceed
    the range of a state). The current of one step is summed exactly, in an accumulator that is wide enough: all events
    of all layers that feed the population, self-connections included, so that their order never matters. The leaked
    potential plus that current and the bias is cut to the range once per step. Each branch keeps its own scale: its
    weights x scale are rounded on their own, one by one, so a branch that is a constant per channel adds that constant
    as rounded. The leak factor has ``leak_bits`` bits after the point, and the product is rounded as ``leak_rounding``
    says ('nearest': ties up). The current that a layer makes of real inputs is rounded to the nearest number once per
    step and layer.

    Before a live gate the whole current, bias included, is cut to the range once per step, since a machine keeps it in
    an array of its own; the gain is computed in float64, and the gated current is rounded to the nearest number once.

    Not modelled: a machine that adds event by event, or branch by branch, into the state may saturate within a step as
    well, and there the order would matter.
    """

    state_bits: int
    frac_bits: int
    leak_rounding: Literal["floor", "nearest", "toward_zero"] = "toward_zero"
    leak_bits: int = 12

    def __post_init__(self) -> None:
        limits = {"state_bits": (2, 40), "frac_bits": (0, 30), "leak_bits": (0, 20)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be from {low} to {high}")
        if self.leak_rounding not in ROUNDINGS:
            raise InvalidInput(f"leak_rounding is {self.leak_rounding!r}; it must be one of {', '.join(ROUNDINGS)}")

    @property
    def lowest(self) -> int:
        return -(1 << (self.state_bits - 1))

    @property
    def highest(self) -> int:
        return (1 << (self.state_bits - 1)) - 1


Number = Real | FixedPoint


def binary_weights(words: NDArray[np.uint64], layer: Layer, scale: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Packed binary weights as numbers: bit 0 first in the order of the layer's weights, 1 for +1 and 0 for -1.

    ``scale`` is one number or one per output channel (of convolutions and fully connected layers).
    """
    bits = np.unpackbits(np.ascontiguousarray(words, "<u8").view(np.uint8), count=layer.weights, bitorder="little")
    signs = 2.0 * bits.reshape(layer.weight_shape) - 1.0
    factors = np.asarray(scale, np.float64)
    return signs * (factors if factors.ndim == 0 else factors.reshape(-1, *(1,) * (signs.ndim - 1)))


@dataclass(frozen=True, eq=False)
class Prepared:
    """One population with its parameters in the number it is kept in."""

    item: Population
    number: Number
    weights: tuple[NDArray, ...]
    leak: NDArray
    threshold: NDArray
    bias: NDArray
    reset: float | int
    gain: NDArray[np.float64] | None  # (1 or steps,) of a live gate
    unit: NDArray[np.float64]  # (channels,): what one last place of the state stands for (float64: one unit)

    @classmethod
    def prepare(
        cls, item: Population, parameters: Mapping[str, LayerParameters], number: Number, steps: int
    ) -> Prepared:
        for layer in item.synapses:
            _check_layer(layer, parameters)
        own = parameters[item.name]
        _check_gate(item.layer, own, steps)
        channels = item.layer.neuron_shape[0]
        leak, threshold, bias = (
            _per_channel(getattr(own, name), steps, channels, f"layer {item.name!r}: {name}")
            for name in ("leak", "threshold", "bias")
        )
        if not str(item.layer.neuron).startswith("lif") and (leak != 1).any():
            raise InvalidInput(f"layer {item.name!r}: leak is not 1, but {item.layer.neuron} neurons do not leak")
        unit = _per_channel(own.unit, 1, channels, f"layer {item.name!r}: unit")[0]
        gain = None if own.gain is None else np.asarray(own.gain, np.float64).reshape(-1)
        weights = [scaled_weights(x, parameters[x.name].weights, parameters[x.name].scale) for x in item.synapses]
        numbers: list[NDArray] = [*weights, leak, threshold, bias, unit, np.asarray(own.reset)]
        if not all(np.isfinite(values).all() for values in (*numbers, *([] if gain is None else [gain]))):
            raise InvalidInput(f"layer {item.name!r}: a parameter is not finite")
        if isinstance(number, Real):
            return cls(item, number, tuple(weights), leak, threshold, bias, float(own.reset), gain, unit)
        whole = [_whole(values, number.frac_bits) for values in (*weights, threshold, bias, np.asarray(own.reset))]
        reset = int(whole.pop())
        _check_range(item, number, whole[-2], reset)
        factors, place = _whole(leak, number.leak_bits), unit * 2.0**-number.frac_bits
        return cls(item, number, tuple(whole[:-2]), factors, whole[-2], whole[-1], reset, gain, place)

    @property
    def spiking(self) -> bool:
        return NEURON_MODELS[str(self.item.layer.neuron)].spikes


def _check_layer(layer: Layer, parameters: Mapping[str, LayerParameters]) -> None:
    if layer.name not in parameters:
        raise InvalidInput(f"layer {layer.name!r}: no parameters given; known: {', '.join(parameters) or 'none'}")
    if layer.gate is not None and layer.joins is not None:
        raise InvalidInput(
            f"layer {layer.name!r}: joins the current of {layer.joins!r} and has a gate of its own; only the layer "
            f"that owns the neurons may have one, which acts on the whole current"
        )


def _check_gate(layer: Layer, own: LayerParameters, steps: int) -> None:
    """A gate that the parameters do not carry would be left out without a word."""
    if layer.gate == "live":
        if own.gain is None:
            raise InvalidInput(
                f"layer {layer.name!r}: has a live gate; give its alpha as gain (a frozen gate is folded into scale "
                f"and bias, and its layer has gate None)"
            )
        if np.shape(own.gain) not in ((), (1,), (steps,)):
            raise InvalidInput(
                f"layer {layer.name!r}: gain is {np.shape(own.gain)}; it must be one number or ({steps},), one per step"
            )
    elif own.gain is not None:
        raise InvalidInput(f"layer {layer.name!r}: has no live gate, so it takes no gain; fold it")
    if layer.gate == "per_step" and (np.ndim(own.threshold) != 2 or np.ndim(own.leak) != 2):
        raise InvalidInput(
            f"layer {layer.name!r}: has a per_step gate; give its folded parameters: leak and threshold by step, "
            f"lambda g[t-1] / g[t] and V / g[t]"
        )


def _check_range(item: Population, number: FixedPoint, threshold: NDArray, reset: int) -> None:
    """A threshold that the state cannot exceed would silence the layer without a word."""
    spiking = NEURON_MODELS[str(item.layer.neuron)].spikes
    if spiking and (threshold >= number.highest).any():
        raise InvalidInput(
            f"layer {item.name!r}: its threshold {threshold.max() * 2.0**-number.frac_bits:g} is out of reach of a "
            f"state of {number.state_bits} bits with {number.frac_bits} after the point; take fewer frac_bits, or "
            f"scale weights and threshold down together"
        )
    if not number.lowest <= reset <= number.highest:
        raise InvalidInput(f"layer {item.name!r}: reset does not fit a state of {number.state_bits} bits")


def _per_channel(value: ArrayLike, steps: int, channels: int, what: str) -> NDArray[np.float64]:
    """(1 or steps, channels) from one number, one per channel, or (steps, 1 or channels)."""
    values = np.asarray(value, np.float64)
    if values.shape not in ((), (channels,), (steps, channels), (steps, 1)):
        raise InvalidInput(
            f"{what} is {values.shape}; it must be one number, ({channels},) by channel, or ({steps}, {channels}) by "
            f"step and channel"
        )
    rows = values if values.ndim == 2 else values.reshape(1, -1)
    return np.ascontiguousarray(np.broadcast_to(rows, (len(rows), channels)))


def _whole(values: NDArray, frac_bits: int) -> NDArray[np.int64]:
    scaled = np.rint(np.asarray(values, np.float64) * 2.0**frac_bits)
    if np.abs(scaled).max(initial=0) >= 2.0**53:
        raise InvalidInput(f"a parameter is too large for {frac_bits} bits after the point")
    return scaled.astype(np.int64)
