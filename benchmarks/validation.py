"""Write docs/validation.md and its figure, predictions over silicon: ``python benchmarks/validation.py``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
DAVIES, SANAFE, TRUENORTH = (load_accelerator(name) for name in ("loihi1-davies2018", "loihi1-sanafe", "truenorth"))
RATES = (0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Row:
    """One prediction beside one measurement, both in ``unit``."""

    case: str
    measured_is: str
    model: str
    predicted: float
    measured: float
    unit: str = "uJ"

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
            rows.append(Row(name, "dynamic, above static 16.05 W", f"{chip.name}, events", events, run["dynamic_uJ"]))
            rows.append(Row(name, "total", f"{chip.name}, events", events, run["total_uJ"]))
            total = events + static_energy_pj(run["static_power_W"], seconds) * 1e-6
            rows.append(Row(name, "total", f"{chip.name}, events + static x time", total, run["total_uJ"]))
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
        rows += [Row(name, what, f"{chip.name}, events at r = 0.1", events, value) for what, value in idles.items()]
        assert chip.static is not None
        total = events + static_energy_pj(chip.static.power_w(None, 1), case["latency_ms"] * 1e-3) * 1e-6
        rows.append(Row(name, "total", f"{chip.name}, events at r = 0.1 + static x time", total, run["total_uJ"]))
    return rows


def scaling(case: dict[str, Any]) -> tuple[list[Row], float, float]:
    """Slopes by rate; the measured slope and intercept in uJ per step."""
    runs = [run for run in case["measured"] if run["N"] >= 1]
    fit = line([run["N"] for run in runs], [run["dynamic_vs_post_idle_uJ"] / case["T"] for run in runs])
    rows = [
        Row("Loihi 1 scaling, slope", "per step and branch", f"{chip.name}, r = {rate}", slope * 1e-6, fit.slope)
        for chip in (DAVIES, SANAFE)
        for rate in RATES
        for slope in (scaling_slope_pj(chip, rate),)
    ]
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
        rows.append(Row(name, "chip power at 1.0 V", "truenorth, static part at 0.8 V", static, power, "mW"))
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
    return [
        Row("Loihi 1 scaling, N = 0", "total", model, loihi(1, 1 / base["inferences_per_s"]), base["total_uJ"]),
        Row("Loihi 1 MNIST (NxTF)", unread, model, times[0], mnist["measured"]["energy_uJ"]),
        Row("Loihi 1 CIFAR-10 (NxTF), 14 chips", unread, model, times[1], cifar["measured"]["energy_mJ"] * 1e3),
        Row("TrueNorth gestures", "power", "truenorth, static alone", alone, gesture["measured"]["power_mW"], "mW"),
    ]


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


def _accelerators(rows: list[Row]) -> list[str]:
    lines = ["| accelerator | modelled | not modelled | predicted over measured |", "| --- | --- | --- | --- |"]
    static = _band([row for row in rows if "static part" in row.model])
    for name in accelerator_names():
        machine = load_accelerator(name)
        modelled, check = VALIDATED.get(name, (machine.title, "none"))
        events = [row for row in rows if row.model.startswith(f"{name}, events") and "static" not in row.model]
        if events:
            parts = ("dynamic", "total")
            bands = [f"events {_band([r for r in events if r.measured_is.startswith(p)])} of {p}" for p in parts]
            summed = [r for r in rows if r.model.startswith(name) and "static x time" in r.model]
            check = f"{', '.join(bands)}; with measured time {_band(summed)} of total"
        left = "; ".join(machine.missing) or LEFT_OUT.get(name, "see its notes")
        lines.append(f"| `{name}` | {modelled} | {left} | {check.format(static=static)} |")
    return lines


def _table(rows: list[Row]) -> list[str]:
    head = ["| case | measured is | model | predicted | measured | ratio |", "| --- | --- | --- | --- | --- | --- |"]
    return head + [
        f"| {r.case} | {r.measured_is} | {r.model} | {r.predicted:.4g} {r.unit} | {r.measured:.4g} {r.unit} "
        f"| {r.ratio:.3g} |"
        for r in rows
    ]


def page() -> tuple[str, list[Row]]:
    """The text of docs/validation.md and the rows of its figure."""
    cases = load_cases()
    slopes, slope, intercept = scaling(cases["loihi1_kws_scaling"])
    power, fit = truenorth(cases["truenorth_eedn_8nets"])
    energy = autoencoder(cases["loihi2_vpx_autoencoder"]) + keyword_spotting(cases["loihi1_kws_aloha"])
    energy += static_only(cases)
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
        *_accelerators(energy + power),
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
    return "\n".join(text), energy + slopes + power


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
    text, rows = page()
    PAGE.write_text(text, encoding="utf-8")
    draw(rows, text, PAGE.with_suffix(".svg"))


if __name__ == "__main__":
    main()
