"""What a replay needs to know of each layer, and the number in which potentials are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dynamics import ROUNDINGS
from .errors import InvalidInput
from .layers import Layer
from .neurons import NEURON_MODELS
from .populations import Population, tap_major


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerParameters:
    """What one layer needs beyond its geometry.

    ``leak``, ``threshold`` and ``bias`` are one number, one per channel of the neurons, or ``(steps, channels)``: a
    gain that varies with the step folds into the last (docs/definitions.md, 10). A layer that joins another only needs
    weights.

    Attributes
    ----------
    weights : array of the layer's ``weight_shape``
        With everything folded in: batch norm, quantisation scales, the 1/size of average pooling. A skip path without
        weights takes one number.
    leak : array_like
        Factor on the potential per step; 1 for ``if_*`` neurons.
    threshold : array_like
        A neuron fires when its potential is strictly greater.
    bias : array_like
        Added to every neuron at every step.
    reset : float
        Potential after a spike, for ``*_hard`` neurons.
    """

    weights: ArrayLike
    leak: ArrayLike = 1.0
    threshold: ArrayLike = 1.0
    bias: ArrayLike = 0.0
    reset: float = 0.0


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
    the range of a state). The current of one step is summed exactly; the leaked potential plus that current is cut to
    the range once per step. The leak factor has ``leak_bits`` bits after the point, and the product is rounded as
    ``leak_rounding`` says ('nearest': ties up). A real input's current is rounded to the nearest number once per step.
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

    @classmethod
    def prepare(
        cls, item: Population, parameters: Mapping[str, LayerParameters], number: Number, steps: int
    ) -> Prepared:
        for layer in item.synapses:
            _check_layer(layer, parameters)
        own = parameters[item.name]
        channels = item.layer.neuron_shape[0]
        leak, threshold, bias = (
            _per_channel(getattr(own, name), steps, channels, f"layer {item.name!r}: {name}")
            for name in ("leak", "threshold", "bias")
        )
        if not str(item.layer.neuron).startswith("lif") and (leak != 1).any():
            raise InvalidInput(f"layer {item.name!r}: leak is not 1, but {item.layer.neuron} neurons do not leak")
        weights = [tap_major(layer, np.asarray(parameters[layer.name].weights, np.float64)) for layer in item.synapses]
        numbers: list[NDArray] = [*weights, leak, threshold, bias, np.asarray(own.reset)]
        if not all(np.isfinite(values).all() for values in numbers):
            raise InvalidInput(f"layer {item.name!r}: a parameter is not finite")
        if isinstance(number, Real):
            return cls(item, number, tuple(weights), leak, threshold, bias, float(own.reset))
        whole = [_whole(values, number.frac_bits) for values in (*weights, threshold, bias, np.asarray(own.reset))]
        reset = int(whole.pop())
        _check_range(item, number, whole[-2], reset)
        return cls(item, number, tuple(whole[:-2]), _whole(leak, number.leak_bits), whole[-2], whole[-1], reset)

    @property
    def spiking(self) -> bool:
        return NEURON_MODELS[str(self.item.layer.neuron)].spikes


def _check_layer(layer: Layer, parameters: Mapping[str, LayerParameters]) -> None:
    if layer.name not in parameters:
        raise InvalidInput(f"layer {layer.name!r}: no parameters given; known: {', '.join(parameters) or 'none'}")
    if layer.gate is not None:
        raise InvalidInput(
            f"layer {layer.name!r}: has a {layer.gate} gate; fold it into threshold and leak and set gate to None "
            f"(a live gate cannot be folded: freeze it first)"
        )
    if layer.delay:
        raise InvalidInput(f"layer {layer.name!r}: self-connections cannot be replayed; only feed-forward layers can")


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
