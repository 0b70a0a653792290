"""How objects introduce themselves: a few lines in a terminal, a small table in a notebook."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

WIDTH = 96  # characters of one line
LINES = 6


def lines(first: str, *others: str) -> str:
    """What a `__repr__` returns: what the object is, then its most asked figures, each line cut to `WIDTH`."""
    return "\n".join([_cut(first), *(_cut(f"  {line}") for line in others if line)][:LINES])


def one_line(shown: object) -> str:
    """The `repr` of an object on one line, for the caption of its table."""
    return "; ".join(" ".join(line.split()) for line in repr(shown).splitlines())


def shape_words(shape: Sequence[int]) -> str:
    """``2 x 16 x 16``."""
    return " x ".join(map(str, shape))


def brief(data: DataclassInstance) -> str:
    """A `__repr__` for dataclasses: fields that are not at their default, arrays by type and shape, mappings by keys.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Counts:
    ...     pairs: object
    ...     name: str = "conv1"
    >>> brief(Counts(np.zeros((10, 360), np.int64))), brief(Counts(None, "conv2"))
    ('Counts(pairs=int64 (10, 360))', "Counts(pairs=None, name='conv2')")
    """
    fields = [field for field in dataclasses.fields(data) if field.repr and not _is_default(data, field)]
    told = ", ".join(f"{field.name}={_value(getattr(data, field.name))}" for field in fields)
    return _cut(f"{type(data).__name__}({told})", WIDTH * LINES)


def html_table(caption: str, rows: Sequence[Mapping[str, object]]) -> str:
    """What a `_repr_html_` returns: a caption and a plain table, all text escaped."""
    import pandas as pd

    with pd.option_context("display.max_colwidth", None):
        table = pd.DataFrame(list(rows)).to_html(index=False, border=0, na_rep="")
    return f"<p>{html.escape(caption)}</p>\n{table}"


def _is_default(data: DataclassInstance, field: dataclasses.Field[object]) -> bool:
    value = getattr(data, field.name)
    if field.default_factory is not dataclasses.MISSING:
        return type(value) is type(made := field.default_factory()) and bool(value == made)
    if isinstance(value, np.ndarray):
        return False
    return field.default is not dataclasses.MISSING and bool(value == field.default)


def _value(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}" if value.ndim else str(value)
    if isinstance(value, Mapping):
        return _cut("{" + ", ".join(map(str, value)) + "}")
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return _cut(repr(value))


def _cut(text: str, width: int = WIDTH) -> str:
    """Text on one line, cut with an ellipsis where it is longer than ``width``."""
    flat = " ".join(text.split()) if "\n" in text else text
    return flat if len(flat) <= width else flat[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"
