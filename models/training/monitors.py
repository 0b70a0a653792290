"""What is watched of the weights while they train: sign flips, predicted and real, oscillations, gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...sim.errors import InvalidInput

_MOMENTUM = 0.01  # m of the oscillation frequency
_OSCILLATES = 0.005  # frequency above which a weight counts as oscillating
_SAMPLE = 2**16  # weights of a layer, evenly spread, on which predictions and oscillations are followed


@dataclass(frozen=True)
class EpochStatistics:
    """What the monitor saw in one epoch of one layer; None where the layer is not watched for flips.

    Attributes
    ----------
    sign_flips : int or None
        Weights whose sign changed, summed over optimiser steps.
    sign_flip_rate : float or None
        Flips per weight and optimiser step.
    predicted_flip_rate : float or None
        The same, from the mean and variance of the updates (`flip_probability`), averaged over optimiser steps; in
        layers of more than 65,536 weights over that many of them, evenly spread.
    oscillating_share : float or None
        Part of the weights, or of these, that oscillate at the end of the epoch: oscillation frequency above 0.005.
    gradient_mean, gradient_variance : float
        Over the elements of the weight gradient (population variance, after clipping), averaged over optimiser steps.
    """

    sign_flips: int | None
    sign_flip_rate: float | None
    predicted_flip_rate: float | None
    oscillating_share: float | None
    gradient_mean: float
    gradient_variance: float


def flip_probability(weight: Tensor, update: Tensor) -> Tensor:
    """Probability of each weight's sign to flip, from the mean and variance of a layer's updates alone.

    The updates of the layer are taken as draws from one normal distribution with their mean mu and variance sigma^2
    over the layer's elements, independent of the weights. A weight ``w >= 0`` flips if ``w + update < 0``, one below
    nought if ``w + update >= 0``; with ``s = 1`` and ``-1``:

        P = Phi(-(|w| + s mu) / sigma)

    For plain SGD the update is ``-rate * gradient``, and P is what the gradient's mean and variance say of flips
    (the argument of arXiv 2502.14344). Momentum, Adam and weight decay are in the update, so it holds for them too.
    Not modelled: that updates differ from weight to weight (Adam's scale, the estimator's zero beyond |w| = 1) and
    hang together with the weights; the gap to the real flip rate measures that. The formula is ours.

    Parameters
    ----------
    weight : float tensor
        Before the optimiser step.
    update : float tensor of the same shape
        What the step added.
    """
    variance, mean = torch.var_mean(update, correction=0)
    # with no spread at all the sign of the sum decides
    deviation = variance.sqrt().clamp_min(torch.finfo(variance.dtype).tiny)
    moved = weight + mean
    return torch.special.ndtr(torch.where(weight >= 0, -moved, moved) / deviation)


class WeightMonitor:
    """Counts sign flips (``w >= 0`` is positive, as in the binary layers) and follows the gradients of named weights.

    A flip is an oscillation if it undoes the one before. Of a sign every flip but a weight's first does, so the
    frequency ``f <- m o + (1 - m) f``, with o = 1 at an oscillation and m = 0.01, says how often in recent steps: a
    weight oscillates if f is above 0.005 (Nagel et al., ICML 2022, arXiv 2203.11086; there for integer
    weights). A single oscillation counts for some 70 steps, ``ln(0.01 / 0.005) / 0.01``.

    Parameters
    ----------
    weights : mapping of layer name to weight tensor
        Gradients are followed for all of them.
    flips : collection of str
        Names whose signs are watched: the layers that are, or in the twin would be, binary.
    """

    def __init__(self, weights: Mapping[str, Tensor], flips: tuple[str, ...]) -> None:
        self._weights, self._watched = dict(weights), tuple(flips)
        self._signs = {name: self._weights[name].detach() >= 0 for name in self._watched}
        self._before: dict[str, Tensor] = {}
        self._state: dict[str, Tensor] = {}
        for name in self._watched:
            self._state[f"{name}.frequency"] = torch.zeros_like(self._sample(name))
            self._state[f"{name}.flipped"] = torch.zeros_like(self._sample(name), dtype=torch.bool)
        self._clear()

    def _sample(self, name: str) -> Tensor:
        """The weights of a layer, flat; evenly spread ones of a large layer, which keeps the monitor's cost low."""
        weight = self._weights[name].detach().flatten()
        return weight[:: -(-len(weight) // _SAMPLE)]

    def _clear(self) -> None:
        self._state["steps"] = torch.zeros((), dtype=torch.int64)
        for name, weight in self._weights.items():
            for sum_ in ("mean", "variance", *(["predicted"] * (name in self._watched))):
                self._state[f"{name}.{sum_}"] = torch.zeros((), dtype=torch.float64, device=weight.device)
        for name in self._watched:
            self._state[f"{name}.flips"] = torch.zeros((), dtype=torch.int64, device=self._weights[name].device)

    def before_step(self) -> bool:
        """Call once before every optimiser step; whether all watched gradients are finite."""
        means = []
        for name, weight in self._weights.items():
            if weight.grad is None:
                raise InvalidInput(f"monitor: layer {name!r} has no gradient before the optimiser step")
            mean, size = weight.grad.mean(), weight.grad.numel()
            # mean square less squared mean: five times as fast as var_mean on large layers
            square = torch.linalg.vector_norm(weight.grad).double() ** 2 / size
            self._state[f"{name}.mean"] += mean
            self._state[f"{name}.variance"] += (square - mean.double() ** 2).clamp_min(0)
            means.append(mean)
        for name in self._watched:
            self._before[name] = self._sample(name).clone()
        return bool(torch.isfinite(torch.stack(means)).all())

    def after_step(self) -> None:
        """Call once after every optimiser step."""
        state = self._state
        state["steps"] += 1
        for name, before in self._before.items():
            signs, sample = self._weights[name].detach() >= 0, self._sample(name)
            state[f"{name}.flips"] += torch.count_nonzero(signs ^ self._signs[name])
            self._signs[name] = signs
            state[f"{name}.predicted"] += flip_probability(before, sample - before).mean()
            flips = (sample >= 0) ^ (before >= 0)
            oscillates = flips & state[f"{name}.flipped"]
            state[f"{name}.frequency"].lerp_(oscillates.to(sample.dtype), _MOMENTUM)
            state[f"{name}.flipped"] |= flips

    def end_epoch(self) -> dict[str, EpochStatistics]:
        """Statistics by layer since the last call; the sums then start again from nought, the frequencies go on."""
        steps = max(int(self._state["steps"]), 1)
        result = {}
        for name, weight in self._weights.items():
            value = {key.removeprefix(f"{name}."): v for key, v in self._state.items() if key.startswith(f"{name}.")}
            watched, flips = name in self._watched, int(value.get("flips", 0))
            result[name] = EpochStatistics(
                sign_flips=flips if watched else None,
                sign_flip_rate=flips / (weight.numel() * steps) if watched else None,
                predicted_flip_rate=float(value["predicted"]) / steps if watched else None,
                oscillating_share=float((value["frequency"] > _OSCILLATES).double().mean()) if watched else None,
                gradient_mean=float(value["mean"]) / steps,
                gradient_variance=float(value["variance"]) / steps,
            )
        self._clear()
        return result

    def state(self) -> dict[str, Tensor]:
        """Everything that `load` needs to go on from here."""
        return dict(self._state)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave, with the weights as they were then."""
        self._signs = {name: self._weights[name].detach() >= 0 for name in self._watched}
        self._state = {name: state[name].to(value.device).clone() for name, value in self._state.items()}
