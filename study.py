"""The main job: train the variants, record them, count, price and compare, all from files that are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from numpy.typing import NDArray

from .energy.explaining.narrow_states import STATE_BITS, Replayed, replay_trace
from .energy.machines.accelerator import Accelerator, load_accelerator
from .energy.pricing.estimate import EnergyEstimate
from .energy.pricing.estimate_variants import estimate_variants
from .models.data.datasets import batches
from .models.recording.record import TRACE, record
from .models.run_folders.run import Run, check_data
from .models.settings.config import TrainConfig, config_data
from .models.settings.variants import VARIANTS, variant_config
from .models.training.evaluate import as_input
from .models.training.train import train, train_many
from .reports.compare import Comparison, compare
from .sim.counting.operations import OperationCounts, count, write_counts
from .sim.display import lines
from .sim.errors import InvalidInput
from .sim.hardware.grid.kernel_fetches import needs_spikes
from .sim.readable_numbers import listed
from .sim.replay.parameter_file import PARAMETERS, load_parameters
from .sim.trace.spike_trace import SpikeTrace

BASELINE = "SNN fp32"
ACCELERATORS = ("event-driven-45nm", "sop-45nm", "event-driven-45nm-tiny")  # the first carries the first page
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Study:
    """Which variants are compared, over which seeds, on which machines.

    Attributes
    ----------
    base : TrainConfig
        Everything the variants share: data set, steps, epochs.
    variants : tuple of str
        Names from `VARIANTS`; the baseline must be among them.
    seeds : tuple of int
    accelerators : tuple of str
        Names or files; the first is the one that the report's first page speaks of.
    rates : mapping of variant to learning rate, optional
        Of trained variants; the tuned ones of configs/ for those not given.
    """

    base: TrainConfig = field(default_factory=TrainConfig)
    variants: tuple[str, ...] = tuple(VARIANTS)
    seeds: tuple[int, ...] = (0, 1, 2)
    accelerators: tuple[str, ...] = ACCELERATORS
    rates: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        return lines(
            f"Study of {self.base.network} on {self.base.dataset}, {self.base.steps} steps",
            f"variants  {listed(self.variants)}",
            f"seeds     {listed(map(str, self.seeds))}",
            f"machines  {listed(self.accelerators)}",
        )

    def __post_init__(self) -> None:
        unknown = [name for name in self.variants if name not in VARIANTS]
        if unknown or BASELINE not in self.variants:
            raise InvalidInput(
                f"variants: {', '.join(map(repr, unknown)) or 'the baseline ' + BASELINE + ' is missing'}; "
                f"use {BASELINE!r} and any of {', '.join(VARIANTS)}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InvalidInput(f"seeds are {self.seeds}; give one or more different integers")
        if not self.accelerators:
            raise InvalidInput("accelerators: none given; name at least one")

    def configs(self, variant: str) -> list[TrainConfig]:
        """One config per seed; a derived variant has the rate of the one it is derived from."""
        config = variant_config(variant, self.base)
        rate = self.rates.get(replace(config, derived=None).variant)
        return [replace(config, seed=seed, learning_rate=rate or config.learning_rate) for seed in self.seeds]


def run_study(
    study: Study, *, runs: str | Path = "runs", workers: int = 2, progress: Progress | None = None
) -> Comparison:
    """Train, record, count, price, replay at narrow states, and compare; finished runs and valid traces are reused.

    Parameters
    ----------
    study : Study
    runs : path
        Folder of run folders.
    workers : int
        Trainings at a time, each in a process and on a thread of its own.
    progress : callable, optional
        Called as ``progress(label, done, total)``.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInput
        For anything in the study, the data or the folders that cannot be used.
    """
    machines = [load_accelerator(name) for name in study.accelerators]  # bad files are refused before any training
    trained = [name for name in study.variants if VARIANTS[name].get("derived") is None]
    train_many([c for name in trained for c in study.configs(name)], runs=runs, workers=workers, progress=progress)
    all_runs = {name: [train(config, runs=runs) for config in study.configs(name)] for name in study.variants}
    counts = _record_and_count(all_runs, progress)
    traces = {name: [SpikeTrace.open(run.path / TRACE) for run in all_runs[name]] for name in study.variants}
    refused: dict[str, Mapping[str, str]] = {}
    tables: list[Mapping[str, Sequence[EnergyEstimate]]] = []
    for machine in machines:  # some need to know where spikes are, hence the traces; the rest prices their counts
        source = traces if needs_spikes(machine.architecture) else counts
        shown = {name: source[name] for name in (tables[0] if tables else study.variants)}
        priced = estimate_variants(shown, machine, BASELINE)
        tables.append(priced.estimates)
        refused[machine.name] = priced.refused
    logs = {name: [run.log() for run in all_runs[name]] for name in trained if name in tables[0]}
    replayed = _replay({name: all_runs[name] for name in tables[0]}, machines[0], workers, progress)
    return compare(tables[0], baseline=BASELINE, others=tables[1:], logs=logs, refused=refused, replayed=replayed)


def _replay(
    all_runs: Mapping[str, Sequence[Run]], machine: Accelerator, workers: int, progress: Progress | None
) -> dict[str, list[tuple[Replayed, ...]]]:
    """Every run at every width of `STATE_BITS`, in threads: nearly all of it is compiled code that leaves the GIL.

    Not kept in the run folder: it takes a second or so per run and width, and files would outlive changes of the rule.
    Variants whose network has no replay parameters are left out.
    """
    able = {name: runs for name, runs in all_runs.items() if all((run.path / PARAMETERS).exists() for run in runs)}
    jobs = [(name, run) for name, runs in able.items() for run in runs]
    replayed: dict[str, list[tuple[Replayed, ...]]] = {name: [] for name in able}
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(lambda job: _replay_run(job[1], machine), jobs)
        for done, ((name, _), result) in enumerate(zip(jobs, results, strict=True), start=1):
            replayed[name].append(result)
            if progress is not None:
                progress("replay", done, len(jobs))
    return replayed


def _replay_run(run: Run, machine: Accelerator) -> tuple[Replayed, ...]:
    trace = SpikeTrace.open(run.path / TRACE)
    parameters = load_parameters(run.path / PARAMETERS, trace.workload, trace.steps)
    inputs = analog_inputs(run, trace)
    return tuple(replay_trace(trace, parameters, bits, machine, inputs) for bits in STATE_BITS)


def analog_inputs(run: Run, trace: SpikeTrace, split: str = "test") -> NDArray | None:
    """The inputs (steps, samples, *shape) of a run's split if they are analog, for a trace keeps no such values."""
    if trace.workload.input_kind != "analog":
        return None
    present = config_data(run.config)
    check_data(run, present)
    part = present.split(split)
    held = next(iter(batches(part, len(part))))[0]
    return as_input(held, trace.steps).numpy()


def _record_and_count(
    all_runs: Mapping[str, Sequence[Run]], progress: Progress | None
) -> dict[str, list[OperationCounts]]:
    total = sum(len(of_variant) for of_variant in all_runs.values())
    counts: dict[str, list[OperationCounts]] = {}
    done = 0
    for name, of_variant in all_runs.items():
        counts[name] = []
        for run in of_variant:
            if progress is not None:
                progress("record and count", done, total)
            counts[name].append(count(record(run)))
            write_counts(counts[name][-1], run.path / "counts.parquet")
            done += 1
    if progress is not None:
        progress("record and count", total, total)
    return counts
