"""Forward hooks that see what goes in and out of a network's modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.spiking_network import SpikingNetwork
from .adapters import Call, sample_shape, watched


@dataclass
class Capture:
    """What the hooks saw since the last `clear`: module calls in order, inputs and outputs by module name."""

    modules: dict[str, nn.Module]
    calls: list[Call] = field(default_factory=list)
    inputs: dict[str, list[Tensor]] = field(default_factory=dict)
    outputs: dict[str, list[Tensor]] = field(default_factory=dict)

    def clear(self) -> None:
        self.calls, self.inputs, self.outputs = [], {}, {}


@contextmanager
def capturing(model: nn.Module) -> Iterator[Capture]:
    """Hooks on every module that matters for a recording, removed when the block ends, however it ends."""
    if isinstance(model, SpikingNetwork):
        names = {module: name for name, module in model.named_modules()}
        modules = {names[module]: module for module in (*model.readers.values(), *model.emitters.values())}
    else:
        modules = watched(model)
    capture = Capture(modules)
    hooks: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for name, module in modules.items():
            hooks.append(module.register_forward_hook(_hook(capture, name)))
        yield capture
    finally:
        for hook in hooks:
            hook.remove()


def _hook(capture: Capture, name: str) -> Callable[..., None]:
    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        given = inputs[0] if inputs and isinstance(inputs[0], Tensor) else torch.empty(0)
        if name not in capture.inputs:
            capture.calls.append(Call(name, module, sample_shape(module, given.shape)))
        capture.inputs.setdefault(name, []).append(given)
        emitted = output[0] if isinstance(output, tuple) else output  # stateful modules return (output, state)
        if isinstance(emitted, Tensor):
            capture.outputs.setdefault(name, []).append(emitted)

    return see
