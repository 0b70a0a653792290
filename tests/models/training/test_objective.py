"""The training loss: penalty on firing rates by hand, and what it does to a network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from spikejoule.models.networks.network_config import NetworkConfig
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.run_folders.run import Run
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.objective import Objective, fan_outs, rate_penalty
from spikejoule.models.training.train import train
from spikejoule.sim.counting.layer_counts import count_layer
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Add, Conv2d, Linear, Workload
from torch.nn import functional

CONFIG = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=2, train_samples=96, learning_rate=0.02)
RATES = {name: torch.tensor(rate) for name, rate in (("a", 0.5), ("b", 0.1), ("c", 0.2))}


@pytest.mark.parametrize(
    ("kind", "targets", "expected"),
    [
        ("mean", 0.0, 0.8),
        ("operations", 0.0, 0.8),  # shares, summed
        ("hinge", 0.0, 0.8),
        ("hinge", 0.15, 0.35 + 0.05),
        ("hinge", {"a": 0.2, "b": 0.2}, 0.3),
        ("hinge", {"c": 0.2}, 0.0),
    ],
)
def test_penalty_by_hand(kind, targets, expected):
    assert float(rate_penalty(RATES, kind, targets)) == pytest.approx(expected)


def test_only_populations_above_their_target_are_pulled():
    rates = {name: rate.clone().requires_grad_() for name, rate in RATES.items()}
    gradients = torch.autograd.grad(rate_penalty(rates, "hinge", 0.15), list(rates.values()))
    assert [float(gradient) for gradient in gradients] == [1, 0, 1]


def test_target_of_an_unknown_population_is_refused():
    with pytest.raises(InvalidInput, match="no population 'conv9'; use any of a, b, c"):
        rate_penalty(RATES, "hinge", {"conv9": 0.1})


def loss_of(**fields) -> tuple[Objective, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    network = SpikingNetwork(NetworkConfig(input_shape=(1, 8, 8), steps=2, width=0.25, input_kind="analog"))
    objective = Objective(network, replace(CONFIG, **fields))
    loss, figures = objective(torch.rand(2, 6, 1, 8, 8), torch.arange(6))
    return objective, loss, figures


def test_loss_is_cross_entropy_plus_weighted_spikes_per_neuron_and_step():
    objective, loss, figures = loss_of(rate_penalty=3.0)
    torch.manual_seed(0)
    SpikingNetwork(objective.network.config)  # the same draws as in loss_of
    signals = dict(objective.network.populations(torch.rand(2, 6, 1, 8, 8)))
    logits = signals.pop("classifier").mean(0)
    rates = sum(float(signal.detach().sum()) / signal.numel() for signal in signals.values())
    expected = float(functional.cross_entropy(logits, torch.arange(6)).detach())
    assert figures.tolist()[:2] == pytest.approx([expected, 3 * rates], rel=1e-6)
    assert float(loss.detach()) == pytest.approx(expected + 3 * rates, rel=1e-6)


def test_penalty_reaches_every_layer_before_the_spikes():
    objective = loss_of(rate_penalty=1.0)[0]
    without = loss_of()[0]
    gradients = []
    for model, weight in ((objective, 1.0), (without, 0.0)):
        torch.manual_seed(1)
        model.weight = weight
        model(torch.rand(2, 6, 1, 8, 8), torch.arange(6))[0].backward()
        gradients.append({n: p.grad for n, p in model.network.named_parameters()})
    same = {name for name in gradients[0] if torch.equal(gradients[0][name], gradients[1][name])}
    assert same == {"classifier.weight", "classifier.bias"}


def test_label_smoothing_by_hand():
    _, plain, _ = loss_of()
    objective, smooth, _ = loss_of(label_smoothing=0.2)
    torch.manual_seed(0)
    SpikingNetwork(objective.network.config)
    logits = objective.network(torch.rand(2, 6, 1, 8, 8)).detach()
    target = torch.full((6, 10), 0.2 / 10)
    target[torch.arange(6), torch.arange(6)] += 0.8
    assert float(smooth.detach()) == pytest.approx(float(-(target * logits.log_softmax(1)).sum(1).mean()), rel=1e-5)
    assert float(smooth.detach()) != float(plain.detach())


def firing_rate(run: Run) -> float:
    log = run.log()
    return float(log[(log.quantity == "firing_rate") & (log.layer == "")].value.iloc[-1])


def test_penalty_lowers_the_rate_and_is_logged(tmp_path):
    config = replace(CONFIG, epochs=4)
    plain, sparse = (train(replace(config, rate_penalty=weight), runs=tmp_path) for weight in (0.0, 5.0))
    assert firing_rate(sparse) < 0.7 * firing_rate(plain)
    assert "train_rate_penalty" in set(sparse.log().quantity)


def test_warm_start_begins_with_the_weights_of_the_run(tmp_path):
    first = train(CONFIG, runs=tmp_path)
    # a rate so low that nothing moves: what comes out is what went in
    again = train(replace(CONFIG, warm_start=first.hash, learning_rate=1e-30, epochs=1), runs=tmp_path)
    assert torch.equal(again.model().classifier.weight, first.model().classifier.weight)


@pytest.mark.parametrize("fields", [{"width": 0.5}, {"network": "vgg11"}])
def test_warm_start_of_other_shapes_is_refused(tmp_path, fields):
    first = train(CONFIG, runs=tmp_path)
    with pytest.raises(InvalidInput, match=r"warm_start '\w+' \(BSNN\) has .* start from a run of the same network"):
        train(replace(CONFIG, warm_start=first.hash, **fields), runs=tmp_path)


def test_warm_start_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="no run folder"):
        train(replace(CONFIG, warm_start="0123456789abcdef"), runs=tmp_path)


def test_fan_outs_by_hand():
    """Corner, edge and inner positions of a padded 3 x 3 kernel meet 4, 6 and 9 taps of 3 channels; then 5 classes."""
    workload = Workload(
        name="tiny",
        input_shape=(1, 3, 3),
        layers=(
            Conv2d(name="a", in_shape=(1, 3, 3), out_channels=2, kernel_size=1),
            Conv2d(name="b", source="a", in_shape=(2, 3, 3), out_channels=3, kernel_size=3, padding=1),
            Linear(name="classifier", source="b", in_shape=(3, 3, 3), out_features=5, neuron="readout"),
        ),
    )
    found = fan_outs(workload)
    assert found["a"].tolist() == [[[12, 18, 12], [18, 27, 18], [12, 18, 12]]] * 2
    assert found["b"].tolist() == np.full((3, 3, 3), 5).tolist()


@pytest.mark.parametrize("mode", ["graded", "or"])
def test_a_merge_passes_its_readers_on_to_both_signals(mode):
    common = {"in_shape": (2,), "weight_kind": "float"}
    workload = Workload(
        name="tiny",
        input_shape=(2,),
        layers=(
            Linear(name="a", out_features=2, **common),
            Linear(name="b", source="a", out_features=2, **common),
            Add(name="sum", source="a", others=("b",), other_kinds=("spike",), in_shape=(2,), mode=mode),
            Linear(
                name="classifier", source="sum", out_features=7, neuron="readout",
                input_kind="graded" if mode == "graded" else "spike", **common,
            ),
        ),
    )  # fmt: skip
    found = fan_outs(workload)
    assert (found["a"].tolist(), found["b"].tolist()) == ([2 + 7] * 2, [7] * 2)


def test_self_connections_and_the_classifier_are_both_charged():
    network = SpikingNetwork(NetworkConfig(network="recurrent", input_shape=(6,), classes=3, steps=2, width=0.02))
    reached = fan_outs(network.workload())
    sizes = {name: len(reached[name]) for name in network.blocks}
    names = list(sizes)
    following = [*(sizes[name] for name in names[1:]), 3]
    for name, size, after in zip(names, sizes.values(), following, strict=True):
        assert set(reached[name].tolist()) == {size + after}


def test_penalty_by_operations_is_the_share_of_the_counted_synaptic_operations():
    """Against the packed counter: pairs of spike and in-range weight behind the first population, over all pairs."""
    objective, _, figures = loss_of(rate_penalty=3.0, penalty="operations")
    torch.manual_seed(0)
    SpikingNetwork(objective.network.config)
    populations = objective.network.populations(torch.rand(2, 6, 1, 8, 8))
    signals = {name: spikes.detach().numpy() for name, spikes in populations}
    behind = [layer for layer in objective.network.workload().layers if layer.source != "input"]
    counted = sum(int(count_layer(layer, signals[layer.source]).all_weights.sum()) for layer in behind)
    possible = 2 * 6 * sum(layer.dense for layer in behind)
    assert 0 < counted < possible
    assert figures.tolist()[1] == pytest.approx(3 * counted / possible, rel=1e-5)


def test_penalty_by_operations_pulls_a_neuron_by_its_fan_out():
    """The classifier's gradient is free of it; of two neurons the one that reaches more weights is pulled harder."""
    objective, *_ = loss_of(rate_penalty=1.0, penalty="operations")
    spikes = torch.ones(2, 6, *objective.get_buffer("operations of conv1").shape, requires_grad=True)
    (gradient,) = torch.autograd.grad(objective._rate("conv1", spikes), spikes)
    corner, inner = float(gradient[0, 0, 0, 0, 0]), float(gradient[0, 0, 0, 1, 1])
    assert inner == pytest.approx(corner * 9 / 4)


def test_penalty_by_operations_lowers_them_and_has_no_target(tmp_path):
    config = replace(CONFIG, epochs=4)
    plain = train(config, runs=tmp_path)
    sparse = train(replace(config, rate_penalty=10.0, penalty="operations"), runs=tmp_path)
    assert firing_rate(sparse) < 0.8 * firing_rate(plain)
    with pytest.raises(InvalidInput, match="rate_target .* left out with penalty 'operations'"):
        replace(CONFIG, penalty="operations", rate_target=0.1)
