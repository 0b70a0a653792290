"""Public names that are imported when they are first used, so that a face loads no more than what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The module-level ``__getattr__`` of a package whose names live in modules below it.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : mapping of name to module
        Relative to the package, such as ``network.workload``.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f".{homes[name]}", package), name)
        setattr(modules[package], name, value)
        return value

    return get
