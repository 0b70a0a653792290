"""Variants made from a trained run without training: int8 weights, and the AGMM gate frozen to its means."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...sim.errors import InvalidInput
from ..data.datasets import Dataset, Split, batches
from ..networks.agmm import Gate
from ..networks.blocks import GAINED
from ..networks.integer_weights import quantise
from ..networks.network_config import NetworkConfig
from ..networks.spiking_network import SpikingNetwork
from ..run_folders.run import Run, find_run, save_run
from ..settings.config import DERIVED, config_data
from .evaluate import as_input, evaluate, reproducible, validation_rows

_BATCH = 64


def derive(run: Run, kind: str, *, runs: str | Path | None = None, data: Dataset | None = None) -> Run:
    """A run made from a trained one, in a folder of its own.

    Parameters
    ----------
    run : Run
        'int8' needs a full-precision network, 'frozen' one with an AGMM gate.
    kind : {'int8', 'frozen'}
        'int8': the weights of all layers become symmetric 8-bit integers per output channel; batch norm and
        the classifier's scale stay float.
        'frozen': every gate becomes its mean over the training samples and the steps, one
        constant per channel (or one per layer), folded into batch norm.
    runs : path, optional
        Where the new folder goes; beside ``run`` unless given.
    data : Dataset, optional
        Already loaded data of the run.

    Returns
    -------
    Run
        Its log holds validation loss, accuracy and firing rates as epoch 0.

    Raises
    ------
    InvalidInput
        If the kind is not known, the run is itself derived, or its network does not suit.
    """
    if kind not in DERIVED:
        raise InvalidInput(f"derive: {kind!r} is not known; use one of {', '.join(DERIVED)}")
    if run.config.derived is not None:
        raise InvalidInput(f"derive: {run.variant!r} is itself derived; start from the run that was trained")
    config = dataclasses.replace(run.config, derived=kind)
    runs = run.path.parent if runs is None else runs
    found = find_run(config, runs)
    if found is not None:
        return found
    data = config_data(config) if data is None else data
    if kind == "int8":
        model = to_int8(run.model())
    else:
        part = Split(data.train.inputs[: config.train_samples], data.train.labels[: config.train_samples])
        model = run.model()
        model = fold_gains(model, gate_means(model, part))
    log = validation_rows(0, evaluate(model, data.validation))
    return save_run(config, model, log, runs, data=data)


def to_int8(model: SpikingNetwork) -> SpikingNetwork:
    """The same network with int8 weights in every layer, one scale per output channel."""
    state = dict(model.state_dict())
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            state[f"{name}.weight"], state[f"{name}.scale"] = quantise(module.weight)
    return _rebuild(dataclasses.replace(model.config, weight_bits=8), state)


def gate_means(model: SpikingNetwork, split: Split) -> dict[str, Tensor]:
    """Mean gain of every AGMM gate over samples and steps: by block, shape (channels,) or (1,)."""
    totals: dict[str, Tensor] = {}

    def watch(name: str, gate: Gate) -> torch.utils.hooks.RemovableHandle:
        def add(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            gain = gate.gain(*inputs)  # (steps, batch, channels or 1, 1, 1); recurrent layers call it step by step
            part = len(gain) / model.config.steps
            totals[name] = totals.get(name, 0.0) + gain.double().mean(0).sum(0).flatten() * part

        return gate.register_forward_hook(add)

    hooks = [watch(name, gate) for name, gate in model.gates.items()]
    try:
        with reproducible(), torch.inference_mode():
            model.eval()
            for inputs, _ in batches(split, _BATCH):
                model(as_input(inputs, model.config.steps))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / len(split) for name, total in totals.items()}


def fold_gains(model: SpikingNetwork, gains: dict[str, Tensor]) -> SpikingNetwork:
    """The same network without gates, each block's constant gain folded into batch norm's gamma and beta.

    ``g (gamma z + beta) = (g gamma) z + (g beta)``, and average pooling in between is linear: exact but for rounding.
    The branches that join a block's current take the same gain: a shortcut's batch norm or its constant, and the
    factors of self-connections.
    """
    state = {name: value for name, value in model.state_dict().items() if ".gate." not in name}
    for block, gain in gains.items():
        for name in (f"blocks.{block}.{part}" for part in GAINED):
            if name in state:
                state[name] = (state[name].double() * gain).float()
    return _rebuild(dataclasses.replace(model.config, gate=None), state)


def _rebuild(config: NetworkConfig, state: dict[str, Tensor]) -> SpikingNetwork:
    with torch.random.fork_rng(devices=[]):
        model = SpikingNetwork(config)
    model.load_state_dict(state)
    return model.eval()
