"""Neuron models as data: what one population does per neuron and step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NeuronModel:
    """What one neuron population does, per neuron and step unless said, in operations on its state.

    Attributes
    ----------
    multiplies, compares : int
        Leak multiplications and threshold comparisons per update.
    integrates : int
        Additions of a separately accumulated current to the potential. A machine that scatters synaptic events straight
        into the potential does not execute them.
    adds_per_spike : int
        Additions when the neuron fires (soft reset: subtract the threshold).
    state_words : int
        Words of state per neuron that are kept from step to step.
    spikes : bool
        Whether it emits spikes; a readout only accumulates.
    """

    multiplies: int
    compares: int
    integrates: int
    adds_per_spike: int
    state_words: int
    spikes: bool = True


NEURON_MODELS = {
    # u = leak * u + x; fires at u > threshold; soft reset subtracts the threshold, hard reset overwrites the potential
    "lif_soft": NeuronModel(multiplies=1, compares=1, integrates=1, adds_per_spike=1, state_words=1),
    "lif_hard": NeuronModel(multiplies=1, compares=1, integrates=1, adds_per_spike=0, state_words=1),
    "if_soft": NeuronModel(multiplies=0, compares=1, integrates=1, adds_per_spike=1, state_words=1),
    "if_hard": NeuronModel(multiplies=0, compares=1, integrates=1, adds_per_spike=0, state_words=1),
    # sums its input over all steps; the class is the largest sum (the mean over steps only rescales it)
    "readout": NeuronModel(multiplies=0, compares=0, integrates=1, adds_per_spike=0, state_words=1, spikes=False),
}
