"""The convention of most SNN papers: synaptic operations as accumulates, the first layer as multiply-accumulates.

Equations: ``SOP_l = fr_l T FLOPs_l`` and ``E = E_MAC FLOPs_1 + E_AC sum_{l>=2} SOP_l`` (Spikingformer, Zhou et al.
2023, arXiv:2304.11954, eq. 19-20; the same in arXiv:2402.01533). FLOPs are multiply-accumulates; ``fr_l`` is the firing
rate of the layer's input. Left out: memory, neuron updates, batch norm, routing; FLOPs count padding as work.
"""

from __future__ import annotations

from ...sim.counting.operations import OperationCounts
from .scores import PublishedScore
from .shapes import LayerActivity, activities, require

E_AC_FP32_PJ = 0.9  # 45 nm, Horowitz 2014: fp32 add
E_MAC_FP32_PJ = 4.6  # fp32 multiply 3.7 + add 0.9
E_AC_77FJ_PJ = 0.077  # the second convention, cited as Indiveri 2015 / Hu 2018
E_MAC_77FJ_PJ = 12.5
FIRST_LAYER_RULES = ("per_step", "once", "omitted")
RECURRENT_CELLS = ("lif", "tc_lif", "lstm")


def conv_macs(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    out_size: tuple[int, int],
    *,
    times: int = 1,
    groups: int = 1,
) -> int:
    """Multiply-accumulates of a convolution, padding included, ``times`` over.

    Examples
    --------
    >>> conv_macs(3, 64, 7, (112, 112))  # the stem of an ImageNet ResNet
    118013952
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    sizes = (in_channels, out_channels, height, width, *out_size, times, groups)
    require("convolution sizes", sizes, min(sizes) > 0, "positive")
    require("in_channels", in_channels, in_channels % groups == 0, f"a multiple of groups = {groups}")
    return in_channels // groups * out_channels * height * width * out_size[0] * out_size[1] * times


def synaptic_operations(rate: float, steps: int, macs: int) -> float:
    """Synaptic operations of one layer per inference: ``rate T FLOPs`` (eq. 19).

    Parameters
    ----------
    rate : float
        Firing rate of the layer's input, per neuron and step. Integer-valued spikes of D levels: steps = T D.
    steps : int
    macs : int
        Multiply-accumulates of one dense pass.
    """
    require("rate", rate, rate >= 0, "a rate from 0")
    require("steps", steps, steps > 0, "positive")
    return rate * steps * macs


def sop_energy_pj(sops: float, macs: float, e_ac: float = E_AC_FP32_PJ, e_mac: float = E_MAC_FP32_PJ) -> float:
    """Energy per inference in pJ: ``E_MAC macs + E_AC sops`` (eq. 20). An ANN is the case ``sops = 0``.

    Parameters
    ----------
    sops, macs : float
        Operations per inference.
    e_ac, e_mac : float
        pJ per accumulate and per multiply-accumulate.

    Examples
    --------
    >>> round(sop_energy_pj(11.09e9, 346_816_512) * 1e-9, 3)  # Spikformer 8-512, in mJ
    11.576
    """
    for name, value in (("sops", sops), ("macs", macs), ("e_ac", e_ac), ("e_mac", e_mac)):
        require(name, value, value >= 0, "not negative")
    return e_mac * macs + e_ac * sops


def reduction_percent(new: float, old: float) -> float:
    """How much less ``new`` is than ``old``, in percent of ``old``."""
    require("old", old, old > 0, "positive")
    return 100 * (1 - new / old)


def ratio(numerator: float, denominator: float) -> float:
    """A quotient as the papers print it; both must be of the same scope, node and precision to mean anything."""
    require("denominator", denominator, denominator > 0, "positive")
    return numerator / denominator


def recurrent_step_energy_pj(
    cell: str,
    inputs: int,
    neurons: int,
    rate_in: float = 0.0,
    rate_out: float = 0.0,
    e_ac: float = E_AC_FP32_PJ,
    e_mac: float = E_MAC_FP32_PJ,
) -> float:
    """Energy of one step of a recurrent layer, neuron update included, in pJ (TC-LIF, Zhang et al., AAAI 2024).

    ``lif``: ``m n F_in AC + (n n + n) F_out AC + n MAC``; ``tc_lif``: ``m n F_in AC + (n n + 2 n) F_out AC + 2 n MAC``;
    ``lstm``: ``4 (m n + n n) MAC + 17 n MAC``. The nanojoules printed in the paper could not be reproduced with any
    layer sizes it lists: use it as a formula only.

    Parameters
    ----------
    cell : {'lif', 'tc_lif', 'lstm'}
    inputs, neurons : int
        m and n.
    rate_in, rate_out : float
        Spikes per input and per neuron in the step; unused by ``lstm``.
    """
    require("cell", cell, cell in RECURRENT_CELLS, "one of " + ", ".join(RECURRENT_CELLS))
    if cell == "lstm":
        return (4 * neurons * (inputs + neurons) + 17 * neurons) * e_mac
    compartments = 1 if cell == "lif" else 2
    spikes = inputs * neurons * rate_in + (neurons + compartments) * neurons * rate_out
    return spikes * e_ac + compartments * neurons * e_mac


def score_sop(
    counts: OperationCounts, *, first_layer: str = "per_step", e_ac: float = E_AC_FP32_PJ, e_mac: float = E_MAC_FP32_PJ
) -> PublishedScore:
    """The convention on a trace.

    Layers that read spikes are accumulates at ``rate x T x FLOPs``, any other layer is dense multiply-accumulates.

    Parameters
    ----------
    counts : OperationCounts
    first_layer : {'per_step', 'once', 'omitted'}
        How often a layer that reads analog values is counted. ``once`` holds only for an input that is the same at
        every step; ``omitted`` is what tables at 77 fJ per SOP do.
    e_ac, e_mac : float
        pJ.
    """
    require("first_layer", first_layer, first_layer in FIRST_LAYER_RULES, "one of " + ", ".join(FIRST_LAYER_RULES))
    layers = activities(counts)
    sops = sum(synaptic_operations(x.rate_in, x.steps, x.shape.macs) for x in layers if x.spiking_input)
    exact = sum(x.sops for x in layers if x.spiking_input)
    per_step = sum(x.shape.macs * x.steps for x in layers if not x.spiking_input)
    macs = sum(_repeats(x, first_layer) * x.shape.macs for x in layers if not x.spiking_input)
    terms = {
        "multiply_accumulate": sop_energy_pj(0, macs, e_ac, e_mac),
        "accumulate": sop_energy_pj(sops, 0, e_ac, e_mac),
    }
    figures = {"sops": sops, "exact_sops": exact, "macs": float(macs), "macs_per_step_rule": float(per_step)}
    return PublishedScore.total(
        terms,
        figures,
        _estimate_warning(sops, exact),
        "analog layers are left out, as in the tables at 77 fJ per SOP" if macs == 0 < per_step else "",
        _binary_analog_warning(layers) if macs else "",
    )


def _repeats(activity: LayerActivity, first_layer: str) -> int:
    if first_layer == "omitted":
        return 0
    return 1 if first_layer == "once" and activity.held else activity.steps


def _estimate_warning(sops: float, exact: float) -> str:
    if exact == 0 or abs(sops - exact) <= 0.01 * exact:
        return ""
    return f"rate x T x FLOPs is {100 * (sops / exact - 1):+.0f} % off the exact synaptic operations (borders, strides)"


def _binary_analog_warning(layers: list[LayerActivity]) -> str:
    names = [x.layer.name for x in layers if not x.spiking_input and x.layer.weight_kind == "binary"]
    if not names:
        return ""
    return f"analog x +-1 weights only add, but the convention prices multiply-accumulates: {', '.join(names)}"
