"""Yan, Bai, Tang, Wong (arXiv:2409.08290): an SNN of T steps against a network of ceil(log2(T+1)) activation bits.

Read: the abstracts of v1 to v4; the body only through a detailed note and a re-implementation. Theorem 1 (bits, bounds
of the spike rate), the compute break-even and the dense limit are restated there; the per-neuron energies are
reconstructed from them and unverified. Prices: 22 nm, 0.80 V. Not found, and so not priced: E_MAC, the energy of weight
reads, and with them the paper's own thresholds (5.7 % at T = 5 in v4).
"""

from __future__ import annotations

from ...sim.counting.operations import OperationCounts
from .scores import PublishedScore
from .shapes import activities, require

E_ACC_PJ = E_CMP_PJ = E_SUB_PJ = 0.05448  # 22 nm, 0.80 V, 25 C, 1 GHz
SPARSE_MOVE_PJ = 3.0  # per bit and hop, events on a network: the paper's "typical neuromorphic" setting
DENSE_MOVE_PJ = 0.25  # per bit and hop, dense activations
HOPS = 0.64  # mean hops of its VGG-16 mapping
RATE_CASES = ("best", "average", "worst")


def qnn_bits(steps: int) -> int:
    """Activation bits of the quantised twin of a rate-coded SNN: ``ceil(log2(T + 1))`` (theorem 1).

    Examples
    --------
    >>> [qnn_bits(steps) for steps in (1, 3, 4, 5, 7, 8)]
    [1, 2, 3, 3, 3, 4]
    """
    require("steps", steps, steps > 0, "positive")
    return steps.bit_length()


def dense_limit_ratio(steps: int) -> float:
    """E_SNN / E_QNN where dense data movement decides: ``T / ceil(log2(T + 1))``."""
    return steps / qnn_bits(steps)


def spike_rate(steps: int, sparsity: float, case: str = "average") -> float:
    """Spikes per neuron and step of the SNN that encodes a quantised network's activations.

    Parameters
    ----------
    steps : int
        T.
    sparsity : float
        g: share of the quantised network's activations that are zero.
    case : {'best', 'average', 'worst'}
        ``(1-g)/T`` (one spike per non-zero activation), the middle, or ``1-g`` (a spike at every step).
    """
    require("case", case, case in RATE_CASES, "one of " + ", ".join(RATE_CASES))
    require("steps", steps, steps > 0, "positive")
    require("sparsity", sparsity, 0 <= sparsity <= 1, "from 0 to 1")
    share = {"best": 1 / steps, "average": (1 / steps + 1) / 2, "worst": 1.0}[case]
    return (1 - sparsity) * share


def sparsity_bounds(steps: int, rate: float) -> tuple[float, float]:
    """Sparsity g that a quantised twin may have, given the SNN's spike rate: from ``(1-g)/T <= s_r <= 1-g``."""
    require("steps", steps, steps > 0, "positive")
    require("rate", rate, 0 <= rate <= 1, "from 0 to 1")
    return max(0.0, 1 - steps * rate), 1 - rate


def k_min(steps: int, rate: float, sparsity: float) -> float:
    """Smallest E_MAC / E_ACC at which the SNN computes with no more energy: ``T s_r / (1 - g)``.

    With binary weights neither side multiplies, so k is 1 and the SNN wins on arithmetic only where this is at most 1.

    Examples
    --------
    >>> round(k_min(5, spike_rate(5, 0.4, "average"), 0.4), 9)  # (1 + T) / 2
    3.0
    """
    require("sparsity", sparsity, 0 <= sparsity < 1, "from 0 to below 1")
    require("rate", rate, 0 <= rate <= 1, "from 0 to 1")
    require("steps", steps, steps > 0, "positive")
    return steps * rate / (1 - sparsity)


def compute_break_even_rate(steps: int, k: float, sparsity: float) -> float:
    """Spike rate at which both compute with equal energy: ``k (1 - g) / T``; terms of order 1/N_src dropped."""
    require("steps", steps, steps > 0, "positive")
    require("k", k, k > 0, "positive")
    return k * (1 - sparsity) / steps


def movement_break_even_rate(
    steps: int,
    *,
    sparse_pj: float = SPARSE_MOVE_PJ,
    dense_pj: float = DENSE_MOVE_PJ,
    hops: float = 1.0,
    weight_pj: float = 0.0,
) -> float:
    """Spike rate at which both move data with equal energy (reconstructed, unverified).

    ``T s_r (E_sparse hops + E_w) = b E_dense hops + E_w``: the SNN sends one bit per spike and fetches the weights at
    every spike, the quantised network sends b bits and fetches them once.

    Parameters
    ----------
    steps : int
    sparse_pj, dense_pj : float
        pJ per bit and hop, of events and of dense activations.
    hops : float
    weight_pj : float
        Energy of one fetch of all weights of a source neuron; the paper's figure was not found, 0 leaves it out.

    Examples
    --------
    >>> round(movement_break_even_rate(5), 4)  # the paper, weights and arithmetic included: 0.057
    0.05
    """
    denominator = steps * (sparse_pj * hops + weight_pj)
    require(
        "sparse_pj, hops, weight_pj", (sparse_pj, hops, weight_pj), denominator > 0, "such that a spike costs something"
    )
    return (qnn_bits(steps) * dense_pj * hops + weight_pj) / denominator


def snn_compute_pj(
    synaptic_operations: float,
    updates: float,
    spikes: float,
    e_acc: float = E_ACC_PJ,
    e_cmp: float = E_CMP_PJ,
    e_sub: float = E_SUB_PJ,
) -> dict[str, float]:
    """Arithmetic of an SNN in pJ: ``T s_r N_src E_ACC + T E_CMP + T s_r E_SUB`` per neuron, summed (reconstructed).

    Parameters
    ----------
    synaptic_operations, updates, spikes : float
        Per inference: accumulates, neuron updates (neurons x T) and output spikes.
    """
    return {"accumulate": synaptic_operations * e_acc, "compare": updates * e_cmp, "subtract": spikes * e_sub}


def qnn_compute_pj(macs: float, sparsity: float, e_mac: float) -> float:
    """Arithmetic of the quantised twin in pJ: ``(1 - g) N_src E_MAC`` per neuron, summed; re-quantisation left out."""
    require("sparsity", sparsity, 0 <= sparsity <= 1, "from 0 to 1")
    return (1 - sparsity) * macs * e_mac


def score_yan(counts: OperationCounts) -> PublishedScore:
    """The SNN side on a trace, at 22 nm with the typical neuromorphic movement, and the thresholds of its twin.

    The twin itself has no energy here: it would have to be trained, and E_MAC at 22 nm was not found.
    """
    layers = [x for x in activities(counts) if x.spiking_input]
    spikes_in = sum(x.events_in for x in layers)
    inputs = sum(x.shape.inputs for x in layers)
    updates = sum(x.neurons * x.steps for x in layers)
    # one spike is moved once, however many layers read the signal
    moved = {x.layer.source: x.events_in for x in layers}
    terms = snn_compute_pj(sum(x.sops for x in layers), updates, sum(x.spikes_out for x in layers))
    terms["movement"] = sum(moved.values()) * SPARSE_MOVE_PJ * HOPS
    steps, rate = counts.steps, spikes_in / (inputs * counts.steps) if inputs else 0.0
    figures: dict[str, float | str] = {
        "spike_rate": rate,
        "qnn_activation_bits": qnn_bits(steps),
        "dense_limit_ratio": dense_limit_ratio(steps),
        "movement_break_even_rate": movement_break_even_rate(steps),
    }
    if rate:
        least, most = sparsity_bounds(steps, rate)
        figures |= {"twin_sparsity_least": least, "twin_sparsity_most": most}
        figures |= {"k_min_least": k_min(steps, rate, least), "k_min_most": k_min(steps, rate, most)}
    skipped = [x.layer.name for x in activities(counts) if not x.spiking_input]
    events = counts.workload.input_kind in ("spike", "signed_spike") and not counts.workload.held_input
    return PublishedScore.total(
        terms,
        figures,
        "weight reads are not priced: their energy was not found",
        f"no price for multiply-accumulates, left out: {', '.join(skipped)}" if skipped else "",
        "the quantised twin is not meaningful on event input: it has no single frame to read" if events else "",
    )
