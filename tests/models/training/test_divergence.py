"""Trainings that diverge stop with the layer, the time step and the optimiser step named."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from spikejoule.models.data.datasets import Dataset, Split, load_dataset
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.divergence import find_divergence
from spikejoule.models.training.fit import fit
from spikejoule.models.training.objective import Objective
from spikejoule.models.training.train import train
from spikejoule.sim.errors import InvalidInput

CONFIG = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=2, train_samples=96, learning_rate=0.02)
STEPS, BATCH = 4, 3


@pytest.fixture
def objective() -> Objective:
    torch.manual_seed(0)
    return Objective(SpikingNetwork(NetworkConfig(input_shape=(1, 8, 8), steps=STEPS, width=0.25)), CONFIG)


def inputs() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((STEPS, BATCH, 1, 8, 8), np.float32))


def found(objective: Objective, x: torch.Tensor) -> str | None:
    return find_divergence(objective, x, torch.arange(BATCH))


def spoil(objective: Objective, layer: str, step: int, value: float, backward: bool = False) -> None:
    """Make the output of a layer's batch norm, or the gradient of it, ``value`` at one time step."""

    def forward_hook(module, arguments, output):
        if backward:
            output.register_hook(lambda gradient: put(gradient))
            return output
        return put(output)

    def put(values):
        values = values.clone()
        values.view(STEPS, BATCH, *values.shape[1:])[step - 1] = value
        return values

    objective.network.get_submodule(f"blocks.{layer}.norm").register_forward_hook(forward_hook)


def test_healthy_network_has_none(objective):
    assert found(objective, inputs()) is None


def test_input_is_named_with_its_time_step(objective):
    x = inputs()
    x[2, 1, 0, 3, 3] = math.inf
    assert found(objective, x) == "the input at time step 3 of 4"


def test_weights_are_named(objective):
    objective.network.synapses["conv2"].weight.data[0, 0, 0, 0] = math.nan
    assert found(objective, inputs()) == "the weights of layer 'conv2' (blocks.conv2.conv.weight)"


@pytest.mark.parametrize("step", [1, 3])
def test_current_is_named_with_the_first_layer_and_time_step(objective, step):
    spoil(objective, "conv2", step, math.inf)
    assert found(objective, inputs()) == f"the current of layer 'conv2' at time step {step} of 4"


def test_potential_that_overflows_by_summing_is_named(objective):
    for step in (1, 2):  # 3e38 + 0.5 * 3e38 is beyond float32
        spoil(objective, "conv3", step, 3e38)
    assert found(objective, inputs()) == "the potential of layer 'conv3' at time step 2 of 4"


def test_gradient_is_named_from_the_last_layer_back(objective):
    spoil(objective, "conv3", 2, math.nan, backward=True)  # through batch norm it reaches all steps of the layer below
    assert found(objective, inputs()) == "the gradient of the current of layer 'conv2' at time step 4 of 4"


def spoilt(value: float, step: int) -> Dataset:
    """Digits as moving pictures, with one value put into one step of one late sample."""
    data = load_dataset("digits", 2)
    frames = np.repeat(data.train.inputs, 2, axis=1)
    frames[70, step - 1, 0, 0, 0] = value
    return replace(data, held_input=False, train=Split(frames, data.train.labels))


def test_training_stops_at_the_optimiser_step_that_meets_it(tmp_path):
    # sample 70 stands in the third batch of the first epoch's order
    place = np.random.default_rng(0).permutation(96).tolist().index(70) // 32 + 1
    with pytest.raises(InvalidInput, match=rf"the input at time step 2 of 2 became .* step {place} \(epoch 1\); lower"):
        train(CONFIG, runs=tmp_path, data=spoilt(math.nan, 2))
    assert list(tmp_path.iterdir()) == []


def test_spoilt_weights_are_found_at_the_next_step():
    model, epochs = fit(CONFIG, load_dataset("digits", 2))
    next(epochs)
    next(epochs)
    model.classifier.weight.data[0, 0] = math.nan
    with pytest.raises(InvalidInput, match=r"the weights of layer 'classifier' .* in optimiser step 4 \(epoch 2\)"):
        next(epochs)


def test_huge_rate_and_decay_make_the_weights_diverge(tmp_path):
    # each step multiplies the weights by 1 - rate * decay: beyond 3e38 after some 7 steps
    config = replace(CONFIG, optimiser="sgd", learning_rate=1000.0, weight_decay=1000.0, warm_up=0.0, epochs=5)
    with pytest.raises(
        InvalidInput, match=r"the (weights|parameter|current|gradient|loss).* in .*step .*lower learning"
    ):
        train(config, runs=tmp_path)
    assert list(tmp_path.iterdir()) == []
