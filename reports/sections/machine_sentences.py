"""What a report says of a machine beside events: its three numbers, measurements beside it, what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ...energy.silicon.validation_bands import validation
from ...sim.hardware.architecture import Event
from ...sim.readable_numbers import POWER, TIME, listed, number, with_unit
from ..page.blocks import Block, Bullets, Column, Paragraph, Table

if TYPE_CHECKING:
    from ...energy.pricing.estimate import EnergyEstimate
    from ..comparison.compared_variants import Compared
    from ..comparison.matching import Estimates

FEW = 3  # networks that are named in one cell; all are in the table's file
IDLE = (
    "A measured dynamic energy is what is left above some idle, and idle is not one number: on one Loihi board 29.8 mW "
    "after boot and 96.3 mW after a first run, which moves the dynamic energy of one network by 5.8 times. Each row "
    "therefore names the idle that its measurement subtracts."
)


def three_numbers(estimates: Estimates) -> str:
    """What a machine's three numbers are and which of them ratios use; empty where no static power is known."""
    result = next(iter(estimates.values()))[0]
    if result.static_pj is None:
        return ""
    machine = result.accelerator
    made, last = _of_chip(result) if isinstance(machine.architecture, Event) else _of_grid(result)
    return (
        f"{machine.name} has three numbers: the energy of events; static power \N{MULTIPLICATION SIGN} time ({made}); "
        f"and their sum, the total. Ratios are of totals, for an event sum is no total; those of events "
        f"stand beside them. {_same_static(estimates)}Energy \N{MULTIPLICATION SIGN} delay is the total times {last}."
    )


def _of_chip(result: EnergyEstimate) -> tuple[str, str]:
    """What a chip's static part is made of, and the delay."""
    static, machine = result.accelerator.static, result.accelerator.architecture
    assert static is not None
    assert isinstance(machine, Event)
    times = static.step_s(machine.step_s)
    assert times is not None
    measured = static.seconds_per_step is not None
    steps, last = f"{result.actions.steps} machine steps", "that time"
    if machine.mode == "pipelined":
        last = f"the time of {steps}, those of one inference"
        steps = f"{result.operations.steps} machine steps from one inference to the next, pipelined"
    made = (
        f"{with_unit(static.static_power_w.value, POWER)} per {static.per}, {with_unit(times[1], TIME)} per "
        f"step, {'measured on another network' if measured else 'fixed'}; {steps}"
    )
    return made, f"{last}; the latency is the modelled time of the events alone" if measured else last


def _of_grid(result: EnergyEstimate) -> tuple[str, str]:
    """What a grid's static part is made of, and the delay."""
    machine = result.accelerator
    parts = [
        f"{with_unit(power.value, POWER)} leakage of {name}" for name, power in machine.leakage.items() if power.value
    ]
    if machine.static is not None:
        rest = "the rest of the machine" if parts else "the machine"
        parts.append(f"{with_unit(machine.static.static_power_w.value, POWER)} of {rest}")
    return f"{listed(parts)}, for the modelled time of each inference", "that time"


def _same_static(estimates: Estimates) -> str:
    static = {each.static_pj for group in estimates.values() for each in group}
    if len(static) > 1:
        return ""
    return "The static part is the same for every variant and inference here, so totals lie closer together. "


def static_of_samples(comparison: Compared) -> str:
    """How static power x time differs between single inferences."""
    first = next(iter(comparison.estimates.values()))[0]
    if isinstance(first.accelerator.architecture, Event):
        return "is the same for each of them and adds to every figure"
    return "goes with the time of each inference; here is its mean"


def validation_sentence(result: EnergyEstimate) -> str:
    """How the report's machine stands against silicon, for the line below its title."""
    bands = validation(result.accelerator).bands
    if not bands:
        return "Simulated energy, not validated against silicon."
    cases = len({case for band in bands for case in band.cases})
    return (
        f"Simulated energy; this machine was set against {cases} published measured networks, see "
        f"What was priced, and what was not."
    )


def refused_sentence(comparison: Compared, machine: str) -> str:
    """Which variants a machine cannot run, and why."""
    reasons: dict[str, list[str]] = {}
    for name, reason in comparison.refused.get(machine, {}).items():
        reasons.setdefault(reason, []).append(name)
    return " ".join(f"Not run on {machine}: {listed(names)}; {reason}." for reason, names in reasons.items())


def silicon(machines: list[Estimates]) -> list[Block]:
    """The band of predicted over measured that applies to each machine, or that there is none, and why."""
    known = {each.name: validation(each) for each in (next(iter(m.values()))[0].accelerator for m in machines)}
    verdicts = tuple(f"{name}, predicted over measured: {found.verdict}." for name, found in known.items())
    blocks: list[Block] = [Paragraph("How far each machine was set against silicon:"), Bullets(verdicts)]
    rows = [
        {
            "accelerator": name,
            "predicted": band.predicted,
            "measured": band.measured,
            "ratio_low": band.low,
            "ratio_high": band.high,
            "measurements": band.measurements,
            "networks": "; ".join(band.cases),
            "sources": "; ".join(band.cases.values()),
        }
        for name, found in known.items()
        for band in found.bands
    ]
    if not rows:
        return blocks
    data = pd.DataFrame(rows)
    cells = []
    for name, found in known.items():
        for band in found.bands:
            networks = "; ".join(band.cases) if len(band.cases) <= FEW else f"{len(band.cases)} networks"
            ratio = _range(band.low, band.high)
            cells.append((name, band.predicted, band.measured, ratio, str(band.measurements), networks))
    columns = (
        *(Column("Accelerator", text=True), Column("Predicted", text=True, wide=True)),
        *(Column("Measured", text=True, wide=True), Column("Predicted / measured"), Column("Cases")),
        Column("Networks", text=True, wide=True),
    )
    caption = "Set against published silicon; the sources are in the table beside this report."
    return [*blocks, Paragraph(IDLE), Table("silicon", caption, columns, tuple(cells), data)]


def _range(low: float, high: float) -> str:
    return number(low) if low == high else f"{number(low)} to {number(high)}"
