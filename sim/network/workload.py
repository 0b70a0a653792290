"""Networks as data: layers with their shapes, kinds and neurons, and who feeds whom. Knows neither torch nor joules.

A *signal* is what travels between layers and is recorded in a trace: ``"input"``, the spikes that the neurons of a
layer emit, or what a layer without neurons passes on, named after that layer. A layer reads its signals (``sources``)
and feeds the neuron population that bears its name, unless it joins another layer's current (``joins``) or, without
weights, stands between signals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..display import lines, shape_words
from ..errors import InvalidInput
from ..readable_numbers import BYTES, with_unit
from .layers import GATES, INPUT, INPUT_KINDS, NAME, WEIGHT_BITS, AveragePool, Layer, is_count
from .merging_layers import Add, Concatenate
from .neuron_models import NEURON_MODELS, NeuronModel
from .passing_layers import Identity, Upsample
from .pooling_layers import AdaptivePool, Pool
from .weighted_layers import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, Linear, RecurrentLinear

__all__ = [
    "GATES",
    "INPUT",
    "INPUT_KINDS",
    "LAYER_TYPES",
    "NAME",
    "NEURON_MODELS",
    "WEIGHT_BITS",
    "AdaptivePool",
    "Add",
    "AveragePool",
    "Concatenate",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Identity",
    "Layer",
    "Linear",
    "NeuronModel",
    "Pool",
    "RecurrentLinear",
    "Upsample",
    "Workload",
    "workload_from_dict",
    "workload_to_dict",
]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A network's layers in the order they are computed, and everything a counter needs to know about them.

    Attributes
    ----------
    name : str
    input_shape : tuple of int
        Shape of the network's input at one step.
    input_kind : str
        Kind of the recorded ``"input"`` signal.
    layers : tuple of Layer
    held_input : bool
        True when every step sees the same input (direct encoding of static data).
    state_bits : int
        Width of potentials and accumulators, as the trace was produced.
    state_type : {'float', 'fixed'}
    """

    name: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    input_kind: str = "spike"
    held_input: bool = False
    state_bits: int = 32
    state_type: str = "float"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "layers", tuple(self.layers))
        if self.input_kind not in INPUT_KINDS:
            raise InvalidInput(
                f"workload {self.name!r}: input_kind {self.input_kind!r}; use one of {', '.join(INPUT_KINDS)}"
            )
        if self.state_type not in ("float", "fixed") or not is_count(self.state_bits) or not 1 <= self.state_bits <= 64:
            raise InvalidInput(
                f"workload {self.name!r}: state {self.state_type!r} of {self.state_bits!r} bits is not known"
            )
        seen: dict[str, Layer] = {}
        for layer in self.layers:
            if layer.name in seen:
                raise InvalidInput(f"workload {self.name!r}: two layers are called {layer.name!r}")
            for source, expected_shape, expected_kind in layer.reads:
                shape, kind = self._signal(source, seen, layer.name)
                if math.prod(shape) != math.prod(expected_shape) or kind != expected_kind:
                    raise InvalidInput(
                        f"workload {self.name!r}: layer {layer.name!r} expects {expected_kind} {expected_shape}, "
                        f"but its source {source!r} is {kind} {shape}"
                    )
            seen[layer.name] = layer
        self._check_joins(seen)
        self._check_order()

    def _check_joins(self, layers: Mapping[str, Layer]) -> None:
        for layer in self.layers:
            if layer.joins is not None and (
                layer.joins not in layers
                or layers[layer.joins].neuron is None
                or layers[layer.joins].neurons != layer.neurons
            ):
                raise InvalidInput(
                    f"workload {self.name!r}: layer {layer.name!r} joins {layer.joins!r}, which is no layer with "
                    f"{layer.neurons} neurons of its own"
                )

    def _check_order(self) -> None:
        """Refuse a sum that would need its own result within one step."""
        needs: dict[str, set[str]] = {}
        for layer in self.layers:
            same_step = set() if layer.delay else set(layer.sources) - {INPUT}
            needs.setdefault(layer.joins or layer.name, set()).update(same_step)
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            raise InvalidInput(
                f"workload {self.name!r}: {' -> '.join(error.args[1])} feed each other within one step; "
                f"self-connections are a RecurrentLinear, which reads the previous step"
            ) from error

    def _signal(self, name: str, seen: Mapping[str, Layer], reader: str) -> tuple[tuple[int, ...], str]:
        if name == INPUT:
            return self.input_shape, self.input_kind
        if name not in seen or not seen[name].emits:
            raise InvalidInput(
                f"workload {self.name!r}: layer {reader!r} reads {name!r}, which no earlier layer emits; "
                f"known: {', '.join([INPUT, *seen])}"
            )
        return seen[name].neuron_shape, seen[name].output_kind

    def __repr__(self) -> str:
        last = self.layers[-1] if self.layers else None
        ends = f" -> {last.neurons} outputs" if last is not None else ""
        weights = sum(layer.weights for layer in self.layers)
        return lines(
            f"Workload {self.name}: {shape_words(self.input_shape)} {self.input_kind}{ends}, {len(self.layers)} layers",
            f"{weights:,} weights, {with_unit(self.model_bytes, BYTES)}",
            f"potentials {self.state_bits}-bit {self.state_type}",
            ", ".join(layer.name for layer in self.layers),
        )

    @property
    def signals(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and kind of every signal a trace must hold: what some layer reads, and what every layer emits."""
        seen = {layer.name: layer for layer in self.layers}
        names = [INPUT, *(layer.name for layer in self.layers if layer.emits)]
        return {name: self._signal(name, seen, "trace") for name in names}

    def layer(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise InvalidInput(
            f"workload {self.name!r} has no layer {name!r}; it has {', '.join(x.name for x in self.layers)}"
        )

    @property
    def model_bytes(self) -> int:
        """Bytes of the stored parameters: every weight at its own width, 4 bytes per channel and channel vector.

        The rule that reproduces the sizes in BSO (Liang et al., ICML 2025, Table 2): 4 bytes per full-precision
        weight, 1 bit per binary weight, batch norm's gamma and beta 4 bytes each per channel.

        A figure of the network, not of a run or of a machine. Not in it: the tables of gains that vary with the step,
        which grow with the number of steps (`placement.gain_words`), the factors that a branch of +-1 weights or a skip
        path keeps (`placement.branch_constants`), and zero-weight maps. What a machine has to store, the first two
        included, is `placement.parameter_bits`, and ``weight_bytes`` of a sweep.
        """
        weight_bits = sum(layer.weights * int(layer.weight_bits or 0) for layer in self.layers)
        vectors = sum(layer.out_shape[0] * layer.channel_vectors for layer in self.layers)
        return -(-weight_bits // 8) + 4 * vectors


LAYER_TYPES: dict[str, type[Layer]] = {
    "Conv1d": Conv1d,
    "Conv2d": Conv2d,
    "Conv3d": Conv3d,
    "ConvTranspose1d": ConvTranspose1d,
    "ConvTranspose2d": ConvTranspose2d,
    "Linear": Linear,
    "RecurrentLinear": RecurrentLinear,
    "Pool": Pool,
    "AdaptivePool": AdaptivePool,
    "Upsample": Upsample,
    "Identity": Identity,
    "Add": Add,
    "Concatenate": Concatenate,
}


def workload_to_dict(workload: Workload) -> dict[str, object]:
    """Plain JSON data; zero-weight maps are left out (a trace keeps them as arrays)."""
    result = {f.name: getattr(workload, f.name) for f in dataclasses.fields(workload) if f.name != "layers"}
    result["layers"] = [_layer_to_dict(layer) for layer in workload.layers]
    return result


def _layer_to_dict(layer: Layer) -> dict[str, object]:
    values = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer) if f.name != "nonzero"}
    values["pool"] = None if layer.pool is None else dataclasses.asdict(layer.pool)
    return {"type": type(layer).__name__, **values}


def workload_from_dict(data: Mapping[str, object], nonzero: Mapping[str, NDArray[np.bool_]] | None = None) -> Workload:
    """The inverse of `workload_to_dict`, with every field checked; ``nonzero`` holds zero-weight maps by layer name."""
    masks = nonzero or {}
    try:
        fields: dict[str, Any] = dict(data)
        layers = [_layer_from_dict(entry, masks.get(entry.get("name"))) for entry in fields.pop("layers")]
        fields["input_shape"] = tuple(fields["input_shape"])
        return Workload(**fields, layers=tuple(layers))
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"workload description is not usable: {error}") from error


def _layer_from_dict(entry: Mapping[str, object], mask: NDArray[np.bool_] | None) -> Layer:
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    kind = fields.pop("type", None)
    if kind not in LAYER_TYPES:
        raise InvalidInput(f"layer {fields.get('name')!r}: type {kind!r} has no rule; known: {', '.join(LAYER_TYPES)}")
    if fields.get("pool") is not None:
        fields["pool"] = AveragePool(kernel_size=tuple(fields["pool"]["kernel_size"]))
    return LAYER_TYPES[kind](**fields, nonzero=mask)
