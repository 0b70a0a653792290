"""Formulas that papers apply to chips: a Loihi event formula, and TrueNorth's slope and static power.

The Loihi formula counts one synaptic operation per active neuron, not per synapse, and a transfer per synapse whether
or not a spike crosses it. It is here to reproduce print ("paper mode"); the accelerators do better. TrueNorth's 26 pJ
per event contain the chip's static power at one operating point, and mispredict the chip's own sweep by -41 to +256 %;
a slope and a static part do not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...sim.counting.operations import OperationCounts
from .scores import PublishedScore
from .shapes import activities, require

LOIHI_SYNAPTIC_PJ = 23.6  # Davies et al. 2018, table 2 (doi:10.1109/MM.2018.112130359): pre-silicon simulation
LOIHI_TRANSFER_PJ = 1.7  # spike within a tile
LOIHI_UPDATE_PJ = 81.0  # neuron update, active
TRUENORTH_SLOPE_PJ = 2.297  # per synaptic event, fitted to the published 0.8 V sweep
TRUENORTH_STATIC_UW_PER_CORE = 15.73
TRUENORTH_NEURONS_PER_CORE = 256
TRUENORTH_TICK_S = 1e-3


def loihi_layer_pj(
    neurons: float,
    synapses: float,
    active: float,
    p_update: float = LOIHI_UPDATE_PJ,
    p_transfer: float = LOIHI_TRANSFER_PJ,
    p_synaptic: float = LOIHI_SYNAPTIC_PJ,
) -> dict[str, float]:
    """One hidden layer and step: ``N_l P_u + N_{l-1} N_l P_w + P_s (1 - AS) N_l``, in pJ.

    Parameters
    ----------
    neurons, synapses : float
        N_l, and the connections that reach them (N_{l-1} N_l).
    active : float
        Neurons that fire: (1 - AS) N_l.
    """
    return {"update": neurons * p_update, "transfer": synapses * p_transfer, "synaptic": active * p_synaptic}


def loihi_network_pj(
    sizes: Sequence[int],
    activation_sparsity: float | Sequence[float],
    p_update: float = LOIHI_UPDATE_PJ,
    p_transfer: float = LOIHI_TRANSFER_PJ,
    p_synaptic: float = LOIHI_SYNAPTIC_PJ,
) -> float:
    """One step of a fully connected network in pJ; the output layer costs its transfers only.

    Parameters
    ----------
    sizes : sequence of int
        Neurons per layer, input first.
    activation_sparsity : float or sequence of float
        AS, one for all hidden layers or one each.

    Examples
    --------
    >>> round(loihi_network_pj([18, 256, 128, 4], 0.79) * 1e-3, 1)  # nJ
    97.4
    """
    require("sizes", tuple(sizes), len(sizes) >= 2 and min(sizes) > 0, "at least two positive numbers")
    hidden = sizes[1:-1]
    if isinstance(activation_sparsity, int | float):
        sparsities = [float(activation_sparsity)] * len(hidden)
    else:
        sparsities = list(activation_sparsity)
    require("activation_sparsity", activation_sparsity, len(sparsities) == len(hidden), f"one or {len(hidden)} numbers")
    total = sizes[-1] * sizes[-2] * p_transfer
    for before, neurons, sparsity in zip(sizes, hidden, sparsities, strict=False):
        terms = loihi_layer_pj(neurons, before * neurons, (1 - sparsity) * neurons, p_update, p_transfer, p_synaptic)
        total += sum(terms.values())
    return total


def score_loihi(counts: OperationCounts) -> PublishedScore:
    """The Loihi formula on a trace: once per step, with the spikes that were recorded.

    The paper's network takes one step; repeating its update and transfer terms at every step is ours.
    """
    terms = {"update": 0.0, "transfer": 0.0, "synaptic": 0.0}
    for x in activities(counts):
        hidden = x.neurons if x.spikes else 0
        for name, value in loihi_layer_pj(hidden * x.steps, x.dense * x.steps, x.spikes_out).items():
            terms[name] += value
    return PublishedScore.total(
        terms,
        {},
        "one synaptic operation per spike and a transfer per synapse: the paper's count, not the chip's",
        "events only: static power x time makes up most of what Loihi draws, and is left out",
    )


@dataclass(frozen=True)
class PowerLine:
    """Chip power as a line over the rate of synaptic events."""

    slope_pj: float
    static_mw: float

    def power_mw(self, events_per_s: float) -> float:
        return self.static_mw + self.slope_pj * events_per_s * 1e-9


def truenorth_events_per_s(neurons: int, synapses: int, rate_hz: float) -> float:
    """Synaptic events per second of ``neurons`` with ``synapses`` active synapses each, firing at ``rate_hz``."""
    return neurons * synapses * rate_hz


def power_line(first: tuple[float, float], last: tuple[float, float]) -> PowerLine:
    """The line through two measured points, each (synaptic events per second, mW)."""
    require("points", (first, last), first[0] != last[0], "at two different event rates")
    slope = (last[1] - first[1]) / (last[0] - first[0])
    return PowerLine(slope_pj=slope * 1e9, static_mw=first[1] - slope * first[0])


def truenorth_fit(neurons: int, synapses: int, points_hz_mw: Sequence[tuple[float, float]]) -> PowerLine:
    """Slope and static power of a published sweep through its end points (lowest and highest firing rate).

    Parameters
    ----------
    neurons, synapses : int
        Neurons of the chip and active synapses per neuron.
    points_hz_mw : sequence of (float, float)
        Mean firing rate in Hz and chip power in mW.
    """
    require("points_hz_mw", tuple(points_hz_mw), len(points_hz_mw) >= 2, "at least two points")
    ordered = sorted((truenorth_events_per_s(neurons, synapses, hz), mw) for hz, mw in points_hz_mw)
    return power_line(ordered[0], ordered[-1])


def truenorth_inference_pj(synaptic_events: float, cores: int, seconds: float) -> dict[str, float]:
    """Energy of one inference: 2.297 pJ per event, and 15.73 uW per core for as long as it takes (0.8 V)."""
    static = cores * TRUENORTH_STATIC_UW_PER_CORE * 1e-6 * seconds * 1e12
    return {"events": synaptic_events * TRUENORTH_SLOPE_PJ, "static": static}


def score_truenorth(counts: OperationCounts) -> PublishedScore:
    """Slope and static power on a trace, one step per 1 ms tick, neurons packed 256 to a core."""
    layers = activities(counts)
    cores = sum(math.ceil(x.neurons / TRUENORTH_NEURONS_PER_CORE) for x in layers)
    terms = truenorth_inference_pj(sum(x.sops for x in layers), cores, counts.steps * TRUENORTH_TICK_S)
    analog = [x.layer.name for x in layers if not x.spiking_input]
    return PublishedScore.total(
        terms,
        {"cores": cores, "seconds": counts.steps * TRUENORTH_TICK_S},
        "cores by neurons only: fan-in beyond 256 axons, and the weights the chip can hold, are not mapped",
        f"the chip takes spikes only; non-zero inputs counted as events: {', '.join(analog)}" if analog else "",
    )
