"""Binary weights: the sign, its straight-through estimator, and the layers that use it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from spikejoule.models.networks.binary_weights import BinaryConv2d, BinaryLinear, binarise
from torch.nn import functional


def test_sign_of_zero_is_plus_one():
    assert binarise(torch.tensor([0.0, -0.0])).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20))
def test_every_weight_becomes_its_sign(values):
    assert binarise(torch.tensor(values)).tolist() == [1.0 if value >= 0 else -1.0 for value in values]


@pytest.mark.parametrize(("weight", "slope"), [(-1.5, 0), (-1.0, 1), (-0.2, 1), (0.0, 1), (1.0, 1), (1.0001, 0)])
def test_gradient_passes_straight_through_up_to_one(weight, slope):
    latent = torch.tensor([weight], requires_grad=True)
    (5.0 * binarise(latent)).sum().backward()
    assert latent.grad.tolist() == [5.0 * slope]


def test_linear_gradient_by_hand():
    layer = BinaryLinear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[0.5, -2.0]])
    output = layer(torch.tensor([[3.0, 7.0]]))
    assert output.item() == 3.0 - 7.0
    (output**2).backward()  # d/dw = 2 * (-4) * x where |w| <= 1
    assert layer.weight.grad.tolist() == [[-24.0, 0.0]]


def test_convolution_uses_the_signs_and_keeps_latent_weights():
    layer = BinaryConv2d(2, 3, kernel_size=3, padding=1, bias=False)
    latent = layer.weight.detach().clone()
    x = torch.randn(4, 2, 5, 5)
    expected = functional.conv2d(x, torch.where(latent >= 0, 1.0, -1.0), padding=1)
    assert torch.equal(layer(x), expected)
    assert torch.equal(layer.weight, latent)
