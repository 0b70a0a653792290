"""Leaky integrate-and-fire neurons: Norse's box neuron, run over all time steps at once."""

from __future__ import annotations

from typing import Any

import torch
from norse.torch import LIFBoxCell
from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Neurons(nn.Module):
    """A population of leaky integrate-and-fire neurons with soft reset, stepped through all time steps.

    ``u[t] = lambda (u[t-1] - V_th s[t-1]) + X[t]``, ``s[t] = 1 if u[t] > V_th else 0``, from ``u = 0``. Norse's box
    neuron obeys it with ``dt tau_mem_inv = 1 - lambda`` and input ``X / (1 - lambda)``. The surrogate gradient is the
    triangle ``max(0, 1 - |u - V_th|)`` (Esser et al. 2016, doi:10.1073/pnas.1604850113), also through the reset.

    Attributes
    ----------
    leak : float
        lambda, 0 or more and below 1.
    cell : norse.torch.LIFBoxCell
        Holds the parameters. `forward` does what a loop over the cell does, operation by operation in the same order
        and with the same derivative, so that spikes and gradients are the cell's bit for bit on a CPU; it keeps one
        tensor for the way back, the potentials before the reset, where the loop keeps five of that size.
    """

    def __init__(self, threshold: float, leak: float) -> None:
        super().__init__()
        self.leak = leak
        parameters = LIFBoxParameters(
            tau_mem_inv=torch.as_tensor(1.0 - leak),
            v_th=torch.as_tensor(threshold),
            method="triangle",
            alpha=1.0,
            reset_method=reset_subtract,
        )
        self.cell = LIFBoxCell(parameters, dt=1.0)

    def forward(self, current: Tensor) -> Tensor:
        """Spikes 0/1 of the same shape and type as ``current`` (steps, batch, *neurons).

        A current of half precision (autocast) is integrated in float32; potentials are kept in the current's type.
        """
        p = self.cell.p
        spikes: Tensor = _Sequence.apply(current, float(p.tau_mem_inv), float(p.v_th), 1.0 - self.leak)
        return spikes

    def step(
        self, current: Tensor, state: LIFBoxFeedForwardState | None = None
    ) -> tuple[Tensor, LIFBoxFeedForwardState]:
        """One step of Norse's cell, for currents that depend on the spikes before: spikes and the next state."""
        emitted, state = self.cell(current / (1.0 - self.leak), state)
        return emitted, state


class _Sequence(torch.autograd.Function):
    """All steps of the box neuron; every line of the loops is one operation of Norse's cell or of its derivative."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, rate: float, threshold: float, gain: float) -> Tensor:
        state_type = _state_type(current)
        spikes = torch.empty_like(current)
        potential = torch.zeros_like(current[0], dtype=state_type)
        kept, before_reset = None, torch.empty_like(potential).expand(current.shape)  # of one step unless kept
        if ctx.needs_input_grad[0]:
            kept = torch.empty_like(current)
            before_reset = kept if kept.dtype == state_type else before_reset
        for t, step in enumerate(current):
            u = before_reset[t]
            torch.div(step.to(state_type), gain, out=u)
            u.sub_(potential).mul_(rate).add_(potential)
            torch.gt(u, threshold, out=spikes[t])
            torch.sub(u, spikes[t], alpha=threshold, out=potential)
            if kept is not None and kept is not before_reset:
                kept[t] = u
        ctx.save_for_backward(kept)
        ctx.constants = rate, threshold, gain
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (kept,), (rate, threshold, gain) = ctx.saved_tensors, ctx.constants
        # the layout of what comes in, as from the loop over the cell: the sums of the layers before depend on it in
        # their last bits
        result = torch.empty_like(gradients[0])
        grad = torch.zeros_like(kept[0], dtype=_state_type(kept))  # of the potential after the reset
        x, of_spike, product, one = *(torch.empty_like(grad) for _ in range(3)), torch.ones((), dtype=grad.dtype)
        for t in range(len(kept) - 1, -1, -1):
            u = kept[t].to(grad.dtype)
            torch.sub(u, threshold, out=x)
            torch.mul(grad, x, out=of_spike).add_(gradients[0][t])
            of_spike.sub_(torch.mul(grad, u, out=product))
            torch.sub(one, x.abs_(), out=x).clamp_min_(0)  # the triangle
            grad.add_(of_spike.mul_(x))
            torch.mul(grad, rate, out=x)
            torch.div(x, gain, out=result[t])
            grad.sub_(x)
        return result, None, None, None


def _state_type(current: Tensor) -> torch.dtype:
    return torch.float32 if current.dtype in (torch.float16, torch.bfloat16) else current.dtype
