"""Where a trace lies: a folder, or any fsspec URL. Whole files by name, ranges of them, and plain error messages."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInput

REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file would be larger than allowed here; choose another folder",
    errno.EACCES: "permission denied; choose a folder that you may use",
    errno.EPERM: "permission denied; choose a folder that you may use",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
}


@contextlib.contextmanager
def plain_errors(action: str, where: object) -> Iterator[None]:
    """Turn what the operating system refuses into one clear `InvalidInput`."""
    try:
        yield
    except OSError as error:
        reason = REASONS.get(error.errno or 0) or str(error)
        raise InvalidInput(f"cannot {action} {where}: {reason}") from error


@dataclass(frozen=True)
class LocalStore:
    """Files under a folder; keys use ``/``."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def file(self, key: str) -> Path:
        return self.root.joinpath(*key.split("/"))

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Bytes of each file; None where there is none, or something that is not a plain file."""
        return [_plain_size(self.file(key)) for key in keys]

    def read(self, key: str, start: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``start``; fewer where the file ends."""
        with plain_errors("read", self.file(key)), self.file(key).open("rb") as file:
            file.seek(start)
            return file.read(size)

    def write(self, key: str, data: bytes) -> None:
        path = self.file(key)
        with plain_errors("write", path):
            try:
                path.write_bytes(data)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def remove(self, key: str = "") -> None:
        """Remove a file or a folder with all in it; nothing happens where there is none."""
        path = self.file(key) if key else self.root
        with plain_errors("remove", path), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def names(self) -> list[str]:
        """What lies directly in the folder."""
        with plain_errors("list", self.root):
            return sorted(entry.name for entry in os.scandir(self.root)) if self.root.is_dir() else []


def _plain_size(path: Path) -> int | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


@dataclass(frozen=True)
class UrlStore:
    """Files under an fsspec URL such as ``memory://traces/a`` or ``s3://bucket/a``. Nothing is renamed."""

    url: str

    def __str__(self) -> str:
        return self.url

    def _place(self, key: str = "") -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs

            system, root = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise InvalidInput(f"cannot open {self.url}: {error}; use a folder or a URL that fsspec knows") from error
        return system, f"{root.rstrip('/')}/{key}" if key else root.rstrip("/")

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Bytes of each file, None where there is none: one listing, whatever the number of keys."""
        system, root = self._place()
        with plain_errors("list", self.url):
            system.invalidate_cache()
            if len(keys) == 1:
                place = f"{root}/{keys[0]}"
                found = {place: system.info(place)} if system.exists(place) else {}
            else:
                found = system.find(root, detail=True)
        by_key = {name[len(root) :].lstrip("/"): info for name, info in found.items()}
        return [int(by_key[key]["size"]) if by_key.get(key, {}).get("type") == "file" else None for key in keys]

    def read(self, key: str, start: int, size: int) -> bytes:
        system, place = self._place(key)
        with plain_errors("read", f"{self.url}/{key}"):
            return bytes(system.cat_file(place, start=start, end=start + size))

    def write(self, key: str, data: bytes) -> None:
        system, place = self._place(key)
        with plain_errors("write", f"{self.url}/{key}"):
            system.makedirs(place.rpartition("/")[0], exist_ok=True)
            system.pipe_file(place, data)

    def remove(self, key: str = "") -> None:
        system, place = self._place(key)
        with plain_errors("remove", f"{self.url}/{key}"):
            if system.exists(place):
                system.rm(place, recursive=True)

    def names(self) -> list[str]:
        system, root = self._place()
        with plain_errors("list", self.url):
            system.invalidate_cache()
            found = system.ls(root, detail=False) if system.exists(root) else []
        return sorted(name.rstrip("/").rpartition("/")[2] for name in found)


Store = LocalStore | UrlStore


def open_store(path: str | os.PathLike[str]) -> Store:
    """The store of a path or URL; ``file://`` is a path. Nothing is touched."""
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidInput(f"trace path {text!r} is neither a path nor a URL")
    if text.startswith("file://"):
        from urllib.parse import urlsplit  # with its networking, as slow to import as all of this package
        from urllib.request import url2pathname

        return LocalStore(Path(url2pathname(urlsplit(text).path)))
    if re.match(r"[A-Za-z][A-Za-z0-9+.\-]+(::[a-z0-9]+)*://", text):
        return UrlStore(text.rstrip("/"))
    return LocalStore(Path(text))
