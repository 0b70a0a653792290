"""Recordings of events as frames: spikes or counts per pixel and step, prepared once and mapped into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .cache import prepared
from .dataset_request import Request
from .samples import StoredSamples
from .sources import Source, found_or_fetched
from .splits import Dataset, Split, split_dataset


@dataclass(frozen=True, eq=False)
class Recordings:
    """One part of a data set: recordings that are read one at a time.

    Attributes
    ----------
    files : tuple of Path
        Everything that is read.
    labels : int64 array
    read : callable
        The events of one recording: a structured array with ``x, t, p`` and, for cameras, ``y``.
    where : callable
        The file, and place in it, of one recording: for messages.
    published : int
        How many the complete part holds.
    """

    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    read: Callable[[int], NDArray[np.void]]
    where: Callable[[int], str]
    published: int

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class EventSource:
    """A data set of recordings: its sensor and how its files are found.

    Attributes
    ----------
    source : Source
    sensor_size : tuple of int
        Width, height and polarities; height 1 and one polarity for a line of channels.
    classes : int
    size : int
        Pixels along each side (or channels) after downsampling, unless asked otherwise.
    parts : callable
        ``parts(folder)``: recordings by name, "train" and "test", or "all"; None if there are no files.
    """

    source: Source
    sensor_size: tuple[int, int, int]
    classes: int
    size: int
    parts: Callable[[Source, Path], dict[str, Recordings] | None]

    def frame_shape(self, size: int) -> tuple[int, ...]:
        """One sample at one step."""
        return (size,) if self.sensor_size[1] == 1 else (self.sensor_size[2], size, size)


def frames_of(
    events: NDArray[np.void], sensor_size: tuple[int, int, int], steps: int, *, size: int | None = None
) -> NDArray[np.int16]:
    """Events counted per pixel in ``steps`` bins of equal length by `tonic.transforms.ToFrame`.

    Parameters
    ----------
    events : structured array
        Fields ``x, t, p`` and, unless the sensor is a line, ``y``.
    sensor_size : tuple of int
        Width, height, polarities.
    steps : int
        Bins of whole microseconds from the recording's first event on; what is left over at the end (less than one
        microsecond per bin, and the last event itself) is dropped by tonic.
    size : int, optional
        Pixels along each side after downsampling: pixel x goes to ``floor(x * size / width)`` and counts add up.

    Returns
    -------
    int16 array, shape (steps, polarities, height, width), or (steps, channels) for a line

    Raises
    ------
    InvalidInput
        If there is no event, one lies outside the sensor, the recording is shorter than a microsecond per bin, or a
        pixel counts more than 32,767 in one.
    """
    from tonic.transforms import ToFrame

    width, height, polarities = sensor_size
    if len(events) == 0:
        raise InvalidInput("the recording holds no event: it cannot be divided into steps; check its file")
    axes = {name: limit for name, limit in (("x", width), ("y", height)) if name in (events.dtype.names or ())}
    for name, limit in axes.items():
        low, high = int(events[name].min()), int(events[name].max())
        if low < 0 or high >= limit:
            raise InvalidInput(f"the recording has {name} from {low} to {high}; the sensor has 0 to {limit - 1}")
    if (events["t"][1:] < events["t"][:-1]).any():
        events = events[np.argsort(events["t"], kind="stable")]
    if int(events["t"][-1]) - int(events["t"][0]) < steps:  # tonic would make bins of no length and lose every event
        raise InvalidInput(f"the recording is shorter than {steps} us: it cannot be divided into {steps} steps")
    if size is not None and (size, size if height > 1 else 1) != (width, height):
        events = events.copy()
        for name, limit in axes.items():  # in integers: tonic's Downsample puts x = 17 of 34 into pixel 7 of 16
            events[name] = events[name].astype(np.int64) * (size if limit > 1 else 1) // limit
        width, height = size, size if height > 1 else 1
    frames = ToFrame(sensor_size=(width, height, polarities), n_time_bins=steps)(events)
    if frames.min() < 0:
        raise InvalidInput("the recording has more than 32,767 events in one pixel and step; use more steps")
    return np.asarray(frames[:, 0, :] if height == 1 else frames, np.int16)


def write_frames(
    path: Path, recordings: Recordings, source: EventSource, *, steps: int, size: int, binarize: bool
) -> None:
    """Every recording as frames in one .npy file: spikes 0/1 packed eight to a byte, or counts as uint16.

    Raises
    ------
    InvalidInput
        If a recording cannot be read or divided into frames: which, and why.
    """
    shape = (steps, *source.frame_shape(size))
    packed = (len(recordings), (int(np.prod(shape)) + 7) // 8)
    stored = np.lib.format.open_memmap(
        path,
        mode="w+",
        dtype=np.uint8 if binarize else np.uint16,
        shape=packed if binarize else (len(recordings), *shape),
    )
    for row in range(len(recordings)):
        try:
            frames = frames_of(recordings.read(row), source.sensor_size, steps, size=size)
        except InvalidInput as error:
            raise InvalidInput(f"{recordings.where(row)}: {error}") from error
        stored[row] = np.packbits(frames.ravel() > 0, bitorder="little") if binarize else frames
    stored.flush()


def event_dataset(name: str, source: EventSource, request: Request) -> Dataset:
    """A data set of recordings: event frames prepared on first use and mapped into memory from then on.

    Where the set has a test part of its own, a tenth of its training part validates; where it has none (CIFAR10-DVS), a
    tenth of every class tests and another validates.
    """
    steps, binarize = request.steps, request.preprocessing.binarize
    size = request.side(name, source.size, source.sensor_size[0])
    parts = found_or_fetched(name, source.source, request, source.parts)
    note = request.check_complete(name, {part: (len(found), found.published) for part, found in parts.items()})
    options = {"steps": steps, "size": size, "binarize": binarize}

    def build(entry: Path) -> None:
        for part, found in parts.items():
            write_frames(entry / f"{part}.npy", found, source, steps=steps, size=size, binarize=binarize)

    entry = prepared(request.folder, name, options, [file for found in parts.values() for file in found.files], build)
    shape = (steps, *source.frame_shape(size))

    def split_of(part: str, found: Recordings) -> Split:
        rows = np.arange(len(found))
        return Split(StoredSamples(entry / f"{part}.npy", rows, shape, packed=binarize), found.labels)

    splits = {part: split_of(part, found) for part, found in parts.items()}
    whole = splits.get("train") or splits["all"]
    pixels = f"{size} channels" if source.sensor_size[1] == 1 else f"{size} x {size} pixels"
    return split_dataset(
        whole.inputs,
        whole.labels,
        name=name,
        description=f"{source.source.title}, {pixels}, {'0/1 frames' if binarize else 'counts'}{note}",
        input_kind="spike" if binarize else "graded",
        classes=source.classes,
        test=splits.get("test"),
        portions=10,
        fold=request.fold,
    )


def to_frames(streams: Any, sensor_size: tuple[int, int, int], steps: int, *, binarize: bool = True) -> NDArray[Any]:
    """Event streams binned by `tonic.transforms.ToFrame`; binarised, any event in a bin is one spike.

    Parameters
    ----------
    streams : iterable of structured arrays
        Fields ``x, y, t, p``.
    sensor_size : tuple of int
        Width, height, polarities.
    steps : int
        Bins of equal length between a stream's first and last event.
    binarize : bool
        0 or 1; otherwise counts up to 32,767.

    Returns
    -------
    array, shape (samples, steps, polarities, height, width)
        uint8, or uint16 for counts.
    """
    kind = np.uint8 if binarize else np.uint16
    counts = (frames_of(events, sensor_size, steps) for events in streams)
    frames = [(count > 0 if binarize else count).astype(kind) for count in counts]
    return np.stack(frames) if frames else np.empty((0, steps, *sensor_size[::-1]), kind)
