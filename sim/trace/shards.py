"""The stored form of one array: Zarr v3, chunks of zstd in shards, and a digest per chunk (docs/formats.md).

Written here rather than through the zarr package because each chunk must be bounded before it is decompressed (a bomb
is refused by its header), checked against its digest, and written without threads that outlive Ctrl-C; it also costs a
fifth of the time. Any Zarr v3 reader opens the result: the tests read it with zarr.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from .storage import Store

Index = tuple[int, ...]
Items = NDArray[np.uint64 | np.int64]  # of a stored array: packed words, or labels
DIGEST_BYTES = 16
ZSTD_LEVEL = 1  # better and faster than 3 on packed spikes (docs/formats.md, measured)
MAX_CHUNK_BYTES = 64 * 2**20
MAX_SLOTS = 4096  # chunks in one shard
EMPTY = 2**64 - 1  # offset and length of a chunk that a shard does not hold
ITEM_BYTES = 8  # every array holds 64-bit words


@dataclass(frozen=True)
class Grid:
    """How an array is cut: chunks (decompressed and digested whole) in shards (files)."""

    dtype: str
    chunk: Index
    shard: Index

    @property
    def chunk_bytes(self) -> int:
        return math.prod(self.chunk) * ITEM_BYTES

    @property
    def per_shard(self) -> Index:
        return tuple(shard // chunk for shard, chunk in zip(self.shard, self.chunk, strict=True))

    def chunks(self, shape: Index) -> Index:
        """Number of chunks along each axis of an array of this shape."""
        return tuple(-(-size // chunk) for size, chunk in zip(shape, self.chunk, strict=True))

    def shards(self, shape: Index) -> Index:
        """Number of shards along each axis."""
        return tuple(-(-size // shard) for size, shard in zip(shape, self.shard, strict=True))

    def place(self, chunk: Index) -> tuple[Index, int]:
        """The shard of a chunk, and its slot in the shard's index."""
        slot = 0
        for position, per in zip(chunk, self.per_shard, strict=True):
            slot = slot * per + position % per
        return tuple(c // per for c, per in zip(chunk, self.per_shard, strict=True)), slot


@dataclass(frozen=True)
class StoredArray:
    """What the manifest says of one array.

    Attributes
    ----------
    name : str
        Where it lies: ``signals/<signal>``, ``nonzero/<layer>``, ``labels`` or ``predictions``.
    shape : tuple of int
    grid : Grid
    digests : str
        One digest per chunk, in C order of the chunk grid, as hexadecimal digits without a separator.
    shard_bytes : tuple of int
        Size of every shard file, in C order.
    metadata : str
        Digest of its ``zarr.json``.
    """

    name: str
    shape: Index
    grid: Grid
    digests: str
    shard_bytes: tuple[int, ...]
    metadata: str

    @property
    def nbytes(self) -> int:
        """Bytes when decompressed."""
        return math.prod(self.shape) * ITEM_BYTES

    def digest(self, chunk: Index) -> str:
        start = _ravel(chunk, self.grid.chunks(self.shape)) * 2 * DIGEST_BYTES
        return self.digests[start : start + 2 * DIGEST_BYTES]

    def shard_size(self, shard: Index) -> int:
        return self.shard_bytes[_ravel(shard, self.grid.shards(self.shape))]

    def shard_keys(self) -> list[str]:
        """Its shard files, in C order."""
        return [shard_key(self.name, index) for index in np.ndindex(*self.grid.shards(self.shape))]


def _ravel(index: Index, sizes: Index) -> int:
    result = 0
    for position, size in zip(index, sizes, strict=True):
        result = result * size + position
    return result


def shard_key(name: str, shard: Sequence[int]) -> str:
    """File of a shard, relative to the trace: Zarr's default chunk key."""
    return "/".join([name, "c", *map(str, shard)])


def digest(data: bytes | memoryview) -> str:
    return hashlib.sha256(data).hexdigest()[: 2 * DIGEST_BYTES]


def chunk_digest(name: str, chunk: Index, grid: Grid, words: Items) -> str:
    """Digest of a decompressed chunk; binds array name, chunk index, chunk shape and dtype to the content."""
    state = hashlib.sha256(json.dumps([name, chunk, grid.chunk, grid.dtype], separators=(",", ":")).encode() + b"\n")
    state.update(np.ascontiguousarray(words).data)
    return state.hexdigest()[: 2 * DIGEST_BYTES]


def encode_chunk(words: Items) -> bytes:
    """One whole chunk as a zstd frame."""
    from numcodecs.zstd import Zstd  # type: ignore[import-untyped]  # numcodecs ships no types

    encoded: bytes = Zstd(level=ZSTD_LEVEL).encode(np.ascontiguousarray(words))
    return encoded


def join_shard(chunks: Mapping[int, bytes], slots: int) -> bytes:
    """A shard file: its chunks one after the other, then the index of (offset, length) per slot."""
    index = np.full((slots, 2), EMPTY, "<u8")
    offset = 0
    for slot, data in sorted(chunks.items()):
        index[slot] = offset, len(data)
        offset += len(data)
    return b"".join([*(data for _, data in sorted(chunks.items())), index.tobytes()])


def array_metadata(shape: Index, grid: Grid) -> bytes:
    """The ``zarr.json`` of an array."""
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    zstd = {"name": "zstd", "configuration": {"level": ZSTD_LEVEL, "checksum": False}}
    sharding = {"chunk_shape": grid.chunk, "codecs": [little, zstd], "index_codecs": [little], "index_location": "end"}
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": grid.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": grid.shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "storage_transformers": [],
    }
    return json.dumps(document, indent=2).encode()


GROUP_METADATA = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}, indent=2).encode()


def read_chunks(
    store: Store, prefix: str, array: StoredArray, region: Sequence[slice]
) -> Iterator[tuple[Index, Items]]:
    """(chunk index, decompressed chunk) of every chunk that meets a region, each checked against its digest.

    Parameters
    ----------
    region : one slice with start and stop per axis, within the array

    Raises
    ------
    InvalidInput
        If a shard is missing, truncated or edited.
    """
    axes = [
        range(part.start // size, -(-part.stop // size)) if part.stop > part.start else range(0)
        for part, size in zip(region, array.grid.chunk, strict=True)
    ]
    known: tuple[Index | None, NDArray[np.uint64]] = (None, np.empty((0, 2), np.uint64))
    for chunk in itertools.product(*axes):
        shard, slot = array.grid.place(chunk)
        key = prefix + shard_key(array.name, shard)
        if shard != known[0]:
            known = shard, _read_index(store, key, array, shard)
        offset, length = (int(value) for value in known[1][slot])
        room = array.shard_size(shard) - known[1].nbytes
        if length > room or offset > room - length:
            raise damaged(store, key, f"its index places chunk {chunk} outside the file")
        data = store.read(key, offset, length)
        yield chunk, _decode(store, key, array, chunk, data)


def _read_index(store: Store, key: str, array: StoredArray, shard: Index) -> NDArray[np.uint64]:
    size = store.sizes([key])[0]
    expected = array.shard_size(shard)
    slots = math.prod(array.grid.per_shard)
    if size is None:
        raise damaged(store, key, "it is missing")
    if size != expected or size < 16 * slots:
        raise damaged(store, key, f"it has {size} bytes, the manifest says {expected}")
    data = store.read(key, size - 16 * slots, 16 * slots)
    if len(data) != 16 * slots:
        raise damaged(store, key, "it ends early")
    return np.frombuffer(data, "<u8").reshape(slots, 2)


def _decode(store: Store, key: str, array: StoredArray, chunk: Index, data: bytes) -> Items:
    from numcodecs.zstd import Zstd

    if zstd_content_size(data) != array.grid.chunk_bytes:  # also what keeps a decompression bomb out of memory
        raise damaged(store, key, f"chunk {chunk} is no zstd frame of {array.grid.chunk_bytes} bytes")
    try:
        content = Zstd().decode(data)
    except (RuntimeError, ValueError) as error:
        raise damaged(store, key, f"chunk {chunk} cannot be decompressed") from error
    if len(content) != array.grid.chunk_bytes:
        raise damaged(store, key, f"chunk {chunk} holds {len(content)} bytes")
    words = np.frombuffer(content, np.dtype(array.grid.dtype).newbyteorder("<")).reshape(array.grid.chunk)
    if chunk_digest(array.name, chunk, array.grid, words) != array.digest(chunk):
        raise damaged(store, key, f"chunk {chunk} differs from its digest in the manifest")
    return words


def damaged(store: Store, key: str, what: str) -> InvalidInput:
    """The one message for a stored file that is not what the manifest promises."""
    return InvalidInput(f"trace {store}: {key}: {what}; the trace is damaged, record it again or restore a copy")


def zstd_content_size(frame: bytes) -> int | None:
    """Decompressed size that a zstd frame declares (RFC 8878, 3.1.1); None if it is no frame or does not say."""
    if len(frame) < 6 or frame[:4] != b"\x28\xb5\x2f\xfd":
        return None
    single, dictionary = bool(frame[4] & 0x20), (0, 1, 2, 4)[frame[4] & 3]
    size = (1 if single else 0, 2, 4, 8)[frame[4] >> 6]
    start = 5 + (0 if single else 1) + dictionary
    if size == 0 or len(frame) < start + size:
        return None
    return int.from_bytes(frame[start : start + size], "little") + (256 if size == 2 else 0)
