"""Where a training stands, and how that goes into a checkpoint and comes out of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..networks.spiking_network import SpikingNetwork
from ..run_folders.checkpoint import Checkpoint, load_optimiser, optimiser_tensors
from .evaluate import LogRow
from .stepper import Stepper


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
    order: dict[str, object] = field(default_factory=dict)
    best: tuple[float, ...] = ()
    best_epoch: int = 0
    rows: list[LogRow] = field(default_factory=list)


def to_checkpoint(
    now: Position,
    model: SpikingNetwork,
    optimiser: torch.optim.Optimizer,
    stepper: Stepper,
    best_weights: dict[str, Tensor],
    data: str,
) -> Checkpoint:
    """All that the training goes on from; ``data`` is the digest of what it trains on."""
    groups = {
        "model": model.state_dict(),
        "optimiser": optimiser_tensors(optimiser),
        "monitor": stepper.monitor.state(),
        "best": best_weights,
        "random": {"torch": torch.get_rng_state()},
    }
    tensors = {f"{group}/{name}": value for group, named in groups.items() for name, value in named.items()}
    scaler = stepper.accelerator.scaler
    state = None if scaler is None else scaler.state_dict()
    return Checkpoint(tensors, {"position": dataclasses.asdict(now), "scaler": state, "data": data})


def restore(
    saved: Checkpoint, model: SpikingNetwork, optimiser: torch.optim.Optimizer, stepper: Stepper
) -> tuple[Position, Tensor, dict[str, Tensor]]:
    """Load what `to_checkpoint` gathered; the position, torch's random state and the best weights."""
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
