"""Commands that count the operations of traces and price them."""

from __future__ import annotations

import json
import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..sim.errors import InvalidInput
from .arguments import STEP_BY_STEP, AcceleratorOption, Formats, TraceArgument, format_names, given_names, open_trace
from .console import show_counts, show_estimate, show_priced, show_scores

if TYPE_CHECKING:
    from ..sim.counting.operations import OperationCounts
    from ..sim.trace.spike_trace import SpikeTrace

app = typer.Typer()


class MemorySizes(StrEnum):
    fixed = "fixed"
    fitted = "fitted"


@app.command(epilog="Example: spikejoule count runs/0123456789abcdef --out counts.csv", rich_help_panel=STEP_BY_STEP)
def count(
    trace: TraceArgument,
    out: Annotated[Path | None, typer.Option(help="Write the tidy table here (.csv or .parquet).")] = None,
) -> None:
    """Count the operations of a trace exactly, per layer."""
    from ..sim.counting.operations import write_counts

    counts = _count(open_trace(trace))
    show_counts(counts)
    if out is not None:
        print(write_counts(counts, out))


@app.command(
    epilog="Example: spikejoule estimate runs/0123456789abcdef --accelerator event-driven-45nm",
    rich_help_panel=STEP_BY_STEP,
)
def estimate(
    context: typer.Context,
    trace: TraceArgument,
    accelerator: AcceleratorOption = "event-driven-45nm",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON (docs/estimate.schema.json).")
    ] = False,
    all_models: Annotated[bool, typer.Option("--all-models", help="Score under every published formula.")] = False,
    actions: Annotated[
        Path | None, typer.Option(help="Write the action table here (.parquet), for `spikejoule price`.")
    ] = None,
    memory: Annotated[
        MemorySizes, typer.Option(help="The machine's own memories, or sized to this network: other silicon.")
    ] = MemorySizes.fixed,
) -> None:
    """Energy and time per inference of a trace on an accelerator, or under every published formula."""
    from ..energy.machines.accelerator import load_accelerator
    from ..energy.pricing.estimate import estimate as make_estimate

    if all_models:
        if given_names(context) & {"accelerator", "actions", "memory"}:
            raise InvalidInput(
                "estimate: published formulas have no accelerator and no action table; give --all-models alone, or "
                "leave it out to use --accelerator, --actions and --memory"
            )
        _score(open_trace(trace), as_json=as_json)
        return
    machine, recorded = load_accelerator(accelerator), open_trace(trace)
    if memory is MemorySizes.fitted:
        from ..energy.explaining.fitted_memories import fitted

        machine = fitted(machine, _count(recorded))
    result = make_estimate(recorded, machine)
    if as_json:
        _print_json(result.to_dict())
    else:
        show_estimate(result)
    if actions is not None:
        from ..sim.hardware.action_table import write_actions

        origin = {"trace_hash": result.operations.trace_hash, "accelerator": machine.name}
        print(write_actions(result.actions, actions, origin), file=sys.stderr)


@app.command(epilog="Example: spikejoule price actions.parquet --technology jouppi-7nm", rich_help_panel=STEP_BY_STEP)
def price(
    table: Annotated[Path, typer.Argument(help="What `estimate --actions` wrote.", show_default=False)],
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", "-a", help="A name from 'accelerators list', or your own .yaml file.")
    ] = None,
    technology: Annotated[
        str | None, typer.Option(help="Instead: a technology, such as jouppi-7nm, or your own .yaml file.")
    ] = None,
) -> None:
    """Apply the prices of an accelerator or a technology to a stored action table."""
    from ..energy.machines.accelerator import load_accelerator
    from ..energy.machines.prices import load_technology
    from ..sim.hardware.action_table import read_actions

    if (accelerator is None) == (technology is None):
        raise InvalidInput("price: give either --accelerator or --technology")
    prices = load_technology(str(technology)) if accelerator is None else load_accelerator(accelerator)
    show_priced(read_actions(table), prices)


@app.command(
    epilog="Example: spikejoule compare --baseline fp32 fp32=runs/aaaa,runs/bbbb BSNN=runs/cccc,runs/dddd",
    rich_help_panel=STEP_BY_STEP,
)
def compare(
    variants: Annotated[
        list[str], typer.Argument(help="NAME=TRACE[,TRACE...]: a trace or run folder per seed.", show_default=False)
    ],
    baseline: Annotated[str, typer.Option(help="The variant that ratios refer to.", show_default=False)],
    accelerator: AcceleratorOption = "event-driven-45nm",
    out: Annotated[Path | None, typer.Option(help="Write OUT.html, OUT.pdf and the tables.")] = None,
    formats: Formats = None,
) -> None:
    """Compare recorded networks on one accelerator."""
    from ..energy.machines.accelerator import load_accelerator
    from ..energy.pricing.estimate_variants import estimate_variants
    from ..reports.compare import compare as make_comparison
    from ..sim.hardware.grid.kernel_fetches import needs_spikes

    machine = load_accelerator(accelerator)
    opened = {name: [open_trace(Path(path)) for path in paths] for name, paths in map(_named_traces, variants)}
    if len(opened) < len(variants):
        raise InvalidInput(f"compare: a name is given twice among {', '.join(variants)}")
    if needs_spikes(machine.architecture):
        traces: Any = opened
    else:
        traces = {name: [_count(each) for each in group] for name, group in opened.items()}
    priced = estimate_variants(traces, machine, baseline)
    comparison = make_comparison(priced.estimates, baseline=baseline, refused={machine.name: priced.refused})
    print(comparison.headline())
    for name, reason in priced.refused.items():
        print(f"left out: {name}: {reason}")
    if out is not None:
        for path in comparison.write(out, formats=format_names(formats)):
            print(path)


def _score(trace: SpikeTrace, *, as_json: bool) -> None:
    """Print a trace under every published formula."""
    from ..energy.published import score_table

    scores = score_table(_count(trace))
    if as_json:
        _print_json(scores.to_dict(orient="records"))
    else:
        show_scores(scores)


def _count(trace: SpikeTrace) -> OperationCounts:
    from ..sim.counting.operations import count as run_count

    return run_count(trace)


def _named_traces(text: str) -> tuple[str, list[str]]:
    name, equals, paths = text.partition("=")
    if not name or not equals or not all(paths.split(",")):
        raise InvalidInput(f"compare: {text!r} is not NAME=TRACE[,TRACE...]; for example BSNN=runs/aaaa,runs/bbbb")
    return name, paths.split(",")


def _print_json(data: object) -> None:
    """As docs/estimate.schema.json describes it."""
    print(json.dumps(_json_figures(data), indent=2, allow_nan=False, default=str))


def _json_figures(data: object) -> object:
    """JSON has neither NaN, which is null here, nor infinity, which is the text inf."""
    if isinstance(data, dict):
        return {key: _json_figures(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_json_figures(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None if math.isnan(data) else str(data)
    return data
