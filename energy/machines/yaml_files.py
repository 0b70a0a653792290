"""Reading YAML files and checking them against dataclasses, with errors that name the file and the offending key."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from ...sim.errors import InvalidInput

T = TypeVar("T")
LARGEST_FILE_BYTES = 1_000_000


def parse_yaml(path: Path | Traversable) -> dict[str, object]:
    """The mapping in a YAML file, by the safe loader; duplicate keys are refused."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[object, object]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    line = node.start_mark.line + 1
                    raise InvalidInput(f"{path}: key {key!r} is given twice in the mapping at line {line}; keep one")
            return super().construct_mapping(node, deep)

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}") from error
    if len(text) > LARGEST_FILE_BYTES:
        raise InvalidInput(f"{path}: is larger than {LARGEST_FILE_BYTES} characters; such files are a few kilobytes")
    try:
        data = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{path}: holds {type(data).__name__}; it must be a mapping of keys to values")
    return data


def validate(kind: type[T], data: object, where: str) -> T:
    """Build a dataclass from plain data with pydantic; unknown keys, wrong types and bad values are refused."""
    from pydantic import TypeAdapter, ValidationError

    try:
        result: T = TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        raise InvalidInput(f"{where}: {'; '.join(_describe(problem) for problem in error.errors())}") from error
    return result


def _describe(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"] if not str(part).startswith("function-"))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        message = "unknown key; remove it or correct its spelling"
    elif problem["type"] == "missing":
        message = "is missing; add it"
    else:
        message += f" (it is {problem['input']!r:.60})"
    return f"{path}: {message}" if path else message
