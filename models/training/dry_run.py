"""What a training would take, from two optimiser steps on made data: memory, time, parameters."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ...sim.errors import InvalidInput
from ..data.datasets import Dataset, Split, batches
from ..networks.spiking_network import SpikingNetwork
from ..settings.config import TrainConfig
from ..settings.recipes import DataShape
from .devices import make_accelerator
from .evaluate import reproducible
from .fit import batch_size, network_config
from .stepper import Stepper, make_optimiser, set_rate

_SPIKE_RATE = 0.1  # of the made events; time and memory of dense convolutions do not depend on it
_POLL_S = 0.002
_RATE = 1e-3


@dataclass(frozen=True)
class DryRun:
    """What two optimiser steps took, and what follows for the whole training.

    Attributes
    ----------
    device : str
    parameters, parameter_bytes : int
        Of the network in training, where latent weights are float32 whatever they are at inference.
    peak_memory_bytes : int
        Of the GPU's allocator, or on a CPU of the whole process (resident set, sampled), interpreter and libraries
        included; the data set itself is not.
    seconds_per_step : float
        Of the second optimiser step; the first sets things up.
    steps_per_epoch : int
    seconds_per_epoch : float
        Their product: loading of data, evaluation and checkpoints come on top.
    """

    device: str
    parameters: int
    parameter_bytes: int
    peak_memory_bytes: int
    seconds_per_step: float
    steps_per_epoch: int
    seconds_per_epoch: float


def dry_run(config: TrainConfig, shape: DataShape, *, device: str = "cpu") -> DryRun:
    """Two optimiser steps of the real network on made data of the right shape and kind; nothing is read or written.

    Parameters
    ----------
    config : TrainConfig
        A learning rate is not needed.
    shape : DataShape
    device : {'cpu', 'auto'}

    Raises
    ------
    InvalidInput
        If the config's batches do not fit the data or the device.
    """
    config = dataclasses.replace(config, learning_rate=config.learning_rate or _RATE)
    samples = min(shape.training_samples, config.train_samples or shape.training_samples)
    accelerator = make_accelerator(device, config.precision, config.accumulate)
    size = batch_size(config, samples, accelerator.num_processes)
    part = _made(config, shape, size)
    data = Dataset(
        "made", "", config.steps, shape.classes, shape.input_shape, shape.input_kind, shape.held_input, *[part] * 3
    )
    with reproducible(config.seed), _peak_memory(accelerator.device) as peak:
        model = SpikingNetwork(network_config(config, data))
        optimiser = make_optimiser(model, config)
        stepper = Stepper(model, optimiser, config, accelerator)
        stepper.objective.train()
        set_rate(optimiser, config, 0, 1)
        inputs, labels = next(batches(part, size))
        for step in (1, 2):
            started = time.perf_counter()
            stepper.step(inputs, labels, f"in optimiser step {step} of the dry run")
            if accelerator.device.type == "cuda":
                torch.cuda.synchronize(accelerator.device)
            seconds = time.perf_counter() - started
    parameters = list(model.parameters())
    return DryRun(
        device=str(accelerator.device),
        parameters=sum(value.numel() for value in parameters),
        parameter_bytes=sum(value.numel() * value.element_size() for value in parameters),
        peak_memory_bytes=peak[0],
        seconds_per_step=seconds,
        steps_per_epoch=samples // size,
        seconds_per_epoch=seconds * (samples // size),
    )


def _made(config: TrainConfig, shape: DataShape, samples: int) -> Split:
    if shape.input_kind not in ("spike", "analog"):
        raise InvalidInput(f"dry run: input_kind is {shape.input_kind!r}; use 'spike' or 'analog'")
    rng = np.random.default_rng(0)
    values = rng.random((samples, 1 if shape.held_input else config.steps, *shape.input_shape), np.float32)
    inputs = (values < _SPIKE_RATE).astype(np.uint8) if shape.input_kind == "spike" else values
    return Split(inputs, rng.integers(0, shape.classes, samples))


@contextmanager
def _peak_memory(device: torch.device) -> Iterator[list[int]]:
    """A list whose one figure is, after the block, the peak of bytes in use during it."""
    import psutil

    peak = [0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak[0] = int(torch.cuda.max_memory_allocated(device))
        return
    process, stop = psutil.Process(), threading.Event()

    def watch() -> None:
        while not stop.wait(_POLL_S):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()
        peak[0] = max(peak[0], process.memory_info().rss)
