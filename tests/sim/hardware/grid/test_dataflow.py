"""Closed forms of dense arrays against SCALE-Sim's figures, and against a loop nest that is walked step by step.

The walker knows folds, ports and registers only. A port fetches when the index of its operand changes. Ports and
registers are empty after the array has drained: ports at every new fold and load, the registers that hold potentials
only at a new fold.
"""

import json
from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from spikejoule.sim.counting.synthetic import bernoulli_counts
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.hardware.architecture import Compute, Dataflow, Grid, Memory, NeuronUnit
from spikejoule.sim.hardware.execution import execute
from spikejoule.sim.hardware.grid.dataflow import MatrixShape, Schedule, array_accesses, matrix_shape
from spikejoule.sim.network.workload import Conv2d, ConvTranspose2d, Linear, Pool, Workload

CASES = json.loads((Path(__file__).parents[3] / "cases" / "scalesim_16x16.json").read_text())
NAMES = {"ws": "weight", "os": "output", "is": "input"}


def blocks(size: int, part: int) -> list[range]:
    return [range(start, min(start + part, size)) for start in range(0, size, part)]


class Walker:
    """Walks one layer through an array, counting every fetch."""

    def __init__(self, shape, rows, cols, stationary, steps, time, accumulators):
        self.shape, self.rows, self.cols, self.steps, self.time = shape, rows, cols, steps, time
        self.accumulators = accumulators
        self.count, self.ports, self.runs = Counter(), {}, set()
        self.visits = defaultdict(list)  # neuron -> steps of each visit to the register that updates it
        self.walk = {"weight": self.weight, "output": self.output, "input": self.input}[stationary]

    def drain(self):
        self.ports = {}

    def fetch(self, what, port, index):
        if self.ports.get((what, port)) != index:
            self.ports[what, port] = index
            self.count[what] += 1

    def update(self, register, neuron, step):
        if self.ports.get(("neuron", register)) != neuron:
            self.ports["neuron", register] = neuron
            self.visits[neuron].append([])
        self.visits[neuron][-1].append(step)

    def wavefront(self, items, preload):
        """Time until the last of the items has passed the far corner of the array."""
        last = max(item + row + col for item in (0, items - 1) for row in range(self.rows) for col in range(self.cols))
        self.count["cycles"] += preload + last + 1

    def result(self):
        orders = [range(self.steps)] if self.time == "inner" else [range(step, step + 1) for step in range(self.steps)]
        for steps in orders:
            for group in range(self.shape.groups):
                self.walk(group, steps)
        # potentials start and end in memory, unless all steps of a neuron were one visit
        for visits in self.visits.values():
            self.count["potentials"] += 0 if self.time == "inner" and len(visits) == 1 else len(visits)
        assert all(sorted(chain(*visits)) == list(range(self.steps)) for visits in self.visits.values())
        self.count["cycles"] -= len(self.runs)  # cycles are numbered from 0 in every run of the array
        return {name: self.count[name] for name in ("inputs", "weights", "outputs", "partials", "potentials", "cycles")}

    def leave(self, col, neuron, step, first, last):
        self.count["outputs"] += 1
        self.count["read back"] += not first
        self.count["partials"] += not last
        if last:
            self.update(col, neuron, step)

    def weight(self, group, steps):
        shape, taps = self.shape, blocks(self.shape.taps, self.rows)
        for channels in blocks(shape.channels, self.cols):
            for fold, tile in enumerate(taps):
                self.drain()
                self.runs.add(steps[0])
                for tap in tile:
                    for channel in channels:
                        self.fetch("weights", (tap, channel), (tap, channel))
                for position in range(shape.positions):
                    for step in steps:
                        for row, tap in enumerate(tile):
                            self.fetch("inputs", row, (step, position, tap))
                        for col, channel in enumerate(channels):
                            neuron = (group, position, channel)
                            self.leave(col, neuron, step, fold == 0, fold == len(taps) - 1)
                self.wavefront(shape.positions * len(steps), self.rows)

    def output(self, group, steps):
        shape = self.shape
        for channels in blocks(shape.channels, self.cols):
            for positions in blocks(shape.positions, self.rows):
                self.drain()
                for together in blocks(len(steps), self.accumulators):
                    self.ports = {key: index for key, index in self.ports.items() if key[0] == "neuron"}
                    now = [steps[i] for i in together]
                    self.runs.add(now[0])
                    for tap in range(shape.taps):
                        for step in now:
                            for col, channel in enumerate(channels):
                                self.fetch("weights", col, (tap, channel))
                            for row, position in enumerate(positions):
                                self.fetch("inputs", row, (step, position, tap))
                    for step in now:
                        for row, position in enumerate(positions):
                            for col, channel in enumerate(channels):
                                self.leave((row, col), (group, position, channel), step, True, True)
                    self.wavefront(shape.taps * len(now), 0)

    def input(self, group, steps):
        shape, taps = self.shape, blocks(self.shape.taps, self.rows)
        for positions in blocks(shape.positions, self.cols):
            for fold, tile in enumerate(taps):
                self.drain()
                for step in steps:
                    self.ports = {key: index for key, index in self.ports.items() if key[0] == "neuron"}
                    self.runs.add(step)
                    for tap in tile:
                        for position in positions:
                            self.fetch("inputs", (tap, position), (step, tap, position))
                    for channel in range(shape.channels):
                        for row, tap in enumerate(tile):
                            self.fetch("weights", row, (tap, channel))
                        for col, position in enumerate(positions):
                            self.leave(col, (group, position, channel), step, fold == 0, fold == len(taps) - 1)
                    self.wavefront(shape.channels, self.rows)


@pytest.mark.parametrize("case", CASES, ids=[case["dataflow"] for case in CASES])
def test_one_step_is_scale_sims(case):
    at = case["layer"]
    layer = Conv2d(name="c", in_shape=(at["ci"], at["hi"], at["wi"]), out_channels=at["co"], kernel_size=at["k"])
    got = array_accesses(matrix_shape(layer), *case["array"], NAMES[case["dataflow"]])
    result = {"ifmap": got.inputs, "filter": got.weights, "ofmap": got.outputs, "cycles": got.cycles}
    assert result == case["formula"]


@pytest.mark.parametrize("time", ["inner", "outer"])
@pytest.mark.parametrize("stationary", ["weight", "output", "input"])
def test_closed_forms_are_those_of_the_walked_loop_nest(stationary, time):
    rng = np.random.default_rng(0)
    for _ in range(200):
        positions, taps, channels = (int(size) for size in rng.integers(1, 8, 3))
        groups, rows, cols, steps, accumulators = (int(rng.integers(1, top)) for top in (3, 6, 6, 5, 4))
        shape = MatrixShape(positions, taps, channels, groups)
        walker = Walker(shape, rows, cols, stationary, steps, time, accumulators)
        walked = walker.result()
        closed = array_accesses(shape, rows, cols, stationary, steps=steps, time=time, accumulators=accumulators)
        assert vars(closed) == walked, (shape, rows, cols, steps, accumulators)
        assert walker.count["read back"] == walker.count["partials"]


@pytest.mark.parametrize("time", ["inner", "outer"])
@pytest.mark.parametrize("stationary", ["weight", "output", "input"])
def test_a_hardware_batch_is_the_loop_nest_walked_over_the_positions_of_all(stationary, time):
    rng = np.random.default_rng(1)
    for _ in range(25):
        groups, side, channels, kernel = (int(rng.integers(1, top)) for top in (3, 5, 5, 3))
        shape = (2 * groups, side + kernel, side)
        layer = Conv2d(name="c", in_shape=shape, out_channels=groups * channels, kernel_size=(kernel, 1), groups=groups)
        rows, cols, steps, accumulators, batch = (int(n) for n in rng.integers((2, 1, 1, 1, 1), (6, 6, 5, 4, 6)))
        memories = tuple(  # an element per word, and no time of their own
            Memory(name=name, holds=(name,), kib=4096, word_bits=bits, bandwidth_bytes_per_s=1e30)
            for name, bits in (("weight", 32), ("potential", 32), ("spike", 1))
        )
        machine = Grid(
            clock_hz=1.0,
            compute=Compute(rows=rows, cols=cols, zero="dense", accumulators=accumulators),
            neuron=NeuronUnit(lanes=8192),
            dataflow=Dataflow(stationary=stationary, time=time, spike_code="bitmap"),
            memories=(*memories, Memory(name="dram", holds=("weight", "potential", "spike"), word_bits=64)),
            hardware_batch=batch,
        )
        net = Workload(name="one", input_shape=shape, layers=(layer,))
        actions = execute(bernoulli_counts(net, 0.3, steps=steps, samples=2 * batch), machine)
        one = matrix_shape(layer)
        positions = MatrixShape(batch * one.positions, one.taps, one.channels, one.groups)
        walked = Walker(positions, rows, cols, stationary, steps, time, accumulators).result()
        got = {key[1:]: int(counts[:, :batch].sum()) for key, counts in actions.counts.items()}
        assert got["weight", "read"] == walked["weights"]
        assert got["spike", "read"] == walked["inputs"]
        assert got.get(("potential", "write"), 0) == walked["partials"] + walked["potentials"]
        assert actions.latency_s.tolist() == pytest.approx([walked["cycles"]] * 2 * batch)


@pytest.mark.parametrize(
    ("accumulators", "loads"),
    [(1, 10), (4, 3), (10, 1), (64, 1)],
)
def test_accumulators_let_a_weight_serve_several_steps(accumulators, loads):
    shape = MatrixShape(positions=20, taps=9, channels=4)
    once = array_accesses(shape, 8, 4, "output").weights
    assert array_accesses(shape, 8, 4, "output", steps=10, accumulators=accumulators).weights == loads * once


def test_a_depthwise_convolution_is_as_many_products_as_channels():
    layer = Conv2d(name="c", in_shape=(6, 8, 8), out_channels=12, kernel_size=3, groups=6)
    assert matrix_shape(layer) == MatrixShape(positions=36, taps=9, channels=2, groups=6)


def test_a_transposed_convolution_has_the_taps_of_its_kernel():
    layer = ConvTranspose2d(name="c", in_shape=(4, 3, 3), out_channels=2, kernel_size=2, stride=2)
    assert matrix_shape(layer) == MatrixShape(positions=36, taps=16, channels=2)


def test_a_pooled_classifier_has_a_tap_per_input_element():
    assert matrix_shape(Linear(name="f", in_shape=(4, 3, 3), out_features=5, pooled=True)) == MatrixShape(1, 36, 5)


def test_a_layer_without_weights_is_no_product():
    with pytest.raises(InvalidInput, match="'p': Pool has no weights"):
        matrix_shape(Pool(name="p", in_shape=(1, 4, 4), mode="max", kernel_size=2, neuron=None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stationary": "row"}, "dataflow 'row' is not known; use one of weight, output, input"),
        ({"time": "middle"}, "time 'middle' is not known; use one of inner, outer"),
        ({"rows": 0}, "rows is 0"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        Schedule(**({"shape": MatrixShape(1, 1, 1), "rows": 1, "cols": 1, "stationary": "weight"} | change))
