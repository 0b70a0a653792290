"""Data sets as spike trains or held images, split once and for all into train, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sim.errors import InvalidInput
from .events import SENSOR, simulate_events, upsample

SPLITS = ("train", "validation", "test")
_SPLIT_SEED = 0  # one split for every run: seeds vary the training, never the data


@dataclass(frozen=True)
class Split:
    """Inputs ``(samples, steps, *input_shape)`` (one step when the input is held) and labels ``(samples,)``."""

    inputs: NDArray[Any]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A data set, ready to be fed to a network for ``steps`` steps.

    Attributes
    ----------
    name, description : str
    steps, classes : int
    input_shape : tuple of int
        One sample at one step, channels first.
    input_kind : {'spike', 'analog'}
    held_input : bool
        Every step sees the same input (direct encoding of static data).
    train, validation, test : Split
    """

    name: str
    description: str
    steps: int
    classes: int
    input_shape: tuple[int, ...]
    input_kind: str
    held_input: bool
    train: Split
    validation: Split
    test: Split

    def split(self, name: str) -> Split:
        if name not in SPLITS:
            raise InvalidInput(f"data set {self.name!r} has no split {name!r}; use one of {', '.join(SPLITS)}")
        part: Split = getattr(self, name)
        return part


def load_dataset(name: str, steps: int, *, folder: str | Path = "data") -> Dataset:
    """The data set ``name`` of `DATASETS`, binned or held for ``steps`` steps.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.
    steps : int
        Time steps per sample, from 1.
    folder : path
        Where data sets that must be downloaded are kept; the offline ones never touch the disk.

    Raises
    ------
    InvalidInput
        If the name is not known, ``steps`` is not positive, the data cannot be had, or there is none.
    """
    if name not in DATASETS:
        raise InvalidInput(f"data set {name!r} is not known; use one of {', '.join(DATASETS)}")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InvalidInput(f"data set {name!r}: steps is {steps!r}; it must be an integer from 1")
    return DATASETS[name](steps, str(folder))


@lru_cache(maxsize=4)
def digits_events(steps: int, folder: str = "data") -> Dataset:
    """Simulated events of real digits: scikit-learn's 1,797 handwritten digits before an ideal event camera."""
    images, labels = _digits()
    frames = to_frames(simulate_events(images), (SENSOR, SENSOR, 2), steps)
    return split_dataset(
        frames,
        labels,
        name="digits-events",
        description="simulated events of real digits (scikit-learn digits, three saccades of an ideal event camera)",
    )


@lru_cache(maxsize=4)
def digits(steps: int, folder: str = "data") -> Dataset:
    """Real digits by direct encoding: scikit-learn's images on 16 x 16 pixels, the same at every step."""
    images, labels = _digits()
    return split_dataset(
        upsample(images)[:, None, None],
        labels,
        name="digits",
        description="real digits (scikit-learn digits on 16 x 16 pixels), direct encoding",
        held_steps=steps,
    )


@lru_cache(maxsize=1)
def nmnist(steps: int, folder: str = "data") -> Dataset:
    """N-MNIST through tonic, downloaded into ``folder`` on first use; a tenth of its training part validates."""
    import tonic

    parts = []
    for train in (True, False):
        try:
            source = tonic.datasets.NMNIST(save_to=folder, train=train)
        except (OSError, RuntimeError) as error:  # no network, a refused download, a broken archive
            raise InvalidInput(
                f"data set 'nmnist': N-MNIST is not in {folder!r} and could not be downloaded ({error}); connect "
                f"to the internet, or use one of the sets that need no download: digits-events, digits"
            ) from error
        events = (source[index][0] for index in range(len(source)))
        parts.append(
            (to_frames(events, tonic.datasets.NMNIST.sensor_size, steps), np.asarray(source.targets, np.int64))
        )
    (inputs, labels), test = parts
    return split_dataset(inputs, labels, name="nmnist", description="N-MNIST (Orchard et al. 2015)", test=Split(*test))


def to_frames(streams: Any, sensor_size: tuple[int, int, int], steps: int) -> NDArray[np.uint8]:
    """Event streams binned by `tonic.transforms.ToFrame` and binarised: any event in a bin is one spike.

    Parameters
    ----------
    streams : iterable of structured arrays
        Fields ``x, y, t, p``.
    sensor_size : tuple of int
        Width, height, polarities.
    steps : int
        Bins of equal length between a stream's first and last event.

    Returns
    -------
    uint8 array, shape (samples, steps, polarities, height, width)
        0 or 1.
    """
    from tonic.transforms import ToFrame

    transform = ToFrame(sensor_size=sensor_size, n_time_bins=steps)
    width, height, polarities = sensor_size
    frames = [(transform(events) > 0).astype(np.uint8) for events in streams]
    return np.stack(frames) if frames else np.empty((0, steps, polarities, height, width), np.uint8)


def split_dataset(
    inputs: NDArray[Any],
    labels: NDArray[np.int64],
    *,
    name: str,
    description: str,
    held_steps: int | None = None,
    test: Split | None = None,
) -> Dataset:
    """Stratified, seeded split: 20 % validation and 20 % test, or 10 % validation where a test part is given.

    Parameters
    ----------
    inputs : array, shape (samples, steps, *input_shape)
        One step if ``held_steps`` says for how many steps it is held; then analog, else 0/1 spikes.
    labels : int array, shape (samples,)
    test : Split, optional
        The set's own test part.

    Raises
    ------
    InvalidInput
        If the set is empty or a class is too small to be split.
    """
    from sklearn.model_selection import train_test_split

    if len(inputs) == 0 or (test is not None and len(test) == 0):
        raise InvalidInput(f"data set {name!r} is empty: there is nothing to train on or to measure; check its files")
    labels = np.asarray(labels, np.int64)
    indices = np.arange(len(labels))
    try:
        if test is None:
            size = len(labels) // 5 + (len(labels) % 5 > 0)
            rest, held_out = train_test_split(indices, test_size=size, stratify=labels, random_state=_SPLIT_SEED)
            test = Split(inputs[held_out], labels[held_out])
        else:
            rest, size = indices, max(1, len(labels) // 10)
        train, validation = train_test_split(rest, test_size=size, stratify=labels[rest], random_state=_SPLIT_SEED)
    except ValueError as error:
        raise InvalidInput(f"data set {name!r} cannot be split into train, validation and test: {error}") from error
    return Dataset(
        name=name,
        description=description,
        steps=held_steps or inputs.shape[1],
        classes=int(labels.max()) + 1,
        input_shape=tuple(inputs.shape[2:]),
        input_kind="spike" if held_steps is None else "analog",
        held_input=held_steps is not None,
        train=Split(inputs[train], labels[train]),
        validation=Split(inputs[validation], labels[validation]),
        test=test,
    )


def batches(split: Split, size: int, order: Sequence[int] | NDArray[np.integer] | None = None) -> Any:
    """Yield ``(inputs (steps, batch, *input_shape), labels (batch,))`` in NumPy, ``size`` samples at a time."""
    indices = np.arange(len(split)) if order is None else np.asarray(order)
    for start in range(0, len(indices), size):
        chosen = indices[start : start + size]
        yield np.swapaxes(split.inputs[chosen], 0, 1), split.labels[chosen]


def _digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    source = load_digits()
    return (source.images / 16).astype(np.float32), source.target.astype(np.int64)


DATASETS: dict[str, Callable[[int, str], Dataset]] = {
    "digits-events": digits_events,
    "digits": digits,
    "nmnist": nmnist,
}
