"""Energy and time of a trace on an accelerator: action counts times prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...sim.counting.operations import OperationCounts, count
from ...sim.display import html_table, lines, one_line
from ...sim.hardware.architecture import Event, Grid
from ...sim.hardware.chip.core_mapping import map_to_cores
from ...sim.hardware.execution import ActionCounts, execute, execute_trace
from ...sim.hardware.grid.kernel_fetches import fetches_kernels, with_kernel_words
from ...sim.readable_numbers import ENERGY, TIME, number, percent, with_unit
from ...sim.trace.spike_trace import SpikeTrace
from ..machines.accelerator import Accelerator
from ..machines.static_power import static_rows
from ..silicon.validation_bands import validation
from .action_costs import left_out, price_actions
from .not_run import NOT_RUN, not_run

BOUNDS = ("low", "value", "high")


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
    static_units : float64 array (samples,), optional
        Time per finished inference that all of the accelerator's `static_prices` are multiplied with: seconds of a
        grid, chips or cores in use x machine steps of a chip; None where power or time is not known.
    """

    accelerator: Accelerator
    operations: OperationCounts
    actions: ActionCounts
    table: pd.DataFrame
    sample_pj: NDArray[np.float64]
    static_units: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        name = self.provenance.get("variant", self.operations.workload.name)
        low, high = (with_unit(bound, ENERGY) for bound in self.compared_bounds_pj)
        static = f"{with_unit(self.static_pj, ENERGY)} static power \N{MULTIPLICATION SIGN} time"
        return lines(
            f"EnergyEstimate of {name} on {self.accelerator.name}: "
            f"{self.operations.steps} steps, {self.actions.samples:,} samples",
            f"energy    {with_unit(self.compared_pj, ENERGY)} per inference, {low} to {high} over the price ranges",
            f"of it     {with_unit(self.events_pj, ENERGY)} events, {static}" if self.total_pj is not None else "",
            f"latency   {with_unit(self.latency_s, TIME)}, as modelled",
            f"accuracy  {percent(self.accuracy)}",
            f"{NOT_RUN}: {'; '.join(self.not_run)}" if self.not_run else "",
        )

    def _repr_html_(self) -> str:
        figures = ["count", "low_pj", "energy_pj", "high_pj"]
        parts = self.table.groupby(["component", "action"], sort=False)[figures].sum()
        rows = [
            {
                "component": component,
                "action": action,
                "per inference": number(row["count"]),
                "energy": with_unit(row["energy_pj"], ENERGY),
                "over price ranges": f"{with_unit(row['low_pj'], ENERGY)} to {with_unit(row['high_pj'], ENERGY)}",
            }
            for (component, action), row in zip(parts.index, parts.to_dict("records"), strict=True)
        ]
        return html_table(one_line(self), rows)

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
        """Static power x time per finished inference; None where power or time is not known."""
        return None if self.static_bounds_pj is None else self.static_bounds_pj[1]

    @property
    def static_bounds_pj(self) -> tuple[float, float, float] | None:
        """Static power x mean time at all its low, central and high figures; None where power or time is not known."""
        if self.static_units is None:
            return None
        amount, prices = float(self.static_units.mean()), self.accelerator.static_prices
        low, value, high = (sum(amount * getattr(price, bound) for price in prices) for bound in BOUNDS)
        return low, value, high

    @property
    def static_sample_pj(self) -> NDArray[np.float64] | None:
        """The static part of every inference, float64 (samples,): on a grid each has a time of its own."""
        if self.static_units is None:
            return None
        return self.static_units * sum(price.value for price in self.accelerator.static_prices)

    def layer_static_pj(self, layer: str) -> float:
        """Static power of a grid x a layer's time; layers run one after the other, so they sum to `static_pj`."""
        if self.static_units is None or not isinstance(self.accelerator.architecture, Grid):
            return 0.0
        times = self.actions.seconds.get(layer)
        seconds = 0.0 if times is None else float(times.sum(axis=0).mean()) / self.actions.hardware_batch
        return sum(seconds * price.value for price in self.accelerator.static_prices)

    @property
    def static_table(self) -> pd.DataFrame:
        """What the static part is made of, see `static_rows`; empty where it is not known."""
        if self.static_units is None:
            return static_rows((), 0.0)
        return static_rows(self.accelerator.static_prices, float(self.static_units.mean()))

    @property
    def total_pj(self) -> float | None:
        """Events and static part together; None where the static part is not known: an event sum is no total."""
        return None if self.static_pj is None else self.events_pj + self.static_pj

    @property
    def compared_pj(self) -> float:
        """What ratios are made of: the total where static power and time are known, or else all that is priced."""
        return self.energy_pj if self.total_pj is None else self.total_pj

    @property
    def compared_bounds_pj(self) -> tuple[float, float]:
        """`compared_pj` with every price, those of static power included, at its low, and at its high value."""
        low, high = self.bounds_pj
        if self.static_bounds_pj is None:
            return low, high
        return low + self.static_bounds_pj[0], high + self.static_bounds_pj[2]

    @property
    def static_time_s(self) -> float | None:
        """Time per finished inference that static power is multiplied with; None where the static part is not known.

        Of a grid its modelled `seconds_per_inference`. Of a chip the time of its steps as measured or fixed, never
        modelled: all machine steps of an inference, or those between two of them where they are ``pipelined``.
        """
        if self.static_units is None:
            return None
        seconds = self._chip_time_s(_steps_each(self.operations, self.actions, self.accelerator))
        return self.seconds_per_inference if seconds is None else seconds

    def _chip_time_s(self, steps: int) -> float | None:
        """So many steps as measured or fixed; None on other machines, and where no time of a step is known."""
        machine, static = self.accelerator.architecture, self.accelerator.static
        times = static.step_s(machine.step_s) if isinstance(machine, Event) and static is not None else None
        return None if times is None else times[1] * steps

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
        """Mean time until a result is there, that of a whole hardware batch; None on machines without a clock."""
        times = self.actions.latency_s
        return None if times is None else float(times.mean())

    @property
    def seconds_per_inference(self) -> float | None:
        """Mean time per finished inference: `latency_s` over the hardware batch; None on machines without a clock."""
        times = self.actions.seconds_per_inference
        return None if times is None else float(times.mean())

    @property
    def power_w(self) -> float | None:
        """Mean power in W; None on machines without a time.

        Where the static part is known: `total_pj` over `static_time_s`, with inferences following each other. Elsewhere
        `energy_pj` over `seconds_per_inference`, the power of what is counted, without static power.
        """
        energy_pj, seconds = self.energy_pj, self.seconds_per_inference
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

        The mean over samples of energy x modelled time; the energy is the total where the static part is known. Of a
        chip with a static part, the time is that of all machine steps of one inference as measured or fixed, the same
        for all samples, also where inferences are pipelined.
        """
        total_pj, times = self.sample_pj, self.actions.latency_s
        if self.static_sample_pj is not None:
            total_pj = total_pj + self.static_sample_pj
            fixed = self._chip_time_s(self.actions.steps)
            times = times if fixed is None else np.full(self.actions.samples, fixed)
        return None if times is None else float((total_pj * 1e-12 * times).mean())

    @property
    def omitted(self) -> Mapping[str, str]:
        """What is left out on purpose, with the reason; not what the accelerator's own static figures bring in."""
        return left_out(self.actions.omitted, self.accelerator)

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
            "leakage_w": {name: asdict(power) for name, power in self.accelerator.leakage.items()},
            "static_parts": self.static_table.to_dict(orient="records"),
            "validation": asdict(validation(self.accelerator)),
            "latency_s": self.latency_s,
            "seconds_per_inference": self.seconds_per_inference,
            "power_w": self.power_w,
            "energy_delay_js": self.energy_delay_js,
            "utilisation": self.utilisation,
            "layers": self._layer_figures(),
            "table": self.table.to_dict(orient="records"),
            "omitted": dict(self.omitted),
            "provenance": dict(self.provenance),
        }

    def _layer_figures(self) -> dict[str, dict[str, object]]:
        """Mean time per step, and utilisation per step, of every layer that has them: lists over steps."""
        actions = self.actions
        figures: dict[str, dict[str, object]] = {
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
        ``event``, and scatter with weights in ``kernel_major``, need the trace.
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
    Energy = sum of action count x price; beside it static power x time per finished inference, where the machine's file
    has such figures. Training energy is out of scope. What else a machine's model leaves out is listed in ``omitted``
    and printed in every report.
    """
    accelerator.require_complete()
    if isinstance(trace, OperationCounts):
        return estimate_actions(trace, execute(trace, accelerator.architecture), accelerator)
    operations = count(trace)
    if fetches_kernels(accelerator.architecture):
        operations = with_kernel_words(trace, operations, accelerator.architecture)  # kept: reports price it again
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
    static = _static_units(operations, actions, accelerator)
    return EnergyEstimate(accelerator, operations, actions, table, sample_pj, static)


def _static_units(
    operations: OperationCounts, actions: ActionCounts, accelerator: Accelerator
) -> NDArray[np.float64] | None:
    """Seconds of each inference on a grid; units in use x steps on chips, whose modelled event times are no time."""
    machine, static = accelerator.architecture, accelerator.static
    if not accelerator.static_prices:
        return None
    if isinstance(machine, Grid):
        return actions.seconds_per_inference
    assert isinstance(machine, Event)
    assert static is not None
    cores = map_to_cores(operations.workload, machine)
    units = cores.neuron_cores() if static.per == "core" else cores.chips
    steps = _steps_each(operations, actions, accelerator)
    return np.full(actions.samples, units * steps, np.float64)


def _steps_each(operations: OperationCounts, actions: ActionCounts, accelerator: Accelerator) -> int:
    """Steps per finished inference: pipelined ones enter a chip before the drain of the one before has ended."""
    pipelined = getattr(accelerator.architecture, "mode", "single") == "pipelined"
    return operations.steps if pipelined else actions.steps
