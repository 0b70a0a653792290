"""The command line: every step of the main job as a command on files, and the main job itself."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from .console import (
    new_table,
    progress_bars,
    show,
    show_counts,
    show_dry_run,
    show_energies,
    show_estimate,
    show_omitted,
    show_scores,
    show_static,
    show_sweep,
)
from .sim.errors import InvalidInput

if TYPE_CHECKING:
    from .models.config import TrainConfig
    from .models.recipes import Recipe
    from .sim.operations import OperationCounts
    from .sim.trace import SpikeTrace

MAIN_JOB, STEP_BY_STEP, WHAT_IF, LOOK_UP = "Main job", "Step by step", "What if", "Look things up"  # help's headings
app = typer.Typer(
    help="What a spiking network costs to run, where the energy goes, and whether binarising it pays.",
    epilog="Start with: spikejoule report --quick (trains small networks, a few minutes). "
    "Each command's --help ends with an example.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
accelerators = typer.Typer(help="The machines that traces can be priced on.", no_args_is_help=True)
app.add_typer(accelerators, name="accelerators", rich_help_panel=LOOK_UP)
traces = typer.Typer(help="Look at recorded traces.", no_args_is_help=True)
app.add_typer(traces, name="trace", rich_help_panel=LOOK_UP)

WrongUsage: Any = typer.BadParameter.__mro__[2]  # click's ClickException, wherever this release of typer keeps it
LARGEST_MEMORY_KIB = 2**30  # 1 TiB: no on-chip memory is larger
Number = TypeVar("Number", int, float)
Runs = Annotated[Path, typer.Option(help="Folder of run folders.")]
TraceArgument = Annotated[
    Path, typer.Argument(help="A trace (.zarr), or a run folder that holds one.", show_default=False)
]
AcceleratorOption = Annotated[
    str, typer.Option("--accelerator", "-a", help="A name from 'accelerators list', or your own .yaml file.")
]


class GateKind(StrEnum):
    none = "none"
    agmm = "agmm"
    constant = "constant"
    alpha = "alpha"


class Format(StrEnum):
    html = "html"
    pdf = "pdf"


def main() -> None:
    """Entry point: bad input is one line on stderr and exit code 2, Ctrl-C one line and 130."""
    try:
        code = app(standalone_mode=False)
        if code == 130:  # typer turns Ctrl-C into this code, without a word
            print("spikejoule: stopped; finished results are whole", file=sys.stderr)
    except InvalidInput as error:
        print(f"spikejoule: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as stop:
        print(f"spikejoule: {str(stop) or 'stopped; finished results are whole'}", file=sys.stderr)
        code = 130
    except typer.Abort:
        print("spikejoule: stopped; finished results are whole", file=sys.stderr)
        code = 130
    except WrongUsage as error:
        if message := error.format_message():  # none where the help was shown instead
            print(f"spikejoule: {message} See spikejoule --help.", file=sys.stderr)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _print_version(wanted: bool) -> None:
    if wanted:
        from . import __version__

        print(f"spikejoule {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """What a spiking network costs to run, where the energy goes, and whether binarising it pays."""


@app.command(epilog="Example: spikejoule train --weight-bits 1 --gate agmm --seed 0", rich_help_panel=STEP_BY_STEP)
def train(
    context: typer.Context,
    dataset: Annotated[
        str, typer.Option(help="digits-events, digits, or one whose files you have: see docs/datasets.md.")
    ] = "digits-events",
    network: Annotated[str, typer.Option(help="csnn, vgg11, vggsnn, resnet18, resnet19, mlp, recurrent ...")] = "csnn",
    width: Annotated[float, typer.Option(help="Factor on the number of channels.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Time steps T.")] = 10,
    weight_bits: Annotated[int, typer.Option(help="1: binary, 32: full precision.")] = 1,
    gate: Annotated[GateKind, typer.Option(help="Gate on the currents before the neurons.")] = GateKind.none,
    seed: Annotated[int, typer.Option(help="Of initial weights and sample order.")] = 0,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the training set.", show_default="the default")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak rate.", show_default="the tuned one")] = None,
    variant: Annotated[
        str | None,
        typer.Option(help='A variant or control by name, such as "BSNN + alpha[t]"; instead of --weight-bits, --gate.'),
    ] = None,
    config_file: Annotated[
        str | None,
        typer.Option("--config", help="A .yaml file, or the name of one in configs/; options above win over it."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Two optimiser steps on made data of the config's shape; nothing is written."),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, or auto: the GPU if there is one.")] = "cpu",
    checkpoint_s: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints, from which a killed training goes on.")
    ] = 30,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.", show_default="none")] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Train one network into a run folder named by the hash of its configuration; prints the folder."""
    from .models.agmm import GateConfig
    from .models.config import TrainConfig, variant_config
    from .models.recipes import load_recipe
    from .models.train import train as run_training

    given = _given(context)
    if variant is not None and given & {"weight_bits", "gate"}:
        raise InvalidInput("train: --variant says what --weight-bits and --gate say too; give one or the other")
    fields: dict[str, Any] = {
        "dataset": dataset,
        "network": network,
        "width": width,
        "steps": steps,
        "weight_bits": weight_bits,
        "gate": None if gate is GateKind.none else GateConfig(gate.value),
        "seed": seed,
        "epochs": epochs,
        "learning_rate": learning_rate,
    }
    recipe = None if config_file is None else load_recipe(config_file)
    config = TrainConfig() if recipe is None else recipe.config
    config = replace(config, **{name: value for name, value in fields.items() if name in given})
    config = config if variant is None else variant_config(variant, config)
    if dry_run:
        _dry_run(config, recipe, device)
        return
    with progress_bars() as progress:
        run = run_training(
            config, runs=runs, progress=progress, device=device, checkpoint_s=checkpoint_s, tensorboard=tensorboard
        )
    print(run.path)


def _dry_run(config: TrainConfig, recipe: Recipe | None, device: str) -> None:
    from .models.config import config_data
    from .models.dry_run import DataShape
    from .models.dry_run import dry_run as try_out

    shape = None if recipe is None else recipe.data
    if shape is None:  # no shape in a file: the data themselves tell it
        data = config_data(config)
        shape = DataShape(data.input_shape, data.classes, len(data.train), data.input_kind, data.held_input)
    show_dry_run(try_out(config, shape, device=device), None if recipe is None else recipe.published)


@app.command(epilog="Example: spikejoule record runs/0123456789abcdef --split test", rich_help_panel=STEP_BY_STEP)
def record(
    run: Annotated[Path, typer.Argument(help="A run folder, as train prints it.", show_default=False)],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
) -> None:
    """Record the spikes of a trained network on a part of its data; prints the trace's path."""
    from .models.record import record as run_recording
    from .models.run import Run

    with progress_bars() as progress:
        trace = run_recording(Run.open(run), split=split, progress=progress)
    print(trace.path)


@app.command(epilog="Example: spikejoule count runs/0123456789abcdef --out counts.csv", rich_help_panel=STEP_BY_STEP)
def count(
    trace: TraceArgument,
    out: Annotated[Path | None, typer.Option(help="Write the tidy table here (.csv or .parquet).")] = None,
) -> None:
    """Count the operations of a trace exactly, per layer."""
    from .study import write_counts

    counts = _count(_open_trace(trace))
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
) -> None:
    """Energy and time per inference of a trace on an accelerator, or under every published formula."""
    from .energy.accelerator import load_accelerator
    from .energy.estimate import estimate as make_estimate
    from .energy.published import score_table

    if all_models:
        if _given(context) & {"accelerator", "actions"}:
            raise InvalidInput(
                "estimate: published formulas have no accelerator and no action table; give --all-models alone, or "
                "leave it out to use --accelerator and --actions"
            )
        scores = score_table(_count(_open_trace(trace)))
        if as_json:
            _print_json(scores.to_dict(orient="records"))
        else:
            show_scores(scores)
        return
    machine = load_accelerator(accelerator)
    result = make_estimate(_open_trace(trace), machine)
    if as_json:
        _print_json(result.to_dict())
    else:
        show_estimate(result)
    if actions is not None:
        from .sim.action_table import write_actions

        origin = {"trace_hash": result.operations.trace_hash, "accelerator": machine.name}
        print(write_actions(result.actions, actions, origin), file=sys.stderr)


@app.command(epilog="Example: spikejoule price actions.parquet --accelerator event-driven-45nm")
def price(
    table: Annotated[Path, typer.Argument(help="What `estimate --actions` wrote.", show_default=False)],
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", "-a", help="Name, or path of a .yaml file.", show_default=False)
    ] = None,
    technology: Annotated[
        str | None, typer.Option(help="Or a technology: name, or path of a .yaml file.", show_default=False)
    ] = None,
) -> None:
    """Apply the prices of an accelerator or a technology to a stored action table."""
    from .energy.accelerator import load_accelerator
    from .energy.prices import load_technology
    from .energy.pricing import price_actions
    from .sim.action_table import read_actions

    if (accelerator is None) == (technology is None):
        raise InvalidInput("price: give either --accelerator or --technology")
    prices = load_technology(str(technology)) if accelerator is None else load_accelerator(accelerator)
    stored = read_actions(table)
    show_energies(price_actions(stored, prices))
    show_omitted(stored.omitted)


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
    out: Annotated[Path | None, typer.Option(help="Write OUT.html, OUT.pdf and tables.")] = None,
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="Give it twice for both.", show_default="both")
    ] = None,
) -> None:
    """Compare recorded networks on one accelerator."""
    from .energy.accelerator import load_accelerator
    from .energy.variants import estimate_variants
    from .reports.compare import compare as make_comparison

    machine = load_accelerator(accelerator)
    opened = {name: [_open_trace(Path(path)) for path in paths] for name, paths in map(_named_traces, variants)}
    if len(opened) < len(variants):
        raise InvalidInput(f"compare: a name is given twice among {', '.join(variants)}")
    event = machine.architecture.kind == "event"
    traces: Any = opened if event else {name: [_count(each) for each in group] for name, group in opened.items()}
    priced = estimate_variants(traces, machine, baseline)
    comparison = make_comparison(priced.estimates, baseline=baseline, refused={machine.name: priced.refused})
    print(comparison.headline())
    for name, reason in priced.refused.items():
        print(f"left out: {name}: {reason}")
    if out is not None:
        _write(comparison, out, formats)


@app.command(epilog="Example: spikejoule report --quick --out out/first", rich_help_panel=MAIN_JOB)
def report(
    dataset: Annotated[
        str, typer.Option(help="digits-events, digits, or one whose files you have: see docs/datasets.md.")
    ] = "digits-events",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds per variant, from 0.")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="Short trainings on less data: real, but less accurate.")
    ] = False,
    tune: Annotated[bool, typer.Option("--tune", help="Repeat the choice of learning rates first.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Reports go to OUT.html and OUT.pdf.", show_default="out/DATASET")
    ] = None,
    runs: Runs = Path("runs"),
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 2,
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="Give it twice for both.", show_default="both")
    ] = None,
) -> None:
    """The main job: train the variants, record, count, price, and write the report."""
    from .models.config import TrainConfig
    from .models.config import quick as shortened
    from .study import Study, run_study

    base = TrainConfig(dataset=dataset)
    base = shortened(base) if quick else base
    out = out or Path("out") / (dataset + ("-quick" if quick else ""))
    with progress_bars() as progress:
        rates = _tune(base, out, runs=runs, workers=workers, progress=progress) if tune else {}
        study = Study(base=base, seeds=tuple(range(1 if quick else seeds)), rates=rates)
        comparison = run_study(study, runs=runs, workers=workers, progress=progress)
    print(comparison.headline())
    _write(comparison, out, formats)


@app.command(epilog="Example: spikejoule ablate configs/ablate_quick.yaml --out out/quick", rich_help_panel=MAIN_JOB)
def ablate(
    config: Annotated[
        str, typer.Argument(help="A .yaml file, or the name of one that comes with the package.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Table and reports go to OUT.parquet, .html, .pdf.", show_default="out/CONFIG")
    ] = None,
    runs: Runs = Path("runs"),
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 2,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler that trains instead.", show_default=False)
    ] = None,
    formats: Annotated[list[Format] | None, typer.Option("--format", help="html, pdf.", show_default="both")] = None,
) -> None:
    """Sweep settings and draw accuracy against energy; a stopped sweep continues. Exit code 1: some runs failed."""
    from .ablate import load_ablation
    from .reports.front import build_front
    from .reports.write import write_report
    from .sweeping import run_ablation, write_tables
    from .workers import cluster

    ablation, out = load_ablation(config), out or Path("out") / Path(config).stem
    with progress_bars() as progress, cluster(scheduler) as executor:
        found = run_ablation(ablation, runs=runs, workers=workers, executor=executor, progress=progress)
    print(found.headline())
    tables = write_tables(found, out, runs)
    for path in [*tables, *write_report(build_front(found), out, tuple(f.value for f in formats or Format))]:
        print(path)
    if len(found.failed):
        print(f"spikejoule: {len(found.failed)} of {len(found.table)} runs failed; see the report", file=sys.stderr)
        raise typer.Exit(1)


@app.command(
    epilog="Example: spikejoule breakeven runs/aaaa --against runs/bbbb --accelerator event-driven-45nm",
    rich_help_panel=WHAT_IF,
)
def breakeven(
    trace: TraceArgument,
    against: Annotated[Path, typer.Option(help="The trace, or run folder, to break even with.", show_default=False)],
    accelerator: AcceleratorOption = "event-driven-45nm",
) -> None:
    """The firing rate at which a network costs as much as another, per layer and in all."""
    from .energy.accelerator import load_accelerator
    from .energy.breakeven import break_even
    from .energy.estimate import estimate as make_estimate

    machine = load_accelerator(accelerator)
    variant, reference = (make_estimate(_open_trace(path), machine) for path in (trace, against))
    rates: Any = break_even(variant, reference)
    table = new_table("layer", "firing rate", "of the other", "break-even, compute", "break-even, machine")
    for layer, *figures in rates.itertuples(index=False):
        table.add_row(layer or "network", *("-" if rate != rate else f"{rate:.4f}" for rate in figures))
    show(table)
    print("inf: cheaper at any rate; -: dearer even without events, or no events to scale")


@app.command(
    epilog="Example: spikejoule sweep runs/0123456789abcdef --rates 0.02,0.1 --weight-bits 1,8,32",
    rich_help_panel=WHAT_IF,
)
def sweep(
    trace: TraceArgument,
    accelerator: AcceleratorOption = "event-driven-45nm",
    rates: Annotated[str, typer.Option(help="Firing rates, 0 to 1.")] = "0.02,0.05,0.1,0.2",
    steps: Annotated[str | None, typer.Option(help="Numbers of time steps.", show_default="the trace's own")] = None,
    weight_bits: Annotated[
        str | None, typer.Option(help="1: binary, 2: ternary, 3 to 31: integer, 32: float.", show_default="as they are")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Layers that get another width.", show_default="all with weights")
    ] = None,
    memory_kib: Annotated[
        str | None, typer.Option(help="Capacities of one memory in KiB.", show_default="the machine's own")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Which memory, by its name.", show_default="the weight memory")
    ] = None,
    input_rate: Annotated[
        float | None, typer.Option(help="Keep the network's input at this rate.", show_default="the swept one")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Random inferences per row.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the random spikes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the tidy table here (.csv or .parquet).")] = None,
) -> None:
    """What the network of a trace would cost at other firing rates, steps, weight widths and memory sizes.

    Lists are separated by commas. The trace gives the network alone: independent random spikes replace its own.
    """
    from .energy.accelerator import load_accelerator
    from .energy.sweep import sweep as run_sweep
    from .sim.files import write_table

    for option, value, swept, values in (
        ("--memory", memory, "--memory-kib", memory_kib),
        ("--layers", layers, "--weight-bits", weight_bits),
    ):
        if value is not None and values is None:
            raise InvalidInput(f"sweep: {option} says what {swept} changes; give {swept} too, or leave {option} out")
    opened = _open_trace(trace)
    table = run_sweep(
        opened.workload,
        load_accelerator(accelerator),
        rates=_numbers("--rates", rates, float),
        steps=[opened.steps] if steps is None else _numbers("--steps", steps, int),
        weight_bits=None if weight_bits is None else _numbers("--weight-bits", weight_bits, int),
        memory_bytes=None if memory_kib is None else _memory_bytes(memory_kib),
        memory=memory,
        layers=None if layers is None else layers.split(","),
        input_rate=input_rate,
        samples=samples,
        seed=seed,
    )
    show_sweep(table)
    if out is not None:
        print(write_table(table, out))


@app.command(epilog="Example: spikejoule export runs/0123456789abcdef --sanafe out/sanafe", rich_help_panel=WHAT_IF)
def export(
    trace: TraceArgument,
    sanafe: Annotated[Path, typer.Option(help="Folder to write the two files to.", show_default=False)],
    accelerator: AcceleratorOption = "loihi1-sanafe",
    sample: Annotated[int, typer.Option(min=0, help="Whose input spikes.")] = 0,
    scale: Annotated[float, typer.Option(help="Factor on potentials, which SANA-FE rounds to 1/64.")] = 2.0**20,
) -> None:
    """Write a network, one sample's input and its mapping for the simulator SANA-FE: a second opinion."""
    from .energy.accelerator import load_accelerator
    from .sim.mesh import Event
    from .sim.parameter_file import PARAMETERS, load_parameters
    from .sim.populations import depths
    from .sim.sanafe import export_sanafe

    machine, path = load_accelerator(accelerator), _trace_path(trace)
    chip, opened = machine.architecture, _open_trace(trace)
    if not isinstance(chip, Event):
        raise InvalidInput(f"export: accelerator {machine.name!r} is of kind {chip.kind}; SANA-FE takes kind event")
    if sample >= opened.samples:
        raise InvalidInput(f"export: sample {sample} is not there; the trace holds samples 0 to {opened.samples - 1}")
    stored = path.parent / PARAMETERS
    if not stored.exists():
        raise InvalidInput(f"export: weights are not stored with this trace: {stored} is not there; record it again")
    parameters = load_parameters(stored, opened.workload, opened.steps)
    spikes = opened.read("input", slice(sample, sample + 1))[:, 0]
    prices_pj = {action: price.value for action, price in machine.prices.items()}
    for written in export_sanafe(opened.workload, parameters, spikes, chip, prices_pj, sanafe, scale=scale):
        print(written)
    print(f"run SANA-FE for {opened.steps + max(depths(opened.workload).values())} steps")


@accelerators.command("list", epilog="Example: spikejoule accelerators list")
def list_accelerators() -> None:
    """Name every accelerator that comes with the package; incomplete ones show prices and refuse a total."""
    from .energy.accelerator import accelerator_names, load_accelerator

    table = new_table("accelerator", "kind", "technology", "what it is")
    for name in accelerator_names():
        machine = load_accelerator(name)
        title = machine.title + ("" if machine.complete else " (incomplete: no total)")
        table.add_row(machine.name, machine.architecture.kind, machine.technology, title)
    show(table)


@accelerators.command("show", epilog="Example: spikejoule accelerators show event-driven-45nm")
def show_accelerator(name: Annotated[str, typer.Argument(help="Name, or path of a .yaml file.")]) -> None:
    """Show an accelerator's notes, every price and its static part, with range, basis and source."""
    from .energy.accelerator import load_accelerator

    machine = load_accelerator(name)
    print(f"{machine.title}\n{machine.notes}\n")
    if not machine.complete:
        print(f"Incomplete, so it refuses a total: {'; '.join(machine.missing)}\n")
    table = new_table("action", "low pJ", "value pJ", "high pJ", "node nm", "scope", "basis", "source")
    for key, price in sorted(machine.prices.items()):
        figures = [f"{figure:.4g}" for figure in (price.low, price.value, price.high)]
        node = "-" if price.node_nm is None else f"{price.node_nm:g}"
        table.add_row(key, *figures, node, price.scope, price.basis, price.source)
    show(table)
    if machine.static is not None:
        show_static(machine.static)


@accelerators.command("validate", epilog="Example: spikejoule accelerators validate mychip.yaml")
def validate_accelerator(file: Annotated[str, typer.Argument(help="Path of a .yaml file, or a name.")]) -> None:
    """Check an accelerator file: keys, figures, units and memories."""
    from .energy.accelerator import load_accelerator

    machine = load_accelerator(file)
    print(f"{file}: valid; {machine.name}, kind {machine.architecture.kind}, {len(machine.prices)} prices")


@traces.command("info", epilog="Example: spikejoule trace info runs/0123456789abcdef")
def trace_info(trace: TraceArgument) -> None:
    """What a trace holds, from its manifest."""
    from .sim.inspection import info

    about = info(_trace_path(trace))
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


@traces.command("verify", epilog="Example: spikejoule trace verify runs/0123456789abcdef")
def trace_verify(trace: TraceArgument) -> None:
    """Read every chunk of a trace and check it against its digest."""
    from .sim.inspection import verify

    with progress_bars() as progress:
        told = None if progress is None else partial(progress, "verify")
        result = verify(_trace_path(trace), told)
    print(f"{result.path}: whole; {result.samples} samples, {result.chunks} chunks, {result.bytes:,} bytes verified")


@traces.command("head", epilog="Example: spikejoule trace head runs/0123456789abcdef --samples 3")
def trace_head(
    trace: TraceArgument, samples: Annotated[int, typer.Option(min=1, help="How many samples.")] = 5
) -> None:
    """The first samples of a trace: label, prediction and spikes per signal."""
    from .sim.inspection import head

    shown = head(_trace_path(trace), samples)
    table = new_table("sample", "label", "prediction", *(shown[0].events if shown else ()))
    for row in shown:
        label, prediction = ("-" if value is None else str(value) for value in (row.label, row.prediction))
        table.add_row(str(row.sample), label, prediction, *(f"{count:,}" for count in row.events.values()))
    show(table)


@traces.command("salvage", epilog="Example: spikejoule trace salvage out/mine.zarr")
def trace_salvage(trace: Annotated[Path, typer.Argument(help="The path that a writer died at.")]) -> None:
    """Make a trace of the whole samples that an interrupted writer left behind."""
    from .sim.salvage import salvage

    saved = salvage(trace)
    print(f"{saved.path}: {saved.samples} whole samples")


def _given(context: typer.Context) -> set[str]:
    """Names of the parameters that stand on the command line itself."""
    return {name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")}


def _tune(base: TrainConfig, out: Path, **how: Any) -> dict[str, float]:
    """Choose learning rates on validation data and keep the table beside the report."""
    from .models.tune import tune, write_rates

    tuning = tune(base, **how)
    path = out.with_name(out.name + "-learning_rates.yaml")
    write_rates([tuning], path)
    print(f"{path}  (copy it to configs/learning_rates.yaml to keep these rates)")
    return tuning.chosen


def _open_trace(path: Path) -> SpikeTrace:
    from .sim.trace import SpikeTrace

    return SpikeTrace.open(_trace_path(path))


def _trace_path(path: Path) -> Path:
    """A run folder stands for the trace of its test split."""
    return path / "trace.zarr" if (path / "trace.zarr").exists() else path


def _count(trace: SpikeTrace) -> OperationCounts:
    from .sim.operations import count as run_count

    return run_count(trace)


def _named_traces(text: str) -> tuple[str, list[str]]:
    name, equals, paths = text.partition("=")
    if not name or not equals or not all(paths.split(",")):
        raise InvalidInput(f"compare: {text!r} is not NAME=TRACE[,TRACE...]; for example BSNN=runs/aaaa,runs/bbbb")
    return name, paths.split(",")


def _print_json(data: Any) -> None:
    """As docs/estimate.schema.json describes it."""
    print(json.dumps(_json_figures(data), indent=2, allow_nan=False, default=str))


def _json_figures(data: Any) -> Any:
    """JSON has neither NaN, which is null here, nor infinity, which is the text inf."""
    if isinstance(data, dict):
        return {key: _json_figures(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_json_figures(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None if math.isnan(data) else str(data)
    return data


def _numbers(option: str, text: str, kind: type[Number]) -> list[Number]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        what = "integers" if kind is int else "numbers"
        raise InvalidInput(f"{option} {text!r}: give {what}, separated by commas; for example {option} 1,2") from error


def _memory_bytes(kib: str) -> list[int]:
    sizes = _numbers("--memory-kib", kib, float)
    if not all(0 < size <= LARGEST_MEMORY_KIB for size in sizes):
        raise InvalidInput(f"--memory-kib {kib!r}: each must be above 0 and at most {LARGEST_MEMORY_KIB:,} KiB")
    return [round(1024 * size) for size in sizes]


def _write(comparison: Any, out: Path, formats: list[Format] | None) -> None:
    for path in comparison.write(out, formats=tuple(f.value for f in formats or Format)):
        print(path)


if __name__ == "__main__":
    main()
