"""Memories sized to a network: capacities by hand, prices by capacity, and no ratio beside other silicon."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from spikejoule import cli
from spikejoule.energy.explaining.fitted_memories import fitted, memory_needs
from spikejoule.energy.explaining.ratio import shared_counts
from spikejoule.energy.explaining.what_if_sweep import resized
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.reports.compare import compare
from spikejoule.reports.page.blocks import Paragraph
from spikejoule.reports.sections.fitted_memories import fitted_memories, fitted_rows
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Memory
from spikejoule.sim.network.workload import Conv2d, Identity, Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter
from typer.testing import CliRunner

LEAKY = Path(__file__).parents[2] / "cases" / "leaking-grid.yaml"
CHIP, ARRAY = load_accelerator("event-driven-45nm"), load_accelerator("grid-45nm")
CONV = Conv2d(
    name="conv", in_shape=(2, 16, 16), out_channels=32, kernel_size=3, padding=1, bias=True, channel_vectors=2
)
FC = Linear(name="fc", in_shape=(32, 16, 16), out_features=10, source="conv", neuron="readout")


def recorded(path, layers=(CONV, FC), steps=2, samples=3, rate=0.1, seed=0):
    net = Workload(name="net", input_shape=layers[0].in_shape, layers=tuple(layers))
    rng = np.random.default_rng(seed)
    spikes = {name: rng.random((steps, samples, *shape)) < rate for name, (shape, _) in net.signals.items()}
    with TraceWriter(path, net, steps, provenance={"seed": seed}) as writer:
        labels = np.zeros(samples, np.int64)
        writer.append(spikes, labels=labels, predictions=labels)
    return count(SpikeTrace.open(path)), spikes


@pytest.fixture
def operations(tmp_path):
    return recorded(tmp_path / "t.zarr")[0]


def binary(layers):
    return [replace(layer, weight_kind="binary", weight_bits=1) if layer.weights else layer for layer in layers]


def kib(machine) -> dict[str, float]:
    return {memory.name: memory.kib for memory in machine.architecture.memories}


# Sizes ----------------------------------------------------------------------------------------------------------------
def test_sizes_of_a_scatter_machine_by_hand(tmp_path):
    operations, spikes = recorded(tmp_path / "t.zarr")
    # spikes of two steps as addresses of 13 bits for 8192 neurons; the input's, far fewer, leave as the map comes
    fullest = int((13 * spikes["conv"].sum(axis=(0, 2, 3, 4))).max())
    needs = memory_needs(operations, CHIP.architecture)
    assert needs == {
        "weight": 32 * (2 * 9 * 32 + 2 * 32) + 32 * 8192 * 10,  # weights, two vectors per channel; fc
        "potential": 32 * 8192,  # conv's, as layers run one after the other
        "spike": fullest,
    }
    # 20480 + 2621440 bits are 322.5 KiB, 262144 are 32
    assert kib(fitted(CHIP, operations)) == {
        "weight_sram": 323,
        "state_sram": 32,
        "spike_buffer": -(-fullest // 8192),
        "dram": None,
    }


def test_binary_weights_take_a_smaller_memory_and_their_vectors_stay(tmp_path):
    operations, _ = recorded(tmp_path / "t.zarr", binary([CONV, FC]))
    assert memory_needs(operations, CHIP.architecture)["weight"] == 576 + 32 * 64 + 81920


def test_states_of_all_layers_are_held_together_with_time_outer(operations):
    outer = replace(CHIP.architecture, dataflow=replace(CHIP.architecture.dataflow, time="outer"))
    assert memory_needs(operations, outer)["potential"] == 32 * (8192 + 10)


def test_an_array_that_keeps_its_sums_needs_the_least_of_states(operations):
    needs = memory_needs(operations, ARRAY.architecture)
    assert needs["potential"] == 0
    assert needs["spike"] == 2 * 8192  # a bitmap of two steps
    assert kib(fitted(ARRAY, operations))["state_sram"] == 1


def test_a_map_that_waits_for_a_skip_path_needs_room_beside_the_others(tmp_path):
    conv = replace(CONV, in_shape=(32, 16, 16))
    skip = Identity(name="skip", in_shape=(32, 16, 16), joins="back")
    net = [conv, replace(conv, name="back", source="conv"), skip, replace(FC, source="back")]
    operations, _ = recorded(tmp_path / "t.zarr", net)
    assert memory_needs(operations, ARRAY.architecture)["spike"] == 2 * 2 * 8192


def test_seeds_of_one_variant_share_the_silicon(tmp_path):
    few, many = (recorded(tmp_path / f"{rate}.zarr", rate=rate)[0] for rate in (0.1, 0.5))
    assert kib(fitted(CHIP, few, many)) == kib(fitted(CHIP, many)) != kib(fitted(CHIP, few))


def test_one_memory_for_everything_holds_everything_at_once(operations):
    grid = CHIP.architecture
    every = Memory(name="sram", holds=("weight", "potential", "spike"), kib=8, word_bits=64)
    prices = CHIP.prices | {f"sram.{action}": CHIP.prices[f"state_sram.{action}"] for action in ("read", "write")}
    machine = replace(CHIP, architecture=replace(grid, memories=(every, grid.memories[-1])), prices=prices)
    needs = memory_needs(operations, grid)
    assert kib(fitted(machine, operations))["sram"] == -(-sum(needs.values()) // 8192)


def test_nothing_goes_to_dram_on_a_fitted_machine(operations):
    assert "dram" in set(estimate(operations, CHIP).table["component"])
    for machine in (CHIP, ARRAY):
        assert "dram" not in set(estimate(operations, fitted(machine, operations)).table["component"])


def test_one_kib_less_of_any_memory_would_not_do(operations):
    machine = fitted(CHIP, operations)
    for name, size in kib(machine).items():
        if size is not None and size > 1:
            smaller = resized(machine, round(size - 1) * 1024, name)
            assert "dram" in set(estimate(operations, smaller).table["component"])


# Prices and names -----------------------------------------------------------------------------------------------------
def test_prices_follow_the_capacity(operations):
    machine = fitted(CHIP, operations)
    # from 32 KiB at 20 pJ to 1 MiB at 100 pJ as a power of the capacity
    expected = 20 * (323 / 32) ** (np.log(5) / np.log(32))
    assert machine.prices["weight_sram.read"].value == pytest.approx(expected)
    assert machine.prices["state_sram.write"].value == 20
    assert machine.prices["dram.read"] == CHIP.prices["dram.read"]


def test_the_name_tells_the_sizes(operations):
    machine = fitted(ARRAY, operations)
    assert machine.name == "grid-45nm (fitted: weight_sram 323 KiB, state_sram 1 KiB, spike_buffer 2 KiB)"
    assert machine.title.endswith(" (fitted: weight_sram 323 KiB, state_sram 1 KiB, spike_buffer 2 KiB)")
    assert machine.notes.startswith("Memories fitted to net: weight_sram 323 KiB,")


def test_ratios_never_mix_fixed_and_fitted(operations, tmp_path):
    one, _ = recorded(tmp_path / "one.zarr", binary([CONV, FC]))
    fixed, ours, theirs = CHIP, fitted(CHIP, operations), fitted(CHIP, one)
    for left, right in ((fixed, ours), (ours, theirs)):
        sides = estimate(operations, left), estimate(one, right)
        with pytest.raises(InvalidInput, match="share no prices"):
            shared_counts([sides[0]], [sides[1]])
        with pytest.raises(InvalidInput, match="mixes the accelerators"):
            compare({"fp32": [sides[0]], "BSNN": [sides[1]]}, "fp32")


def test_prices_given_by_hand_are_not_known_at_another_size(operations):
    own = {"state_sram.read": replace(CHIP.prices["state_sram.read"], value=9.0, low=9.0)}
    with pytest.raises(InvalidInput, match="gives the prices of 'state_sram' itself"):
        fitted(replace(CHIP, prices=CHIP.prices | own), operations)


@pytest.mark.parametrize("name", ["sop-45nm", "loihi1-sanafe"])
def test_machines_without_memories_are_refused(operations, name):
    with pytest.raises(InvalidInput, match="no memories that could be fitted"):
        fitted(load_accelerator(name), operations)


def test_two_memories_for_one_kind_of_data_are_refused(operations):
    grid = CHIP.architecture
    second = Memory(name="second", holds=("spike",), kib=64, word_bits=64)
    machine = replace(CHIP, architecture=replace(grid, memories=(*grid.memories[:-1], second, grid.memories[-1])))
    with pytest.raises(InvalidInput, match="several on-chip memories for spikes, spike_buffer, second"):
        fitted(machine, operations)


def test_no_network_is_refused():
    with pytest.raises(InvalidInput, match="no operation counts given"):
        fitted(CHIP)


# Beside what else a machine can do ------------------------------------------------------------------------------------
def on(machine, flow=None, **change):
    """The machine with some fields of its architecture, and of its dataflow, changed."""
    grid = machine.architecture
    return replace(machine, architecture=replace(grid, dataflow=replace(grid.dataflow, **(flow or {})), **change))


def test_unit_events_of_graded_values_have_room(tmp_path):
    """4 steps x 8 values of 20 are 640 addresses of 3 bits: 1,920 bits, beside 96 as values."""
    net = Workload(
        name="net",
        input_shape=(8,),
        input_kind="graded",
        layers=(
            Linear(name="fc", in_shape=(8,), out_features=4, input_kind="graded", weight_kind="integer", weight_bits=8),
        ),
    )
    with TraceWriter(tmp_path / "t.zarr", net, 4) as writer:
        writer.append({"input": np.full((4, 1, 8), 20), "fc": np.zeros((4, 1, 4), bool)})
    operations, machine = count(SpikeTrace.open(tmp_path / "t.zarr")), on(CHIP, {"graded": "events"})
    assert memory_needs(operations, machine.architecture)["spike"] == 4 * 8 * 20 * 3
    small = fitted(machine, operations)
    assert "dram" not in set(estimate(operations, small).table["component"])


@pytest.mark.parametrize("machine", [CHIP, ARRAY], ids=["scatter", "array"])
def test_a_hardware_batch_needs_room_for_all_of_its_spikes_and_states_and_one_set_of_weights(operations, machine):
    one, four = (memory_needs(operations, on(machine, hardware_batch=batch).architecture) for batch in (1, 4))
    assert four == {"weight": one["weight"], "potential": 4 * one["potential"], "spike": 4 * one["spike"]}


def test_a_reloaded_network_takes_nothing_from_dram_but_its_load(operations):
    machine = fitted(on(CHIP, weights="reload", hardware_batch=2), operations)
    moved = estimate(operations, machine).actions.counts
    load = sum(int(n.sum()) for key, n in moved.items() if key[1:] == ("dram", "read"))
    words = 2 * 9 * 32 // 2 + 2 * 32 // 2 + 32 * 256 * 10 // 2  # two of 32 bits in a word of 64
    assert (load, [key for key in moved if key[1:] == ("dram", "write")]) == (3 * words // 2, [])


@pytest.mark.parametrize("kind", ["leakage", "static"])
def test_what_leaks_is_not_fitted(operations, kind):
    machine = load_accelerator(LEAKY)
    with pytest.raises(InvalidInput, match="not known at another capacity"):
        fitted(replace(machine, **{"leakage": {"leakage": {}, "static": machine.leakage}[kind]}), operations)


def test_static_power_outside_the_fitted_memories_is_in_their_row(operations):
    machine = load_accelerator(LEAKY)
    nothing = dict.fromkeys(machine.leakage, machine.leakage["dram"])
    machine = replace(machine, leakage=nothing)
    rows = fitted_rows(compare({"fp32": [estimate(operations, machine)]}, "fp32"))
    assert rows["energy_pj"].tolist() == [estimate(operations, fitted(machine, operations)).total_pj]


# Report ---------------------------------------------------------------------------------------------------------------
@pytest.fixture
def comparison(tmp_path):
    variants = {"fp32": [CONV, FC], "BSNN": binary([CONV, FC])}
    counts = {
        name: [recorded(tmp_path / f"{name}{seed}.zarr", layers, seed=seed)[0] for seed in (0, 1)]
        for name, layers in variants.items()
    }
    return compare({name: [estimate(each, CHIP) for each in group] for name, group in counts.items()}, "fp32"), counts


def test_the_section_has_a_row_per_variant_on_a_machine_of_its_own(comparison):
    made, counts = comparison
    table = fitted_memories(made)[0]
    assert [row[:3] for row in table.rows] == [("fp32", "323", "32"), ("BSNN", "11", "32")]
    energies = {name: [estimate(x, fitted(CHIP, *group)).energy_pj for x in group] for name, group in counts.items()}
    rows = fitted_rows(made)
    assert rows["energy_pj"].tolist() == [*energies["fp32"], *energies["BSNN"]]
    ratios = [a / b for a, b in zip(energies["fp32"], energies["BSNN"], strict=True)]
    assert rows["ratio"].tolist() == [1, 1, *ratios]


def test_a_machine_without_memories_says_why_there_is_no_table(operations):
    made = compare({"fp32": [estimate(operations, load_accelerator("sop-45nm"))]}, "fp32")
    assert fitted_memories(made) == [
        Paragraph(
            "No memories are fitted here: accelerator 'sop-45nm' is of kind operations: it has no memories that could "
            "be fitted; take one of kind grid.",
            "note",
        )
    ]


def test_the_command_line_fits_on_request(tmp_path):
    operations, _ = recorded(tmp_path / "t.zarr")
    printed = CliRunner().invoke(cli.app, ["estimate", str(tmp_path / "t.zarr"), "--memory", "fitted", "--json"])
    found = json.loads(printed.stdout)
    machine = fitted(CHIP, operations)
    assert (found["accelerator"], found["energy_pj"]) == (machine.name, estimate(operations, machine).energy_pj)


def test_published_formulas_have_no_memories_to_fit(tmp_path):
    words = ["estimate", str(tmp_path / "t.zarr"), "--all-models", "--memory", "fitted"]
    assert isinstance(CliRunner().invoke(cli.app, words).exception, InvalidInput)
