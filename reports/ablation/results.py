"""What an ablation found, as plain data, and the questions that its report asks of it."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

import pandas as pd

from ...sim.display import WIDTH, lines
from ...sim.readable_numbers import COUNT, listed, number, unit_for
from ..comparison.full_tables import records
from .pareto import ALL, FINISHED, equal_points, equal_twin, savings, settings
from .pareto_pairs import pair_words, sparsest_pairs, twin_pairs


@dataclass(frozen=True)
class AblationResults:
    """What an ablation found; made by `run_ablation`.

    Attributes
    ----------
    title : str
    table : DataFrame
        One row per run: what it is (``run, setting, variant, seed, point, twin, width``, the axes, ``config``), its
        ``status`` and ``error``, accuracies (0..1), rates (0..1), counts per inference, and per accelerator
        ``NAME.energy_pj, .low_pj, .high_pj, .compute_pj, .latency_s, .validation_pj``, or ``NAME.refused``.
    axes : tuple of str
        What was swept.
    accelerators : tuple of str
        The first is drawn large.
    reference : str
        The variant of the twins.
    tolerance : float
        Accuracy that counts as equal, 0..1.
    break_even : DataFrame
        ``accelerator, variant, setting, twin_setting, seed, rate, reference_rate, compute_rate, machine_rate,
        refused``: of float states; a variant without such rates has one row whose ``refused``, else "", says why.
    """

    title: str
    table: pd.DataFrame
    axes: tuple[str, ...]
    accelerators: tuple[str, ...]
    reference: str
    tolerance: float
    break_even: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __repr__(self) -> str:
        variants = self.table["variant"].nunique()
        return lines(
            f"AblationResults of {self.title}",
            f"runs      {len(self.table)} of {variants} variants, {len(self.failed)} failed",
            f"swept     {listed(self.axes) or 'nothing'}; on {listed(self.accelerators)}",
            *textwrap.wrap(self.headline().partition(": ")[0].rstrip(".") + ".", WIDTH - 2),
        )

    @property
    def failed(self) -> pd.DataFrame:
        return self.table[self.table["status"] != FINISHED]

    def settings(self, accelerator: str | None = None) -> pd.DataFrame:
        """See `settings`; on the first accelerator unless given."""
        return settings(self.table, accelerator or self.accelerators[0], self.axes)

    @property
    def points(self) -> str:
        """The tolerance in words."""
        amount = 100 * self.tolerance
        return f"{amount:g} point{'s' * (amount != 1)}"

    def rates(self, machine: str, column: str = "machine_rate") -> dict[str, float]:
        """Break-even firing rate by variant, mean over seeds; NaN or infinite if any seed's is."""
        rows = self._break_evens(machine)
        rows = rows[rows["refused"] == ""]
        groups = rows.groupby("variant", sort=False)
        return {str(name): float(group[column].mean(skipna=False)) for name, group in groups}

    def rates_of(self, machine: str, found: pd.DataFrame) -> dict[str, float]:
        """`rates` of those variants whose settings to compare, at whatever state, are those they were found for."""
        twin, equal = equal_twin(found, self.tolerance), equal_points(found, self.tolerance)
        if twin is None:
            return {}
        shown = {(str(point.setting), str(twin["setting"])) for point in equal.itertuples()}
        rows = self._break_evens(machine)
        pairs = {str(row.variant): (row.setting, row.twin_setting) for row in rows.itertuples()}
        return {name: rate for name, rate in self.rates(machine).items() if pairs[name] in shown}

    def no_rates(self, machine: str) -> dict[str, str]:
        """Why a variant has no break-even firing rate, by variant."""
        rows = self._break_evens(machine)
        refused = rows[rows["refused"] != ""]
        return dict(zip(refused["variant"].tolist(), refused["refused"].tolist(), strict=True))

    def _break_evens(self, machine: str) -> pd.DataFrame:
        if self.break_even.empty:
            return pd.DataFrame(columns=["variant", "refused"])
        return self.break_even[self.break_even["accelerator"] == machine]

    def savings(self) -> pd.DataFrame:
        """See `savings`, with the sparsest and the best setting paired by seed."""
        return sparsest_pairs(self.table, self.accelerators[0], savings(self.settings(), self.tolerance))

    def twin_pairs(self, accelerator: str | None = None) -> pd.DataFrame:
        """`settings`, every one paired by seed with the twin to beat: `twin_pairs`."""
        machine = accelerator or self.accelerators[0]
        return twin_pairs(self.table, machine, self.settings(machine), self.tolerance)

    def headline(self) -> str:
        """How far synaptic operations fall within the tolerance, in a sentence."""
        rows = records(self.savings())
        if not rows:
            return f"No setting finished that {self.accelerators[0]} can price; the table says why."
        saved = rows[-1]
        whose = "the sweep" if saved["group"] == ALL else str(saved["group"])
        unit = unit_for([saved["most_sops"]], COUNT)
        most, least = (number(saved[name] / unit.size) for name in ("most_sops", "least_sops"))
        best, then = (number(100 * saved[name], decimals=1) for name in ("best_test", "least_test"))
        told = (
            f"Within {self.points} of its best validation accuracy, {whose} spans {number(saved['range'])} times in "
            f"synaptic operations, {most} down to {least}{' ' * bool(unit.name)}{unit.name} per inference: the best "
            f"setting reaches {best} % on test data, the sparsest {then} %."
        )
        if saved["least_setting"] == saved["best_setting"]:
            return f"{told} They are the same setting."
        return f"{told} The sparsest against the best, {pair_words(saved)}."
