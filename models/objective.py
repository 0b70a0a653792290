"""What training minimises: cross-entropy of the logits' mean over steps, and a penalty on firing rates."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..sim.errors import InvalidInput
from .config import TrainConfig
from .networks import SpikingNetwork


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

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and (cross-entropy, weighted penalty, hits): inputs (steps, batch, *shape), labels (batch,)."""
        rates: dict[str, Tensor] = {}
        for name, signal in self.network.populations(inputs):
            if self.weight > 0 and name != "classifier":
                rates[name] = signal.mean(dtype=torch.float32)
        logits = signal.mean(0)
        cross_entropy = loss = functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        penalty = torch.zeros_like(loss)
        if self.weight > 0:
            penalty = self.weight * rate_penalty(rates, self.kind, self.targets)
            loss = loss + penalty
        hits = (logits.detach().argmax(1) == labels).sum()
        return loss, torch.stack([cross_entropy.detach().double(), penalty.detach().double(), hits.double()])


def rate_penalty(rates: Mapping[str, Tensor], kind: str, targets: float | Mapping[str, float]) -> Tensor:
    """Penalty on the firing rates of populations, whose gradient flows through the surrogate of every spike.

    With r_l the mean spikes per neuron and step of population l over the batch and rho_l its target:
    'mean' is ``sum_l r_l``; 'hinge' is ``sum_l max(0, r_l - rho_l)``, over the populations that have a target.

    The hinge is linear, not squared: above the target its pull stays the same, so that a rate is brought *to* the
    target, where a squared one comes to rest above it, at a rate that depends on the penalty's weight. With target 0
    for all, 'hinge' is 'mean'. The rate is the population's, not each neuron's: a few busy neurons among silent ones
    cost nothing, and the sum is not weighted by fan-out, so equal penalties are not equal energies.

    Parameters
    ----------
    rates : mapping of population to scalar tensor
    kind : {'mean', 'hinge'}
    targets : float, or mapping of population to float

    Raises
    ------
    InvalidInput
        If a target names a population that the network does not have.
    """
    if kind == "mean":
        return torch.stack(list(rates.values())).sum()
    by_name = targets if isinstance(targets, Mapping) else dict.fromkeys(rates, targets)
    unknown = [name for name in by_name if name not in rates]
    if unknown:
        raise InvalidInput(f"rate_target: the network has no population {unknown[0]!r}; use any of {', '.join(rates)}")
    return torch.stack([torch.relu(rates[name] - target) for name, target in by_name.items()]).sum()
