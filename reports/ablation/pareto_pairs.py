"""Settings of an ablation against each other, paired by seed: differences on test data with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...sim.readable_numbers import interval, number
from ..comparison.full_tables import records
from ..comparison.significance import bootstrap_interval, distinguishable
from .pareto import FINISHED, equal_twin

QUANTITIES = ("accuracy", "energy")
PAIR_COLUMNS = (
    "pairs",
    *(f"{name}_{part}" for name in QUANTITIES for part in ("difference", "low", "high", "distinguishable")),
)


def paired_settings(table: pd.DataFrame, machine: str, setting: str, reference: str) -> dict[str, object]:
    """How far one setting lies from another in test accuracy and energy, over the seeds that finished in both.

    Differences are of the same seed, so that what the seeds share (initial weights, sample order, test samples) drops
    out (docs/definitions.md, 22). Settings are chosen on validation data and compared on test data, so the choice
    makes no difference larger. Not in the interval: that all seeds share their test samples.

    Parameters
    ----------
    table : DataFrame
        Of an ablation, one row per run.
    machine : str
        Accelerator whose energies are compared.
    setting, reference : str

    Returns
    -------
    dict
        `PAIR_COLUMNS`: ``pairs``, how many seeds; ``accuracy_difference`` (setting less reference, in percentage
        points) and ``energy_difference`` (percent of the reference's energy of that seed), means with 95 % bootstrap
        intervals ``_low`` and ``_high`` (NaN below two seeds), and ``_distinguishable``: see
        `distinguishable`; None below two seeds.
    """
    energy = f"{machine}.energy_pj"
    rows = table[table["status"] == FINISHED].dropna(subset=[energy])
    sides = [rows[rows["setting"] == name].set_index("seed") for name in (setting, reference)]
    seeds = sorted(set(sides[0].index) & set(sides[1].index))
    ours, theirs = (side.loc[seeds, ["test_accuracy", energy]].to_numpy(np.float64) for side in sides)
    with np.errstate(divide="ignore", invalid="ignore"):
        differences = {
            "accuracy": 100 * (ours[:, 0] - theirs[:, 0]),
            "energy": 100 * (ours[:, 1] - theirs[:, 1]) / theirs[:, 1],
        }
    found: dict[str, object] = {"pairs": len(seeds)}
    for name, values in differences.items():
        known = len(seeds) > 1 and bool(np.isfinite(values).all())
        low, high = bootstrap_interval(values) if known else (np.nan, np.nan)
        found |= {f"{name}_difference": values.mean() if len(seeds) else np.nan}
        found |= {f"{name}_low": low, f"{name}_high": high}
        found[f"{name}_distinguishable"] = distinguishable(values) if known else None
    return found


def sparsest_pairs(table: pd.DataFrame, machine: str, saved: pd.DataFrame) -> pd.DataFrame:
    """`savings` with `PAIR_COLUMNS`: the sparsest setting within against the best one."""
    pairs = [paired_settings(table, machine, row["least_setting"], row["best_setting"]) for row in records(saved)]
    return pd.concat([saved, _frame(pairs, saved.index)], axis=1)


def twin_pairs(table: pd.DataFrame, machine: str, found: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """`settings` with ``twin_setting``, the twin to beat, and `PAIR_COLUMNS` against it.

    All of it is missing for references and where there is no twin.
    """
    twin = equal_twin(found, tolerance)
    name = None if twin is None else str(twin["setting"])
    pairs: list[dict[str, object]] = []
    for row in records(found):
        against = name is not None and bool(row["point"])
        pairs.append(paired_settings(table, machine, row["setting"], str(name)) if against else {})
    told = found["point"].map(lambda point: name if point else None)
    return pd.concat([found.assign(twin_setting=told), _frame(pairs, found.index)], axis=1)


def pair_words(pair: Mapping[str, Any]) -> str:
    """``paired over 3 seeds: accuracy -0.2 points (-0.5 to +0.1), not distinguishable; energy ...``."""
    if pair["pairs"] < 2:
        return f"{'no' if pair['pairs'] == 0 else 'one'} seed in common, so no interval exists"
    parts = [
        f"{name} {difference_words(pair, name)} {unit} ({interval_words(pair, name)}), "
        f"{'' if pair[f'{name}_distinguishable'] else 'not '}distinguishable"
        for name, unit in (("accuracy", "points"), ("energy", "%"))
    ]
    return f"paired over {pair['pairs']} seeds: {'; '.join(parts)}"


def difference_words(pair: Mapping[str, Any], name: str) -> str:
    """The mean difference, with its sign."""
    return number(pair[f"{name}_difference"], decimals=_decimals(name), signed=True)


def interval_words(pair: Mapping[str, Any], name: str) -> str:
    """The interval of the difference; a dash for a single seed."""
    return interval(pair[f"{name}_low"], pair[f"{name}_high"], decimals=_decimals(name))


def _decimals(name: str) -> int:
    return 2 if name == "accuracy" else 1


def _frame(pairs: list[dict[str, object]], index: pd.Index) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=list(PAIR_COLUMNS), index=index)
    kinds = {name: "boolean" if name.endswith("distinguishable") else "float64" for name in PAIR_COLUMNS}
    return frame.astype({**kinds, "pairs": "Int64"})
