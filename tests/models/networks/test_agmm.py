"""The AGMM gate and its controls."""

import numpy as np
import pytest
import torch
from spikejoule.models.networks.agmm import Gate, GateConfig
from spikejoule.sim.errors import InvalidInput

STEPS, BATCH, CHANNELS = 3, 2, 4


def current() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(STEPS, BATCH, CHANNELS, 2, 5))).float()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("axes", "over"), [("channel", (3, 4)), ("sample", (2, 3, 4))])
def test_gate_by_hand(axes, over):
    gate = Gate(GateConfig(axes=axes), STEPS)
    gate.alpha.data = torch.tensor([0.5, 1.0, 2.0])
    x = current().numpy().astype(np.float64)
    expected = np.array([0.5, 1.0, 2.0])[:, None, None, None, None] * sigmoid(x.mean(over, keepdims=True)) * x
    np.testing.assert_allclose(gate(current()).detach().numpy(), expected, rtol=1e-5)


def test_gate_of_a_sample_does_not_see_the_batch():
    gate = Gate(GateConfig(), STEPS)
    together, alone = gate(current())[:, :1].detach(), gate(current()[:, :1]).detach()
    np.testing.assert_allclose(together.numpy(), alone.numpy(), rtol=1e-6)


def test_constant_gain_is_one_scalar_that_starts_at_a_half():
    gate = Gate(GateConfig("constant"), STEPS)
    assert gate.alpha.numel() == 1
    assert torch.equal(gate(current()), 0.5 * current())


def test_alpha_alone_has_one_factor_per_step():
    gate = Gate(GateConfig("alpha", alpha_init=2.0), STEPS)
    gate.alpha.data[1] = 3.0
    expected = current() * torch.tensor([2.0, 3.0, 2.0]).view(-1, 1, 1, 1, 1)
    assert torch.equal(gate(current()), expected)


@pytest.mark.parametrize("detach", [False, True])
def test_gradient_through_the_mean_by_hand(detach):
    # one element x per channel: d/dx [s(x) x] = s + x s (1 - s), or s alone where the mean is detached
    x = torch.tensor([0.7, -0.4]).view(1, 1, 2, 1, 1).requires_grad_()
    Gate(GateConfig(detach=detach), 1)(x).sum().backward()
    value = x.detach().numpy().ravel()
    expected = sigmoid(value) + (0 if detach else value * sigmoid(value) * (1 - sigmoid(value)))
    np.testing.assert_allclose(x.grad.numpy().ravel(), expected, rtol=1e-6)


def test_gate_for_other_steps_is_refused():
    with pytest.raises(InvalidInput, match="trained for 3 steps, given 2"):
        Gate(GateConfig(), STEPS)(current()[:2])


@pytest.mark.parametrize("fields", [{"kind": "agm"}, {"axes": "batch"}, {"detach": 1}, {"alpha_init": 0}])
def test_impossible_gate_is_refused(fields):
    with pytest.raises(InvalidInput, match=f"gate: {next(iter(fields))}"):
        GateConfig(**fields)
