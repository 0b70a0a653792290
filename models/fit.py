"""Backpropagation through time, epoch by epoch, with the log of what happened."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ..sim.errors import InvalidInput
from .agmm import WeightMonitor
from .config import TrainConfig
from .datasets import Dataset, Split, batches
from .evaluate import LogRow, as_input, evaluate, reproducible, validation_rows
from .networks import NetworkConfig, SpikingNetwork

_WARM_UP = 0.1  # part of all optimiser steps during which the learning rate rises


def fit(config: TrainConfig, data: Dataset) -> tuple[SpikingNetwork, Iterator[list[LogRow]]]:
    """A freshly initialised network, and an iterator that trains it: a list of log rows per epoch, the first empty."""
    with reproducible(config.seed):
        model = SpikingNetwork(network_config(config, data))
    return model, _epochs(model, config, data)


def _epochs(model: SpikingNetwork, config: TrainConfig, data: Dataset) -> Iterator[list[LogRow]]:
    yield []
    part = Split(data.train.inputs[: config.train_samples], data.train.labels[: config.train_samples])
    # whole batches only: a last batch of one sample has no variance for batch norm
    size = min(config.batch_size, len(part))
    steps_per_epoch = len(part) // size
    optimiser = torch.optim.Adam(model.parameters(), lr=float(config.learning_rate or 0.0))
    schedule = _schedule(optimiser, steps_per_epoch * config.epochs)
    weights = {name: layer.get_parameter("weight") for name, layer in model.synapses.items()}
    monitor = WeightMonitor(weights, model.binarised)
    order = np.random.default_rng(config.seed)
    for epoch in range(1, config.epochs + 1):
        started, rate = time.perf_counter(), float(schedule.get_last_lr()[0])
        chosen = order.permutation(len(part))[: steps_per_epoch * size]
        loss_sum, correct = 0.0, 0
        with reproducible(config.seed):
            model.train()
            for inputs, labels in batches(part, size, chosen):
                loss, hits = _step(model, optimiser, inputs, labels)
                if not math.isfinite(loss):
                    raise _divergence(model, config, epoch)
                monitor.after_step()
                schedule.step()
                loss_sum, correct = loss_sum + loss, correct + hits
            if not all(bool(torch.isfinite(value).all()) for value in model.parameters()):
                raise _divergence(model, config, epoch)  # a potential of NaN fires no spike: the loss need not show it
            validation = evaluate(model, data.validation)
        yield [
            LogRow(epoch, "", "train_loss", loss_sum / steps_per_epoch),
            LogRow(epoch, "", "train_accuracy", correct / len(chosen)),
            LogRow(epoch, "", "learning_rate", rate),
            *validation_rows(epoch, validation),
            *_weight_rows(epoch, monitor),
            LogRow(epoch, "", "seconds", time.perf_counter() - started),
        ]


def _step(
    model: SpikingNetwork, optimiser: torch.optim.Optimizer, inputs: NDArray[Any], labels: NDArray[np.int64]
) -> tuple[float, int]:
    """One optimiser step, unless the loss is not finite; loss and number of hits."""
    logits, target = model(as_input(inputs, model.config.steps)), torch.from_numpy(labels)
    loss = functional.cross_entropy(logits, target)
    if math.isfinite(loss.item()):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item(), int((logits.detach().argmax(1) == target).sum())


def network_config(config: TrainConfig, data: Dataset) -> NetworkConfig:
    """The structure that a training config asks for on a data set."""
    return NetworkConfig(
        network=config.network,
        input_shape=data.input_shape,
        classes=data.classes,
        steps=config.steps,
        input_kind=data.input_kind,
        held_input=data.held_input,
        weight_bits=8 if config.derived == "int8" else config.weight_bits,
        gate=None if config.derived == "frozen" else config.gate,
        width=config.width,
        threshold=config.threshold,
        leak=config.leak,
    )


def _schedule(optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    warm = max(1, round(_WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def _divergence(model: SpikingNetwork, config: TrainConfig, epoch: int) -> InvalidInput:
    parts = {**dict(model.blocks.items()), "classifier": model.classifier}
    broken = [
        name
        for name, module in parts.items()
        if not all(bool(torch.isfinite(value).all()) for value in module.parameters())
    ]
    where = f"the weights of layer {broken[0]!r}" if broken else "the loss, with all weights still finite,"
    return InvalidInput(
        f"training of {config.variant}, seed {config.seed}: {where} became infinite or not a number in epoch {epoch}; "
        f"lower learning_rate (now {config.learning_rate:g}) or check the data; nothing was written"
    )


def _weight_rows(epoch: int, monitor: WeightMonitor) -> list[LogRow]:
    rows = []
    for name, statistics in monitor.end_epoch().items():
        for quantity, value in dataclasses.asdict(statistics).items():
            if value is not None:
                rows.append(LogRow(epoch, name, quantity, float(value)))
    return rows
