"""Counting a whole trace: the same figures whatever the chunks, blocks of steps and workers."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
from spikejoule.sim.counting.layer_counts import count_layer
from spikejoule.sim.counting.neuron_operations import other_rows
from spikejoule.sim.counting.operations import count
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Add, Conv2d, Linear, Pool, RecurrentLinear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

CONV = Conv2d(name="conv", in_shape=(2, 6, 6), out_channels=3, kernel_size=3, padding=1, bias=True, channel_vectors=2)
FC = Linear(name="fc", in_shape=(3, 6, 6), out_features=4, source="conv", neuron="readout", bias=True)
NET = Workload(name="net", input_shape=(2, 6, 6), layers=(CONV, FC))


def write(path, net: Workload, steps: int, samples: int, rate: float = 0.3, **options):
    rng = np.random.default_rng(1)
    spikes = {name: rng.random((steps, samples, *shape)) < rate for name, (shape, _) in net.signals.items()}
    with TraceWriter(path, net, steps, **options) as writer:
        writer.append(spikes)
    return SpikeTrace.open(path)


def equal(left, right) -> bool:
    return left.to_frame().equals(right.to_frame())


def test_rows_equal_the_counts_of_single_layers(tmp_path):
    trace = write(tmp_path / "trace.zarr", NET, 4, 7)
    counts = count(trace)
    for layer in NET.layers:
        expected = count_layer(layer, trace.read(layer.source))
        assert (counts.layers[layer.name].synaptic.all_weights == expected.all_weights).all()
    assert (counts.layers["conv"].spikes == trace.read("conv").sum(axis=(2, 3, 4))).all()
    assert (counts.input_events == trace.read("input").sum(axis=(2, 3, 4))).all()


def test_chunks_of_any_size_give_the_same_counts(tmp_path):
    whole = count(write(tmp_path / "whole.zarr", NET, 4, 21))
    for size in (1, 4):
        assert equal(count(write(tmp_path / f"{size}.zarr", NET, 4, 21, chunk_samples=size)), whole)


def test_threads_and_processes_give_the_same_counts(tmp_path):
    trace = write(tmp_path / "trace.zarr", NET, 4, 40, chunk_samples=4)
    alone = count(trace)
    with ThreadPoolExecutor(2) as threads:
        assert equal(count(trace, executor=threads), alone)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert equal(count(trace, executor=processes), alone)


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning"
)  # distributed's own, at import and exit
def test_a_dask_cluster_gives_the_same_counts(tmp_path):
    distributed = pytest.importorskip("distributed", reason="the optional extra `cluster` is not installed")
    trace = write(tmp_path / "trace.zarr", NET, 4, 40, chunk_samples=4)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert equal(count(trace, executor=client.get_executor()), count(trace))


def test_a_trace_that_changes_while_it_is_counted_is_refused(tmp_path):
    trace = write(tmp_path / "trace.zarr", NET, 4, 8)
    write(tmp_path / "trace.zarr", NET, 4, 8, rate=0.5, overwrite=True)
    with ThreadPoolExecutor(1) as threads, pytest.raises(InvalidInput, match="changed"):
        count(trace, executor=threads)


def test_blocks_of_steps_give_what_all_steps_at_once_give(tmp_path):
    forward = Linear(name="hidden", in_shape=(600_000,), out_features=3)
    back = RecurrentLinear(name="back", in_shape=(3,), out_features=3, source="hidden", joins="hidden", neuron=None)
    net = Workload(name="long", input_shape=(600_000,), layers=(forward, back))
    rng = np.random.default_rng(0)
    hidden = rng.random((60, 1, 3)) < 0.5
    path = tmp_path / "long.zarr"
    with TraceWriter(path, net, 60) as writer:
        writer.append({"input": rng.random((60, 1, 600_000), np.float32) < 0.01, "hidden": hidden})
    trace = SpikeTrace.open(path)
    assert len(list(trace.blocks("input"))) > 1
    counts = count(trace)
    assert (counts.layers["hidden"].synaptic.all_weights == 3 * counts.input_events).all()
    recurrent = counts.layers["back"].synaptic.all_weights[:, 0]
    assert recurrent.tolist() == [0, *(3 * hidden[:-1, 0].sum(axis=1)).tolist()]  # it reads the step before


def test_layers_without_weights_are_counted_but_are_no_synaptic_operations(tmp_path):
    conv = Conv2d(name="a", in_shape=(1, 4, 4), out_channels=1, kernel_size=3, padding=1)
    pool = Pool(name="pool", in_shape=(1, 4, 4), source="a", mode="max", kernel_size=2, neuron=None)
    add = Add(name="sum", in_shape=(1, 4, 4), source="a", others=("input",), mode="or", neuron=None)
    net = Workload(name="mixed", input_shape=(1, 4, 4), layers=(conv, pool, add))
    counts = count(write(tmp_path / "mixed.zarr", net, 2, 3))
    assert counts.layers["pool"].synaptic.all_weights.sum() > 0
    assert counts.synaptic_operations == counts.layers["a"].synaptic.all_weights.sum() / 3


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        ("lif_soft", {}),
        ("lif_hard", {}),
        ("if_soft", {("gate", "multiply"): 108}),
        ("if_hard", {("gate", "multiply"): 108}),
    ],
)
def test_a_gain_per_step_is_the_multiply_of_the_leak(model, rows):
    gained, plain = (
        other_rows(replace(CONV, neuron=model, gate=gate), np.zeros((2, 1), np.int64), (2, 1))
        for gate in ("per_step", None)
    )
    new = {key: values for key, values in gained.items() if key not in plain}
    assert {key: values[:, 0].tolist() for key, values in new.items()} == {key: [n, n] for key, n in rows.items()}
    assert sum(int(values[0, 0]) for (_, operation), values in gained.items() if operation == "multiply") == 108
    assert plain.keys() <= gained.keys()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (replace(FC, gate="per_step"), "'fc' is a readout with a per_step gate"),
        (replace(CONV, neuron=None, joins="other", gate="per_step"), "'conv' has a per_step gate but no neurons"),
        (replace(CONV, neuron=None, joins="other", gate="live"), "'conv' has a live gate but no neurons"),
    ],
)
def test_gates_without_a_rule_are_refused(layer, message):
    with pytest.raises(InvalidInput, match=message):
        other_rows(layer, None, (2, 1))


@pytest.mark.parametrize(
    ("kind", "scale", "rescaled"),
    [
        ("integer", "folded", True),
        ("integer", "none", False),
        ("float", "folded", False),
        ("binary", "folded", False),
        ("ternary", "folded", False),
    ],
)
def test_only_a_scaled_branch_of_integer_weights_is_rescaled(kind, scale, rescaled):
    branch = replace(CONV, neuron=None, joins="other", bias=False, weight_kind=kind, weight_bits=None, scale=scale)
    rows = {key: n[:, 0].tolist() for key, n in other_rows(branch, None, (2, 1)).items()}
    assert rows == ({("scale", "multiply"): [108] * 2, ("scale", "add"): [108] * 2} if rescaled else {})


MEASURE = """
import pathlib, sys
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.counting.operations import count
import zarr, numcodecs.zstd, hashlib
def peak():  # of this process alone: ru_maxrss would start at the parent's
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
counts = count(SpikeTrace.open(sys.argv[1], memory=96 * 2**20))
print((peak() - before) // 1024, counts.layers["conv"].spikes.sum())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_trace_ten_times_larger_than_the_memory_setting_is_counted_within_it(tmp_path):
    conv = Conv2d(name="conv", in_shape=(64, 64, 64), out_channels=64, kernel_size=3, padding=1)
    net = Workload(name="large", input_shape=(64, 64, 64), layers=(conv,))
    rng = np.random.default_rng(0)
    spikes = rng.random((16, 4, 64, 64, 64), np.float32) < 0.1
    path = tmp_path / "large.zarr"
    with TraceWriter(path, net, 16) as writer:
        for _ in range(240):  # 16 steps x 960 samples x 2 signals x 32 KiB = 960 MiB packed
            writer.append({"input": spikes, "conv": spikes})
    trace = SpikeTrace.open(path)
    packed = 2 * trace.samples * 16 * 64**3 // 8
    assert packed >= 10 * 96 * 2**20
    result = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    peak_mib, spiked = map(int, result.stdout.split())
    assert spiked == 240 * int(spikes.sum())
    assert peak_mib <= 96, f"{peak_mib} MiB above the imported process"
