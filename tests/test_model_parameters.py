"""Folded parameters of trained networks: the replay against the unfolded torch model, both in float64."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from spikejoule.models.agmm import GateConfig
from spikejoule.models.derive import to_int8
from spikejoule.models.networks import Block, NetworkConfig, SpikingNetwork
from spikejoule.models.parameters import replay_parameters
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.replay import compare, replay
from torch import nn

STEPS, SAMPLES = 8, 16


def network(gate=None, weight_bits=1, seed=0):
    """A network with random batch norm, negative gammas among them, and a random gain; in float64."""
    torch.manual_seed(seed)
    config = NetworkConfig(input_shape=(2, 12, 12), steps=STEPS, classes=4, weight_bits=weight_bits, gate=gate)
    model = SpikingNetwork(config)
    for block in model.blocks.values():
        block.norm.weight.data.uniform_(0.5, 2.0)
        block.norm.weight.data[::3] *= -1
        block.norm.bias.data.uniform_(-0.3, 0.5)
        block.norm.running_mean.uniform_(-0.5, 0.5)
        block.norm.running_var.uniform_(0.5, 2.0)
        if weight_bits == 1 and block is not model.blocks["conv1"]:
            block.norm.running_var *= 30  # currents of +-1 weights are that large
        if block.gate is not None:
            block.gate.alpha.data.uniform_(0.4, 2.5)
    return model.double().eval()


def inputs(samples=SAMPLES):
    return (np.random.default_rng(1).random((STEPS, samples, 2, 12, 12)) < 0.3).astype(np.uint8)


def emitted(model, x):
    """Spikes by population, and predictions, of the torch model."""
    with torch.no_grad():
        found = {name: value.numpy() for name, value in model.populations(torch.from_numpy(x).double())}
    return found, found.pop("classifier").mean(0).argmax(1)


def mismatches(model, parameters):
    spikes, predictions = emitted(model, inputs())
    result = replay(model.workload(), parameters, inputs())
    held = compare(result, spikes)
    # there is something to miss
    assert all(0.005 < each.recorded / each.places < 0.9 for each in held.mismatch.values())
    return sum(each.differing for each in held.mismatch.values()), int((result.predictions != predictions).sum())


GATES = {
    "none": None,
    "constant": GateConfig("constant"),
    "alpha": GateConfig("alpha"),
    "agmm by channel": GateConfig("agmm"),
    "agmm by sample": GateConfig("agmm", axes="sample"),
}


@pytest.mark.parametrize("weight_bits", [1, 32])
@pytest.mark.parametrize("gate", GATES)
def test_the_replay_meets_every_spike_of_the_unfolded_network(gate, weight_bits):
    model = network(GATES[gate], weight_bits)
    assert mismatches(model, replay_parameters(model)) == (0, 0)


@pytest.mark.parametrize("weight_bits", [1, 32])
@pytest.mark.parametrize(("name", "shape"), [("mlp", (20,)), ("mlp", (2, 4, 4)), ("vggsnn", (2, 32, 32))])
def test_other_plain_stacks_fold(name, shape, weight_bits):
    torch.manual_seed(0)
    config = NetworkConfig(network=name, input_shape=shape, steps=4, classes=4, weight_bits=weight_bits, width=0.05)
    model = SpikingNetwork(config)
    for block in model.blocks.values():
        block.norm.weight.data.uniform_(1.0, 3.0)
        block.norm.running_var.uniform_(0.5, 2.0)
    x = (np.random.default_rng(1).random((4, 3, *shape)) < 0.3).astype(np.uint8)
    model = model.double().eval()
    spikes, predictions = emitted(model, x)
    result = replay(model.workload(), replay_parameters(model), x)
    held = compare(result, spikes)
    assert sum(each.recorded for each in held.mismatch.values()) > 0
    assert sum(each.differing for each in held.mismatch.values()) == 0
    assert (result.predictions == predictions).all()


def test_int8_weights_and_their_scales_fold():
    model = to_int8(network(weight_bits=32).float()).double()
    assert mismatches(model, replay_parameters(model)) == (0, 0)


def test_a_gain_that_varies_does_not_fold_into_a_constant_threshold():
    model = network(GateConfig("alpha"))
    folded = replay_parameters(model)
    wrong = {}
    for name, own in folded.items():
        if name != "classifier":
            steps = np.ones((STEPS, 1))
            alpha = model.blocks[name].gate.alpha.detach().numpy()
            own = replace(own, leak=0.5 * steps, threshold=steps / alpha.mean())
        wrong[name] = own
    differing, _ = mismatches(model, wrong)
    assert differing > 0.05 * inputs().size


def test_scale_and_bias_of_batch_norm_by_hand():
    """conv1 pools 2 x 2: scale gamma / sqrt(var + eps) / 4, bias beta - mean gamma / sqrt(var + eps)."""
    model = network()
    norm = model.blocks["conv1"].norm
    for tensor, value in ((norm.weight.data, -3.0), (norm.running_var, 4.0), (norm.running_mean, 0.5)):
        tensor.fill_(value)
    norm.bias.data.fill_(0.25)
    norm.eps = 0.0
    own = replay_parameters(model)["conv1"]
    np.testing.assert_array_equal(own.scale, -1.5 / 4)
    np.testing.assert_array_equal(own.bias, 0.25 + 0.5 * 1.5)


def test_a_gain_that_varies_becomes_leak_and_threshold_by_hand():
    model = network(GateConfig("alpha"))
    model.blocks["conv2"].gate.alpha.data = torch.tensor([2.0, 1.0, 0.5, 4.0, 4.0, 1.0, 1.0, 2.0]).double()
    own = replay_parameters(model)["conv2"]
    np.testing.assert_array_equal(own.threshold[:, 0], [0.5, 1, 2, 0.25, 0.25, 1, 1, 0.5])
    np.testing.assert_array_equal(own.leak[1:, 0], [1, 1, 0.0625, 0.5, 2, 0.5, 0.25])


def test_binary_weights_are_plus_or_minus_one():
    assert set(np.unique(replay_parameters(network())["conv2"].weights)) == {-1.0, 1.0}


@pytest.mark.parametrize("axes", ["channel", "sample"])
def test_a_gated_network_gives_the_same_spikes_in_batches_of_1_and_16(axes):
    model = network(GateConfig("agmm", axes=axes))
    whole, _ = emitted(model, inputs())
    for sample in range(SAMPLES):
        alone, _ = emitted(model, np.ascontiguousarray(inputs()[:, sample : sample + 1]))
        for name, spikes in alone.items():
            np.testing.assert_array_equal(spikes[:, 0], whole[name][:, sample])


def test_the_replay_of_a_gated_network_does_not_depend_on_the_batch():
    model = network(GateConfig("agmm"))
    parameters, workload = replay_parameters(model), model.workload()
    whole = replay(workload, parameters, inputs())
    for sample in range(SAMPLES):
        alone = replay(workload, parameters, inputs()[:, sample : sample + 1])
        assert all((alone.spikes[name][:, 0] == whole.spikes[name][:, sample]).all() for name in whole.spikes)


def without_norm(model):
    model.blocks["conv2"].norm = nn.GroupNorm(2, 32)
    return model


class OtherBlock(Block):
    """A block that does something of its own."""


def other_block(model):
    block = copy.deepcopy(model.blocks["conv2"])
    block.__class__ = OtherBlock
    model.blocks["conv2"] = block
    return model


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda model: nn.Linear(2, 2), "Linear is no network of this package"),
        (without_norm, "block 'conv2' of 'csnn' (Block with GroupNorm) has no rule"),
        (other_block, "block 'conv2' of 'csnn' (OtherBlock with BatchNorm2d) has no rule"),
    ],
)
def test_structures_without_a_rule_are_refused_by_name(spoil, message):
    with pytest.raises(InvalidInput, match=re.escape(message)):
        replay_parameters(spoil(network()))


def test_a_gain_that_is_not_positive_is_refused():
    model = network(GateConfig("alpha"))
    model.blocks["conv3"].gate.alpha.data[2] = -0.5
    with pytest.raises(InvalidInput, match="layer 'conv3' has a gain of -0.5"):
        replay_parameters(model)
