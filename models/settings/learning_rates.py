"""The tuned learning rates that come with the package (`models.training.tune` chooses and writes them)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from ...sim.errors import InvalidInput

_RATES_FILE = "configs/learning_rates.yaml"


@cache  # the file is the package's own, and a sweep asks for hundreds of configs
def tuned_rate(dataset: str, variant: str) -> float:
    """The learning rate that configs/learning_rates.yaml holds for a variant on a data set.

    Raises
    ------
    InvalidInput
        If there is none: give `TrainConfig.learning_rate`, or tune.
    """
    table = read_rates()
    source = table["borrowed"].get(dataset, dataset)
    try:
        return float(table["chosen"][source][variant])
    except KeyError:
        raise InvalidInput(
            f"no tuned learning rate for {variant!r} on {dataset!r} in {_RATES_FILE}; set learning_rate, or choose one "
            f"on validation data: write_rates([tune(TrainConfig(dataset={source!r}), variants=[{variant!r}])], "
            f"{_RATES_FILE!r}), both from spikejoule.models.training.tune"
        ) from None


def read_rates() -> dict[str, Any]:
    """The content of configs/learning_rates.yaml: grid, rule, chosen rates and the table they were chosen from."""
    import yaml

    table: dict[str, Any] = yaml.safe_load(files("spikejoule").joinpath(_RATES_FILE).read_text(encoding="utf-8"))
    return table
