"""Prepared data on disk: made once from the files of a data set, checked whenever they are used."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...sim.files import replacing

CACHE_VARIABLE = "SPIKEJOULE_CACHE"
_FORMAT = 1  # of what is prepared and how; part of every key
_MANIFEST = "manifest.json"


def prepared(
    root: Path, name: str, options: Mapping[str, object], sources: Sequence[Path], build: Callable[[Path], None]
) -> Path:
    """The folder of prepared data of these sources under these options, made if it is not there.

    Parameters
    ----------
    root : Path
        Folder of the data sets; prepared data lie in its ``prepared/``, or in ``$SPIKEJOULE_CACHE``.
    name : str
        Of the data set.
    options : mapping
        All that decides what is prepared, as JSON.
    sources : sequence of Path
        Files under ``root`` that it is made from: their content is part of the key.
    build : callable
        Fills a new, empty folder.

    Returns
    -------
    Path
        ``<name>-<key>/`` with what ``build`` wrote and a manifest of SHA-256 digests.

    Warns
    -----
    UserWarning
        If what is there is damaged: it is made again.
    """
    cache = Path(os.environ.get(CACHE_VARIABLE) or root / "prepared")
    content = {"format": _FORMAT, "name": name, "options": dict(options), "sources": _checksum(cache, root, sources)}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    entry = cache / f"{name}-{key}"
    if entry.exists():
        fault = _fault(entry, content)
        if fault is None:
            return entry
        warnings.warn(f"{entry}: the prepared data are damaged ({fault}); they are made again", stacklevel=2)
    with replacing(entry) as temporary:
        temporary.mkdir()
        build(temporary)
        files = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
        (temporary / _MANIFEST).write_text(json.dumps({**content, "files": files}, indent=1), encoding="utf-8")
    return entry


def stored_digest(path: Path) -> str:
    """SHA-256 of a file of prepared data as its manifest states it, or of its content where there is no manifest."""
    manifest = path.parent / _MANIFEST
    if not manifest.is_file():
        return _digest(path)
    return str(json.loads(manifest.read_text(encoding="utf-8"))["files"][path.name])


def _fault(entry: Path, content: Mapping[str, object]) -> str | None:
    """What is wrong with prepared data, or None."""
    try:
        manifest = json.loads((entry / _MANIFEST).read_text(encoding="utf-8"))
        files = manifest.pop("files")
        if manifest != content:
            return f"{_MANIFEST} describes other data"
        for name, digest in files.items():
            if _digest(entry / name) != digest:
                return f"{name} does not have its checksum"
    except (OSError, ValueError, AttributeError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _checksum(cache: Path, root: Path, sources: Sequence[Path]) -> str:
    """SHA-256 over names and contents; remembered until a file's size or time of change differs.

    Hashing 70,000 files takes longer than reading what was prepared from them. A file edited with both its size and
    its time of change kept goes unnoticed.
    """
    listing = hashlib.sha256()
    for path in sources:
        status = path.stat()
        listing.update(f"{path.relative_to(root).as_posix()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    memory = cache / "checksums" / f"{listing.hexdigest()[:16]}.txt"
    if memory.exists():
        found = memory.read_text(encoding="ascii").strip()
        if len(found) == 64:
            return found
    contents = hashlib.sha256()
    for path in sources:
        contents.update(f"{path.relative_to(root).as_posix()}\0{_digest(path)}\n".encode())
    with replacing(memory) as temporary:
        temporary.write_text(contents.hexdigest(), encoding="ascii")
    return contents.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
