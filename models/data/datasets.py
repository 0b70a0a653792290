"""Data sets as spike trains or held images, split once and for all into train, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .cifar import CIFAR_SOURCES, cifar
from .dataset_request import Preprocessing, Request
from .event_camera import SENSOR, simulate_events, upsample
from .event_sources import EVENT_SOURCES
from .frames import event_dataset, to_frames
from .image_folder import image_folder
from .sources import data_folder
from .splits import SPLITS, Dataset, Split, split_dataset

__all__ = ["DATASETS", "SPLITS", "Dataset", "Preprocessing", "Split", "batches", "load_dataset", "split_dataset"]


def load_dataset(
    name: str,
    steps: int,
    *,
    fold: int | None = None,
    folder: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    download: bool = False,
    partial: bool = False,
) -> Dataset:
    """The data set ``name`` of `DATASETS`, binned or held for ``steps`` steps.

    Parameters
    ----------
    name : str
        A key of `DATASETS`.
    steps : int
        Time steps per sample, from 1.
    fold : int, optional
        Which fold of the whole set is the test part, where the set comes without one: over all folds every sample is
        tested once. None: the one split of runs without folds.
    folder : path, optional
        Where data sets that must be fetched are kept; None takes ``$SPIKEJOULE_DATA``, else ``data``. The offline ones
        never touch the disk. What is prepared from them is kept in its ``prepared``, or in ``$SPIKEJOULE_CACHE``.
    preprocessing : Preprocessing, optional
    download : bool
        Fetch the files if they are missing; never done otherwise.
    partial : bool
        Accept fewer samples than the published set has; its description then says so.

    Raises
    ------
    InvalidInput
        If the name is not known, ``steps`` is not positive, an option does not fit the data set, or its files are
        missing, incomplete or damaged.

    Notes
    -----
    The last few data sets are remembered: files that change while the program runs are not looked at again.
    """
    if name not in DATASETS:
        raise InvalidInput(f"data set {name!r} is not known; use one of {', '.join(DATASETS)}")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InvalidInput(f"data set {name!r}: steps is {steps!r}; it must be an integer from 1")
    request = Request(steps, fold, data_folder(folder), preprocessing or Preprocessing(), download, partial)
    return _made(name, request)


def batches(
    split: Split,
    size: int,
    order: Sequence[int] | NDArray[np.integer] | None = None,
) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Yield ``(inputs (steps, batch, *input_shape), labels (batch,))`` in NumPy, ``size`` samples at a time.

    Samples on disk are read here, a batch at a time.
    """
    indices = np.arange(len(split)) if order is None else np.asarray(order)
    for start in range(0, len(indices), size):
        chosen = indices[start : start + size]
        yield np.swapaxes(split.inputs[chosen], 0, 1), split.labels[chosen]


def digits_events(request: Request) -> Dataset:
    """Simulated events of real digits: scikit-learn's 1,797 handwritten digits before an ideal event camera."""
    request.check_fixed_size("digits-events", SENSOR)
    binarize = request.preprocessing.binarize
    frames, labels = _digits_frames(request.steps, binarize)
    return split_dataset(
        frames,
        labels,
        name="digits-events",
        description="simulated events of real digits (scikit-learn digits, three saccades of an ideal event camera)"
        + ("" if binarize else ", counts"),
        input_kind="spike" if binarize else "graded",
        fold=request.fold,
    )


def digits(request: Request) -> Dataset:
    """Real digits by direct encoding: scikit-learn's images on 16 x 16 pixels, the same at every step."""
    request.check_static("digits")
    request.check_fixed_size("digits", SENSOR)
    images, labels = _digits()
    return split_dataset(
        upsample(images)[:, None, None],
        labels,
        name="digits",
        description="real digits (scikit-learn digits on 16 x 16 pixels), direct encoding",
        held_steps=request.steps,
        fold=request.fold,
    )


def _digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    source = load_digits()
    return (source.images / 16).astype(np.float32), source.target.astype(np.int64)


@lru_cache(maxsize=8)
def _made(name: str, request: Request) -> Dataset:
    return DATASETS[name](request)


@lru_cache(maxsize=2)
def _digits_frames(steps: int, binarize: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    images, labels = _digits()
    return to_frames(simulate_events(images), (SENSOR, SENSOR, 2), steps, binarize=binarize), labels


# name -> how it is made from what was asked for
DATASETS: dict[str, Callable[[Request], Dataset]] = {
    "digits-events": digits_events,
    "digits": digits,
    **{name: partial(event_dataset, name, source) for name, source in EVENT_SOURCES.items()},
    **{name: partial(cifar, name) for name in CIFAR_SOURCES},
    "image-folder": image_folder,
}
