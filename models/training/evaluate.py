"""What a network achieves on a data set: loss, accuracy and firing rates, the same on every machine's thread count."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...sim.errors import InvalidInput
from ..data.datasets import Split, batches
from ..networks.spiking_network import SpikingNetwork

_BATCH = 120
_TURN = threading.RLock()


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


def evaluate(model: SpikingNetwork, split: Split) -> Evaluation:
    """Loss, accuracy and firing rates of a network in evaluation mode, which it is left in."""
    if len(split) == 0:
        raise InvalidInput("evaluation: the split holds no samples")
    model.eval()
    device = next(model.parameters()).device
    loss, correct = 0.0, 0
    spikes: dict[str, float] = {}
    neurons: dict[str, int] = {}
    with reproducible(), torch.inference_mode():
        for inputs, labels in batches(split, _BATCH):
            target = torch.from_numpy(labels).to(device)
            for name, signal in model.populations(as_input(inputs, model.config.steps, device)):
                if name != "classifier":
                    spikes[name] = spikes.get(name, 0.0) + float(signal.sum(dtype=torch.float64))
                    neurons[name] = neurons.get(name, 0) + signal.numel()
            logits = signal.mean(0)
            loss += float(functional.cross_entropy(logits, target, reduction="sum"))
            correct += int((logits.argmax(1) == target).sum())
    rates = {name: spikes[name] / neurons[name] for name in spikes}
    rates[""] = sum(spikes.values()) / sum(neurons.values())
    return Evaluation(loss / len(split), correct / len(split), rates)


def validation_rows(epoch: int, validation: Evaluation) -> list[LogRow]:
    """An evaluation as log rows of an epoch."""
    rows = [LogRow(epoch, name, "firing_rate", rate) for name, rate in validation.firing_rates.items()]
    rows.append(LogRow(epoch, "", "validation_loss", validation.loss))
    return [*rows, LogRow(epoch, "", "validation_accuracy", validation.accuracy)]


def as_input(inputs: NDArray[Any], steps: int, device: torch.device | str = "cpu") -> Tensor:
    """NumPy inputs (steps or 1, batch, *shape) as a float tensor of ``steps`` steps; a held input is repeated."""
    tensor = torch.from_numpy(np.ascontiguousarray(inputs)).to(device).float()
    return tensor if len(tensor) == steps else tensor.expand(steps, *tensor.shape[1:])


@contextmanager
def reproducible(seed: int = 0) -> Iterator[None]:
    """One thread and a random state of our own; the caller's are restored.

    Threads of one process take turns, since torch's random state and thread count belong to the process.

    This is the deterministic mode, always on: on a CPU the same seed gives the same bits. On a GPU sums may run in
    another order each time, and nothing is promised.
    """
    with _TURN, torch.random.fork_rng(devices=[]):
        threads = torch.get_num_threads()
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
