"""At which firing rate a network stops being cheaper than another: in closed form on compute, and on the machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from ...sim.counting.operations import OperationCounts
from ...sim.counting.synthetic import scaled_counts
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Event
from ...sim.network.workload import INPUT, Workload
from ..pricing.estimate import EnergyEstimate, estimate

NETWORK = ""  # the layer's name in rows that are about all of them
Energy = Callable[[float], float]  # pJ at a factor on the events


def break_even(variant: EnergyEstimate, reference: EnergyEstimate) -> pd.DataFrame:
    """The rate of events up to which a variant costs no more than a reference, per layer and for the network.

    Parameters
    ----------
    variant, reference : EnergyEstimate
        Two networks of the same layers on one accelerator. The variant's events are scaled; the reference stays as
        recorded.

    Returns
    -------
    DataFrame
        One row per layer with weights, then the network (layer ``""``): ``layer``; ``rate`` and ``reference_rate``,
        recorded events per element and step: of the signal that a layer reads, or spikes per neuron of the network;
        ``compute_rate``, where the logic of both costs the same; ``machine_rate``, where all of both does. NaN: the
        variant costs more even without any event, or has none to scale; ``inf``: it costs no more at any rate up to 1.

    Raises
    ------
    InvalidInput
        Different layers or accelerators, or a machine of kind ``event``, which needs recorded spikes.

    See Also
    --------
    network_break_even : the last row alone, of networks of any layers.

    Notes
    -----
    Compute is affine in the events, ``E(r) = E(0) + r (E(r0) - E(0)) / r0`` at the recorded rate ``r0``, so that its
    break-even is ``r0 (E_ref - E(0)) / (E(r0) - E(0))``. The machine's energy is not quite, for words are fetched whole
    and buffers overflow: there it is found by bisection on the simulated machine, to 1e-6 of the rate. A layer's events
    are those it reads, and its energy is that of its own rows, with static power x its own time where the machine has
    such figures; the network's are the spikes of all neurons, while its input stays as recorded. Signals that a merge
    reads together are scaled together, whichever of them a layer reads.
    """
    workload = variant.operations.workload
    if [layer.name for layer in workload.layers] != [layer.name for layer in reference.operations.workload.layers]:
        raise InvalidInput("break-even: the two networks have different layers; compare variants of one network")
    network = network_break_even(variant, reference)
    rows = [_row(variant, reference, x.name, x.sources) for x in workload.layers if x.weights]
    return pd.DataFrame([*rows, network])


def network_break_even(variant: EnergyEstimate, reference: EnergyEstimate) -> dict[str, str | float]:
    """The network's row of `break_even`, which asks nothing of the reference but its energy and its rate.

    Parameters
    ----------
    variant, reference : EnergyEstimate
        Two networks on one accelerator, of the same layers or not.

    Returns
    -------
    dict
        ``layer, rate, reference_rate, compute_rate, machine_rate``.

    Raises
    ------
    InvalidInput
        Different accelerators, a machine of kind ``event``, or a merge of the input with spikes, which cannot be
        scaled alone.
    """
    if variant.accelerator.unlike(reference.accelerator):
        raise InvalidInput("break-even: the estimates are on different accelerators; compare on one")
    if isinstance(variant.accelerator.architecture, Event):
        raise InvalidInput(
            f"break-even needs the network at other firing rates, whose spikes nobody recorded, and "
            f"{variant.accelerator.name} is a many-core chip, on which each single spike is routed: take a machine of "
            f"another kind"
        )
    ours, theirs = (_driven(side.operations.workload) for side in (variant, reference))
    return _row(variant, reference, NETWORK, ours, theirs)


def _driven(workload: Workload) -> list[str]:
    """Signals that follow from the spikes of neurons: all but the input and what is passed on from it alone."""
    driven: list[str] = []
    for layer in workload.layers:
        if layer.emits and (layer.neuron is not None or set(layer.sources) & set(driven)):
            driven.append(layer.name)
    return driven


def _read_with(workload: Workload, signals: Sequence[str]) -> set[str]:
    """Those signals and all that merges read together with them, whose events are scaled alike."""
    found, before = set(signals), set[str]()
    while found != before:
        before = set(found)
        for layer in workload.layers:
            if found & set(layer.sources):
                found |= set(layer.sources)
    return found


def _row(
    variant: EnergyEstimate,
    reference: EnergyEstimate,
    layer: str,
    signals: Sequence[str],
    theirs: Sequence[str] | None = None,
) -> dict[str, str | float]:
    """Rates of ``signals``; the reference's of ``theirs`` if it has other ones."""
    scaled_too = signals if layer == NETWORK else _read_with(variant.operations.workload, signals)

    def energy(kind: str | None) -> Energy:
        def at(factor: float) -> float:
            if factor == 1:
                return _energy(variant, layer, kind)
            scaled = scaled_counts(variant.operations, dict.fromkeys(scaled_too, factor))
            return _energy(estimate(scaled, variant.accelerator), layer, kind)

        return at

    rate = _rate(variant.operations, signals)
    limits = {kind: _energy(reference, layer, kind) for kind in ("logic", None)}
    compute, machine = energy("logic"), energy(None)
    return {
        "layer": layer,
        "rate": rate,
        "reference_rate": _rate(reference.operations, signals if theirs is None else theirs),
        "compute_rate": _closed_form(rate, compute(0.0), compute(1.0), limits["logic"]) if rate else math.nan,
        "machine_rate": _bisected(rate, machine, limits[None]) if rate else math.nan,
    }


def _energy(result: EnergyEstimate, layer: str, group: str | None) -> float:
    rows = result.table
    if layer != NETWORK:
        rows = rows[rows["layer"] == layer]
    if group is not None:
        rows = rows[rows["group"] == group]
    energy_pj = float(rows["energy_pj"].sum())
    if group is None:
        static = result.static_pj if layer == NETWORK else result.layer_static_pj(layer)
        energy_pj += static or 0.0
    return energy_pj


def _rate(operations: OperationCounts, signals: Sequence[str]) -> float:
    """Events per element and step of some signals together."""
    events = elements = 0
    for name in signals:
        counts = operations.input_events if name == INPUT else operations.layers[name].spikes
        events += 0 if counts is None else int(counts.sum())
        elements += math.prod(operations.workload.signals[name][0])
    return events / (elements * operations.steps * operations.samples) if elements else 0.0


def _closed_form(rate: float, silent: float, recorded: float, limit: float) -> float:
    if silent > limit:
        return math.nan
    slope = (recorded - silent) / rate
    found = (limit - silent) / slope if slope > 0 else math.inf
    return found if found <= 1 else math.inf


def _bisected(rate: float, energy: Energy, limit: float) -> float:
    if energy(0.0) > limit:
        return math.nan
    low, high = 0.0, 1 / rate
    if energy(high) <= limit:
        return math.inf
    while (high - low) * rate > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if energy(middle) <= limit else (low, middle)
    return rate * (low + high) / 2
