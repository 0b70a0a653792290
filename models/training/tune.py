"""Choose each variant's learning rate from one small grid on validation data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...sim.errors import InvalidInput
from ...sim.files import replacing
from ..run_folders.run import Run
from ..settings.config import TrainConfig
from ..settings.learning_rates import read_rates
from ..settings.variants import CONTROLS, VARIANTS, variant_config
from .train import Progress, train_many

GRID = (0.005, 0.01, 0.02, 0.04, 0.08)
SEEDS = (100, 101)  # not those of any reported training
RULE = (
    "highest validation accuracy after the last epoch, mean over the tuning seeds; ties by the lower mean validation "
    "loss; the same grid, seeds, epochs and batch size for every variant; test data untouched"
)
TRAINED_VARIANTS = tuple(name for name, fields in VARIANTS.items() if "derived" not in fields)
TRAINED_CONTROLS = tuple(name for name, fields in CONTROLS.items() if "derived" not in fields)


@dataclass(frozen=True)
class Tuning:
    """What was tried and what was chosen.

    Attributes
    ----------
    dataset : str
    chosen : dict of variant name to learning rate
    table : list of dict
        ``variant``, ``learning_rate``, ``seed``, ``validation_accuracy``, ``validation_loss``.
    """

    dataset: str
    chosen: dict[str, float]
    table: list[dict[str, object]]


def tune(
    base: TrainConfig | None = None,
    *,
    variants: Sequence[str] = TRAINED_VARIANTS,
    rates: Sequence[float] = GRID,
    seeds: Sequence[int] = SEEDS,
    runs: str | Path = "runs",
    workers: int = 2,
    progress: Progress | None = None,
) -> Tuning:
    """Train every variant at every rate and seed, and choose by `RULE`.

    Parameters
    ----------
    base : TrainConfig, optional
        Everything but the variant, the rate and the seed; the default config unless given.
    variants : sequence of str
        Names of `ALL_VARIANTS` that are trained: `TRAINED_VARIANTS`, `TRAINED_CONTROLS`.
    rates, seeds : sequence
        The grid, the same for every variant.
    runs, workers, progress
        As in `train_many`.
    """
    base = base or TrainConfig()
    if not (variants and rates and seeds):
        raise InvalidInput("tune: give at least one variant, one rate and one seed")
    configs = [
        dataclasses.replace(variant_config(name, base), learning_rate=rate, seed=seed)
        for name in variants
        for rate in rates
        for seed in seeds
    ]
    derived = sorted({config.variant for config in configs if config.derived is not None})
    if derived:
        raise InvalidInput(f"tune: {', '.join(derived)} is derived, not trained; tune the variant it comes from")
    table = [_row(run) for run in train_many(configs, runs=runs, workers=workers, progress=progress)]
    return Tuning(
        base.dataset, {name: choose(table, name) for name in dict.fromkeys(row["variant"] for row in table)}, table
    )


def choose(table: Sequence[dict[str, Any]], variant: str) -> float:
    """The rate that `RULE` picks for a variant."""

    def merit(rate: float) -> tuple[float, float]:
        rows = [row for row in table if row["variant"] == variant and row["learning_rate"] == rate]
        accuracy = sum(row["validation_accuracy"] for row in rows) / len(rows)
        return accuracy, -sum(row["validation_loss"] for row in rows) / len(rows)

    return max(sorted({row["learning_rate"] for row in table if row["variant"] == variant}), key=merit)


def write_rates(tunings: Sequence[Tuning], path: str | Path) -> None:
    """Write a file like configs/learning_rates.yaml: the packaged one with the tuned variants' entries replaced."""
    import yaml

    content = read_rates()
    for tuning in tunings:
        chosen, table = (content[part].setdefault(tuning.dataset, kind()) for part, kind in _PARTS.items())
        chosen |= tuning.chosen
        table[:] = [row for row in table if row["variant"] not in tuning.chosen] + tuning.table
    content |= {"rule": RULE}
    text = "# Learning rates by data set and variant, chosen on validation data by spikejoule.models.training.tune.\n"
    text += yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=None)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


_PARTS: dict[str, type] = {"chosen": dict, "table": list}


def _row(run: Run) -> dict[str, Any]:
    log = run.log()
    network = log[log.layer == ""].set_index(["quantity", "epoch"])["value"]
    last = int(log.epoch.max())
    if "kept_epoch" in network:  # with patience the weights are not the last epoch's, but those of the best
        last = int(network["kept_epoch", last])
    return {
        "variant": run.variant,
        "learning_rate": run.config.learning_rate,
        "seed": run.config.seed,
        "validation_accuracy": round(float(network["validation_accuracy", last]), 6),
        "validation_loss": round(float(network["validation_loss", last]), 6),
    }
