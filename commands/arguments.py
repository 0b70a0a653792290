"""What several commands take: their headings in the help, arguments, and how these are read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..sim.trace.spike_trace import SpikeTrace

MAIN_JOB, STEP_BY_STEP, WHAT_IF, LOOK_UP = "Main job", "Step by step", "What if", "Look things up"  # help's headings


class Format(StrEnum):
    html = "html"
    pdf = "pdf"


Runs = Annotated[Path, typer.Option(help="Folder that holds the run folders.")]
TraceArgument = Annotated[
    Path, typer.Argument(help="A trace (.zarr), or a run folder that holds one.", show_default=False)
]
AcceleratorOption = Annotated[
    str, typer.Option("--accelerator", "-a", help="A name from 'accelerators list', or your own .yaml file.")
]
Formats = Annotated[
    list[Format] | None,
    typer.Option("--format", help="Of the report: html or pdf; give it twice for both.", show_default="both"),
]


def given_names(context: typer.Context) -> set[str]:
    """Names of the parameters that stand on the command line itself."""
    return {name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")}


def open_trace(path: Path) -> SpikeTrace:
    from ..sim.trace.spike_trace import SpikeTrace

    return SpikeTrace.open(trace_path(path))


def trace_path(path: Path) -> Path:
    """A run folder stands for the trace of its test split."""
    return path / "trace.zarr" if (path / "trace.zarr").exists() else path


def format_names(formats: list[Format] | None) -> tuple[str, ...]:
    """The formats to write: all of them where none was asked for."""
    return tuple(each.value for each in formats or Format)
