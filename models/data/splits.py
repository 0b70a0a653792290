"""A data set and its parts: train, validation and test, drawn once and for all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .samples import Inputs, digest, select

SPLITS = ("train", "validation", "test")
_SPLIT_SEED = 0  # one split for every run: seeds vary the training, never the data


@dataclass(frozen=True)
class Split:
    """Inputs ``(samples, steps, *input_shape)`` (one step when the input is held) and labels ``(samples,)``.

    Inputs are an array, or samples on disk that a slice selects and an integer array reads.
    """

    inputs: Inputs
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
    input_kind : {'spike', 'graded', 'analog'}
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

    @cached_property
    def digest(self) -> str:
        """SHA-256 over inputs and labels of all parts in their order: the same data, split the same way."""
        parts = [self.split(name) for name in SPLITS]
        content = [text for part in parts for text in (digest(part.inputs), digest(np.asarray(part.labels)))]
        return hashlib.sha256("\n".join(content).encode()).hexdigest()


def split_dataset(
    inputs: Inputs,
    labels: NDArray[np.int64],
    *,
    name: str,
    description: str,
    held_steps: int | None = None,
    input_kind: str | None = None,
    classes: int | None = None,
    test: Split | None = None,
    portions: int = 5,
    fold: int | None = None,
) -> Dataset:
    """Stratified, seeded split: one portion tests and one validates; where a test part is given, a tenth validates.

    Parameters
    ----------
    inputs : array or samples on disk, shape (samples, steps, *input_shape)
        One step if ``held_steps`` says for how many steps it is held; then analog, else 0/1 spikes.
    labels : int array, shape (samples,)
    input_kind : str, optional
        Where it is neither.
    classes : int, optional
        How many there are; None counts up to the largest label.
    test : Split, optional
        The set's own test part.
    portions : int
        Into which a set without a test part is divided.
    fold : int, optional
        Which portion tests: over all of them every sample is tested once. None draws one test part, as ever.

    Raises
    ------
    InvalidInput
        If the set is empty, a class is too small to be split, a label is no class, or there is no such fold.
    """
    from sklearn.model_selection import train_test_split

    labels = np.asarray(labels, np.int64)
    _check_labels(name, labels, test, classes)
    _check_fold(name, fold, portions, test)
    try:
        if test is None:
            size = -(-len(labels) // portions)
            rest, held_out = _test_part(labels, size, portions, fold)
            test = Split(select(inputs, held_out), labels[held_out])
        else:
            rest, size = np.arange(len(labels)), max(1, len(labels) // 10)
        train, validation = train_test_split(rest, test_size=size, stratify=labels[rest], random_state=_SPLIT_SEED)
    except ValueError as error:
        raise InvalidInput(f"data set {name!r} cannot be split into train, validation and test: {error}") from error
    return Dataset(
        name=name,
        description=description,
        steps=held_steps or inputs.shape[1],
        classes=classes or int(labels.max()) + 1,
        input_shape=tuple(inputs.shape[2:]),
        input_kind=input_kind or ("spike" if held_steps is None else "analog"),
        held_input=held_steps is not None,
        train=Split(select(inputs, train), labels[train]),
        validation=Split(select(inputs, validation), labels[validation]),
        test=test,
    )


def _check_labels(name: str, labels: NDArray[np.int64], test: Split | None, classes: int | None) -> None:
    if len(labels) == 0 or (test is not None and len(test) == 0):
        raise InvalidInput(f"data set {name!r} is empty: there is nothing to train on or to measure; check its files")
    largest = max(int(labels.max()), 0 if test is None else int(test.labels.max()))
    if classes is not None and largest >= classes:
        raise InvalidInput(f"data set {name!r}: a label is {largest}; it must be below {classes}; check its files")


def _check_fold(name: str, fold: int | None, portions: int, test: Split | None) -> None:
    if fold is None:
        return
    if test is not None:
        raise InvalidInput(f"data set {name!r} has a test part of its own: it is not divided into folds; use fold=None")
    if not 0 <= fold < portions:
        raise InvalidInput(
            f"data set {name!r}: fold is {fold!r}; it must be an integer from 0 to {portions - 1}, or None"
        )


def _test_part(
    labels: NDArray[np.int64], size: int, portions: int, fold: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples that stay and samples that test."""
    from sklearn.model_selection import StratifiedKFold, train_test_split

    if fold is None:
        rest, held_out = train_test_split(
            np.arange(len(labels)), test_size=size, stratify=labels, random_state=_SPLIT_SEED
        )
        return rest, held_out
    folds = StratifiedKFold(portions, shuffle=True, random_state=_SPLIT_SEED).split(labels, labels)
    rest, held_out = list(folds)[fold]
    return rest, held_out
