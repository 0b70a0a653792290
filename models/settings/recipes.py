"""Recipes: a training as a YAML file, with the shape of its data and what was published beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ...sim.display import brief, lines
from ...sim.errors import InvalidInput
from .config import TrainConfig, config_from_dict

_BESIDE = ("title", "data", "published")


@dataclass(frozen=True)
class DataShape:
    """What a training's cost depends on of its data.

    Attributes
    ----------
    input_shape : tuple of int
        Channels, height, width of one sample at one step.
    classes, training_samples : int
    input_kind : {'spike', 'analog'}
    held_input : bool
        Every step sees the same input.
    """

    input_shape: tuple[int, ...]
    classes: int
    training_samples: int
    input_kind: str = "spike"
    held_input: bool = False


@dataclass(frozen=True)
class Published:
    """What others report of the same training.

    Attributes
    ----------
    accuracy_percent : float or None
        None where no figure is known here.
    source : str
    differs : str
        In what this recipe is, or may be, another training.
    """

    accuracy_percent: float | None
    source: str
    differs: str = ""


@dataclass(frozen=True)
class Recipe:
    """A training from a file; made by `load_recipe`.

    Attributes
    ----------
    title : str
    config : TrainConfig
    data : DataShape or None
        Of the real data, for a dry run without them.
    published : Published or None
    """

    title: str
    config: TrainConfig
    data: DataShape | None = None
    published: Published | None = None

    def __repr__(self) -> str:
        return lines(f"Recipe: {self.title}", *repr(self.config).splitlines(), brief(self.data) if self.data else "")


def load_recipe(name: str | Path) -> Recipe:
    """Read a training from a YAML file, or one of those that come with the package, by name.

    The file is a mapping of `TrainConfig`'s fields (``gate``, ``preprocessing`` and ``augmentation`` are mappings of
    their own), and may hold ``title``, ``data`` (fields of `DataShape`) and ``published`` (fields of `Published`).

    Raises
    ------
    InvalidInput
        If the file cannot be read, a key is not known, or a value cannot be used; the message names file and key.

    Examples
    --------
    >>> load_recipe("agmm_cifar10_resnet19").config.steps
    2
    """
    import yaml

    path: Any = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = files("spikejoule").joinpath("configs", f"{name}.yaml")
    if not path.is_file():
        raise InvalidInput(
            f"recipe {str(name)!r} is not known; give the path of a .yaml file, or one of {', '.join(recipe_names())}"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{name}: cannot be read as YAML ({error})") from error
    if not isinstance(content, dict):
        raise InvalidInput(f"{name}: holds no mapping of fields; write for example `steps: 4`")
    if str(content.get("schema", "")).startswith("spikejoule.ablation"):
        raise InvalidInput(f"{name}: is an ablation, not one training; use spikejoule ablate")
    try:
        config = config_from_dict({key: value for key, value in content.items() if key not in _BESIDE})
        data, published = (_part(content, key, kind) for key, kind in (("data", DataShape), ("published", Published)))
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error}") from error
    return Recipe(str(content.get("title", path.name)), config, data, published)


def recipe_names() -> list[str]:
    """Names of the trainings that come with the package: configs/ but for ablations and learning rates."""
    folder = files("spikejoule").joinpath("configs")
    stems = (each.name.removesuffix(".yaml") for each in folder.iterdir())
    return sorted(stem for stem in stems if stem != "learning_rates" and not stem.startswith("ablate_"))


def _part(content: Mapping[str, object], key: str, kind: type) -> Any:
    """One of the parts beside the config, None where the file has none."""
    fields = content.get(key)
    if fields is None:
        return None
    known = {field.name: field for field in dataclasses.fields(kind)}
    missing = [name for name, field in known.items() if field.default is dataclasses.MISSING]
    if not isinstance(fields, Mapping) or set(fields) - set(known) or set(missing) - set(fields):
        raise InvalidInput(f"{key} must be a mapping with {', '.join(missing)} and nothing but {', '.join(known)}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
