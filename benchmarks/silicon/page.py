"""Sections of docs/validation.md, for ``validation.py``: what is said of the rows of ``rows``, and tables."""

from __future__ import annotations

import textwrap
from typing import Any

from spikejoule.energy.silicon.measured_chips import (
    KEYWORD_STEPS,
    SCALING_BRANCH,
    CorePowerFit,
    keyword_spotting_pj,
    matching_rate,
)

from .rows import (
    AFTER_BOOT,
    AFTER_RUN,
    BOTH,
    DAVIES,
    EVENTS,
    RATE,
    SANAFE,
    STATIC,
    Row,
    loihi1_static_uj,
    spread,
)

# What an accelerator was checked against that is no silicon.
CHECKED = {
    "loihi1-sanafe": "not silicon: the simulator SANA-FE 2.2.9, counts, energy and time (docs/formats.md)",
    "grid-45nm": "not silicon: SCALE-Sim v3 at one step, cycles and accesses",
}


def prose(*sentences: str) -> list[str]:
    return [*textwrap.wrap(" ".join(sentences), 118, break_on_hyphens=False), ""]


def _markdown(head: tuple[str, ...], cells: list[tuple[str, ...]]) -> list[str]:
    lines = [head, ("---",) * len(head), *cells]
    return [f"| {' | '.join(row)} |" for row in lines]


def _accelerators(about: dict[str, dict[str, Any]]) -> list[str]:
    head = ("accelerator", "modelled", "not modelled", "predicted over measured on silicon", "against")
    cells = []
    for name, row in about.items():
        networks = list(dict.fromkeys(network for band in row.get("bands", ()) for network in band["cases"]))
        against = "; ".join([*networks, *([CHECKED[name]] if name in CHECKED else [])])
        cells.append((f"`{name}`", row["modelled"], row["not_modelled"], row["verdict"], against or "none"))
    return _markdown(head, cells)


def _table(rows: list[Row]) -> list[str]:
    head = ("case", "measured is", "model", "predicted", "measured", "ratio", "in a band")
    return _markdown(
        head,
        [
            (
                *(row.case, row.measured_is, row.model, f"{row.predicted:.4g} {row.unit}"),
                *(
                    f"{row.measured:.4g} {row.unit}",
                    f"{row.ratio:#.3g}",
                    f"no: {row.outside}" if row.outside else "yes",
                ),
            )
            for row in rows
        ],
    )


def _scaling_table(rows: list[Row]) -> list[str]:
    """The series in one line per network and accelerator: predicted / measured = ratio."""
    head = (
        "N",
        "accelerator",
        "events / dynamic above the idle after boot, uJ",
        "events / dynamic above the idle after a first run, uJ",
        "events / total, uJ",
        "static x time / total, uJ",
        "events + static x time / total, uJ",
    )
    cells = []
    for case in dict.fromkeys(row.case for row in rows):
        for name in BOTH:
            own = [row for row in rows if row.case == case and name in row.chips]
            order = {AFTER_BOOT: 0, AFTER_RUN: 1, "total": 2}
            own.sort(key=lambda row: (order[row.measured_is], row.part.startswith(f"{EVENTS} +"), STATIC in row.part))
            alone = [row for row in own if row.part.startswith(STATIC)]
            both = [row for row in own if f"+ {STATIC}" in row.part]
            events = [row for row in own if STATIC not in row.part]
            shown = [f"{r.predicted:.4g} / {r.measured:.4g} = {r.ratio:#.3g}" for r in (*events, *alone, *both)]
            cells.append((case.partition("N = ")[2], name, *shown))
    return _markdown(head, cells)


def _sources(rows: list[Row], cases: dict[str, Any]) -> list[str]:
    named: dict[str, str] = {}
    for row in rows:
        if row.case_id:
            named.setdefault(row.case_id, row.case.partition(",")[0])
    named["truenorth_eedn_8nets"] = "TrueNorth, eight networks"
    head = (
        "measurement",
        "source",
        "how it was read",
        "what is inside the measurement",
        "what was not published or read",
    )
    cells = []
    for key, name in named.items():
        case = cases[key]
        boundary = case.get("boundary") or case["measured"]["kind"]
        cells.append((name, case["source"], case["read"], boundary, case["missing"]))
    return _markdown(head, cells)


def _unused(cases: dict[str, Any], used: set[str]) -> list[str]:
    head = ("case", "chip", "source", "what is missing")
    left = [(f"`{key}`", c["chip"], c["source"], c["missing"]) for key, c in cases.items() if key not in used]
    return _markdown(head, left)


def opening(about: dict[str, dict[str, Any]]) -> list[str]:
    return [
        "# Validation against silicon",
        "",
        *prose(
            "Written by `python benchmarks/validation.py` from published measurements",
            "(`tests/cases/silicon_cases.json`). Ratios are predicted over measured. Event energy, static power x",
            "time and their sum are kept apart: an event sum is not a total. Energies are compared at the measured",
            "time; what the files' own step time is worth has a section below. A *dynamic* energy is what is left",
            "above some idle, and idle is not one number: each row says which was subtracted. One published figure",
            "(Yan 2021) does not say it; it is shown, and enters no band. The last column of the tables says which",
            "other rows enter none, and why. Bands are what reports cite (`energy/validation.yaml`).",
        ),
        "![predicted over measured](validation.svg)",
        "",
        "## Accelerators",
        "",
        *_accelerators(about),
        "",
    ]


def energy_section(rows: list[Row]) -> list[str]:
    bound = keyword_spotting_pj(DAVIES, 1.0) * 1e-6
    return [
        "## Energy per inference",
        "",
        *prose(
            "The autoencoder's counts are published (two digits); Loihi 2 has no published prices, so those of Loihi",
            "1 are used, with all neurons active and all 2.0e4 spikes priced as sent by neurons and as packets. The",
            f"keyword spotter's rate of {RATE} spikes per neuron and step is assumed; at one spike per neuron and",
            f"step the Davies events are {bound:.1f} uJ, still below the smaller of the two dynamic figures against",
            "a known idle. Its readout is taken to run off the chip, and its ten steps per inference are inferred.",
            "Of the last two networks no events are known: static power x measured time stands alone.",
        ),
        *_table(rows),
        "",
    ]


def series_section(series: list[Row], added: list[Row], slope: float, intercept: float) -> list[str]:
    rates = " and ".join(f"{matching_rate(c, SCALING_BRANCH, slope * 1e6):.3f} ({c.name})" for c in (DAVIES, SANAFE))
    return [
        "## Slopes and intercepts, Loihi 1 scaling series",
        "",
        *prose(
            "390-256-[N branches of ten layers of 256]-256-29, ten steps, random weights; the rate was not",
            f"published. Measured: slope {slope:.3f} uJ per step and branch, intercept {intercept:.2f} uJ per step,",
            f"above the idle after a first run, N = 1 to 10. The slope is met at a rate of {rates}. Event prices",
            "predict nothing of the intercept: it is what a chip spends per step whatever the network.",
        ),
        *_table(added),
        "",
        *prose(
            f"The whole networks at a rate of {RATE}, assumed, with 104 mW for the one chip that is assumed and the",
            "measured time; in uJ per inference, predicted / measured = ratio, all in bands. The larger the network,",
            "the more of its energy the events are.",
        ),
        *_scaling_table(series),
        "",
    ]


def time_section(rows: list[Row], series: list[Row]) -> list[str]:
    """Step times, and what they make of totals: every network of the series takes ten steps."""
    alone = loihi1_static_uj(rows[0].predicted * 1e-6 * KEYWORD_STEPS)
    events = [row for row in series if row.measured_is == "total" and STATIC not in row.part]
    totals = spread([(row.predicted + alone) / row.measured for row in events])
    return [
        "## Time per step on Loihi 1",
        "",
        *prose(
            "The files give every network the step time that was measured on one, because input, output and the",
            "embedded processors set it. Where it is far off, so are the static part, the total and ratios of",
            f"totals: taken for the scaling series, events + static x the files' time are {totals} of the measured",
            "total. Set `static.seconds_per_step` to a measured time in a copy of the file wherever there is one.",
        ),
        *_table(rows),
        "",
    ]


def power_section(rows: list[Row], fit: CorePowerFit) -> list[str]:
    worst = fit.left_out[abs(fit.left_out).argmax()]
    return [
        "## Power of TrueNorth",
        "",
        *prose(
            f"P = cores x ({fit.watt_per_core * 1e6:.2f} uW + {fit.joule_per_core_tick * 1e9:.2f} nJ x fps), fitted",
            f"to eight networks: errors {fit.errors.min():+.1%} to {fit.errors.max():+.1%}; each network left out in",
            f"turn: mean {abs(fit.left_out).mean():.1%}, worst {worst:+.1%}. This form is in no accelerator file.",
            "The static part of the file is for 0.8 V and these networks ran at 1.0 V, so part of what is missing is",
            "voltage; their synaptic events are unknown. The gesture network has a band of its own: its supply was",
            "not read, and its number of cores is from memory.",
        ),
        *_table(rows),
        "",
    ]


def closing(rows: list[Row], cases: dict[str, Any]) -> list[str]:
    return [
        "## Where the measurements come from",
        "",
        *prose(
            "As `tests/cases/silicon_cases.json` has them. *Secondary*: taken from someone else's table or notes;",
            "*memory*: from memory, to be checked before it is relied on.",
        ),
        *_sources(rows, cases),
        "",
        "## Cases not used",
        "",
        *prose(
            "Their network or counts were not read, they do not spike, or no accelerator file prices the events of",
            "their chip. Nothing was compared with them.",
        ),
        *_unused(cases, {row.case_id for row in rows}),
        "",
    ]
