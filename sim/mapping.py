"""Where a workload's data lives: layers -> memories.

The rule is the simplest that does not flatter anyone: each kind of data lives in the first memory that has room for all
of it, otherwise in the last. No caching, no partial residency is modelled.
"""

from __future__ import annotations

from dataclasses import dataclass

from .architecture import Grid, Memory
from .workload import INPUT, NEURON_MODELS, Layer, Workload


@dataclass(frozen=True)
class Placement:
    """Where a grid keeps what it works on.

    Attributes
    ----------
    weight : Memory
        The memory that rows are fetched from.
    backing : Memory or None
        Where the weights come from at every inference when the network does not fit in ``weight``; None: resident.
    passes : dict
        Per layer, into how many blocks of output channels its weights are split; its input is read once per pass.
    potential : dict
        Per layer, the memory that holds the potentials (and the current array of a live gate).
    """

    weight: Memory
    backing: Memory | None
    passes: dict[str, int]
    potential: dict[str, Memory]


def place(workload: Workload, grid: Grid, steps: int) -> Placement:
    """Place a workload's weights and potentials in a grid's memories.

    Weights: resident in the first level if the whole network fits there, channel vectors and the tables of per-step
    gains (which grow with ``steps``) included. If not, every
    layer is loaded from the next level once per inference (once per step with time outer), in as many passes over
    its input as the first level needs to hold it.

    Potentials: with time inner a layer's potentials live only while that layer is at work, so the first level must
    hold one layer at a time; with time outer all layers at once.
    """
    levels = grid.levels("weight")
    weight = levels[0]
    bits = {layer.name: parameter_bits(layer, steps) for layer in workload.layers}
    fits = sum(bits.values()) <= weight.bits
    return Placement(
        weight=weight,
        backing=None if fits else levels[-1],
        passes={name: 1 if fits else max(1, -int(-size // weight.bits)) for name, size in bits.items()},
        potential=_place_potentials(workload, grid),
    )


def _place_potentials(workload: Workload, grid: Grid) -> dict[str, Memory]:
    needs = {layer.name: potential_bits(layer, workload, grid) for layer in workload.layers}
    levels = grid.levels("potential")
    together = sum(needs.values())
    placed = {}
    for layer in workload.layers:
        owner = layer.joins or layer.name
        need = needs[owner] if grid.dataflow.time == "inner" else together
        placed[layer.name] = next(memory for memory in levels if need <= memory.bits)
    return placed


def parameter_bits(layer: Layer, steps: int) -> int:
    """Bits of a layer's stored parameters: its weights, and 32 per word of its channel vectors and gain tables."""
    vectors = layer.channel_vectors * layer.out_shape[0] + steps * gain_words(layer)
    return layer.weights * int(layer.weight_bits or 0) + 32 * vectors


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
    """Bits of the state of the neurons a layer feeds; a current that is kept apart needs a second array."""
    if layer.neuron is None:
        return 0
    words = NEURON_MODELS[layer.neuron].state_words + keeps_current(layer, workload, grid)
    return layer.neurons * words * workload.state_bits


def keeps_current(layer: Layer, workload: Workload, grid: Grid) -> bool:
    """Whether events add to a current array instead of the potential: a live gate, or a held input convolved once."""
    return layer.gate == "live" or convolved_once(layer, workload, grid.dataflow.first_layer)


def convolved_once(layer: Layer, workload: Workload, first_layer: str) -> bool:
    """Whether a layer reads a held input (direct encoding) and the machine computes its current only once."""
    return first_layer == "once" and workload.held_input and layer.source == INPUT
