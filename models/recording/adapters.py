"""Any torch network as a workload: what its modules do, in the order in which they were called."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from ...sim.errors import InvalidInput
from ...sim.network import workload as sim
from ..networks.binary_weights import BinaryConv2d, BinaryLinear
from ..networks.neurons import Neurons


@dataclass(frozen=True)
class Call:
    """The first call of a module in a forward pass: its name, itself, and shapes of one sample at one step."""

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]


@dataclass
class Described:
    """A workload, and where its signals can be tapped.

    Attributes
    ----------
    layers : list of Layer
    readers : dict of signal to module name
        The module whose input is that signal.
    emitters : dict of signal to module name
        The neurons whose output is that signal.
    """

    layers: list[sim.Layer] = field(default_factory=list)
    readers: dict[str, str] = field(default_factory=dict)
    emitters: dict[str, str] = field(default_factory=dict)


def role(module: nn.Module) -> str | None:
    """'synapse', 'norm', 'pool', 'global_pool', 'neurons' or 'unchanged' for a module with a rule, else None."""
    if qualified_name(module) in NEURON_RULES:
        return "neurons"
    for kind, types in ROLES.items():
        if type(module) in types:
            return kind
    return None


def watched(model: nn.Module) -> dict[str, nn.Module]:
    """The modules whose calls describe the network: those with a rule, and every other module without children.

    Raises
    ------
    InvalidInput
        If a module holds weights for which there is no rule, naming it.
    """
    found: dict[str, nn.Module] = {}
    inside: list[str] = []  # modules that are taken whole
    for name, module in model.named_modules():
        if any(name.startswith(f"{outer}.") for outer in inside):
            continue
        known = role(module) is not None
        own = [key for key, _ in module.named_parameters(recurse=False)]
        if not known and own:
            raise InvalidInput(
                f"model: module {name!r} ({qualified_name(module)}) has weights ({', '.join(own)}) and no rule; "
                f"known with weights: {', '.join(t.__name__ for t in (*SYNAPSES, *ROLES['norm']))}"
            )
        if known or not any(True for _ in module.children()):
            found[name] = module
            inside.append(name)
    return found


def describe(calls: Sequence[Call], modules: Mapping[str, nn.Module], input_kind: str) -> Described:
    """The layers of a sequential network from the order in which its modules were first called.

    Parameters
    ----------
    calls : sequence of Call
    modules : mapping
        `watched` of the model; those with weights must all have been called.
    input_kind : str
        Declared kind of the network's input.

    Raises
    ------
    InvalidInput
        If a module has no rule, was never called, or stands where its rule does not reach.
    """
    called = {call.name for call in calls}
    for name, module in modules.items():
        if role(module) == "synapse" and name not in called:
            raise InvalidInput(f"model: layer {name!r} has weights but was not reached by the forward pass; remove it")
    walk = _Walk(input_kind)
    for call in calls:
        kind = role(call.module)
        if kind is None:
            raise InvalidInput(
                f"model: module {call.name!r} ({qualified_name(call.module)}) has no rule; known: synapses, norm, "
                f"average pooling, flatten, dropout and the neurons {', '.join(NEURON_RULES)}"
            )
        getattr(walk, kind)(call)
    walk.finish()
    return walk.described


class _Walk:
    """Follows the calls; between synapses and neurons there is one pending layer that batch norm and pooling change."""

    def __init__(self, input_kind: str) -> None:
        self.described = Described()
        self._pending: sim.Layer | None = None
        self._signal, self._kind = sim.INPUT, input_kind
        self._global_pool: Call | None = None

    def synapse(self, call: Call) -> None:
        if self._pending is not None:
            raise InvalidInput(f"model: layer {call.name!r} follows {self._pending.name!r} without neurons in between")
        tap = self._global_pool or call
        layer = SYNAPSES[type(call.module)](call.module, call.name or "layer", tap.input_shape, tap is not call)
        self._pending = dataclasses.replace(layer, source=self._signal, input_kind=self._kind)
        self.described.readers[self._signal] = tap.name
        self._global_pool = None

    def norm(self, call: Call) -> None:
        layer = self._need(call, "batch norm")
        if layer.pool is not None:
            raise InvalidInput(f"model: batch norm {call.name!r} comes after pooling; put it before the pooling")
        self._pending = dataclasses.replace(layer, bias=True, scale="folded", channel_vectors=2)

    def pool(self, call: Call) -> None:
        layer, module = self._need(call, "average pooling of spikes"), call.module
        kernel, stride = _pair(module.kernel_size), _pair(module.stride)
        if kernel != stride or _pair(module.padding) != (0, 0) or module.ceil_mode or layer.pool is not None:
            raise InvalidInput(
                f"model: pooling {call.name!r} overlaps, is padded or comes second: there is no rule for it"
            )
        self._pending = dataclasses.replace(layer, pool=sim.AveragePool(kernel_size=kernel))

    def global_pool(self, call: Call) -> None:
        if _pair(call.module.output_size) != (1, 1) or self._pending is not None or self._signal == sim.INPUT:
            raise InvalidInput(f"model: {call.name!r}: adaptive pooling has a rule only to one value, of spikes")
        self._global_pool = call

    def neurons(self, call: Call) -> None:
        layer = self._need(call, "neurons")
        self._pending = dataclasses.replace(layer, neuron=NEURON_RULES[qualified_name(call.module)](call.module))
        self.described.emitters[layer.name] = call.name
        self._signal, self._kind = layer.name, "spike"
        self._close()

    def finish(self) -> None:
        if self._pending is not None:
            self._pending = dataclasses.replace(self._pending, neuron="readout")
            self._close()
        if self._global_pool is not None or not self.described.layers:
            raise InvalidInput("model: no layer with weights was called after the last pooling, or none at all")

    def _need(self, call: Call, what: str) -> sim.Layer:
        if self._pending is None or self._global_pool is not None:
            raise InvalidInput(
                f"model: {what} {call.name!r} does not follow a layer with weights; only what stands between "
                f" a layer's current and its neurons"
            )
        return self._pending

    def _close(self) -> None:
        assert self._pending is not None
        self.described.layers.append(self._pending)
        self._pending = None

    def unchanged(self, call: Call) -> None:
        """Modules that change no value in evaluation mode."""


def qualified_name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _conv2d(module: Any, name: str, in_shape: tuple[int, ...], pooled: bool) -> sim.Layer:
    if pooled:
        raise InvalidInput(f"model: layer {name!r} reads spikes pooled to one value; there is a rule only for Linear")
    if module.padding_mode != "zeros":
        raise InvalidInput(f"model: layer {name!r} pads with {module.padding_mode!r}; there is a rule only for zeros")
    padding: tuple[int, ...] = (0, 0)
    if module.padding == "same":
        totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        padding = tuple(part for total in totals for part in (total // 2, total - total // 2))
    elif module.padding != "valid":
        padding = tuple(module.padding)
    return sim.Conv2d(
        name=name,
        in_shape=in_shape,
        out_channels=module.out_channels,
        kernel_size=tuple(module.kernel_size),
        stride=tuple(module.stride),
        padding=padding,
        dilation=tuple(module.dilation),
        groups=module.groups,
        **_weights(module),
    )


def _linear(module: Any, name: str, in_shape: tuple[int, ...], pooled: bool) -> sim.Layer:
    size = module.out_features
    return sim.Linear(name=name, in_shape=in_shape, out_features=size, pooled=pooled, **_weights(module))


def _weights(module: Any) -> dict[str, Any]:
    binary = isinstance(module, BinaryConv2d | BinaryLinear)
    weight: Tensor = module.weight
    mask = np.ascontiguousarray(weight.detach().cpu().numpy() != 0)
    return {
        "weight_kind": "binary" if binary else "float",
        "nonzero": None if binary or mask.all() else mask,
        "bias": module.bias is not None,
        "channel_vectors": int(module.bias is not None),
    }


def _norse_box(module: Any) -> str:
    method = module.p.reset_method.__name__
    if method not in ("reset_subtract", "reset_value"):
        raise InvalidInput(f"model: norse reset {method!r} has no rule; use reset_subtract or reset_value")
    return "lif_soft" if method == "reset_subtract" else "lif_hard"


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def sample_shape(module: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """The axes of a module's input of one sample at one step: three for maps, one for vectors."""
    axes = {"synapse": 1 if isinstance(module, nn.Linear) else 3, "global_pool": 3}.get(role(module) or "", 1)
    return tuple(shape[len(shape) - axes :]) if len(shape) >= axes else (math.prod(shape),)


SYNAPSES: dict[type[nn.Module], Callable[[Any, str, tuple[int, ...], bool], sim.Layer]] = {
    nn.Conv2d: _conv2d,
    BinaryConv2d: _conv2d,
    nn.Linear: _linear,
    BinaryLinear: _linear,
}
ROLES: dict[str, tuple[type[nn.Module], ...]] = {
    "synapse": tuple(SYNAPSES),
    "norm": (nn.BatchNorm1d, nn.BatchNorm2d),
    "pool": (nn.AvgPool2d,),
    "global_pool": (nn.AdaptiveAvgPool2d,),
    "unchanged": (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d),
}
# qualified class name (so that no framework need be imported) -> row of NEURON_MODELS that a module obeys
NEURON_RULES: dict[str, Callable[[Any], str]] = {
    "norse.torch.module.lif_box.LIFBoxCell": _norse_box,
    f"{Neurons.__module__}.{Neurons.__qualname__}": lambda module: "lif_soft",
}
