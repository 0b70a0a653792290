"""The summary of a comparison: one row per variant, means and spreads over seeds, ratios with their bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...energy.explaining.ratio import dominated, shared_counts
from ...sim.errors import InvalidInput
from .cautions import ratio_cautions
from .matching import Estimates

if TYPE_CHECKING:
    import pandas as pd

    from ...energy.pricing.estimate import EnergyEstimate


def summarise(estimates: Estimates, baseline: str) -> pd.DataFrame:
    """`Comparison.summary` of the estimates on any one accelerator."""
    import pandas as pd

    return pd.DataFrame([_row(name, group, estimates[baseline]) for name, group in estimates.items()])


def _row(name: str, group: Sequence[EnergyEstimate], base: Sequence[EnergyEstimate]) -> dict[str, object]:
    row: dict[str, Any] = {"variant": name, "seeds": len(group)}

    def put(column: str, values: Sequence[float | None]) -> None:
        known = np.array([np.nan if value is None else value for value in values], np.float64)
        row[column] = float(known.mean())
        row[f"{column}_spread"] = float(known.std(ddof=1)) if len(known) > 1 else math.nan

    put("accuracy", [e.accuracy for e in group])
    accuracy = row["accuracy"]
    row["accuracy_se"] = math.sqrt(accuracy * (1 - accuracy) / group[0].operations.samples)
    put("firing_rate", [firing_rate(e) for e in group])
    put("synaptic_operations", [e.operations.synaptic_operations for e in group])
    row["model_bytes"] = group[0].operations.workload.model_bytes
    put("compute_nj", [e.compute_pj / 1e3 for e in group])
    put("energy_nj", [e.energy_pj / 1e3 for e in group])
    row["energy_low_nj"], row["energy_high_nj"] = np.mean([e.bounds_pj for e in group], axis=0).tolist()
    row["energy_low_nj"] /= 1e3
    row["energy_high_nj"] /= 1e3
    put("static_nj", [None if e.static_pj is None else e.static_pj / 1e3 for e in group])
    put("total_nj", [None if e.total_pj is None else e.total_pj / 1e3 for e in group])
    put("latency_us", [None if e.latency_s is None else e.latency_s * 1e6 for e in group])
    put("static_time_us", [None if e.static_time_s is None else e.static_time_s * 1e6 for e in group])
    put("energy_delay_pj_s", [None if e.energy_delay_js is None else e.energy_delay_js * 1e12 for e in group])
    pairs = list(zip(base, group, strict=True))
    put("ratio", [_quotient(b.compared_pj, e.compared_pj, name) for b, e in pairs])
    shared = shared_counts(base, group)
    row["ratio_low"], row["ratio_high"] = shared.bounds
    row["dominated"] = dominated(shared.base, shared.variant) and group is not base
    silent = any(e.energy_pj == 0 and e.total_pj is not None for e in (*base, *group))  # only its total has a ratio
    put("events_ratio", [math.nan if silent else _quotient(b.energy_pj, e.energy_pj, name) for b, e in pairs])
    within = (math.nan, math.nan) if silent else shared_counts(base, group, static=False).bounds
    row["events_ratio_low"], row["events_ratio_high"] = within
    row["warnings"] = "; ".join(ratio_cautions(group, base))
    return row


def firing_rate(estimate: EnergyEstimate) -> float | None:
    """Spikes per neuron and step of the whole network; None for a network without spiking neurons."""
    spiking = any(layer.spikes is not None for layer in estimate.operations.layers.values())
    return estimate.operations.firing_rate() if spiking else None


def _quotient(dividend: float, divisor: float, name: str) -> float:
    if divisor <= 0:
        raise InvalidInput(f"compare: variant {name!r} costs {divisor} pJ, so it has no ratio; price what it does")
    return dividend / divisor
