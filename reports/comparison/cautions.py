"""What to know of a ratio before quoting it: widths, nodes and scopes that differ, and what was never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...energy.pricing.not_run import NOT_RUN, state_words
from ...sim.readable_numbers import listed

if TYPE_CHECKING:
    from ...energy.pricing.estimate import EnergyEstimate
    from ...sim.network.workload import Workload

BLIND = ("event", "operations")  # kinds of machine whose prices do not depend on the width of a weight


def ratio_cautions(group: Sequence[EnergyEstimate], base: Sequence[EnergyEstimate]) -> list[str]:
    """Cautions on baseline / variant, on one machine; none holds a semicolon.

    Parameters
    ----------
    group, base : sequence of EnergyEstimate
        Of the variant and of the baseline, one per seed.

    Notes
    -----
    What counts as run: `not_run`.
    """
    ours, theirs, machine = group[0].operations.workload, base[0].operations.workload, group[0].accelerator
    kind = machine.architecture.kind
    reasons = dict.fromkeys(reason for each in group for reason in each.not_run)
    cautions = [f"{NOT_RUN}: {reason}" for reason in reasons]
    if state_words(ours) != state_words(theirs):
        cautions.append(
            f"potentials are {state_words(ours)}, those of the baseline {state_words(theirs)}: part of the ratio is "
            f"this width alone"
        )
    if kind in BLIND and weight_words(ours) != weight_words(theirs):
        cautions.append(
            f"weights are {weight_words(ours)}, those of the baseline {weight_words(theirs)}, and the prices of this "
            f"machine do not depend on their width: the ratio shows spikes, not bits"
        )
    used = {machine.price_key(*key) for each in group for key in each.table[["component", "action"]].itertuples(False)}
    for name, unit in (("node_nm", " nm"), ("scope", "")):
        values = sorted({getattr(machine.prices[key], name) for key in used}, key=str)
        if len(values) > 1:
            told = listed([f"{value:g}{unit}" if unit else str(value) for value in values])
            cautions.append(f"prices of different {name.removesuffix('_nm')} are added up here: {told}")
    return cautions


def weight_words(workload: Workload) -> str:
    """Widths and kinds of the weights, in the order of the layers, such as ``32-bit float and 1-bit binary``."""
    layers = [layer for layer in workload.layers if layer.weights]
    return listed(dict.fromkeys(f"{layer.weight_bits}-bit {layer.weight_kind}" for layer in layers))
