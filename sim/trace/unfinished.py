"""A trace before it is whole: where it is written, how it takes its place, and what a writer that died left behind.

In a folder a draft is a hidden sibling of the trace, renamed when whole. Under a URL, where nothing can be renamed, it
is a folder of its own inside the trace, and the manifest, written last, says which folder counts.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ..errors import InvalidInput
from .manifest import MANIFEST, unseal
from .shards import GROUP_METADATA
from .storage import LocalStore, Store, UrlStore, open_store, plain_errors

JOURNAL = "journal"
HEADER = f"{JOURNAL}/header.json"
LOCK = "writer.lock"
GENERATION = re.compile(r"g[0-9a-f]{12}")
OWN_NAMES = {MANIFEST, "zarr.json", "signals", "nonzero", "labels", "predictions", JOURNAL, LOCK}


@dataclass(frozen=True)
class Unfinished:
    """What a writer that died left.

    Attributes
    ----------
    place : str
        Folder or URL of the trace it was writing.
    draft : str
        Folder of what it wrote.
    samples : int
        Whole samples in it; `salvage` makes a trace of them.
    """

    place: str
    draft: str
    samples: int


@dataclass
class Draft:
    """A trace being written. ``store`` and ``prefix`` say where its files go."""

    final: Store
    store: Store
    prefix: str
    overwrite: bool
    lock: IO[bytes] | None = field(default=None, repr=False)

    def write(self, key: str, data: bytes) -> None:
        self.store.write(self.prefix + key, data)


def begin(path: str | os.PathLike[str], overwrite: bool) -> Draft:
    """Make the place for a new trace; refuses where one is and ``overwrite`` is not set, or where something else is."""
    final = open_store(path)
    _check_free(final, overwrite)
    token = secrets.token_hex(6)
    if isinstance(final, UrlStore):
        draft = Draft(final, final, f"g{token}/", overwrite)
    else:
        root = final.root.parent / f".{final.root.name}.partial-{token}"
        with plain_errors("write", final.root):
            root.mkdir(parents=True)
            lock = (root / LOCK).open("wb")
        _lock(lock)
        draft = Draft(final, LocalStore(root), "", overwrite, lock)
    try:
        draft.write("zarr.json", GROUP_METADATA)
        draft.write("signals/zarr.json", GROUP_METADATA)
    except BaseException:
        discard(draft)
        raise
    return draft


def _check_free(final: Store, overwrite: bool) -> None:
    if isinstance(final, LocalStore) and final.root.exists() and not final.root.is_dir():
        raise InvalidInput(f"cannot write trace {final}: a file has that name; choose another name")
    names = final.names()
    if not overwrite and (MANIFEST in names or (names and isinstance(final, LocalStore))):
        raise InvalidInput(
            f"cannot write trace {final}: it exists; choose another name or overwrite it (overwrite=True)"
        )
    foreign = [name for name in names if name not in OWN_NAMES and not GENERATION.fullmatch(name)]
    if foreign:
        raise InvalidInput(
            f"cannot write trace {final}: it holds {foreign[0]!r}, which is no part of a trace; choose another name"
        )


def commit(draft: Draft, manifest: bytes) -> None:
    """Put the draft in its place, whole, and only then remove what it replaces and what dead writers left."""
    _check_free(draft.final, draft.overwrite)
    draft.store.write(MANIFEST, manifest)
    if isinstance(draft.store, UrlStore):
        stale = [name for name in draft.final.names() if GENERATION.fullmatch(name) and f"{name}/" != draft.prefix]
        leftovers = [*stale, draft.prefix + JOURNAL]
    else:
        assert isinstance(draft.final, LocalStore)
        with plain_errors("write", draft.final):
            _rename(draft, draft.store.root, draft.final.root)
        release(draft)
        dead = [sibling for sibling in siblings(draft.final.root, "partial") if _is_dead(sibling)]
        for sibling in [*dead, *siblings(draft.final.root, "old")]:
            _remove_leftover(LocalStore(sibling))
        leftovers = [JOURNAL, LOCK]
    for key in leftovers:
        _remove_leftover(draft.final, key)


def _rename(draft: Draft, source: Path, final: Path) -> None:
    """Give a whole draft the trace's name; a trace that had it goes last."""
    if sys.platform == "win32":  # where nothing with an open file can be renamed
        release(draft)
    if not (final.is_dir() and any(final.iterdir())):
        if final.is_dir():
            final.rmdir()
        source.rename(final)
        return
    old = final.with_name(f".{final.name}.old-{secrets.token_hex(6)}")
    final.rename(old)
    try:
        source.rename(final)
    except BaseException:
        old.rename(final)
        raise
    _remove_leftover(LocalStore(old))


def _remove_leftover(store: Store, key: str = "") -> None:
    with contextlib.suppress(InvalidInput):  # what cannot be removed does no harm
        store.remove(key)


def discard(draft: Draft, manifest: bytes | None = None) -> None:
    """Remove what was written, unless the trace already took its place."""
    if isinstance(draft.final, UrlStore):
        size = draft.final.sizes([MANIFEST])[0]
        if size is not None and manifest is not None and draft.final.read(MANIFEST, 0, size) == manifest:
            return
        draft.store.remove(draft.prefix.rstrip("/"))
        return
    release(draft)
    draft.store.remove()


def siblings(final: Path, kind: str) -> list[Path]:
    """Drafts ('partial') or replaced traces ('old') that lie beside a trace, newest first."""
    pattern = re.compile(re.escape(f".{final.name}.{kind}-") + "[0-9a-f]{12}")
    try:
        found = [Path(entry.path) for entry in os.scandir(final.parent) if pattern.fullmatch(entry.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []


def unfinished(path: str | os.PathLike[str]) -> list[Unfinished]:
    """What writers that died left of the trace at this path or URL, newest first; with how many whole samples."""
    final = open_store(path)
    if isinstance(final, UrlStore):
        drafts: list[tuple[Store, str]] = [(final, f"{name}/") for name in final.names() if GENERATION.fullmatch(name)]
    else:
        drafts = [(LocalStore(root), "") for root in siblings(final.root, "partial") if _is_dead(root)]
    return [
        Unfinished(str(final), f"{store}/{prefix}".rstrip("/"), _samples_of(store, prefix)) for store, prefix in drafts
    ]


def _samples_of(store: Store, prefix: str) -> int:
    size = None if prefix else store.sizes([MANIFEST])[0]
    if size is not None:  # a draft in a folder that was whole, but not renamed yet
        with contextlib.suppress(InvalidInput):
            return int(unseal(store, MANIFEST, size)["samples"])
    journal = read_journal(store, prefix)
    return int(journal[-1]["samples"]) if journal else 0


def reopen(path: str | os.PathLike[str], left: Unfinished, overwrite: bool = False) -> Draft:
    """Take over what a dead writer left of the trace at ``path``."""
    final = open_store(path)
    if isinstance(final, UrlStore):
        return Draft(final, final, f"{left.draft.rpartition('/')[2]}/", overwrite)
    root = Path(left.draft)
    with plain_errors("take over", root):
        lock = (root / LOCK).open("r+b")
    if not _lock(lock):
        lock.close()
        raise InvalidInput(f"{root} is being written; wait until its writer is done")
    return Draft(final, LocalStore(root), "", overwrite, lock)


def read_journal(store: Store, prefix: str) -> list[dict[str, Any]]:
    """The header and the rows of a draft, up to the first that is missing or torn; empty without a header."""
    entries: list[dict[str, Any]] = []
    while True:
        key = prefix + (HEADER if not entries else row_key(len(entries) - 1))
        size = store.sizes([key])[0]
        if size is None:
            return entries
        try:
            entries.append(unseal(store, key, size))
        except InvalidInput:
            return entries


def row_key(row: int) -> str:
    """Journal file of one row of shards."""
    return f"{JOURNAL}/row-{row}.json"


def _lock(file: IO[bytes]) -> bool:
    """Hold a lock for as long as this process lives, so that others can tell a dead draft from a live one."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held by another process, or a file system without locks: then no draft counts as dead
        return False
    return True


def _is_dead(root: Path) -> bool:
    """Whether no process writes this draft any more."""
    try:
        with (root / LOCK).open("r+b") as file:
            return _lock(file)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def release(draft: Draft) -> None:
    """Give up the lock on a draft."""
    if draft.lock is not None:
        draft.lock.close()
        draft.lock = None
