"""Traces in fsspec stores: committed by the manifest where nothing is renamed, and salvaged there too."""

import numpy as np
import pytest
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Workload
from spikejoule.sim.trace.inspection import verify
from spikejoule.sim.trace.salvage import salvage
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.storage import LocalStore, UrlStore, open_store
from spikejoule.sim.trace.trace_writer import TraceWriter
from spikejoule.sim.trace.unfinished import unfinished

NET = Workload(name="net", input_shape=(3, 5, 5), layers=())


@pytest.fixture(params=["memory://{}", "file://{}", "local://{}", "{}"])
def place(request, tmp_path):
    """A path or URL where nothing is yet; ``local`` is a folder that fsspec writes without renaming."""
    return request.param.format((tmp_path / "a.zarr").as_posix())


def spikes(samples, seed=0):
    return np.random.default_rng(seed).random((4, samples, 3, 5, 5)) < 0.3


def test_a_trace_is_written_read_and_verified_anywhere(place):
    data = spikes(7)
    with TraceWriter(place, NET, 4, chunk_samples=2) as writer:
        writer.append({"input": data[:, :3]}, np.arange(3))
        writer.append({"input": data[:, 3:]}, np.arange(4))
    trace = SpikeTrace.open(place)
    np.testing.assert_array_equal(trace.read("input"), data)
    assert trace.labels.tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert verify(place).samples == 7


def test_nothing_can_be_opened_before_the_commit(place):
    writer = TraceWriter(place, NET, 4, chunk_samples=1)
    writer.append({"input": spikes(200)})
    with pytest.raises(InvalidInput, match="being written|unfinished"):
        SpikeTrace.open(place)
    writer.close()
    assert SpikeTrace.open(place).samples == 200


def test_a_writer_that_gives_up_leaves_nothing(place):
    writer = TraceWriter(place, NET, 4, chunk_samples=1)
    writer.append({"input": spikes(200)})
    writer.abort()
    assert open_store(place).names() == []


def test_readers_keep_what_they_opened_or_are_refused_while_it_is_replaced(place):
    for seed in (0, 1):
        with TraceWriter(place, NET, 4, overwrite=True) as writer:
            writer.append({"input": spikes(5, seed)})
        if seed == 0:
            early = SpikeTrace.open(place)
    with pytest.raises(InvalidInput, match="damaged"):
        early.read("input")
    np.testing.assert_array_equal(SpikeTrace.open(place).read("input"), spikes(5, 1))


def test_a_missing_chunk_is_refused_anywhere(place):
    with TraceWriter(place, NET, 4) as writer:
        writer.append({"input": spikes(5)})
    store = open_store(place)
    prefix = SpikeTrace.open(place).manifest.prefix
    store.remove(f"{prefix}signals/input/c/0/0/0")
    with pytest.raises(InvalidInput, match="it is missing"):
        SpikeTrace.open(place)


def test_a_dead_writer_under_a_url_leaves_its_whole_samples(tmp_path):
    url = f"memory://{tmp_path.as_posix()}"
    writer = TraceWriter(url, NET, 4, chunk_samples=1)
    writer.append({"input": spikes(200)})
    assert [left.samples for left in unfinished(url)] == [192]  # three rows of 64 chunks; memory has no locks
    with pytest.raises(InvalidInput, match="192 whole samples lie in"):
        SpikeTrace.open(url)
    np.testing.assert_array_equal(salvage(url).read("input"), spikes(200)[:, :192])


def test_a_trace_written_whole_but_not_renamed_is_salvaged_whole(tmp_path):
    path = tmp_path / "a.zarr"
    with TraceWriter(path, NET, 4) as writer:
        writer.append({"input": spikes(5)})
    path.rename(tmp_path / ".a.zarr.partial-0123456789ab")
    (tmp_path / ".a.zarr.partial-0123456789ab" / "writer.lock").touch()
    with pytest.raises(InvalidInput, match="5 whole samples lie in"):
        SpikeTrace.open(path)
    assert salvage(path).samples == 5


def test_an_interrupted_replacement_says_where_the_earlier_trace_is(tmp_path):
    path = tmp_path / "a.zarr"
    with TraceWriter(path, NET, 4) as writer:
        writer.append({"input": spikes(5)})
    path.rename(tmp_path / ".a.zarr.old-0123456789ab")
    with pytest.raises(InvalidInput, match=r"earlier trace is .*\.old-0123456789ab: rename it"):
        SpikeTrace.open(path)


def test_what_dead_writers_left_goes_when_a_whole_trace_is_there(tmp_path):
    left = tmp_path / ".a.zarr.partial-0123456789ab"
    left.mkdir()
    (left / "writer.lock").touch()
    with TraceWriter(tmp_path / "a.zarr", NET, 4) as writer:
        writer.append({"input": spikes(5)})
    assert not left.exists()


def test_a_store_is_chosen_by_the_path(tmp_path):
    assert open_store(tmp_path) == LocalStore(tmp_path)
    assert open_store(f"file://{tmp_path.as_posix()}") == LocalStore(tmp_path)
    assert open_store("memory://a/b/") == UrlStore("memory://a/b")
