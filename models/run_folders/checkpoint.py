"""Unfinished trainings on disk: one safetensors file, JSON in its header, replaced whole; nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...sim.errors import InvalidInput
from ...sim.files import replacing
from ..settings.config import TrainConfig
from .run import versions

_FORMAT = "spikejoule-checkpoint"
_VERSION = 1
_LEAST_PAUSE = 50  # times what the last one took


class Checkpoint(NamedTuple):
    """Tensors by name, and plain JSON data beside them."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class CheckpointFile:
    """The checkpoint of one training, ``runs/.<hash>.checkpoint``.

    It is written under a name of this process's own and renamed, so a reader sees a whole one or none, whenever the
    writer is killed. Two processes that train the same config walk the same path: whichever file is there is a
    stretch of it, so neither can spoil the other; they only do the work twice. A writer killed in the act leaves its
    ``.part`` file behind, which nothing reads.

    Parameters
    ----------
    config : TrainConfig
        Resolved.
    runs : path
    every_s : float or None
        Seconds between two checkpoints, about the most that a kill can cost; longer where writing takes more than 2 %
        of it. 0 writes one after every optimiser step, None none.
    """

    def __init__(self, config: TrainConfig, runs: str | Path, every_s: float | None) -> None:
        self.path = Path(runs) / f".{config.hash}.checkpoint"
        self._hash, self._every_s = config.hash, every_s
        self._last, self._took_s = time.perf_counter(), 0.0

    @cached_property
    def _versions(self) -> str:
        return json.dumps(versions())

    def due(self) -> bool:
        """Whether it is time to write one."""
        if self._every_s is None:
            return False
        pause = self._every_s and max(self._every_s, _LEAST_PAUSE * self._took_s)
        return time.perf_counter() - self._last >= pause

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the file.

        Raises
        ------
        InvalidInput
            If it cannot be written, for example because the disk is full.
        """
        from safetensors.torch import save_file

        started = time.perf_counter()
        tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
        facts = json.dumps(checkpoint.facts)
        header = {
            "format": _FORMAT,
            "version": str(_VERSION),
            "hash": self._hash,
            "versions": self._versions,
            "facts": facts,
            "digest": _digest(tensors, facts),
        }
        with replacing(self.path) as partial:
            save_file(tensors, partial, header)
        self._last = time.perf_counter()
        self._took_s = self._last - started

    def read(self, data: str) -> Checkpoint | None:
        """What to go on from, or None to start afresh; one that cannot be used is left out with a warning.

        Parameters
        ----------
        data : str
            `Dataset.digest` of the data to train on; a checkpoint of other data, or of unknown ones, cannot be used.
        """
        try:
            return self._read(data)
        except InvalidInput as error:
            warnings.warn(f"{error}; training starts again", stacklevel=2)
            return None

    def _read(self, data: str) -> Checkpoint | None:
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        except (OSError, SafetensorError) as error:
            raise InvalidInput(f"checkpoint {self.path} is damaged ({error})") from error
        known = {"format": _FORMAT, "version": str(_VERSION), "hash": self._hash}
        if known.items() - header.items():
            raise InvalidInput(f"checkpoint {self.path} is not one of this training")
        if header.get("digest") != _digest(tensors, header.get("facts", "")):
            raise InvalidInput(f"checkpoint {self.path} is damaged (its content does not have its digest)")
        if header.get("versions") != self._versions:
            raise InvalidInput(f"checkpoint {self.path} was written with other versions of the programs")
        facts = json.loads(header["facts"])
        if facts.get("data") != data:
            raise InvalidInput(f"checkpoint {self.path} was written on other data than are there now")
        return Checkpoint(tensors, facts)

    def discard(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's moments and counters by ``<parameter's index>.<name>``."""
    state = optimiser.state_dict()["state"]
    return {
        f"{index}.{name}": value for index, kept in state.items() for name, value in kept.items() if value is not None
    }


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`; rates and the like stay as they are."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _digest(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
