"""Merges and maxima of spikes on many-core chips, which know nothing but neurons and synapses.

- A sum of signals (`Add` in mode ``graded``) is no spike and is never formed: who reads it gets synapses from each of
  its terms, with the same weights, as a linear layer of a sum is the sum of linear layers. The weights are held once
  for each term.
- ``and``, ``or`` and maxima of spikes become relays, neurons that forget everything in each step: any event fires an
  ``or`` or a maximum (threshold between 0 and 1), all of them an ``and`` (between n - 1 and n). They take cores,
  updates, packets and one more step of delay, like any population.

Averages, copies and concatenations between signals are refused: an average is no spike, and the others need tables of
addresses that the model of the chips does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...errors import InvalidInput
from ...network.layers import Layer
from ...network.merging_layers import Add
from ...network.passing_layers import Identity
from ...network.pooling_layers import PoolingLayer
from ...network.workload import Workload
from ...replay.parameters import LayerParameters

Terms = dict[str, tuple[tuple[str, str], ...]]  # sum -> (signal, kind) of each of its terms


def with_relays(workload: Workload) -> Workload:
    """The network as neurons and synapses alone; unchanged where it is that already.

    Relays bear the names of the layers that they stand for, so that a trace holds their spikes. Further branches are
    named ``layer.2``, ``layer.3`` and so on.

    Raises
    ------
    InvalidInput
        For averages, copies and concatenations between signals.
    """
    if all(layer.neuron is not None or layer.joins is not None for layer in workload.layers):
        return workload
    terms: Terms = {}
    layers: list[Layer] = []
    for layer in workload.layers:
        if layer.neuron is None and layer.joins is None and isinstance(layer, Add) and layer.mode == "graded":
            reads = ((name, kind) for name, _, kind in layer.reads)
            terms[layer.name] = tuple(term for name, kind in reads for term in terms.get(name, ((name, kind),)))
        elif layer.neuron is None and layer.joins is None:
            layers += _relays(workload, layer, terms)
        else:
            layers += _branches(layer, terms)
    return replace(workload, layers=tuple(layers))


def relay_parameters(workload: Workload, parameters: Mapping[str, LayerParameters]) -> dict[str, LayerParameters]:
    """What `replay` needs to run `with_relays` of a workload, from the workload's own parameters.

    Every event adds 1 to a relay, whose threshold is 0, or one less than its terms for an ``and``; nothing is left of
    its potential at the next step. A further branch has the weights of the layer that it is a branch of.
    """
    result, between = dict(parameters), {x.name: x for x in workload.layers if x.neuron is None and x.joins is None}
    for layer in with_relays(workload).layers:
        owner = between.get(layer.joins or layer.name)
        if owner is not None:
            every = isinstance(owner, Add) and owner.mode == "and"
            threshold = len(owner.sources) - 1.0 if every else 0.0
            result[layer.name] = LayerParameters(weights=1.0, leak=0.0, threshold=threshold)
        elif layer.name not in parameters:  # a branch beside the first: "layer.2"
            first = layer.name.rpartition(".")[0]
            if first in parameters:  # if not, the replay names the layer that has none
                result[layer.name] = parameters[first]
    return result


def _relays(workload: Workload, layer: Layer, terms: Terms) -> list[Layer]:
    """Neurons in place of a layer that passes spikes on."""
    if layer.output_kind == "spike" and not set(layer.sources) & terms.keys():
        if isinstance(layer, PoolingLayer):
            return [replace(layer, neuron="lif_hard")]
        if isinstance(layer, Add):
            first, *others = layer.reads
            relay = Identity(name=layer.name, in_shape=layer.in_shape, source=first[0], neuron="lif_hard")
            branch = replace(relay, neuron=None, joins=layer.name)
            return [relay, *_numbered(branch, [(name, "spike") for name, _, _ in others])]
    raise InvalidInput(
        f"workload {workload.name!r}: layer {layer.name!r} ({type(layer).__name__}) passes values on between signals "
        f"that are no spikes of a neuron, which many-core chips cannot do; fold an average into AveragePool, before "
        f"the neuron, or use a machine of kind grid"
    )


def _branches(layer: Layer, terms: Terms) -> list[Layer]:
    """A layer with one more branch into its population for each further term of a sum that it reads."""
    if layer.source not in terms:
        return [layer]
    (source, kind), *rest = terms[layer.source]
    plain = replace(layer, neuron=None, joins=layer.joins or layer.name, bias=False, gate=None, channel_vectors=0)
    return [replace(layer, source=source, input_kind=kind), *_numbered(plain, rest)]


def _numbered(branch: Layer, signals: list[tuple[str, str]]) -> list[Layer]:
    """A copy of a branch for each signal and its kind, named after it and a number from 2."""
    return [
        replace(branch, name=f"{branch.name}.{number}", source=source, input_kind=kind)
        for number, (source, kind) in enumerate(signals, start=2)
    ]
