"""Backpropagation through time, epoch by epoch, with the log of what happened. `_epochs` is the whole training."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...sim.errors import InvalidInput
from ..data.augmentation import augment, augmentation_rng
from ..data.datasets import Dataset, Split, batches
from ..networks.network_config import NetworkConfig
from ..networks.spiking_network import SpikingNetwork
from ..run_folders.checkpoint import CheckpointFile
from ..settings.config import TrainConfig
from .devices import make_accelerator
from .evaluate import Evaluation, LogRow, evaluate, reproducible, validation_rows
from .monitors import WeightMonitor
from .stepper import Stepper, make_optimiser, rate_at, set_rate
from .training_state import Position, restore, to_checkpoint

if TYPE_CHECKING:
    from accelerate import Accelerator


def fit(
    config: TrainConfig,
    data: Dataset,
    *,
    accelerator: Accelerator | None = None,
    start: dict[str, Tensor] | None = None,
    file: CheckpointFile | None = None,
) -> tuple[SpikingNetwork, Iterator[tuple[int, list[LogRow]]]]:
    """A network, and an iterator that trains it: (epochs done, log rows) first of what is done, then of every epoch.

    Parameters
    ----------
    config : TrainConfig
        Resolved.
    data : Dataset
    accelerator : Accelerator, optional
        From `make_accelerator`; one CPU process unless given.
    start : dict of tensors, optional
        Weights to start from instead of fresh ones.
    file : CheckpointFile, optional
        Gone on from if it is there, and written from time to time.
    """
    accelerator = accelerator or make_accelerator("cpu", config.precision, config.accumulate)
    with reproducible(config.seed):
        model = SpikingNetwork(network_config(config, data))
    if start is not None:
        model.load_state_dict(start)
    return model, _epochs(model, config, data, accelerator, file)


def _epochs(
    model: SpikingNetwork, config: TrainConfig, data: Dataset, accelerator: Accelerator, file: CheckpointFile | None
) -> Iterator[tuple[int, list[LogRow]]]:
    part = Split(data.train.inputs[: config.train_samples], data.train.labels[: config.train_samples])
    size = batch_size(config, len(part), accelerator.num_processes)
    steps = len(part) // size  # whole batches only: a last batch of one sample has no variance for batch norm
    optimiser = make_optimiser(model, config)
    stepper = Stepper(model, optimiser, config, accelerator)
    order = np.random.default_rng(config.seed)
    now, random, best_weights = Position(), None, dict[str, Tensor]()
    saved = None if file is None else file.read(data.digest)
    if saved is not None:
        now, random, best_weights = restore(saved, model, optimiser, stepper)
        order.bit_generator.state = now.order
    yield now.epoch - 1, list(now.rows)

    while now.epoch <= config.epochs:
        started, first = time.perf_counter(), (now.epoch - 1) * steps
        now.order = dict(order.bit_generator.state)
        chosen = order.permutation(len(part))[: steps * size]
        with reproducible(config.seed):
            if random is not None:
                torch.set_rng_state(random)
                random = None
            stepper.objective.train()
            rest = chosen[now.step * size :]
            for inputs, labels in _training_batches(config, part, size, rest, first + now.step):
                set_rate(optimiser, config, first + now.step, steps * config.epochs)
                sums = stepper.step(inputs, labels, f"in optimiser step {first + now.step + 1} (epoch {now.epoch})")
                now.sums = [total + value for total, value in zip(now.sums, sums, strict=True)]
                now.step += 1
                if file is not None and accelerator.is_main_process and file.due():
                    file.write(to_checkpoint(now, model, optimiser, stepper, best_weights, data.digest))
            if not all(bool(torch.isfinite(value).all()) for value in model.parameters()):
                raise stepper.divergence(None, f"in the last optimiser step of epoch {now.epoch}")
            validation = evaluate(model, data.validation)
        rate = rate_at(config, first, steps * config.epochs)
        rows = _epoch_rows(config, now, steps, len(chosen), rate, validation, stepper.monitor)
        if config.patience is not None:
            if (merit := _merit(validation)) > (now.best or (-1.0,)):
                now.best, now.best_epoch = merit, now.epoch
                best_weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
            rows.append(LogRow(now.epoch, "", "kept_epoch", float(now.best_epoch)))
        rows.append(LogRow(now.epoch, "", "seconds", time.perf_counter() - started))
        now = dataclasses.replace(now, epoch=now.epoch + 1, step=0, sums=[0.0] * 3, rows=[*now.rows, *rows])
        yield now.epoch - 1, rows
        if config.patience is not None and now.epoch - 1 - now.best_epoch >= config.patience:
            break
    if config.patience is not None:
        model.load_state_dict(best_weights)


def batch_size(config: TrainConfig, samples: int, processes: int) -> int:
    """Samples per optimiser step, checked to fall into equal parts for all processes."""
    size, parts = min(config.batch_size, samples), config.accumulate * processes
    if size % parts or size // parts < 2:
        raise InvalidInput(
            f"train config: {size} samples per optimiser step do not fall into {config.accumulate} parts on "
            f"{processes} processes of two or more each; change batch_size, accumulate, or the number of processes"
        )
    return size


def _training_batches(
    config: TrainConfig, part: Split, size: int, chosen: NDArray[np.int64], first: int
) -> Iterator[tuple[NDArray[Any], Any]]:
    """Batches as the network sees them in training, augmented; ``first`` is the first one's optimiser step, from 0."""
    for step, (inputs, labels) in enumerate(batches(part, size, chosen), start=first):
        if config.augmentation is not None:
            inputs = augment(inputs, config.augmentation, augmentation_rng(config.seed, step))
        yield inputs, labels


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
        residual=config.residual,
    )


def _epoch_rows(
    config: TrainConfig,
    now: Position,
    steps: int,
    samples: int,
    rate: float,
    validation: Evaluation,
    monitor: WeightMonitor,
) -> list[LogRow]:
    """What an epoch of so many optimiser steps and samples came to; ``rate`` is its first learning rate."""
    loss, penalty, hits = now.sums
    rows = [
        LogRow(now.epoch, "", "train_loss", loss / steps),
        LogRow(now.epoch, "", "train_accuracy", hits / samples),
        LogRow(now.epoch, "", "learning_rate", rate),
        *validation_rows(now.epoch, validation),
        *_weight_rows(now.epoch, monitor),
    ]
    if config.rate_penalty > 0:
        rows.append(LogRow(now.epoch, "", "train_rate_penalty", penalty / steps))
    return rows


def _merit(validation: Evaluation) -> tuple[float, float]:
    """Of two epochs the better has the higher accuracy, or at equal accuracy the lower loss."""
    return validation.accuracy, -validation.loss


def _weight_rows(epoch: int, monitor: WeightMonitor) -> list[LogRow]:
    rows = []
    for name, statistics in monitor.end_epoch().items():
        for quantity, value in dataclasses.asdict(statistics).items():
            if value is not None:
                rows.append(LogRow(epoch, name, quantity, float(value)))
    return rows
