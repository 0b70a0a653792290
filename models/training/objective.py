"""What training minimises: cross-entropy of the logits' mean over steps, and a penalty on the spikes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...sim.errors import InvalidInput
from ...sim.network.workload import Add, Workload
from ..networks.spiking_network import SpikingNetwork
from ..settings.config import TrainConfig

_SHARE = "operations of "  # prefix of the buffers


class Objective(nn.Module):
    """A network with its loss as one module, which is what data parallelism and mixed precision wrap.

    Parameters
    ----------
    network : SpikingNetwork
    config : TrainConfig
    """

    def __init__(self, network: SpikingNetwork, config: TrainConfig) -> None:
        super().__init__()
        self.network = network
        self.label_smoothing = config.label_smoothing
        self.weight, self.kind, self.targets = config.rate_penalty, config.penalty, config.rate_targets
        if self.weight > 0 and self.kind == "operations":
            for name, share in operation_shares(network).items():  # no part of a checkpoint, but moves with the module
                self.register_buffer(_SHARE + name, share, persistent=False)

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and (cross-entropy, weighted penalty, hits): inputs (steps, batch, *shape), labels (batch,)."""
        rates: dict[str, Tensor] = {}
        for name, signal in self.network.populations(inputs):
            if self.weight > 0 and name != "classifier":
                rates[name] = self._rate(name, signal)
        logits = signal.mean(0)
        cross_entropy = loss = functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        penalty = torch.zeros_like(loss)
        if self.weight > 0:
            penalty = self.weight * rate_penalty(rates, self.kind, self.targets)
            loss = loss + penalty
        hits = (logits.detach().argmax(1) == labels).sum()
        return loss, torch.stack([cross_entropy.detach().double(), penalty.detach().double(), hits.double()])

    def _rate(self, name: str, spikes: Tensor) -> Tensor:
        """What the penalty sees of a population: its mean rate, or with 'operations' its part of the operations."""
        if self.kind != "operations":
            return spikes.mean(dtype=torch.float32)
        return torch.sum(spikes.mean((0, 1), dtype=torch.float32) * self.get_buffer(_SHARE + name))


def rate_penalty(rates: Mapping[str, Tensor], kind: str, targets: float | Mapping[str, float]) -> Tensor:
    """Penalty on the firing rates of populations, whose gradient flows through the surrogate of every spike.

    With r_l the mean spikes per neuron and step of population l over the batch and rho_l its target:
    'mean' is ``sum_l r_l``; 'hinge' is ``sum_l max(0, r_l - rho_l)``, over the populations that have a target;
    'operations' is ``sum_l sum_n r_n f_n / sum_l sum_n f_n`` with r_n the rate of neuron n of population l and f_n its
    fan-out (`fan_outs`): the part of all synaptic operations that spikes can cause which they do cause, 0..1 whatever
    the network's size. Without merges and self-connections it is the measured synaptic operations of all layers behind
    the first population, per step and divided by their in-range pairs.

    The hinge is linear, not squared: above the target its pull stays the same, so that a rate is brought *to* the
    target, where a squared one comes to rest above it, at a rate that depends on the penalty's weight. With target 0
    for all, 'hinge' is 'mean'. The rate is the population's, not each neuron's: a few busy neurons among silent ones
    cost nothing, and under 'mean' and 'hinge' the sum is not weighted by fan-out, so equal penalties are not equal
    energies. Under 'operations' they are where a synaptic operation costs the same in every layer; the price of a
    neuron's update, of weights in memories and of the input's own events is in none of the three.

    Parameters
    ----------
    rates : mapping of population to scalar tensor
        Of 'operations': ``sum_n r_n f_n`` of the population, already divided by the sum over all.
    kind : {'mean', 'hinge', 'operations'}
    targets : float, or mapping of population to float

    Raises
    ------
    InvalidInput
        If a target names a population that the network does not have.
    """
    if kind != "hinge":
        return torch.stack(list(rates.values())).sum()
    by_name = targets if isinstance(targets, Mapping) else dict.fromkeys(rates, targets)
    unknown = [name for name in by_name if name not in rates]
    if unknown:
        raise InvalidInput(f"rate_target: the network has no population {unknown[0]!r}; use any of {', '.join(rates)}")
    return torch.stack([torch.relu(rates[name] - target) for name, target in by_name.items()]).sum()


def operation_shares(network: SpikingNetwork) -> dict[str, Tensor]:
    """By population, each neuron's fan-out over the sum of all neurons' fan-outs: float32 of the population's shape."""
    reached = fan_outs(network.workload())
    total = sum(int(reached[name].sum()) for name in network.blocks)
    return {name: torch.from_numpy((reached[name] / total).astype(np.float32)) for name in network.blocks}


def fan_outs(workload: Workload) -> dict[str, NDArray[np.int64]]:
    """In-range weights that one spike of each neuron meets, zero ones included: int64 of the signal's shape, by signal.

    Over all layers that read the signal, with borders exact (docs/definitions.md, synaptic operations): convolutions,
    shortcuts with weights, self-connections, the classifier. What a merge passes on counts for each of the signals
    merged, as if the other were silent. Not counted: identity shortcuts and merges themselves, which have no weights
    and make no synaptic operations. Self-connections count at every step, although after the last none follows.
    """
    found: dict[str, NDArray[np.int64]] = {}
    for layer in reversed(workload.layers):  # readers stand behind what they read
        for name, shape, _ in layer.reads:
            before = found.get(name, np.zeros(shape, np.int64))
            if isinstance(layer, Add):
                found[name] = before + found[layer.name]
            elif layer.weights:
                found[name] = before + layer.fan_out()
    return found
