"""Exact synaptic operation counts, int64, per step and sample: packed spikes x fan-out, no second convolution.

An operation belongs to one pair (non-zero input element, in-range weight), never to padding. The fan-out map of a layer
is written once as a constant plus a few weighted bit masks; an operation count is then a handful of masked popcounts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput
from .kernels import KIND_CODES, WORD_BITS, masked_popcounts, pack_verified
from .workload import Layer

ALLOWED = {
    "spike": "0 or 1",
    "signed_spike": "-1, 0 or 1",
    "graded": "an integer from 0",
    "analog": "finite",
}


@dataclass(frozen=True)
class SynapticCounts:
    """Operations of one layer.

    Attributes
    ----------
    nonzero_weights, all_weights : int64 array (steps, samples)
        Pairs of a non-zero input with a non-zero weight in range, and with any weight in range.
    events : int64 array (steps, samples)
        Non-zero inputs.
    dense : int
        In-range pairs per step and sample, whatever the input and the weights.
    """

    nonzero_weights: NDArray[np.int64]
    all_weights: NDArray[np.int64]
    events: NDArray[np.int64]
    dense: int


@dataclass(frozen=True)
class MaskedSum:
    """An integer map over the inputs as ``base + sum(coefficients[k] * masks[k])``, masks packed like a trace's rows."""

    base: int
    coefficients: NDArray[np.int64]
    masks: NDArray[np.uint64]


def count_layer(layer: Layer, x: NDArray) -> SynapticCounts:
    """Count a layer's operations from its dense input.

    Parameters
    ----------
    layer : Layer
    x : array (steps, samples, *in_shape)
        Any real dtype. Every value is verified against ``layer.input_kind``.

    Raises
    ------
    InvalidInput
        If the shape is not the layer's or a value contradicts the declared kind.

    Examples
    --------
    >>> from spikejoule.sim.workload import Conv2d
    >>> layer = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)
    >>> spikes = np.zeros((1, 1, 1, 4, 4))
    >>> spikes[0, 0, 0, 0, 0] = spikes[0, 0, 0, 1, 1] = 1  # a corner meets 2 x 4 weights, the middle 2 x 9
    >>> count_layer(layer, spikes).all_weights
    array([[26]])
    """
    return count_packed(layer, pack_input(layer, x))


def count_packed(layer: Layer, words: NDArray[np.uint64]) -> SynapticCounts:
    """Count a layer's operations from its packed input, (steps, samples, words) uint64, non-zero bits."""
    words = _check_words(layer, words)
    steps, samples, size = words.shape
    rows = np.ascontiguousarray(words).reshape(steps * samples, size)
    every = decompose(layer.fan_out().ravel())
    nonzero = every if layer.nonzero is None else decompose(layer.fan_out(skip_zero_weights=True).ravel())
    sums = [every] if nonzero is every else [every, nonzero]
    bits = np.zeros((len(rows), 1 + sum(len(part.masks) for part in sums)), np.int64)
    masked_popcounts(rows, np.concatenate([part.masks for part in sums]), bits)
    totals = []
    for part in sums:
        first = 1 if part is every else 1 + len(every.masks)
        total = bits[:, 0] * part.base + bits[:, first : first + len(part.masks)] @ part.coefficients
        totals.append(total.reshape(steps, samples))
    events = bits[:, 0].reshape(steps, samples)
    return SynapticCounts(totals[-1], totals[0], events, int(layer.fan_out().sum()))


def pack_input(layer: Layer, x: NDArray) -> NDArray[np.uint64]:
    """The non-zero bits of a layer's dense input, verified: (steps, samples, words) uint64."""
    x = np.asarray(x)
    if x.ndim < 2 or x.shape[2:] != layer.in_shape:
        raise InvalidInput(
            f"layer {layer.name!r}: input is {x.shape}; it must be (steps, samples, {', '.join(map(str, layer.in_shape))})"
        )
    if x.dtype.kind not in "biuf":
        raise InvalidInput(f"layer {layer.name!r}: input is of type {x.dtype}; it must be boolean, integer or real")
    words = np.empty((*x.shape[:2], -(-layer.inputs // WORD_BITS)), np.uint64)
    for step, values in enumerate(x):
        flat = _plain(values).reshape(len(values), layer.inputs)  # at most one step is copied at a time
        wrong = pack_verified(flat, KIND_CODES[layer.input_kind], words[step])
        if wrong >= 0:
            sample, *place = (int(index) for index in np.unravel_index(wrong, values.shape))
            raise InvalidInput(
                f"layer {layer.name!r}: input {flat.flat[wrong]!s} at step {step}, sample {sample}, index {tuple(place)} "
                f"is no {layer.input_kind}: it must be {ALLOWED[layer.input_kind]}; declare another input_kind or mend the data"
            )
    return words


def decompose(values: NDArray[np.int64]) -> MaskedSum:
    """Write an integer map (n,) as a constant and the fewest masks of two ways: one per value, or one per bit.

    A 3x3 convolution with padding has three fan-outs, so two masks; zero weights give hundreds of values in a narrow
    range, so a few bit planes of the difference from the smallest.
    """
    if values.size == 0:
        return MaskedSum(0, np.zeros(0, np.int64), np.zeros((0, 0), np.uint64))
    distinct, inverse, times = np.unique(values, return_inverse=True, return_counts=True)
    lowest, spread = int(distinct[0]), distinct - distinct[0]
    unit = int(np.gcd.reduce(spread)) or 1
    planes = (int(spread[-1]) // unit).bit_length()
    if len(distinct) - 1 <= planes:
        common = int(times.argmax())
        rest = [index for index in range(len(distinct)) if index != common]
        masks = [pack_bits(inverse == index) for index in rest]
        base, coefficients = int(distinct[common]), [int(distinct[index] - distinct[common]) for index in rest]
    else:
        steps = (spread // unit)[inverse]
        masks = [pack_bits((steps >> bit) & 1 != 0) for bit in range(planes)]
        base, coefficients = lowest, [unit << bit for bit in range(planes)]
    size = -(-values.size // WORD_BITS)
    return MaskedSum(base, np.array(coefficients, np.int64), np.array(masks, np.uint64).reshape(len(masks), size))


def pack_bits(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Booleans (n,) as 64-bit words, bit 0 first."""
    data = np.packbits(bits, bitorder="little")
    padded = np.zeros(-(-bits.size // WORD_BITS) * 8, np.uint8)
    padded[: data.size] = data
    return padded.view("<u8").astype(np.uint64, copy=False)


def _plain(values: NDArray) -> NDArray:
    """The same values in a type the kernels know: native byte order, bytes for booleans, no half floats."""
    if values.dtype == np.bool_:
        return np.ascontiguousarray(values).view(np.uint8)
    wider = {"f2": np.float32, "f16": np.float64}.get(values.dtype.str[1:])
    return np.ascontiguousarray(values, wider or values.dtype.newbyteorder("="))


def _check_words(layer: Layer, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    words = np.asarray(words)
    size = -(-math.prod(layer.in_shape) // WORD_BITS)
    if words.dtype != np.uint64 or words.ndim != 3 or words.shape[2] != size:
        raise InvalidInput(
            f"layer {layer.name!r}: packed input is {words.dtype} {words.shape}; it must be uint64 (steps, samples, {size})"
        )
    used = layer.inputs % WORD_BITS
    if used and (words[..., -1] >> np.uint64(used)).any():
        raise InvalidInput(f"layer {layer.name!r}: packed input has bits set beyond its {layer.inputs} values")
    return words
