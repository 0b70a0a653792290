"""The variants of the main job and the controls beside them, by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...sim.errors import InvalidInput
from ..networks.agmm import GateConfig
from .config import TrainConfig

# name -> what distinguishes the variants of the main job
VARIANTS: dict[str, dict[str, object]] = {
    "SNN fp32": {"weight_bits": 32},
    "SNN int8": {"weight_bits": 32, "derived": "int8"},
    "BSNN": {"weight_bits": 1},
    "BSNN + constant gain": {"weight_bits": 1, "gate": GateConfig("constant")},
    "BSNN + AGMM": {"weight_bits": 1, "gate": GateConfig("agmm")},
    "BSNN + AGMM, frozen": {"weight_bits": 1, "gate": GateConfig("agmm"), "derived": "frozen"},
}

# What the main job leaves out: does a gain help full precision as much, is it the data or alpha[t] alone, and do the
# gate's two unpublished options matter?
CONTROLS: dict[str, dict[str, Any]] = {
    "SNN fp32 + constant gain": {"weight_bits": 32, "gate": GateConfig("constant")},
    "SNN fp32 + AGMM": {"weight_bits": 32, "gate": GateConfig("agmm")},
    "BSNN + alpha[t]": {"weight_bits": 1, "gate": GateConfig("alpha")},
    "BSNN + AGMM (detached)": {"weight_bits": 1, "gate": GateConfig("agmm", detach=True)},
    "BSNN + AGMM (sample)": {"weight_bits": 1, "gate": GateConfig("agmm", axes="sample")},
    "BSNN + AGMM (sample, detached)": {"weight_bits": 1, "gate": GateConfig("agmm", axes="sample", detach=True)},
}
ALL_VARIANTS = {**VARIANTS, **CONTROLS}


def variant_config(name: str, base: TrainConfig | None = None) -> TrainConfig:
    """The config of a named variant or control; everything else is taken from ``base``.

    Raises
    ------
    InvalidInput
        If the name is not in `ALL_VARIANTS`.

    Examples
    --------
    >>> variant_config("SNN int8").weight_bits
    32
    """
    if name not in ALL_VARIANTS:
        raise InvalidInput(f"variant {name!r} is not known; use one of {'; '.join(ALL_VARIANTS)}")
    return dataclasses.replace(base or TrainConfig(), **{"gate": None, "derived": None, **ALL_VARIANTS[name]})


def quick(config: TrainConfig) -> TrainConfig:
    """The same variant trained briefly on part of the data: a real result, but a lower accuracy."""
    return dataclasses.replace(config, epochs=5, train_samples=512)
