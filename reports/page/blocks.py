"""The report as data: headings, paragraphs, tables and figures, before they become HTML or PDF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...sim.display import lines

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

NARROW, WIDE = 3.45, 7.1  # inches: half and full width of the printed page


@dataclass(frozen=True)
class Heading:
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Plain text; ``style`` is '' or 'lead' (the answer in words) or 'note' (small print)."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """A table column: ``unit`` stands under the label, ``text`` columns are left-aligned, ``wide`` ones wrap."""

    label: str
    unit: str = ""
    text: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as shown (a second line after a newline is set smaller), and the same data in full for CSV and Parquet.

    ``data`` is None where another table's file holds it already.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    data: pd.DataFrame | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Figure:
    """A figure that ``draw`` paints on a matplotlib Figure of ``width`` x ``height`` inches."""

    name: str
    caption: str
    draw: Callable[[Canvas], None]
    width: float = WIDE
    height: float = 3.0


@dataclass(frozen=True)
class SideBySide:
    """Two narrow figures next to each other where the page is wide enough."""

    left: Figure
    right: Figure


Block = Heading | Paragraph | Bullets | Table | Figure | SideBySide


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """What the renderers take; ``tables`` holds further data that is only written beside the report."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def __repr__(self) -> str:
        blocks = [block for section in self.sections for block in section.blocks]
        tables = sum(isinstance(block, Table) for block in blocks)
        return lines(
            f"Report: {self.title}",
            self.subtitle,
            f"{len(self.sections)} sections, {tables} tables, {len(blocks) - tables} other blocks",
        )
