"""SpikeTrace: what is written is read back, named by its content, and never half there."""

import errno
import itertools
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
from spikejoule.sim.trace import storage
from spikejoule.sim.trace.chunking import plan_chunking
from spikejoule.sim.trace.packing import pack
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

STEPS, SAMPLES = 5, 11
MASK = np.random.default_rng(0).random((4, 2, 3, 3)) < 0.5


def network(kind="graded", mask=MASK):
    return Workload(
        name="net",
        input_shape=(2, 6, 6),
        input_kind=kind,
        layers=(
            Conv2d(name="conv", in_shape=(2, 6, 6), out_channels=4, kernel_size=3, input_kind=kind, nonzero=mask),
            Linear(name="out", in_shape=(4, 4, 4), out_features=3, source="conv", neuron="readout"),
        ),
    )


def signals(kind="graded", samples=SAMPLES, seed=0):
    rng = np.random.default_rng(seed)
    shape = (STEPS, samples, 2, 6, 6)
    values = {
        "spike": lambda: rng.random(shape) < 0.2,
        "signed_spike": lambda: rng.integers(-1, 2, shape),
        "graded": lambda: rng.integers(0, 6, shape),
        "analog": lambda: rng.normal(size=shape) * (rng.random(shape) < 0.5),
    }[kind]()
    return {"input": values, "conv": (rng.random((STEPS, samples, 4, 4, 4)) < 0.3).astype(np.float32)}


def interrupted(path, error, **options):
    """A recording that ends in an error after its first batch."""
    with TraceWriter(path, network(), STEPS, chunk_samples=1, **options) as writer:
        writer.append(signals())
        raise error


def write(path, kind="graded", batches=(SAMPLES,), data=None, mask=MASK, labels=True, **options):
    data = data or signals(kind)
    start = 0
    with TraceWriter(path, network(kind, mask), STEPS, **options) as writer:
        for batch in batches:
            part = slice(start, start + batch)
            marks = {"labels": np.arange(100)[part], "predictions": np.arange(100)[part] // 2} if labels else {}
            writer.append({name: values[:, part] for name, values in data.items()}, **marks)
            start += batch
    return SpikeTrace.open(path)


# What is written is read back ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["spike", "signed_spike", "graded", "analog"])
@pytest.mark.parametrize("chunk_samples", [None, 1, 4])
def test_values_are_read_back(tmp_path, kind, chunk_samples):
    data = signals(kind)
    trace = write(tmp_path / "a.zarr", kind, (3, 8), chunk_samples=chunk_samples)
    expected = data["input"] != 0 if kind == "analog" else data["input"]
    np.testing.assert_array_equal(trace.read("input"), expected)
    np.testing.assert_array_equal(trace.read("conv", slice(2, 9), slice(1, 4)), data["conv"][1:4, 2:9])
    np.testing.assert_array_equal(trace.packed("input", slice(3, 7)), pack(data["input"])[:, 3:7])
    np.testing.assert_array_equal(trace.labels, np.arange(SAMPLES))


def test_workload_and_zero_weights_are_read_back(tmp_path):
    trace = write(tmp_path / "a.zarr")
    assert trace.workload == network()
    np.testing.assert_array_equal(trace.workload.layers[0].nonzero, MASK)
    assert trace.workload.layers[1].nonzero is None


def test_accuracy_is_the_share_of_right_predictions(tmp_path):
    assert write(tmp_path / "a.zarr").accuracy == pytest.approx(1 / SAMPLES)
    assert write(tmp_path / "b.zarr", labels=False).accuracy is None


def test_chunks_cover_all_samples_once(tmp_path):
    trace = write(tmp_path / "a.zarr", chunk_samples=4)
    assert [(part.start, part.stop) for part in trace.chunks()] == [(0, 4), (4, 8), (8, 11)]
    seen = np.zeros((SAMPLES, STEPS), int)
    for samples, steps in trace.blocks("conv"):
        seen[samples, steps] += 1
    assert (seen == 1).all()


def test_an_open_trace_can_be_sent_to_another_process(tmp_path):
    trace = write(tmp_path / "a.zarr")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(trace)).read("conv"), trace.read("conv"))


def test_provenance_is_kept(tmp_path):
    assert write(tmp_path / "a.zarr", provenance={"seed": 3, "versions": {"x": "1"}}).provenance["seed"] == 3


def test_zarr_reads_the_same_words(tmp_path):
    trace = write(tmp_path / "a.zarr", chunk_samples=2)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    np.testing.assert_array_equal(group["signals/conv"][...], trace.packed("conv"))
    np.testing.assert_array_equal(group["signals/input"][...], trace.planes("input"))
    np.testing.assert_array_equal(group["labels"][...], trace.labels)


def test_several_readers_at_once_see_the_same(tmp_path):
    trace = write(tmp_path / "a.zarr", chunk_samples=2)
    expected, found = trace.packed("conv"), []
    threads = [threading.Thread(target=lambda: found.append(trace.packed("conv"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(words, expected) for words in found)


# Large samples, splitting of steps ----------------------------------------------------------------------------------
def test_a_large_sample_is_split_along_its_steps(tmp_path):
    neurons, steps = 2**20, 24
    workload = Workload(name="large", input_shape=(neurons,), layers=())
    spikes = np.zeros((steps, 2, neurons), bool)
    spikes[np.arange(steps), :, np.arange(steps) * 1000] = True
    with TraceWriter(tmp_path / "a.zarr", workload, steps) as writer:
        writer.append({"input": spikes})
    trace = SpikeTrace.open(tmp_path / "a.zarr", memory=3 * 2**20)
    assert len({(part.start, part.stop) for _, part in trace.blocks("input")}) == 2
    for samples, part in trace.blocks("input"):
        np.testing.assert_array_equal(trace.packed("input", samples, part), pack(spikes[part, samples]))
    with pytest.raises(InvalidInput, match=r"chunks\(\) or blocks\(\)"):
        trace.packed("input")


def test_a_very_large_sample_is_split_over_shards(tmp_path):
    neurons, steps = 2**23, 40
    workload = Workload(name="large", input_shape=(neurons,), layers=())
    grid = plan_chunking(workload, steps).grids["input"]
    assert grid.shard[0] < steps
    spikes = np.broadcast_to(np.zeros((1, 1, neurons), bool), (steps, 1, neurons))
    with TraceWriter(tmp_path / "a.zarr", workload, steps) as writer:
        writer.append({"input": spikes})
    assert len(SpikeTrace.open(tmp_path / "a.zarr").manifest.arrays["signals/input"].shard_bytes) == 2


# Graded values that grow --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [(0, 0), (4, 3), (2, 6), (4, 10)])
def test_a_late_large_value_gets_its_planes(tmp_path, place):
    data = signals()
    data["input"][(*place, 1, 2, 3)] = 40_000
    traces = [
        write(tmp_path / f"{i}.zarr", batches=b, data=data, chunk_samples=2) for i, b in enumerate([(11,), (1,) * 11])
    ]
    for trace in traces:
        np.testing.assert_array_equal(trace.read("input"), data["input"])
    assert traces[0].hash == traces[1].hash


# The hash -----------------------------------------------------------------------------------------------------------
@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, SAMPLES), max_size=6), st.sampled_from([None, 1, 3, 4]))
def test_the_split_into_batches_never_changes_the_hash(tmp_path_factory, cuts, chunk_samples):
    edges = [0, *sorted(cuts), SAMPLES]
    batches = [stop - start for start, stop in itertools.pairwise(edges)]
    folder = tmp_path_factory.mktemp("hash")
    one = write(folder / "one.zarr", chunk_samples=chunk_samples)
    other = write(folder / "other.zarr", batches=batches, chunk_samples=chunk_samples)
    assert one.hash == other.hash
    np.testing.assert_array_equal(one.planes("input"), other.planes("input"))


def test_the_hash_covers_spikes_labels_and_zero_weights_alone(tmp_path):
    reference = write(tmp_path / "a.zarr").hash
    assert write(tmp_path / "b.zarr", provenance={"seed": 1}).hash == reference
    data = signals()
    data["conv"][4, 10, 3, 3, 3] = 1 - data["conv"][4, 10, 3, 3, 3]
    assert write(tmp_path / "c.zarr", data=data).hash != reference
    mask = MASK.copy()
    mask[0, 0, 0, 0] ^= True
    assert write(tmp_path / "d.zarr", mask=mask).hash != reference
    assert write(tmp_path / "e.zarr", mask=None).hash != reference
    assert write(tmp_path / "f.zarr", labels=False).hash != reference


def test_the_hash_does_not_depend_on_the_store(tmp_path):
    assert write("memory://hash/a").hash == write(tmp_path / "a.zarr").hash


# Bad input to the writer --------------------------------------------------------------------------------------------
def test_a_value_against_its_kind_is_refused_and_nothing_is_left(tmp_path):
    data = signals()
    data["conv"][2, 7, 1, 1, 1] = 2
    with pytest.raises(InvalidInput, match=r"signal 'conv': step 2, sample 7, neuron \(1, 1, 1\) is 2.0"):
        write(tmp_path / "a.zarr", batches=(5, 6), data=data)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("conv"), r"signals \['conv'\] are missing"),
        (lambda data: data.update(more=data["conv"]), r"\['more'\] unknown"),
        (lambda data: data.update(conv=data["conv"][:4]), r"must be \(5, 11, 4, 4, 4\)"),
        (lambda data: data.update(conv=data["conv"][:, :10]), r"must be \(5, 11, 4, 4, 4\)"),
        (lambda data: data.update(conv=data["conv"].reshape(5, 11, 64)), r"must be \(5, 11, 4, 4, 4\)"),
        (lambda data: data.update(conv=np.full(data["conv"].shape, np.nan)), "allows only 0 or 1"),
    ],
)
def test_signals_that_do_not_fit_the_workload_are_refused(tmp_path, change, message):
    data = signals()
    change(data)
    with pytest.raises(InvalidInput, match=message):
        write(tmp_path / "a.zarr", data=data)


@pytest.mark.parametrize("labels", [np.zeros(10, int), np.zeros(SAMPLES), np.zeros((SAMPLES, 1), int)])
def test_labels_of_another_length_or_type_are_refused(tmp_path, labels):
    writer = TraceWriter(tmp_path / "a.zarr", network(), STEPS)
    with pytest.raises(InvalidInput, match=r"give integers of \(11,\)"):
        writer.append(signals(), labels)


def test_labels_in_some_batches_only_are_refused(tmp_path):
    writer = TraceWriter(tmp_path / "a.zarr", network(), STEPS)
    writer.append(signals(), np.arange(SAMPLES))
    with pytest.raises(InvalidInput, match="every batch or with none"):
        writer.append(signals())


def test_a_trace_without_samples_is_refused(tmp_path):
    writer = TraceWriter(tmp_path / "a.zarr", network(), STEPS)
    writer.append(signals(samples=0))
    with pytest.raises(InvalidInput, match="no sample was recorded"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"steps": True}, "steps is True"),
        ({"chunk_samples": 0}, "chunk_samples is 0"),
        ({"memory": 1000}, "raise it"),
        ({"provenance": {"x": np.zeros(2)}}, "JSON"),
        ({"provenance": {"x": float("nan")}}, "JSON"),
        ({"provenance": {"x": "a" * 2**21}}, "at most"),
    ],
)
def test_bad_settings_are_refused(tmp_path, options, message):
    with pytest.raises(InvalidInput, match=message):
        TraceWriter(tmp_path / "a.zarr", network(), **{"steps": STEPS, **options})


@pytest.mark.parametrize("names", [("Conv", "conv"), ("zarr.json", "conv")])
def test_names_that_a_file_system_cannot_keep_are_refused(tmp_path, names):
    layers = [Linear(name=name, in_shape=(4,), out_features=4) for name in names]
    with pytest.raises(InvalidInput, match="rename"):
        TraceWriter(tmp_path / "a.zarr", Workload(name="n", input_shape=(4,), layers=tuple(layers)), 1)


def test_a_writer_that_failed_cannot_be_committed(tmp_path):
    writer = TraceWriter(tmp_path / "a.zarr", network(), STEPS)
    with pytest.raises(InvalidInput, match="missing"):
        writer.append({})
    with pytest.raises(InvalidInput, match="closed or has failed"):
        writer.append(signals())
    with pytest.raises(InvalidInput, match="closed or has failed"):
        writer.close()
    assert list(tmp_path.iterdir()) == []


# Replacing, interrupting, full disks --------------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["{}/a.zarr", "memory://replace/{}"])
def test_an_existing_trace_is_replaced_only_when_asked_and_when_whole(tmp_path, place):
    path = place.format(tmp_path if "{}/" in place else tmp_path.name)
    first = write(path)
    with pytest.raises(InvalidInput, match="it exists"):
        write(path, "spike")
    with pytest.raises(RuntimeError):
        interrupted(path, RuntimeError, overwrite=True)
    assert SpikeTrace.open(path).hash == first.hash
    assert write(path, "spike", overwrite=True).hash == SpikeTrace.open(path).hash != first.hash
    store = storage.open_store(path)
    assert sum(name.startswith("g") for name in store.names()) == (0 if isinstance(store, storage.LocalStore) else 1)


def test_nothing_but_a_trace_is_ever_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(InvalidInput, match="choose another name"):
            write(tmp_path / name, overwrite=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["chapter.tex", "file", "thesis"]


def test_a_damaged_trace_can_be_replaced(tmp_path):
    path = tmp_path / "a.zarr"
    write(path)
    (path / "manifest.json").unlink()
    assert write(path, overwrite=True).samples == SAMPLES
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_writer_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        interrupted(tmp_path / "a.zarr", error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("when", [1, 3, 8, 14, 18])
def test_a_full_disk_is_one_clear_message_and_leaves_the_earlier_trace_whole(tmp_path, monkeypatch, code, when):
    path = tmp_path / "a.zarr"
    first = write(path)
    calls = iter(range(1000))
    real = Path.write_bytes

    def write_bytes(self, data):
        if next(calls) >= when:
            raise OSError(code, "full")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(InvalidInput, match="cannot write .*free some space"):
        write(path, "spike", overwrite=True, chunk_samples=4)
    monkeypatch.undo()
    assert SpikeTrace.open(path).hash == first.hash
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]


def test_a_place_that_cannot_be_written_is_one_clear_message(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match="cannot write .*not a folder"):
        write(tmp_path / "file" / "a.zarr")
    with pytest.raises(InvalidInput, match="fsspec"):
        write("nonsense://a/b")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_real_full_disk_is_one_clear_message():
    with pytest.raises(InvalidInput, match="the disk is full"), storage.plain_errors("write", "/dev/full"):
        Path("/dev/full").write_bytes(b"x")


# Bad input to the reader --------------------------------------------------------------------------------------------
def test_a_trace_that_is_not_there_is_refused(tmp_path):
    for path in (tmp_path / "none.zarr", "memory://none/at/all", str(tmp_path / "none" / "none.zarr")):
        with pytest.raises(InvalidInput, match="there is none"):
            SpikeTrace.open(path)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(InvalidInput, match="neither a path nor a URL"):
        SpikeTrace.open(path)


def test_an_unknown_signal_and_a_stride_are_refused(tmp_path):
    trace = write(tmp_path / "a.zarr")
    with pytest.raises(InvalidInput, match="there are input, conv"):
        trace.packed("pool")
    with pytest.raises(InvalidInput, match="stride"):
        trace.packed("conv", slice(None, None, 2))


def test_reading_more_than_the_memory_setting_is_refused(tmp_path):
    write(tmp_path / "a.zarr")
    trace = SpikeTrace.open(tmp_path / "a.zarr", memory=2000)
    assert trace.packed("conv", slice(0, 2)).shape == (STEPS, 2, 1)
    with pytest.raises(InvalidInput, match="memory setting"):
        trace.planes("input")
