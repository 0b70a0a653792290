"""Backpropagation through time, epoch by epoch, with the log of what happened. `_epochs` is the whole training."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..sim.errors import InvalidInput
from .augment import augment, augmentation_rng
from .checkpoint import Checkpoint, CheckpointFile, load_optimiser, optimiser_tensors
from .config import TrainConfig
from .datasets import Dataset, Split, batches
from .devices import make_accelerator
from .divergence import find_divergence
from .evaluate import Evaluation, LogRow, as_input, evaluate, reproducible, validation_rows
from .monitors import WeightMonitor
from .networks import NetworkConfig, SpikingNetwork
from .objective import Objective

if TYPE_CHECKING:
    from accelerate import Accelerator

_LOWEST_SCALE = 1.0  # of fp16's loss: below it gradients overflow although nothing is scaled up any more


@dataclass
class Position:
    """Where a training stands, beside weights and moments: plain data, as a checkpoint keeps it.

    Attributes
    ----------
    epoch : int
        The present one, from 1.
    step : int
        Optimiser steps done in it.
    sums : list of float
        Of the epoch's steps: cross-entropy, penalty, hits.
    order : dict
        State of the generator of sample orders at the epoch's start.
    best : tuple of float
        Validation accuracy and minus loss of the best epoch; empty before the first.
    best_epoch : int
    rows : list of LogRow
        Of all finished epochs.
    """

    epoch: int = 1
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    order: dict[str, Any] = field(default_factory=dict)
    best: tuple[float, ...] = ()
    best_epoch: int = 0
    rows: list[LogRow] = field(default_factory=list)


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
    saved = None if file is None else file.read()
    if saved is not None:
        now, random, best_weights = _restore(saved, model, optimiser, stepper)
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
                    file.write(_checkpoint(now, model, optimiser, stepper, best_weights))
            if not all(bool(torch.isfinite(value).all()) for value in model.parameters()):
                raise stepper.divergence(None, f"in the last optimiser step of epoch {now.epoch}")
            validation = evaluate(model, data.validation)
        loss, penalty, hits = now.sums
        rows = [
            LogRow(now.epoch, "", "train_loss", loss / steps),
            LogRow(now.epoch, "", "train_accuracy", hits / len(chosen)),
            LogRow(now.epoch, "", "learning_rate", rate_at(config, first, steps * config.epochs)),
            *validation_rows(now.epoch, validation),
            *_weight_rows(now.epoch, stepper.monitor),
        ]
        if config.rate_penalty > 0:
            rows.append(LogRow(now.epoch, "", "train_rate_penalty", penalty / steps))
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


def _checkpoint(
    now: Position,
    model: SpikingNetwork,
    optimiser: torch.optim.Optimizer,
    stepper: Stepper,
    best_weights: dict[str, Tensor],
) -> Checkpoint:
    groups = {
        "model": model.state_dict(),
        "optimiser": optimiser_tensors(optimiser),
        "monitor": stepper.monitor.state(),
        "best": best_weights,
        "random": {"torch": torch.get_rng_state()},
    }
    tensors = {f"{group}/{name}": value for group, named in groups.items() for name, value in named.items()}
    scaler = stepper.accelerator.scaler
    return Checkpoint(
        tensors, {"position": dataclasses.asdict(now), "scaler": None if scaler is None else scaler.state_dict()}
    )


def _restore(
    saved: Checkpoint, model: SpikingNetwork, optimiser: torch.optim.Optimizer, stepper: Stepper
) -> tuple[Position, Tensor, dict[str, Tensor]]:
    """Load what `_checkpoint` gathered; the position, torch's random state and the best weights."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in saved.tensors.items():
        group, _, name = key.partition("/")
        groups.setdefault(group, {})[name] = value
    model.load_state_dict(groups["model"])
    load_optimiser(optimiser, groups["optimiser"])
    stepper.monitor.load(groups["monitor"])
    if stepper.accelerator.scaler is not None:
        stepper.accelerator.scaler.load_state_dict(saved.facts["scaler"])
    position = dict(saved.facts["position"])
    rows = [LogRow(*row) for row in position.pop("rows")]
    now = Position(**{**position, "best": tuple(position["best"])}, rows=rows)
    return now, groups["random"]["torch"], groups.get("best", {})
