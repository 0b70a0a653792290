"""Predictions beside published measurements of chips, row by row, for ``validation.py``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikejoule.energy.machines.accelerator import Accelerator, load_accelerator
from spikejoule.energy.silicon.measured_chips import (
    KEYWORD_SPOTTER,
    KEYWORD_STEPS,
    SCALING_BRANCH,
    CorePowerFit,
    EventCounts,
    chip_energy,
    fit_core_power,
    keyword_spotting_pj,
    line,
    scaling_pj,
    scaling_slope_pj,
    static_energy_pj,
)

CASES = Path(__file__).resolve().parents[2] / "tests" / "cases" / "silicon_cases.json"
DAVIES, SANAFE, TRUENORTH = (load_accelerator(name) for name in ("loihi1-davies2018", "loihi1-sanafe", "truenorth"))
CONVENTION = load_accelerator("sop-45nm")
RATE, RATES = 0.1, (0.02, 0.05, 0.1, 0.2)
EVENTS, STATIC = "events", "static power"
ASSUMED = f", rate of {RATE} assumed"
AFTER_BOOT, AFTER_RUN = "dynamic, above the idle after boot", "dynamic, above the idle after a first run"
BOTH = (DAVIES.name, SANAFE.name)


@dataclass(frozen=True)
class Row:
    """One prediction beside one measurement, both in ``unit``.

    Attributes
    ----------
    part : str
        Which number it is (events, static part, both), with what was assumed; one band per part, case and measurement.
    chips : tuple of str
        The accelerators that it says something about.
    outside : str
        Why it is in no band of predicted over measured; empty where it is in one.
    """

    case: str
    measured_is: str
    model: str
    predicted: float
    measured: float
    unit: str = "uJ"
    case_id: str = ""
    part: str = ""
    chips: tuple[str, ...] = ()
    outside: str = ""

    @property
    def ratio(self) -> float:
        return self.predicted / self.measured

    @property
    def network(self) -> str:
        """The network without the way it was fed, its number of branches, nor what was measured of it."""
        name = self.case.removesuffix(", ethernet input").removesuffix(", preloaded input")
        name = "Loihi 1 scaling" if name.startswith("Loihi 1 scaling") else name
        return name + " (at Loihi 1 prices)" * name.startswith("Loihi 2")


def spread(ratios: list[float]) -> str:
    """The lowest and the highest, or the one ratio there is."""
    return " to ".join(dict.fromkeys(f"{bound:#.3g}" for bound in (min(ratios), max(ratios))))


def load_cases() -> dict[str, Any]:
    return {case["id"]: case for case in json.loads(CASES.read_text(encoding="utf-8"))["cases"]}


def three_numbers(
    blank: Row, events: Mapping[str, float], static: float, dynamic: Mapping[str, float], total: float, assumed: str
) -> list[Row]:
    """Events, static power x time and their sum beside what was measured, in uJ.

    Parameters
    ----------
    blank : Row
        Case and its id.
    events : mapping of accelerator to uJ
    static : float
    dynamic : mapping of which idle was subtracted to uJ
    total : float
        As measured.
    assumed : str
        What the events' part says beside its name.
    """
    rows = []
    for name, energy in events.items():
        model = f"{name}, events{' at r = ' * bool(assumed)}{RATE if assumed else ''}"
        about = replace(blank, model=model, chips=(name,), part=f"{EVENTS}{assumed}", predicted=energy)
        rows += [replace(about, measured_is=what, measured=value) for what, value in dynamic.items()]
        whole = replace(about, measured_is="total", measured=total)
        both = f"{EVENTS} + {STATIC} x measured time{assumed}"
        rows += [whole, replace(whole, model=f"{model} + static x time", part=both, predicted=energy + static)]
    alone = f"{STATIC} x measured time alone"
    return [
        *rows,
        replace(
            blank,
            measured_is="total",
            model="static x time alone",
            part=alone,
            chips=tuple(events),
            predicted=static,
            measured=total,
        ),
    ]


def loihi1_static_uj(seconds: float, chips: int = 1) -> float:
    assert DAVIES.static is not None
    return static_energy_pj(DAVIES.static.power_w(None, chips), seconds) * 1e-6


def by_chip(energy: Any, *args: Any) -> dict[str, float]:
    """What a function of an accelerator gives for both price tables of Loihi 1, in uJ."""
    return {chip.name: energy(chip, *args) * 1e-6 for chip in (DAVIES, SANAFE)}


def convention(blank: Row, synops: float, measured: Mapping[str, float]) -> list[Row]:
    """The usual 0.9 pJ per synaptic operation: no price of these chips, shown to see how far it lies off."""
    energy = synops * CONVENTION.price("synapse", "accumulate").value * 1e-6
    about = replace(blank, model=f"{CONVENTION.name}, synaptic operations", chips=(CONVENTION.name,))
    about = replace(about, predicted=energy, outside="not a price of this chip")
    return [replace(about, measured_is=what, measured=value) for what, value in measured.items()]


def autoencoder(case: dict[str, Any]) -> list[Row]:
    given = case["counts_per_inference"]
    synops, updates, spikes = (given[key] for key in ("synops", "neuron_updates", "spikes_in_plus_out"))
    counts = EventCounts(synops, updates, updates, spikes, spikes)
    rows = []
    for run in case["measured"]:
        name, watt = f"Loihi 2 autoencoder, {run['mode'].replace('_', ' ')}", run["static_power_W"]
        blank = Row(name, "", "", 0.0, 1.0, case_id=case["id"])
        dynamic = {f"dynamic, above static {watt} W": run["dynamic_uJ"]}
        events = by_chip(lambda chip: chip_energy(chip, counts).events_pj)
        static = static_energy_pj(watt, run["latency_us"] * 1e-6) * 1e-6
        made = three_numbers(blank, events, static, dynamic, run["total_uJ"], "")
        why = "it restates static power and time of the same paper"
        rows += [replace(row, outside=why) if STATIC in row.part else row for row in made]
        rows += convention(blank, synops, dynamic)
    return rows


def keyword_spotting(case: dict[str, Any]) -> list[Row]:
    run, events = case["measured"], by_chip(keyword_spotting_pj, RATE)
    blank = Row("Loihi 1 keyword spotting", "", "", 0.0, 1.0, case_id=case["id"])
    idles = {AFTER_BOOT: run["dynamic_vs_boot_idle_uJ"], AFTER_RUN: run["dynamic_vs_post_idle_uJ"]}
    unread = {"dynamic, idle not read (Yan 2021)": run["dynamic_yan2021_uJ"]}
    static = loihi1_static_uj(case["latency_ms"] * 1e-3)
    rows = three_numbers(blank, events, static, idles | unread, run["total_uJ"], ASSUMED)
    why = "which idle was subtracted is not known"
    rows = [replace(row, outside=why) if row.measured_is in unread else row for row in rows]
    return rows + convention(blank, RATE * KEYWORD_SPOTTER.synapses * KEYWORD_STEPS, idles)


def scaling(case: dict[str, Any]) -> list[Row]:
    """The three numbers of every network of the series."""
    rows, runs = [], case["measured"]
    most = max(run["N"] for run in runs)
    for run in runs:
        blank = Row(f"Loihi 1 scaling, N = {run['N']}", "", "", 0.0, 1.0, case_id=case["id"])
        idles = {AFTER_BOOT: run["dynamic_vs_boot_idle_uJ"], AFTER_RUN: run["dynamic_vs_post_idle_uJ"]}
        static = loihi1_static_uj(1 / run["inferences_per_s"])
        events = by_chip(scaling_pj, run["N"], RATE)
        rows += three_numbers(blank, events, static, idles, run["total_uJ"], f"{ASSUMED}, N = 0 to {most}")
    return rows


def slopes(case: dict[str, Any]) -> tuple[list[Row], float, float]:
    """What a branch adds, by rate; the measured slope and intercept in uJ per step."""
    runs = [run for run in case["measured"] if run["N"] >= 1]
    fit = line([run["N"] for run in runs], [run["dynamic_vs_post_idle_uJ"] / case["T"] for run in runs])
    what = "energy added per step and branch"
    blank = Row("Loihi 1 scaling, slope", what, "", 0.0, fit.slope, case_id=case["id"])
    part = f"{EVENTS}, rates of {RATES[0]} to {RATES[-1]} assumed"
    rows = []
    for chip in (DAVIES, SANAFE):
        slope = {rate: scaling_slope_pj(chip, rate) * 1e-6 for rate in RATES}
        about = replace(blank, part=part, chips=(chip.name,))
        rows += [replace(about, model=f"{chip.name}, r = {rate}", predicted=slope[rate]) for rate in RATES]
    return rows + convention(blank, RATE * SCALING_BRANCH.synapses, {what: fit.slope}), fit.slope, fit.intercept


def static_only(cases: dict[str, Any]) -> list[Row]:
    """Measurements of Loihi 1 with a time but no counts: the static part alone, beside an energy of unread boundary."""
    mnist, cifar = cases["loihi1_nxtf_mnist"], cases["loihi1_nxtf_cifar10"]
    chips, part = cifar["network"]["chips"], f"{STATIC} x measured time alone"
    blank = Row("", "boundary not read", "static x time alone", 0.0, 1.0, part=part, chips=BOTH)
    small, large = mnist["measured"]["energy_uJ"], cifar["measured"]["energy_mJ"]
    means = small / mnist["latency_ms"], large / cifar["latency_ms"] / chips * 1e3
    alone = [
        loihi1_static_uj(mnist["latency_ms"] * 1e-3),
        loihi1_static_uj(cifar["latency_ms"] * 1e-3, chips) * 1e-3,
    ]
    first = replace(blank, case="Loihi 1 MNIST (NxTF)", case_id=mnist["id"], predicted=alone[0], measured=small)
    second = replace(blank, case=f"Loihi 1 CIFAR-10 (NxTF), {chips} chips", case_id=cifar["id"], unit="mJ")
    unread = "what was measured is not read"
    return [
        replace(first, outside=f"{unread}, its mean of {means[0]:.0f} mW speaks for a total"),
        replace(
            second,
            predicted=alone[1],
            measured=large,
            outside=f"{unread}, {means[1]:.0f} mW per chip, less than the idle after boot, is no total",
        ),
    ]


def step_times(cases: dict[str, Any]) -> list[Row]:
    """The time per step that both files of Loihi 1 give to any network, beside that of measured ones, in us."""
    assert DAVIES.static is not None
    assert DAVIES.static.seconds_per_step is not None
    step = DAVIES.static.seconds_per_step.value * 1e6
    series, spotter = cases["loihi1_kws_scaling"], cases["loihi1_kws_aloha"]
    measured = {("Loihi 1 keyword spotting", spotter["id"]): spotter["latency_ms"] * 1e3 / spotter["T"]}
    for run in series["measured"]:
        name = f"Loihi 1 scaling, N = {run['N']}"
        measured[name, series["id"]] = 1e6 / run["inferences_per_s"] / series["T"]
    for name, key in (("MNIST", "loihi1_nxtf_mnist"), ("CIFAR-10", "loihi1_nxtf_cifar10")):
        measured[f"Loihi 1 {name} (NxTF)", key] = cases[key]["latency_ms"] * 1e3 / cases[key]["T"]
    blank = Row(
        "", "time per step", "step time of the files", step, 1.0, "us", part="step time of the file", chips=BOTH
    )
    rows = [replace(blank, case=name, case_id=key, measured=time) for (name, key), time in measured.items()]
    return [replace(rows[0], outside="the files' figure is this measurement"), *rows[1:]]


def core_power(chip: Accelerator, cores: int) -> float:
    """Static power of so many cores in mW."""
    assert chip.static is not None
    return chip.static.power_w(cores, 1) * 1e3


def truenorth(cases: dict[str, Any]) -> tuple[list[Row], CorePowerFit]:
    """Static power beside that of eight networks at 1.0 V and one at a supply not read; the form without counts."""
    case, live = cases["truenorth_eedn_8nets"], cases["truenorth_dvs_gesture"]
    runs = case["measured"]
    fit = fit_core_power(*([run[key] for run in runs] for key in ("cores", "fps")), [r["power_mW"] / 1e3 for r in runs])
    rows = []
    about: Any = {"unit": "mW", "chips": (TRUENORTH.name,), "part": f"{STATIC} at 0.8 V alone"}
    for run in runs:
        name, power, is_a = f"TrueNorth {run['dataset']}", run["power_mW"], "chip power at 1.0 V"
        static, fitted = core_power(TRUENORTH, run["cores"]), fit.power_w(run["cores"], run["fps"]) * 1e3
        rows.append(Row(name, is_a, "truenorth, static part", static, power, case_id=case["id"], **about))
        why = "fitted to these eight"
        rows.append(Row(name, is_a, "fitted form, no counts", fitted, power, "mW", case["id"], outside=why))
    static, measured = core_power(TRUENORTH, live["network"]["cores"]), live["measured"]["power_mW"]
    is_a, model = "chip power, supply not read", "truenorth, static part"
    return [*rows, Row("TrueNorth gestures", is_a, model, static, measured, case_id=live["id"], **about)], fit
