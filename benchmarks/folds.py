"""Five folds of the digits: ``python benchmarks/folds.py`` trains every variant and writes what came of it.

Every image is tested once. The tables stand in docs/agmm.md between two marks, every run in docs/agmm_folds.csv.
Finished runs are reused, so that a stopped call continues.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
from spikejoule.ablation.jobs import Job, Task
from spikejoule.ablation.scheduling import Bars, execute
from spikejoule.ablation.task import perform
from spikejoule.ablation.worker_processes import local_pool
from spikejoule.commands.console import progress_bars
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.settings.variants import variant_config
from spikejoule.reports.comparison.significance import bootstrap_interval, distinguishable

ROOT = Path(__file__).resolve().parent.parent
PAGE, TABLE = ROOT / "docs" / "agmm.md", ROOT / "docs" / "agmm_folds.csv"
MARKS = ("<!-- five folds: written by benchmarks/folds.py -->", "<!-- end of five folds -->")
ACCELERATOR = "event-driven-45nm"
FOLDS = range(5)
DATASETS = {"digits": "Static digits, direct encoding", "digits-events": "Simulated events of the digits"}
TWIN, PLAIN, CONSTANT = "SNN fp32", "BSNN", "BSNN + constant gain"
TWIN_WIDTHS = (0.75, 0.5, 0.25)  # of narrower int8 twins
VARIANTS = (
    *(TWIN, "SNN fp32 + constant gain", "SNN int8", PLAIN, CONSTANT, "BSNN + alpha[t]", "BSNN + AGMM"),
    *("BSNN + AGMM, frozen", "BSNN + AGMM (detached)"),
)
EQUAL_RATE = 0.02  # flips depend on the rate, so those that claim fewer are set side by side at one rate too
AT_EQUAL_RATE = (PLAIN, CONSTANT, "BSNN + AGMM")
EQUAL_POINTS = 0.5  # a narrower twin is about equal if its validation accuracy is no further below the full one's
ENERGY = f"{ACCELERATOR}.energy_pj"


@dataclass(frozen=True)
class Quantity:
    """A column of the runs' table, how it is shown, and in percent or points whether a change is relative."""

    column: str
    title: str
    unit: float
    relative: bool


QUANTITIES = (
    Quantity("test_accuracy", "accuracy, points", 0.01, relative=False),
    Quantity("sign_flips", "sign flips, %", 1.0, relative=True),
    Quantity("synaptic_operations", "SOPs, %", 1.0, relative=True),
    Quantity(ENERGY, "energy, %", 1.0, relative=True),
)


def configs(dataset: str) -> Iterator[tuple[str, TrainConfig]]:
    """Every run of a data set with the name of its row, narrower int8 twins included."""
    for fold in FOLDS:
        base = TrainConfig(dataset=dataset, fold=fold)
        for name in VARIANTS:
            yield name, variant_config(name, base).resolved()
        for name in AT_EQUAL_RATE:
            yield at_rate(name), variant_config(name, replace(base, learning_rate=EQUAL_RATE))
        for width in TWIN_WIDTHS:
            yield f"SNN int8, width {width:g}", variant_config("SNN int8", replace(base, width=width)).resolved()


def at_rate(name: str) -> str:
    return f"{name} at {EQUAL_RATE:g}"


def run(runs: Path, workers: int) -> pd.DataFrame:
    """Train what is not there yet and measure all; one row per run."""
    wanted = [(dataset, name, config) for dataset in DATASETS for name, config in configs(dataset)]
    grouped: dict[str, list[TrainConfig]] = {}
    for _, _, config in wanted:
        grouped.setdefault(replace(config, derived=None).hash, []).append(config)
    tasks = [Task(replace(of[0], derived=None), tuple(map(Job, of))) for of in grouped.values()]
    runs.mkdir(parents=True, exist_ok=True)
    work = partial(perform, runs=str(runs.resolve()), machines=[load_accelerator(ACCELERATOR)])
    with progress_bars() as progress, local_pool(workers) as (pool, reports):
        figures = execute(tasks, pool, work, Bars(tasks, runs, progress), reports)
    rows = []
    for dataset, name, config in wanted:
        measured = figures[Job(config).key]
        if measured["error"]:
            raise SystemExit(f"{name}, fold {config.fold} of {dataset} failed:\n{measured['error']}")
        rows.append({"dataset": dataset, "row": name, "fold": config.fold, "run": config.hash, **measured})
    return pd.DataFrame(rows).drop(columns="error")


def chosen_twin(of: pd.DataFrame) -> str:
    """The narrowest int8 twin whose mean validation accuracy is about that of the full one."""
    means = of.groupby("row")["validation_accuracy"].mean()
    names = [f"SNN int8, width {width:g}" for width in sorted(TWIN_WIDTHS)]
    return next((name for name in names if means[name] >= means["SNN int8"] - EQUAL_POINTS / 100), "SNN int8")


def table(of: pd.DataFrame, twin: str) -> list[str]:
    """One line per variant: over all images, and means over folds."""
    titles = ("variant", "validation, %", "test, % of all images", "against the twin, points")
    titles += ("sign flips", "SOPs", "firing, %", "energy, uJ")
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    twin_accuracy = by_fold(of, TWIN, "test_accuracy")
    for name in dict.fromkeys((*VARIANTS, twin)):
        rows = of[of["row"] == name]
        right = (rows["test_accuracy"] * rows["test_samples"]).sum() / rows["test_samples"].sum()
        gap = [
            100 * (ours - theirs)
            for ours, theirs in zip(by_fold(of, name, "test_accuracy"), twin_accuracy, strict=True)
        ]
        flips = rows["sign_flips"].mean()
        cells = [
            *(name, f"{100 * rows['validation_accuracy'].mean():.1f}", f"{100 * right:.2f}"),
            "-" if name == TWIN else interval(gap, "+.2f"),
            "-" if pd.isna(flips) else f"{flips:,.0f}",
            *(f"{rows['synaptic_operations'].mean():,.0f}", f"{100 * rows['firing_rate'].mean():.1f}"),
            f"{rows[ENERGY].mean() / 1e6:.2f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def by_fold(of: pd.DataFrame, name: str, column: str) -> list[float]:
    return [float(value) for value in of[of["row"] == name].sort_values("fold")[column]]


def paired(of: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Paired differences over folds with bootstrap intervals; bold where distinguishable."""
    lines = ["| variant - reference | " + " | ".join(each.title for each in QUANTITIES) + " |"]
    lines.append("|---" * (1 + len(QUANTITIES)) + "|")
    for name, reference in pairs:
        cells = [f"{name} - {reference}"]
        for each in QUANTITIES:
            ours, theirs = (by_fold(of, which, each.column) for which in (name, reference))
            if any(pd.isna(ours) | pd.isna(theirs)):
                cells.append("-")
                continue
            steps = zip(ours, theirs, strict=True)
            change = [100 * (a / b - 1) if each.relative else (a - b) / each.unit for a, b in steps]
            cells.append(interval(change, "+.1f" if each.relative else "+.2f"))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def interval(values: Sequence[float], form: str) -> str:
    """Mean and 95 % bootstrap interval over folds, bold where distinguishable from zero."""
    low, high = bootstrap_interval(values)
    text = f"{sum(values) / len(values):{form}} ({low:{form}} to {high:{form}})"
    return f"**{text}**" if distinguishable(values) else text


PAIRS = (
    *((name, PLAIN) for name in (CONSTANT, "BSNN + alpha[t]", "BSNN + AGMM", "BSNN + AGMM (detached)")),
    *((name, CONSTANT) for name in ("BSNN + AGMM", "BSNN + AGMM, frozen")),
    ("SNN fp32 + constant gain", TWIN),
)


EQUAL_PAIRS = (
    *((at_rate(name), at_rate(PLAIN)) for name in AT_EQUAL_RATE[1:]),
    (at_rate("BSNN + AGMM"), at_rate(CONSTANT)),
)


def text(runs: pd.DataFrame) -> str:
    """What stands between the marks."""
    parts = [MARKS[0], ""]
    for dataset, title in DATASETS.items():
        of = runs[runs["dataset"] == dataset]
        twin = chosen_twin(of)
        images = int(of[of["row"] == TWIN]["test_samples"].sum())
        rates = ", ".join(
            f"{name} {variant_config(name, TrainConfig(dataset=dataset)).resolved().learning_rate:g}"
            for name in VARIANTS
            if "frozen" not in name and "int8" not in name
        )
        parts += [f"### {title}: {images:,} images, each tested once", ""]
        parts += [
            *table(of, twin),
            "",
            f"Learning rates: {rates}. The narrower int8 twin that is about equal on validation data is *{twin}*.",
            "",
        ]
        parts += [*paired(of, (*PAIRS, *EQUAL_PAIRS)), ""]
    return "\n".join([*parts, MARKS[1]])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of run folders")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    found = run(options.runs, options.workers)
    found.to_csv(TABLE, index=False)
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(MARKS[0])[0], page.partition(MARKS[1])[2]
    PAGE.write_text(before + text(found) + after, encoding="utf-8")
    print(text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
