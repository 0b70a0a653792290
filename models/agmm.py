"""The AGMM gate with its controls, and monitors of weight sign flips and gradients during training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..sim.errors import InvalidInput

GATE_KINDS = ("agmm", "constant", "alpha")
GATE_AXES = ("channel", "sample")


@dataclass(frozen=True)
class GateConfig:
    """How the synaptic current is modulated before the neuron.

    Attributes
    ----------
    kind : {'agmm', 'constant', 'alpha'}
        'agmm': ``X'[t] = alpha[t] sigmoid(E(X[t])) X[t]``, the method. 'constant': ``X'[t] = 0.5 alpha X[t]`` with one
        learnable scalar per layer, the control that costs nothing at inference. 'alpha': ``X'[t] = alpha[t] X[t]``.
    axes : {'channel', 'sample'}
        Of 'agmm': the mean E is taken over space per channel, or over channels and space; never over the batch.
    detach : bool
        Of 'agmm': whether no gradient flows through E.
    alpha_init : float
        Where every alpha starts; 1 makes the constant gain start at 0.5, the gate's own value at E = 0.

    References
    ----------
    Liang et al., AAAI-25, arXiv 2502.14344. The axes of E and whether it is detached are not stated: options here.
    """

    kind: str = "agmm"
    axes: str = "channel"
    detach: bool = False
    alpha_init: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("kind", GATE_KINDS), ("axes", GATE_AXES)):
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"gate: {name} is {getattr(self, name)!r}; use one of {', '.join(allowed)}")
        if not isinstance(self.detach, bool):
            raise InvalidInput(f"gate: detach is {self.detach!r}; use true or false")
        number = isinstance(self.alpha_init, int | float) and not isinstance(self.alpha_init, bool)
        if not number or not 0 < self.alpha_init < 1e6:
            raise InvalidInput(f"gate: alpha_init is {self.alpha_init!r}; it must be a positive number")


class Gate(nn.Module):
    """One layer's gate; `forward` multiplies the current by `gain`.

    Parameters
    ----------
    config : GateConfig
    steps : int
        Time steps that the gate is trained for; 'agmm' and 'alpha' hold one alpha per step.
    """

    def __init__(self, config: GateConfig, steps: int) -> None:
        super().__init__()
        self.config = config
        self.alpha = nn.Parameter(torch.full((1 if config.kind == "constant" else steps,), float(config.alpha_init)))

    def gain(self, current: Tensor, step: int | None = None) -> Tensor:
        """The factor on each current, broadcastable: ``current`` is (steps, batch, channels, height, width).

        With ``step`` it is the current of that step alone, (1, batch, ...).
        """
        alpha = self.alpha.view(-1, 1, 1, 1, 1)
        if self.config.kind == "constant":
            return 0.5 * alpha
        if step is not None:
            alpha = alpha[step : step + 1]
        elif len(self.alpha) != len(current):
            raise InvalidInput(f"gate: trained for {len(self.alpha)} steps, given {len(current)}; train with that many")
        if self.config.kind == "alpha":
            return alpha
        mean = current.mean(dim=(3, 4) if self.config.axes == "channel" else (2, 3, 4), keepdim=True)
        return alpha * torch.sigmoid(mean.detach() if self.config.detach else mean)

    def forward(self, current: Tensor, step: int | None = None) -> Tensor:
        return self.gain(current, step) * current


@dataclass(frozen=True)
class EpochStatistics:
    """What the monitor saw in one epoch of one layer.

    Attributes
    ----------
    sign_flips : int or None
        Weights whose sign changed, summed over optimiser steps; None where the layer is not watched for flips.
    sign_flip_rate : float or None
        Flips per weight and optimiser step.
    gradient_mean, gradient_variance : float
        Over the elements of the weight gradient (population variance), averaged over optimiser steps.
    """

    sign_flips: int | None
    sign_flip_rate: float | None
    gradient_mean: float
    gradient_variance: float


class WeightMonitor:
    """Counts sign flips (``w >= 0`` is positive, as in the binary layers) and follows the gradients of named weights.

    Parameters
    ----------
    weights : mapping of layer name to weight tensor
        Gradients are followed for all of them.
    flips : collection of str
        Names whose signs are watched: the layers that are, or in the twin would be, binary.
    """

    def __init__(self, weights: Mapping[str, Tensor], flips: tuple[str, ...]) -> None:
        self._weights = dict(weights)
        self._signs = {name: self._weights[name].detach() >= 0 for name in flips}
        self._clear()

    def _clear(self) -> None:
        self._steps = 0
        self._flips = {name: torch.zeros((), dtype=torch.int64) for name in self._signs}
        self._means = {name: torch.zeros((), dtype=torch.float64) for name in self._weights}
        self._variances = {name: torch.zeros((), dtype=torch.float64) for name in self._weights}

    def after_step(self) -> None:
        """Call once after every optimiser step, while the gradients are still there."""
        self._steps += 1
        for name, weight in self._weights.items():
            if weight.grad is None:
                raise InvalidInput(f"monitor: layer {name!r} has no gradient after the optimiser step")
            variance, mean = torch.var_mean(weight.grad, correction=0)
            self._means[name] += mean
            self._variances[name] += variance
        for name, before in self._signs.items():
            signs = self._weights[name].detach() >= 0
            self._flips[name] += torch.count_nonzero(signs != before)
            self._signs[name] = signs

    def end_epoch(self) -> dict[str, EpochStatistics]:
        """Statistics by layer since the last call, which then start again from nought."""
        steps = max(self._steps, 1)
        result = {}
        for name, weight in self._weights.items():
            flips = int(self._flips[name]) if name in self._flips else None
            result[name] = EpochStatistics(
                sign_flips=flips,
                sign_flip_rate=None if flips is None else flips / (weight.numel() * steps),
                gradient_mean=float(self._means[name]) / steps,
                gradient_variance=float(self._variances[name]) / steps,
            )
        self._clear()
        return result
