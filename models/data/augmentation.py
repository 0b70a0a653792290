"""Training samples changed at random, in ways that a config declares and a seed repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput


@dataclass(frozen=True)
class Augmentation:
    """What is done to training samples; every sample draws for itself, the same for all of its steps.

    Attributes
    ----------
    flip : bool
        Mirrored left to right for half of the samples. Not for gestures or digits, whose meaning it changes.
    crop_pixels : int
        Bordered by this many pixels of 0 and cut back to size at a random place: a shift by up to so many pixels.
    roll_pixels : int
        Rolled by up to so many pixels up or down and left or right; what leaves on one side enters on the other.
    cutout_pixels : int
        A square of so many pixels a side, its centre anywhere in the picture, is set to 0.
    event_drop : float
        Each value is set to 0 with this probability, every step for itself.

    Notes
    -----
    They are applied in this order. Flip, roll and cutout are the geometric part of neuromorphic data augmentation
    (Li et al. 2022, arXiv:2203.06145), which also rotates and shears; crop and flip are the usual ones of CIFAR (He et
    al. 2016, arXiv:1512.03385, padding 4); cutout is DeVries & Taylor 2017, arXiv:1708.04552. Values are moved or set
    to 0 and nothing else: spikes stay 0 or 1.
    """

    flip: bool = False
    crop_pixels: int = 0
    roll_pixels: int = 0
    cutout_pixels: int = 0
    event_drop: float = 0.0

    def __post_init__(self) -> None:
        self._check("flip", isinstance(self.flip, bool), "True or False")
        for name in ("crop_pixels", "roll_pixels", "cutout_pixels"):
            value = getattr(self, name)
            self._check(
                name, isinstance(value, int) and not isinstance(value, bool) and value >= 0, "an integer from 0"
            )
        rate = self.event_drop
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        self._check("event_drop", number and 0 <= rate < 1, "a number from 0 to below 1")

    def _check(self, name: str, ok: bool, allowed: str) -> None:
        if not ok:
            raise InvalidInput(f"augmentation: {name} is {getattr(self, name)!r}; it must be {allowed}")


def augmentation_rng(seed: int, step: int) -> np.random.Generator:
    """The generator of one optimiser step, so that a training that is gone on with draws what it would have drawn."""
    return np.random.default_rng((seed, step))


def augment(inputs: NDArray[Any], augmentation: Augmentation, rng: np.random.Generator) -> NDArray[Any]:
    """A batch of inputs, augmented; what is given stays as it is.

    Parameters
    ----------
    inputs : array, shape (steps, batch, channels, height, width), or (steps, batch, channels) for a line
    augmentation : Augmentation
    rng : numpy.random.Generator
        Draws in the order of the batch, see `augmentation_rng`.

    Returns
    -------
    array
        Same shape and type.

    Raises
    ------
    InvalidInput
        If a line of channels is to be flipped, rolled or cut out, or a size is larger than the picture.

    Examples
    --------
    >>> row = np.arange(3).reshape(1, 1, 1, 1, 3)
    >>> augment(np.repeat(row, 4, axis=1), Augmentation(flip=True), np.random.default_rng(0))[0, :, 0, 0].tolist()
    [[0, 1, 2], [2, 1, 0], [2, 1, 0], [2, 1, 0]]
    """
    _check_fits(inputs.shape, augmentation)
    batch = inputs.shape[1]
    axes = 1 if inputs.ndim == 3 else 2  # spatial ones, the last of the array
    if augmentation.flip:
        mirrored = np.flatnonzero(rng.random(batch) < 0.5)
        inputs = inputs.copy()
        inputs[:, mirrored] = inputs[:, mirrored, ..., ::-1]
    if augmentation.crop_pixels:
        inputs = _shifted(inputs, rng.integers(0, 2 * augmentation.crop_pixels + 1, (batch, axes)), augmentation)
    if augmentation.roll_pixels:
        inputs = inputs.copy()
        reach = augmentation.roll_pixels
        for sample, shift in enumerate(rng.integers(-reach, reach + 1, (batch, 2))):
            inputs[:, sample] = np.roll(inputs[:, sample], tuple(int(pixels) for pixels in shift), (-2, -1))
    if augmentation.cutout_pixels:
        inputs = _cut_out(inputs, augmentation.cutout_pixels, rng)
    if augmentation.event_drop:
        inputs = np.where(rng.random(inputs.shape) < augmentation.event_drop, np.zeros((), inputs.dtype), inputs)
    return inputs


def _check_fits(shape: tuple[int, ...], augmentation: Augmentation) -> None:
    if len(shape) == 3 and (augmentation.flip or augmentation.roll_pixels or augmentation.cutout_pixels):
        raise InvalidInput(
            "augmentation: flip, roll_pixels and cutout_pixels need pictures (channels, height, width); on a line of "
            "channels use crop_pixels and event_drop"
        )
    if len(shape) not in (3, 5):
        raise InvalidInput(f"augmentation: inputs have shape {shape}; give (steps, batch, channels[, height, width])")
    for name in ("crop_pixels", "roll_pixels", "cutout_pixels"):
        smallest = min(shape[3:] or shape[2:])
        if getattr(augmentation, name) > smallest:
            raise InvalidInput(
                f"augmentation: {name} is {getattr(augmentation, name)}; the input has {smallest} pixels"
            )


def _shifted(inputs: NDArray[Any], corners: NDArray[np.int64], augmentation: Augmentation) -> NDArray[Any]:
    """Bordered with 0, then cut back to size with its corner at ``corners`` (batch, axes)."""
    border, axes = augmentation.crop_pixels, corners.shape[1]
    padded = np.pad(inputs, [(0, 0)] * (inputs.ndim - axes) + [(border, border)] * axes)
    shifted = np.empty_like(inputs)
    for sample, corner in enumerate(corners.tolist()):
        window = (slice(start, start + size) for start, size in zip(corner, inputs.shape[-axes:], strict=True))
        place: tuple[Any, ...] = (..., *window)
        shifted[:, sample] = padded[:, sample][place]
    return shifted


def _cut_out(inputs: NDArray[Any], side: int, rng: np.random.Generator) -> NDArray[Any]:
    """A square set to 0 in every sample; it may hang over the picture's border."""
    inputs = inputs.copy()
    height, width = inputs.shape[-2:]
    centres = np.stack([rng.integers(0, height, inputs.shape[1]), rng.integers(0, width, inputs.shape[1])], axis=1)
    for sample, (row, column) in enumerate(centres.tolist()):
        top, left = row - side // 2, column - side // 2
        inputs[:, sample, :, max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)] = 0
    return inputs
