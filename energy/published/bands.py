"""Break-even bands on N_s, the synaptic events per synapse and inference.

* Dampfhoffer et al., IEEE TETCI 7(3):731-741, 2023 (doi:10.1109/TETCI.2022.3214509; abstract read): an
  integrate-and-fire SNN breaks even with an ANN at N_s between 0.15 and 1.38, depending on how well the ANN machine
  reuses data and skips zeros.
* Davidson & Furber 2021 (doi:10.3389/fnins.2021.651141; figure second hand): 1.72 spikes per synapse on equal silicon.

Their formulas were not found, so only the bands are applied. Neither was derived for one-bit weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...sim.counting.operations import OperationCounts
from .scores import PublishedScore
from .shapes import activities, require


@dataclass(frozen=True)
class Band:
    """Break-even values of N_s; ``low == high`` for a single threshold."""

    low: float
    high: float

    def verdict(self, events_per_synapse: float) -> str:
        """``below`` (the SNN wins against every baseline), ``inside`` (it depends on the baseline) or ``above``.

        Examples
        --------
        >>> [DAMPFHOFFER_2023.verdict(n) for n in (0.1, 0.15, 1.38, 1.5)]
        ['below', 'inside', 'inside', 'above']
        """
        require("events_per_synapse", events_per_synapse, events_per_synapse >= 0, "not negative")
        if events_per_synapse < self.low:
            return "below"
        return "inside" if events_per_synapse <= self.high else "above"


DAMPFHOFFER_2023 = Band(0.15, 1.38)
DAVIDSON_FURBER_2021 = Band(1.72, 1.72)


def events_per_synapse(synaptic_events: float, synapses: float, inferences: int = 1) -> float:
    """N_s: synaptic events over synapses and inferences; of a single layer this is firing rate x T.

    Parameters
    ----------
    synaptic_events : float
        Pairs of a spike and a weight, over all steps and inferences.
    synapses : float
        Connections, a shared weight counted at each of its places: the multiply-accumulates of one dense step.
    inferences : int
    """
    require("synapses", synapses, synapses > 0, "positive")
    require("inferences", inferences, inferences > 0, "positive")
    return synaptic_events / (synapses * inferences)


def score_band(counts: OperationCounts, *, band: Band) -> PublishedScore:
    """N_s of the network and of every layer that reads spikes, and where each lies; no energy."""
    layers = [x for x in activities(counts) if x.spiking_input]
    figures: dict[str, float | str] = {"low": band.low, "high": band.high}
    if layers:
        total = events_per_synapse(sum(x.sops for x in layers), sum(x.dense for x in layers))
        figures |= {"n_s": total, "verdict": band.verdict(total)}
    for activity in layers:
        value = events_per_synapse(activity.sops, activity.dense)
        figures |= {f"n_s.{activity.layer.name}": value, f"verdict.{activity.layer.name}": band.verdict(value)}
    skipped = [x.layer.name for x in activities(counts) if not x.spiking_input]
    narrow = any(int(x.layer.weight_bits or 0) == 1 for x in layers)
    texts = (
        f"no spikes to count in analog layers, left out: {', '.join(skipped)}" if skipped else "",
        "derived for multi-bit weights; a one-bit twin does not multiply either" if narrow else "",
    )
    return PublishedScore(None, {}, figures, tuple(text for text in texts if text))
