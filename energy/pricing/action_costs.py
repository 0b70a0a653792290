"""Action counts times prices: the one equation, for counts at hand and for tables that were stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ...sim.errors import InvalidInput
from ...sim.hardware.action_table import ActionTable
from ...sim.hardware.architecture import Grid, Memory
from ...sim.hardware.execution import TIME, ActionCounts
from ..machines.accelerator import Accelerator, memory_prices, price_group
from ..machines.prices import Price, Technology
from ..machines.static_power import static_rows

CLOCK = "control and clock"  # as grids name it among what they leave out
Prices = Accelerator | Technology | Mapping[str, Price]


def price_actions(actions: ActionTable | ActionCounts, prices: Prices, *, by_step: bool = False) -> pd.DataFrame:
    """Energy per inference of action counts under a price table.

    Parameters
    ----------
    actions : ActionTable or ActionCounts
        `ActionTable` from `read_actions`, or what `execute` returns.
    prices : Accelerator, Technology or mapping of action to Price
        A technology prices the machine's own memories by their size. A mapping has logic by ``operation.type``
        (``add.float32``) and memories by ``name.read`` and ``name.write``.
    by_step : bool
        One row per step, with a column ``step``, instead of the sum over steps.

    Returns
    -------
    DataFrame
        ``layer, component, action, group, count, price_pj, energy_pj, low_pj, high_pj``; counts and energies are means
        per inference. The rows of `estimate` for the same counts and prices, to the last bit.

    Raises
    ------
    InvalidInput
        An action without a price, an accelerator that is incomplete, or one whose memory has the name of one of this
        table's and another size: its price would be for another memory.

    Notes
    -----
    Static power x time is no action; see `price_static`.

    Examples
    --------
    >>> import numpy as np
    >>> from spikejoule.energy.machines.prices import load_technology
    >>> counts = {("conv", "synapse", "add.float32"): np.array([[10], [2]])}
    >>> actions = ActionCounts(2, 1, counts, {}, {})
    >>> float(price_actions(actions, load_technology("horowitz-45nm"))["energy_pj"].sum())
    10.8
    """
    find = _finder(prices, actions.memories)
    sizes = {memory.name: memory for memory in actions.memories}
    per_step = actions.per_step
    found = [find(component, action) for _, component, action in per_step]
    columns: dict[str, object] = {
        name: [key[place] for key in per_step] for place, name in enumerate(("layer", "component", "action"))
    }
    columns["group"] = [price_group(component, sizes.get(component)) for _, component, _ in per_step]
    totals = np.array(list(per_step.values()), np.int64).reshape(len(per_step), actions.steps)
    if by_step:
        columns = {name: np.repeat(np.array(values, object), actions.steps) for name, values in columns.items()}
        columns = {"step": np.tile(np.arange(actions.steps), len(per_step)), **columns}
        found = [price for price in found for _ in range(actions.steps)]
        mean = totals.ravel() / actions.samples
    else:
        mean = totals.sum(axis=1) / actions.samples
    columns["count"] = mean
    columns["price_pj"] = [price.value for price in found]
    for name, bound in (("energy_pj", "value"), ("low_pj", "low"), ("high_pj", "high")):
        columns[name] = mean * np.array([getattr(price, bound) for price in found], float)
    return pd.DataFrame(columns)


def price_static(actions: ActionTable | ActionCounts, accelerator: Accelerator) -> pd.DataFrame:
    """Static power x time per inference of action counts on a machine of kind ``grid``.

    Parameters
    ----------
    actions : ActionTable or ActionCounts
    accelerator : Accelerator

    Returns
    -------
    DataFrame
        A row per memory that leaks, and one for the rest of the machine: ``price, per, amount`` (mean seconds per
        inference), ``price_pj`` (one second of it), ``energy_pj, low_pj, high_pj``. Empty where nothing is known: no
        figure in the accelerator's file, no clock, or a chip, whose cores in use a table of actions does not hold.

    Notes
    -----
    Static energy = static power x time per finished inference. A grid runs the layers one after the other, so that is
    the time of a hardware batch over its size.

    Examples
    --------
    >>> from spikejoule.energy.machines.accelerator import load_accelerator
    >>> price_static(ActionCounts(1, 1, {}, {}, {}), load_accelerator("grid-45nm")).empty
    True
    """
    if not isinstance(accelerator.architecture, Grid):
        return static_rows((), 0.0)
    if isinstance(actions, ActionTable):
        times = actions.rows.loc[actions.rows["component"] == TIME[0], "seconds"]
    else:
        times = pd.Series([float(each.sum()) for each in actions.seconds.values()], dtype=float)
    seconds = float(times.sum()) / actions.samples / actions.hardware_batch
    return static_rows(accelerator.static_prices if len(times) else (), seconds)


def left_out(omitted: Mapping[str, str], prices: Prices) -> dict[str, str]:
    """What stays out when these prices are applied: a machine's omissions, less the static power that they bring in."""
    if not (isinstance(prices, Accelerator) and isinstance(prices.architecture, Grid) and prices.static_prices):
        return dict(omitted)
    found = {part: reason for part, reason in omitted.items() if part != "static power"}
    if prices.static is not None and CLOCK in found:
        found[CLOCK] = "only as far as static_power_w in the machine's file holds them; no energy per action"
    if prices.static is None:
        found["static power of logic, clock and control"] = "no static_power_w in the machine's file: its memories only"
    if not prices.leakage:
        found["leakage of memories"] = "no leakage_w in the machine's file: only as far as its static_power_w holds it"
    return found


def _finder(prices: Prices, memories: tuple[Memory, ...]) -> Callable[[str, str], Price]:
    """Price of (component, action)."""
    if isinstance(prices, Accelerator):
        prices.require_complete()
        _check_memories(prices, memories)
        return prices.price
    if isinstance(prices, Technology):
        name, table = f"technology {prices.name!r}", {**prices.operations, **memory_prices(memories, prices)}
    else:
        name, table = "the price table", dict(prices)
    names = {memory.name for memory in memories}

    def find(component: str, action: str) -> Price:
        key = f"{component}.{action}" if component in names else action
        if key not in table:
            raise InvalidInput(
                f"{name} has no price for {key!r} (needed by component {component!r}); add it, with its source. "
                f"Priced: {', '.join(sorted(table))}"
            )
        return table[key]

    return find


def _check_memories(accelerator: Accelerator, memories: tuple[Memory, ...]) -> None:
    """Refuse prices of memories that are not those of the table."""
    for memory in memories:
        own = accelerator.memory(memory.name)
        if own is not None and (own.kib, own.word_bits) != (memory.kib, memory.word_bits):
            raise InvalidInput(
                f"accelerator {accelerator.name!r}: its {memory.name!r} has {own.kib} KiB and words of {own.word_bits} "
                f"bits, but the table's has {memory.kib} and {memory.word_bits}; run the trace on this accelerator, or "
                f"apply its technology {accelerator.technology!r}"
            )
