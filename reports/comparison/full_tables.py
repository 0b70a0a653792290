"""The report's data in full precision, as tidy tables: energies in pJ, times in s, shares 0..1."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...energy.machines.static_power import StaticPrice
from ...energy.pricing.estimate import EnergyEstimate, estimate
from ...sim.counting.neuron_operations import other_rows

if TYPE_CHECKING:
    from .compared_variants import Compared
    from .matching import Estimates

# logic components that serve one purpose; everything else keeps its own name
PARTS = {"reset": "neuron", "bias": "neuron", "readout": "neuron", "scale": "gate"}
PART_TITLES = {"synapse": "synaptic adds", "neuron": "neurons", "gate": "gate and scale"}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as plain dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def every_estimate(comparison: Compared) -> Iterator[tuple[str, object, EnergyEstimate]]:
    """(variant, seed, estimate) on the main accelerator."""
    for variant, group in comparison.estimates.items():
        for seed, result in zip(comparison.seeds, group, strict=True):
            yield variant, seed, result


def machines(comparison: Compared) -> list[Estimates]:
    """The main accelerator's estimates, then the others'."""
    return [comparison.estimates, *comparison.others]


def energy(comparison: Compared) -> pd.DataFrame:
    """Every priced row of every estimate on every accelerator."""
    frames = []
    for group in machines(comparison):
        for variant, results in group.items():
            for seed, result in zip(comparison.seeds, results, strict=True):
                keys = pd.DataFrame(
                    {"accelerator": result.accelerator.name, "variant": variant, "seed": seed}, index=result.table.index
                )
                frames.append(pd.concat([keys, result.table], axis=1))
    return pd.concat(frames, ignore_index=True)


def energy_by_part(estimates: Estimates) -> pd.DataFrame:
    """Mean energy in pJ over seeds: one row per variant, one column per part of the machine, ordered as `parts`."""
    columns: dict[str, dict[str, float]] = {}
    for variant, group in estimates.items():
        for result in group:
            for component, value in result.by("component").items():
                part = part_of(result, str(component))
                row = columns.setdefault(part, {})
                row[variant] = row.get(variant, 0.0) + float(value) / len(group)
    order = [part for part in parts(estimates) if part in columns]
    return pd.DataFrame({part: columns[part] for part in order}, index=list(estimates)).fillna(0.0)


def parts(*machines: Estimates) -> list[str]:
    """Every part that takes energy on these machines: logic first, then memories from inner to outer."""
    found: dict[str, int] = {}
    for estimates in machines:
        for group in estimates.values():
            for result in group:
                levels = [memory.name for memory in getattr(result.accelerator.architecture, "memories", ())]
                for component in result.table["component"].unique():
                    part = part_of(result, component)
                    rank = len(PART_TITLES) + 1 + levels.index(component) if component in levels else len(PART_TITLES)
                    found[part] = list(PART_TITLES.values()).index(part) if part in PART_TITLES.values() else rank
    return sorted(found, key=lambda part: (found[part], part))


def part_of(result: EnergyEstimate, component: str) -> str:
    """The part of the machine a component is shown under."""
    if result.accelerator.memory(component) is not None:
        return {"dram": "DRAM"}.get(component, component.replace("_", " ").replace("sram", "SRAM"))
    part = PARTS.get(component, component)
    return PART_TITLES.get(part, part)


def energy_by_layer(estimates: Estimates) -> pd.DataFrame:
    """Mean energy in pJ over seeds: one row per layer in network order, one column per variant."""
    columns = {}
    for variant, group in estimates.items():
        columns[variant] = pd.concat([result.by("layer") for result in group]).groupby(level=0).sum() / len(group)
    return pd.DataFrame(columns).reindex(_layer_order(estimates)).fillna(0.0)


def _layer_order(estimates: Estimates) -> list[str]:
    names: dict[str, None] = {}
    for group in estimates.values():
        names |= dict.fromkeys(group[0].table["layer"])
    return list(names)


def firing(comparison: Compared) -> pd.DataFrame:
    """Spikes per neuron: ``variant, seed, layer, step, rate``; steps from 1."""
    rows = []
    for variant, seed, result in every_estimate(comparison):
        operations = result.operations
        for name, layer in operations.layers.items():
            if layer.spikes is None:
                continue
            rates = layer.spikes.sum(axis=1) / (operations.workload.layer(name).neurons * operations.samples)
            for step, rate in enumerate(rates.tolist(), start=1):
                rows.append({"variant": variant, "seed": seed, "layer": name, "step": step, "rate": rate})
    return pd.DataFrame(rows, columns=["variant", "seed", "layer", "step", "rate"])


def training(comparison: Compared) -> pd.DataFrame:
    """Training logs of all variants: ``variant, seed, epoch, layer, quantity, value``."""
    frames = [
        log.loc[:, ["epoch", "layer", "quantity", "value"]].assign(variant=variant, seed=seed)
        for variant, logs in comparison.logs.items()
        for seed, log in zip(comparison.seeds, logs, strict=True)
    ]
    columns = ["variant", "seed", "epoch", "layer", "quantity", "value"]
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def per_sample(comparison: Compared) -> pd.DataFrame:
    """Energy and time of every inference: ``variant, seed, sample, energy_pj, static_pj, total_pj, latency_s``.

    ``energy_pj`` is that of events, ``static_pj`` static power x the time of that inference (on chips the same for
    all); NaN where static power or time is not known.
    """
    frames = []
    for variant, seed, result in every_estimate(comparison):
        times = result.actions.latency_s
        columns = {"variant": variant, "seed": seed, "sample": np.arange(result.operations.samples)}
        latency = np.nan if times is None else times
        static = np.nan if result.static_sample_pj is None else result.static_sample_pj
        energies = {"energy_pj": result.sample_pj, "static_pj": static, "total_pj": result.sample_pj + static}
        frames.append(pd.DataFrame({**columns, **energies, "latency_s": latency}))
    return pd.concat(frames, ignore_index=True)


def quantiles(comparison: Compared) -> pd.DataFrame:
    """Energy of events in pJ per variant over the samples of all seeds: mean, quantiles, smallest and largest.

    ``static_pj`` and ``total_pj`` are means; NaN where static power or time is not known.
    """
    rows = {}
    for variant, group in comparison.estimates.items():
        values = np.concatenate([result.sample_pj for result in group])
        levels = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
        names = ("p05_pj", "p25_pj", "median_pj", "p75_pj", "p95_pj")
        rows[variant] = {"mean_pj": float(values.mean()), **dict(zip(names, levels, strict=True))}
        rows[variant] |= {"min_pj": float(values.min()), "max_pj": float(values.max())}
        static = float(np.mean([np.nan if result.static_pj is None else result.static_pj for result in group]))
        rows[variant] |= {"static_pj": static, "total_pj": float(values.mean()) + static}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant").reset_index()


def gate_cost(comparison: Compared) -> pd.DataFrame:
    """What a live gate costs: the same spikes priced with the gate and as if it were a constant folded away.

    ``variant, part, live_pj, folded_pj, difference_pj, frozen_pj``, means over seeds; one block per variant with a live
    gate; ``frozen_pj`` is the variant ``<name>, frozen`` with its own spikes, NaN without one. The difference holds the
    gate's own operations, the scale that can no longer fold, and the second current array; where the machine's file has
    a static part, also static power x the time that they take.
    """
    rows = []
    for variant, group in comparison.estimates.items():
        layers = group[0].operations.workload.layers
        if not any(layer.gate is not None for layer in layers):
            continue
        sides = {"live_pj": {"x": group}, "folded_pj": {"x": tuple(folded(result) for result in group)}}
        frozen = comparison.estimates.get(f"{variant}, frozen")
        if frozen is not None:
            sides["frozen_pj"] = {"x": frozen}
        energies = {column: energy_by_part(side).iloc[0] for column, side in sides.items()}
        for part in parts(*sides.values()):
            values = {column: float(series.get(part, 0.0)) for column, series in energies.items()}
            rows.append({"variant": variant, "part": part, **values})
        if group[0].static_pj is not None:
            still = {column: float(np.mean([each.static_pj for each in side["x"]])) for column, side in sides.items()}
            rows.append({"variant": variant, "part": "static power \N{MULTIPLICATION SIGN} time", **still})
    frame = pd.DataFrame(rows, columns=["variant", "part", "live_pj", "folded_pj", "frozen_pj"])
    return frame.assign(difference_pj=frame["live_pj"] - frame["folded_pj"])


def folded(result: EnergyEstimate) -> EnergyEstimate:
    """The same trace on the same machine, as if the gain were constant: it folds, and so does batch norm again."""
    operations = result.operations
    plain = tuple(
        dataclasses.replace(layer, gate=None, scale="folded" if layer.gate == "live" else layer.scale)
        for layer in operations.workload.layers
    )
    layers = {}
    for layer in plain:
        counts = operations.layers[layer.name]
        rows = other_rows(layer, counts.spikes, counts.synaptic.all_weights.shape)
        layers[layer.name] = dataclasses.replace(counts, rows=rows)
    workload = dataclasses.replace(operations.workload, layers=plain)
    return estimate(dataclasses.replace(operations, workload=workload, layers=layers), result.accelerator)


def prices(comparison: Compared) -> pd.DataFrame:
    """Every price that some estimate used, with its bounds and source, per accelerator: logic first, then memories."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for group in (*machines(comparison), _replayed(comparison)):
        for results in group.values():
            for result in results:
                machine = result.accelerator
                for component, action in result.table[["component", "action"]].itertuples(index=False):
                    memory = machine.memory(component) is not None
                    key = machine.price_key(component, action)
                    row = {"accelerator": machine.name, "action": key, "per": "word" if memory else "operation"}
                    rows[machine.name, key] = row | dataclasses.asdict(machine.prices[key])
                rows |= {(machine.name, static.key): _static_row(result, static) for static in machine.static_prices}
    order = [estimates[comparison.baseline][0].accelerator.name for estimates in machines(comparison)]
    ordered = sorted(rows.values(), key=lambda row: (order.index(row["accelerator"]), row["per"], row["action"]))
    return pd.DataFrame(ordered)


def _static_row(result: EnergyEstimate, price: StaticPrice) -> dict[str, object]:
    """Static power x time as a price: the energy of one unit in one step, or of a part of a grid in one second."""
    machine, figures = result.accelerator, price.figures
    reasons = [figure.reason for figure in figures if figure.reason]
    first = next(iter(machine.prices.values()))
    row: dict[str, object] = {"accelerator": machine.name, "action": price.key, "per": price.per}
    row |= {name: getattr(price, name) for name in ("low", "value", "high", "scope")}
    row |= {name: getattr(figures[0], name, getattr(first, name)) for name in ("node_nm", "voltage_v")}
    row |= {"basis": ", ".join(dict.fromkeys(figure.basis for figure in figures))}
    return row | {"source": "; ".join(figure.source for figure in figures), "reason": "; ".join(reasons) or None}


def _replayed(comparison: Compared) -> dict[str, tuple[EnergyEstimate, ...]]:
    """Estimates at other state widths, all on the main accelerator."""
    return {
        variant: tuple(one.estimate for runs in group for one in runs if one.estimate is not None)
        for variant, group in comparison.replayed.items()
    }


def priced(comparison: Compared) -> pd.DataFrame:
    """What each machine's components did: ``accelerator, component, actions``."""
    found: dict[tuple[str, str], set[str]] = {}
    for group in machines(comparison):
        for results in group.values():
            for result in results:
                for component, action in result.table[["component", "action"]].itertuples(index=False):
                    found.setdefault((result.accelerator.name, str(component)), set()).add(str(action))
                if result.static_pj is not None:
                    on_chip = result.accelerator.architecture.kind == "event"
                    told = "time per step, measured or fixed" if on_chip else "modelled time of an inference"
                    found[result.accelerator.name, "static power"] = {told}
    rows = [(*key, ", ".join(sorted(actions))) for key, actions in found.items()]
    return pd.DataFrame(rows, columns=["accelerator", "component", "actions"])


def omitted(comparison: Compared) -> pd.DataFrame:
    """What each machine's model leaves out on purpose: ``accelerator, part, reason``."""
    rows: dict[tuple[str, str], str] = {}
    for group in machines(comparison):
        for results in group.values():
            for part, reason in results[0].omitted.items():
                if part == "static power" and results[0].static_pj is not None:
                    continue  # it has a number of its own
                rows[results[0].accelerator.name, part] = reason
    return pd.DataFrame([(*key, reason) for key, reason in rows.items()], columns=["accelerator", "part", "reason"])


def runs(comparison: Compared) -> pd.DataFrame:
    """Where every trace comes from: ``variant, seed, run, trace_hash, dataset, split, samples, steps``."""
    rows = []
    for variant, seed, result in every_estimate(comparison):
        origin = result.provenance
        row = {"variant": variant, "seed": seed, "run": str(origin.get("run", ""))}
        row |= {"trace_hash": result.operations.trace_hash, "dataset": str(origin.get("dataset", ""))}
        row |= {"split": str(origin.get("split", "")), "samples": result.operations.samples}
        rows.append({**row, "steps": result.operations.steps})
    return pd.DataFrame(rows)


def versions(comparison: Compared) -> dict[str, str]:
    """Versions of what produced the traces; several where they differ."""
    found: dict[str, dict[str, None]] = {}
    for _, _, result in every_estimate(comparison):
        given = result.provenance.get("versions", {})
        for name, version in given.items() if isinstance(given, Mapping) else ():
            found.setdefault(str(name), {})[str(version)] = None
    return {name: ", ".join(versions) for name, versions in sorted(found.items())}
