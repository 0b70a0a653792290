"""Networks: the neuron's recurrence, shapes, sizes, and their workloads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from spikejoule.models.agmm import GateConfig
from spikejoule.models.binary import BinaryConv2d
from spikejoule.models.datasets import Split
from spikejoule.models.derive import fold_gains, gate_means, to_int8
from spikejoule.models.integer import quantise
from spikejoule.models.networks import NETWORKS, NetworkConfig, Neurons, SpikingNetwork
from spikejoule.sim.errors import InvalidInput

SIZES = json.loads((Path(__file__).parent / "cases" / "paper_cases.json").read_text(encoding="utf-8"))["cases"]
SIZES = [case for case in SIZES if case["kind"] == "model_size"]
SMALL = NetworkConfig(input_shape=(2, 8, 8), steps=3, classes=4, width=0.5)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def network(config: NetworkConfig) -> SpikingNetwork:
    """An evaluated network whose batch norm and gates are not trivial."""
    model = SpikingNetwork(config)
    for name, value in model.named_parameters():
        if "norm" in name or "alpha" in name:
            value.data.uniform_(0.5, 2.0)
    return model.eval()


def spikes(config: NetworkConfig = SMALL, samples: int = 5) -> torch.Tensor:
    return (torch.rand(config.steps, samples, *config.input_shape) < 0.4).float()


def emitted(model: SpikingNetwork, x: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return dict(model.populations(x))


@pytest.mark.parametrize(("threshold", "leak"), [(1.0, 0.5), (0.5, 0.75), (2.0, 0.0)])
def test_neurons_obey_the_recurrence(threshold, leak):
    current = torch.randn(20, 1000) * 2
    potential, fired, expected = torch.zeros(1000), torch.zeros(1000), []
    for x in current:
        potential = leak * (potential - threshold * fired) + x
        fired = (potential > threshold).float()
        expected.append(fired)
    assert torch.equal(Neurons(threshold, leak)(current), torch.stack(expected))


def test_threshold_is_strict():
    assert Neurons(1.0, 0.5)(torch.tensor([[1.0, 1.0001]])).tolist() == [[0.0, 1.0]]


def test_surrogate_gradient_is_the_triangle():
    current = torch.tensor([[0.25, 1.0, 1.5, 2.5]], requires_grad=True)
    Neurons(1.0, 0.5)(current).sum().backward()
    assert current.grad.tolist() == [[0.25, 1.0, 0.5, 0.0]]


@pytest.mark.parametrize("case", SIZES, ids=[case["id"] for case in SIZES])
def test_model_size_is_the_published_one(case):
    inputs = case["inputs"]
    config = NetworkConfig(network="vgg11", input_shape=(inputs["c_in"], 32, 32), classes=inputs["classes"])
    model = SpikingNetwork(replace(config, weight_bits=1 if inputs["binary"] else 32))
    assert model.workload().model_bytes / 1e6 == pytest.approx(case["published"]["size_mb"], abs=case["tol_abs"])


@pytest.mark.parametrize("gate", [None, GateConfig(), GateConfig("constant"), GateConfig("alpha")])
@pytest.mark.parametrize("bits", [1, 32])
@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_have_the_shapes_that_the_workload_declares(name, bits, gate):
    config = replace(SMALL, network=name, width=0.1, weight_bits=bits, gate=gate)
    model = network(config)
    signals = emitted(model, spikes(config))
    assert signals.pop("classifier").shape == (3, 5, 4)
    declared = {key: shape for key, (shape, _) in model.workload().signals.items() if key != "input"}
    assert {key: tuple(value.shape[2:]) for key, value in signals.items()} == declared
    assert all(set(value.unique().tolist()) <= {0.0, 1.0} for value in signals.values())


def test_first_and_last_layers_stay_full_precision():
    model = SpikingNetwork(replace(SMALL, weight_bits=1))
    binary = [name for name, layer in model.synapses.items() if isinstance(layer, BinaryConv2d)]
    assert binary == ["conv2", "conv3"]


def test_twin_differs_from_the_binary_network_only_in_the_use_of_its_weights():
    shapes = [
        {key: value.shape for key, value in SpikingNetwork(replace(SMALL, weight_bits=bits)).state_dict().items()}
        for bits in (1, 32)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("bits", "gate", "expected"),
    [
        (32, None, [("float", "folded", None)] * 3),
        (1, None, [("float", "folded", None), *[("binary", "folded", None)] * 2]),
        (1, GateConfig("constant"), [("float", "folded", None), *[("binary", "folded", None)] * 2]),
        (1, GateConfig("alpha"), [("float", "folded", "per_step"), *[("binary", "folded", "per_step")] * 2]),
        (1, GateConfig(), [("float", "folded", "live"), *[("binary", "explicit", "live")] * 2]),
        (8, None, [("integer", "folded", None)] * 3),
    ],
)
def test_workload_says_where_scale_and_gate_went(bits, gate, expected):
    layers = SpikingNetwork(replace(SMALL, weight_bits=bits, gate=gate)).workload().layers[:-1]
    assert [(layer.weight_kind, layer.scale, layer.gate) for layer in layers] == expected


def test_zero_weights_are_declared():
    model = SpikingNetwork(SMALL)
    assert model.workload().layer("conv2").nonzero is None
    model.synapses["conv2"].weight.data[1, 0] = 0
    mask = model.workload().layer("conv2").nonzero
    assert mask.sum() == mask.size - 9
    assert not mask[1, 0].any()


def test_populations_see_samples_apart():
    model = network(replace(SMALL, gate=GateConfig(), weight_bits=1))
    x = spikes()
    together, alone = emitted(model, x), emitted(model, x[:, 2:3])
    assert all(torch.equal(together[name][:, 2:3], alone[name]) for name in ("conv1", "conv2", "conv3"))


@pytest.mark.parametrize("axes", ["channel", "sample"])
def test_folding_a_constant_gain_into_batch_norm_changes_no_spike(axes):
    model = network(replace(SMALL, gate=GateConfig(axes=axes), weight_bits=1))
    x = spikes(samples=50)
    gains = gate_means(model, Split(x.transpose(0, 1).numpy(), torch.zeros(50, dtype=torch.int64).numpy()))
    folded = emitted(fold_gains(model, gains), x)
    for name, gate in model.gates.items():  # the oracle: the same gain, multiplied explicitly
        constant = gains[name].float().view(1, 1, -1, 1, 1)
        gate.gain = lambda current, step=None, constant=constant: constant
    explicit = emitted(model, x)
    assert all(torch.equal(folded[name], explicit[name]) for name in ("conv1", "conv2", "conv3"))


def test_gate_means_are_over_samples_and_steps():
    model = network(replace(SMALL, gate=GateConfig()))
    x = spikes(samples=70)  # more than one batch
    with torch.no_grad():
        first = model.blocks["conv1"].current(x.flatten(0, 1), 3)
        expected = model.gates["conv1"].gain(first).double().mean((0, 1)).flatten()
    means = gate_means(model, Split(x.transpose(0, 1).numpy(), torch.zeros(70).numpy()))
    np.testing.assert_allclose(means["conv1"].numpy(), expected.numpy(), rtol=1e-6)


def test_int8_weights_are_within_half_a_step_of_the_float_ones():
    model = network(SMALL)
    for name, layer in to_int8(model).synapses.items():
        weight = model.synapses[name].weight
        scale = layer.scale.view(-1, *[1] * (weight.dim() - 1))
        assert ((layer.weight * scale - weight).abs() <= scale / 2 * 1.0001).all()
        assert layer.weight.abs().flatten(1).amax(1).tolist() == [127] * len(weight)


def test_int8_network_computes_with_its_rounded_weights():
    model = network(SMALL)
    integer = to_int8(model)
    for name, layer in model.synapses.items():
        other = integer.synapses[name]
        layer.weight.data = other.weight * other.scale.view(-1, *[1] * (other.weight.dim() - 1))
    x = spikes().flatten(0, 1)
    with torch.no_grad():
        currents = [net.blocks["conv1"].current(x, 3).numpy() for net in (integer, model)]
    np.testing.assert_allclose(*currents, rtol=1e-4, atol=1e-5)


def test_channel_of_zeros_quantises_to_zeros():
    integers, scale = quantise(torch.zeros(2, 3))
    assert integers.abs().sum() == 0
    assert scale.tolist() == [1, 1]


@pytest.mark.parametrize("fields", [{"network": "resnet0"}, {"weight_bits": 4}, {"input_shape": (2, 8)}])
def test_impossible_network_is_refused(fields):
    with pytest.raises(InvalidInput):
        NetworkConfig(**fields)
