"""What is trained: `TrainConfig`, the named variants of the main job, and their tuned learning rates."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ..sim.errors import InvalidInput
from .agmm import GateConfig
from .datasets import DATASETS
from .networks import NETWORKS

FORMAT_VERSION = 1  # of the run folder; part of its hash
DERIVED = ("int8", "frozen")
_RATES_FILE = "configs/learning_rates.yaml"


@dataclass(frozen=True)
class TrainConfig:
    """One training, complete: the same config on the same machine gives the same weights bit for bit.

    Attributes
    ----------
    network : str
        A key of `spikejoule.models.networks.NETWORKS`.
    dataset : str
        A key of `spikejoule.models.datasets.DATASETS`.
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
    learning_rate : float or None
        Peak rate of Adam; None takes the variant's tuned rate from configs/learning_rates.yaml.
    threshold, leak : float
        V_th and lambda of the neurons.
    train_samples : int or None
        Train on this many samples (the first ones of the split) only; None for all.
    derived : {None, 'int8', 'frozen'}
        Set on what is derived from the trained run instead of trained (see `spikejoule.models.derive`).
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

    def __post_init__(self) -> None:
        self._check("network", self.network in NETWORKS, "one of " + ", ".join(NETWORKS))
        self._check("dataset", self.dataset in DATASETS, "one of " + ", ".join(DATASETS))
        self._check("weight_bits", self.weight_bits in (1, 32), "1 (binary) or 32 (full precision)")
        self._check("gate", self.gate is None or isinstance(self.gate, GateConfig), "a GateConfig or None")
        for name in ("steps", "epochs", "batch_size"):
            self._check(name, _is_integer(getattr(self, name)) and getattr(self, name) > 0, "an integer from 1")
        # batch norm needs two samples per batch to have a variance
        self._check("batch_size", self.batch_size > 1, "an integer from 2")
        self._check("seed", _is_integer(self.seed) and 0 <= self.seed < 2**31, "an integer from 0 to 2**31 - 1")
        for name in ("width", "threshold"):
            self._check(name, _is_number(getattr(self, name)) and getattr(self, name) > 0, "a positive number")
        self._check("leak", _is_number(self.leak) and 0 <= self.leak < 1, "a number from 0 to below 1")
        rate_ok = self.learning_rate is None or (_is_number(self.learning_rate) and 0 < self.learning_rate <= 1000)
        self._check("learning_rate", rate_ok, "a positive number up to 1000, or None for the tuned one")
        samples_ok = self.train_samples is None or (_is_integer(self.train_samples) and self.train_samples > 1)
        self._check("train_samples", samples_ok, "an integer from 2, or None for all")
        self._check("derived", self.derived in (None, *DERIVED), "None, " + " or ".join(DERIVED))
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

    def resolved(self) -> TrainConfig:
        """This config with its tuned learning rate filled in."""
        if self.learning_rate is not None:
            return self
        base = dataclasses.replace(self, derived=None)
        return dataclasses.replace(self, learning_rate=tuned_rate(self.dataset, base.variant))

    @property
    def hash(self) -> str:
        """16 hex digits over the resolved config and the run format's version: the run folder's name."""
        content = json.dumps({"version": FORMAT_VERSION, **config_to_dict(self.resolved())}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


# name -> what distinguishes the variants of the main job
VARIANTS: dict[str, dict[str, Any]] = {
    "SNN fp32": {"weight_bits": 32},
    "SNN int8": {"weight_bits": 32, "derived": "int8"},
    "BSNN": {"weight_bits": 1},
    "BSNN + constant gain": {"weight_bits": 1, "gate": GateConfig("constant")},
    "BSNN + AGMM": {"weight_bits": 1, "gate": GateConfig("agmm")},
    "BSNN + AGMM, frozen": {"weight_bits": 1, "gate": GateConfig("agmm"), "derived": "frozen"},
}


def variant_config(name: str, base: TrainConfig | None = None) -> TrainConfig:
    """The config of a named variant of the main job; everything else is taken from ``base``.

    Raises
    ------
    InvalidInput
        If the name is not in `VARIANTS`.

    Examples
    --------
    >>> variant_config("SNN int8").weight_bits
    32
    """
    if name not in VARIANTS:
        raise InvalidInput(f"variant {name!r} is not known; use one of {', '.join(VARIANTS)}")
    return dataclasses.replace(base or TrainConfig(), **{"gate": None, "derived": None, **VARIANTS[name]})


def quick(config: TrainConfig) -> TrainConfig:
    """The same variant trained briefly on part of the data: a real result, but a lower accuracy."""
    return dataclasses.replace(config, epochs=5, train_samples=512)


def tuned_rate(dataset: str, variant: str) -> float:
    """The learning rate that configs/learning_rates.yaml holds for a variant on a data set.

    Raises
    ------
    InvalidInput
        If there is none: give `TrainConfig.learning_rate`, or tune.
    """
    table = read_rates()
    source = table["borrowed"].get(dataset, dataset)
    try:
        return float(table["chosen"][source][variant])
    except KeyError:
        raise InvalidInput(
            f"no tuned learning rate for {variant!r} on {dataset!r} in {_RATES_FILE}; set learning_rate, or tune it"
        ) from None


def read_rates() -> dict[str, Any]:
    """The content of configs/learning_rates.yaml: grid, rule, chosen rates and the table they were chosen from."""
    import yaml

    package = __package__.rpartition(".")[0]
    table: dict[str, Any] = yaml.safe_load(files(package).joinpath(_RATES_FILE).read_text(encoding="utf-8"))
    return table


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Plain JSON data."""
    return dataclasses.asdict(config)


def config_from_dict(data: Mapping[str, Any]) -> TrainConfig:
    """The inverse of `config_to_dict`; unknown or impossible fields raise `InvalidInput`."""
    try:
        fields = dict(data)
        if fields.get("gate") is not None:
            fields["gate"] = GateConfig(**fields["gate"])
        return TrainConfig(**fields)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"train config cannot be used: {error}") from error


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
