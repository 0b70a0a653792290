"""CIFAR-10 and CIFAR-100 in their binary version, for direct encoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .cache import prepared
from .dataset_request import Request
from .samples import Normalisation, StoredSamples
from .sources import Source, found_or_fetched
from .splits import Dataset, Split, split_dataset

CIFAR_SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class CifarSource:
    """A data set in CIFAR's binary version: records of label bytes and 3,072 pixels, red, green, blue plane.

    Attributes
    ----------
    source : Source
    folder : str
    files : dict
        Part -> (file names, images in the complete part).
    label_bytes : int
        Before the pixels; the last one is the (fine) class.
    classes : int
    normalisation : Normalisation
        Mean and standard deviation of the training part's pixels, per channel.
    """

    source: Source
    folder: str
    files: dict[str, tuple[tuple[str, ...], int]]
    label_bytes: int
    classes: int
    normalisation: Normalisation

    def paths(self, folder: Path) -> dict[str, list[Path]] | None:
        """The files by part, or None if one is missing."""
        found = {part: [folder / self.folder / name for name in names] for part, (names, _) in self.files.items()}
        return found if all(path.is_file() for paths in found.values() for path in paths) else None


def read_cifar(path: Path, label_bytes: int, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3, 32, 32) and labels (n,) of one file of CIFAR's binary version.

    Raises
    ------
    InvalidInput
        If the file is not a whole number of records, or a label is no class.

    References
    ----------
    Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html ("Binary version").
    """
    record = label_bytes + int(np.prod(CIFAR_SHAPE))
    data = np.fromfile(path, np.uint8)
    if data.size == 0 or data.size % record:
        raise InvalidInput(f"{path}: {data.size} bytes are no whole number of records of {record}; unpack it again")
    records = data.reshape(-1, record)
    labels = records[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= classes:
        raise InvalidInput(f"{path}: holds the label {labels.max()}; it must be below {classes}: unpack it again")
    return records[:, label_bytes:].reshape(-1, *CIFAR_SHAPE), labels


def cifar(name: str, request: Request) -> Dataset:
    """A data set of `CIFAR_SOURCES` by direct encoding: normalised pixels, the same at every step."""
    source = CIFAR_SOURCES[name]
    request.check_static(name)
    request.check_fixed_size(name, CIFAR_SHAPE[-1])
    paths = found_or_fetched(name, source.source, request, lambda _, folder: source.paths(folder))
    files = [path for part in paths.values() for path in part]
    entry = prepared(request.folder, name, {}, files, lambda entry: _write(source, paths, entry))
    splits = {}
    for part in paths:
        labels = np.load(entry / f"{part}-labels.npy")
        shape = (1, *CIFAR_SHAPE)
        images = StoredSamples(entry / f"{part}.npy", np.arange(len(labels)), shape, normalisation=source.normalisation)
        splits[part] = Split(images, labels)
    found = {part: (len(split), source.files[part][1]) for part, split in splits.items()}
    return split_dataset(
        splits["train"].inputs,
        splits["train"].labels,
        name=name,
        description=f"{source.source.title}, direct encoding{request.check_complete(name, found)}",
        held_steps=request.steps,
        classes=source.classes,
        test=splits["test"],
        fold=request.fold,
    )


def _write(source: CifarSource, paths: dict[str, list[Path]], entry: Path) -> None:
    for part, files in paths.items():
        read = [read_cifar(path, source.label_bytes, source.classes) for path in files]
        np.save(entry / f"{part}.npy", np.concatenate([images for images, _ in read])[:, None])
        np.save(entry / f"{part}-labels.npy", np.concatenate([labels for _, labels in read]))


_KRIZHEVSKY = "https://www.cs.toronto.edu/~kriz/"
CIFAR_SOURCES: dict[str, CifarSource] = {
    "cifar10": CifarSource(
        Source(
            "CIFAR-10 (Krizhevsky 2009)",
            f"{_KRIZHEVSKY}cifar.html",
            "cifar-10-batches-bin/data_batch_1.bin to data_batch_5.bin and test_batch.bin",
            archives=(
                (
                    f"{_KRIZHEVSKY}cifar-10-binary.tar.gz",
                    "cifar-10-binary.tar.gz",
                    "c32a1d4ab5d03f1284b67883e8d87530",
                ),
            ),
        ),
        folder="cifar-10-batches-bin",
        files={
            "train": (tuple(f"data_batch_{number}.bin" for number in range(1, 6)), 50_000),
            "test": (("test_batch.bin",), 10_000),
        },
        label_bytes=1,
        classes=10,
        normalisation=Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ),
    "cifar100": CifarSource(
        Source(
            "CIFAR-100 (Krizhevsky 2009)",
            f"{_KRIZHEVSKY}cifar.html",
            "cifar-100-binary/train.bin and test.bin",
            archives=(
                (
                    f"{_KRIZHEVSKY}cifar-100-binary.tar.gz",
                    "cifar-100-binary.tar.gz",
                    "03b5dce01913d631647c71ecec9e9cb8",
                ),
            ),
        ),
        folder="cifar-100-binary",
        files={"train": (("train.bin",), 50_000), "test": (("test.bin",), 10_000)},
        label_bytes=2,
        classes=100,
        normalisation=Normalisation((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ),
}
