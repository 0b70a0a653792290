"""Traces to plain arrays and npz files, and back: for tools that know nothing of this package."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..files import replacing
from ..network.workload import Workload, workload_from_dict, workload_to_dict
from .chunking import DEFAULT_MEMORY, MIB
from .manifest import read_workload
from .packing import Recorded
from .spike_trace import SpikeTrace
from .trace_writer import TraceWriter

MAX_WORKLOAD_BYTES = 4 * 2**20
Members = dict[str, NDArray[Any]]  # of an npz file, of any dtype until they are checked


def export_arrays(trace: SpikeTrace) -> dict[str, Recorded]:
    """Every signal as a dense array ``(steps, samples, *shape)``, with ``labels`` and ``predictions`` where recorded.

    Held in memory at once: for traces larger than that, use `SpikeTrace.read` by `SpikeTrace.chunks`. Of an analog
    signal a trace keeps only where it is not zero, so its array is boolean.
    """
    arrays = {name: trace.read(name) for name in trace.workload.signals}
    marks = {"labels": trace.labels, "predictions": trace.predictions}
    return arrays | {name: values for name, values in marks.items() if values is not None}


def import_arrays(
    path: str | os.PathLike[str],
    workload: Workload,
    signals: Mapping[str, ArrayLike],
    labels: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
    *,
    provenance: Mapping[str, object] | None = None,
    overwrite: bool = False,
) -> SpikeTrace:
    """Write dense arrays ``(steps, samples, *shape)``, one per signal of the workload, as a trace.

    Memory-mapped arrays are read piece by piece.
    """
    steps = np.shape(signals["input"])[0] if "input" in signals and np.ndim(signals["input"]) else 1
    with TraceWriter(path, workload, steps, provenance=provenance, overwrite=overwrite) as writer:
        writer.append(signals, labels, predictions)
    return SpikeTrace.open(path)


def export_npz(trace: SpikeTrace, file: str | os.PathLike[str]) -> None:
    """Write a trace as a compressed npz file.

    It holds ``signals/<name>``, ``labels`` and ``predictions`` as `export_arrays` gives them, ``nonzero/<layer>`` for
    zero-weight maps, and ``workload`` and ``provenance`` as JSON in UTF-8 bytes. Nothing is pickled.
    """
    members: dict[str, Recorded] = {}
    for name, values in export_arrays(trace).items():
        members[name if name in ("labels", "predictions") else f"signals/{name}"] = values
    for layer in trace.workload.layers:
        if layer.nonzero is not None:
            members[f"nonzero/{layer.name}"] = layer.nonzero
    for name, data in (("workload", workload_to_dict(trace.workload)), ("provenance", dict(trace.provenance))):
        members[name] = np.frombuffer(json.dumps(data).encode(), np.uint8)
    with replacing(Path(file)) as temporary, temporary.open("wb") as target:
        np.savez_compressed(target, allow_pickle=False, **members)


def import_npz(
    file: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    memory: int = DEFAULT_MEMORY,
) -> SpikeTrace:
    """Write a trace from an npz file as `export_npz` makes it; the trace hash is that of the trace it came from.

    Raises
    ------
    InvalidInput
        If the file is damaged, lacks something, contradicts the declared kinds, or exceeds the memory setting.
    """
    members = _read_npz(file, memory)
    where = f"npz file {os.fspath(file)}"
    data, provenance = (_json_of(members, name, where) for name in ("workload", "provenance"))
    masks = {name.partition("/")[2]: values for name, values in members.items() if name.startswith("nonzero/")}
    read_workload(data, where)
    workload = workload_from_dict(data, masks)
    signals = {name.partition("/")[2]: values for name, values in members.items() if name.startswith("signals/")}
    return import_arrays(
        path,
        workload,
        signals,
        members.get("labels"),
        members.get("predictions"),
        provenance=provenance,
        overwrite=overwrite,
    )


def _json_of(members: Members, name: str, where: str) -> dict[str, object]:
    values = members.get(name)
    if values is None or values.dtype != np.uint8 or values.ndim != 1 or values.size > MAX_WORKLOAD_BYTES:
        raise InvalidInput(f"{where}: member {name!r} is missing or no JSON text; export it from a trace")
    try:
        data = json.loads(values.tobytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: member {name!r} is not readable as JSON ({error})") from error
    if not isinstance(data, dict):
        raise InvalidInput(f"{where}: member {name!r} is no JSON object; export it from a trace")
    return data


def _read_npz(file: str | os.PathLike[str], memory: int) -> Members:
    """All arrays of an npz file; what each would take is known, and bounded, before it is read."""
    where = f"npz file {os.fspath(file)}"
    arrays: Members = {}
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if size > memory or len(entries) > 20_000:
                raise InvalidInput(f"{where}: {size} bytes unpacked exceed the memory setting of {memory // MIB} MiB")
            for entry in entries:
                with archive.open(entry) as member:
                    arrays[entry.filename.removesuffix(".npy")] = _read_npy(member, entry.file_size, where)
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f"{where}: cannot be read ({error}); give a whole npz file") from error
    return arrays


def _read_npy(member: IO[bytes], size: int, where: str) -> NDArray[Any]:
    version = np.lib.format.read_magic(member)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise InvalidInput(f"{where}: {member.name} is of npy version {version}; versions 1.0 and 2.0 are read")
    shape, fortran, dtype = readers[version](member)
    count = int(np.prod(shape, dtype=object))
    if dtype.hasobject or min(shape, default=0) < 0 or count * dtype.itemsize != size - member.tell():
        raise InvalidInput(f"{where}: {member.name} declares {dtype} {shape}, which is not what it holds")
    values = np.frombuffer(member.read(count * dtype.itemsize), dtype, count)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
