"""Folders of image files, one per class, for direct encoding."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...sim.errors import InvalidInput
from .dataset_request import Request
from .samples import Normalisation
from .sources import Source, missing
from .splits import Dataset, Split, split_dataset

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".webp")
IMAGE_NET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # the usual figures for ImageNet's images
_SIZE = 224
_RESIZED = 256 / 224  # the shorter side before the centre crop, relative to the crop
_SOURCE = Source(
    "image folder",
    "whoever offers them",
    "images/train/<class>/ and images/test/<class>/ (or images/val/<class>/), or images/<class>/ alone,",
)


def image_folder(request: Request) -> Dataset:
    """Images in a folder per class by direct encoding, decoded batch by batch and normalised as ImageNet's are."""
    request.check_static("image-folder")
    folder, size = request.folder / "images", request.preprocessing.size or _SIZE
    tests = [folder / part for part in ("test", "val") if (folder / part).is_dir()]
    train = folder / "train" if tests else folder
    classes = image_classes(train)
    if not classes:
        raise missing("image-folder", _SOURCE, request.folder)

    def images(part: Path) -> Split:
        files, labels = image_files(part, classes)
        return Split(ImageFiles(files, size, IMAGE_NET), labels)

    whole = images(train)
    return split_dataset(
        whole.inputs,
        whole.labels,
        name="image-folder",
        description=f"images of {len(classes)} classes, {size} x {size} pixels, direct encoding",
        held_steps=request.steps,
        classes=len(classes),
        test=images(tests[0]) if tests else None,
        fold=request.fold,
    )


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files as samples (n, 1, 3, size, size), decoded when a batch is asked for; pickled as their paths.

    The shorter side is resized to ``round(size * 256 / 224)`` pixels (bilinear) and the centre ``size x size`` cut out.
    """

    files: NDArray[np.bytes_]  # paths as bytes: text arrays take four times the room
    size: int
    normalisation: Normalisation

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.files), 1, 3, self.size, self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Any) -> object:
        if isinstance(key, slice):
            return self.select(key)
        chosen = np.atleast_1d(self.files[key])
        pixels = np.empty((len(chosen), 1, 3, self.size, self.size), np.uint8)
        for row, file in enumerate(chosen):
            pixels[row, 0] = decode(Path(os.fsdecode(file)), self.size)
        values = self.normalisation(pixels)
        return values if np.ndim(self.files[key]) else values[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[np.arange(len(self))], dtype)

    def select(self, rows: slice | NDArray[np.int64]) -> ImageFiles:
        """These images only, still on disk."""
        return dataclasses.replace(self, files=self.files[rows])

    def digest(self) -> str:
        """From the images' classes, names and sizes in bytes: one replaced by another of the same size goes unseen."""
        paths = [Path(os.fsdecode(file)) for file in self.files.tolist()]
        listing = "".join(f"{path.parent.name}/{path.name}\0{path.stat().st_size}\n" for path in paths)
        return hashlib.sha256(f"{self.size} {self.normalisation}\n{listing}".encode()).hexdigest()


def decode(file: Path, size: int) -> NDArray[np.uint8]:
    """One image file as RGB pixels (3, size, size): resized by its shorter side, centre cut out."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            rgb = image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises on a file that is no image or cut short
        raise InvalidInput(f"{file}: cannot be decoded as an image ({error}); copy it again or take it out") from error
    factor = round(size * _RESIZED) / min(rgb.size)
    width, height = (max(size, round(side * factor)) for side in rgb.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + size, top + size)), np.uint8).transpose(2, 0, 1)


def image_classes(folder: Path) -> list[str]:
    """Names of the sub-folders, sorted: a class each."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def image_files(folder: Path, classes: list[str]) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """Image files of every class in the order of their names, and their labels.

    Raises
    ------
    InvalidInput
        If there is another class than ``classes``, or a class without an image.
    """
    if image_classes(folder) != classes:
        strays = sorted(set(image_classes(folder)) ^ set(classes))
        raise InvalidInput(f"{folder}: its classes are not those of the training part; differing: {', '.join(strays)}")
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(str(path) for path in (folder / name).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise InvalidInput(f"{folder / name}: holds no image; files end in {', '.join(IMAGE_SUFFIXES)}")
        files += found
        labels += [label] * len(found)
    return np.array([os.fsencode(file) for file in files]), np.array(labels, np.int64)
