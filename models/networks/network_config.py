"""What fixes a network's structure: layout, width, bits of the weights, gate, neurons."""

from __future__ import annotations

import dataclasses

from ...sim.errors import InvalidInput
from .agmm import GateConfig
from .layouts import NETWORKS, RESIDUALS, Node, scaled, shapes

WEIGHT_KINDS = {1: "binary", 8: "integer", 32: "float"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Everything that fixes a network's structure.

    Attributes
    ----------
    network : str
        A key of `NETWORKS`.
    input_shape : tuple of int
        Channels, height, width of one input at one step; features alone where the network reads vectors.
    classes, steps : int
    input_kind : {'spike', 'analog', ...}
        Declared kind of the input (see `sim.network.workload`).
    held_input : bool
        Every step sees the same input.
    weight_bits : {1, 8, 32}
        1: binary between the first layer and the classifier, which stay float, as do the 1 x 1 convolutions of
        shortcuts; 8: every layer integer, made from a trained float network and not trainable; 32: float.
    gate : GateConfig or None
        The gate in front of every spiking population, on its whole current.
    width : float
        Factor on the number of channels.
    threshold, leak : float
        V_th and lambda of ``u[t] = lambda (u[t-1] - V_th s[t-1]) + X[t]``, ``s[t] = u[t] > V_th``.
    residual : {'current', 'graded', 'and', 'or'}
        Of networks with branches: summed before the neuron, so that spikes stay 0/1 (tdBN, arXiv 2011.05280), or
        spikes merged behind the neurons, element by element (SEW, arXiv 2102.04159).
    """

    network: str = "csnn"
    input_shape: tuple[int, ...] = (2, 16, 16)
    classes: int = 10
    steps: int = 10
    input_kind: str = "spike"
    held_input: bool = False
    weight_bits: int = 32
    gate: GateConfig | None = None
    width: float = 1.0
    threshold: float = 1.0
    leak: float = 0.5
    residual: str = "current"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise InvalidInput(f"network {self.network!r} is not known; use one of {', '.join(NETWORKS)}")
        if self.weight_bits not in WEIGHT_KINDS:
            raise InvalidInput(
                f"network: weight_bits is {self.weight_bits!r}; use one of {', '.join(map(str, WEIGHT_KINDS))}"
            )
        allowed = RESIDUALS if NETWORKS[self.network].residual else RESIDUALS[:1]
        if self.residual not in allowed:
            raise InvalidInput(
                f"network {self.network!r}: residual is {self.residual!r}; use one of {', '.join(allowed)}"
            )
        shapes(self.network, self.nodes, self.input_shape)

    @property
    def nodes(self) -> list[Node]:
        """Its populations and merges, at its width, in the order they are computed."""
        return scaled(NETWORKS[self.network].nodes(self.residual), self.width)
