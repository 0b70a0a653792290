"""What a published model says of one trace, and what a published model is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ...sim.counting.operations import OperationCounts


@dataclass(frozen=True)
class PublishedScore:
    """One trace under one published model.

    Attributes
    ----------
    energy_pj : float or None
        Energy per inference, mean over samples; None where the model judges a count and prices nothing.
    terms : mapping of name to float
        Energies in pJ that add up to ``energy_pj``.
    figures : mapping of name to float or str
        Everything else the model states: rates, ratios, bits, thresholds, verdicts.
    warnings : tuple of str
        Where the trace lies outside what the model was written for, and what was decided there.
    """

    energy_pj: float | None
    terms: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float | str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def total(cls, terms: Mapping[str, float], figures: Mapping[str, float | str], *warnings: str) -> PublishedScore:
        """A score whose energy is the sum of its terms; empty warnings are dropped."""
        return cls(sum(terms.values()), terms, figures, tuple(text for text in warnings if text))


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A formula of the literature under a name and a version.

    Attributes
    ----------
    name, version, title : str
        The version changes when the same trace would score differently.
    source : str
        Paper with DOI or arXiv number, and how it was read.
    scope : str
        What an energy contains. Energies of different scope or node must not be divided by each other.
    node : str
        Technology of the prices.
    omits : str
        What it leaves out.
    score : callable or None
        From counts to `PublishedScore`; None for a conversion of prices, which needs no trace.
    """

    name: str
    version: str
    title: str
    source: str
    scope: str
    node: str
    omits: str
    score: Callable[[OperationCounts], PublishedScore] | None
