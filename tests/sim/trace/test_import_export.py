"""Traces to arrays and npz files, and back."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Linear, Workload
from spikejoule.sim.trace.import_export import export_arrays, export_npz, import_arrays, import_npz
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter


def recorded(path, kind="graded", samples=5, labels=True, masked=True, seed=0):
    rng = np.random.default_rng(seed)
    mask = rng.random((6, 12)) < 0.5 if masked else None
    layer = Linear(name="a", in_shape=(12,), out_features=6, input_kind=kind, nonzero=mask)
    workload = Workload(name="net", input_shape=(3, 2, 2), input_kind=kind, layers=(layer,))
    low, high = {"spike": (0, 2), "signed_spike": (-1, 2), "graded": (0, 9), "analog": (-3, 4)}[kind]
    with TraceWriter(path, workload, 3, provenance={"seed": seed}) as writer:
        signals = {"input": rng.integers(low, high, (3, samples, 3, 2, 2)), "a": rng.random((3, samples, 6)) < 0.5}
        writer.append(signals, *([np.arange(samples)] * 2 if labels else []))
    return SpikeTrace.open(path)


CASES = st.tuples(
    st.sampled_from(["spike", "signed_spike", "graded", "analog"]),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)


@settings(max_examples=20, deadline=None)
@given(CASES)
def test_npz_and_back_is_the_same_trace(tmp_path_factory, case):
    folder = tmp_path_factory.mktemp("npz")
    trace = recorded(folder / "a.zarr", *case)
    export_npz(trace, folder / "a.npz")
    again = import_npz(folder / "a.npz", folder / "b.zarr")
    assert again.hash == trace.hash
    assert again.provenance == trace.provenance
    for name in trace.workload.signals:
        np.testing.assert_array_equal(again.planes(name), trace.planes(name))


@settings(max_examples=20, deadline=None)
@given(CASES)
def test_arrays_and_back_are_the_same_trace(tmp_path_factory, case):
    folder = tmp_path_factory.mktemp("arrays")
    trace = recorded(folder / "a.zarr", *case)
    arrays = export_arrays(trace)
    marks = [arrays.pop(name, None) for name in ("labels", "predictions")]
    assert import_arrays(folder / "b.zarr", trace.workload, arrays, *marks).hash == trace.hash


def test_memory_mapped_arrays_are_imported(tmp_path):
    trace = recorded(tmp_path / "a.zarr", masked=False)
    arrays = export_arrays(trace)
    np.save(tmp_path / "input.npy", arrays["input"])
    arrays["input"] = np.load(tmp_path / "input.npy", mmap_mode="r")
    signals = {name: arrays[name] for name in ("input", "a")}
    again = import_arrays(tmp_path / "b.zarr", trace.workload, signals, arrays["labels"], arrays["predictions"])
    assert again.hash == trace.hash


def test_arrays_that_lack_the_input_are_refused(tmp_path):
    trace = recorded(tmp_path / "a.zarr")
    with pytest.raises(InvalidInput, match=r"\['a', 'input'\] are missing"):
        import_arrays(tmp_path / "b.zarr", trace.workload, {})


def edited(source, target, **members):
    """A copy of an npz file with members replaced (None: left out)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            name = entry.filename.removesuffix(".npy")
            if name not in members:
                new.writestr(entry.filename, old.read(entry))
        for name, data in members.items():
            if data is not None:
                new.writestr(f"{name}.npy", data)


def npy(array, **header):
    target = io.BytesIO()
    np.save(target, array, allow_pickle=True)
    data = target.getvalue()
    for old, new in header.values():
        data = data.replace(old, new.ljust(len(old))[: len(old)])
    return data


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"workload": None}, "'workload' is missing"),
        ({"workload": npy(np.frombuffer(b"{", np.uint8))}, "not readable as JSON"),
        ({"workload": npy(np.frombuffer(b"[]", np.uint8))}, "no JSON object"),
        ({"workload": npy(np.frombuffer(b'{"layers":[]}', np.uint8))}, "not usable"),
        ({"signals/a": None}, "'a'.* missing"),
        ({"signals/b": npy(np.zeros((3, 5, 6)))}, "'b'.* unknown"),
        ({"signals/a": npy(np.full((3, 5, 6), 7))}, "allows only 0 or 1"),
        ({"signals/a": npy(np.array([{}], object))}, "not what it holds"),
        ({"signals/a": npy(np.zeros((3, 5, 6)), shape=(b"(3, 5, 6)", b"(9,9,9,9)"))}, "not what it holds"),
        ({"signals/a": npy(np.zeros((3, 5, 6)), shape=(b"(3, 5, 6)", b"(3,5,-6)"))}, "not what it holds"),
        ({"signals/a": b"text"}, "cannot be read"),
        ({"nonzero/a": npy(np.zeros((2, 2), bool))}, "nonzero"),
    ],
)
def test_a_damaged_or_foreign_npz_file_is_refused(tmp_path, members, message):
    export_npz(recorded(tmp_path / "a.zarr"), tmp_path / "a.npz")
    edited(tmp_path / "a.npz", tmp_path / "b.npz", **members)
    with pytest.raises(InvalidInput, match=message):
        import_npz(tmp_path / "b.npz", tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()


def test_a_truncated_npz_file_is_refused(tmp_path):
    export_npz(recorded(tmp_path / "a.zarr"), tmp_path / "a.npz")
    data = (tmp_path / "a.npz").read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / "b.npz").write_bytes(data[:size])
        with pytest.raises(InvalidInput, match="cannot be read"):
            import_npz(tmp_path / "b.npz", tmp_path / "b.zarr")


def test_an_npz_bomb_is_refused_before_it_is_unpacked(tmp_path):
    export_npz(recorded(tmp_path / "a.zarr"), tmp_path / "a.npz")
    edited(tmp_path / "a.npz", tmp_path / "b.npz", **{"signals/a": npy(np.zeros((3, 5, 10**6)))})
    with pytest.raises(InvalidInput, match="memory setting"):
        import_npz(tmp_path / "b.npz", tmp_path / "b.zarr", memory=2**20)
