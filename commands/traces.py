"""Commands that look at recorded traces."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from .arguments import TraceArgument, trace_path
from .console import new_table, progress_bars, show

app = typer.Typer(help="Look at recorded traces, check them, rescue interrupted ones.", no_args_is_help=True)


@app.command("info", epilog="Example: spikejoule trace info runs/0123456789abcdef")
def trace_info(trace: TraceArgument) -> None:
    """What a trace holds, from its manifest."""
    from ..sim.trace.inspection import info

    about = info(trace_path(trace))
    accuracy = "-" if about.accuracy is None else f"{about.accuracy:.4f}"
    print(f"{about.path}: format v{about.version}, hash {about.hash}")
    print(f"workload {about.workload}, {about.layers} layers, {about.steps} steps, {about.samples} samples")
    print(f"accuracy {accuracy}; {about.stored_bytes:,} bytes in {about.files} files")
    table = new_table("signal", "kind", "shape", "planes", "packed bytes", "stored bytes")
    for signal in about.signals:
        shape = " x ".join(map(str, signal.shape))
        sizes = (f"{signal.packed_bytes:,}", f"{signal.stored_bytes:,}")
        table.add_row(signal.name, signal.kind, shape, str(signal.planes), *sizes)
    show(table)


@app.command("verify", epilog="Example: spikejoule trace verify runs/0123456789abcdef")
def trace_verify(trace: TraceArgument) -> None:
    """Read every chunk of a trace and check it against its digest."""
    from ..sim.trace.inspection import verify

    with progress_bars() as progress:
        told = None if progress is None else partial(progress, "verify")
        result = verify(trace_path(trace), told)
    print(f"{result.path}: whole; {result.samples} samples, {result.chunks} chunks, {result.bytes:,} bytes verified")


@app.command("head", epilog="Example: spikejoule trace head runs/0123456789abcdef --samples 3")
def trace_head(
    trace: TraceArgument, samples: Annotated[int, typer.Option(min=1, help="How many samples.")] = 5
) -> None:
    """The first samples of a trace: label, prediction and spikes per signal."""
    from ..sim.trace.inspection import head

    shown = head(trace_path(trace), samples)
    table = new_table("sample", "label", "prediction", *(shown[0].events if shown else ()))
    for row in shown:
        label, prediction = ("-" if value is None else str(value) for value in (row.label, row.prediction))
        table.add_row(str(row.sample), label, prediction, *(f"{count:,}" for count in row.events.values()))
    show(table)


@app.command("salvage", epilog="Example: spikejoule trace salvage out/mine.zarr")
def trace_salvage(
    trace: Annotated[Path, typer.Argument(help="The path at which a writer was interrupted.", show_default=False)],
) -> None:
    """Make a trace of the whole samples that an interrupted writer left behind."""
    from ..sim.trace.salvage import salvage

    saved = salvage(trace)
    print(f"{saved.path}: {saved.samples} whole samples")
