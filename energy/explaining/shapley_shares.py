"""Where a ratio comes from: Shapley shares of an energy gap over weight bits, firing rate, gate and state bits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...sim.counting.synthetic import SWITCHES, hybrid_counts
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Event
from ..pricing.estimate import EnergyEstimate, estimate

Coalition = frozenset[str]


@dataclass(frozen=True)
class Shares:
    """Energies of every hybrid of two variants, and what each switch contributes to the gap; made by `energy_shares`.

    Attributes
    ----------
    energies : mapping of frozenset of str to float
        Mean energy per inference in pJ by the switches that are set to the variant's side: none is the base itself,
        all are the variant. Static power x time is in it where the machine's file has it, as in all ratios.
    """

    energies: Mapping[Coalition, float]

    @property
    def base_pj(self) -> float:
        return self.energies[frozenset()]

    @property
    def variant_pj(self) -> float:
        return self.energies[frozenset(SWITCHES)]

    @property
    def energy_pj(self) -> dict[str, float]:
        """Share of each switch in variant - base, in pJ; they sum to that difference. Negative: it saves."""
        return shapley(SWITCHES, self.energies)

    @property
    def factors(self) -> dict[str, float]:
        """Factor of each switch in base / variant: Shapley shares of the ratio's logarithm; their product is it."""
        logarithms = shapley(SWITCHES, {switches: -math.log(pj) for switches, pj in self.energies.items()})
        return {name: math.exp(share) for name, share in logarithms.items()}


def shapley(players: Sequence[str], values: Mapping[Coalition, float]) -> dict[str, float]:
    """Shapley shares: what a player adds to a coalition, averaged over all orders in which players may join.

    Parameters
    ----------
    players : sequence of str
    values : mapping of frozenset of players to float
        The value of every coalition, the empty one included.

    Returns
    -------
    dict of player to float
        They sum to the value of all minus the value of none.

    References
    ----------
    L. S. Shapley, A value for n-person games, Contributions to the Theory of Games II (1953), 307-317.

    Examples
    --------
    >>> worth = {frozenset(): 0.0, frozenset("a"): 4.0, frozenset("b"): 0.0, frozenset("ab"): 10.0}
    >>> shapley("ab", worth)
    {'a': 7.0, 'b': 3.0}
    """
    count = len(players)
    missing = [sorted(group) for group in _coalitions(players) if group not in values]
    if missing:
        raise InvalidInput(f"shapley: no value for {missing[0]}; every coalition of {', '.join(players)} needs one")
    shares = {}
    for player in players:
        gains = []
        for others in _coalitions([other for other in players if other != player]):
            weight = math.factorial(len(others)) * math.factorial(count - len(others) - 1) / math.factorial(count)
            gains.append(weight * (values[others | {player}] - values[others]))
        shares[player] = math.fsum(gains)
    return shares


def _coalitions(players: Sequence[str]) -> Iterator[Coalition]:
    sizes = range(len(players) + 1)
    return (frozenset(group) for size in sizes for group in itertools.combinations(players, size))


def energy_shares(base: Sequence[EnergyEstimate], variant: Sequence[EnergyEstimate]) -> Shares:
    """Split the energy gap between two variants of a network over what differs between them.

    Parameters
    ----------
    base, variant : sequence of EnergyEstimate
        One per seed, in the same order of seeds, all on one accelerator.

    Returns
    -------
    Shares
        A switch in which the two do not differ has share 0.

    Raises
    ------
    InvalidInput
        Different numbers of seeds, networks that differ in more than the switches cover, or a machine that cannot price
        a hybrid: machines of kind ``event`` need recorded spikes, and some cannot run a live gate.

    Notes
    -----
    A hybrid is the base network with some switches set to the variant's side (`hybrid_counts`)
    and priced on the same machine. Hybrids are arithmetic: nothing was trained to fire so with such weights. Shares
    of the *energy difference* are shown first, because they also add up over seeds and layers; `Shares.factors`
    are those of the ratio.
    """
    if len(base) != len(variant) or not base:
        raise InvalidInput(f"shares: {len(base)} and {len(variant)} estimates; give one per seed on each side")
    machine = base[0].accelerator
    if any(machine.unlike(each.accelerator) for each in (*base, *variant)):
        raise InvalidInput("shares: the estimates are on different accelerators; compare on one")
    if isinstance(machine.architecture, Event):
        raise InvalidInput(
            f"shares need hybrids of the two networks, whose spikes nobody recorded, and {machine.name} is a many-core "
            f"chip, on which each single spike is routed: take a machine of another kind"
        )
    energies: dict[Coalition, float] = {}
    for switches in _coalitions(SWITCHES):
        hybrids = (hybrid_counts(b.operations, v.operations, switches) for b, v in zip(base, variant, strict=True))
        energies[switches] = math.fsum(estimate(each, machine).compared_pj for each in hybrids) / len(base)
    return Shares(energies)
