"""Which layer and time step first holds a value that is not finite: looked for only after a training has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..networks.network_config import NetworkConfig
from .objective import Objective


def find_divergence(objective: Objective, inputs: Tensor, labels: Tensor) -> str | None:
    """Run one batch again, forward and back, and say where the first infinity or NaN stands; None if nowhere.

    The order is that of cause and effect: input, parameters, then layer by layer the current and the potential with
    their earliest time step, the logits, the loss; then, on the way back, the gradients of the currents from the last
    layer and the latest time step on, and those of the parameters. Gradients of the model are overwritten.

    Parameters
    ----------
    objective : Objective
        With the weights from before the failed optimiser step.
    inputs : float tensor, shape (steps, batch, *input_shape)
    labels : int tensor, shape (batch,)
    """
    if (step := _first_step(inputs)) is not None:
        return f"the input at time step {step} of {len(inputs)}"
    for name, parameter in objective.network.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return f"the weights of layer {_layer(name)!r} ({name})"
    currents: dict[str, Tensor] = {}
    with _watching(objective, currents) as found:
        objective.zero_grad()
        loss, _ = objective(inputs, labels)
    if found:
        return found[0]
    if not bool(torch.isfinite(loss)):
        return "the loss, with all currents still finite,"
    loss.backward()
    return _in_gradients(objective, currents)


@contextmanager
def _watching(objective: Objective, currents: dict[str, Tensor]) -> Iterator[list[str]]:
    """Keeps the current of every layer while the network runs; yields what was found in currents and potentials."""
    found: list[str] = []

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, arguments: tuple[Tensor, ...], spikes: Tensor) -> None:
            current = arguments[0]
            current.retain_grad()
            currents[name] = current
            potential = _potentials(current.detach(), spikes.detach(), objective.network.config)
            for what, values in (("current", current), ("potential", potential)):
                if not found and (step := _first_step(values)) is not None:
                    found.append(f"the {what} of layer {name!r} at time step {step} of {len(values)}")

        return hook

    populations = {_layer(name): m for name, m in objective.network.named_modules() if name.endswith(".neurons")}
    hooks = [module.register_forward_hook(watch(name)) for name, module in populations.items()]
    try:
        yield found
    finally:
        for handle in hooks:
            handle.remove()


def _in_gradients(objective: Objective, currents: dict[str, Tensor]) -> str | None:
    """The first gradient that is not finite: of currents from the last layer on, then of parameters."""
    for name, current in reversed(currents.items()):
        if current.grad is not None and (step := _first_step(current.grad.flip(0))) is not None:
            last = len(current) + 1 - step
            return f"the gradient of the current of layer {name!r} at time step {last} of {len(current)}"
    for name, parameter in reversed(list(objective.network.named_parameters())):
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return f"the gradient of layer {_layer(name)!r} ({name})"
    return None


def _layer(name: str) -> str:
    """Of "blocks.conv1.norm.weight", "conv1"."""
    return name.removeprefix("blocks.").partition(".")[0]


def _first_step(values: Tensor) -> int | None:
    """The first time step, from 1, that holds a value that is not finite."""
    broken = (~torch.isfinite(values)).flatten(1).any(1).nonzero()
    return int(broken[0]) + 1 if len(broken) else None


def _potentials(current: Tensor, spikes: Tensor, config: NetworkConfig) -> Tensor:
    """``u[t] = lambda (u[t-1] - V_th s[t-1]) + X[t]`` from the currents and the spikes that were emitted."""
    potentials = [current[0]]
    for step in range(1, len(current)):
        kept = config.leak * (potentials[-1] - config.threshold * spikes[step - 1])
        potentials.append(kept + current[step])
    return torch.stack(potentials)
