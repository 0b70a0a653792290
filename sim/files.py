"""Writing files so that a reader sees the old content or the new, never a part."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: str | Path, *, keep: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to, and rename it to ``path`` if the block ends well.

    Works for a file or a folder. If the block fails, what it wrote is removed and an earlier ``path`` stays whole. With
    ``keep`` a ``path`` that is there by then, written by another process, is left as it is.

    Raises
    ------
    InvalidInput
        When the folder cannot be written or the disk is full.
    """
    path = Path(path)
    unique = uuid.uuid4().hex[:12]  # not the process number: a folder may be shared between computers
    temporary, aside = (path.with_name(f".{path.name}.{unique}.{ending}") for ending in ("part", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if keep and path.exists():
            return
        if path.is_dir():  # a folder cannot be replaced in one go: killed in between, the old one is still there, aside
            path.replace(aside)
        temporary.replace(path)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot be written: {error.strerror or error}. Free some space or choose another place; "
            f"what stood there before is unchanged"
        ) from error
    finally:
        if aside.is_dir() and not path.exists():
            aside.replace(path)
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):  # most often it is not there: it was renamed, or never made
                temporary.unlink()


def write_table(table: pd.DataFrame, path: str | Path) -> Path:
    """Write a table, without its index, as CSV or Parquet by the ending of the path.

    Raises
    ------
    InvalidInput
        Another ending, or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise InvalidInput(f"{path}: a table is written as .csv or .parquet; give it one of these endings")
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
    return path
