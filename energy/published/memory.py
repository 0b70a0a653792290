"""Prices of memory accesses and conversions of prices between widths and nodes, as others' models have them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .shapes import require

SRAM_POINTS = ((0, 0.0), (8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))  # bytes, pJ per 64 bits; Horowitz
FLAT_PJ_PER_BYTE = 24.96
INTERPOLATIONS = ("saturation", "linear", "quadratic")


def sram_linear_pj(capacity_bits: float) -> float:
    """Energy of one access by the ICONIP rule: ``1.09e-5 bits + 13.2`` pJ, whatever the width of the datum.

    A regression over 8 KiB, 32 KiB and 1 MiB (Lemaire et al. 2022 as restated in qualia-plugin-snn 2.6.0). Even an
    empty memory costs 13.2 pJ.
    """
    require("capacity_bits", capacity_bits, capacity_bits >= 0, "not negative")
    return 1.09e-5 * capacity_bits + 13.2


def sram_piecewise_pj(capacity_bytes: float) -> float:
    """Energy of one 64-bit access by straight lines through Horowitz's points and the origin; flat above 1 MiB.

    As in SpikingJelly's operation counter (commit afb1322). Prices fall to nought with the capacity, which makes small
    networks look free, and stand still above 1 MiB, which makes large ones look cheap.

    Examples
    --------
    >>> [sram_piecewise_pj(size) for size in (4096, 20480, 4 * 2**20)]
    [5.0, 15.0, 100.0]
    """
    require("capacity_bytes", capacity_bytes, capacity_bytes >= 0, "not negative")
    for (left, low), (right, high) in itertools.pairwise(SRAM_POINTS):
        if capacity_bytes <= right:
            return low + (high - low) * (capacity_bytes - left) / (right - left)
    return SRAM_POINTS[-1][1]


def sram_packed8k_pj(datum_bits: int) -> float:
    """Energy per datum when 8 KiB blocks are read 64 bits at a time, ``floor(64 / bits)`` data to an access.

    10 pJ an access, whatever the capacity (the later rule of Lemaire's group, as restated in qualia-plugin-snn 2.6.0).
    """
    require("datum_bits", datum_bits, 1 <= datum_bits <= 64, "from 1 to 64")
    return 10.0 / (64 // datum_bits)


def flat_memory_pj(accessed_bytes: float, pj_per_byte: float = FLAT_PJ_PER_BYTE) -> float:
    """Energy of memory traffic at one price per byte: 24.96 pJ (STEP, arXiv:2505.11151, table 9, read second hand).

    Which accesses are counted is not defined well enough to score a trace: bring the number of bytes.
    """
    require("accessed_bytes", accessed_bytes, accessed_bytes >= 0, "not negative")
    return accessed_bytes * pj_per_byte


def interpolated_width_pj(bits: int, e8_pj: float, e32_pj: float, rule: str) -> float:
    """Energy of an operation on ``bits`` bits from its 8-bit and 32-bit prices (options of qualia-plugin-snn 2.6.0).

    Parameters
    ----------
    bits : int
        From 1 to 32.
    e8_pj, e32_pj : float
    rule : {'saturation', 'linear', 'quadratic'}
        ``saturation``: the 8-bit price up to 8 bits, else the 32-bit price. ``linear``: the line through both prices.
        ``quadratic``: the parabola through both and the origin, the sane one for a multiplier.

    Notes
    -----
    A +-1 weight is an add or subtract at accumulator width; this is not a price for one-bit weights.

    Examples
    --------
    >>> round(interpolated_width_pj(16, 0.2, 3.1, "quadratic"), 4)
    0.7833
    """
    require("rule", rule, rule in INTERPOLATIONS, "one of " + ", ".join(INTERPOLATIONS))
    require("bits", bits, 1 <= bits <= 32, "from 1 to 32")
    if rule == "saturation":
        return e8_pj if bits <= 8 else e32_pj
    if rule == "linear":
        return e8_pj + (e32_pj - e8_pj) * (bits - 8) / 24
    curvature = (e32_pj / 32 - e8_pj / 8) / 24
    return bits * (e8_pj / 8 + curvature * (bits - 8))


class ScaledEnergy(NamedTuple):
    """Energy factors of two operating points and the energy carried from y to x, in the unit it was given in."""

    factor_x: float
    factor_y: float
    energy_x: float


def energy_factor(coefficients: Sequence[float], voltage_v: float) -> float:
    """Stillmaker & Baas's energy factor ``a2 V^2 + a1 V + a0`` of one node at a supply voltage."""
    require("coefficients", coefficients, len(coefficients) == 3, "a2, a1 and a0")
    require("voltage_v", voltage_v, voltage_v > 0, "positive")
    a2, a1, a0 = coefficients
    return a2 * voltage_v**2 + a1 * voltage_v + a0


def stillmaker_scaling(
    x: Sequence[float], x_voltage_v: float, y: Sequence[float], y_voltage_v: float, energy_y: float = 1.0
) -> ScaledEnergy:
    """An energy at node and voltage y carried to x: ``E_x = E_y EF_x(V_x) / EF_y(V_y)``.

    Stillmaker & Baas 2017 (doi:10.1016/j.vlsi.2017.02.002, corrigendum eq. 12-14). Coefficients are inputs: only two
    sets could be read, without the names of their nodes. They report that classical scaling errs by up to 83 times.
    """
    factor_x, factor_y = energy_factor(x, x_voltage_v), energy_factor(y, y_voltage_v)
    return ScaledEnergy(factor_x, factor_y, energy_y * factor_x / factor_y)


def classical_scaling(energy: float, node_nm: float, voltage_v: float, to_node_nm: float, to_voltage_v: float) -> float:
    """An energy carried to another node by ``(L2/L1) (V2/V1)^2``: unverified, and known to mislead."""
    for name, value in (
        ("node_nm", node_nm),
        ("voltage_v", voltage_v),
        ("to_node_nm", to_node_nm),
        ("to_voltage_v", to_voltage_v),
    ):
        require(name, value, value > 0, "positive")
    return energy * to_node_nm / node_nm * (to_voltage_v / voltage_v) ** 2


def _linear(capacity_bits: float, datum_bits: int) -> float:
    return sram_linear_pj(capacity_bits)


def _packed(capacity_bits: float, datum_bits: int) -> float:
    return sram_packed8k_pj(datum_bits)


def _piecewise(capacity_bits: float, datum_bits: int) -> float:
    return sram_piecewise_pj(capacity_bits / 8) * datum_bits / 64


# pJ per datum from the capacity of its memory and its width, both in bits
SRAM_RULES: dict[str, Callable[[float, int], float]] = {
    "iconip_linear": _linear,
    "packed8k": _packed,
    "piecewise": _piecewise,
}
