"""Replay parameters beside a trace (``parameters.safetensors``), so that a network runs again without its framework."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..files import replacing
from ..network.layers import Layer
from ..network.workload import Workload, workload_to_dict
from .parameters import LayerParameters, Prepared, Real
from .populations import Population, feeding, stages

PARAMETERS = "parameters.safetensors"
FORMAT, VERSION = "spikejoule-parameters", "1"
FIELDS = tuple(f.name for f in fields(LayerParameters))
OPTIONAL = ("gain",)
COMPACT = (",", ":")
AGAIN = "record the run again"


def save_parameters(
    path: str | Path,
    workload: Workload,
    parameters: Mapping[str, LayerParameters],
    steps: int,
    origin: Mapping[str, str] | None = None,
) -> Path:
    """Write the parameters of every layer that feeds neurons, under a temporary name until the file is whole.

    Parameters
    ----------
    path : path
    workload : Workload
    parameters : mapping of layer name to LayerParameters
    steps : int
        Of the traces that they belong to.
    origin : mapping of str to str, optional
        Kept in the file's metadata, such as the run's hash.

    Raises
    ------
    InvalidInput
        If they do not fit the workload, are not finite, or the file cannot be written.
    """
    from safetensors.numpy import save_file

    path = Path(path)
    _check(workload, parameters, steps, f"parameters {path}")
    tensors: dict[str, NDArray[Any]] = {}
    for layer in feeding(workload):
        for name in FIELDS:
            value = getattr(parameters[layer.name], name)
            if value is not None:
                tensors[f"{layer.name}/{name}"] = _stored(layer, name, value)
    about = {"format": FORMAT, "version": VERSION, "workload": _workload_digest(workload), "steps": str(steps)}
    metadata = {**(origin or {}), **about, "content": _content_digest(tensors)}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return path


def load_parameters(path: str | Path, workload: Workload, steps: int) -> dict[str, LayerParameters]:
    """Read the parameters that belong to a trace.

    Parameters
    ----------
    path : path
        ``parameters.safetensors`` of a run folder.
    workload : Workload
        Of the trace, zero-weight maps included.
    steps : int
        Of the trace.

    Returns
    -------
    dict of layer name to LayerParameters, float64

    Raises
    ------
    InvalidInput
        No such file; truncated, edited, or of another format or version; parameters of another network; layers
        missing or unknown, wrong shapes, numbers that are not finite, weights that are zero elsewhere than in the
        workload.
    """
    path = Path(path)
    where = f"parameters {path}"
    tensors, about = _read(path, where)
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise InvalidInput(
            f"{where}: format {about.get('format')!r} version {about.get('version')!r} is not {FORMAT!r} version "
            f"{VERSION!r}, the one known here; {AGAIN}"
        )
    if about.get("workload") != _workload_digest(workload) or about.get("steps") != str(steps):
        raise InvalidInput(f"{where}: belong to another network or number of steps than the trace; {AGAIN}")
    if about.get("content") != _content_digest(tensors):
        raise InvalidInput(f"{where}: the file was edited or damaged; {AGAIN}")
    result = {layer.name: _layer(layer, tensors, where) for layer in feeding(workload)}
    if tensors:
        raise InvalidInput(f"{where}: holds {', '.join(sorted(tensors))}, which the trace's network has not; {AGAIN}")
    _check(workload, result, steps, where)
    return result


def _read(path: Path, where: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  # no dict
    except FileNotFoundError as error:
        raise InvalidInput(
            f"{where}: there is no such file. Runs of this package's networks get one when they are recorded; of any "
            f"other network, give LayerParameters yourself"
        ) from error
    except (OSError, SafetensorError) as error:
        raise InvalidInput(f"{where}: cannot be read ({error}): truncated or no safetensors file; {AGAIN}") from error


def _layer(layer: Layer, tensors: dict[str, NDArray[Any]], where: str) -> LayerParameters:
    """One layer's parameters, taken out of ``tensors``."""
    found = {name: tensors.pop(f"{layer.name}/{name}", None) for name in FIELDS}
    missing = [name for name, value in found.items() if value is None and name not in OPTIONAL]
    if missing:
        raise InvalidInput(f"{where}: layer {layer.name!r} lacks {', '.join(missing)}; {AGAIN}")
    values: dict[str, Any] = {name: value.astype(np.float64) for name, value in found.items() if value is not None}
    if values["reset"].shape != ():
        raise InvalidInput(f"{where}: layer {layer.name!r}: reset is {values['reset'].shape}; it must be one number")
    return LayerParameters(**values | {"reset": float(values["reset"])})


def _check(workload: Workload, parameters: Mapping[str, LayerParameters], steps: int, where: str) -> None:
    """Shapes and finite numbers as the replay checks them, and zero weights as the workload has them."""
    try:
        for stage in stages(workload):
            if isinstance(stage, Population):
                Prepared.prepare(stage, parameters, Real(), steps)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    for layer in feeding(workload):
        nonzero = np.asarray(parameters[layer.name].weights) != 0
        if layer.weights and not (nonzero == (True if layer.nonzero is None else layer.nonzero)).all():
            raise InvalidInput(f"{where}: weights of layer {layer.name!r} are zero elsewhere than in the trace")


def _stored(layer: Layer, name: str, value: Any) -> NDArray[Any]:
    """float64, but one byte per weight where weights are small integers."""
    values = np.asarray(value, np.float64, order="C")
    small = name == "weights" and layer.weight_kind != "float"
    if small and (values == np.rint(values)).all() and np.abs(values).max(initial=0) <= 127:
        return values.astype(np.int8)
    return values


def _workload_digest(workload: Workload) -> str:
    return hashlib.sha256(
        json.dumps(workload_to_dict(workload), sort_keys=True, separators=COMPACT).encode()
    ).hexdigest()


def _content_digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and bytes, in order of name: safetensors files have no checksum."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name]
        digest.update(
            json.dumps([name, values.dtype.name, values.shape], separators=COMPACT).encode() + b"\n" + values.tobytes()
        )
    return digest.hexdigest()
