"""What is trained: `TrainConfig`, what its fields can be, its hash, and its form on file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...sim.display import brief, lines
from ...sim.errors import InvalidInput
from ..data.augmentation import Augmentation
from ..data.datasets import DATASETS, Dataset, Preprocessing, load_dataset
from ..networks.agmm import GateConfig
from ..networks.layouts import NETWORKS, RESIDUALS
from .learning_rates import tuned_rate

# Of the run folder; part of its hash. The hash covers only the fields that differ from their default, so that a new
# field leaves every hash as it is, and so that CHANGING A DEFAULT NEEDS A NEW VERSION.
FORMAT_VERSION = 2
DERIVED = ("int8", "frozen")
OPTIMISERS = ("adam", "sgd", "adamw")
PRECISIONS = ("no", "bf16", "fp16")
PENALTIES = ("mean", "hinge", "operations")


@dataclass(frozen=True)
class TrainConfig:
    """One training, complete: the same config on the same machine's CPU gives the same weights bit for bit.

    Attributes
    ----------
    network : str
        A key of `NETWORKS`.
    dataset : str
        A key of `DATASETS`.
    steps : int
        Time steps T.
    weight_bits : {1, 32}
        1: binary between the first convolution and the classifier; 32: full precision.
    gate : GateConfig or None
        Gate on every current before the neurons.
    seed : int
        Of initial weights and the order of the training samples; the split of the data does not depend on it.
    width : float
        Factor on the number of channels.
    epochs, batch_size : int
        ``batch_size`` samples make one optimiser step, on however many devices and in however many parts.
    learning_rate : float or None
        Peak rate; None takes the variant's tuned rate from configs/learning_rates.yaml (tuned for Adam).
    threshold, leak : float
        V_th and lambda of the neurons.
    train_samples : int or None
        Train on this many samples (the first ones of the split) only; None for all.
    derived : {None, 'int8', 'frozen'}
        Set on what is derived from the trained run instead of trained (see `models.training.derive_variants`).
    fold : int or None
        Which fold of the data is the test part; None for the data set's one fixed split.
    residual : {'current', 'graded', 'and', 'or'}
        How networks with skip paths join them (see `NetworkConfig`).
    preprocessing : Preprocessing or None
        Of the data set; None for its own.
    augmentation : Augmentation or None
        Of the training samples.
    optimiser : {'adam', 'sgd', 'adamw'}
    momentum : float
        Of 'sgd' only.
    weight_decay : float
        L2 penalty ('adam', 'sgd') or decoupled decay ('adamw') on the weights of convolutions and classifier; never
        on biases, batch norm or gates.
    warm_up : float
        Part of all optimiser steps during which the rate rises linearly; then it falls to nought as a cosine.
    label_smoothing : float
        Part of the target spread evenly over the classes.
    clip_norm : float or None
        Gradients are scaled down to this norm over all parameters.
    patience : int or None
        Stop after this many epochs without a better validation accuracy (ties: lower validation loss), and keep the
        weights of the best epoch, stopped or not. None trains to the end and keeps the last. Test data play no part.
    precision : {'no', 'bf16', 'fp16'}
        Mixed precision of the training's forward pass, potentials included; evaluation is always float32. 'fp16' needs
        a GPU.
    accumulate : int
        Parts in which each batch is computed, to save memory; batch norm's statistics are those of a part.
    rate_penalty : float
        Weight of the penalty on firing rates in the loss (see `rate_penalty`).
    penalty : {'mean', 'hinge', 'operations'}
    rate_target : float, or mapping of population to float
        Of 'hinge': the spikes per neuron and step that cost nothing, for every population or for those named; the
        others are then free.
    warm_start : str or None
        Hash of a run of the same shapes, in the same folder, whose weights are the start.
    """

    network: str = "csnn"
    dataset: str = "digits-events"
    steps: int = 10
    weight_bits: int = 1
    gate: GateConfig | None = None
    seed: int = 0
    width: float = 1.0
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float | None = None
    threshold: float = 1.0
    leak: float = 0.5
    train_samples: int | None = None
    derived: str | None = None
    fold: int | None = None
    residual: str = "current"
    preprocessing: Preprocessing | None = None
    augmentation: Augmentation | None = None
    optimiser: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    warm_up: float = 0.1
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    precision: str = "no"
    accumulate: int = 1
    rate_penalty: float = 0.0
    penalty: str = "mean"
    rate_target: float | Mapping[str, float] | tuple[tuple[str, float], ...] = 0.0
    warm_start: str | None = None

    def __repr__(self) -> str:
        return lines(
            f"TrainConfig of {self.variant}: {self.network} on {self.dataset}, {self.steps} steps, seed {self.seed}",
            brief(self),
        )

    def __post_init__(self) -> None:
        for name, kind in _PARTS.items():
            value = getattr(self, name)
            self._check(name, value is None or isinstance(value, kind), f"of class {kind.__name__}, or None")
        for name, (ok, allowed) in _ALLOWED.items():
            value = getattr(self, name)
            self._check(name, ok(value), allowed)
            if isinstance(value, int) and name in _FLOATS:  # 1 and 1.0 are the same config and have the same hash
                object.__setattr__(self, name, float(value))
        # hashable, and the same in whatever order it was given
        pairs = self.rate_target.items() if isinstance(self.rate_target, Mapping) else self.rate_target
        if not isinstance(pairs, float):
            object.__setattr__(self, "rate_target", tuple(sorted((str(name), float(rate)) for name, rate in pairs)))
        if self.penalty != "hinge":
            other = f"left out with penalty {self.penalty!r}; penalty 'hinge' has one"
            self._check("rate_target", self.rate_target == 0, other)
        if self.derived == "int8":
            self._check("derived", self.weight_bits == 32, "used on a full-precision network (weight_bits=32)")
        if self.derived == "frozen":
            self._check(
                "derived", self.gate is not None and self.gate.kind == "agmm", "used on a network with an AGMM gate"
            )

    def _check(self, name: str, ok: bool, allowed: str) -> None:
        if not ok:
            raise InvalidInput(f"train config: {name} is {getattr(self, name)!r}; it must be {allowed}")

    @property
    def variant(self) -> str:
        """The name that tables and figures use, such as "BSNN + AGMM, frozen"."""
        name = {1: "BSNN", 32: "SNN fp32"}[self.weight_bits]
        if self.derived == "int8":
            name = "SNN int8"
        if self.gate is not None:
            name += " + " + {"agmm": "AGMM", "constant": "constant gain", "alpha": "alpha[t]"}[self.gate.kind]
            options = [self.gate.axes] * (self.gate.axes != "channel") + ["detached"] * self.gate.detach
            name += f" ({', '.join(options)})" if options else ""
        return name + ", frozen" * (self.derived == "frozen")

    @property
    def rate_targets(self) -> float | dict[str, float]:
        """`rate_target` as one figure for every population, or by population."""
        return self.rate_target if isinstance(self.rate_target, float) else dict(self.rate_target)

    def resolved(self) -> TrainConfig:
        """This config with its tuned learning rate filled in."""
        if self.learning_rate is not None:
            return self
        if self.optimiser != "adam":
            raise InvalidInput(
                f"train config: the tuned learning rates are Adam's, not those of {self.optimiser!r}; set learning_rate"
            )
        base = dataclasses.replace(self, derived=None)
        return dataclasses.replace(self, learning_rate=tuned_rate(self.dataset, base.variant))

    @property
    def hash(self) -> str:
        """16 hex digits: the run folder's name. Of the resolved config's fields that are not at their default."""
        content = json.dumps({"version": FORMAT_VERSION, **_changed(self.resolved())}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def _changed(value: Any) -> dict[str, object]:
    fields = ((field, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {f.name: _changed(v) if dataclasses.is_dataclass(v) else v for f, v in fields if v != f.default}


def config_data(config: TrainConfig) -> Dataset:
    """The data set that a config trains, validates and tests on."""
    return load_dataset(config.dataset, config.steps, fold=config.fold, preprocessing=config.preprocessing)


def config_to_dict(config: TrainConfig) -> dict[str, object]:
    """Plain JSON data."""
    return {**dataclasses.asdict(config), "rate_target": config.rate_targets}


def config_from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """The inverse of `config_to_dict`; unknown or impossible fields raise `InvalidInput`."""
    fields = dict(data)
    _refuse_unknown(fields, TrainConfig, "")
    for name, kind in _PARTS.items():
        if isinstance(fields.get(name), Mapping):
            _refuse_unknown(fields[name], kind, f"{name}.")
            fields[name] = kind(**fields[name])
    return TrainConfig(**fields)


def _refuse_unknown(data: Mapping[str, object], kind: type, where: str) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = [str(name) for name in data if name not in known]
    if unknown:
        raise InvalidInput(f"train config: {where}{unknown[0]} is not known; use any of {', '.join(known)}")


Check = Callable[[Any], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _integer(low: int, high: int = 2**31 - 1) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(ok: Check) -> Check:
    return lambda value: _is_number(value) and ok(value)


def _or_none(ok: Check) -> Check:
    return lambda value: value is None or ok(value)


def _is_target(value: Any) -> bool:
    if isinstance(value, Mapping | tuple):
        pairs = value.items() if isinstance(value, Mapping) else value
        return bool(value) and all(isinstance(name, str) and _is_target(rate) for name, rate in pairs)
    return _is_number(value) and 0 <= value <= 1


_POSITIVE = (_number(lambda value: value > 0), "a positive number")
_NOT_NEGATIVE = (_number(lambda value: value >= 0), "a number from 0")
_BELOW_ONE = (_number(lambda value: 0 <= value < 1), "a number from 0 to below 1")
_FROM_ONE = (_integer(1), "an integer from 1")

_PARTS: dict[str, type] = {"gate": GateConfig, "preprocessing": Preprocessing, "augmentation": Augmentation}

# field -> (whether a value can be used, what can be used)
_ALLOWED: dict[str, tuple[Check, str]] = {
    "network": (lambda value: value in NETWORKS, "one of " + ", ".join(NETWORKS)),
    "dataset": (lambda value: value in DATASETS, "one of " + ", ".join(DATASETS)),
    "steps": _FROM_ONE,
    "weight_bits": (lambda value: value in (1, 32), "1 (binary) or 32 (full precision)"),
    "seed": (_integer(0), "an integer from 0 to 2**31 - 1"),
    "width": _POSITIVE,
    "epochs": _FROM_ONE,
    "batch_size": (_integer(2), "an integer from 2"),  # batch norm needs two samples to have a variance
    "learning_rate": (
        _or_none(_number(lambda value: 0 < value <= 1000)),
        "a positive number up to 1000, or None for the tuned one",
    ),
    "threshold": _POSITIVE,
    "leak": _BELOW_ONE,
    "train_samples": (_or_none(_integer(2)), "an integer from 2, or None for all"),
    "derived": (lambda value: value in (None, *DERIVED), "None, " + " or ".join(DERIVED)),
    "fold": (_or_none(_integer(0)), "an integer from 0, or None for the fixed split"),
    "residual": (lambda value: value in RESIDUALS, "one of " + ", ".join(RESIDUALS)),
    "optimiser": (lambda value: value in OPTIMISERS, "one of " + ", ".join(OPTIMISERS)),
    "momentum": _BELOW_ONE,
    "weight_decay": _NOT_NEGATIVE,
    "warm_up": (_number(lambda value: 0 <= value <= 1), "a number from 0 to 1"),
    "label_smoothing": _BELOW_ONE,
    "clip_norm": (_or_none(_POSITIVE[0]), "a positive number or None"),
    "patience": (_or_none(_integer(1)), "an integer from 1, or None to train to the end"),
    "precision": (lambda value: value in PRECISIONS, "one of " + ", ".join(PRECISIONS)),
    "accumulate": _FROM_ONE,
    "rate_penalty": _NOT_NEGATIVE,
    "penalty": (lambda value: value in PENALTIES, "one of " + ", ".join(PENALTIES)),
    "rate_target": (_is_target, "a number from 0 to 1, or a mapping of populations to such numbers"),
    "warm_start": (_or_none(lambda value: isinstance(value, str) and value != ""), "the hash of a run, or None"),
}
_FLOATS = {"width", "learning_rate", "threshold", "leak", "momentum", "weight_decay", "warm_up", "label_smoothing"}
_FLOATS |= {"clip_norm", "rate_penalty", "rate_target"}
