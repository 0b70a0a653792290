"""A damaged, half-written or hostile trace is refused with one clear message, or it is whole: never a wrong count."""

import contextlib
import hashlib
import json
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import zarr
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
from spikejoule.sim.trace.inspection import verify
from spikejoule.sim.trace.salvage import salvage
from spikejoule.sim.trace.shards import encode_chunk, zstd_content_size
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter
from spikejoule.sim.trace.unfinished import unfinished

STEPS, SAMPLES = 4, 300
NET = Workload(
    name="net",
    input_shape=(2, 6, 6),
    input_kind="graded",
    layers=(
        Conv2d(
            name="conv",
            in_shape=(2, 6, 6),
            out_channels=4,
            kernel_size=3,
            input_kind="graded",
            nonzero=np.random.default_rng(0).random((4, 2, 3, 3)) < 0.5,
        ),
        Linear(name="out", in_shape=(4, 4, 4), out_features=3, source="conv", neuron="readout"),
    ),
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A trace of several shards, several chunks in each."""
    path = tmp_path_factory.mktemp("original") / "a.zarr"
    rng = np.random.default_rng(1)
    with TraceWriter(path, NET, STEPS, chunk_samples=2) as writer:
        writer.append(
            {
                "input": rng.integers(0, 4, (STEPS, SAMPLES, 2, 6, 6)),
                "conv": rng.random((STEPS, SAMPLES, 4, 4, 4)) < 0.3,
            },
            rng.integers(0, 3, SAMPLES),
            rng.integers(0, 3, SAMPLES),
        )
    return path


@pytest.fixture
def damaged(original, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "a.zarr"))


def content(path):
    """All that a reader can get out of a trace."""
    trace = SpikeTrace.open(path)
    planes = [trace.planes(name) for name in trace.workload.signals]
    arrays = [*planes, trace.labels, trace.predictions, trace.workload.layers[0].nonzero]
    workload = (trace.workload, trace.steps, trace.samples, trace.hash)
    return workload, [(array.shape, array.dtype, array.tobytes()) for array in arrays]


def shards(path, signal="conv"):
    return sorted(file for file in path.glob(f"signals/{signal}/c/**/*") if file.is_file())


def refused(path, message):
    with pytest.raises(InvalidInput, match=message):
        content(path)


# One kind of damage each --------------------------------------------------------------------------------------------
def test_zarr_alone_reads_zeros_where_a_chunk_is_missing(damaged):
    shards(damaged)[0].unlink()
    words = zarr.open_array(damaged / "signals/conv", mode="r")[...]
    assert not words[:, :100].any()  # no error, no spikes: a count of this would be wrong
    refused(damaged, "conv/c/0/0/0: it is missing")


def test_zarr_alone_accepts_swapped_chunks(damaged):
    first, second, *_ = shards(damaged)
    before = zarr.open_array(damaged / "signals/conv", mode="r")[...]
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    words = zarr.open_array(damaged / "signals/conv", mode="r")[...]
    assert (words != before).any()
    refused(damaged, "the trace is damaged")


def test_a_truncated_chunk_is_refused_when_the_trace_is_opened(damaged):
    file = shards(damaged)[1]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InvalidInput, match=r"has \d+ bytes, the manifest says"):
        SpikeTrace.open(damaged)


def test_an_edited_chunk_is_refused_when_it_is_read(damaged):
    file = shards(damaged)[1]
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)
    trace = SpikeTrace.open(damaged)
    assert trace.packed("conv", slice(0, 2)).any()  # chunks beside it are still good
    refused(damaged, "the trace is damaged")
    with pytest.raises(InvalidInput, match="conv/c/0/1/0"):
        verify(damaged)


@pytest.mark.parametrize("start", ["# no zarr here", ""])
def test_a_file_in_place_of_a_chunk_is_refused(damaged, start):
    file = shards(damaged)[0]
    file.write_bytes(start.encode().ljust(file.stat().st_size, b"\0"))
    refused(damaged, "the trace is damaged")


def test_swapped_chunks_within_a_shard_are_refused(damaged):
    file = shards(damaged)[0]
    data = bytearray(file.read_bytes())
    index = len(data) - 16 * 64
    data[index : index + 16], data[index + 16 : index + 32] = data[index + 16 : index + 32], data[index : index + 16]
    file.write_bytes(data)
    refused(damaged, "differs from its digest")


def test_a_trace_without_its_manifest_is_refused(damaged):
    (damaged / "manifest.json").unlink()
    refused(damaged, "no manifest.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [('"steps":4', '"steps":3'), ('"samples":300', '"samples":299'), ('"graded"', '"analog"'), ('"net"', '"pet"')],
)
def test_an_edited_manifest_is_refused(damaged, old, new):
    file = damaged / "manifest.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    refused(damaged, "does not match its own digest")


def test_a_newer_version_says_to_upgrade(damaged):
    file = damaged / "manifest.json"
    file.write_text(file.read_text().replace('"version":1', '"version":2', 1))
    refused(damaged, "format version 2; .* upgrade spikejoule")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format":"other"}', "\0" * 100, "[" * 100_000, '{"a":NaN}'])
def test_a_foreign_manifest_is_refused(damaged, text):
    (damaged / "manifest.json").write_text(text)
    refused(damaged, "manifest.json")


def test_a_foreign_zarr_folder_is_refused(tmp_path):
    zarr.open_group(tmp_path / "other.zarr", mode="w").create_array("signals/input", shape=(2, 2), dtype="u8")
    refused(tmp_path / "other.zarr", "no manifest.json")


def test_edited_zarr_metadata_is_refused(damaged):
    file = damaged / "signals/conv/zarr.json"
    file.write_text(file.read_text().replace("300", "299"))
    refused(damaged, "conv/zarr.json: it differs")


def test_a_device_in_place_of_a_chunk_is_refused(damaged):
    file = shards(damaged)[0]
    file.unlink()
    file.symlink_to("/dev/zero")
    refused(damaged, "it is missing")


# Random damage ------------------------------------------------------------------------------------------------------
def corrupt(path, rng):
    """One random corruption of a stored trace; returns what was done."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    file = rng.choice(files)
    data = bytearray(file.read_bytes())
    how = rng.choice(["flip", "flip", "flip", "byte", "truncate", "extend", "remove", "swap", "zero", "edit"])
    if how in ("flip", "byte"):
        place = rng.randrange(len(data))
        data[place] = data[place] ^ (1 << rng.randrange(8)) if how == "flip" else rng.randrange(256)
    elif how == "truncate":
        del data[rng.randrange(len(data)) :]
    elif how == "extend":
        data += rng.randbytes(rng.randrange(1, 100))
    elif how == "zero":
        data = bytearray(len(data))
    elif how == "edit":  # a digit of some metadata
        file = rng.choice([file for file in files if file.suffix == ".json"])
        data = bytearray(file.read_bytes())
        digits = [index for index, byte in enumerate(data) if 48 <= byte < 58]
        if digits:
            data[rng.choice(digits)] = rng.choice(b"0123456789")
    if how == "remove":
        file.unlink()
    elif how == "swap":
        other = rng.choice(files)
        mine = file.read_bytes()
        file.write_bytes(other.read_bytes())
        other.write_bytes(mine)
    else:
        file.write_bytes(data)
    return f"{how} {file.relative_to(path)}"


def detected(original, folder, seed):
    """Corrupt a copy: True if it is refused, False if the content is equal, an assertion otherwise."""
    path = Path(shutil.copytree(original, folder / f"{seed}.zarr"))
    done = corrupt(path, random.Random(seed))
    try:
        found = content(path)
    except InvalidInput:
        return True
    finally:
        shutil.rmtree(path)
    assert found == content(original), done
    return False


def test_random_corruptions_are_detected_or_harmless(original, tmp_path):
    assert sum(detected(original, tmp_path, seed) for seed in range(40)) >= 25


@pytest.mark.slow
def test_two_hundred_more_random_corruptions_are_detected_or_harmless(original, tmp_path):
    assert sum(detected(original, tmp_path, seed) for seed in range(1000, 1200)) >= 120


# Writers that die ---------------------------------------------------------------------------------------------------
WRITER = """
    import os, sys
    import numpy as np
    from spikejoule.sim import TraceWriter
    from spikejoule.sim.network.workload import Workload

    workload = Workload(name="net", input_shape=(64, 8, 8), layers=())
    with TraceWriter(sys.argv[1], workload, 4, chunk_samples=2) as writer:
        for batch in range(600):
            rng = np.random.default_rng(batch)
            writer.append({"input": rng.random((4, 10, 64, 8, 8)) < 0.1}, rng.integers(0, 10, 10))
            if batch == 0:  # compiled
                print("ready", flush=True)
            if batch == int(sys.argv[2]):
                os._exit(9)
    print("done", flush=True)
"""


def spikes_of(batch):
    rng = np.random.default_rng(batch)
    return (rng.random((4, 10, 64, 8, 8)) < 0.1), rng.integers(0, 10, 10)


def killed(path, delay, batch=-1):
    """Kill a writing process after a while, or let it die after a batch; whether it had finished."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), str(batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        process.kill()
        return "done" in process.stdout.read()


def check_after_kill(path, finished):
    """The whole trace, or a refusal that says how many samples are whole, which can then be salvaged."""
    left = unfinished(path)
    if not left:
        trace = SpikeTrace.open(path)
        assert trace.samples == 6000
    else:
        assert not finished
        with pytest.raises(InvalidInput, match=f"{left[0].samples} whole samples lie in"):
            SpikeTrace.open(path)
        if left[0].samples == 0:
            with pytest.raises(InvalidInput, match="no sample is whole"):
                salvage(path)
            return
        trace = salvage(path)
        assert trace.samples == left[0].samples
    for part in (slice(0, 10), slice(trace.samples // 10 * 10 - 10, trace.samples // 10 * 10)):
        spikes, labels = spikes_of(part.start // 10)
        np.testing.assert_array_equal(trace.read("input", part), spikes)
        np.testing.assert_array_equal(trace.labels[part], labels)


@pytest.mark.parametrize("delay", [0.0, 0.2, 0.4])
def test_a_killed_writer_leaves_a_whole_trace_or_a_clear_refusal(tmp_path, delay):
    check_after_kill(tmp_path / "a.zarr", killed(tmp_path / "a.zarr", delay))


@pytest.mark.slow
def test_writers_killed_at_twenty_random_moments_leave_a_whole_trace_or_a_clear_refusal(tmp_path):
    rng = random.Random(0)
    for index in range(20):
        path = tmp_path / f"{index}.zarr"
        check_after_kill(path, killed(path, rng.uniform(0, 0.8)))


def test_a_salvaged_trace_has_the_hash_of_one_recorded_with_these_samples(tmp_path):
    path = tmp_path / "a.zarr"
    killed(path, 60, batch=100)
    trace = salvage(path)
    assert 0 < trace.samples < 1010
    workload = Workload(name="net", input_shape=(64, 8, 8), layers=())
    with TraceWriter(tmp_path / "b.zarr", workload, 4, chunk_samples=2) as writer:
        done = 0
        while done < trace.samples:
            spikes, labels = spikes_of(done // 10)
            size = min(10, trace.samples - done)
            writer.append({"input": spikes[:, :size]}, labels[:size])
            done += size
    assert SpikeTrace.open(tmp_path / "b.zarr").hash == trace.hash


def test_nothing_to_salvage_is_said(tmp_path, original):
    for path in (tmp_path / "none.zarr", original):
        with pytest.raises(InvalidInput, match="nothing|anything to salvage"):
            salvage(path)


def test_a_live_writer_is_not_taken_for_dead(tmp_path):
    with TraceWriter(tmp_path / "a.zarr", NET, STEPS) as writer:
        assert unfinished(tmp_path / "a.zarr") == []
        writer.abort()


# Hostile traces -----------------------------------------------------------------------------------------------------
def forge(path, change):
    """Change the manifest and seal it anew, trace hash included, as an attacker would."""
    file = path / "manifest.json"
    document = json.loads(file.read_text())
    del document["digest"]
    change(document)
    body = json.dumps(document, separators=(",", ":")).encode()[1:]
    file.write_bytes(b'{"digest":"%s",\n' % hashlib.sha256(body).hexdigest().encode() + body)


def layer(document, **fields):
    document["workload"]["layers"][0].update(fields)


def rename(document, name):
    document["arrays"][name] = document["arrays"].pop("signals/conv")


def resize(document, array, **fields):
    document["arrays"][array].update(fields)


HOSTILE = {
    "absurd samples": lambda d: d.update(samples=2**39),
    "negative samples": lambda d: d.update(samples=-5),
    "samples as a float": lambda d: d.update(samples=300.0),
    "negative steps": lambda d: d.update(steps=-1),
    "huge number": lambda d: d.update(steps=10**3000),
    "absurd shape of a layer": lambda d: layer(d, in_shape=[2**31 - 1] * 3),
    "negative shape of a layer": lambda d: layer(d, in_shape=[2, -6, 6]),
    "a shape of a million axes": lambda d: layer(d, in_shape=[2] * 100_000),
    "no layers": lambda d: d["workload"].pop("layers"),
    "an unknown layer": lambda d: layer(d, type="__import__"),
    "a path up in a layer's name": lambda d: layer(d, name="../../etc/passwd"),
    "an absolute path in a layer's name": lambda d: layer(d, name="/etc/passwd"),
    "a long name": lambda d: layer(d, name="a" * 10**6),
    "a million layers": lambda d: d["workload"].update(layers=[{}] * 10**6),
    "ten thousand layers": lambda d: d["workload"].update(layers=[d["workload"]["layers"][0]] * 10**4),
    "deep nesting": lambda d: d.update(provenance=json.loads("[" * 900 + "]" * 900)),
    "a path up in an array's name": lambda d: rename(d, "../../etc/passwd"),
    "an absolute path in an array's name": lambda d: rename(d, "/etc/passwd"),
    "a path up in the prefix": lambda d: d.update(prefix="../"),
    "an absolute prefix": lambda d: d.update(prefix="/"),
    "a missing array": lambda d: d["arrays"].pop("signals/conv"),
    "an array too many": lambda d: d["arrays"].update(more=d["arrays"]["labels"]),
    "an absurd array shape": lambda d: resize(d, "signals/conv", shape=[4, 2**40, 1]),
    "a negative array shape": lambda d: resize(d, "signals/conv", shape=[4, -300, 1]),
    "a chunk of a terabyte": lambda d: resize(d, "signals/conv", chunk=[4, 2**35, 1], shard=[4, 2**35, 1]),
    "a chunk of nothing": lambda d: resize(d, "signals/conv", chunk=[0, 2, 1]),
    "a shard of a million chunks": lambda d: resize(d, "signals/conv", shard=[4, 2**22, 1]),
    "an unknown dtype": lambda d: resize(d, "signals/conv", dtype="object"),
    "too few digests": lambda d: resize(d, "signals/conv", digests=""),
    "digests that are none": lambda d: resize(d, "signals/conv", digests=["a"] * 150),
    "sizes below zero": lambda d: resize(d, "signals/conv", shard_bytes=[-1] * 3),
    "a member too many": lambda d: d.update(more=1),
    "a member missing": lambda d: d.pop("provenance"),
    "arrays as a list": lambda d: d.update(arrays=[]),
    "no hash": lambda d: d.update(hash=None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_manifest_is_refused(damaged, name):
    forge(damaged, HOSTILE[name])
    with pytest.raises(InvalidInput):
        content(damaged)


def bomb(path, declared=True):
    """Replace the chunks of a shard by zstd frames that unpack to a gibibyte, in a file of the right size or not."""
    frame = bytearray(encode_chunk(np.zeros(2**24, np.uint64)))
    if not declared:  # a frame that does not say how large it is
        header = 5 + (0 if frame[4] & 0x20 else 1) + (4 if frame[4] >> 6 == 2 else 8)
        frame = bytearray(b"\x28\xb5\x2f\xfd\x00\x98") + frame[header:]
    file = shards(path)[0]
    chunks = 64
    index = np.array([[0, len(frame)]] * chunks, "<u8").tobytes()
    file.write_bytes(bytes(frame) + index)
    forge(path, lambda d: d["arrays"]["signals/conv"]["shard_bytes"].__setitem__(0, file.stat().st_size))


@pytest.mark.parametrize("declared", [True, False])
def test_a_decompression_bomb_is_refused(damaged, declared):
    bomb(damaged, declared)
    refused(damaged, "no zstd frame of")


MEASURE = """
    import sys, time
    import numpy as np
    import numcodecs.zstd
    from spikejoule.sim.errors import InvalidInput
    from spikejoule.sim.trace.spike_trace import SpikeTrace

    def reset_peak():
        # the peak so far is forgotten; getrusage would not do, as a child's peak there starts with its parent's
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        return peak()

    def peak():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024

    before, start = reset_peak(), time.perf_counter()
    try:
        trace = SpikeTrace.open(sys.argv[1])
        for name in trace.workload.signals:
            for samples in trace.chunks():
                trace.packed(name, samples)
        print("accepted")
    except InvalidInput as error:
        print("refused", len(str(error)))
    print(time.perf_counter() - start, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("name", ["a million layers", "bomb", "silent bomb", "absurd samples", "a manifest of commas"])
def test_a_hostile_trace_is_refused_within_a_second_and_100_mb(damaged, name):
    if "bomb" in name:
        bomb(damaged, declared=name == "bomb")
    elif name == "a manifest of commas":
        (damaged / "manifest.json").write_text("[" + "1.5," * (6 * 2**20 - 10) + "1]")
    else:
        forge(damaged, HOSTILE[name])
    command = [sys.executable, "-c", textwrap.dedent(MEASURE), str(damaged)]
    answer, figures = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    seconds, memory = map(float, figures.split())
    assert answer.startswith("refused")
    assert int(answer.split()[1]) < 2000  # one readable message
    assert seconds < 1
    assert memory < 100e6


@pytest.mark.parametrize("size", [8, 255, 256, 65_791, 65_792, 2**21])
def test_the_declared_size_of_a_zstd_frame_is_read(size):
    frame = encode_chunk(np.zeros(size, np.uint8))
    assert zstd_content_size(frame) == size
    assert zstd_content_size(frame[:5]) is None
    assert zstd_content_size(b"x" + frame) is None
