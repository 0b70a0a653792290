"""docs/formats.md says what is written: its schema, its digests and its hash are recomputed from the page's words."""

import hashlib
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import zarr
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

PAGE = Path(__file__).parents[3] / "docs" / "formats.md"
NET = Workload(
    name="net",
    input_shape=(2, 5, 7),
    input_kind="graded",
    layers=(Linear(name="a", in_shape=(70,), out_features=130, input_kind="graded", nonzero=np.eye(130, 70) > 0),),
)


@pytest.fixture(scope="module", params=["file", "memory"])
def trace(request, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("format") / "a.zarr")
    place = path if request.param == "file" else f"memory://{path}"
    rng = np.random.default_rng(0)
    with TraceWriter(place, NET, 3, chunk_samples=4, provenance={"seed": 1}) as writer:
        writer.append({"input": rng.integers(0, 9, (3, 10, 2, 5, 7)), "a": rng.random((3, 10, 130)) < 0.5}, range(10))
    return SpikeTrace.open(place)


@pytest.fixture
def raw(trace):
    size = trace.store.sizes(["manifest.json"])[0]
    return trace.store.read("manifest.json", 0, size)


@pytest.fixture(scope="module")
def schema():
    return json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(), re.S)[1])


def test_a_written_manifest_satisfies_the_schema(raw, schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(raw), schema)


@pytest.mark.parametrize(
    "change",
    [{"samples": 0}, {"steps": "3"}, {"prefix": "../"}, {"version": 2}, {"more": 1}, {"arrays": {"../x": {}}}],
)
def test_the_schema_refuses_what_a_reader_refuses(raw, schema, change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(raw), **change}, schema)


def test_the_first_line_is_the_digest_of_the_rest(raw):
    line, _, rest = raw.partition(b"\n")
    assert line == b'{"digest":"%s",' % hashlib.sha256(rest).hexdigest().encode()


def test_chunk_digests_are_as_the_page_says(trace, raw):
    manifest = json.loads(raw)
    for name, entry in manifest["arrays"].items():
        if not name.startswith("signals/"):
            continue
        words = trace.planes(name.partition("/")[2])
        words = words if len(entry["shape"]) == 4 else words[0]
        grid = [-(-size // chunk) for size, chunk in zip(entry["shape"], entry["chunk"], strict=True)]
        digests = []
        for index in np.ndindex(*grid):
            part = words[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, entry["chunk"], strict=True))]
            whole = np.zeros(entry["chunk"], "<u8")
            whole[tuple(slice(0, size) for size in part.shape)] = part
            header = json.dumps([name, index, entry["chunk"], entry["dtype"]], separators=(",", ":"))
            digests.append(hashlib.sha256(header.encode() + b"\n" + whole.tobytes()).hexdigest()[:32])
        assert entry["digests"] == "".join(digests)


def test_the_trace_hash_is_as_the_page_says(trace, raw):
    manifest = json.loads(raw)
    head = {key: manifest[key] for key in ("format", "version", "steps", "samples", "workload")}
    text = json.dumps(head, sort_keys=True, separators=(",", ":"))
    for name, entry in sorted(manifest["arrays"].items()):
        described = [name, entry["shape"], entry["dtype"], entry["chunk"]]
        text += "\n" + json.dumps(described, separators=(",", ":")) + entry["digests"]
    assert hashlib.sha256(text.encode()).hexdigest() == trace.hash == manifest["hash"]


def test_any_zarr_reader_opens_the_arrays(trace):
    root = f"{trace.path}/{trace.manifest.prefix}".rstrip("/")
    group = zarr.open_group(root, mode="r")
    np.testing.assert_array_equal(group["labels"][...], np.arange(10))
    assert group["signals/input"].shape == (4, 3, 10, 2)
    np.testing.assert_array_equal(group["signals/a"][...], trace.packed("a"))
    bits = np.unpackbits(group["nonzero/a"][...].view(np.uint8), bitorder="little", count=130 * 70)
    np.testing.assert_array_equal(bits.reshape(130, 70), np.eye(130, 70))


def test_the_page_holds_its_examples_names():
    text = PAGE.read_text()
    for name in ("SpikeTrace.open", "TraceWriter", "chunks()", "blocks(signal)", "salvage", "import_npz"):
        assert name in text
