"""Where a workload's data lives: layers -> memories.

The rule is the simplest that does not flatter anyone: each kind of data lives in the first memory that has room for all
of it, otherwise in the last. No caching, no partial residency is modelled.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...counting.neuron_operations import multiplies_branch
from ...errors import InvalidInput
from ...network.pooling_layers import PoolingLayer
from ...network.workload import INPUT, NEURON_MODELS, Layer, Workload
from ..architecture import Grid, Memory
from .spike_buffers import element_bits


@dataclass(frozen=True)
class Placement:
    """Where a grid keeps what it works on.

    Attributes
    ----------
    weight : Memory
        The memory that rows are fetched from.
    backing : Memory or None
        Where the layers come from in every hardware batch when the network does not fit in ``weight``; None: it fits.
    passes : dict
        Per layer, into how many blocks of output channels the weights of its population are split; its input is read
        once per pass.
    potential : dict
        Per layer, the memory that holds the potentials (and the current array of a live gate), or the windows of a
        pooling layer.
    every_step : frozenset of str
        Layers whose weights come in at every step whatever the order of time, because a self-connected population
        needs all its spikes of the step before, and its weights do not fit together. Serving one step, they come row by
        row, as its events need them, where that is less than all.
    loading : Memory or None
        Where a network that fits comes from as a whole, once in ``inferences_per_load`` inferences; None: its load is
        not charged.
    inferences_per_load : int or None
    """

    weight: Memory
    backing: Memory | None
    passes: dict[str, int]
    potential: dict[str, Memory]
    every_step: frozenset[str] = frozenset()
    loading: Memory | None = None
    inferences_per_load: int | None = None


def place(workload: Workload, grid: Grid, steps: int) -> Placement:
    """Place a workload's weights and potentials in a grid's memories.

    Weights: resident in the first level if the whole network fits there, channel vectors and the tables of per-step
    gains (which grow with ``steps``) included. If not, every layer is loaded from the first later level with room for
    the whole network (the last is unlimited) once per inference or hardware batch (once per step with time outer), in
    as many passes over its input as the first level needs to hold it. Layers that share a population run together, step
    by step, so their weights share the memory. A network that fits is loaded as a whole where the machine says so
    (`Grid`), and then serves all steps in any order of time.

    Potentials: with time inner a layer's potentials live only while that layer is at work, so the first level must
    hold one layer at a time; with time outer all layers at once. Those of all inferences of a hardware batch are held.

    Raises
    ------
    InvalidInput
        When the network does not fit and the machine keeps weights resident, or shares loads among more than a batch.
    """
    levels = grid.levels("weight")
    weight = levels[0]
    bits = {layer.name: parameter_bits(layer, workload, steps) for layer in workload.layers}
    whole = sum(bits.values())
    fits = whole <= weight.bits
    if not fits:
        _check_may_reload(workload, grid, whole)
    count = grid.hardware_batch if grid.weights == "reload" else None
    count = grid.inferences_per_load or count
    outside = None if fits and count is None else next(level for level in levels[1:] if whole <= level.bits)
    passes, every_step = {}, set()
    for layer in workload.layers:
        together = [x for x in workload.layers if (x.joins or x.name) == (layer.joins or layer.name)]
        size = sum(bits[x.name] for x in together)
        passes[layer.name] = 1 if fits else max(1, -int(-size // weight.bits))
        if passes[layer.name] > 1 and any(x.delay for x in together):
            every_step.add(layer.name)
    return Placement(
        weight=weight,
        backing=None if fits else outside,
        passes=passes,
        potential=_place_potentials(workload, grid),
        every_step=frozenset(every_step),
        loading=outside if fits else None,
        inferences_per_load=count if fits else None,
    )


def _check_may_reload(workload: Workload, grid: Grid, bits: int) -> None:
    """Refuse a network that is too large for what the machine promises."""
    weight, batch, count = grid.levels("weight")[0], grid.hardware_batch, grid.inferences_per_load
    short = f"workload {workload.name!r} needs {bits:,} bits of weights, but {weight.name!r} holds {weight.bits:,.0f}"
    if grid.weights == "resident":
        raise InvalidInput(
            f"{short}, and architecture.weights is resident; enlarge that memory, narrow the weights, or set weights "
            f"to reload"
        )
    if grid.weights == "reload" and count not in (None, batch):
        raise InvalidInput(
            f"{short}: its layers displace each other, so a load serves one hardware batch of {batch}, not "
            f"architecture.inferences_per_load {count}; leave that out, set hardware_batch, or enlarge the memory"
        )


def _place_potentials(workload: Workload, grid: Grid) -> dict[str, Memory]:
    levels, needs = grid.levels("potential"), potential_needs(workload, grid)
    return {name: next(memory for memory in levels if need <= memory.bits) for name, need in needs.items()}


def potential_needs(workload: Workload, grid: Grid) -> dict[str, int]:
    """Bits that the memory of each layer's potentials has to hold on a scatter machine, by the rule of `place`."""
    batch = grid.hardware_batch
    needs = {layer.name: batch * potential_bits(layer, workload, grid) for layer in workload.layers}
    for layer in workload.layers:
        if layer.joins is not None and multiplies_branch(layer):
            needs[layer.joins] += batch * layer.neurons * workload.state_bits
    if grid.dataflow.time == "outer":
        return dict.fromkeys(needs, sum(needs.values()))
    return {layer.name: needs[layer.joins or layer.name] for layer in workload.layers}


def parameter_bits(layer: Layer, workload: Workload, steps: int) -> int:
    """Bits of a layer's stored parameters: its weights, and 32 per word of its channel vectors and gain tables."""
    words = vector_words(layer, workload) + steps * gain_words(layer)
    return layer.weights * int(layer.weight_bits or 0) + 32 * words


def vector_words(layer: Layer, workload: Workload) -> int:
    """Words of 32 bits that are stored beside the weights: its channel vectors, and the constants of a skip path."""
    constants = 0 if layer.weights else branch_constants(layer, workload)
    return layer.channel_vectors * layer.out_shape[0] + constants


def branch_constants(layer: Layer, workload: Workload) -> int:
    """Words of 32 bits of the factor per channel that a branch into another layer's current keeps for itself.

    Where two branches with scales of their own meet, the scale of the population's own layer goes into its threshold
    (docs/definitions.md, 6). The factor that is left to the branch goes into real weights. Weights of +-1 and skip
    paths add plus or minus the factor instead of 1; integer weights take a multiply per neuron (`multiplies_branch`).
    No factor is left where neither side has a scale, or where the own layer's real weights took theirs.
    """
    if layer.joins is None or (layer.weights and layer.weight_kind == "float"):
        return 0
    owner = workload.layer(layer.joins)
    own = bool(layer.weights) and layer.scale != "none"
    theirs = owner.scale != "none" and owner.weight_kind != "float"
    return owner.neuron_shape[0] if own or theirs else 0


def gain_words(layer: Layer) -> int:
    """Words of 32 bits that a gain which varies with the step needs for one step; 0 for other layers.

    A rescaled leak ``lambda g[t-1] / g[t]`` and a threshold ``V_th / g[t]`` per channel, or one of each where the gain
    is the same for all channels (docs/definitions.md, 10). They stand beside the channel vectors, of which a constant
    threshold is then not needed: an upper bound by one word per channel.
    """
    if layer.gate != "per_step":
        return 0
    return 2 * (layer.neuron_shape[0] if layer.gate_axes == "channel" else 1)


def potential_bits(layer: Layer, workload: Workload, grid: Grid) -> int:
    """Bits of the state of the neurons a layer feeds; a current that is kept apart needs a second array.

    A pooling layer between signals keeps the sums or maxima of its windows.
    """
    if layer.neuron is None:
        windows = isinstance(layer, PoolingLayer) and layer.joins is None
        return layer.neurons * element_bits(workload)[layer.name] if windows else 0
    words = NEURON_MODELS[layer.neuron].state_words + keeps_current(layer, workload, grid)
    return layer.neurons * words * workload.state_bits


def keeps_current(layer: Layer, workload: Workload, grid: Grid) -> bool:
    """Whether events add to a current array instead of the potential: a live gate, or a held input convolved once."""
    return layer.gate == "live" or convolved_once(layer, workload, grid.dataflow.first_layer)


def convolved_once(layer: Layer, workload: Workload, first_layer: str) -> bool:
    """Whether a layer reads a held input (direct encoding) and the machine computes its current only once."""
    return first_layer == "once" and workload.held_input and layer.source == INPUT
