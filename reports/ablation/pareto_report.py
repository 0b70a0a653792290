"""The report of an ablation: how far energy falls at equal accuracy, and at which firing rate the advantage ends."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from ..comparison.full_tables import records
from ..page import plotting
from ..page.blocks import NARROW, Block, Bullets, Figure, Heading, Paragraph, Report, Section, SideBySide
from ..page.numbers import COUNT, listed, number, unit_for
from . import pareto_figures
from .pareto import ALL, FINISHED, best_twin, equal_points, equal_twin, savings, settings
from .pareto_figures import Against
from .pareto_pairs import pair_words, paired_settings, sparsest_pairs, twin_pairs
from .pareto_tables import AXIS_WORDS, axis_value, break_even_table, every_setting, failures, savings_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

HEIGHT = 3.3  # inches


@dataclass(frozen=True)
class FrontData:
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


def build_front(data: FrontData) -> Report:
    """The whole report; `front` alone is the section that another report may hold."""
    seeds = data.table["seed"].nunique()
    samples = data.table.get("test_samples", pd.Series(dtype=float)).max()
    runs = f"{len(data.table)} runs, {seeds} seed{'s' * (seeds != 1)}"
    subtitle = (
        f"{runs}; {number(samples, decimals=0)} test samples; {listed(data.accelerators)}. "
        f"Simulated energy, not validated against silicon."
    )
    sections = [Section("The front", tuple(front(data)))]
    if len(data.accelerators) > 1:
        sections.append(Section("Other accelerators", tuple(_elsewhere(data))))
    sections.append(Section("Every setting", (every_setting(data),)))
    if len(data.failed):
        sections.append(Section("Failed runs", (failures(data),)))
    sections.append(Section("How to read this", (_notes(data),)))
    return Report(data.title, subtitle, tuple(sections), {"ablation": data.table, "break-even": data.break_even})


def front(data: FrontData) -> list[Block]:
    """Lead sentence, what each variant reaches, the two figures of the first accelerator, and the savings."""
    machine = data.accelerators[0]
    found, saved = data.settings(), data.savings()
    blocks: list[Block] = [Paragraph(data.headline(), "lead")]
    if saved.empty:
        return blocks
    verdicts = _verdicts(data, found, machine)
    blocks += [Bullets(tuple(verdicts))] if verdicts else []
    blocks += [_figures(data, machine), savings_table(saved, data)]
    blocks += [break_even_table(data, machine)] if data.rates(machine) else []
    return [*blocks, *_without_break_even(data, machine)]


def _without_break_even(data: FrontData, machine: str) -> list[Block]:
    reasons = data.no_rates(machine)
    whose = {reason: listed([name for name in reasons if reasons[name] == reason]) for reason in reasons.values()}
    return [Paragraph(f"No break-even firing rate of {names}: {reason}.", "note") for reason, names in whose.items()]


def _against(data: FrontData, found: pd.DataFrame) -> Against | None:
    best, twin = best_twin(found), equal_twin(found, data.tolerance)
    if best is None or twin is None:
        return None
    line = float(best["test_accuracy"]) - data.tolerance
    return Against(_twin_name(data, found, twin), line, float(twin["energy_pj"]), float(twin["test_accuracy"]))


def _twin_name(data: FrontData, found: pd.DataFrame, twin: pd.Series) -> str:
    """Its variant, width, and whatever else differs among the twins."""
    twins = found[found["twin"]]
    varied = [axis for axis in data.axes if axis != "width" and twins[axis].nunique(dropna=False) > 1]
    words = [f"{AXIS_WORDS.get(axis, axis)} {axis_value(twin[axis])}" for axis in varied]
    return ", ".join([str(twin["variant"]), f"width {twin['width']:g}", *words])


def _verdicts(data: FrontData, found: pd.DataFrame, machine: str) -> list[str]:
    """Per variant: its cheapest setting of equal accuracy against the cheapest twin of equal accuracy."""
    best, twin, against = best_twin(found), equal_twin(found, data.tolerance), _against(data, found)
    if best is None or twin is None or against is None:
        return ["No twin was trained, so there is no line of equal accuracy and no break-even."]
    rates = data.rates_of(machine, found)
    told, equal = [], equal_points(found, data.tolerance).set_index("variant")
    for name in found.loc[found["point"], "variant"].unique():
        if name not in equal.index:
            told.append(f"No setting of {name} reaches the line: {data.points} below the best {best['variant']}.")
            continue
        chosen = equal.loc[name]
        ratio = against.energy_pj / chosen["energy_pj"]
        change = f"{number(ratio)} times less" if ratio >= 1 else f"{number(1 / ratio)} times more"
        reached = number(100 * chosen["test_accuracy"], decimals=1), number(100 * chosen["firing_rate"])
        theirs = number(100 * against.reached, decimals=1)
        sentence = f"{name} uses {change} energy than {against.name} ({theirs} % test accuracy)"
        sentence += f", at {reached[0]} % test accuracy and {reached[1]} % firing"
        known = name in rates
        sentence += f"; break-even firing rate {pareto_figures.rate_words(rates[name])}" if known else ""
        pair = paired_settings(data.table, machine, chosen["setting"], twin["setting"])
        told.append(f"{sentence}. Against that twin, {pair_words(pair)}.")
    return told


def _figures(data: FrontData, machine: str) -> SideBySide:
    found = data.settings(machine)
    rates = data.rates_of(machine, found)
    against = _against(data, found)
    styles = plotting.looks([str(name) for name in found.loc[found["point"], "variant"].unique()])

    def left(canvas: Canvas) -> None:
        pareto_figures.accuracy_front(canvas.subplots(), found, styles, against, rates)
        plotting.variant_legend(canvas, styles, columns=2)

    def right(canvas: Canvas) -> None:
        pareto_figures.energy_rate(canvas.subplots(), found, styles, against, rates)
        plotting.variant_legend(canvas, styles, columns=2)

    hidden = int((found["test_accuracy"] < pareto_figures.lowest_shown(found, against)).sum())
    first = f"Accuracy against energy on {machine}. Large and joined: a variant's front, chosen on validation data."
    second = "Energy against the firing rate, every setting."
    if against is not None:
        first += (
            f" Stars: {data.reference} by width. Dashed: {data.points} below the best of them; dotted: the energy of "
            f"the cheapest that is equal ({against.name})."
        )
        second += f" Dotted: {against.name}; open marks: where a variant's energy reaches it, its events scaled."
    if hidden:
        first += f" Below the axis: {hidden} setting{'s' * (hidden != 1)}."
    return SideBySide(
        Figure(f"front-{machine}", first, left, NARROW, HEIGHT),
        Figure(f"rate-{machine}", second, right, NARROW, HEIGHT),
    )


def _elsewhere(data: FrontData) -> list[Block]:
    blocks: list[Block] = []
    for machine in data.accelerators[1:]:
        blocks.append(Heading(machine))
        refused = data.table.get(f"{machine}.refused", pd.Series(dtype=object)).dropna()
        for reason, runs in refused.groupby(refused, sort=True).size().items():
            blocks.append(Paragraph(f"{runs} runs have no energy here: {reason}", "note"))
        found = data.settings(machine)
        if found["point"].any():
            verdicts = _verdicts(data, found, machine)
            blocks += [Bullets(tuple(verdicts)), _figures(data, machine), *_without_break_even(data, machine)]
        else:
            blocks.append(Paragraph("It can price none of the settings."))
    return blocks


def _notes(data: FrontData) -> Bullets:
    samples = data.table.get("test_samples", pd.Series(dtype=float)).max()
    error = 100 * math.sqrt(0.95 * 0.05 / samples) if samples == samples and samples else math.nan
    chosen = (
        "Which settings form a front, which is best and which are equal is decided on validation data, by accuracy and "
        "by the energy of those inferences. The accuracies and energies shown were measured on test data, which had no "
        "part in any choice; so a front may dip in the figure."
    )
    paired = (
        "Differences in brackets are 95 % bootstraps of the differences by seed, on test data; distinguishable means "
        "that the interval leaves out zero and that a paired t-test at 5 % does too. Two seeds can hardly show "
        "anything, one nothing at all."
    )
    sure = (
        f"A single test accuracy near 95 % has a binomial standard error of {number(error, digits=2)} points, and "
        f"seeds share their test samples: differences of about that size show nothing."
    )
    energies = (
        "Energies are per inference, mean over test samples and seeds; a break-even scales a variant's events and says "
        "nothing of its accuracy at that rate."
    )
    rates = (
        "Every variant has the learning rate that was tuned for it at full width without penalty, unless the file of "
        "the ablation says otherwise; axes are not tuned one by one."
    )
    return Bullets((chosen, paired, sure, energies, rates))
