"""How fast networks are replayed: synaptic operations per second of one core, neuron updates included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from measure import Row, summary, take_turns
from spikejoule.sim.network.workload import AveragePool, Conv2d, Identity, Linear, RecurrentLinear, Workload
from spikejoule.sim.replay.parameters import FixedPoint, LayerParameters, Number, Real
from spikejoule.sim.replay.replay import replay

STEPS, SAMPLES, RATE = 10, 4, 0.1
BOUND = 100.0  # million synaptic operations per second
NUMBERS: dict[str, Number] = {"float64": Real(), "16 bits": FixedPoint(state_bits=16, frac_bits=8)}


def networks() -> dict[str, Workload]:
    """A convolution of a wide network, a small one on event frames, a residual block, and self-connections."""
    wide = Conv2d(name="conv", in_shape=(64, 16, 16), out_channels=64, kernel_size=3, padding=1, weight_kind="binary")
    pool = AveragePool(kernel_size=(2, 2))
    first = Conv2d(name="a", in_shape=(2, 34, 34), out_channels=16, kernel_size=3, padding=1, pool=pool)
    second = Conv2d(name="b", in_shape=(16, 17, 17), out_channels=32, kernel_size=3, padding=1, pool=pool, source="a")
    last = Linear(name="c", in_shape=second.neuron_shape, out_features=10, source="b", neuron="readout")
    inner = Conv2d(name="r1", in_shape=(64, 16, 16), out_channels=64, kernel_size=3, padding=1, weight_kind="binary")
    outer = replace(inner, name="r2", source="r1")
    skip = Identity(name="skip", in_shape=(64, 16, 16), joins="r2")
    hidden = Linear(name="h", in_shape=(700,), out_features=256)
    back = RecurrentLinear(name="back", in_shape=(256,), out_features=256, source="h", joins="h")
    return {
        "64 to 64 channels at 16 x 16": Workload(name="wide", input_shape=(64, 16, 16), layers=(wide,)),
        "CSNN on 34 x 34 event frames": Workload(name="csnn", input_shape=(2, 34, 34), layers=(first, second, last)),
        "residual block of 64 channels at 16 x 16": Workload(
            name="residual", input_shape=(64, 16, 16), layers=(inner, outer, skip)
        ),
        "700 inputs to 256 self-connected neurons": Workload(
            name="recurrent", input_shape=(700,), layers=(hidden, back)
        ),
    }


def replay_rows() -> list[Row]:
    rng = np.random.default_rng(1)
    rows = []
    for what, workload in networks().items():
        inputs = rng.random((STEPS, SAMPLES, *workload.input_shape)) < RATE
        parameters = {
            layer.name: LayerParameters(
                weights=rng.choice([-0.25, 0.25], layer.weight_shape) if layer.weights else 1.0,
                leak=1.0 if layer.neuron == "readout" else 0.5,
            )
            for layer in workload.layers
        }
        for state, number in NUMBERS.items():
            done = replay(workload, parameters, inputs, number=number).synaptic_operations

            def run(workload=workload, parameters=parameters, inputs=inputs, number=number) -> None:
                replay(workload, parameters, inputs, number=number)

            seconds = take_turns({what: run}, rounds=5)[what]
            rates = [done / value / 1e6 for value in seconds]
            rows.append(summary(f"{what}, {state}", rates, "M operations/s", BOUND))
    return rows
