"""Neurons: the recurrence, bit for bit that of Norse's cell, and its surrogate gradient."""

import numpy as np
import pytest
import torch
from norse.torch import LIFBoxCell
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from spikejoule.models.networks.neurons import Neurons

PARAMETERS = [(1.0, 0.5), (0.7, 0.75), (1.3, 0.9), (2.0, 0.0)]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def norse_loop(threshold: float, leak: float, current: torch.Tensor) -> torch.Tensor:
    """The oracle: Norse's own cell, called once per step, differentiated by autograd."""
    parameters = LIFBoxParameters(
        tau_mem_inv=torch.as_tensor(1.0 - leak),
        v_th=torch.as_tensor(threshold),
        method="triangle",
        alpha=1.0,
        reset_method=reset_subtract,
    )
    cell, state, spikes = LIFBoxCell(parameters, dt=1.0), None, []
    for step in current / (1.0 - leak):
        emitted, state = cell(step, state)
        spikes.append(emitted)
    return torch.stack(spikes)


@pytest.mark.parametrize(("threshold", "leak"), [(1.0, 0.5), (0.5, 0.75), (2.0, 0.0)])
def test_neurons_obey_the_recurrence(threshold, leak):
    current = torch.randn(20, 1000) * 2
    potential, fired, expected = torch.zeros(1000), torch.zeros(1000), []
    for x in current:
        potential = leak * (potential - threshold * fired) + x
        fired = (potential > threshold).float()
        expected.append(fired)
    assert torch.equal(Neurons(threshold, leak)(current), torch.stack(expected))


@pytest.mark.parametrize(("threshold", "leak"), PARAMETERS)
def test_spikes_are_those_of_the_norse_cell(threshold, leak):
    current = torch.randn(6, 200_000) * 2
    assert torch.equal(Neurons(threshold, leak)(current), norse_loop(threshold, leak, current))


@pytest.mark.parametrize(("threshold", "leak"), PARAMETERS)
def test_gradient_is_that_of_the_norse_cell(threshold, leak):
    current, weight = torch.randn(6, 20_000) * 2, torch.randn(6, 20_000)
    gradients = []
    for neurons in (Neurons(threshold, leak), lambda x: norse_loop(threshold, leak, x)):
        given = current.clone().requires_grad_()
        (neurons(given) * weight).sum().backward()
        gradients.append(given.grad.numpy())
    np.testing.assert_allclose(*gradients, rtol=1e-6, atol=1e-7)


def test_gradient_is_the_slope_of_the_recurrence_with_a_soft_threshold():
    """The hard spikes plus how far the triangle's integral has moved has their value, and the surrogate's slope."""
    threshold, leak, current = 0.8, 0.6, torch.randn(5, 40, dtype=torch.float64) * 1.5
    weight = torch.randn(5, 40, dtype=torch.float64)

    def soft(x):  # the integral of max(0, 1 - |x|)
        x = x.clamp(-1, 1)
        return x - x.abs() * x / 2 + 0.5

    def loss(values, base):
        """Sum of weighted soft spikes, around the hard ones of the potentials ``base``; and the potentials."""
        potential, fired, total, potentials = 0.0, 0.0, 0.0, []
        for step, x in enumerate(values):
            potential = leak * (potential - float(np.float32(threshold)) * fired) + x
            at = potential if base is None else base[step]
            margin = float(np.float32(threshold))
            fired = (at > margin).double() + soft(potential - margin) - soft(at - margin)
            total = total + (weight[step] * fired).sum()
            potentials.append(potential)
        return total, potentials

    leak = 1.0 - float(np.float32(1.0 - leak))  # as the single-precision parameters hold it
    _, base = loss(current, None)
    neurons, given = Neurons(threshold, 0.6), current.clone().requires_grad_()
    (neurons(given) * weight).sum().backward()
    size, slopes = 1e-6, torch.zeros_like(current)
    for place in range(current.numel()):
        moved = [current.flatten().clone() for _ in range(2)]
        moved[0][place] += size
        moved[1][place] -= size
        (high, _), (low, _) = (loss(values.view(current.shape), base) for values in moved)
        slopes.view(-1)[place] = (high - low) / (2 * size)
    np.testing.assert_allclose(given.grad.numpy(), slopes.numpy(), rtol=1e-5, atol=1e-5)


def test_threshold_is_strict():
    assert Neurons(1.0, 0.5)(torch.tensor([[1.0, 1.0001]])).tolist() == [[0.0, 1.0]]


def test_surrogate_gradient_is_the_triangle():
    current = torch.tensor([[0.25, 1.0, 1.5, 2.5]], requires_grad=True)
    Neurons(1.0, 0.5)(current).sum().backward()
    assert current.grad.tolist() == [[0.25, 1.0, 0.5, 0.0]]


def test_step_by_step_gives_the_spikes_of_the_whole_sequence():
    neurons, current, state, spikes = Neurons(1.0, 0.5), torch.randn(8, 1000) * 2, None, []
    for x in current:
        emitted, state = neurons.step(x, state)
        spikes.append(emitted)
    assert torch.equal(neurons(current), torch.stack(spikes))


def test_one_tensor_of_the_current_s_size_is_kept_for_the_way_back():
    sizes = []
    current = torch.randn(4, 1000, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
        Neurons(1.0, 0.5)(current)
    assert sizes == [4000]


def test_half_precision_currents_are_integrated_in_single_precision():
    current = (torch.randn(30, 1000) * 0.3).bfloat16()
    spikes = Neurons(1.0, 0.9)(current)
    assert spikes.dtype == torch.bfloat16
    assert torch.equal(spikes.float(), Neurons(1.0, 0.9)(current.float()))


def test_half_precision_gradient_is_close_to_the_single_precision_one():
    current = torch.randn(4, 1000).bfloat16()
    gradients = []
    for given in (current.clone(), current.float()):
        Neurons(1.0, 0.5)(given.requires_grad_()).sum().backward()
        gradients.append(given.grad.float().numpy())
    np.testing.assert_allclose(*gradients, atol=0.05)


def test_memory_layout_is_kept():
    current = torch.randn(6, 3, 4, 4).contiguous(memory_format=torch.channels_last).view(2, 3, 3, 4, 4)
    assert Neurons(1.0, 0.5)(current).stride() == current.stride()


def test_inference_mode_gives_the_same_spikes():
    current = torch.randn(5, 1000) * 2
    with torch.inference_mode():
        spikes = Neurons(1.0, 0.5)(current)
    assert torch.equal(spikes, Neurons(1.0, 0.5)(current.requires_grad_()).detach())
