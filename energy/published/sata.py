"""SATA: forward energy of a systolic SNN training accelerator (Yin et al. 2023, arXiv:2204.05422; author code d447058).

65 nm, prices per 16-bit component, scaled by ``bits / 16``. Per layer with C inputs, K outputs, kernel R x R, output
E x E and input H x H channels: spike MACs ``(1-s) C R^2 K E^2 T``, neuron updates ``K E^2 T``; DRAM words
``K C R^2 + (K E^2 + C H^2 / b) T``, twice as many in SRAM, and ``2 (K C R^2 + T C H^2 / b)`` in the scratch pads, where
``1/b`` is a spike in a b-bit word. Zero spikes are skipped in arithmetic, not in memory. Left out: leakage, the
backward pass, padding told apart.

The author code has two faults in the arithmetic of linear layers, which the defaults here correct: their MAC count
replaces the sum over the convolutions, and ignores the spike sparsity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...sim.counting.operations import OperationCounts
from .scores import PublishedScore
from .shapes import ConvShape, LinearShape, Shape, activities, require

COMPONENT_PJ = {
    "multiply": 0.239,
    "accumulator": 0.0389,
    "add": 0.00967,
    "and": 0.000794,
    "compare": 0.00309,
    "mux": 0.00172,
    "register": 0.0301,
    "shift": 0.00605,
}
COMPONENT_BITS = 16
MAC_PJ = COMPONENT_PJ["multiply"] + COMPONENT_PJ["accumulator"]  # one ANN MAC, the unit of the author code: 0.2779
DRAM_PJ = 200 * MAC_PJ  # per 16-bit word
SRAM_PJ = 1.95  # the author code's figure for seven MACs, rounded
SCRATCH_PAD_PJ = MAC_PJ


@dataclass(frozen=True, kw_only=True)
class SataForward:
    """Energies of one forward pass in pJ."""

    spike_mac_pj: float
    neuron_pj: float
    dram_pj: float
    sram_pj: float
    scratch_pad_pj: float

    @property
    def compute_pj(self) -> float:
        return self.spike_mac_pj + self.neuron_pj

    @property
    def memory_pj(self) -> float:
        return self.dram_pj + self.sram_pj + self.scratch_pad_pj

    @property
    def energy_pj(self) -> float:
        return self.compute_pj + self.memory_pj

    def in_macs(self) -> dict[str, float]:
        """Compute, memory and total in the unit the author code prints: one 16-bit ANN MAC."""
        parts = {"compute": self.compute_pj, "memory": self.memory_pj, "total": self.energy_pj}
        return {name: value / MAC_PJ for name, value in parts.items()}


def spike_mac_pj(bits: int = COMPONENT_BITS) -> float:
    """One accumulate gated by a spike: accumulator and AND."""
    return (COMPONENT_PJ["accumulator"] + COMPONENT_PJ["and"]) * bits / COMPONENT_BITS


def neuron_update_pj(bits: int = COMPONENT_BITS) -> float:
    """One LIF update: add, compare, two multiplexers, three registers and a shift."""
    part = COMPONENT_PJ
    one = part["add"] + part["compare"] + 2 * part["mux"] + 3 * part["register"] + part["shift"]
    return one * bits / COMPONENT_BITS


def sata_forward(
    shapes: Sequence[Shape],
    *,
    steps: int,
    spike_sparsity: float | Sequence[float],
    bits: int = COMPONENT_BITS,
    neurons: Sequence[int] | None = None,
    linear_replaces_convolutions: bool = False,
    dense_linear: bool = False,
) -> SataForward:
    """Forward energy of a network.

    Parameters
    ----------
    shapes : sequence of ConvShape or LinearShape
    steps : int
        T.
    spike_sparsity : float or sequence of float
        Share of zeros among the inputs, one for all layers or one each.
    bits : int
        Bits of weights and potentials (b).
    neurons : sequence of int, optional
        Neurons per layer; every output is one unless given.
    linear_replaces_convolutions, dense_linear : bool
        The two faults of the author code; both true reproduce its figures.
    """
    require("steps", steps, steps > 0, "positive")
    require("bits", bits, bits > 0, "positive")
    if isinstance(spike_sparsity, int | float):
        sparsities = [float(spike_sparsity)] * len(shapes)
    else:
        sparsities = list(spike_sparsity)
    populations = [shape.outputs for shape in shapes] if neurons is None else list(neurons)
    require(
        "spike_sparsity and neurons",
        (len(sparsities), len(populations)),
        len(sparsities) == len(populations) == len(shapes),
        f"one per layer ({len(shapes)})",
    )
    require("spike_sparsity", spike_sparsity, all(0 <= value <= 1 for value in sparsities), "from 0 to 1")
    macs = dram = pads = 0.0
    for shape, sparsity, population in zip(shapes, sparsities, populations, strict=True):
        linear = isinstance(shape, LinearShape)
        work = (1 - (0 if linear and dense_linear else sparsity)) * shape.macs * steps
        macs = work if linear and linear_replaces_convolutions else macs + work
        words = shape.inputs / bits * steps
        dram += shape.weights + population * steps + words
        pads += 2 * (shape.weights + words)
    width = bits / COMPONENT_BITS
    return SataForward(
        spike_mac_pj=macs * spike_mac_pj(bits),
        neuron_pj=sum(populations) * steps * neuron_update_pj(bits),
        dram_pj=dram * DRAM_PJ * width,
        sram_pj=2 * dram * SRAM_PJ * width,
        scratch_pad_pj=pads * SCRATCH_PAD_PJ * width,
    )


def score_sata(counts: OperationCounts, *, bits: int = COMPONENT_BITS) -> PublishedScore:
    """The corrected forward pass on a trace: sparsity of every layer as recorded, all layers at one width.

    A layer that reads analog values is taken as dense spikes of one bit: the formula has no other input.
    """
    layers = activities(counts)
    result = sata_forward(
        [x.shape for x in layers],
        steps=counts.steps,
        spike_sparsity=[1 - x.rate_in if x.spiking_input else 0.0 for x in layers],
        bits=bits,
        neurons=[x.neurons for x in layers],
    )
    terms = {
        "spike_mac": result.spike_mac_pj,
        "neuron": result.neuron_pj,
        "dram": result.dram_pj,
        "sram": result.sram_pj,
        "scratch_pad": result.scratch_pad_pj,
    }
    analog = [x.layer.name for x in layers if not x.spiking_input]
    grouped = any(isinstance(x.shape, ConvShape) and x.shape.groups > 1 for x in layers)
    return PublishedScore.total(
        terms,
        {"bits": bits, "memory_share": result.memory_pj / (result.energy_pj or 1)},
        f"weights and potentials at {bits} bits in every variant: the formula has one width for both",
        f"analog input taken as dense one-bit spikes: {', '.join(analog)}" if analog else "",
        "grouped convolutions are outside the model; their smaller weights are used" if grouped else "",
    )
