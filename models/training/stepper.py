"""Optimiser steps: one batch through forward and backward pass, the optimiser, and its learning rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...sim.errors import InvalidInput
from ..networks.spiking_network import SpikingNetwork
from ..settings.config import TrainConfig
from .divergence import find_divergence
from .evaluate import as_input
from .monitors import WeightMonitor
from .objective import Objective

if TYPE_CHECKING:
    from accelerate import Accelerator

_LOWEST_SCALE = 1.0  # of fp16's loss: below it gradients overflow although nothing is scaled up any more


class Stepper:
    """One optimiser step after another: the objective, its optimiser and the monitor of its weights."""

    def __init__(
        self, model: SpikingNetwork, optimiser: torch.optim.Optimizer, config: TrainConfig, accelerator: Accelerator
    ) -> None:
        self.config, self.accelerator = config, accelerator
        self.plain = Objective(model, config)
        self.objective, self.optimiser = accelerator.prepare(self.plain, optimiser)
        weights = {name: layer.get_parameter("weight") for name, layer in model.synapses.items()}
        self.monitor = WeightMonitor(weights, model.binarised)

    def step(self, inputs: NDArray[Any], labels: NDArray[np.int64], where: str) -> list[float]:
        """One optimiser step on one batch: cross-entropy, penalty (means over its samples) and hits.

        Raises
        ------
        InvalidInput
            If loss or gradients are not finite; ``where`` says when, the message adds in which layer.
        """
        accelerator, config = self.accelerator, self.config
        sums = torch.zeros(3, dtype=torch.float64, device=accelerator.device)
        self.optimiser.zero_grad()
        for index, part in enumerate(self._parts(inputs, labels)):
            last = index + 1 == config.accumulate
            with nullcontext() if last else accelerator.no_sync(self.objective):
                loss, figures = self.objective(*part)
                if not math.isfinite(loss.item()):
                    raise self.divergence((inputs, labels), where)
                accelerator.backward(loss)
            sums += figures
        if config.clip_norm is not None:
            accelerator.clip_grad_norm_(self.plain.parameters(), config.clip_norm)
        scaler = accelerator.scaler
        if scaler is not None and config.clip_norm is None:  # clipping has unscaled them already
            accelerator.unscale_gradients()  # fp16 leaves out a step whose gradients overflow, and lowers the scale
        if not self.monitor.before_step() and (scaler is None or scaler.get_scale() < _LOWEST_SCALE):
            raise self.divergence((inputs, labels), where)
        self.optimiser.step()
        self.monitor.after_step()
        if accelerator.num_processes > 1:
            sums = accelerator.reduce(sums, "sum")
        loss_sum, penalty_sum, hits = sums.tolist()
        parts = config.accumulate * accelerator.num_processes
        return [loss_sum / parts, penalty_sum / parts, hits]

    def _parts(self, inputs: NDArray[Any], labels: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of a batch, in the parts that are computed one after the other."""
        accelerator, parts = self.accelerator, self.config.accumulate * self.accelerator.num_processes
        for index in range(self.config.accumulate):
            rows = slice(index * accelerator.num_processes + accelerator.process_index, None, parts)
            target = torch.from_numpy(np.ascontiguousarray(labels[rows])).to(accelerator.device)
            yield as_input(inputs[:, rows], self.config.steps, accelerator.device), target

    def divergence(self, batch: tuple[NDArray[Any], NDArray[np.int64]] | None, where: str) -> InvalidInput:
        """What to raise when a value is not finite; the batch is run again to find out which."""
        config, found = self.config, None
        for part in () if batch is None else self._parts(*batch):
            found = found or find_divergence(self.plain, *part)
        if found is None:
            broken = (n for n, value in self.plain.network.named_parameters() if not bool(torch.isfinite(value).all()))
            found = f"the parameter {next(broken, 'of some layer')!r}"
        return InvalidInput(
            f"training of {config.variant}, seed {config.seed}: {found} became infinite or not a number {where}; "
            f"lower learning_rate (now {config.learning_rate:g}) or check the data; no run was written"
        )


def make_optimiser(model: SpikingNetwork, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser; weight decay acts on weights of convolutions and classifier only, which have two axes or more."""
    decayed = [value for value in model.parameters() if value.dim() > 1]
    rest = [value for value in model.parameters() if value.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    rate = float(config.learning_rate or 0.0)
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimiser](groups, lr=rate)


def rate_at(config: TrainConfig, step: int, steps: int) -> float:
    """Learning rate of an optimiser step, counted from 0: linear warm-up, then a cosine down to nought."""
    peak, warm = float(config.learning_rate or 0.0), max(1, round(config.warm_up * steps))
    if step < warm:
        return peak * ((step + 1) / warm)
    return peak * (0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm))))


def set_rate(optimiser: torch.optim.Optimizer, config: TrainConfig, step: int, steps: int) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate_at(config, step, steps)
