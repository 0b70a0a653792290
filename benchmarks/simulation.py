"""A VGG-11 on a dense array, from its trace on disk, as a share of its forward pass; and how fast it is priced."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch
from layers import RATE, SAMPLES, STEPS
from measure import Row, ratio, summary, take_turns
from spikejoule.energy.machines.accelerator import Accelerator, load_accelerator
from spikejoule.energy.pricing.action_costs import price_actions
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.sim.counting.operations import count
from spikejoule.sim.hardware.action_table import read_actions, write_actions
from spikejoule.sim.hardware.execution import ActionCounts, execute
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

IMAGE = (3, 32, 32)
MACHINE = "grid-45nm"
ROUNDS = 7


def vgg11() -> SpikingNetwork:
    """The binary network at full width on held images: convolutions, batch norm, LIF neurons, classifier."""
    config = NetworkConfig(
        network="vgg11", input_shape=IMAGE, input_kind="analog", held_input=True, steps=STEPS, weight_bits=1
    )
    return SpikingNetwork(config).eval()


def price_tables(machine: Accelerator, tables: int) -> list[Accelerator]:
    """The machine at so many prices, all different."""
    factors = np.geomspace(0.5, 2.0, tables)
    return [
        dataclasses.replace(
            machine, prices={key: price.scaled(factor, "benchmark") for key, price in machine.prices.items()}
        )
        for factor in factors
    ]


def simulation_rows() -> list[Row]:
    torch.set_num_threads(1)
    network, machine = vgg11(), load_accelerator(MACHINE)
    workload, rng = network.workload(), np.random.default_rng(1)
    images = torch.rand(1, SAMPLES, *IMAGE).repeat(STEPS, 1, 1, 1, 1)
    signals = {"input": images.numpy()}
    for name, (shape, _) in workload.signals.items():
        if name != "input":
            signals[name] = rng.random((STEPS, SAMPLES, *shape), np.float32) < RATE
    with tempfile.TemporaryDirectory() as folder:
        trace, stored = Path(folder) / "trace.zarr", Path(folder) / "actions.parquet"
        with TraceWriter(trace, workload, STEPS) as writer:
            writer.append(signals)
        operations = count(SpikeTrace.open(trace))

        def forward() -> None:
            with torch.no_grad():
                network(images)

        def simulate() -> ActionCounts:
            return execute(count(SpikeTrace.open(trace)), machine.architecture)

        def run() -> None:
            execute(operations, machine.architecture)

        write_actions(simulate(), stored)
        candidates = {"forward": forward, "simulate": simulate, "execute": run}
        seconds = take_turns(candidates, rounds=ROUNDS, warm_up=1)
        table, prices = read_actions(stored), itertools.cycle(price_tables(machine, 100))
        pricing = {
            "read": lambda: price_actions(read_actions(stored), next(prices)),
            "again": lambda: price_actions(table, next(prices)),
        }
        priced = take_turns(pricing)
    what = f"counting and executing a VGG-11 trace on {MACHINE}: share of its forward pass"
    return [
        summary("forward pass of the network (convolutions, batch norm, LIF)", seconds["forward"], "s"),
        ratio(what, seconds["simulate"], seconds["forward"], 0.1, at_least=False),
        ratio("executing alone: share of the forward pass", seconds["execute"], seconds["forward"]),
        summary(
            "its stored action table under further price tables", [1 / x for x in priced["again"]], "tables/s", 100
        ),
        summary("the same, read from disk for each", [1 / x for x in priced["read"]], "tables/s"),
    ]
