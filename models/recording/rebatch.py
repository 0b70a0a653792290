"""Batches of any size in, chunks of one size out, so that no result depends on how the data came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...sim.errors import InvalidInput

CHUNK = 32  # rounding may depend on the size of the batch that a convolution is given


@dataclass(frozen=True)
class Chunk:
    """`CHUNK` samples (steps, samples, *shape), the last of them repeated where fewer are left; ``count`` are real."""

    inputs: Tensor
    labels: NDArray[np.int64] | None
    count: int


def chunks(data: Iterable[Any], steps: int | None) -> Iterator[Chunk]:
    """Batches of any size, ``(inputs (steps, batch, *shape), labels)`` or inputs alone, as chunks of one size.

    Raises
    ------
    InvalidInput
        If a batch has other than ``steps`` steps (of the first batch, where None), or labels that do not fit.
    """
    waiting: list[tuple[Tensor, NDArray[np.int64] | None]] = []
    for batch in data:
        inputs, labels = _batch(batch)
        steps = len(inputs) if steps is None else steps
        if len(inputs) != steps:
            raise InvalidInput(
                f"record: a batch {tuple(inputs.shape)} has not {steps} steps first; give (steps, batch, ...)"
            )
        waiting.append((inputs, labels))
        if sum(part.shape[1] for part, _ in waiting) >= CHUNK:
            inputs, labels = _join(waiting)
            whole = inputs.shape[1] // CHUNK * CHUNK
            for start in range(0, whole, CHUNK):
                chosen = slice(start, start + CHUNK)
                yield Chunk(inputs[:, chosen], None if labels is None else labels[chosen], CHUNK)
            waiting = [(inputs[:, whole:], None if labels is None else labels[whole:])]
    if waiting:
        inputs, labels = _join(waiting)
        count = inputs.shape[1]
        if count:
            padding = inputs[:, -1:].expand(-1, CHUNK - count, *inputs.shape[2:])
            yield Chunk(torch.cat([inputs, padding], dim=1), labels, count)


def _batch(batch: Any) -> tuple[Tensor, NDArray[np.int64] | None]:
    pair = isinstance(batch, tuple | list) and len(batch) == 2
    inputs, labels = batch if pair else (batch, None)
    inputs = torch.as_tensor(inputs)
    if inputs.dim() < 3:
        raise InvalidInput(f"record: a batch has shape {tuple(inputs.shape)}; give inputs (steps, batch, ...)")
    if labels is not None:
        labels = np.asarray(torch.as_tensor(labels).cpu(), np.int64)
        if labels.shape != (inputs.shape[1],):
            raise InvalidInput(f"record: labels {labels.shape} do not fit a batch of {inputs.shape[1]} samples")
    return inputs.float(), labels


def _join(parts: list[tuple[Tensor, NDArray[np.int64] | None]]) -> tuple[Tensor, NDArray[np.int64] | None]:
    if len({labels is None for _, labels in parts}) > 1:
        raise InvalidInput("record: some batches have labels and some have none; give them to all or to none")
    labels = [part for _, part in parts if part is not None]
    return torch.cat([inputs for inputs, _ in parts], dim=1), np.concatenate(labels) if labels else None
