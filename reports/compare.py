"""The face of the reports: variants set against each other on one accelerator, over seeds, asked and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..sim.display import html_table, lines
from ..sim.errors import InvalidInput
from ..sim.readable_numbers import ENERGY, listed, number, percent, with_unit
from .comparison.compared_variants import Compared
from .comparison.full_tables import records
from .comparison.matching import by_seed, check_same_data, further, machine, names, sorted_logs, sorted_replays
from .comparison.paired_differences import SHOWN, paired_differences
from .comparison.summary import summarise
from .page.write import write_report
from .sections.contents import build_report
from .sections.headline import headline
from .sections.reader_tables import summary_table

if TYPE_CHECKING:
    import pandas as pd

    from ..energy.explaining.narrow_states import Replayed
    from ..energy.pricing.estimate import EnergyEstimate

FOCUS = "BSNN + AGMM"


@dataclass(frozen=True)
class Comparison(Compared):
    """`Compared` estimates that can be asked and written; made by `compare`."""

    def __repr__(self) -> str:
        machine = self.estimates[self.baseline][0].accelerator.name
        seeds = f"{len(self.seeds)} seed{'s' * (len(self.seeds) != 1)}"
        return lines(
            f"Comparison of {len(self.estimates)} variants on {machine}, {seeds}, {len(self.others)} other machines",
            *self._figures(),
            f"variants: {listed(self.estimates)}",
        )

    def _figures(self) -> list[str]:
        """Energy, ratio and accuracy of the focus, or why it has none."""
        try:
            row = next(row for row in records(self.summary()) if row["variant"] == self.focus)
        except InvalidInput as error:  # a variant that costs nothing has no ratio
            return [str(error)]
        bounds = f"{number(row['ratio_low'])} to {number(row['ratio_high'])} over the price ranges"
        return [
            f"{self.focus}: {with_unit(1e3 * row[self.quantity.replace('_pj', '_nj')], ENERGY)} per inference",
            f"{self.baseline} / {self.focus}: {number(row['ratio'])}, {bounds}",
            f"accuracy: {percent(row['accuracy'])}",
        ]

    def _repr_html_(self) -> str | None:
        try:
            shown = summary_table(self)
        except InvalidInput:  # see `__repr__`, which a notebook then shows
            return None
        names = [f"{column.label}, {column.unit}" if column.unit else column.label for column in shown.columns]
        rows = [dict(zip(names, (cell.replace("\n", " ") for cell in row), strict=True)) for row in shown.rows]
        return html_table(self.headline(), rows)

    def summary(self) -> pd.DataFrame:
        """One row per variant: means over seeds, and their sample standard deviation (``_spread``).

        Returns
        -------
        DataFrame
            ``variant, seeds``; ``accuracy`` (0..1) with its binomial standard error ``accuracy_se``;
            ``firing_rate`` (spikes per neuron and step); ``synaptic_operations`` and energies per inference in nJ, with
            ``energy_low_nj`` and ``_high_nj`` at all prices low and high; of chips whose static power and time are
            known ``static_nj`` and ``total_nj``, to which ``energy_nj`` contributes the events; ``latency_us``, as
            modelled; ``static_time_us``, the time that static power takes; ``energy_delay_pj_s``, of chips total x
            that time; ``ratio``, the mean over seeds of baseline / variant, of totals where they are known;
            ``ratio_low`` and ``ratio_high``, the exact bounds of the seed-mean energies' ratio over all prices between
            low and high; ``dominated``, whether no prices at all can turn the ratio past one; ``events_ratio`` and its
            bounds, the same without static power; ``warnings``, what to know before the ratio is quoted. NaN where
            unknown; a spread needs two seeds.
        """
        return summarise(self.estimates, self.baseline)

    def paired(
        self,
        quantities: Sequence[str] = SHOWN,
        pairs: Sequence[tuple[str, str]] | None = None,
    ) -> pd.DataFrame:
        """Paired differences per seed between variants, with 95 % bootstrap intervals over seeds.

        Parameters
        ----------
        quantities : sequence of str
            Keys of `QUANTITIES`. ``sign_flips`` are flips per epoch of the binary layers,
            mean over training, and need logs; ``energy_pj`` is that of events, ``total_pj`` has static power x time
            with it. What is not known has no row.
        pairs : sequence of (variant, reference), optional
            By default every two variants with binary weights.

        Returns
        -------
        DataFrame
            One row per quantity, pair and (for flips) layer; ``difference`` = variant - reference, mean over seeds, and
            ``percent`` of the reference, both with ``_low`` and ``_high``; ``distinguishable``: see
            `significance.distinguishable`. A bootstrap over three seeds is coarse: it cannot leave their range.
        """
        return paired_differences(self, quantities, pairs)

    def headline(self) -> str:
        """The answer in one sentence: accuracy, energy, and how many times less or more than every other variant."""
        return headline(self)

    def write(self, path: str | Path, formats: Sequence[str] = ("html", "pdf")) -> list[Path]:
        """Write the report and its tables; see `write_report`."""
        return write_report(build_report(self), path, formats)


def compare(
    estimates: Mapping[str, Sequence[EnergyEstimate]],
    baseline: str,
    others: Sequence[Mapping[str, Sequence[EnergyEstimate]]] = (),
    *,
    logs: Mapping[str, Sequence[pd.DataFrame]] | None = None,
    replayed: Mapping[str, Sequence[Sequence[Replayed]]] | None = None,
    focus: str | None = None,
    refused: Mapping[str, Mapping[str, str]] | None = None,
) -> Comparison:
    """Compare variants of a network on one accelerator.

    Parameters
    ----------
    estimates : mapping of variant to sequence of EnergyEstimate
        One estimate per seed (``provenance["seed"]``), all on one accelerator and on the same data.
    baseline : str
        The variant that ratios refer to.
    others : sequence of mappings
        The same traces on further accelerators; variants that a machine cannot run may be absent.
    logs : mapping of variant to sequence of DataFrame, optional
        Training logs (``epoch, layer, quantity, value``) in the order of that variant's estimates.
    replayed : mapping of variant to sequence of sequences of Replayed, optional
        Per estimate of a variant, in its order, its run replayed at the same widths as every other, priced on the first
        accelerator.
    focus : str, optional
        The variant the report is about; by default ``"BSNN + AGMM"``, or else the last that is not the baseline.
    refused : mapping of accelerator to mapping of variant to reason, optional
        Variants that a machine cannot run (`estimate_variants`); reports name them. One
        that the main accelerator refuses must have no estimates on others either.

    Raises
    ------
    InvalidInput
        Unknown baseline or focus, accelerators mixed in one mapping, seeds that do not match, estimates of different
        data, logs without the columns above, or replays that do not match the estimates.
    """
    seeds, ordered = by_seed(estimates, "estimates")
    if baseline not in ordered:
        raise InvalidInput(f"compare: baseline {baseline!r} is not among the variants: {names(ordered)}")
    if focus is None:
        rest = [name for name in ordered if name != baseline]
        focus = FOCUS if FOCUS in rest else (rest or [baseline])[-1]
    if focus not in ordered:
        raise InvalidInput(f"compare: focus {focus!r} is not among the variants: {names(ordered)}")
    check_same_data(ordered)
    elsewhere = tuple(further(other, ordered, baseline, seeds) for other in others)
    machines = [machine(ordered), *map(machine, elsewhere)]
    if len(set(machines)) < len(machines):
        raise InvalidInput(f"compare: an accelerator is given twice among {', '.join(machines)}; each once is enough")
    reasons = {name: dict(why) for name, why in (refused or {}).items() if why}
    told = sorted_logs(logs or {}, estimates, seeds)
    again = sorted_replays(replayed or {}, estimates, seeds)
    return Comparison(ordered, baseline, focus, seeds, elsewhere, told, reasons, again)
