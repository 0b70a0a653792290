"""Running an ablation: every training and what is measured of it, on any executor; one table in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..energy.explaining.break_even import network_break_even
from ..energy.machines.accelerator import Accelerator, load_accelerator
from ..energy.pricing.estimate import estimate
from ..models.recording.record import record
from ..models.run_folders.run import Run, check_writable
from ..models.settings.config import config_to_dict
from ..reports.ablation.pareto import FINISHED, equal_points, equal_twin, settings
from ..reports.ablation.results import AblationResults
from ..sim.counting.operations import OperationCounts, count
from ..sim.errors import InvalidInput
from ..sim.files import replacing
from ..sim.hardware.grid.kernel_fetches import needs_spikes
from .ablation_file import FLOAT_STATE, STATE_BITS, Ablation
from .jobs import Key, Task, jobs, plan
from .scheduling import Bars, Figures, Here, Outcome, Progress, execute
from .task import perform
from .worker_processes import local_pool

FAILED = "failed"
BREAK_EVEN_RATES = ("rate", "reference_rate", "compute_rate", "machine_rate")


def run_ablation(
    ablation: Ablation,
    *,
    runs: str | Path = "runs",
    workers: int = 2,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> AblationResults:
    """Train what is not there yet, measure every run, and collect the table behind the accuracy-energy front.

    Parameters
    ----------
    ablation : Ablation
    runs : path
        Folder of run folders. A finished run in it is taken as it is, so a stopped sweep continues where it was.
    workers : int
        Trainings at a time, each in a process of its own; 1 trains in this process.
    executor : concurrent.futures.Executor, optional
        Runs the trainings instead, such as the ``get_executor()`` of a dask client; its workers must see ``runs``
        under the same path, and have this package.
    progress : callable, optional
        Called in this process as ``progress(label, done, total)``, with the epochs still to be trained.

    Returns
    -------
    AblationResults
        ``table`` has one row per run: sorted, without times or paths, so that it is the same to the byte however
        often the sweep was stopped; `timings` of the runs are apart. A run that failed has the status ``failed`` and
        its traceback in ``error``, or how its worker process died; the same call tries it again.

    Raises
    ------
    InvalidInput
        If nothing can be written, a plan is impossible, no worker process can start, or the executor given broke.
    KeyboardInterrupt
        On Ctrl-C, with a message; finished runs are whole.
    """
    tasks, folder = plan(ablation), Path(runs).resolve()
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise InvalidInput(f"ablation: workers is {workers!r}; it must be an integer from 1")
    check_writable(folder)
    machines = [load_accelerator(name) for name in ablation.accelerators]
    bars = Bars(tasks, folder, progress)
    work = partial(perform, runs=str(folder), machines=machines)
    try:
        figures = _executed(tasks, executor, workers, work, bars)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the sweep was stopped; finished runs in {str(runs)!r} are whole, and the same command continues from them"
        ) from None
    except BrokenExecutor as error:
        raise InvalidInput(
            f"ablation: the executor that was given broke ({error}). Finished runs are kept; give a new one and start "
            f"again, or none: local workers are renewed when one dies"
        ) from error
    table = _table(ablation, figures)
    return AblationResults(
        title=ablation.title,
        table=table,
        axes=ablation.axes,
        accelerators=tuple(machine.name for machine in machines),
        reference=ablation.reference,
        tolerance=ablation.tolerance_points / 100,
        break_even=_break_even(table, machines, ablation, folder),
    )


def _executed(
    tasks: Sequence[Task], executor: Executor | None, workers: int, work: Callable[..., Outcome], bars: Bars
) -> dict[Key, Figures]:
    """The figures of every task: on the executor given, in this process, or on worker processes of our own."""
    if executor is not None:
        return execute(tasks, executor, work, bars)
    if workers == 1:
        return execute(tasks, Here(), partial(work, report=bars.epochs), bars)
    with local_pool(min(workers, len(tasks))) as (pool, reports):
        return execute(tasks, pool, work, bars, reports)


def timings(data: AblationResults, runs: str | Path) -> pd.DataFrame:
    """Seconds of every finished training, as its log says: ``run, variant, seed, epochs, seconds``."""
    rows = []
    for row in data.table[data.table["status"] == FINISHED].itertuples():
        log = Run.open(Path(runs) / str(row.run)).log()
        seconds = log.loc[log["quantity"] == "seconds", "value"]
        rows.append({"run": row.run, "variant": row.variant, "seed": row.seed, "epochs": len(seconds)})
        rows[-1]["seconds"] = float(seconds.sum())
    return pd.DataFrame(rows, columns=["run", "variant", "seed", "epochs", "seconds"])


def write_tables(data: AblationResults, out: str | Path, runs: str | Path) -> list[Path]:
    """Write ``OUT.parquet``, the table, and ``OUT-timings.parquet``."""
    out = Path(out)
    paths = [out.with_name(f"{out.name}.parquet"), out.with_name(f"{out.name}-timings.parquet")]
    for path, frame in zip(paths, (data.table, timings(data, runs)), strict=True):
        with replacing(path) as temporary:
            frame.to_parquet(temporary, index=False)
    return paths


def _table(ablation: Ablation, figures: Mapping[Key, Mapping[str, object]]) -> pd.DataFrame:
    """One row per job in the plan's order, the same columns in the same order whatever failed or came first."""
    rows = []
    for job in jobs(ablation):
        config, measured = config_to_dict(job.config), dict(figures[job.key])
        error = measured.pop("error")
        row: dict[str, object] = {"run": job.config.hash, "setting": job.setting, "variant": job.config.variant}
        row |= {"seed": job.config.seed, "point": job.point, "twin": job.twin, "width": job.config.width}
        row |= {axis: config[axis] for axis in ablation.axes if axis != STATE_BITS}
        row |= {STATE_BITS: job.state_bits, "status": FAILED if error else FINISHED, "error": error, **measured}
        rows.append({**row, "config": json.dumps(config, sort_keys=True)})
    table = pd.DataFrame(rows)
    for axis in ablation.axes:
        table[axis] = _plain(table[axis])
    known = list(dict.fromkeys((*rows[0], *sorted(table.columns))))
    return table[known]


def _plain(values: pd.Series) -> pd.Series:
    """An axis as a column of one type: as JSON where its values are not all numbers, or all text."""
    if all(isinstance(value, int | float) for value in values) or all(isinstance(value, str) for value in values):
        return values
    return values.map(partial(json.dumps, sort_keys=True))


def _break_even(table: pd.DataFrame, machines: Sequence[Accelerator], ablation: Ablation, runs: Path) -> pd.DataFrame:
    """Firing rates at which each variant's cheapest equal setting costs what such a twin does; float states only.

    What has no such rate has the reason in ``refused``: it must not end a sweep whose runs are sound.
    """
    rows: list[dict[str, object]] = []
    table = table[table[STATE_BITS] == FLOAT_STATE]
    for machine in machines:
        found, tolerance = settings(table, machine.name, ablation.axes), ablation.tolerance_points / 100
        twin = equal_twin(found, tolerance)
        if twin is None:
            continue
        for point in equal_points(found, tolerance).itertuples():
            pair = str(point.setting), str(twin["setting"])
            named = {"accelerator": machine.name, "variant": point.variant, "setting": pair[0], "twin_setting": pair[1]}
            rows += [{**named, **row} for row in _break_even_by_seed(table, machine, pair, runs)]
    columns = ["accelerator", "variant", "setting", "twin_setting", "seed", *BREAK_EVEN_RATES, "refused"]
    return pd.DataFrame(rows, columns=columns).astype({"seed": "Int64"})


def _break_even_by_seed(
    table: pd.DataFrame, machine: Accelerator, pair: tuple[str, str], runs: Path
) -> list[dict[str, object]]:
    """Rates of one setting against one twin by seed, or a single row with the reason why there are none."""
    try:
        if needs_spikes(machine.architecture):
            raise InvalidInput("what an event costs here depends on its place, and nobody recorded other spikes")
        ours, theirs = (_counts(table, setting, runs) for setting in pair)
        seeds = sorted(set(ours) & set(theirs))
        if not seeds:
            raise InvalidInput("no seed finished in both its setting and the twin's")
        found = {x: network_break_even(*(estimate(side[x], machine) for side in (ours, theirs))) for x in seeds}
    except InvalidInput as error:
        return [{"seed": None, **dict.fromkeys(BREAK_EVEN_RATES, np.nan), "refused": str(error)}]
    return [{"seed": x, **{name: row[name] for name in BREAK_EVEN_RATES}, "refused": ""} for x, row in found.items()]


def _counts(table: pd.DataFrame, setting: str, runs: Path) -> dict[int, OperationCounts]:
    """Counts on the test split by seed; traces that were recorded are read again."""
    rows = table[(table["setting"] == setting) & (table["status"] == FINISHED)]
    found = zip(rows["seed"].tolist(), rows["run"].tolist(), strict=True)
    return {seed: count(record(Run.open(runs / name))) for seed, name in found}
