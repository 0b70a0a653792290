"""What an ablation sweeps: the jobs that its file means, and the trainings that those need, in their order."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..energy.machines.accelerator import load_accelerator
from ..energy.machines.yaml_files import parse_yaml, validate
from ..models.settings.config import TrainConfig, config_from_dict, config_to_dict
from ..models.settings.variants import variant_config
from ..sim.errors import InvalidInput
from .ablation_file import FIELDS, FLOAT_STATE, STATE_BITS, STATES, Ablation, Hypercube

# how nothing is penalised makes no difference
NO_PENALTY: dict[str, Any] = {name: FIELDS[name].default for name in ("rate_penalty", "penalty", "rate_target")}


Key = tuple[str, int]  # hash of a run, and state width


@dataclass(frozen=True)
class Job:
    """One row of the table: a run, priced at one state width.

    Attributes
    ----------
    config : TrainConfig
        Resolved; of the run that is recorded, so ``derived`` may be set.
    state_bits : int
        32: float, as trained; fewer: replayed in fixed point.
    point, twin : bool
        Whether it is a setting of the sweep, and whether it is one of the references.
    """

    config: TrainConfig
    state_bits: int = FLOAT_STATE
    point: bool = True
    twin: bool = False

    @property
    def key(self) -> Key:
        return self.config.hash, self.state_bits

    @property
    def setting(self) -> str:
        """The same for all seeds of one setting: 12 hex digits."""
        content = {**config_to_dict(self.config), STATE_BITS: self.state_bits, "seed": None, "warm_start": None}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Task:
    """One training, everything wanted of it, and the hash of the run whose weights it starts from, if any."""

    config: TrainConfig
    jobs: tuple[Job, ...]

    @property
    def start(self) -> str | None:
        return self.config.warm_start


def load_ablation(name: str | Path) -> Ablation:
    """Read and check an ablation file, or one of those that come with the package, by name (``ablate_quick``).

    Raises
    ------
    InvalidInput
        Unknown name or key, a value of the wrong type, or a setting that cannot be trained; the message names file
        and key.
    """
    path: Any = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        folder = files("spikejoule").joinpath("configs")
        path = folder.joinpath(f"{name}.yaml")
        if not path.is_file():
            known = sorted(Path(each.name).stem for each in folder.iterdir() if each.name.startswith("ablate_"))
            raise InvalidInput(
                f"ablation {str(name)!r} is not known; give the path of a .yaml file, or one of {', '.join(known)}"
            )
    ablation = validate(Ablation, parse_yaml(path), str(name))
    try:
        for accelerator in ablation.accelerators:
            load_accelerator(accelerator)
        plan(ablation)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from error
    return ablation


def jobs(ablation: Ablation) -> list[Job]:
    """Every row of the table, once each, in the file's order: points by axes, variants and seeds, then twins.

    Raises
    ------
    InvalidInput
        A point that is no possible config: names the point.
    """
    found: dict[Key, Job] = {}
    for job in _jobs(ablation):
        known = found.get(job.key, job)
        found[job.key] = dataclasses.replace(job, point=known.point or job.point, twin=known.twin or job.twin)
    return list(found.values())


def plan(ablation: Ablation) -> list[Task]:
    """Every training that an ablation needs, once each, with its jobs; starts before what starts from them."""
    wanted: dict[str, list[Job]] = {}
    trained: dict[str, TrainConfig] = {}
    for job in jobs(ablation):
        config = dataclasses.replace(job.config, derived=None)
        if config.warm_start is not None:
            start = _unpenalised(job.config, ablation)
            trained.setdefault(start.hash, start)
        trained.setdefault(config.hash, config)
        wanted.setdefault(config.hash, []).append(job)
    tasks = [Task(config, tuple(wanted.get(key, ()))) for key, config in trained.items()]
    return sorted(tasks, key=lambda task: task.start is not None)  # stable: the file's order within each wave


def _jobs(ablation: Ablation) -> Iterator[Job]:
    for values in _points(ablation):
        for variant in ablation.variants:
            for seed in ablation.seeds:
                yield _named_job(ablation, variant, seed, values)
    states = dict.fromkeys(bits for grid in ablation.grids for bits in grid.get(STATE_BITS, [FLOAT_STATE]))
    for width, values, bits in itertools.product(ablation.twins, list(_products(ablation.twin_grids)), states):
        for seed in ablation.seeds:
            twin = _named_job(ablation, ablation.reference, seed, {"width": width, **values, STATE_BITS: bits})
            yield dataclasses.replace(twin, point=False, twin=True)


def _points(ablation: Ablation) -> Iterator[dict[str, object]]:
    samples = _latin_hypercube(ablation.latin_hypercube) if ablation.latin_hypercube else [{}]
    for values in _products(ablation.grids):
        for sample in samples:
            yield values | sample


def _products(grids: Sequence[Mapping[str, Sequence[object]]]) -> Iterator[dict[str, object]]:
    """Every point of every grid."""
    for grid in grids:
        for values in itertools.product(*grid.values()):
            yield dict(zip(grid, values, strict=True))


def _named_job(ablation: Ablation, variant: str, seed: int, values: Mapping[str, object]) -> Job:
    """A job, or a refusal that says of which point."""
    try:
        return _job(ablation, variant, seed, values)
    except InvalidInput as error:
        told = ", ".join(f"{name} {value}" for name, value in values.items()) or "base"
        raise InvalidInput(f"{variant} at {told}: {error}") from error


def _latin_hypercube(cube: Hypercube) -> list[dict[str, object]]:
    """One sample in each of ``samples`` equal strata of every axis, at random within it; four significant digits."""
    rng = np.random.default_rng(cube.seed)
    columns = {}
    for name, (low, high, *scale) in cube.axes.items():
        places = (rng.permutation(cube.samples) + rng.random(cube.samples)) / cube.samples
        values = low * (high / low) ** places if scale == ["log"] else low + (high - low) * places
        whole = FIELDS[name].type == "int"
        columns[name] = [round(value) if whole else float(f"{value:.4g}") for value in values.tolist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _job(ablation: Ablation, variant: str, seed: int, values: Mapping[str, Any]) -> Job:
    fields = dict(values)
    state_bits = fields.pop(STATE_BITS, FLOAT_STATE)
    if state_bits not in STATES:
        raise InvalidInput(f"{STATE_BITS} is {state_bits!r}; use {FLOAT_STATE} (float, as trained) or 4 to 24")
    base = variant_config(variant, config_from_dict({**ablation.base, "seed": seed}))
    config = config_from_dict({**config_to_dict(base), **fields})
    if not config.rate_penalty:
        config = dataclasses.replace(config, **NO_PENALTY)
    elif ablation.warm_start is not None:
        start = _unpenalised(config, ablation)
        change = {key: value for key, value in dataclasses.asdict(ablation.warm_start).items() if value is not None}
        config = dataclasses.replace(config, warm_start=start.hash, **change)
    return Job(config.resolved(), state_bits)


def _unpenalised(config: TrainConfig, ablation: Ablation) -> TrainConfig:
    """The trained run that a penalised one starts from: without penalty, for the base's epochs and at its rate."""
    base = config_from_dict(ablation.base)
    plain = {**NO_PENALTY, "warm_start": None, "derived": None}
    if ablation.warm_start is not None:
        changed = [name for name, value in dataclasses.asdict(ablation.warm_start).items() if value is not None]
        plain |= {name: getattr(base, name) for name in changed}
    return dataclasses.replace(config, **plain).resolved()
