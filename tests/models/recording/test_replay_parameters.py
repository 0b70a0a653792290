"""Folded parameters of trained networks: the replay against the unfolded torch model, both in float64."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.networks.blocks import Block, Merge, Recurrent, Shortcut
from spikejoule.models.networks.layouts import NETWORKS
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.recording.replay_parameters import replay_parameters
from spikejoule.models.training.derive_variants import to_int8
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.replay.replay import compare_spikes, replay
from spikejoule.sim.replay.state_width import in_state_units
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
    held = compare_spikes(result, spikes)
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


def tiny(name, residual="current", weight_bits=1, gate=None, shape=None, **fields):
    """Any network, narrow; everything that folds is random: batch norms, factors of branches, gains. In float32."""
    torch.manual_seed(0)
    shape = shape or {"vggsnn": (2, 16, 16), "recurrent": (20,)}.get(name, (2, 8, 8))
    config = NetworkConfig(
        network=name,
        residual=residual,
        input_shape=shape,
        steps=5,
        classes=4,
        weight_bits=32 if weight_bits == 8 else weight_bits,
        gate=gate,
        width=0.05 if name == "resnet19" else 0.1,
        **fields,
    )
    model = SpikingNetwork(config)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data.uniform_(1.0, 3.0)
            module.weight.data[::3] *= -1
            module.bias.data.uniform_(-0.3, 0.6)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2.0)
            if weight_bits == 1:
                module.running_var *= 8  # currents of +-1 weights are larger
        elif isinstance(module, Shortcut) and module.conv is None:
            module.scale.uniform_(0.5, 1.5)
        elif isinstance(module, Recurrent):
            module.scale.data *= torch.rand_like(module.scale) + 0.5
    for gate_module in model.gates.values():
        gate_module.alpha.data.uniform_(0.4, 2.5)
    return (to_int8(model) if weight_bits == 8 else model).eval()


def some_input(model, samples=4):
    """Spikes, or under direct encoding the same numbers at every step."""
    rng, config = np.random.default_rng(1), model.config
    if config.input_kind == "analog":
        return np.repeat(rng.normal(size=(1, samples, *config.input_shape)), config.steps, axis=0)
    return (rng.random((config.steps, samples, *config.input_shape)) < 0.4).astype(np.uint8)


def differing(held):
    return sum(each.differing for each in held.mismatch.values())


def meets(model):
    """Every spike and every logit of the unfolded network in float64."""
    x = some_input(model.double())
    spikes, _ = emitted(model, x)
    with torch.no_grad():
        logits = model(torch.from_numpy(x).double()).numpy()
    result = replay(model.workload(), replay_parameters(model), x)
    held = compare_spikes(result, spikes)
    assert set(held.mismatch) == set(model.blocks)
    assert sum(each.recorded for each in held.mismatch.values()) > 0
    assert differing(held) == 0
    np.testing.assert_allclose(result.scores / model.config.steps, logits, rtol=0, atol=1e-9)


BRANCHED = [(name, kind) for name in ("resnet18", "resnet19") for kind in ("graded", "and", "or")]


@pytest.mark.parametrize("weight_bits", [1, 8, 32])
@pytest.mark.parametrize(("name", "residual"), [*((name, "current") for name in NETWORKS), *BRANCHED])
def test_every_network_folds(name, residual, weight_bits):
    meets(tiny(name, residual, weight_bits))


@pytest.mark.parametrize("gate", [name for name in GATES if name != "none"])
@pytest.mark.parametrize(
    ("name", "residual"), [("resnet18", "current"), ("resnet18", "graded"), ("recurrent", "current")]
)
def test_gates_are_on_the_current_of_all_branches(name, residual, gate):
    meets(tiny(name, residual, gate=GATES[gate]))


@pytest.mark.parametrize(("name", "residual"), [("mlp", "current"), ("resnet18", "current"), ("resnet19", "graded")])
def test_direct_encoding_folds(name, residual):
    meets(tiny(name, residual, input_kind="analog", held_input=True))


def test_a_network_on_vectors_of_a_map_folds():
    meets(tiny("mlp", shape=(2, 4, 4)))


@pytest.mark.parametrize("gate", ["none", "agmm by channel"])
@pytest.mark.parametrize(
    ("name", "residual"), [("resnet18", "current"), ("resnet18", "graded"), ("recurrent", "current")]
)
def test_a_wide_fixed_point_has_every_spike_of_float64(name, residual, gate):
    """40 bits, and a headroom that nothing leaves: only roundings of 2**-27 of a threshold are left."""
    model = tiny(name, residual, gate=GATES[gate])
    x, parameters, workload = some_input(model), replay_parameters(model), model.workload()
    scaled, numbers = in_state_units(workload, parameters, 40, model.config.steps, headroom=4000)
    fixed = replay(workload, scaled, x, number=numbers)
    assert differing(compare_spikes(fixed, replay(workload, parameters, x).spikes)) == 0
    assert sum(int(counts.sum()) for counts in fixed.saturated.values()) == 0


@pytest.mark.parametrize("residual", ["current", "graded"])
def test_narrow_states_of_a_residual_network_are_cut_and_differ(residual):
    model = tiny("resnet18", residual)
    x, parameters, workload = some_input(model), replay_parameters(model), model.workload()
    exact = replay(workload, parameters, x).spikes
    shares = {}
    for bits in (6, 16):
        scaled, numbers = in_state_units(workload, parameters, bits, model.config.steps)
        shares[bits] = differing(compare_spikes(replay(workload, scaled, x, number=numbers), exact))
    assert shares[16] < 0.05 * sum(spikes.size for spikes in exact.values())
    assert shares[6] > 2 * shares[16]


def test_a_shortcut_by_hand():
    """Batch norm of a 1 x 1 convolution: scale gamma / sqrt(var + eps); its bias joins that of the population's own."""
    model = tiny("resnet18", gate=GateConfig("constant")).double()
    block = model.blocks["s2b1_conv2"]
    block.gate.alpha.data.fill_(3.0)  # a gain of 1.5
    for norm, values in ((block.norm, (2.0, 0.125, 4.0, 0.5)), (block.shortcut.norm, (-3.0, 0.25, 4.0, 1.0))):
        for tensor, value in zip(
            (norm.weight.data, norm.bias.data, norm.running_var, norm.running_mean), values, strict=True
        ):
            tensor.fill_(value)
        norm.eps = 0.0
    found = replay_parameters(model)
    np.testing.assert_array_equal(found["s2b1_skip"].scale, 1.5 * -1.5)
    np.testing.assert_array_equal(found["s2b1_conv2"].scale, 1.5)
    np.testing.assert_array_equal(found["s2b1_conv2"].bias, 1.5 * ((0.125 - 0.5 * 1.0) + (0.25 + 1.0 * 1.5)))


def test_a_skip_path_keeps_one_constant_per_channel():
    model = tiny("resnet18").double()
    model.blocks["s1b1_conv2"].shortcut.scale = torch.arange(1.0, 1 + model.nodes[0].channels).double()
    channels = model.nodes[0].channels
    scale = np.asarray(replay_parameters(model)["s1b1_skip"].scale).reshape(channels, 64)
    np.testing.assert_array_equal(scale, np.repeat(np.arange(1.0, 1 + channels)[:, None], 64, axis=1))


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


class OtherShortcut(Shortcut):
    """A shortcut that does something of its own."""


class OtherMerge(Merge):
    """A merge that does something of its own."""


def test_branches_without_a_rule_are_refused_by_name():
    model = tiny("resnet18")
    model.blocks["s1b1_conv2"].shortcut.__class__ = OtherShortcut
    with pytest.raises(
        InvalidInput, match=re.escape("block 's1b1_conv2' of 'resnet18' (Block with BatchNorm2d and Oth")
    ):
        replay_parameters(model)


def test_merges_without_a_rule_are_refused_by_name():
    model = tiny("resnet18", "or")
    model.merges["s1b1_sum"].__class__ = OtherMerge
    with pytest.raises(InvalidInput, match=re.escape("merge 's1b1_sum' (OtherMerge) has no rule here")):
        replay_parameters(model)


def test_a_gain_that_is_not_positive_is_refused():
    model = network(GateConfig("alpha"))
    model.blocks["conv3"].gate.alpha.data[2] = -0.5
    with pytest.raises(InvalidInput, match="layer 'conv3' has a gain of -0.5"):
        replay_parameters(model)
