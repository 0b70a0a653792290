"""Predictions over silicon: ``python benchmarks/validation.py`` writes the page, its figure and what reports cite.

The page is docs/validation.md; reports read energy/validation.yaml. The rows are made in ``silicon.rows``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from silicon.figure import draw
from silicon.page import closing, energy_section, opening, power_section, series_section, time_section
from silicon.rows import (
    CONVENTION,
    EVENTS,
    STATIC,
    Row,
    autoencoder,
    keyword_spotting,
    load_cases,
    scaling,
    slopes,
    spread,
    static_only,
    step_times,
    truenorth,
)
from spikejoule.energy.machines.accelerator import accelerator_names, load_accelerator

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "validation.md"
BANDS = ROOT / "energy" / "validation.yaml"
LOIHI = (
    "events on a mesh of cores (synaptic operations by kind of connection, neuron accesses and updates, spikes, "
    "packets, hops) with an energy and a latency each, the barrier between steps, at most 1024 neurons per core; "
    "beside them static power per chip in use x the measured step time of one network"
)
# Per accelerator: what is modelled, and the verdict; {bands} and {convention} are filled in from the rows.
VALIDATED = {
    "loihi1-davies2018": (LOIHI, "{bands}"),
    "loihi1-sanafe": (LOIHI, "{bands}"),
    "truenorth": (
        "marginal energy of synaptic events on cores of 256 neurons, static power per core in use and tick of 1 ms",
        "{bands}; no events are known: the price per event, the slope of its own sweep, is checked against no network",
    ),
    "spinnaker2-hoeppner2021": (
        "one price per synaptic operation",
        "none: refuses a total, and the one measured network found does not spike",
    ),
    "spinnaker2-prototype": (
        "prices per synaptic operation and neuron update",
        "none: refuses a total, and the one measured network found does not spike",
    ),
    "odin": (
        "one price per synaptic operation",
        "none: refuses a total, and the one published energy has no spike counts",
    ),
    "morphic": (
        "one price per synaptic operation with binary weights",
        "none: refuses a total, and the published energies have no counts",
    ),
    "sop-45nm": ("arithmetic of synapses, by convention", "none: not a chip; {convention}"),
    "event-driven-45nm": ("processing lanes, SRAMs and DRAM: dynamic energy and time", "none: not a chip"),
    "event-driven-45nm-tiny": ("as event-driven-45nm, 8 KiB of weights", "none: not a chip"),
    "grid-45nm": ("array of processing elements, SRAMs and DRAM: dynamic energy and time", "none: not a chip"),
}
LEFT_OUT = {
    "loihi1-davies2018": (
        "time from first principles (input, output and embedded processors set the measured step); energy per step "
        "beyond events, which measured intercepts show; synapse memory per core and axons per core as limits of the "
        "mapping; links between chips (a network larger than one chip is laid out over several, but packets between "
        "them have neither price nor latency, hop.chip, so its energy is refused); learning; neurons "
        "outside the steps of their layer under the skewed schedule (docs/energy-models.md); input and output, "
        "embedded processors, host"
    ),
    "truenorth": (
        "limits of 256 axons per core and of its weights, so too few cores are counted; links between chips, board, "
        "host; supplies other than 0.8 V and ticks other than 1 ms"
    ),
    "sop-45nm": "memory, neurons, routing, gate, static power, time",
    "event-driven-45nm": "static power, control and clock, links",
    "grid-45nm": "static power, control and clock, links, the registers of the array",
}
LEFT_OUT |= {"loihi1-sanafe": LEFT_OUT["loihi1-davies2018"]}
LEFT_OUT |= {"event-driven-45nm-tiny": LEFT_OUT["event-driven-45nm"]}


def _bands_in_words(rows: list[Row]) -> str:
    """The bands in one line, and the ratios of rows that belong to none."""
    inside = [row for row in rows if not row.outside]
    kinds = (
        (
            f"{EVENTS} alone, rates assumed where not published,",
            lambda row: row.part.startswith(EVENTS) and STATIC not in row.part,
        ),
        (f"{STATIC} x measured time alone", lambda row: row.part.startswith(f"{STATIC} x")),
        (f"{EVENTS} + {STATIC} x measured time", lambda row: f"+ {STATIC}" in row.part),
        (f"{STATIC} at 0.8 V alone", lambda row: "0.8 V" in row.part),
        ("step time of the file", lambda row: row.part == "step time of the file"),
    )
    measured = {
        "of dynamic above a known idle": lambda row: row.measured_is.startswith("dynamic"),
        "of total": lambda row: row.measured_is == "total",
        "of what a branch of the scaling series adds": lambda row: "branch" in row.measured_is,
        "of that of other networks": lambda row: row.measured_is == "time per step",
        "of chip power at 1.0 V": lambda row: row.measured_is.endswith("1.0 V"),
        "of chip power at a supply not read": lambda row: row.measured_is.endswith("supply not read"),
    }
    parts = []
    for kind, chosen in kinds:
        found = {what: [row.ratio for row in inside if chosen(row) and fits(row)] for what, fits in measured.items()}
        said = [f"{spread(ratios)} {what}" for what, ratios in found.items() if ratios]
        parts += [f"{kind} {', '.join(said)}"] if said else []
    why = dict.fromkeys(row.outside for row in rows if row.outside)
    left = [f"{spread([row.ratio for row in rows if row.outside == reason])}, {reason}" for reason in why]
    return "; ".join(parts) + (f" (in no band: {'; '.join(left)})" if left else "")


def accelerators(rows: list[Row], cases: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What reports cite of each accelerator: modelled, not modelled, verdict, and bands of predicted over measured."""
    result = {}
    for name in accelerator_names():
        machine, own = load_accelerator(name), [row for row in rows if name in row.chips]
        modelled, verdict = VALIDATED[name]
        inside = [row for row in own if not row.outside]
        words = {"bands": _bands_in_words(own) if inside else "", "convention": _convention(rows)}
        left = "; ".join(machine.missing) or LEFT_OUT[name]
        about = {"modelled": modelled, "not_modelled": left, "verdict": verdict.format(**words)}
        result[name] = about | ({"bands": _bands(inside, cases)} if inside else {})
    return result


def _convention(rows: list[Row]) -> str:
    own = [row for row in rows if CONVENTION.name in row.chips]
    return f"its price per operation gives {spread([row.ratio for row in own])} of dynamic energies measured on Loihi"


def _bands(rows: list[Row], cases: dict[str, Any]) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row.case_id, row.part, row.measured_is), []).append(row)
    return [
        {
            "predicted": predicted,
            "measured": measured,
            "low": float(f"{min(row.ratio for row in group):.3g}"),
            "high": float(f"{max(row.ratio for row in group):.3g}"),
            "measurements": len({(row.case, row.measured) for row in group}),
            "cases": {row.network: cases[row.case_id]["source"] for row in group},
        }
        for (_, predicted, measured), group in grouped.items()
    ]


def page() -> tuple[str, str, list[Row]]:
    """The text of docs/validation.md and of energy/validation.yaml, and the rows of the figure."""
    cases = load_cases()
    added, slope, intercept = slopes(cases["loihi1_kws_scaling"])
    series = scaling(cases["loihi1_kws_scaling"])
    power, fit = truenorth(cases)
    energy = autoencoder(cases["loihi2_vpx_autoencoder"]) + keyword_spotting(cases["loihi1_kws_aloha"])
    energy += static_only(cases)
    times = step_times(cases)
    rows = energy + series + added + times + power
    about = accelerators(rows, cases)
    text = [
        *opening(about),
        *energy_section(energy),
        *series_section(series, added, slope, intercept),
        *time_section(times, series),
        *power_section(power, fit),
        *closing(rows, cases),
    ]
    cited = yaml.safe_dump({"schema": "spikejoule.validation/1", "accelerators": about}, sort_keys=False, width=110)
    return "\n".join(text), f"# Written by python benchmarks/validation.py\n{cited}", rows


def main() -> None:
    text, bands, rows = page()
    PAGE.write_text(text, encoding="utf-8")
    BANDS.write_text(bands, encoding="utf-8")
    draw(rows, text, PAGE.with_suffix(".svg"))


if __name__ == "__main__":
    main()
