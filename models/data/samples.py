"""Inputs of many samples that stay on disk until a batch of them is asked for."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .cache import stored_digest


class LazySamples(Protocol):
    """Inputs (samples, steps, *input_shape) on disk: a slice selects like NumPy's, an integer array reads."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: object) -> Any: ...

    def select(self, rows: slice | NDArray[np.int64]) -> LazySamples:
        """These samples only, still on disk."""
        ...

    def digest(self) -> str:
        """SHA-256 that changes with the content, from what is known of the files without reading them all."""
        ...


Inputs: TypeAlias = NDArray[Any] | LazySamples


@dataclass(frozen=True)
class Normalisation:
    """Pixels 0..255 become ``(pixel / 255 - mean) / std`` per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels (..., channels, height, width) as float32."""
        mean, std = (np.asarray(values, np.float32)[:, None, None] for values in (self.mean, self.std))
        return np.asarray((pixels / np.float32(255) - mean) / std, np.float32)


@dataclass(frozen=True, eq=False)
class StoredSamples:
    """Samples in one .npy file, which is mapped into memory and read batch by batch; pickled as its path.

    Attributes
    ----------
    path : Path
        ``(samples, steps, *input_shape)`` of uint8 or uint16, or uint8 ``(samples, bytes)`` where ``packed``.
    rows : int64 array
        Which samples of the file, in which order.
    sample_shape : tuple of int
        ``(steps, *input_shape)``.
    packed : bool
        Eight spikes 0/1 per byte, the first in the lowest bit.
    normalisation : Normalisation or None
        Applied to what is read.
    """

    path: Path
    rows: NDArray[np.int64]
    sample_shape: tuple[int, ...]
    packed: bool = False
    normalisation: Normalisation | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.rows), *self.sample_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.normalisation is not None:
            return np.dtype(np.float32)
        return np.dtype(np.uint8) if self.packed else np.load(self.path, mmap_mode="r").dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> object:
        if isinstance(key, slice):
            return self.select(key)
        stored = np.load(self.path, mmap_mode="r")[self.rows[key]]
        if self.packed:
            count = int(np.prod(self.sample_shape))
            stored = np.unpackbits(stored, axis=-1, count=count, bitorder="little")
        values = np.array(stored).reshape(*np.shape(self.rows[key]), *self.sample_shape)
        return values if self.normalisation is None else self.normalisation(values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[np.arange(len(self))], dtype)

    def select(self, rows: slice | NDArray[np.int64]) -> StoredSamples:
        """These samples only, still on disk."""
        return dataclasses.replace(self, rows=self.rows[rows])

    def digest(self) -> str:
        """From the file's checksum, which its folder's manifest holds and which is checked whenever data are loaded."""
        form = (self.sample_shape, self.packed, self.normalisation)
        content = f"{stored_digest(self.path)} {form}".encode() + np.ascontiguousarray(self.rows).tobytes()
        return hashlib.sha256(content).hexdigest()


def digest(inputs: Inputs) -> str:
    """SHA-256 of inputs: of an array's type, shape and values, or as the samples on disk know it."""
    if not isinstance(inputs, np.ndarray):
        return inputs.digest()
    form = f"{inputs.dtype.str} {inputs.shape} ".encode()
    return hashlib.sha256(form + np.ascontiguousarray(inputs).tobytes()).hexdigest()


def select(inputs: Inputs, rows: NDArray[np.int64]) -> Inputs:
    """Some samples of an array, or of samples on disk without reading them."""
    return inputs[rows] if isinstance(inputs, np.ndarray) else inputs.select(rows)
