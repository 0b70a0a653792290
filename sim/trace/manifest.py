"""The manifest of a trace: what is stored, with a digest for everything. No manifest, no trace. See docs/formats.md."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InvalidInput
from ..network.fan_out import words_per_row
from ..network.workload import Workload, workload_from_dict
from .packing import MAX_GRADED_PLANES
from .shards import DIGEST_BYTES, MAX_CHUNK_BYTES, MAX_SLOTS, Grid, StoredArray
from .storage import Store

FORMAT = "spikejoule-trace"
VERSION = 1
MANIFEST = "manifest.json"
PREFIX = re.compile(r"(g[0-9a-f]{12}/)?")
# Limits that keep a hostile manifest from costing memory or time before it is refused.
MAX_MANIFEST_BYTES = 24 * 2**20
MAX_TOKENS = 400_000
MAX_LAYERS = 4096
MAX_STEPS = 2**31 - 1
MAX_SAMPLES = 2**40


@dataclass(frozen=True)
class Manifest:
    """What `read_manifest` found and checked.

    Attributes
    ----------
    hash : str
        Hash of the recorded content: arrays and workload, not times, versions, provenance or file sizes.
    steps, samples : int
    prefix : str
        Folder of the arrays within the trace, with a slash at its end; empty where they lie beside the manifest.
    workload : mapping
        As `workload_to_dict` gives it.
    arrays : mapping of name to StoredArray
    provenance, written_by : mapping
    """

    hash: str
    steps: int
    samples: int
    prefix: str
    workload: Mapping[str, object]
    arrays: Mapping[str, StoredArray]
    provenance: Mapping[str, object]
    written_by: Mapping[str, object]


def trace_hash(steps: int, samples: int, workload: Mapping[str, object], arrays: Iterable[StoredArray]) -> str:
    """SHA-256 over the workload and, array by array in order of name, shape, dtype, chunk grid and chunk digests."""
    head = {"format": FORMAT, "version": VERSION, "steps": steps, "samples": samples, "workload": workload}
    state = hashlib.sha256(_canonical(head))
    for array in sorted(arrays, key=lambda array: array.name):
        entry = [array.name, array.shape, array.grid.dtype, array.grid.chunk]
        state.update(b"\n" + _canonical(entry) + array.digests.encode())
    return state.hexdigest()


def _canonical(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sealed(document: Mapping[str, object]) -> bytes:
    """JSON whose first line is the SHA-256 of all that follows it: an object with ``digest`` as its first member."""
    body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()[1:]
    return b'{"digest":"%s",\n' % hashlib.sha256(body).hexdigest().encode() + body


def manifest_bytes(manifest: Manifest) -> bytes:
    fields = {field.name: getattr(manifest, field.name) for field in dataclasses.fields(manifest)}
    document = {"format": FORMAT, "version": VERSION, **fields}
    document["arrays"] = {name: array_entry(array) for name, array in manifest.arrays.items()}
    return sealed(document)


def array_entry(array: StoredArray) -> dict[str, object]:
    """JSON form of a `StoredArray`."""
    return {
        "shape": array.shape,
        "dtype": array.grid.dtype,
        "chunk": array.grid.chunk,
        "shard": array.grid.shard,
        "digests": array.digests,
        "shard_bytes": array.shard_bytes,
        "metadata": array.metadata,
    }


def unseal(store: Store, key: str, size: int) -> dict[str, Any]:
    """Read a file written by `sealed`, refuse it if it is hostile, foreign, newer or edited, and return its members."""
    where = f"trace {store}: {key}"
    if size > MAX_MANIFEST_BYTES:
        raise InvalidInput(f"{where}: {size} bytes; at most {MAX_MANIFEST_BYTES} are read, so this is no trace of ours")
    data = store.read(key, 0, size)
    if sum(map(data.count, (b",", b"[", b"{", b":"))) > MAX_TOKENS:
        raise InvalidInput(f"{where}: more than {MAX_TOKENS} entries; this is no trace of ours")
    try:
        document = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: not readable as JSON ({error}); the trace is damaged or foreign") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidInput(f"{where}: not the manifest of a {FORMAT}; give a trace that this package recorded")
    version = document.get("version")
    if version != VERSION or isinstance(version, bool):
        hint = "upgrade spikejoule to read it" if isinstance(version, int) and version > VERSION else "record it again"
        raise InvalidInput(f"{where}: format version {version!r}; this spikejoule reads version {VERSION}; {hint}")
    line, _, body = data.partition(b"\n")
    if line != b'{"digest":"%s",' % hashlib.sha256(body).hexdigest().encode():
        raise InvalidInput(f"{where}: it does not match its own digest: edited or damaged; record the trace again")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def read_manifest(store: Store, size: int) -> tuple[Manifest, Workload]:
    """The manifest of a trace and its workload (without zero-weight maps), every field checked.

    Raises
    ------
    InvalidInput
        If it is edited, foreign, of another version, or says anything that a writer would not.
    """
    document = unseal(store, MANIFEST, size)
    where = f"trace {store}: {MANIFEST}"
    names = {field.name for field in dataclasses.fields(Manifest)} | {"digest", "format", "version"}
    _require(set(document) == names, where, "members", sorted(document), f"exactly {', '.join(sorted(names))}")
    steps, samples, prefix = document["steps"], document["samples"], document["prefix"]
    _require(_is_whole(steps, 1, MAX_STEPS), where, "steps", steps, f"an integer from 1 to {MAX_STEPS}")
    _require(_is_whole(samples, 1, MAX_SAMPLES), where, "samples", samples, f"an integer from 1 to {MAX_SAMPLES}")
    ok = isinstance(prefix, str) and PREFIX.fullmatch(prefix) is not None
    _require(ok, where, "prefix", prefix, "empty or 'g', 12 hexadecimal digits and '/'")
    for name in ("provenance", "written_by", "workload", "arrays"):
        _require(isinstance(document[name], dict), where, name, type(document[name]).__name__, "an object")
    workload = read_workload(document["workload"], where)
    arrays = _read_arrays(document["arrays"], workload, steps, samples, where)
    found = trace_hash(steps, samples, document["workload"], arrays.values())
    _require(document["hash"] == found, where, "hash", document["hash"], found)
    manifest = Manifest(
        hash=found,
        steps=steps,
        samples=samples,
        prefix=prefix,
        workload=document["workload"],
        arrays=arrays,
        provenance=document["provenance"],
        written_by=document["written_by"],
    )
    return manifest, workload


def read_workload(data: Mapping[str, object], where: str) -> Workload:
    """A workload from its JSON form; sizes are bounded before anything is computed from them."""
    layers = data.get("layers")
    ok = isinstance(layers, list) and len(layers) <= MAX_LAYERS
    _require(ok, where, "workload.layers", type(layers).__name__, f"a list of at most {MAX_LAYERS} layers")
    open_values: list[object] = [*data.items()]
    while open_values:
        value = open_values.pop()
        if isinstance(value, dict):
            open_values.extend(value.items())
        elif isinstance(value, list | tuple):
            _require(
                value is layers or len(value) <= 16, where, "workload", f"a list of {len(value)}", "at most 16 long"
            )
            open_values.extend(value)
        elif isinstance(value, str):
            _require(len(value) <= 1000, where, "workload", value[:40] + "...", "text of at most 1000 characters")
        elif isinstance(value, int):
            _require(abs(value) < 2**63, where, "workload", "a huge number", "below 2^63")
    try:
        return workload_from_dict(data)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    except (ValueError, ArithmeticError, IndexError) as error:
        raise InvalidInput(f"{where}: workload description is not usable: {error}") from error


def _read_arrays(
    entries: Mapping[str, object], workload: Workload, steps: int, samples: int, where: str
) -> dict[str, StoredArray]:
    wanted = {f"signals/{name}" for name in workload.signals}
    masks = {f"nonzero/{layer.name}": words_per_row(layer.weights) for layer in workload.layers}
    missing = sorted(wanted - set(entries))
    _require(not missing, where, "arrays", f"without {', '.join(missing[:5])}", "one array per signal of the workload")
    foreign = sorted(set(entries) - wanted - set(masks) - {"labels", "predictions"})
    _require(not foreign, where, "arrays", f"with {', '.join(foreign[:5])[:200]}", "only the arrays of format v1")
    arrays = {name: read_array_entry(name, entry, where) for name, entry in entries.items()}
    chunk_samples = {array.grid.chunk[0] for name, array in arrays.items() if name in ("labels", "predictions")}
    for name, (shape, kind) in workload.signals.items():
        array = arrays[f"signals/{name}"]
        size = (steps, samples, words_per_row(math.prod(shape)))
        ok = array.shape[-3:] == size and array.grid.dtype == "uint64" and array.grid.chunk[-1] == size[-1]
        if kind in ("signed_spike", "graded"):
            planes = (2, 2) if kind == "signed_spike" else (1, MAX_GRADED_PLANES)
            ok = ok and len(array.shape) == 4 and planes[0] <= array.shape[0] <= planes[1]
            ok = ok and array.grid.chunk[0] == array.grid.shard[0] == 1
        else:
            ok = ok and len(array.shape) == 3
        _require(ok, where, f"arrays.{array.name}", f"{array.grid.dtype} {array.shape}", f"the layout of {kind} {size}")
        chunk_samples.add(array.grid.chunk[-2])
    for name in ("labels", "predictions"):
        ok = name not in arrays or (arrays[name].shape == (samples,) and arrays[name].grid.dtype == "int64")
        _require(ok, where, f"arrays.{name}", "another layout", f"int64 ({samples},)")
    for name in set(arrays) & set(masks):
        ok = arrays[name].shape == (masks[name],) and arrays[name].grid.dtype == "uint64"
        _require(ok, where, f"arrays.{name}", "another layout", f"uint64 ({masks[name]},)")
    _require(len(chunk_samples) == 1, where, "arrays", f"chunks of {sorted(chunk_samples)} samples", "one chunking")
    return arrays


def read_array_entry(name: str, entry: Any, where: str) -> StoredArray:
    """The inverse of `array_entry`, with every field checked."""
    what = f"arrays.{name}"
    members = {"shape", "dtype", "chunk", "shard", "digests", "shard_bytes", "metadata"}
    _require(isinstance(entry, dict) and set(entry) == members, where, what, "malformed", ", ".join(sorted(members)))
    for field in ("shape", "chunk", "shard"):
        sizes = entry[field]
        ok = isinstance(sizes, list) and 1 <= len(sizes) <= 4 and all(_is_whole(size, 1, MAX_SAMPLES) for size in sizes)
        _require(ok, where, f"{what}.{field}", "malformed", "1 to 4 positive integers")
    shape, chunk, shard = (tuple(entry[field]) for field in ("shape", "chunk", "shard"))
    ok = len(shape) == len(chunk) == len(shard) and math.prod(chunk) * 8 <= MAX_CHUNK_BYTES
    ok = ok and all(s % c == 0 for s, c in zip(shard, chunk, strict=True))
    ok = ok and math.prod(s // c for s, c in zip(shard, chunk, strict=True)) <= MAX_SLOTS
    _require(ok, where, what, f"chunk {chunk} in shard {shard}", f"chunks of at most {MAX_CHUNK_BYTES} bytes in shards")
    _require(entry["dtype"] in ("uint64", "int64"), where, f"{what}.dtype", "unknown", "uint64 or int64")
    grid = Grid(entry["dtype"], chunk, shard)
    digits = 2 * DIGEST_BYTES
    ok = _is_hex(entry["digests"], math.prod(grid.chunks(shape)) * digits) and _is_hex(entry["metadata"], digits)
    _require(ok, where, f"{what}.digests", "malformed", f"{digits} hexadecimal digits for each chunk")
    sizes = entry["shard_bytes"]
    ok = isinstance(sizes, list) and len(sizes) == math.prod(grid.shards(shape))
    ok = ok and all(_is_whole(size, 0, 2**40) for size in sizes)
    _require(ok, where, f"{what}.shard_bytes", "malformed", "one size for each shard")
    return StoredArray(name, shape, grid, entry["digests"], tuple(sizes), entry["metadata"])


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_hex(value: object, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and re.fullmatch("[0-9a-f]*", value) is not None


def _require(ok: bool, where: str, what: str, value: object, allowed: str) -> None:
    if not ok:
        raise InvalidInput(
            f"{where}: {what} is {str(value)[:300]}; it must be {allowed}; the trace is damaged or foreign"
        )
