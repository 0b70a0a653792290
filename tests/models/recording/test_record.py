"""Recording: what is stored, that the batches do not matter, what is refused, and that nothing is left on the model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from norse.torch import LIFBoxCell, SequentialState
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from spikejoule.models.data.datasets import load_dataset
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.networks.binary_weights import BinaryConv2d
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.neurons import Neurons
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.recording.record import each_step, record
from spikejoule.models.run_folders.run import save_run
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.evaluate import evaluate
from spikejoule.models.training.fit import network_config
from spikejoule.models.training.train import train
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.replay.parameter_file import PARAMETERS, load_parameters
from spikejoule.sim.replay.replay import compare_spikes, replay
from torch import nn

STEPS, SAMPLES = 3, 45  # more than one chunk, and not a whole number of them


def data(shape=(2, 8, 8), batch=10, kind="spike"):
    random = np.random.default_rng(0)
    x = random.random((STEPS, SAMPLES, *shape)).astype(np.float32)
    x = (x < 0.4).astype(np.float32) if kind == "spike" else x
    labels = random.integers(0, 4, SAMPLES)
    return [(x[:, i : i + batch], labels[i : i + batch]) for i in range(0, SAMPLES, batch)]


@pytest.fixture
def network() -> SpikingNetwork:
    torch.manual_seed(0)
    config = NetworkConfig(input_shape=(2, 8, 8), steps=STEPS, classes=4, width=0.5, weight_bits=1, gate=GateConfig())
    model = SpikingNetwork(config)
    for name, value in model.named_parameters():
        if "norm" in name:
            value.data.uniform_(0.5, 2.0)
    return model


class Flat(nn.Module):
    """A general network: all steps at once, in time-major order."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.body = nn.ModuleList(modules)

    def forward(self, x):
        steps, x = len(x), x.flatten(0, 1)
        for module in self.body:
            stepped = isinstance(module, Neurons)
            x = module(x.unflatten(0, (steps, -1))).flatten(0, 1) if stepped else module(x)
        return x.unflatten(0, (steps, -1))


def general() -> Flat:
    torch.manual_seed(0)
    return Flat(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.AvgPool2d(2),
        Neurons(0.2, 0.5),
        BinaryConv2d(4, 6, 3, stride=2, padding=1),
        Neurons(1.0, 0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_recorded_signals_are_what_the_populations_emit(network, tmp_path):
    trace = record(network, data(), path=tmp_path / "t.zarr")
    x = torch.from_numpy(np.concatenate([inputs for inputs, _ in data()], axis=1))
    with torch.no_grad():
        expected = dict(network.eval().populations(x))
    assert np.array_equal(trace.read("input"), x.numpy())
    for name in ("conv1", "conv2", "conv3"):
        assert np.array_equal(trace.read(name), expected[name].numpy())
    assert np.array_equal(trace.predictions, expected["classifier"].mean(0).argmax(1).numpy())
    assert np.array_equal(trace.labels, np.concatenate([labels for _, labels in data()]))


@pytest.mark.parametrize("batch", [1, 7, 16, 45])
def test_batches_do_not_matter(network, tmp_path, batch):
    first = record(network, data(batch=10), path=tmp_path / "a.zarr")
    assert record(network, data(batch=batch), path=tmp_path / "b.zarr").hash == first.hash


def test_hooks_are_removed_and_the_mode_restored(network, tmp_path):
    network.train()
    record(network, data(), path=tmp_path / "t.zarr")
    assert hooks(network) == 0
    assert network.training


def test_hooks_are_removed_after_an_exception(network, tmp_path):
    def broken(model, x):
        model(x)
        raise RuntimeError("in the user's loop")

    with pytest.raises(RuntimeError, match="user's loop"):
        record(network, data(), path=tmp_path / "t.zarr", forward=broken)
    assert hooks(network) == 0
    assert list(tmp_path.iterdir()) == []


def test_values_that_contradict_the_declared_kind_are_refused(network, tmp_path):
    with pytest.raises(InvalidInput, match="spike"):
        record(network, data(kind="analog"), path=tmp_path / "t.zarr")
    assert list(tmp_path.iterdir()) == []


def test_empty_data_are_refused(network, tmp_path):
    with pytest.raises(InvalidInput, match="nothing to record"):
        record(network, [], path=tmp_path / "t.zarr")


@pytest.mark.parametrize(
    ("batches", "steps", "message"),
    [
        ([torch.zeros(2, 5)], None, "give inputs"),
        ([(np.zeros((STEPS, 5, 2, 8, 8)), np.zeros(4))], None, "do not fit a batch of 5"),
        ([np.zeros((STEPS, 5, 2, 8, 8))], 9, "has not 9 steps"),
        ([*data()[:1], data()[1][0]], None, "some have none"),
    ],
)
def test_impossible_batches_are_refused(network, tmp_path, batches, steps, message):
    with pytest.raises(InvalidInput, match=message):
        record(network, batches, steps=steps, path=tmp_path / "t.zarr")


def test_labels_may_be_missing(network, tmp_path):
    assert record(network, [inputs for inputs, _ in data()], path=tmp_path / "t.zarr").labels is None


def test_general_network_becomes_a_workload(tmp_path):
    trace = record(general(), data(), path=tmp_path / "t.zarr")
    first, second, last = trace.workload.layers
    assert [layer.name for layer in (first, second, last)] == ["body.0", "body.4", "body.8"]
    assert (first.weight_kind, second.weight_kind, last.neuron) == ("float", "binary", "readout")
    assert (first.scale, first.channel_vectors, second.channel_vectors) == ("folded", 2, 1)
    assert (first.neuron_shape, second.source, second.out_shape) == ((4, 4, 4), "body.0", (6, 2, 2))
    assert last.pooled


def test_general_network_records_its_spikes(tmp_path):
    model = general().eval()
    trace = record(model, data(), path=tmp_path / "t.zarr")
    x = torch.from_numpy(np.concatenate([inputs for inputs, _ in data()], axis=1))
    with torch.no_grad():
        current = nn.Sequential(*model.body[:3])(x.flatten(0, 1)).unflatten(0, (STEPS, -1))
        expected = model.body[3](current)
    assert np.array_equal(trace.read("body.0"), expected.numpy())


def norse_network() -> SequentialState:
    torch.manual_seed(0)
    parameters = LIFBoxParameters(
        tau_mem_inv=torch.tensor(0.5), v_th=torch.tensor(0.1), method="triangle", alpha=1.0, reset_method=reset_subtract
    )
    return SequentialState(nn.Flatten(), nn.Linear(128, 20), LIFBoxCell(parameters, dt=1.0), nn.Linear(20, 4))


def test_norse_network_is_recorded_step_by_step(tmp_path):
    trace = record(norse_network(), data(), path=tmp_path / "t.zarr", forward=each_step)
    assert [layer.neuron for layer in trace.workload.layers] == ["lif_soft", "readout"]
    assert 0 < trace.read("1").mean() < 1
    assert trace.predictions.shape == (SAMPLES,)


@pytest.mark.parametrize(
    ("place", "module", "message"),
    [
        (1, nn.GroupNorm(2, 4), r"'body.1' \(.*GroupNorm\) has weights \(weight, bias\) and no rule"),
        (3, nn.ReLU(), r"'body.3' .*ReLU\) has no rule"),
        (3, nn.Identity(), "'body.4' follows 'body.0' without neurons"),
        (
            4,
            nn.Sequential(nn.AvgPool2d(2), BinaryConv2d(4, 6, 3, padding=1)),
            "average pooling of spikes 'body.4.0' does not follow",
        ),
        (2, nn.AvgPool2d(3, stride=2), "'body.2' overlaps"),
    ],
)
def test_module_without_a_rule_is_refused_by_name(tmp_path, place, module, message):
    model = general()
    model.body[place] = module
    with pytest.raises(InvalidInput, match=message):
        record(model, data(), path=tmp_path / "t.zarr")
    assert hooks(model) == 0


def test_weights_of_a_container_are_refused(tmp_path):
    model = general()
    model.gain = nn.Parameter(torch.ones(1))
    with pytest.raises(InvalidInput, match=r"has weights \(gain\) and no rule"):
        record(model, data(), path=tmp_path / "t.zarr")


def test_operation_between_modules_is_refused(tmp_path):
    class Doubled(Flat):
        def forward(self, x):
            return super().forward(1.0 - x)

    with pytest.raises(InvalidInput, match="operation stands outside the modules"):
        record(Doubled(*general().body), data(), path=tmp_path / "t.zarr")


def test_model_without_data_is_refused(network):
    with pytest.raises(InvalidInput, match="needs data"):
        record(network)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=1, train_samples=96, learning_rate=0.02)
    return train(replace(config, gate=GateConfig()), runs=tmp_path_factory.mktemp("runs"))


def test_run_is_recorded_into_its_folder_and_reused(run):
    trace = record(run)
    assert trace.path == run.path / "trace.zarr"
    assert trace.accuracy == evaluate(run.model(), load_dataset("digits", 2).test).accuracy
    about = {"run": run.hash, "variant": "BSNN + AGMM", "seed": 0, "dataset": "digits", "split": "test"}
    assert {key: trace.provenance[key] for key in about} == about
    before = {path: path.stat().st_mtime_ns for path in trace.path.rglob("*")}
    assert record(run).hash == trace.hash
    assert {path: path.stat().st_mtime_ns for path in trace.path.rglob("*")} == before


def test_what_a_replay_needs_is_written_beside_a_runs_trace(run):
    trace = record(run)
    parameters = load_parameters(run.path / PARAMETERS, trace.workload, trace.steps)
    split = load_dataset("digits", 2).test
    inputs = np.repeat(split.inputs.swapaxes(0, 1), 2, axis=0)
    held = compare_spikes(
        replay(trace.workload, parameters, inputs), {name: trace.read(name) for name in ("conv1", "conv3")}
    )
    assert sum(each.differing for each in held.mismatch.values()) < 1e-4 * trace.read("conv1").size  # float32 ties


RECORDED = [("resnet18", "graded"), ("recurrent", "current")]
RECORDED += [pytest.param("resnet18", kind, marks=pytest.mark.slow) for kind in ("current", "and", "or")]


@pytest.mark.parametrize(("network", "residual"), RECORDED)
def test_a_float32_recording_is_replayed_in_float64(network, residual, tmp_path):
    """At most one place in 10,000 may be a tie that float32 breaks otherwise."""
    config = TrainConfig(dataset="digits", steps=2, width=0.05, network=network, residual=residual, learning_rate=0.02)
    torch.manual_seed(1)
    data = load_dataset("digits", 2)
    model = SpikingNetwork(network_config(config, data))
    for name, value in model.named_parameters():
        if "norm" in name:
            value.data.uniform_(0.3, 2.0)  # alive without training
    run = save_run(config, model.eval(), [], tmp_path, data=data)
    trace = record(run)
    parameters = load_parameters(run.path / PARAMETERS, trace.workload, trace.steps)
    inputs = np.repeat(data.test.inputs.swapaxes(0, 1), 2, axis=0)
    result = replay(trace.workload, parameters, inputs)
    held = compare_spikes(result, {name: trace.read(name) for name in result.spikes})
    places = sum(each.places for each in held.mismatch.values())
    assert sum(each.recorded for each in held.mismatch.values()) > 0.01 * places
    assert sum(each.differing for each in held.mismatch.values()) < 1e-4 * places
    for name, values in result.passed.items():
        assert (trace.read(name) != values).mean() < 1e-4


def test_damaged_parameters_are_written_again(run):
    trace = record(run)
    (run.path / PARAMETERS).write_bytes(b"")
    record(run)
    load_parameters(run.path / PARAMETERS, trace.workload, trace.steps)


def test_a_general_network_has_no_parameters(tmp_path):
    record(general(), data(), path=tmp_path / "t.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["t.zarr"]


def test_held_input_is_recorded_at_every_step(run):
    trace = record(run)
    assert trace.workload.held_input
    assert np.array_equal(trace.read("input")[0], trace.read("input")[1])


def test_run_for_other_steps_is_refused(run):
    with pytest.raises(InvalidInput, match="was trained for 2 steps, not 5"):
        record(run, steps=5)
