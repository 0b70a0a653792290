"""Commands that do everything from training to the report: the main job, and ablations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import MAIN_JOB, Formats, Runs, format_names
from .console import progress_bars

if TYPE_CHECKING:
    from ..models.settings.config import TrainConfig

app = typer.Typer()


@app.command(epilog="Example: spikejoule report --quick --out out/first", rich_help_panel=MAIN_JOB)
def report(
    dataset: Annotated[
        str, typer.Option(help="digits-events, digits, or one whose files you have: see docs/datasets.md.")
    ] = "digits-events",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many seeds per variant, from 0.", show_default="3; 1 with --quick")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Short trainings on less data: real, but less accurate.")
    ] = False,
    tune: Annotated[bool, typer.Option("--tune", help="Repeat the choice of learning rates first.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Reports go to OUT.html and OUT.pdf.", show_default="out/DATASET[-quick]")
    ] = None,
    runs: Runs = Path("runs"),
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 2,
    formats: Formats = None,
) -> None:
    """The main job: train the variants, record, count, price, and write the report."""
    from ..models.settings.config import TrainConfig
    from ..models.settings.variants import quick as shortened
    from ..study import Study, run_study

    base = TrainConfig(dataset=dataset)
    base = shortened(base) if quick else base
    out = out or Path("out") / (dataset + ("-quick" if quick else ""))
    with progress_bars() as progress:
        rates = _tune(base, out, runs=runs, workers=workers, progress=progress) if tune else {}
        study = Study(base=base, seeds=tuple(range(seeds or (1 if quick else 3))), rates=rates)
        comparison = run_study(study, runs=runs, workers=workers, progress=progress)
    print(comparison.headline())
    for path in comparison.write(out, formats=format_names(formats)):
        print(path)


@app.command(epilog="Example: spikejoule ablate ablate_quick --out out/quick", rich_help_panel=MAIN_JOB)
def ablate(
    config: Annotated[
        str,
        typer.Argument(
            help="A .yaml file, or the name of one in configs/: ablate_quick, ablate_events ...", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Table and reports go to OUT.parquet, .html, .pdf.", show_default="out/CONFIG")
    ] = None,
    runs: Runs = Path("runs"),
    workers: Annotated[int, typer.Option(min=1, help="Trainings at a time.")] = 2,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler whose workers train instead.", show_default=False)
    ] = None,
    formats: Formats = None,
) -> None:
    """Sweep settings and draw accuracy against energy; a stopped sweep continues. Exit code 1: some runs failed."""
    from ..ablation.jobs import load_ablation
    from ..ablation.resumable_sweep import run_ablation, write_tables
    from ..ablation.scheduling import cluster
    from ..reports.ablation.pareto_report import build_front
    from ..reports.page.write import write_report

    ablation, out = load_ablation(config), out or Path("out") / Path(config).stem
    with progress_bars() as progress, cluster(scheduler) as executor:
        found = run_ablation(ablation, runs=runs, workers=workers, executor=executor, progress=progress)
    print(found.headline())
    tables = write_tables(found, out, runs)
    for path in [*tables, *write_report(build_front(found), out, format_names(formats))]:
        print(path)
    if len(found.failed):
        print(f"spikejoule: {len(found.failed)} of {len(found.table)} runs failed; see the report", file=sys.stderr)
        raise typer.Exit(1)


def _tune(base: TrainConfig, out: Path, **how: Any) -> dict[str, float]:
    """Choose learning rates on validation data and keep the table beside the report."""
    from ..models.training.tune import tune, write_rates

    tuning = tune(base, **how)
    path = out.with_name(out.name + "-learning_rates.yaml")
    write_rates([tuning], path)
    print(f"{path}  (copy it to configs/learning_rates.yaml to keep these rates)")
    return tuning.chosen
