"""Energy and time of a trace on an accelerator: action counts times prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..sim.architecture import Event
from ..sim.cores import map_to_cores
from ..sim.execution import ActionCounts, execute, execute_trace
from ..sim.operations import OperationCounts, count
from ..sim.trace import SpikeTrace
from .accelerator import Accelerator
from .not_run import not_run
from .pricing import price_actions
from .validation import validation


@dataclass(frozen=True)
class EnergyEstimate:
    """What one inference costs on one machine; made by `estimate`.

    Attributes
    ----------
    accelerator : Accelerator
    operations : OperationCounts
        The counts it was made from.
    actions : ActionCounts
    table : DataFrame
        One row per layer, component and action: ``layer, component, action, group, count, price_pj, energy_pj,
        low_pj, high_pj``; counts and energies are means per inference.
    sample_pj : float64 array (samples,)
        Energy of every inference, at the prices' central values.
    static_bounds_pj : (float, float, float), optional
        Static power x mean time at its low, central and high value; None where power or time is not known.
    """

    accelerator: Accelerator
    operations: OperationCounts
    actions: ActionCounts
    table: pd.DataFrame
    sample_pj: NDArray[np.float64]
    static_bounds_pj: tuple[float, float, float] | None = None

    @property
    def energy_pj(self) -> float:
        """Mean energy per inference of everything that is counted and priced; no static power (see `total_pj`)."""
        return float(self.table["energy_pj"].sum())

    @property
    def events_pj(self) -> float:
        """The event part of a chip's energy: the same as `energy_pj`."""
        return self.energy_pj

    @property
    def static_pj(self) -> float | None:
        """Static power x time per inference; None where power or time is not known."""
        return None if self.static_bounds_pj is None else self.static_bounds_pj[1]

    @property
    def total_pj(self) -> float | None:
        """Events and static part together; None where the static part is not known: an event sum is no total."""
        return None if self.static_pj is None else self.events_pj + self.static_pj

    @property
    def compared_pj(self) -> float:
        """What ratios are made of: the total where static power and time are known, or else all that is priced."""
        return self.energy_pj if self.total_pj is None else self.total_pj

    @property
    def static_time_s(self) -> float | None:
        """Time per inference that static power is multiplied with, as measured or fixed; not the modelled latency."""
        static = self.accelerator.static
        if static is None or self.static_pj is None:
            return None
        steps = static.step_s(getattr(self.accelerator.architecture, "step_s", None))
        return None if steps is None else steps[1] * self.actions.steps

    @property
    def bounds_pj(self) -> tuple[float, float]:
        """Mean energy per inference with every price at its low, and at its high value."""
        return float(self.table["low_pj"].sum()), float(self.table["high_pj"].sum())

    @property
    def compute_pj(self) -> float:
        """The part of the mean energy that logic takes: no memory access."""
        return float(self.table.loc[self.table["group"] == "logic", "energy_pj"].sum())

    @property
    def latency_s(self) -> float | None:
        """Mean time per inference; None on machines without a clock."""
        times = self.actions.latency_s
        return None if times is None else float(times.mean())

    @property
    def power_w(self) -> float | None:
        """Mean power in W; None on machines without a time.

        Where the static part is known: `total_pj` over `static_time_s`. Elsewhere `energy_pj` over `latency_s`, the
        power of what is counted, without static power.
        """
        energy_pj, seconds = self.energy_pj, self.latency_s
        if self.total_pj is not None:
            energy_pj, seconds = self.total_pj, self.static_time_s
        return energy_pj * 1e-12 / seconds if seconds else None

    @property
    def utilisation(self) -> float | None:
        """Busy over offered lane-cycles of the network, 0..1 (see `ActionCounts`); None on machines without lanes."""
        return self.actions.mean_utilisation()

    @property
    def energy_delay_js(self) -> float | None:
        """Energy-delay product per inference in joule seconds; None on machines without a time.

        Where the static part is known: `total_pj` x `static_time_s`, the same time for all samples. Elsewhere the mean
        over samples of energy x modelled time.
        """
        if self.total_pj is not None and self.static_time_s is not None:
            return self.total_pj * 1e-12 * self.static_time_s
        times = self.actions.latency_s
        return None if times is None else float((self.sample_pj * 1e-12 * times).mean())

    @property
    def not_run(self) -> tuple[str, ...]:
        """Why the network has not run in the numbers it is priced in, such as float potentials on an integer chip."""
        return not_run(self.operations, self.accelerator.architecture)

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self.operations.provenance

    @property
    def accuracy(self) -> float | None:
        return self.operations.accuracy

    def by(self, *columns: str) -> pd.Series:
        """Mean energy per inference in pJ, summed over everything but the given columns of the table."""
        return self.table.groupby(list(columns), sort=False)["energy_pj"].sum()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: totals, bands against silicon, table, coverage, origin. Energies in pJ, times in s."""
        low, high = self.bounds_pj
        quantiles = np.quantile(self.sample_pj, [0.5, 0.95])
        return {
            "schema": "spikejoule.estimate/1",
            "accelerator": self.accelerator.name,
            "technology": self.accelerator.technology,
            "workload": self.operations.workload.name,
            "trace_hash": self.operations.trace_hash,
            "priced_not_run": list(self.not_run),
            "samples": self.operations.samples,
            "steps": self.operations.steps,
            "accuracy": self.accuracy,
            "firing_rate": self.operations.firing_rate(),
            "synaptic_operations": self.operations.synaptic_operations,
            "model_bytes": self.operations.workload.model_bytes,
            "energy_pj": self.energy_pj,
            "energy_low_pj": low,
            "energy_high_pj": high,
            "energy_median_pj": float(quantiles[0]),
            "energy_p95_pj": float(quantiles[1]),
            "compute_pj": self.compute_pj,
            "events_pj": self.events_pj,
            "static_pj": self.static_pj,
            "total_pj": self.total_pj,
            "static_time_s": self.static_time_s,
            "static": None if self.accelerator.static is None else asdict(self.accelerator.static),
            "validation": asdict(validation(self.accelerator)),
            "latency_s": self.latency_s,
            "power_w": self.power_w,
            "energy_delay_js": self.energy_delay_js,
            "utilisation": self.utilisation,
            "layers": self._layer_figures(),
            "table": self.table.to_dict(orient="records"),
            "omitted": dict(self.actions.omitted),
            "provenance": dict(self.provenance),
        }

    def _layer_figures(self) -> dict[str, dict[str, Any]]:
        """Mean time per step, and utilisation per step, of every layer that has them: lists over steps."""
        actions = self.actions
        figures: dict[str, dict[str, Any]] = {
            name: {"seconds": times.mean(axis=1).tolist()} for name, times in actions.seconds.items()
        }
        for name, shares in actions.utilisation.items():
            times = actions.seconds[name].sum(axis=1)
            busy = (shares * actions.seconds[name]).sum(axis=1)
            figures[name]["utilisation"] = np.divide(busy, times, out=np.zeros(len(times)), where=times > 0).tolist()
        return figures


def estimate(trace: SpikeTrace | OperationCounts, accelerator: Accelerator) -> EnergyEstimate:
    """Estimate what a recorded trace costs per inference on an accelerator.

    Parameters
    ----------
    trace : SpikeTrace or OperationCounts
        A trace is counted first; pass its counts to price several machines without counting again. Machines of kind
        ``event`` need the trace.
    accelerator : Accelerator

    Returns
    -------
    EnergyEstimate

    Raises
    ------
    InvalidInput
        When the machine cannot run the network, an action that occurs has no price, or the machine's file is marked
        incomplete.

    Notes
    -----
    Energy = sum of action count x price. Training energy is out of scope. What else a machine's model leaves out is
    listed in ``actions.omitted`` and printed in every report.
    """
    accelerator.require_complete()
    if isinstance(trace, OperationCounts):
        return estimate_actions(trace, execute(trace, accelerator.architecture), accelerator)
    operations = count(trace)
    actions = execute_trace(trace, operations, accelerator.architecture)
    return estimate_actions(operations, actions, accelerator)


def estimate_actions(operations: OperationCounts, actions: ActionCounts, accelerator: Accelerator) -> EnergyEstimate:
    """`estimate` of action counts that a machine made before.

    Raises
    ------
    InvalidInput
        For an action without a price, and for incomplete accelerators.
    """
    accelerator.require_complete()
    table = price_actions(actions, accelerator)
    sample_pj = np.zeros(actions.samples)
    for counts, price_pj in zip(actions.counts.values(), table["price_pj"], strict=True):
        sample_pj += counts.sum(axis=0, dtype=np.int64) * price_pj
    static = _static_pj(operations, actions, accelerator)
    return EnergyEstimate(accelerator, operations, actions, table, sample_pj, static)


def _static_pj(
    operations: OperationCounts, actions: ActionCounts, accelerator: Accelerator
) -> tuple[float, float, float] | None:
    """Static power x time: time per step as measured, or the machine's fixed step; modelled event times are no time."""
    static, machine = accelerator.static, accelerator.architecture
    if static is None or not isinstance(machine, Event):
        return None
    prices = static.step_price_pj(machine.step_s)
    if prices is None:
        return None
    cores = map_to_cores(operations.workload, machine)
    units = cores.neuron_cores() if static.per == "core" else cores.chips
    low, value, high = (units * actions.steps * price for price in prices)
    return low, value, high
