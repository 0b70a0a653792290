"""Variants set against each other, as plain data: estimates by variant and seed, and what was recorded beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .matching import Estimates, Replays

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Compared:
    """Estimates of several variants on one accelerator, one per seed: plain data, matched and ordered by `compare`.

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
    refused : mapping of accelerator to mapping of variant to reason
        Variants that a machine cannot run, which have no row there.
    replayed : mapping of variant to tuple of tuples of Replayed
        The same runs replayed at several state widths: per seed, one per width; variants may be absent.
    """

    estimates: Estimates
    baseline: str
    focus: str
    seeds: tuple[Any, ...]
    others: tuple[Estimates, ...] = ()
    logs: Mapping[str, tuple[pd.DataFrame, ...]] = field(default_factory=dict)
    refused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    replayed: Replays = field(default_factory=dict)

    @property
    def quantity(self) -> str:
        """What ratios and verdicts are about: ``total_pj`` where static power and time are known, or ``energy_pj``."""
        return "energy_pj" if self.estimates[self.baseline][0].total_pj is None else "total_pj"
