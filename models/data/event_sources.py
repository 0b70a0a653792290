"""Event-camera and cochlea data sets: where their recordings lie, how they are read, and their labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .aedat import read_aedat3, read_aedat4, read_dvs128
from .frames import EventSource, Recordings
from .sources import Source, local


class TonicRecordings(Protocol):
    """What tonic's data sets have in common."""

    data: Sequence[str]
    targets: Sequence[int]

    def __getitem__(self, index: int) -> tuple[NDArray[np.void], int]: ...


CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def parts_of_nmnist(source: Source, folder: Path) -> dict[str, Recordings] | None:
    """N-MNIST: ``NMNIST/Train/<digit>/*.bin`` and ``NMNIST/Test/…``."""
    return _tonic_parts(source, folder, "NMNIST/{}/*/*.bin", {"Train": 60_000, "Test": 10_000})


def parts_of_dvs_gesture(source: Source, folder: Path) -> dict[str, Recordings] | None:
    """DVS128 Gesture: tonic's ``DVSGesture/ibmGestureTrain/…npy``, or the published ``DvsGesture/*.aedat``."""
    parts = _tonic_parts(source, folder, "DVSGesture/ibmGesture{}/*/*.npy", {"Train": 1077, "Test": 264})
    if parts is not None:
        return parts
    original = folder / "DvsGesture"
    lists = {"train": original / "trials_to_train.txt", "test": original / "trials_to_test.txt"}
    if not all(path.is_file() for path in lists.values()):
        return None
    published = {"train": 1176, "test": 288}
    return {name: _gestures(path, published[name]) for name, path in lists.items()}


def _gestures(listed: Path, published: int) -> Recordings:
    """Every gesture of the recordings that a list names: a stretch of time with a class from 1 to 11."""
    files, stretches = [listed], []
    for name in listed.read_text(encoding="utf-8").split():
        recording = listed.parent / name
        labels = recording.with_name(f"{recording.stem}_labels.csv")
        for path in (recording, labels):
            if not path.is_file():
                raise InvalidInput(f"{listed}: names {name}, but {path} is not there; unpack the archive again")
        files += [recording, labels]
        with labels.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                stretch = (recording, int(row["class"]), int(row["startTime_usec"]), int(row["endTime_usec"]))
                stretches.append(stretch)
    latest: dict[Path, NDArray[np.void]] = {}  # gestures of one recording follow each other: it is read once

    def read(index: int) -> NDArray[np.void]:
        recording, _, start, end = stretches[index]
        if recording not in latest:
            latest.clear()
            latest[recording] = read_aedat3(recording)
        events = latest[recording]
        return events[(events["t"] >= start) & (events["t"] < end)]

    def where(index: int) -> str:
        return f"{stretches[index][0]}, from {stretches[index][2]} us on"

    return Recordings(tuple(files), np.array([row[1] - 1 for row in stretches], np.int64), read, where, published)


def parts_of_cifar10_dvs(source: Source, folder: Path) -> dict[str, Recordings] | None:
    """CIFAR10-DVS, which has no test part: ``CIFAR10DVS/<class>/*.aedat4`` of tonic or ``*.aedat`` as published."""
    for suffix, read in ((".aedat4", read_aedat4), (".aedat", read_dvs128)):
        files = [
            (path, label)
            for label, name in enumerate(CIFAR_CLASSES)
            for path in sorted((folder / "CIFAR10DVS" / name).glob(f"*{suffix}"), key=_natural)
        ]
        if files:
            paths, labels = tuple(path for path, _ in files), np.array([label for _, label in files], np.int64)
            return {"all": Recordings(paths, labels, partial(_read_file, read, paths), _names(paths), 10_000)}
    return None


def parts_of_shd(source: Source, folder: Path) -> dict[str, Recordings] | None:
    """Spiking Heidelberg Digits: ``SHD/shd_train.h5`` and ``SHD/shd_test.h5``."""
    import h5py

    parts = {}
    for name, published in (("train", 8156), ("test", 2264)):
        path = folder / "SHD" / f"shd_{name}.h5"
        if not path.is_file():
            return None
        try:
            with h5py.File(path) as file:
                labels = file["labels"][()].astype(np.int64)
            recordings = local(source, folder, train=name == "train")
        except (OSError, KeyError) as error:
            raise InvalidInput(f"{path}: is not a whole file of the data set ({error}); get it again") from error
        where = partial("{}, sample {}".format, path)
        parts[name] = Recordings((path,), labels, partial(_read_tonic, recordings), where, published)
    return parts


def _tonic_parts(
    source: Source, folder: Path, places: str, published: Mapping[str, int]
) -> dict[str, Recordings] | None:
    """Both parts of a data set as tonic lays it out, their names put into ``places``; None if one has no files."""
    found = {name: tuple(sorted(folder.glob(places.format(name)))) for name in published}
    if not all(found.values()):
        return None
    return {
        name.lower(): _by_name(local(source, folder, train=name == "Train"), files, published[name])
        for name, files in found.items()
    }


def _by_name(recordings: TonicRecordings, files: tuple[Path, ...], published: int) -> Recordings:
    """The recordings of a tonic data set in the order of their names: tonic's follows the file system."""
    order = sorted(range(len(recordings.data)), key=lambda index: _natural(Path(recordings.data[index])))
    labels = np.array([recordings.targets[index] for index in order], np.int64)
    names = _names([Path(recordings.data[index]) for index in order])
    return Recordings(files, labels, lambda index: _read_tonic(recordings, order[index]), names, published)


def _names(paths: Sequence[Path]) -> Callable[[int], str]:
    return lambda index: str(paths[index])


def _read_tonic(recordings: TonicRecordings, index: int) -> NDArray[np.void]:
    return recordings[index][0]


def _read_file(read: Callable[[Path], NDArray[np.void]], paths: tuple[Path, ...], index: int) -> NDArray[np.void]:
    return read(paths[index])


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts cat_2 before cat_10."""
    words: Iterator[str] = (word for word in re.split(r"(\d+)", path.as_posix()) if word)
    return [(int(word), "") if word.isdigit() else (-1, word) for word in words]


# name -> where it comes from, its sensor, and how its files are found
EVENT_SOURCES: dict[str, EventSource] = {
    "nmnist": EventSource(
        Source(
            "N-MNIST (Orchard et al. 2015)",
            "https://www.garrickorchard.com/datasets/n-mnist",
            "NMNIST/Train/<digit>/*.bin and NMNIST/Test/<digit>/*.bin",
            tonic="NMNIST",
        ),
        sensor_size=(34, 34, 2),
        classes=10,
        size=34,
        parts=parts_of_nmnist,
    ),
    "dvs-gesture": EventSource(
        Source(
            "DVS128 Gesture (Amir et al. 2017)",
            "https://research.ibm.com/interactive/dvsgesture/",
            "DVSGesture/ibmGestureTrain/<user>/*.npy and DVSGesture/ibmGestureTest/… (tonic's release) or "
            "DvsGesture/*.aedat with its *_labels.csv and trials_to_*.txt",
            tonic="DVSGesture",
        ),
        sensor_size=(128, 128, 2),
        classes=11,
        size=48,
        parts=parts_of_dvs_gesture,
    ),
    "cifar10-dvs": EventSource(
        Source(
            "CIFAR10-DVS (Li et al. 2017)",
            "https://doi.org/10.6084/m9.figshare.4724671",
            "CIFAR10DVS/<class>/*.aedat4 (tonic's release) or CIFAR10DVS/<class>/*.aedat",
            tonic="CIFAR10DVS",
        ),
        sensor_size=(128, 128, 2),
        classes=10,
        size=48,
        parts=parts_of_cifar10_dvs,
    ),
    "shd": EventSource(
        Source(
            "Spiking Heidelberg Digits (Cramer et al. 2020)",
            "https://zenkelab.org/resources/spiking-heidelberg-datasets-shd/",
            "SHD/shd_train.h5 and SHD/shd_test.h5",
            tonic="SHD",
        ),
        sensor_size=(700, 1, 1),
        classes=20,
        size=700,
        parts=parts_of_shd,
    ),
}
