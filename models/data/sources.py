"""The files of data sets that have to be fetched: where they lie, what is told when they are missing, fetching them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ...sim.errors import InvalidInput
from .dataset_request import Request

Found = TypeVar("Found")
FOLDER_VARIABLE = "SPIKEJOULE_DATA"


@dataclass(frozen=True)
class Source:
    """Where a data set comes from.

    Attributes
    ----------
    title : str
        The data set in words, with its paper.
    page : str
        Where its authors or keepers offer it.
    layout : str
        The files expected under the data folder.
    tonic : str
        The class of `tonic.datasets` that fetches and reads it; "" if there is none.
    archives : tuple of (url, file name, MD5)
        What is fetched where tonic has no class.
    """

    title: str
    page: str
    layout: str
    tonic: str = ""
    archives: tuple[tuple[str, str, str], ...] = ()


def data_folder(folder: str | Path | None) -> Path:
    """The folder given, else ``$SPIKEJOULE_DATA``, else ``data`` where the program runs."""
    return Path(folder if folder is not None else os.environ.get(FOLDER_VARIABLE) or "data").expanduser()


def missing(name: str, source: Source, folder: Path) -> InvalidInput:
    """The error that says which files are expected where and how to get them."""
    sums = "; ".join(f"{file}, MD5 {md5}" for file, md5 in _archives(source))
    fetch = " or call load_dataset with download=True" if sums else ""
    return InvalidInput(
        f"data set {name!r}: its files are not in {str(folder)!r}, where {source.layout} is expected. Get them from "
        f"{source.page}{f' ({sums})' if sums else ''}{fetch}; ${FOLDER_VARIABLE} or folder= names another folder. "
        f"Sets that need no files: digits-events, digits"
    )


def found_or_fetched(
    name: str, source: Source, request: Request, find: Callable[[Source, Path], Found | None]
) -> Found:
    """What ``find(source, folder)`` finds, fetched first if it is missing and the user asked for that.

    Raises
    ------
    InvalidInput
        If the files are missing, or cannot be fetched.
    """
    found = find(source, request.folder)
    if found is None and request.download:
        download(name, source, request.folder)
        found = find(source, request.folder)
    if found is None:
        raise missing(name, source, request.folder)
    return found


def download(name: str, source: Source, folder: Path) -> None:
    """Fetch a data set into the folder; archives are checked against their MD5.

    Raises
    ------
    InvalidInput
        If the network fails or an archive is not what it should be.
    """
    try:
        if source.tonic:
            kind = _tonic_class(source)
            for options in ({},) if source.tonic == "CIFAR10DVS" else ({"train": True}, {"train": False}):
                kind(save_to=str(folder), **options)
            return
        from tonic.download_utils import download_and_extract_archive

        for url, file, md5 in source.archives:
            download_and_extract_archive(url, str(folder), filename=file, md5=md5)
    except (OSError, RuntimeError) as error:  # no network, a refused download, a broken archive
        raise InvalidInput(
            f"data set {name!r}: {source.title} could not be downloaded into {str(folder)!r} ({error}); get it by hand "
            f"from {source.page}, or use one of the sets that need no download: digits-events, digits"
        ) from error


def local(source: Source, folder: Path, **options: object) -> Any:
    """tonic's data set over the files that are there; by itself it would download if it missed its archive."""
    base = _tonic_class(source)
    kind = type(base.__name__, (base,), {"_check_exists": lambda self: True})
    return kind(save_to=str(folder), **options)


def _tonic_class(source: Source) -> Any:
    import tonic

    return getattr(tonic.datasets, source.tonic)


def _archives(source: Source) -> list[tuple[str, str]]:
    """File names and MD5 sums of what is fetched, tonic's as the installed release states them."""
    if not source.tonic:
        return [(file, md5) for _, file, md5 in source.archives]
    kind = _tonic_class(source)
    pairs = [("filename", "file_md5")] if hasattr(kind, "file_md5") else []
    for part in ("train", "test"):
        file = f"{part}_filename" if hasattr(kind, f"{part}_filename") else f"{part}_zip"
        pairs += [(file, f"{part}_md5")] if hasattr(kind, f"{part}_md5") else []
    return [(getattr(kind, file), getattr(kind, md5)) for file, md5 in pairs]
