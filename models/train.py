"""Train a spiking network by backpropagation through time, deterministically, into a run folder."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..sim.errors import InvalidInput
from .agmm import WeightMonitor
from .config import TrainConfig
from .datasets import Dataset, Split, batches, load_dataset
from .networks import NetworkConfig, SpikingNetwork
from .run import Run, find_run, save_run

Progress = Callable[[str, int, int], None]  # label, epochs done, epochs in all
_WARM_UP = 0.1  # part of all optimiser steps during which the learning rate rises
_EVALUATION_BATCH = 120


class LogRow(NamedTuple):
    """One row of log.parquet; ``layer`` is "" for the whole network."""

    epoch: int
    layer: str
    quantity: str
    value: float


class Evaluation(NamedTuple):
    """Mean cross-entropy, accuracy 0..1, and spikes per neuron and step by population ("" for all of them)."""

    loss: float
    accuracy: float
    firing_rates: dict[str, float]


def train(
    config: TrainConfig,
    *,
    runs: str | Path = "runs",
    progress: Progress | None = None,
    data: Dataset | None = None,
) -> Run:
    """Train the network that ``config`` describes, or take the finished run with that config.

    Parameters
    ----------
    config : TrainConfig
        With ``derived`` set, the run it is derived from is trained first.
    runs : path
        Folder of run folders. Nothing is written before the training has ended.
    progress : callable, optional
        Called as ``progress(label, epochs done, epochs)`` before the first and after every epoch.
    data : Dataset, optional
        Already loaded data of ``config.dataset``.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInput
        If the config has no learning rate, the loss is not finite, or the folder cannot be written.
    KeyboardInterrupt
        On Ctrl-C, with a message; no folder is left behind and finished runs stay as they are.

    Notes
    -----
    Adam with a linear warm-up over a tenth of all steps and a cosine down to nought, cross-entropy on the logits' mean
    over steps, no augmentation, no early stopping: the last epoch's weights are kept. Validation data are only looked
    at, test data never. One thread, so that the same seed gives the same bits whatever the machine's core count.
    """
    config = config.resolved()
    found = find_run(config, runs)
    if found is not None:
        return found
    if config.derived is not None:
        from .derive import derive  # derive evaluates with this module

        base = train(dataclasses.replace(config, derived=None), runs=runs, progress=progress, data=data)
        return derive(base, config.derived, runs=runs, data=data)
    data = load_dataset(config.dataset, config.steps) if data is None else data
    label, epoch = f"{config.variant}, seed {config.seed}", 0
    log: list[LogRow] = []
    try:
        model, epochs = fit(config, data)
        for epoch, rows in enumerate(epochs):
            log += rows
            if progress is not None:
                progress(label, epoch, config.epochs)
        return save_run(config, model, log, runs)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"training of {label} was stopped in epoch {epoch + 1} of {config.epochs}; nothing of it was written, "
            f"finished runs in {str(runs)!r} are whole"
        ) from None


def fit(config: TrainConfig, data: Dataset) -> tuple[SpikingNetwork, Iterator[list[LogRow]]]:
    """A freshly initialised network, and an iterator that trains it: one list of log rows per epoch, the first empty."""
    with _reproducible(config.seed):
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
        started, loss_sum, correct = time.perf_counter(), 0.0, 0
        rate = schedule.get_last_lr()[0]
        chosen = order.permutation(len(part))[: steps_per_epoch * size]
        with _reproducible(config.seed):
            model.train()
            for inputs, labels in batches(part, size, chosen):
                loss, hits = _step(model, optimiser, inputs, labels)
                if not math.isfinite(loss):
                    _refuse_divergence(model, config, epoch, loss)
                monitor.after_step()
                schedule.step()
                loss_sum, correct = loss_sum + loss, correct + hits
            validation = evaluate(model, data.validation)
        count = len(chosen)
        rows = [LogRow(epoch, "", "train_loss", loss_sum / steps_per_epoch), LogRow(epoch, "", "train_accuracy", correct / count)]
        rows += [LogRow(epoch, "", "learning_rate", rate), *_validation_rows(epoch, validation), *_weight_rows(epoch, monitor)]
        yield [*rows, LogRow(epoch, "", "seconds", time.perf_counter() - started)]


def _step(model: SpikingNetwork, optimiser: torch.optim.Optimizer, inputs: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    optimiser.zero_grad()
    logits, target = model(as_input(inputs, model.config.steps)), torch.from_numpy(labels)
    loss = functional.cross_entropy(logits, target)
    loss.backward()
    optimiser.step()
    return float(loss.detach()), int((logits.detach().argmax(1) == target).sum())


def evaluate(model: SpikingNetwork, split: Split) -> Evaluation:
    """Loss, accuracy and firing rates of a network in evaluation mode, which it is left in."""
    if len(split) == 0:
        raise InvalidInput("evaluation: the split holds no samples")
    model.eval()
    loss, correct = 0.0, 0
    spikes: dict[str, float] = {}
    neurons: dict[str, int] = {}
    with torch.inference_mode():
        for inputs, labels in batches(split, _EVALUATION_BATCH):
            target = torch.from_numpy(labels)
            for name, signal in model.populations(as_input(inputs, model.config.steps)):
                if name != "classifier":
                    spikes[name] = spikes.get(name, 0.0) + float(signal.sum(dtype=torch.float64))
                    neurons[name] = neurons.get(name, 0) + signal.numel()
            logits = signal.mean(0)
            loss += float(functional.cross_entropy(logits, target, reduction="sum"))
            correct += int((logits.argmax(1) == target).sum())
    rates = {name: spikes[name] / neurons[name] for name in spikes}
    rates[""] = sum(spikes.values()) / sum(neurons.values())
    return Evaluation(loss / len(split), correct / len(split), rates)


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


def as_input(inputs: np.ndarray, steps: int) -> Tensor:
    """NumPy inputs (steps or 1, batch, *shape) as a float tensor of ``steps`` steps; a held input is repeated."""
    tensor = torch.from_numpy(np.ascontiguousarray(inputs)).float()
    return tensor if len(tensor) == steps else tensor.expand(steps, *tensor.shape[1:])


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """One thread and a random state of our own; the caller's are restored."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _schedule(optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    warm = max(1, round(_WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def _refuse_divergence(model: SpikingNetwork, config: TrainConfig, epoch: int, loss: float) -> None:
    broken = [name for name, value in model.named_parameters() if not bool(torch.isfinite(value).all())]
    broken = broken or [n for n, p in model.named_parameters() if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
    where = f"first in {broken[0].removeprefix('blocks.')!r}" if broken else "the parameters are still finite"
    raise InvalidInput(
        f"training of {config.variant}, seed {config.seed}: the loss became {loss} in epoch {epoch} ({where}); "
        f"lower learning_rate (now {config.learning_rate:g}); nothing was written"
    )


def _validation_rows(epoch: int, validation: Evaluation) -> list[LogRow]:
    rows = [LogRow(epoch, name, "firing_rate", rate) for name, rate in validation.firing_rates.items()]
    rows.append(LogRow(epoch, "", "validation_loss", validation.loss))
    return [*rows, LogRow(epoch, "", "validation_accuracy", validation.accuracy)]


def _weight_rows(epoch: int, monitor: WeightMonitor) -> list[LogRow]:
    rows = []
    for name, statistics in monitor.end_epoch().items():
        for quantity, value in dataclasses.asdict(statistics).items():
            if value is not None:
                rows.append(LogRow(epoch, name, quantity, float(value)))
    return rows
