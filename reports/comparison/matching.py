"""Checks that estimates belong together: same accelerator, same data, the same seeds in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...sim.errors import InvalidInput

if TYPE_CHECKING:
    import pandas as pd

    from ...energy.explaining.narrow_states import Replayed
    from ...energy.machines.accelerator import Accelerator
    from ...energy.pricing.estimate import EnergyEstimate

Estimates = Mapping[str, "tuple[EnergyEstimate, ...]"]
Replays = Mapping[str, "tuple[tuple[Replayed, ...], ...]"]
LOG_COLUMNS = ("epoch", "layer", "quantity", "value")


def by_seed(estimates: Mapping[str, Sequence[EnergyEstimate]], where: str) -> tuple[tuple[object, ...], Estimates]:
    """Every variant's estimates in the order of their seeds, which must be the same for all."""
    if not estimates:
        raise InvalidInput(f"compare: {where} is empty; give at least one variant with one estimate")
    ordered, expected = {}, None
    for name, group in estimates.items():
        if not isinstance(name, str) or not name.strip():
            raise InvalidInput(f"compare: variant name {name!r} must be text")
        if not group:
            raise InvalidInput(f"compare: variant {name!r} has no estimate; give one per seed")
        seeds = [estimate.provenance.get("seed") for estimate in group]
        if len(set(seeds)) < len(seeds):
            raise InvalidInput(
                f"compare: variant {name!r} has the seeds {seeds}; each estimate needs a seed of its own in "
                f"provenance['seed'], since seeds are compared in pairs"
            )
        order = sorted(range(len(seeds)), key=lambda index: str(seeds[index]).rjust(20))
        found = tuple(seeds[index] for index in order)
        if expected is not None and found != expected:
            raise InvalidInput(
                f"compare: variant {name!r} has the seeds {list(found)}, the variants before it {list(expected)}; "
                f"every variant needs the same seeds, since they are compared in pairs"
            )
        expected = found
        ordered[name] = tuple(group[index] for index in order)
    _check_machines([estimate.accelerator for group in ordered.values() for estimate in group], where)
    return expected or (), ordered


def _check_machines(machines: Sequence[Accelerator], where: str) -> None:
    names = sorted({machine.name for machine in machines})
    if len(names) > 1:
        raise InvalidInput(
            f"compare: {where} mixes the accelerators {', '.join(names)}; energies of different machines never "
            f"enter one ratio: give one mapping per accelerator (others=)"
        )
    for machine in machines:
        if part := machines[0].unlike(machine):
            raise InvalidInput(
                f"compare: {where} mixes two accelerators of the name {machine.name!r}, which differ in {part}; "
                f"energies of different machines never enter one ratio: price all variants on one of them"
            )


def check_same_data(estimates: Estimates) -> None:
    first_name, first = next((name, group[0]) for name, group in estimates.items())
    for name, group in estimates.items():
        for estimate in group:
            for what, ours, theirs in (
                ("steps", estimate.operations.steps, first.operations.steps),
                ("samples", estimate.operations.samples, first.operations.samples),
                ("dataset", estimate.provenance.get("dataset"), first.provenance.get("dataset")),
                ("split", estimate.provenance.get("split"), first.provenance.get("split")),
            ):
                if ours != theirs:
                    raise InvalidInput(
                        f"compare: variant {name!r} has {what} {ours!r}, but {first_name!r} has {theirs!r}; record all "
                        f"variants on the same data and steps"
                    )


def further(
    other: Mapping[str, Sequence[EnergyEstimate]], main: Estimates, baseline: str, seeds: tuple[object, ...]
) -> Estimates:
    found, ordered = by_seed(other, "others")
    if baseline not in ordered or found != seeds or not set(ordered) <= set(main):
        raise InvalidInput(
            f"compare: on {machine(ordered)} there are the variants {names(ordered)} with seeds {list(found)}; there "
            f"must be the baseline {baseline!r}, seeds {list(seeds)}, and no variant beside {names(main)}"
        )
    for name, group in ordered.items():
        for ours, theirs in zip(group, main[name], strict=True):
            if ours.operations.trace_hash != theirs.operations.trace_hash:
                raise InvalidInput(
                    f"compare: {name!r} on {machine(ordered)} comes from another trace than on {machine(main)}; "
                    f"estimate the same traces on every accelerator"
                )
    return {name: ordered[name] for name in main if name in ordered}


def sorted_logs(
    logs: Mapping[str, Sequence[pd.DataFrame]],
    estimates: Mapping[str, Sequence[EnergyEstimate]],
    seeds: tuple[object, ...],
) -> dict[str, tuple[pd.DataFrame, ...]]:
    result = {}
    for name, frames in logs.items():
        if name not in estimates or len(frames) != len(estimates[name]):
            raise InvalidInput(
                f"compare: logs for {name!r}: {len(frames)}; give one per estimate of a variant, in its order"
            )
        for frame in frames:
            missing = [column for column in LOG_COLUMNS if column not in frame.columns]
            if missing:
                raise InvalidInput(
                    f"compare: a log of {name!r} lacks {', '.join(missing)}; it needs {', '.join(LOG_COLUMNS)}"
                )
        given = [estimate.provenance.get("seed") for estimate in estimates[name]]
        result[name] = tuple(frames[given.index(seed)] for seed in seeds)
    return result


def sorted_replays(
    replayed: Mapping[str, Sequence[Sequence[Replayed]]],
    estimates: Mapping[str, Sequence[EnergyEstimate]],
    seeds: tuple[object, ...],
) -> dict[str, tuple[tuple[Replayed, ...], ...]]:
    """Replays in the order of the seeds; all of the traces that were estimated, and at the same widths."""
    result, widths = {}, None
    for name, group in replayed.items():
        if name not in estimates or len(group) != len(estimates[name]):
            raise InvalidInput(
                f"compare: replays of {name!r}: {len(group)}; give one per estimate of a variant, in its order"
            )
        for each, estimate in zip(group, estimates[name], strict=True):
            origins = {one.operations.provenance.get("replayed", {}).get("trace") for one in each}
            if origins != {estimate.operations.trace_hash}:
                raise InvalidInput(f"compare: a replay of {name!r} is of another trace than its estimate")
            found = [one.state_bits for one in each]
            widths = found if widths is None else widths
            if found != widths:
                raise InvalidInput(f"compare: {name!r} was replayed at {found} bits, others at {widths}; use the same")
        given = [estimate.provenance.get("seed") for estimate in estimates[name]]
        result[name] = tuple(tuple(group[given.index(seed)]) for seed in seeds)
    return result


def machine(estimates: Estimates) -> str:
    return next(iter(estimates.values()))[0].accelerator.name


def names(estimates: Mapping[str, object]) -> str:
    return ", ".join(map(repr, estimates))
