"""What a network would cost at other firing rates, numbers of steps, weight widths and sizes of one memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ...sim.counting.operations import OperationCounts
from ...sim.counting.synthetic import bernoulli_counts, recast_counts
from ...sim.errors import InvalidInput
from ...sim.hardware.architecture import Event, Grid
from ...sim.hardware.grid.placement import parameter_bits, place
from ...sim.network.layers import INPUT, Layer
from ...sim.network.workload import Workload
from ..machines.accelerator import MEMORY_ACTIONS, Accelerator
from ..machines.prices import load_technology
from ..pricing.estimate import EnergyEstimate, estimate

MOST_STEPS = 100_000  # spikes of every step are drawn and kept: more takes hours and all memory
WIDTHS = {1: "binary", 2: "ternary", 32: "float"}  # bits -> kind of weights; what is between is integer


def sweep(
    workload: Workload,
    accelerator: Accelerator,
    *,
    rates: Sequence[float],
    steps: Sequence[int],
    weight_bits: Sequence[int] | None = None,
    memory_bytes: Sequence[int] | None = None,
    memory: str | None = None,
    layers: Collection[str] | None = None,
    input_rate: float | None = None,
    ternary_zeros: float = 0.0,
    samples: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """Energy and time of a network under independent random spikes, at every combination of the given values.

    Parameters
    ----------
    workload : Workload
        Borders, layers and gates stay as they are.
    accelerator : Accelerator
        Of kind ``operations`` or ``grid``.
    rates : sequence of float
        Probability that an element of a signal is not zero in a step, 0..1; the same for all signals.
    steps : sequence of int
    weight_bits : sequence of int, optional
        Widths of the weights, see `with_weight_bits`; unless given, weights are as in the workload.
    memory_bytes : sequence of int, optional
        Capacities of one memory, priced by capacity (`resized`); unless given, the machine is as it is.
    memory : str, optional
        Which memory; the one that weights are fetched from unless given.
    layers : collection of str, optional
        The layers whose weights get another width; all with weights unless given.
    input_rate : float, optional
        The rate of the network's input, if it shall stay the same at all ``rates``.
    ternary_zeros : float
        Share of ternary weights that are zero, drawn at random.
    samples, seed : int
        Of the random spikes. More samples narrow the scatter, 1 / sqrt(samples).

    Returns
    -------
    DataFrame
        One row per combination: ``rate, steps, weight_bits, memory_bytes`` (NA where the workload's or machine's own);
        ``energy_pj`` and its parts ``logic_pj``, ``sram_pj``, ``dram_pj``; ``low_pj``, ``high_pj`` at all prices low
        and high, without static power; ``static_pj``, static power x time, and ``compared_pj``, what ratios are made
        of: both together, or ``energy_pj`` where ``static_pj`` is NaN for want of a figure; ``latency_s`` and
        ``seconds_per_inference`` (NaN without a clock); ``synaptic_operations``; ``weight_bytes``, stored parameters in
        all; ``resident``, whether they stay in the weight memory (NA without memories). Means per inference.

    Raises
    ------
    InvalidInput
        Nothing or doubles to sweep over, an impossible value, a machine of kind ``event``, a memory without a price by
        capacity, or what `estimate` refuses.

    Notes
    -----
    Spikes are independent of each other, as in `bernoulli_counts`: no trained network fires like that, nor is there an
    accuracy. One drawing per rate serves all steps, widths and memories, so that rows differ by what was swept alone,
    and every row equals the estimate of that drawing on that machine.
    """
    _check_values(rates, steps, weight_bits, memory_bytes)
    if isinstance(accelerator.architecture, Event):
        raise InvalidInput(
            f"sweep: accelerator {accelerator.name!r} is of kind event: it routes single spikes and its prices know "
            f"neither width nor memory; take one of kind operations or grid"
        )
    widths: Sequence[int | None] = [None] if weight_bits is None else weight_bits
    sizes: Sequence[int | None] = [None] if memory_bytes is None else memory_bytes
    variants = {
        bits: workload if bits is None else with_weight_bits(workload, bits, layers, zeros=ternary_zeros, seed=seed)
        for bits in widths
    }
    machines = {size: accelerator if size is None else resized(accelerator, size, memory) for size in sizes}
    rows = []
    for rate in rates:
        of_signals = dict.fromkeys(workload.signals, rate) | ({} if input_rate is None else {INPUT: input_rate})
        drawn = _drawn(workload, variants, of_signals, max(steps), samples, seed)
        rows += [
            {"rate": rate, "steps": kept, "weight_bits": bits, "memory_bytes": size, **_figures(counts, machine)}
            for kept in steps
            for bits, variant in variants.items()
            for counts in [recast_counts(drawn[bits], variant, kept)]
            for size, machine in machines.items()
        ]
    whole = dict.fromkeys(["weight_bits", "memory_bytes"], "Int64") | {"resident": "boolean"}
    return pd.DataFrame(rows).astype(whole)


def _drawn(
    workload: Workload,
    variants: Mapping[int | None, Workload],
    rates: Mapping[str, float],
    steps: int,
    samples: int,
    seed: int,
) -> dict[int | None, OperationCounts]:
    """Counts of one drawing for every width of the weights; zeros of their own are all that makes them differ."""
    common = bernoulli_counts(workload, rates, steps=steps, samples=samples, seed=seed)
    return {
        bits: bernoulli_counts(variant, rates, steps=steps, samples=samples, seed=seed)
        if _other_zeros(variant, workload)
        else common
        for bits, variant in variants.items()
    }


def with_weight_bits(
    workload: Workload, bits: int, layers: Collection[str] | None = None, *, zeros: float = 0.0, seed: int = 0
) -> Workload:
    """A network with weights of another width.

    Parameters
    ----------
    workload : Workload
    bits : int
        1: binary (+-1), 2: ternary, 32: float, 3 to 31: integer. A layer that has this kind and width stays as it is,
        zero weights included; in others no weight is zero but the ``zeros`` of ternary ones.
    layers : collection of str, optional
        Those that change; all with weights unless given. (A BSNN keeps its first layer and its classifier wide.)
    zeros : float
        Share of ternary weights that are zero, each drawn on its own, 0..1.
    seed : int
        Of that draw.

    Returns
    -------
    Workload
        States, channel vectors and geometry unchanged. Where a live gate keeps scales from folding, weights that are
        not float keep theirs explicit and float ones take it up (docs/definitions.md, 6); elsewhere it stays as it is.

    Raises
    ------
    InvalidInput
        An impossible width or share, or an unknown layer.
    """
    if not 1 <= bits <= 32 or not 0 <= zeros <= 1:
        raise InvalidInput(f"weight bits {bits} with a share of zeros of {zeros}; use 1 to 32 bits and 0 to 1")
    chosen = [layer.name for layer in workload.layers if layer.weights] if layers is None else layers
    for name in chosen:
        if not workload.layer(name).weights:
            raise InvalidInput(f"weight bits: layer {name!r} of workload {workload.name!r} has no weights")
    rng, kind = np.random.default_rng(seed), WIDTHS.get(bits, "integer")

    def changed(layer: Layer) -> Layer:
        if layer.name not in chosen or (layer.weight_kind, layer.weight_bits) == (kind, bits):
            return layer
        mask = rng.random(layer.weight_shape) >= zeros if kind == "ternary" and zeros else None
        scale = layer.scale
        if layer.gate == "live" and scale != "none":
            scale = "folded" if kind == "float" else "explicit"
        return replace(layer, weight_kind=kind, weight_bits=bits, nonzero=mask, scale=scale)

    return replace(workload, layers=tuple(map(changed, workload.layers)))


def resized(accelerator: Accelerator, size_bytes: int, memory: str | None = None) -> Accelerator:
    """A machine with another capacity of one on-chip memory, its accesses priced by that capacity.

    Parameters
    ----------
    accelerator : Accelerator
        Of kind ``grid``, whose technology prices SRAM by size (docs/definitions.md, 12).
    size_bytes : int
    memory : str, optional
        The first memory that holds weights unless given.

    Raises
    ------
    InvalidInput
        No such memory, one without a capacity, or one whose prices or leakage the accelerator's file gives itself: what
        they would be at another capacity is not known.
    """
    grid = accelerator.architecture
    if not isinstance(grid, Grid):
        raise InvalidInput(f"accelerator {accelerator.name!r} is of kind {grid.kind}: it has no memories to resize")
    name = grid.levels("weight")[0].name if memory is None else memory
    sized = {level.name: level for level in grid.memories if level.kib is not None}
    if name not in sized:
        raise InvalidInput(
            f"accelerator {accelerator.name!r} has no on-chip memory {name!r}; use one of {', '.join(sized) or 'none'}"
        )
    if size_bytes < 1:
        raise InvalidInput(f"memory {name!r}: {size_bytes} bytes; give one or more")
    technology, old = load_technology(accelerator.technology), sized[name]
    keys = [f"{name}.{action}" for action in MEMORY_ACTIONS]
    by_size = technology.sram_access(old.kib or 0, old.word_bits)
    if any(accelerator.prices[key] != by_size for key in keys):
        raise InvalidInput(
            f"accelerator {accelerator.name!r} gives the prices of {name!r} itself, so they are not known at another "
            f"capacity; remove them from its file to price it by capacity, or leave that memory's size as it is"
        )
    _check_static(accelerator, name)
    kib = size_bytes / 1024
    levels = tuple(replace(level, kib=kib) if level.name == name else level for level in grid.memories)
    prices = dict.fromkeys(keys, technology.sram_access(kib, old.word_bits))
    return replace(accelerator, architecture=replace(grid, memories=levels), prices={**accelerator.prices, **prices})


def _check_static(accelerator: Accelerator, name: str) -> None:
    """Refuse another capacity of a memory that leaks, or may be part of a static power: how it scales is not known."""
    power = accelerator.leakage.get(name)
    unmoved = accelerator.static is None if power is None else power.high == 0
    if unmoved:
        return
    figure = "static.static_power_w, which may hold its leakage" if power is None else f"prices.{name}.leakage_w"
    raise InvalidInput(
        f"accelerator {accelerator.name!r} gives {figure}, which is not known at another capacity of {name!r}; "
        f"write a file for each capacity with its own leakage, or sweep a machine without static figures"
    )


def _figures(counts: OperationCounts, accelerator: Accelerator) -> dict[str, object]:
    """The figures of one row."""
    result: EnergyEstimate = estimate(counts, accelerator)
    machine, groups = accelerator.architecture, result.by("group")
    low, high = result.bounds_pj
    bits = sum(parameter_bits(layer, counts.workload, counts.steps) for layer in counts.workload.layers)
    return {
        "energy_pj": result.energy_pj,
        **{f"{group}_pj": float(groups.get(group, 0.0)) for group in ("logic", "sram", "dram")},
        "static_pj": np.nan if result.static_pj is None else result.static_pj,
        "compared_pj": result.compared_pj,
        "low_pj": low,
        "high_pj": high,
        "latency_s": np.nan if result.latency_s is None else result.latency_s,
        "seconds_per_inference": np.nan if result.seconds_per_inference is None else result.seconds_per_inference,
        "synaptic_operations": counts.synaptic_operations,
        "weight_bytes": -(-bits // 8),
        "resident": place(counts.workload, machine, counts.steps).backing is None and machine.weights != "reload"
        if isinstance(machine, Grid)
        else pd.NA,
    }


def _other_zeros(variant: Workload, workload: Workload) -> bool:
    """Whether a layer has zero weights that the workload's own layer has not."""
    return any(
        layer.nonzero is not None and layer.nonzero is not workload.layer(layer.name).nonzero
        for layer in variant.layers
    )


def _check_values(
    rates: Sequence[float],
    steps: Sequence[int],
    weight_bits: Sequence[int] | None,
    memory_bytes: Sequence[int] | None,
) -> None:
    given = {"rates": rates, "steps": steps, "weight_bits": weight_bits, "memory_bytes": memory_bytes}
    for name, values in given.items():
        if values is not None and (not len(values) or len(set(values)) < len(values)):
            raise InvalidInput(f"sweep: {name} is {list(values)}; give one or more values, each once")
    for value in steps:
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= MOST_STEPS:
            raise InvalidInput(f"sweep: steps holds {value!r}; give integers from 1 to {MOST_STEPS:,}")
