"""How far each accelerator was set against silicon: validation.yaml, which ``benchmarks/validation.py`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import ClassVar, Literal

from ..machines.accelerator import Accelerator, accelerator_names, load_accelerator
from ..machines.prices import FORBID_UNKNOWN
from ..machines.yaml_files import parse_yaml, validate

NO_FILE = "not an accelerator of this package, or changed since: nothing was compared with it"


@dataclass(frozen=True, kw_only=True)
class Band:
    """Predicted over measured, from the lowest to the highest ratio of its measurements.

    Attributes
    ----------
    predicted : str
        Which of the numbers: events, static power x time, or both together; and what had to be assumed.
    measured : str
        What was measured; a *dynamic* energy says which idle it subtracts.
    low, high : float
    measurements : int
    cases : mapping of network to source
    """

    predicted: str
    measured: str
    low: float
    high: float
    measurements: int
    cases: Mapping[str, str]

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What an accelerator models, what it does not, and how its predictions compare with measurements.

    Attributes
    ----------
    modelled, not_modelled : str
    verdict : str
        In one line; where there is no band, why not.
    bands : tuple of Band
    """

    modelled: str
    not_modelled: str
    verdict: str
    bands: tuple[Band, ...] = ()

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


@dataclass(frozen=True, kw_only=True)
class _File:
    schema: Literal["spikejoule.validation/1"]
    accelerators: dict[str, Validation]

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN


def validation(accelerator: Accelerator) -> Validation:
    """What is known of an accelerator against silicon.

    A machine that differs from the shipped one of its name, or has none, was never compared with anything.

    Examples
    --------
    >>> validation(load_accelerator("sop-45nm")).bands
    ()
    """
    shipped = accelerator.name in accelerator_names() and load_accelerator(accelerator.name) == accelerator
    known = _known().get(accelerator.name) if shipped else None
    return Validation(modelled="", not_modelled="", verdict=f"none: {NO_FILE}") if known is None else known


@cache
def _known() -> Mapping[str, Validation]:
    path = resources.files("spikejoule.energy") / "validation.yaml"
    return validate(_File, parse_yaml(path), "validation.yaml").accelerators
