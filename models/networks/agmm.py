"""The AGMM gate with its controls."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...sim.errors import InvalidInput

GATE_KINDS = ("agmm", "constant", "alpha")
GATE_AXES = ("channel", "sample")


@dataclass(frozen=True)
class GateConfig:
    """How the synaptic current is modulated before the neuron.

    Attributes
    ----------
    kind : {'agmm', 'constant', 'alpha'}
        'agmm': ``X'[t] = alpha[t] sigmoid(E(X[t])) X[t]``, the method. 'constant': ``X'[t] = 0.5 alpha X[t]`` with one
        learnable scalar per layer, the control that costs nothing at inference. 'alpha': ``X'[t] = alpha[t] X[t]``.
    axes : {'channel', 'sample'}
        Of 'agmm': the mean E is taken over space per channel, or over channels and space; never over the batch.
    detach : bool
        Of 'agmm': whether no gradient flows through E.
    alpha_init : float
        Where every alpha starts; 1 makes the constant gain start at 0.5, the gate's own value at E = 0.

    References
    ----------
    Liang et al., AAAI-25, arXiv 2502.14344. The axes of E and whether it is detached are not stated: options here.
    """

    kind: str = "agmm"
    axes: str = "channel"
    detach: bool = False
    alpha_init: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("kind", GATE_KINDS), ("axes", GATE_AXES)):
            if getattr(self, name) not in allowed:
                raise InvalidInput(f"gate: {name} is {getattr(self, name)!r}; use one of {', '.join(allowed)}")
        if not isinstance(self.detach, bool):
            raise InvalidInput(f"gate: detach is {self.detach!r}; use true or false")
        number = isinstance(self.alpha_init, int | float) and not isinstance(self.alpha_init, bool)
        if not number or not 0 < self.alpha_init < 1e6:
            raise InvalidInput(f"gate: alpha_init is {self.alpha_init!r}; it must be a positive number")


class Gate(nn.Module):
    """One layer's gate; `forward` multiplies the current by `gain`.

    Parameters
    ----------
    config : GateConfig
    steps : int
        Time steps that the gate is trained for; 'agmm' and 'alpha' hold one alpha per step.
    """

    def __init__(self, config: GateConfig, steps: int) -> None:
        super().__init__()
        self.config = config
        self.alpha = nn.Parameter(torch.full((1 if config.kind == "constant" else steps,), float(config.alpha_init)))

    def gain(self, current: Tensor, step: int | None = None) -> Tensor:
        """The factor on each current, broadcastable: ``current`` is (steps, batch, channels, height, width).

        With ``step`` it is the current of that step alone, (1, batch, ...).
        """
        alpha = self.alpha.view(-1, 1, 1, 1, 1)
        if self.config.kind == "constant":
            return 0.5 * alpha
        if step is not None:
            alpha = alpha[step : step + 1]
        elif len(self.alpha) != len(current):
            raise InvalidInput(f"gate: trained for {len(self.alpha)} steps, given {len(current)}; train with that many")
        if self.config.kind == "alpha":
            return alpha
        mean = current.mean(dim=(3, 4) if self.config.axes == "channel" else (2, 3, 4), keepdim=True)
        return alpha * torch.sigmoid(mean.detach() if self.config.detach else mean)

    def forward(self, current: Tensor, step: int | None = None) -> Tensor:
        return self.gain(current, step) * current
