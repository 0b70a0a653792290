"""Monitors of the weights: flips by hand, predicted flips against Monte Carlo, oscillations, gradients."""

import numpy as np
import pytest
import torch
from spikejoule.models.training.monitors import WeightMonitor, flip_probability


def monitored(weight: list[float]) -> tuple[torch.Tensor, WeightMonitor]:
    tensor = torch.tensor(weight, requires_grad=True)
    return tensor, WeightMonitor({"conv": tensor, "first": tensor}, flips=("conv",))


def step(
    weight: torch.Tensor, monitor: WeightMonitor, values: list[float], gradient: list[float] | None = None
) -> bool:
    """One optimiser step that leaves ``values``; whether the gradients were finite."""
    weight.grad = torch.tensor(gradient or [0.0] * len(values))
    finite = monitor.before_step()
    weight.data = torch.tensor(values)
    monitor.after_step()
    return finite


def test_flips_are_counted_per_step_by_hand():
    weight, monitor = monitored([0.5, -0.5, 0.0, -1.0])
    step(weight, monitor, [-0.1, -0.5, 0.2, -1.0])  # one flip
    step(weight, monitor, [0.1, -0.5, -0.2, -1.0])  # two: w = 0 counts as positive
    result = monitor.end_epoch()
    assert result["conv"].sign_flips == 3
    assert result["conv"].sign_flip_rate == 3 / (4 * 2)
    assert result["first"].sign_flips is None


def test_gradient_mean_and_variance_are_averaged_over_steps():
    weight, monitor = monitored([1.0, 1.0])
    for gradient in ([1.0, 3.0], [0.0, 0.0]):  # means 2 and 0, variances 1 and 0
        step(weight, monitor, [1.0, 1.0], gradient)
    result = monitor.end_epoch()["conv"]
    assert (result.gradient_mean, result.gradient_variance) == pytest.approx((1.0, 0.5), rel=1e-6)


def test_each_epoch_starts_from_nought():
    weight, monitor = monitored([1.0])
    step(weight, monitor, [-1.0], [1.0])
    assert monitor.end_epoch()["conv"].sign_flips == 1
    step(weight, monitor, [-1.0], [1.0])
    assert monitor.end_epoch()["conv"].sign_flips == 0


def test_a_gradient_that_is_not_finite_is_seen():
    weight, monitor = monitored([1.0, 1.0])
    assert step(weight, monitor, [1.0, 1.0], [1e30, -1e30])
    assert not step(weight, monitor, [1.0, 1.0], [0.0, float("nan")])


@pytest.mark.parametrize(("rate", "mean", "deviation"), [(0.1, 0.0, 1.0), (0.1, 0.4, 0.5), (0.02, -3.0, 2.0)])
def test_predicted_flips_of_sgd_are_those_of_monte_carlo(rate, mean, deviation):
    rng = np.random.default_rng(3)
    weight = rng.normal(0, 0.08, 400)
    draws = weight - rate * rng.normal(mean, deviation, (4000, 400))
    flipped = ((draws >= 0) != (weight >= 0)).mean(0)
    # an update whose moments over the layer are exactly those of the model
    update = rng.normal(size=400)
    update = -rate * (mean + deviation * (update - update.mean()) / update.std())
    predicted = flip_probability(torch.from_numpy(weight), torch.from_numpy(update)).numpy()
    np.testing.assert_allclose(predicted, flipped, atol=0.04)  # five standard errors of one weight
    assert predicted.mean() == pytest.approx(flipped.mean(), abs=0.002)


def test_predicted_flips_of_equal_updates_are_certain():
    weight = torch.tensor([0.2, 0.4, -0.2, -0.4])
    assert flip_probability(weight, torch.full((4,), -0.3)).tolist() == [1, 0, 0, 0]


def test_predicted_rate_is_averaged_over_weights_and_steps():
    weight, monitor = monitored([0.2, 0.4])
    step(weight, monitor, [-0.1, 0.1])  # both move by -0.3: one of two flips for certain
    step(weight, monitor, [-0.1, 0.1])
    assert monitor.end_epoch()["conv"].predicted_flip_rate == pytest.approx(0.25)


def frequency_by_hand(flips: list[int]) -> float:
    """Nagel et al.: o = 1 where a flip undoes the one before; f <- 0.01 o + 0.99 f."""
    frequency, before = 0.0, False
    for flip in flips:
        frequency = 0.01 * (flip and before) + 0.99 * frequency
        before = before or bool(flip)
    return frequency


@pytest.mark.parametrize("quiet", [60, 80])
def test_oscillating_weights_are_those_whose_frequency_is_high(quiet):
    flips = [1, 1] + [0] * quiet  # there and back, then at rest
    weight, monitor = monitored([1.0, 1.0])
    values = [1.0, 1.0]
    for flip in flips:
        values = [-values[0] if flip else values[0], 1.0]
        step(weight, monitor, values)
    oscillates = frequency_by_hand(flips) > 0.005
    assert oscillates == (quiet == 60)
    assert monitor.end_epoch()["conv"].oscillating_share == 0.5 * oscillates


def test_one_flip_is_no_oscillation():
    weight, monitor = monitored([1.0])
    step(weight, monitor, [-1.0])
    assert monitor.end_epoch()["conv"].oscillating_share == 0


def test_monitor_goes_on_from_its_state():
    rng = np.random.default_rng(0)
    values, gradients = rng.normal(size=(40, 8)).tolist(), rng.normal(size=(40, 8)).tolist()
    weight, monitor = monitored([1.0] * 8)
    other, second = monitored([1.0] * 8)
    for index in range(40):
        step(weight, monitor, values[index], gradients[index])
        if index == 20:
            other.data = weight.data.clone()
            second.load({name: value.clone() for name, value in monitor.state().items()})
        if index > 20:
            step(other, second, values[index], gradients[index])
    assert second.end_epoch() == monitor.end_epoch()


def test_large_layers_are_followed_on_a_part_of_their_weights():
    size = 3 * 2**16
    weight = torch.rand(size, requires_grad=True)
    monitor = WeightMonitor({"conv": weight}, flips=("conv",))
    weight.grad = torch.zeros(size)
    monitor.before_step()
    weight.data -= 0.1  # a tenth of them flip
    monitor.after_step()
    result = monitor.end_epoch()["conv"]
    assert result.sign_flips == int((weight < 0).sum())
    assert result.predicted_flip_rate == pytest.approx(0.1, abs=0.01)
    assert monitor.state()["conv.frequency"].numel() == 2**16
