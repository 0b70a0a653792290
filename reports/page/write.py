"""The only file of this folder that writes: a report and its tables, whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ...sim.errors import InvalidInput
from . import render
from .blocks import Report, Table

if TYPE_CHECKING:
    import pandas as pd


def write_report(
    report: Report,
    path: str | Path,
    formats: Sequence[str] = ("html", "pdf"),
    *,
    written: datetime | None = None,
) -> list[Path]:
    """Write a report as ``<path>.html`` and ``.pdf``, its tables into ``<path>-tables/`` as CSV and Parquet.

    Everything is first made in a temporary folder beside the target and moved into place only when all of it is
    there, so a failure leaves an earlier report whole.

    Parameters
    ----------
    report : Report
    path : path
        Folder and name without ending; the folder is made if need be.
    formats : sequence of {'html', 'pdf'}
    written : datetime, optional
        Time stamp of the report; now by default. With the same one, the same content gives the same bytes.

    Returns
    -------
    list of Path
        The report files, in the order of ``formats``.

    Raises
    ------
    InvalidInput
        Unknown format, or a folder or disk that cannot be written.
    """
    wanted = list(dict.fromkeys(formats))
    if isinstance(formats, str) or not wanted or not set(wanted) <= set(FORMATS):
        raise InvalidInput(f"report: formats are {formats!r}; give one or more of {', '.join(FORMATS)}")
    base = Path(path)
    if base.suffix.removeprefix(".") in FORMATS:
        base = base.with_suffix("")
    if base.name in ("", "..") or base.is_dir():
        raise InvalidInput(
            f"report: {path} is a folder; give a name for the report in it, for example {base / 'report'}"
        )
    stamp = written or datetime.now(UTC).replace(microsecond=0)
    drawn = render.Drawn()  # once for all formats
    contents = {name: FORMATS[name](report, stamp, drawn) for name in wanted}
    try:
        base.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{base.name}-", dir=base.parent, ignore_cleanup_errors=True
        ) as folder:
            return _write(Path(folder), base, contents, all_tables(report))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidInput(
            f"report: {base} cannot be written: {reason}; free some space or choose another folder. Earlier "
            f"results are kept"
        ) from error


def all_tables(report: Report) -> dict[str, pd.DataFrame]:
    """Every table of a report in full precision, by name."""
    shown = {
        block.name: block.data
        for section in report.sections
        for block in section.blocks
        if isinstance(block, Table) and block.data is not None
    }
    return shown | report.tables


def _write(folder: Path, base: Path, contents: dict[str, bytes], frames: dict[str, pd.DataFrame]) -> list[Path]:
    new = folder / "tables"
    new.mkdir()
    for name, frame in frames.items():
        frame.to_csv(new / f"{name}.csv", index=False, lineterminator="\n")
        frame.to_parquet(new / f"{name}.parquet", index=False)
    for ending, content in contents.items():
        (folder / ending).write_bytes(content)
    target = base.with_name(f"{base.name}-tables")
    reports = [base.with_name(f"{base.name}.{ending}") for ending in contents]
    _check_replaceable(target, reports)
    _move_into_place([(new, target), *((folder / path.suffix[1:], path) for path in reports)], folder / "old")
    return reports


def _move_into_place(moves: Sequence[tuple[Path, Path]], kept: Path) -> None:
    """Rename each new file over its target; when one fails, everything is put back as it was."""
    kept.mkdir()
    undo: list[tuple[Path, Path]] = []
    try:
        for new, target in moves:
            if target.exists():
                target.rename(kept / target.name)
                undo.append((kept / target.name, target))
            new.rename(target)
            undo.append((target, new))
    except BaseException:  # an interrupt as much as a full disk; raised again once all is back
        for source, back in reversed(undo):
            source.rename(back)
        raise


def _check_replaceable(tables: Path, reports: Sequence[Path]) -> None:
    """Only what looks like an earlier report is replaced: files, and a folder that holds nothing but tables."""
    foreign = [path for path in reports if path.is_dir()]
    if tables.is_dir():
        foreign += [path for path in tables.iterdir() if path.suffix not in (".csv", ".parquet")]
    elif tables.exists():
        foreign.append(tables)
    if foreign:
        raise InvalidInput(
            f"report: {foreign[0]} is in the way and is no part of an earlier report; move it, or choose another name"
        )


# ending -> what makes the bytes of that file
FORMATS: dict[str, Callable[[Report, datetime, render.Drawn], bytes]] = {
    "html": lambda report, written, drawn: render.html(report, written, drawn).encode("utf-8"),
    "pdf": render.pdf,
}
