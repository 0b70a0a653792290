"""SpikeSim: energy of an SNN on in-memory crossbars (Moitra et al. 2023, arXiv:2210.12899; author code c2627bc).

``E = T sum_l cycles_l E_cycle``, ``cycles_l = ceil(C_out/X) ceil(C_in/X) H_out W_out`` for X x X crossbars; 65 nm. The
energy of a cycle does not depend on the spikes: their sparsity does not enter. Left out: linear layers (as in the
author code's list), padding, residuals, groups, weights of other than 4 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...sim.counting.operations import OperationCounts
from .scores import PublishedScore
from .shapes import ConvShape, activities, require

# pJ
H_TREE = 157.12
FETCH = 4.64
NEURON = 5.096
ADC = 2.03084
MUX = 0.094245
SUBTRACT = 1.15e-6
TEMPORARY = 0.2
TILE_BUFFER = 397.0
CROSSBAR_RRAM = 1.76423
CROSSBAR_SRAM = 671.089
COLUMNS_PER_ADC = 8
PES_PER_TILE = 8
SUBTRACTIONS = 16


@dataclass(frozen=True, kw_only=True)
class SpikeSimEnergy:
    """Energy per inference in pJ, crossbar-element (PE) cycles of one step, and the hardware they run on."""

    energy_pj: float
    pe_cycles: int
    pes: int
    tiles: int


def pe_cycle_pj(kernel: int | tuple[int, int], crossbar: int = 64, crossbar_pj: float = CROSSBAR_RRAM) -> float:
    """Energy of one cycle of a processing element, in pJ.

    Parameters
    ----------
    kernel : int or (int, int)
        One crossbar per tap.
    crossbar : int
        X, rows and columns.
    crossbar_pj : float
        Energy of one crossbar read: `CROSSBAR_RRAM` or `CROSSBAR_SRAM`.

    Examples
    --------
    >>> round(pe_cycle_pj(3), 7)
    828.4861472
    """
    require("crossbar", crossbar, crossbar > 0 and crossbar % COLUMNS_PER_ADC == 0, f"a multiple of {COLUMNS_PER_ADC}")
    taps = kernel**2 if isinstance(kernel, int) else math.prod(kernel)
    converters = crossbar // COLUMNS_PER_ADC
    per_group = taps * crossbar_pj + converters * (ADC + MUX) + SUBTRACTIONS * SUBTRACT + TEMPORARY
    return H_TREE + FETCH + NEURON + converters * per_group + TILE_BUFFER


def spikesim_energy(
    shapes: Sequence[ConvShape], *, steps: int, crossbar: int = 64, crossbar_pj: float = CROSSBAR_RRAM
) -> SpikeSimEnergy:
    """Energy of the convolutions of a network.

    Parameters
    ----------
    shapes : sequence of ConvShape
    steps : int
        T.
    crossbar, crossbar_pj
        As in `pe_cycle_pj`.
    """
    require("steps", steps, steps > 0, "positive")
    energy, cycles, pes = 0.0, 0, 0
    for shape in shapes:
        folds = -(-shape.out_channels // crossbar) * -(-shape.in_channels // crossbar)
        layer_cycles = folds * math.prod(shape.out_size)
        energy += steps * layer_cycles * pe_cycle_pj(shape.kernel, crossbar, crossbar_pj)
        cycles += layer_cycles
        pes += folds
    return SpikeSimEnergy(energy_pj=energy, pe_cycles=cycles, pes=pes, tiles=-(-pes // PES_PER_TILE))


def score_spikesim(counts: OperationCounts) -> PublishedScore:
    """The convolutions of a trace on 64 x 64 RRAM crossbars; the spikes themselves change nothing."""
    layers = activities(counts)
    shapes = [x.shape for x in layers if isinstance(x.shape, ConvShape)]
    result = spikesim_energy(shapes, steps=counts.steps)
    linear = [x.layer.name for x in layers if not isinstance(x.shape, ConvShape)]
    figures: dict[str, float | str] = {"pe_cycles": result.pe_cycles, "pes": result.pes, "tiles": result.tiles}
    return PublishedScore.total(
        {"pe_cycles": result.energy_pj},
        figures,
        "does not depend on the spikes, nor on the weight width",
        f"linear layers are left out, as in the author code: {', '.join(linear)}" if linear else "",
    )
