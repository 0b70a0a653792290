"""Predictions over silicon: ``python benchmarks/validation.py`` writes the page, its figure and what reports cite.

The page is docs/validation.md; reports read energy/validation.yaml.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from spikejoule.energy.accelerator import accelerator_names, load_accelerator
from spikejoule.energy.silicon import (
    SCALING_BRANCH,
    EventCounts,
    chip_energy,
    fit_core_power,
    keyword_spotting_pj,
    line,
    matching_rate,
    scaling_slope_pj,
    static_energy_pj,
)

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "cases" / "silicon_cases.json"
PAGE = ROOT / "docs" / "validation.md"
BANDS = ROOT / "energy" / "validation.yaml"
DAVIES, SANAFE, TRUENORTH = (load_accelerator(name) for name in ("loihi1-davies2018", "loihi1-sanafe", "truenorth"))
RATES = (0.02, 0.05, 0.1, 0.2)
EVENTS, STATIC = "events", "static power"
SUM, RATE = f"{EVENTS} + {STATIC} x measured time", ", rate of 0.1 assumed"
SLOPE = f"{EVENTS}, rates of {RATES[0]} to {RATES[-1]} assumed"


@dataclass(frozen=True)
class Row:
    """One prediction beside one measurement, both in ``unit``; ``part`` is which number of which accelerators it is."""

    case: str
    measured_is: str
    model: str
    predicted: float
    measured: float
    unit: str = "uJ"
    case_id: str = ""
    part: str = ""
    chips: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        return self.predicted / self.measured


def load_cases() -> dict[str, Any]:
    return {case["id"]: case for case in json.loads(CASES.read_text(encoding="utf-8"))["cases"]}


def autoencoder(case: dict[str, Any]) -> list[Row]:
    given = case["counts_per_inference"]
    synops, updates, spikes = (given[key] for key in ("synops", "neuron_updates", "spikes_in_plus_out"))
    counts = EventCounts(synops, updates, updates, spikes, spikes)
    rows = []
    for run in case["measured"]:
        name, seconds = f"Loihi 2 autoencoder, {run['mode'].replace('_', ' ')}", run["latency_us"] * 1e-6
        for chip in (DAVIES, SANAFE):
            energy = chip_energy(chip, counts, seconds=seconds, static_power_w=run["static_power_W"])
            events = energy.events_pj * 1e-6
            total = events + static_energy_pj(run["static_power_W"], seconds) * 1e-6
            model = f"{chip.name}, events"
            made = [
                Row(name, "dynamic, above static 16.05 W", model, events, run["dynamic_uJ"], part=EVENTS),
                Row(name, "total", model, events, run["total_uJ"], part=EVENTS),
                Row(
                    name,
                    "total",
                    f"{model} + static x time",
                    total,
                    run["total_uJ"],
                    part=f"{SUM}, both from the paper",
                ),
            ]
            rows += [replace(row, case_id=case["id"], chips=(chip.name,)) for row in made]
    return rows


def keyword_spotting(case: dict[str, Any]) -> list[Row]:
    run, name = case["measured"], "Loihi 1 keyword spotting"
    idles = {
        "dynamic, above the idle after boot": run["dynamic_vs_boot_idle_uJ"],
        "dynamic, above the idle after a first run": run["dynamic_vs_post_idle_uJ"],
        "dynamic, idle not read (Yan 2021)": run["dynamic_yan2021_uJ"],
        "total": run["total_uJ"],
    }
    rows = []
    for chip in (DAVIES, SANAFE):
        events = keyword_spotting_pj(chip, 0.1) * 1e-6
        assert chip.static is not None
        total = events + static_energy_pj(chip.static.power_w(None, 1), case["latency_ms"] * 1e-3) * 1e-6
        model = f"{chip.name}, events at r = 0.1"
        made = [Row(name, what, model, events, value, part=f"{EVENTS}{RATE}") for what, value in idles.items()]
        made.append(Row(name, "total", f"{model} + static x time", total, run["total_uJ"], part=f"{SUM}{RATE}"))
        rows += [replace(row, case_id=case["id"], chips=(chip.name,)) for row in made]
    return rows


def scaling(case: dict[str, Any]) -> tuple[list[Row], float, float]:
    """Slopes by rate; the measured slope and intercept in uJ per step."""
    runs = [run for run in case["measured"] if run["N"] >= 1]
    fit = line([run["N"] for run in runs], [run["dynamic_vs_post_idle_uJ"] / case["T"] for run in runs])
    name, measured = "Loihi 1 scaling, slope", "energy added per step and branch"
    rows = []
    for chip in (DAVIES, SANAFE):
        about: Any = {"case_id": case["id"], "part": SLOPE, "chips": (chip.name,)}
        slopes = {f"{chip.name}, r = {rate}": scaling_slope_pj(chip, rate) * 1e-6 for rate in RATES}
        rows += [Row(name, measured, model, slope, fit.slope, **about) for model, slope in slopes.items()]
    return rows, fit.slope, fit.intercept


def truenorth(case: dict[str, Any]) -> tuple[list[Row], Any]:
    runs = case["measured"]
    fit = fit_core_power(*([run[key] for run in runs] for key in ("cores", "fps")), [r["power_mW"] / 1e3 for r in runs])
    rows = []
    for run in runs:
        name, power = f"TrueNorth {run['dataset']}", run["power_mW"]
        assert TRUENORTH.static is not None
        static = TRUENORTH.static.power_w(run["cores"], 1) * 1e3
        fitted = fit.power_w(run["cores"], run["fps"]) * 1e3
        about: Any = {"case_id": case["id"], "part": f"{STATIC} at 0.8 V", "chips": ("truenorth",)}
        rows.append(Row(name, "chip power at 1.0 V", "truenorth, static part at 0.8 V", static, power, "mW", **about))
        rows.append(Row(name, "chip power at 1.0 V", "fitted form, no counts", fitted, power, "mW"))
    return rows, fit


def static_only(cases: dict[str, Any]) -> list[Row]:
    """Measurements with a time but no counts: the static part alone."""
    mnist, cifar = cases["loihi1_nxtf_mnist"], cases["loihi1_nxtf_cifar10"]
    gesture = cases["truenorth_dvs_gesture"]
    base = cases["loihi1_kws_scaling"]["measured"][0]
    assert DAVIES.static is not None
    assert TRUENORTH.static is not None
    watt = DAVIES.static.power_w(None, 1)

    def loihi(chips: int, seconds: float) -> float:
        return static_energy_pj(chips * watt, seconds) * 1e-6

    times = [loihi(1, mnist["latency_ms"] / 1e3), loihi(cifar["network"]["chips"], cifar["latency_ms"] / 1e3)]
    alone = TRUENORTH.static.power_w(gesture["network"]["cores"], 1) * 1e3
    model, unread = "Loihi 1, static x time alone", "boundary not read"
    both, part = (DAVIES.name, SANAFE.name), f"{STATIC} x time alone"
    names = ("Loihi 1 scaling, N = 0", "Loihi 1 MNIST (NxTF)", "Loihi 1 CIFAR-10 (NxTF), 14 chips")
    rows = [
        Row(names[0], "total", model, loihi(1, 1 / base["inferences_per_s"]), base["total_uJ"]),
        Row(names[1], unread, model, times[0], mnist["measured"]["energy_uJ"]),
        Row(names[2], unread, model, times[1], cifar["measured"]["energy_mJ"] * 1e3),
    ]
    ids = ("loihi1_kws_scaling", mnist["id"], cifar["id"])
    rows = [replace(row, case_id=key, part=part, chips=both) for row, key in zip(rows, ids, strict=True)]
    watt = gesture["measured"]["power_mW"]
    live = Row("TrueNorth gestures", "power", "truenorth, static alone", alone, watt, "mW")
    return [*rows, replace(live, case_id=gesture["id"], part=f"{STATIC} alone", chips=("truenorth",))]


USED = (
    "loihi2_vpx_autoencoder",
    "loihi1_kws_scaling",
    "loihi1_kws_aloha",
    "truenorth_eedn_8nets",
    "truenorth_dvs_gesture",
    "loihi1_nxtf_mnist",
    "loihi1_nxtf_cifar10",
)
VALIDATED = {
    "loihi1-davies2018": ("Loihi 1 events on a mesh, static power, measured step time of one network", "{loihi}"),
    "loihi1-sanafe": ("Loihi 1 events on a mesh, static power, measured step time of one network", "{loihi}"),
    "truenorth": (
        "marginal energy of synaptic events, static power per core and tick",
        "static part alone {static}; events unknown, so the slope is checked on its own sweep only",
    ),
    "spinnaker2-hoeppner2021": ("one price per synaptic operation", "none: refuses a total"),
    "spinnaker2-prototype": ("prices per synaptic operation and neuron update", "none: refuses a total"),
    "odin": ("one price per synaptic operation", "none: the one published energy has no spike counts"),
    "morphic": ("one price per synaptic operation with binary weights", "none: the published energies have no counts"),
    "sop-45nm": ("arithmetic of synapses, by convention", "none: not a chip; lies far below any measured energy"),
    "event-driven-45nm": ("processing lanes, SRAMs and DRAM, dynamic energy", "none: not a chip"),
    "event-driven-45nm-tiny": ("as event-driven-45nm, 8 KiB of weights", "none: not a chip"),
    "grid-45nm": ("array of processing elements, SRAMs and DRAM, dynamic energy", "none: not a chip"),
}
LEFT_OUT = {
    "loihi1-davies2018": "time from first principles, energy per step beyond events, input and output, host processors",
    "truenorth": "axon and weight limits in the mapping, links, board, host; supplies other than 0.8 V",
    "sop-45nm": "memory, neurons, routing, gate, static power",
    "event-driven-45nm": "static power, control and clock, links",
}
LEFT_OUT |= {"loihi1-sanafe": LEFT_OUT["loihi1-davies2018"]}
LEFT_OUT |= dict.fromkeys(("event-driven-45nm-tiny", "grid-45nm"), LEFT_OUT["event-driven-45nm"])


def _band(rows: list[Row]) -> str:
    ratios = [row.ratio for row in rows]
    return f"{min(ratios):.3g} to {max(ratios):.3g}"


def accelerators(rows: list[Row], cases: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What reports cite of each accelerator: modelled, not modelled, verdict, and bands of predicted over measured."""
    result = {}
    for name in accelerator_names():
        machine, own = load_accelerator(name), [row for row in rows if name in row.chips]
        modelled, verdict = VALIDATED[name]
        events = [row for row in own if row.part.startswith(EVENTS)]
        alone = [row for row in events if "static" not in row.part]
        if "{loihi}" in verdict:
            parts = ("dynamic", "total")
            bands = [f"events {_band([r for r in alone if r.measured_is.startswith(p)])} of {p}" for p in parts]
            verdict = f"{', '.join(bands)}; with measured time {_band([r for r in events if r not in alone])} of total"
        else:
            verdict = verdict.format(static=_band([r for r in own if "0.8 V" in r.part]) if own else "")
        left = "; ".join(machine.missing) or LEFT_OUT[name]
        about = {"modelled": modelled, "not_modelled": left, "verdict": verdict}
        result[name] = about | ({"bands": _bands(own, cases)} if own else {})
    return result


def _bands(rows: list[Row], cases: dict[str, Any]) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.part, row.measured_is), []).append(row)
    return [
        {
            "predicted": predicted,
            "measured": measured,
            "low": float(f"{min(row.ratio for row in group):.3g}"),
            "high": float(f"{max(row.ratio for row in group):.3g}"),
            "measurements": len({(row.case, row.measured) for row in group}),
            "cases": {_network(row): cases[row.case_id]["source"] for row in group},
        }
        for (predicted, measured), group in grouped.items()
    ]


def _network(row: Row) -> str:
    """The network without the way it was fed, nor what was measured of it."""
    name = row.case.removesuffix(", slope").removesuffix(", ethernet input").removesuffix(", preloaded input")
    return name + " (at Loihi 1 prices)" * name.startswith("Loihi 2")


def _accelerators(about: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| accelerator | modelled | not modelled | predicted over measured |", "| --- | --- | --- | --- |"]
    for name, row in about.items():
        lines.append(f"| `{name}` | {row['modelled']} | {row['not_modelled']} | {row['verdict']} |")
    return lines


def _table(rows: list[Row]) -> list[str]:
    head = ["| case | measured is | model | predicted | measured | ratio |", "| --- | --- | --- | --- | --- | --- |"]
    return head + [
        f"| {r.case} | {r.measured_is} | {r.model} | {r.predicted:.4g} {r.unit} | {r.measured:.4g} {r.unit} "
        f"| {r.ratio:.3g} |"
        for r in rows
    ]


def page() -> tuple[str, str, list[Row]]:
    """The text of docs/validation.md and of energy/validation.yaml, and the rows of the figure."""
    cases = load_cases()
    slopes, slope, intercept = scaling(cases["loihi1_kws_scaling"])
    power, fit = truenorth(cases["truenorth_eedn_8nets"])
    energy = autoencoder(cases["loihi2_vpx_autoencoder"]) + keyword_spotting(cases["loihi1_kws_aloha"])
    energy += static_only(cases)
    about = accelerators(energy + slopes + power, cases)
    unused = [f"`{name}`" for name in cases if name not in USED]
    rates = " and ".join(f"{matching_rate(c, SCALING_BRANCH, slope * 1e6):.3f} ({c.name})" for c in (DAVIES, SANAFE))
    worst = fit.left_out[abs(fit.left_out).argmax()]
    bound = keyword_spotting_pj(DAVIES, 1.0) * 1e-6
    text = [
        "# Validation against silicon",
        "",
        "Written by `python benchmarks/validation.py` from published measurements (`tests/cases/silicon_cases.json`).",
        "Ratios are predicted over measured. Event energy, static power x time and their sum are kept apart: an event",
        "sum is not a total. Time is measured, never predicted. Every *dynamic* figure says which idle it subtracts.",
        "",
        "![predicted over measured](validation.svg)",
        "",
        "## Accelerators",
        "",
        *_accelerators(about),
        "",
        "## Energy per inference",
        "",
        "The autoencoder's counts are published (two digits); Loihi 2 has no published prices, so those of Loihi 1 are",
        "used, all neurons active, and its static power is the same paper's: the last ratio restates it. The keyword",
        "spotter's rate is assumed; at one spike per neuron and step the Davies events are",
        f"{bound:.1f} uJ, still below the smaller of the two dynamic figures against a known idle.",
        "Static-only rows of the other networks take the measured time; their events are unknown. Where the boundary",
        "of a measurement was not read, a ratio far from 1 says that it is no total.",
        "",
        *_table(energy),
        "",
        "## Slopes and intercepts, Loihi 1 scaling series",
        "",
        f"Measured: slope {slope:.3f} uJ per step and branch, intercept {intercept:.2f} uJ per step, above the idle",
        f"after a first run. The slope is met at a rate of {rates}; the rate itself was not published.",
        "Event prices predict nothing of the intercept: it is what a chip spends per step whatever the network.",
        "",
        *_table(slopes),
        "",
        "## Power of TrueNorth",
        "",
        f"P = cores x ({fit.watt_per_core * 1e6:.2f} uW + {fit.joule_per_core_tick * 1e9:.2f} nJ x fps), fitted to",
        f"eight networks: errors {fit.errors.min():+.1%} to {fit.errors.max():+.1%}; each network left out in turn:",
        f"mean {abs(fit.left_out).mean():.1%}, worst {worst:+.1%}. The static part of the",
        "accelerator file is for 0.8 V, the networks ran at 1.0 V; their synaptic events are unknown.",
        "",
        *_table(power),
        "",
        "## Cases not used",
        "",
        "Energy only with the network not read, not spiking, or no event price of the chip: " + ", ".join(unused) + ".",
        "",
    ]
    cited = yaml.safe_dump({"schema": "spikejoule.validation/1", "accelerators": about}, sort_keys=False, width=110)
    return "\n".join(text), f"# Written by python benchmarks/validation.py\n{cited}", energy + slopes + power


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def draw(rows: list[Row], text: str, path: Path) -> None:
    """Predicted over measured on a logarithmic axis; the page's digest goes into the file."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    labels = list(dict.fromkeys(f"{row.case}: {row.measured_is}" for row in rows))
    models = {
        "events": lambda row: "events" in row.model and "static" not in row.model,
        "events + static x time": lambda row: "static x time" in row.model,
        "slope": lambda row: "slope" in row.case,
        "static part": lambda row: "static part" in row.model or "alone" in row.model,
        "fitted form": lambda row: "fitted" in row.model,
    }
    with mpl.rc_context({"svg.hashsalt": "validation", "svg.fonttype": "none", "font.size": 8}):
        figure, axes = plt.subplots(figsize=(9, 0.26 * len(labels) + 1.2), layout="constrained")
        for marker, (name, chosen) in zip("os^Dx", models.items(), strict=True):
            points = [row for row in rows if chosen(row)]
            places = [labels.index(f"{row.case}: {row.measured_is}") for row in points]
            axes.plot([row.ratio for row in points], places, marker, label=name)
        axes.axvline(1, color="0.5", linewidth=0.8)
        axes.set(xscale="log", xlabel="predicted over measured", yticks=range(len(labels)), yticklabels=labels)
        axes.invert_yaxis()
        axes.legend(loc="lower left")
        figure.savefig(path, metadata={"Date": None, "Description": digest(text)})
        plt.close(figure)


def main() -> None:
    text, bands, rows = page()
    PAGE.write_text(text, encoding="utf-8")
    BANDS.write_text(bands, encoding="utf-8")
    draw(rows, text, PAGE.with_suffix(".svg"))


if __name__ == "__main__":
    main()
