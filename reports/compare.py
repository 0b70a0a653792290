"""Variants set against each other on one accelerator, over seeds: the figures behind every report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sim.errors import InvalidInput
from .paired import paired_differences
from .ratio import dominated, ratio_bounds

if TYPE_CHECKING:
    import pandas as pd

    from ..energy.estimate import EnergyEstimate

Estimates = Mapping[str, "tuple[EnergyEstimate, ...]"]
LOG_COLUMNS = ("epoch", "layer", "quantity", "value")
FOCUS = "BSNN + AGMM"


@dataclass(frozen=True)
class Comparison:
    """Estimates of several variants on one accelerator, one per seed; made by `compare`.

    Attributes
    ----------
    estimates : mapping of variant to tuple of EnergyEstimate
        In the order of `seeds`, the same for every variant.
    baseline : str
        The variant that ratios refer to: baseline energy / variant energy.
    focus : str
        The variant that the report's first sentence is about.
    seeds : tuple
    others : tuple of mappings
        The same traces on further accelerators. Their energies are never put into one ratio with `estimates`.
    logs : mapping of variant to tuple of DataFrame
        Training logs in long form (epoch, layer, quantity, value), one per seed; variants may be absent.
    """

    estimates: Estimates
    baseline: str
    focus: str
    seeds: tuple[Any, ...]
    others: tuple[Estimates, ...] = ()
    logs: Mapping[str, tuple[pd.DataFrame, ...]] = field(default_factory=dict)

    def summary(self) -> pd.DataFrame:
        """One row per variant: means over seeds, and their sample standard deviation (``_spread``).

        Returns
        -------
        DataFrame
            ``variant, seeds``; ``accuracy`` (0..1) with ``accuracy_se``, the binomial standard error on so many samples;
            ``firing_rate`` (spikes per neuron and step); ``synaptic_operations`` and energies per inference in nJ, with
            ``energy_low_nj`` and ``_high_nj`` at all prices low and high; ``latency_us``; ``energy_delay_pj_s``;
            ``ratio``, the mean over seeds of baseline / variant, with ``ratio_low`` and ``ratio_high``, the exact bounds
            of the seed-mean energies' ratio over all prices between low and high; ``dominated``, whether no prices at
            all can turn the ratio past one. NaN where unknown; a spread needs two seeds.
        """
        return summarise(self.estimates, self.baseline)

    def paired(
        self,
        quantities: Sequence[str] = ("sign_flips", "synaptic_operations", "accuracy", "energy_pj"),
        pairs: Sequence[tuple[str, str]] | None = None,
    ) -> pd.DataFrame:
        """Paired differences per seed between variants, with 95 % bootstrap intervals over seeds.

        Parameters
        ----------
        quantities : sequence of str
            Keys of `spikejoule.reports.paired.QUANTITIES`. ``sign_flips`` are flips per epoch of the binary layers,
            mean over training, and need logs; where they are absent the row is.
        pairs : sequence of (variant, reference), optional
            By default every two variants with binary weights.

        Returns
        -------
        DataFrame
            One row per quantity, pair and (for flips) layer; ``difference`` = variant - reference, mean over seeds, and
            ``percent`` of the reference, both with ``_low`` and ``_high``; ``distinguishable``: the interval of the
            difference leaves out zero. A bootstrap over three seeds is coarse: it cannot leave their range.
        """
        for variant, reference in pairs or ():
            for name in (variant, reference):
                if name not in self.estimates:
                    raise InvalidInput(f"paired: variant {name!r} is not in the comparison; it has {_names(self.estimates)}")
        return paired_differences(self, quantities, pairs)

    def write(self, path: str | Path, formats: Sequence[str] = ("html", "pdf")) -> list[Path]:
        """Write the report and its tables; see `spikejoule.reports.write.write_report`."""
        from .write import write_report

        return write_report(self, path, formats)


def compare(
    estimates: Mapping[str, Sequence[EnergyEstimate]],
    baseline: str,
    others: Sequence[Mapping[str, Sequence[EnergyEstimate]]] = (),
    *,
    logs: Mapping[str, Sequence[pd.DataFrame]] | None = None,
    focus: str | None = None,
) -> Comparison:
    """Compare variants of a network on one accelerator.

    Parameters
    ----------
    estimates : mapping of variant to sequence of EnergyEstimate
        One estimate per seed (``provenance["seed"]``), all on one accelerator and on the same data.
    baseline : str
        The variant that ratios refer to.
    others : sequence of mappings
        The same traces on further accelerators; variants that a machine cannot run may be absent.
    logs : mapping of variant to sequence of DataFrame, optional
        Training logs (``epoch, layer, quantity, value``) in the order of that variant's estimates.
    focus : str, optional
        The variant the report is about; by default ``"BSNN + AGMM"``, or else the last that is not the baseline.

    Raises
    ------
    InvalidInput
        Unknown baseline or focus, accelerators mixed in one mapping, seeds that do not match, estimates of different
        data, or logs without the columns above.
    """
    seeds, ordered = _by_seed(estimates, "estimates")
    if baseline not in ordered:
        raise InvalidInput(f"compare: baseline {baseline!r} is not among the variants: {_names(ordered)}")
    if focus is None:
        rest = [name for name in ordered if name != baseline]
        focus = FOCUS if FOCUS in rest else (rest or [baseline])[-1]
    if focus not in ordered:
        raise InvalidInput(f"compare: focus {focus!r} is not among the variants: {_names(ordered)}")
    _check_same_data(ordered)
    further = tuple(_further(other, ordered, baseline, seeds) for other in others)
    machines = [_machine(ordered), *map(_machine, further)]
    if len(set(machines)) < len(machines):
        raise InvalidInput(f"compare: an accelerator is given twice among {', '.join(machines)}; each once is enough")
    return Comparison(ordered, baseline, focus, seeds, further, _sorted_logs(logs or {}, estimates, seeds))


def summarise(estimates: Estimates, baseline: str) -> pd.DataFrame:
    """`Comparison.summary` of the estimates on any one accelerator."""
    import pandas as pd

    return pd.DataFrame([_row(name, group, estimates[baseline]) for name, group in estimates.items()])


def _row(name: str, group: Sequence[EnergyEstimate], base: Sequence[EnergyEstimate]) -> dict[str, Any]:
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
    put("latency_us", [None if e.latency_s is None else e.latency_s * 1e6 for e in group])
    put("energy_delay_pj_s", [None if e.energy_delay_js is None else e.energy_delay_js * 1e12 for e in group])
    put("ratio", [_quotient(b.energy_pj, e.energy_pj, name) for b, e in zip(base, group, strict=True)])
    ours, theirs, low, high = shared_counts(base, group)
    row["ratio_low"], row["ratio_high"] = ratio_bounds(ours, theirs, low, high)
    row["dominated"] = dominated(ours, theirs) and group is not base
    return row


def firing_rate(estimate: EnergyEstimate) -> float | None:
    """Spikes per neuron and step of the whole network; None for a network without spiking neurons."""
    spiking = any(layer.spikes is not None for layer in estimate.operations.layers.values())
    return estimate.operations.firing_rate() if spiking else None


def _quotient(dividend: float, divisor: float, name: str) -> float:
    if divisor <= 0:
        raise InvalidInput(f"compare: variant {name!r} costs {divisor} pJ, so it has no ratio; price what it does")
    return dividend / divisor


def shared_counts(base: Sequence[EnergyEstimate], group: Sequence[EnergyEstimate]) -> tuple[np.ndarray, ...]:
    """Mean action counts of both sides by price, and each price's low and high: what `ratio_bounds` takes."""
    accelerator = base[0].accelerator
    totals = []
    for side in (base, group):
        total: dict[str, float] = {}
        for estimate in side:
            for component, action, count in estimate.table[["component", "action", "count"]].itertuples(index=False):
                key = accelerator.price_key(component, action)
                total[key] = total.get(key, 0.0) + count / len(side)
        totals.append(total)
    keys = sorted({*totals[0], *totals[1]})
    prices = [accelerator.prices[key] for key in keys]
    columns = [[total.get(key, 0.0) for key in keys] for total in totals]
    return tuple(np.array(x, np.float64) for x in (*columns, [p.low for p in prices], [p.high for p in prices]))


def _by_seed(estimates: Mapping[str, Sequence[EnergyEstimate]], where: str) -> tuple[tuple[Any, ...], Estimates]:
    """Every variant's estimates in the order of their seeds, which must be the same for all."""
    if not estimates:
        raise InvalidInput(f"compare: {where} is empty; give at least one variant with one estimate")
    ordered, expected = {}, None
    for name, group in estimates.items():
        if not isinstance(name, str) or not name.strip():
            raise InvalidInput(f"compare: variant name {name!r} must be text")
        if not group:
            raise InvalidInput(f"compare: variant {name!r} has no estimate; give one per seed")
        seeds = [estimate.provenance.get("seed") for estimate in group]
        if len(set(seeds)) < len(seeds):
            raise InvalidInput(
                f"compare: variant {name!r} has the seeds {seeds}; each estimate needs a seed of its own in "
                f"provenance['seed'], since seeds are compared in pairs"
            )
        order = sorted(range(len(seeds)), key=lambda index: str(seeds[index]).rjust(20))
        found = tuple(seeds[index] for index in order)
        if expected is not None and found != expected:
            raise InvalidInput(
                f"compare: variant {name!r} has the seeds {list(found)}, the variants before it {list(expected)}; "
                f"every variant needs the same seeds, since they are compared in pairs"
            )
        expected = found
        ordered[name] = tuple(group[index] for index in order)
    machines = sorted({estimate.accelerator.name for group in ordered.values() for estimate in group})
    if len(machines) > 1:
        raise InvalidInput(
            f"compare: {where} mixes the accelerators {', '.join(machines)}; energies of different machines never enter "
            f"one ratio: give one mapping per accelerator (others=)"
        )
    return expected or (), ordered


def _check_same_data(estimates: Estimates) -> None:
    first_name, first = next((name, group[0]) for name, group in estimates.items())
    for name, group in estimates.items():
        for estimate in group:
            for what, ours, theirs in (
                ("steps", estimate.operations.steps, first.operations.steps),
                ("samples", estimate.operations.samples, first.operations.samples),
                ("dataset", estimate.provenance.get("dataset"), first.provenance.get("dataset")),
                ("split", estimate.provenance.get("split"), first.provenance.get("split")),
            ):
                if ours != theirs:
                    raise InvalidInput(
                        f"compare: variant {name!r} has {what} {ours!r}, but {first_name!r} has {theirs!r}; record all "
                        f"variants on the same data and steps"
                    )


def _further(
    other: Mapping[str, Sequence[EnergyEstimate]], main: Estimates, baseline: str, seeds: tuple[Any, ...]
) -> Estimates:
    found, ordered = _by_seed(other, "others")
    if baseline not in ordered or found != seeds or not set(ordered) <= set(main):
        raise InvalidInput(
            f"compare: on {_machine(ordered)} there are the variants {_names(ordered)} with seeds {list(found)}; there must "
            f"be the baseline {baseline!r}, seeds {list(seeds)}, and no variant beside {_names(main)}"
        )
    for name, group in ordered.items():
        for ours, theirs in zip(group, main[name], strict=True):
            if ours.operations.trace_hash != theirs.operations.trace_hash:
                raise InvalidInput(
                    f"compare: {name!r} on {_machine(ordered)} comes from another trace than on {_machine(main)}; "
                    f"estimate the same traces on every accelerator"
                )
    return {name: ordered[name] for name in main if name in ordered}


def _sorted_logs(
    logs: Mapping[str, Sequence[pd.DataFrame]], estimates: Mapping[str, Sequence[EnergyEstimate]], seeds: tuple[Any, ...]
) -> dict[str, tuple[pd.DataFrame, ...]]:
    result = {}
    for name, frames in logs.items():
        if name not in estimates or len(frames) != len(estimates[name]):
            raise InvalidInput(f"compare: logs for {name!r}: {len(frames)}; give one per estimate of a variant, in its order")
        for frame in frames:
            missing = [column for column in LOG_COLUMNS if column not in frame.columns]
            if missing:
                raise InvalidInput(f"compare: a log of {name!r} lacks {', '.join(missing)}; it needs {', '.join(LOG_COLUMNS)}")
        given = [estimate.provenance.get("seed") for estimate in estimates[name]]
        result[name] = tuple(frames[given.index(seed)] for seed in seeds)
    return result


def _machine(estimates: Estimates) -> str:
    return next(iter(estimates.values()))[0].accelerator.name


def _names(estimates: Mapping[str, object]) -> str:
    return ", ".join(map(repr, estimates))
