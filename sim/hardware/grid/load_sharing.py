"""What inferences share: those of one hardware batch, and those that one load of a resident network serves.

A machine with ``hardware_batch`` B works on B inferences at once, in lockstep, and all of them finish together. Its
actions are collected for a whole batch: B times what an inference does alone, and once what all do together. An array
takes the positions of a batch one after the other (P becomes B P in its closed forms), so weights and channel vectors
that enter it, its fill and its drain, serve all B. Event scatter fetches weight rows for each event, so its batch
shares nothing but what comes from outside the weight memory. A load of a whole network that fits serves
``inferences_per_load`` inferences, B or a multiple of it, and is charged in the first step; in time every batch waits
for an even part of it.

Samples of a trace are taken as if every batch were full, of inferences like each of them: means do not depend on how
many samples were recorded or in which order, and every sample has a time of its own. Where a minimum or a maximum is
taken (fetches of an array that skips, the busiest of array, lanes and ports), shares of inferences that differ may sum
to less than what they would cost in one batch. What is shared is spread evenly in whole words over the samples: sums
over samples are exact to within a word, and every count is an integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...counting.layer_counts import Counts
from ...network.workload import Workload
from ..architecture import Grid
from .placement import Placement, gain_words, vector_words
from .shared_actions import Amounts, Key, words


def share(totals: Counts, inferences: int) -> Counts:
    """Each sample's part of what so many inferences do together, in whole numbers that are spread evenly.

    Multiples of ``inferences`` are divided exactly, so what every inference does alone is not touched.

    Parameters
    ----------
    totals : int64 array (steps, samples)
        Of so many inferences like each sample.
    inferences : int

    Returns
    -------
    int64 array (steps, samples)
        Of the first k samples together ``floor(sum(totals of the first k) / inferences)``.

    Examples
    --------
    >>> share(np.full((1, 6), 10), 4)
    array([[2, 3, 2, 3, 2, 3]])
    """
    if inferences == 1:
        return totals
    whole, rest = np.divmod(totals, inferences)  # apart, so that no sum is near 2^63
    passed = np.cumsum(rest, axis=1) // inferences
    return whole + np.diff(passed, axis=1, prepend=0)


@dataclass(frozen=True)
class Sharing:
    """How the counts of hardware batches become those of single inferences."""

    workload: Workload
    grid: Grid
    placement: Placement
    shape: tuple[int, int]  # steps, samples

    @cached_property
    def loads(self) -> dict[Key, int]:
        """Words of one load of the whole network by layer, component and action; empty where it is not charged."""
        outside, found = self.placement.loading, dict[Key, int]()
        if outside is None:
            return found
        for layer in self.workload.layers:
            vectors, gains = vector_words(layer, self.workload), self.shape[0] * gain_words(layer)
            for memory, action in ((outside, "read"), (self.placement.weight, "write")):
                moved = words(layer.weights, int(layer.weight_bits or 0), memory)
                moved += words(vectors, 32, memory) + words(gains, 32, memory)
                if moved:
                    found[layer.name, memory.name, action] = moved
        return found

    def actions(self, counts: Mapping[Key, Counts], layer: str) -> dict[tuple[str, str], Amounts]:
        """Everything that a batch does in a layer, its even part of a load included."""
        found: dict[tuple[str, str], Amounts] = {(c, a): n for (name, c, a), n in counts.items() if name == layer}
        count = self.placement.inferences_per_load or 1
        for (name, component, action), moved in self.loads.items():
            if name == layer:
                part = np.zeros(self.shape)
                part[0] = moved * self.grid.hardware_batch / count
                found[component, action] = found.get((component, action), 0) + part
        return found

    def per_inference(self, counts: Mapping[Key, Counts]) -> dict[Key, Counts]:
        """Counts of every sample, int64 (steps, samples), from those of batches."""
        found = {key: share(totals, self.grid.hardware_batch) for key, totals in counts.items()}
        count = self.placement.inferences_per_load or 1
        for key, moved in self.loads.items():
            part = np.zeros(self.shape, np.int64)
            part[0] = share(np.full((1, self.shape[1]), moved), count)[0]
            found[key] = found.get(key, 0) + part
        return found

    @property
    def omitted(self) -> dict[str, str]:
        """That a network is loaded is left out where it stays for good."""
        if self.placement.backing or self.placement.loading:
            return {}
        return {
            "loading of resident weights": f"the network fits in {self.placement.weight.name} and stays there, loaded "
            f"once for all inferences; architecture.inferences_per_load charges it"
        }
