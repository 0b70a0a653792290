"""What is asked of a data set: steps, fold, preprocessing, where its files are and whether they may be fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...sim.errors import InvalidInput


@dataclass(frozen=True)
class Preprocessing:
    """What is done to recordings or images before any network sees them.

    Attributes
    ----------
    binarize : bool
        Event frames hold 0 or 1: any event in a bin is one spike. Otherwise they hold counts (graded input).
    size : int or None
        Pixels along each side (channels, for a line) after downsampling; None takes the data set's own.
    """

    binarize: bool = True
    size: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.binarize, bool):
            raise InvalidInput(f"preprocessing: binarize is {self.binarize!r}; it must be True or False")
        size = self.size
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise InvalidInput(f"preprocessing: size is {size!r}; it must be an integer from 1, or None")


@dataclass(frozen=True)
class Request:
    """What `load_dataset` was asked for; its parameters."""

    steps: int
    fold: int | None
    folder: Path
    preprocessing: Preprocessing
    download: bool
    partial: bool

    def __post_init__(self) -> None:
        fold = self.fold
        if fold is not None and (not isinstance(fold, int) or isinstance(fold, bool)):
            raise InvalidInput(f"data set: fold is {fold!r}; it must be an integer from 0, or None")

    def side(self, name: str, own: int, largest: int) -> int:
        """Pixels along each side: what was asked for, or the set's own; at most what the sensor has."""
        size = self.preprocessing.size or own
        if size > largest:
            raise InvalidInput(f"data set {name!r}: size is {size}; it must be at most {largest}, the sensor's")
        return size

    def check_fixed_size(self, name: str, own: int) -> None:
        """Refuse another size than the set's own."""
        if self.preprocessing.size not in (None, own):
            raise InvalidInput(f"data set {name!r}: size is {self.preprocessing.size}; its pictures have {own} only")

    def check_static(self, name: str) -> None:
        """Refuse counts where there are no events."""
        if not self.preprocessing.binarize:
            raise InvalidInput(f"data set {name!r}: binarize=False counts events, but these are still images")

    def check_complete(self, name: str, found: dict[str, tuple[int, int]]) -> str:
        """Refuse fewer or more samples than were published, unless that was asked for; what to add to a description.

        Parameters
        ----------
        found : dict
            Part -> (samples found, samples published).
        """
        if all(have == published for have, published in found.values()):
            return ""
        counts = ", ".join(f"{part} {have:,} of {published:,}" for part, (have, published) in found.items())
        if not self.partial:
            raise InvalidInput(
                f"data set {name!r} in {str(self.folder)!r} is not complete: {counts}; unpack its archives again, or "
                f"pass partial=True to use what is there"
            )
        return f", part of it only ({counts})"
