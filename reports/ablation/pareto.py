"""Accuracy against energy over the settings of an ablation: which are worth having, and how far energy can fall.

Choices are made on validation data (accuracy, and energy of the same inferences); the figures shown
are those on test data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FINISHED = "finished"
ALL = "all variants"
_MEANS = ("validation_accuracy", "test_accuracy", "synaptic_operations", "firing_rate", "sign_flips", "model_bytes")
_OF_REPLAYS = ("spike_mismatch", "saturated")


def settings(table: pd.DataFrame, machine: str, axes: Sequence[str] = ()) -> pd.DataFrame:
    """Means over seeds of every setting that this machine can run.

    Parameters
    ----------
    table : DataFrame
        The table of an ablation, one row per run.
    machine : str
        Name of an accelerator in it.
    axes : sequence of str
        Swept fields, kept as columns.

    Returns
    -------
    DataFrame
        One row per setting: ``setting, variant, width, point, twin``, the axes, ``seeds`` (how many), the means of
        ``validation_accuracy, test_accuracy`` (0..1), ``synaptic_operations`` (per inference), ``firing_rate`` (0..1),
        ``sign_flips`` (whole training), ``model_bytes``, of replays ``spike_mismatch`` (spikes that differ per recorded
        one) and ``saturated`` (share of potentials), ``energy_pj`` (test) and ``validation_pj``, with the sample
        standard deviations ``test_accuracy_spread`` and ``energy_pj_spread``; and ``front``, ``variant_front``:
        whether no other point, or none of its own variant, is at least as good on validation data in accuracy and
        energy and better in one.
    """
    energy = f"{machine}.energy_pj"
    columns = dict.fromkeys(("setting", "variant", "width", "point", "twin", *axes))
    if energy not in table:
        names = [*columns, "seeds", *_MEANS, "energy_pj", "validation_pj", "front", "variant_front"]
        return pd.DataFrame(columns=names).astype(dict.fromkeys(("point", "twin", "front", "variant_front"), bool))
    rows = table[(table["status"] == FINISHED) & table[energy].notna()]
    groups = rows.groupby("setting", sort=False)
    found = groups[list(columns)].first().reset_index(drop=True)
    found["seeds"] = groups.size().to_numpy()
    means = {name: name for name in (*_MEANS, *_OF_REPLAYS) if name in table}
    means |= {"energy_pj": energy, "validation_pj": f"{machine}.validation_pj"}
    for name, column in means.items():
        found[name] = groups[column].mean().to_numpy()
    for name in ("test_accuracy", "energy_pj"):
        found[f"{name}_spread"] = groups[means[name]].std().to_numpy()
    found["front"] = found["variant_front"] = False
    points = found[found["point"]]
    for name, part in [("front", points), *(("variant_front", group) for _, group in points.groupby("variant"))]:
        found.loc[part.index, name] = non_dominated(
            part["validation_pj"].to_numpy(np.float64), part["validation_accuracy"].to_numpy(np.float64)
        )
    return found


def non_dominated(energy: NDArray[np.float64], accuracy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points no other beats: none costs as little or less at as much or more accuracy, and is better in one.

    Examples
    --------
    >>> non_dominated(np.array([1.0, 2.0, 3.0]), np.array([0.9, 0.8, 0.95])).tolist()
    [True, False, True]
    """
    no_worse = (energy[:, None] <= energy) & (accuracy[:, None] >= accuracy)
    better = (energy[:, None] < energy) | (accuracy[:, None] > accuracy)
    beaten: NDArray[np.bool_] = np.any(no_worse & better, axis=0)
    return ~beaten


def best_twin(found: pd.DataFrame) -> pd.Series | None:
    """The reference of the highest validation accuracy, the cheaper one of equals; None without any."""
    return _best(found[found["twin"]])


def equal_twin(found: pd.DataFrame, tolerance: float) -> pd.Series | None:
    """The cheapest reference whose validation accuracy is no more than ``tolerance`` (0..1) below the best one's."""
    best = best_twin(found)
    return None if best is None else _cheapest(found[found["twin"]], best["validation_accuracy"] - tolerance)


def equal_points(found: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Of every variant the cheapest point no more than ``tolerance`` (0..1) below the best twin, if it has one.

    Accuracy and energy are those on validation data.
    """
    best, points = best_twin(found), found[found["point"]]
    if best is None:
        return points.iloc[:0]
    line = best["validation_accuracy"] - tolerance
    cheapest = [_cheapest(group, line) for _, group in points.groupby("variant", sort=False)]
    return pd.DataFrame([row for row in cheapest if row is not None], columns=found.columns)


def savings(found: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """How far synaptic operations fall within a tolerance of the best accuracy, per variant and over all of them.

    Parameters
    ----------
    found : DataFrame
        From `settings`.
    tolerance : float
        How far the validation accuracy may lie below the best of the same group, 0..1.

    Returns
    -------
    DataFrame
        ``group`` (a variant, or `ALL`); ``settings``, how many lie within; ``most_sops, least_sops`` among them and
        their ratio ``range``; of the setting with the least ``least_setting, least_validation, least_test`` accuracy
        and ``least_rate``; ``best_setting, best_validation, best_test``; and ``least_drop``, by how much its test
        accuracy lies below the best one's.
    """
    points = found[found["point"]]
    groups = [*points.groupby("variant", sort=False), (ALL, points)]
    rows: list[dict[str, object]] = []
    for name, group in groups if points["variant"].nunique() > 1 else groups[:-1]:
        best = _best(group)
        if best is None:
            continue
        # half a sample of slack: means over seeds of shares are not exact in binary
        within = group[group["validation_accuracy"] >= best["validation_accuracy"] - tolerance - 1e-9]
        least, most = (within.loc[within["synaptic_operations"].agg(end)] for end in ("idxmin", "idxmax"))
        row = {"group": name, "settings": len(within), "most_sops": most["synaptic_operations"]}
        row |= {"least_sops": least["synaptic_operations"], "least_setting": least["setting"]}
        row |= {"range": row["most_sops"] / row["least_sops"] if row["least_sops"] else np.inf}
        row |= {"least_validation": least["validation_accuracy"], "least_test": least["test_accuracy"]}
        row |= {"least_rate": least["firing_rate"], "best_setting": best["setting"]}
        row |= {"best_validation": best["validation_accuracy"], "best_test": best["test_accuracy"]}
        rows.append({**row, "least_drop": best["test_accuracy"] - least["test_accuracy"]})
    return pd.DataFrame(rows)


def _best(rows: pd.DataFrame) -> pd.Series | None:
    if rows.empty:
        return None
    return rows.sort_values(["validation_accuracy", "validation_pj"], ascending=[False, True], kind="stable").iloc[0]


def _cheapest(rows: pd.DataFrame, accuracy: float) -> pd.Series | None:
    within = rows[rows["validation_accuracy"] >= accuracy - 1e-9]
    return None if within.empty else within.sort_values("validation_pj", kind="stable").iloc[0]
