"""Lemaire et al. 2022: operations, addressing and memory accesses of spiking and formal layers (arXiv:2210.13107).

Followed are the paper's equations as restated, with their numbers, by two independent re-implementations
(qualia-plugin-snn 2.6.0 of the authors' group, and SpikingJelly's operation counter); the paper itself was not read.
Four choices where printed equations and code differ:

* eq. 2.4 is taken as corrected by the authors' group, ``theta N_out + T N_out + theta_out``; as printed it is N_in
  times too large and lacks the reset;
* bias and potentials are accessed at every step (x T), as the code does, not once as printed;
* eq. 16.3 and 17.2 are followed as written (with C_out, and with theta), where one of the codes drops a factor;
* inputs that are no spikes take the formal path.

Arithmetic: int32 in 45 nm, add 0.1 and multiply 3.1 pJ. Left out: routing, static power, DRAM, and any gain of one-bit
weights but their smaller memory; the paper has no one-bit case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from ...sim.counting.operations import OperationCounts
from .memory import SRAM_RULES
from .scores import PublishedScore
from .shapes import ConvShape, LayerActivity, Shape, activities, require

E_ADD_PJ = 0.1  # int32, 45 nm, Horowitz 2014
E_MUL_PJ = 3.1
DATA_BITS = 32
FIFO_MESSAGES = 1000  # SpikingJelly's default length of the queues between spiking layers
FC_ADDRESSING = ("products", "sum")


@dataclass(frozen=True, kw_only=True)
class LemaireCounts:
    """Operations and accesses of one layer per inference; the numbers in brackets are the paper's equations.

    Attributes
    ----------
    mac_ops, acc_ops : float
        Multiply-accumulates (1.1, 1.3, 2.1, 2.3) and accumulates (1.2, 1.4, 2.2, 2.4).
    read_inputs, read_weights, read_bias, read_potentials : float
        Accesses (3-5, 6-8, 6-8, 9-10).
    write_potentials, write_outputs : float
        Accesses (14-15, 11-13).
    mac_addressing, acc_addressing : float
        Address computations (16-17).
    """

    mac_ops: float
    acc_ops: float
    read_inputs: float
    read_weights: float
    read_bias: float
    read_potentials: float
    write_potentials: float
    write_outputs: float
    mac_addressing: float
    acc_addressing: float


@dataclass(frozen=True, kw_only=True)
class LemaireMemories:
    """Capacity in bits of the memory each kind of datum lives in, and the bits of one datum.

    ``inputs`` and ``outputs`` hold spikes of a queue, or a tensor of activations.
    """

    weights: float
    bias: float
    potentials: float
    inputs: float
    outputs: float
    weight_bits: int = DATA_BITS
    data_bits: int = DATA_BITS


def lemaire_snn(
    shape: Shape,
    *,
    steps: int,
    spikes_in: float,
    spikes_out: float,
    leak: bool = True,
    bias: bool = True,
    neurons: int | None = None,
) -> LemaireCounts:
    """Counts of a spiking layer.

    Parameters
    ----------
    shape : ConvShape or LinearShape
    steps : int
        T.
    spikes_in, spikes_out : float
        theta_{l-1} and theta_l: spikes per inference, all steps.
    leak : bool
        LIF (a multiply-accumulate per neuron and step) or IF.
    bias : bool
        Whether a bias is read and added at every step.
    neurons : int, optional
        Neurons it feeds, where pooling makes them fewer than its outputs.

    Examples
    --------
    >>> from spikejoule.energy.published import LinearShape
    >>> lemaire_snn(LinearShape(inputs=8, outputs=3), steps=2, spikes_in=4, spikes_out=0, leak=False).acc_ops
    18
    """
    require("steps", steps, steps > 0, "positive")
    for name, value in (("spikes_in", spikes_in), ("spikes_out", spikes_out)):
        require(name, value, value >= 0, "not negative")
    updates = steps * (shape.outputs if neurons is None else neurons)
    if isinstance(shape, ConvShape):
        touched = math.prod(-(-k // s) for k, s in zip(shape.kernel, shape.stride, strict=True))  # ceil(k / S)^2
        additions = spikes_in * touched * shape.targets
        reached = spikes_in * shape.targets * shape.taps  # eq. 7, 9 and 16.3 forget the stride
        mac_addressing = 2 * spikes_in
    else:
        additions = reached = spikes_in * shape.outputs
        mac_addressing = 0
    return LemaireCounts(
        mac_ops=updates * leak,
        acc_ops=additions + updates * bias + spikes_out,
        read_inputs=spikes_in,
        read_weights=reached,
        read_bias=updates * bias,
        read_potentials=reached + updates,
        write_potentials=reached + updates,
        write_outputs=spikes_out,
        mac_addressing=mac_addressing,
        acc_addressing=reached,
    )


def lemaire_fnn(shape: Shape, *, bias: bool = True, fc_addressing: str = "products") -> LemaireCounts:
    """Counts of a formal (non-spiking) layer, one pass.

    Parameters
    ----------
    shape : ConvShape or LinearShape
    bias : bool
    fc_addressing : {'products', 'sum'}
        Address computations of a fully connected layer: N_in N_out (authors' group) or N_in + N_out (SpikingJelly).
    """
    require("fc_addressing", fc_addressing, fc_addressing in FC_ADDRESSING, "one of " + ", ".join(FC_ADDRESSING))
    if isinstance(shape, ConvShape):
        addressing = shape.inputs + shape.outputs + shape.targets * shape.taps
    else:
        addressing = shape.macs if fc_addressing == "products" else shape.inputs + shape.outputs
    return LemaireCounts(
        mac_ops=shape.macs,
        acc_ops=shape.outputs * bias,
        read_inputs=shape.macs if isinstance(shape, ConvShape) else shape.inputs,
        read_weights=shape.macs,
        read_bias=shape.outputs * bias,
        read_potentials=0,
        write_potentials=0,
        write_outputs=shape.outputs,
        mac_addressing=0,
        acc_addressing=addressing,
    )


def operations_pj(counts: LemaireCounts, e_add: float = E_ADD_PJ, e_mul: float = E_MUL_PJ) -> float:
    """Energy of the arithmetic: ``(E_mul + E_add) MAC + E_add ACC``, without addressing."""
    return counts.mac_ops * (e_mul + e_add) + counts.acc_ops * e_add


def addressing_pj(counts: LemaireCounts, e_add: float = E_ADD_PJ, e_mul: float = E_MUL_PJ) -> float:
    """Energy of the address computations."""
    return counts.mac_addressing * (e_mul + e_add) + counts.acc_addressing * e_add


def memory_pj(counts: LemaireCounts, memories: LemaireMemories, rule: str) -> dict[str, float]:
    """Energy of the accesses by kind of datum, in pJ.

    Parameters
    ----------
    counts : LemaireCounts
    memories : LemaireMemories
    rule : {'iconip_linear', 'packed8k', 'piecewise'}
        Price of one access: `memory.SRAM_RULES`.
    """
    require("rule", rule, rule in SRAM_RULES, "one of " + ", ".join(SRAM_RULES))
    price, data_bits = SRAM_RULES[rule], memories.data_bits
    return {
        "weights": counts.read_weights * price(memories.weights, memories.weight_bits),
        "bias": counts.read_bias * price(memories.bias, data_bits),
        "potentials": (counts.read_potentials + counts.write_potentials) * price(memories.potentials, data_bits),
        "inputs": counts.read_inputs * price(memories.inputs, data_bits),
        "outputs": counts.write_outputs * price(memories.outputs, data_bits),
    }


def score_lemaire(counts: OperationCounts, *, rule: str) -> PublishedScore:
    """The model on a trace: every layer's operations, addressing and accesses.

    A layer that reads analog or graded values takes the formal path at every step for its synapses, and the spiking one
    for its neurons: a choice of ours. A readout has no leak and writes no spikes.
    """
    terms = dict.fromkeys(("operations", "addressing", "weights", "bias", "potentials", "inputs", "outputs"), 0.0)
    layers = activities(counts)
    for activity in layers:
        layer_counts, memories = layer_of(activity), memories_of(activity)
        parts = memory_pj(layer_counts, memories, rule)
        parts |= {"operations": operations_pj(layer_counts), "addressing": addressing_pj(layer_counts)}
        for name, value in parts.items():
            terms[name] += value
    formal = [x.layer.name for x in layers if not x.spiking_input]
    narrow = any(int(x.layer.weight_bits or 0) < DATA_BITS for x in layers)
    strided = any(isinstance(x.shape, ConvShape) and max(x.shape.stride) > 1 for x in layers)
    return PublishedScore.total(
        terms,
        {"memory_share": 1 - (terms["operations"] + terms["addressing"]) / (sum(terms.values()) or 1)},
        f"formal path at every step for inputs that are no spikes: {', '.join(formal)}" if formal else "",
        "narrow weights only shrink their memory (and pack, by packed8k); additions stay int32" if narrow else "",
        "accesses of strided convolutions are counted without their stride, as the equations do" if strided else "",
    )


def layer_of(activity: LayerActivity) -> LemaireCounts:
    """Counts of one layer of a trace."""
    shape, steps = activity.shape, activity.steps
    neuron = lemaire_snn(
        shape,
        steps=steps,
        spikes_in=activity.events_in if activity.spiking_input else 0,
        spikes_out=activity.spikes_out,
        leak=activity.leaky,
        bias=activity.layer.bias,
        neurons=activity.neurons,
    )
    if activity.spiking_input:
        return neuron
    formal = lemaire_fnn(shape, bias=False)  # the bias is the neuron's, and so is the output
    sums = {f.name: getattr(neuron, f.name) + steps * getattr(formal, f.name) for f in fields(LemaireCounts)}
    return LemaireCounts(**(sums | {"write_outputs": neuron.write_outputs}))


def memories_of(activity: LayerActivity) -> LemaireMemories:
    """The memories of one layer of a trace: each as large as what it holds, queues of `FIFO_MESSAGES` words."""
    layer, shape, queue = activity.layer, activity.shape, FIFO_MESSAGES * DATA_BITS
    weight_bits = int(layer.weight_bits or DATA_BITS)
    return LemaireMemories(
        weights=shape.weights * weight_bits,
        bias=layer.out_shape[0] * DATA_BITS,
        potentials=activity.neurons * DATA_BITS,
        inputs=queue if activity.spiking_input else shape.inputs * DATA_BITS,
        outputs=queue,
        weight_bits=weight_bits,
    )
