"""Commands on what a recorded network would cost, and on what another simulator says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..sim.errors import InvalidInput
from .arguments import WHAT_IF, AcceleratorOption, TraceArgument, open_trace, trace_path
from .console import new_table, show, show_sweep

if TYPE_CHECKING:
    from ..sim.hardware.chip.many_core import ManyCoreActions

app = typer.Typer()
LARGEST_MEMORY_KIB = 2**30  # 1 TiB: no on-chip memory is larger
Number = TypeVar("Number", int, float)


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
    from ..energy.explaining.break_even import break_even
    from ..energy.machines.accelerator import load_accelerator
    from ..energy.pricing.estimate import estimate as make_estimate

    machine = load_accelerator(accelerator)
    variant, reference = (make_estimate(open_trace(path), machine) for path in (trace, against))
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
    rates: Annotated[str, typer.Option(help="Firing rates, spikes per neuron and step, 0 to 1.")] = "0.02,0.05,0.1,0.2",
    steps: Annotated[str | None, typer.Option(help="Numbers of time steps.", show_default="the trace's own")] = None,
    weight_bits: Annotated[
        str | None, typer.Option(help="1: binary, 2: ternary, 3 to 31: integer, 32: float.", show_default="as they are")
    ] = None,
    layers: Annotated[
        str | None, typer.Option(help="Layers that --weight-bits changes.", show_default="all with weights")
    ] = None,
    memory_kib: Annotated[
        str | None,
        typer.Option(help="Capacities of one memory in KiB, such as 8,64.", show_default="the machine's own"),
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="Name of the memory that --memory-kib changes.", show_default="the weight memory")
    ] = None,
    input_rate: Annotated[
        float | None, typer.Option(help="Keep the network's input at this rate.", show_default="the swept one")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Random inferences per row.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random spikes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the tidy table here (.csv or .parquet).")] = None,
) -> None:
    """What the network of a trace would cost at other firing rates, steps, weight widths and memory sizes.

    Lists are separated by commas. The trace gives the network alone: independent random spikes replace its own.
    """
    from ..energy.explaining.what_if_sweep import sweep as run_sweep
    from ..energy.machines.accelerator import load_accelerator
    from ..sim.files import write_table

    for option, value, swept, values in (
        ("--memory", memory, "--memory-kib", memory_kib),
        ("--layers", layers, "--weight-bits", weight_bits),
    ):
        if value is not None and values is None:
            raise InvalidInput(f"sweep: {option} says what {swept} changes; give {swept} too, or leave {option} out")
    opened = open_trace(trace)
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
    sanafe: Annotated[
        Path, typer.Option(help="Folder to write network.yaml and architecture.yaml to.", show_default=False)
    ],
    accelerator: AcceleratorOption = "loihi1-sanafe",
    sample: Annotated[int, typer.Option(min=0, help="The sample whose input is written.")] = 0,
    scale: Annotated[float, typer.Option(help="Factor on potentials: SANA-FE rounds to 1/64, up to 2^25.")] = 2.0**16,
) -> None:
    """Write a network, one sample's input and its mapping for the simulator SANA-FE: a second opinion.

    The input must be spikes, and gates frozen. Prints our own figures of the run that SANA-FE makes of it: biases act
    there from its first step to its last, so they are not those of 'estimate'.
    """
    from ..energy.machines.accelerator import load_accelerator
    from ..sim.hardware.chip.sanafe_export import export_sanafe
    from ..sim.hardware.chip.sanafe_run import run_as_sanafe
    from ..sim.hardware.mesh import Event
    from ..sim.replay.parameter_file import PARAMETERS, load_parameters

    machine, path = load_accelerator(accelerator), trace_path(trace)
    chip, opened = machine.architecture, open_trace(trace)
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
    _show_run(run_as_sanafe(opened.workload, parameters, spikes, chip), prices_pj, chip.timing)


def _show_run(run: ManyCoreActions, prices_pj: Mapping[str, float], timing: str) -> None:
    """What our model finds in the run that SANA-FE makes: events, packets, energy and time."""
    counts, energy_pj, seconds = Counter[str](), 0.0, sum(float(each.sum()) for each in run.seconds.values())
    for (_, _, action), count in run.counts.items():
        counts[action.partition(".")[0]] += int(count.sum())
        energy_pj += prices_pj[action] * int(count.sum())
    print(f"run SANA-FE for {run.steps} steps, {timing} timing; the same run here:")
    print(f"{counts['synop']:,} synaptic events, {counts['packet_out']:,} packets")
    print(f"{energy_pj * 1e-6:.9g} uJ, {seconds * 1e6:.9g} us")


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
