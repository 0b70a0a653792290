"""Event lists to traces and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.workload import Workload
from spikejoule.sim.trace.event_lists import EVENT, events_to_frames, export_events, frames_to_events, import_events
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.sim.trace.trace_writer import TraceWriter

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)
FRAMES = st.tuples(st.integers(1, 5), SHAPES).flatmap(
    lambda sizes: hnp.arrays(np.uint8, (sizes[0], *sizes[1]), elements=st.sampled_from([0, 0, 0, 1, 3]))
)


def events(*rows):
    """Rows of (x, y, t, p) in the types of tonic."""
    return np.array(list(rows), dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])


@settings(max_examples=100, deadline=None)
@given(FRAMES, st.integers(1, 1000))
def test_frames_survive_the_way_to_events_and_back(frames, step_us):
    found = events_to_frames(frames_to_events(frames, step_us), frames.shape[1:], len(frames), step_us)
    np.testing.assert_array_equal(found, frames)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 39), st.booleans()), max_size=30),
    st.booleans(),
)
def test_events_are_counted_where_and_when_they_fell(rows, binarize):
    frames = events_to_frames(events(*rows), (2, 4, 5), 4, 10, binarize=binarize)
    expected = np.zeros((4, 2, 4, 5), int)
    for x, y, t, p in rows:
        expected[t // 10, int(p), y, x] += 1
    np.testing.assert_array_equal(frames, np.minimum(expected, 1) if binarize else expected)


@settings(max_examples=15, deadline=None)
@given(hnp.arrays(np.uint8, (3, 4, 2, 3, 3), elements=st.sampled_from([0, 0, 1, 2])))
def test_recordings_survive_the_way_through_a_trace(tmp_path_factory, frames):
    recordings = [frames_to_events(frames[:, sample]) for sample in range(4)]
    path = tmp_path_factory.mktemp("events") / "a.zarr"
    trace = import_events(path, iter(recordings), (2, 3, 3), 3, binarize=False, labels=range(4))
    assert trace.labels.tolist() == [0, 1, 2, 3]
    for sample in range(4):
        np.testing.assert_array_equal(export_events(trace, sample), recordings[sample])


def test_tonic_frames_count_alike(tmp_path):
    transforms = pytest.importorskip("tonic.transforms")
    rng = np.random.default_rng(0)
    rows = np.zeros(500, dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i2")])
    rows["x"], rows["y"], rows["p"] = rng.integers(0, 8, 500), rng.integers(0, 6, 500), rng.integers(0, 2, 500)
    rows["t"] = np.sort(rng.integers(0, 9999, 500))
    rows["t"][0] = 0  # tonic counts time from the first event
    expected = transforms.ToFrame(sensor_size=(8, 6, 2), time_window=1000)(rows)
    found = events_to_frames(rows, (2, 6, 8), 10, 1000)
    np.testing.assert_array_equal(found[: len(expected)], expected)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((5, 0, 0, 0), "x runs from 5 to 5; it must lie in 0 to 4"),
        ((-1, 0, 0, 0), "x runs from -1"),
        ((0, 4, 0, 0), "y runs"),
        ((0, 0, 40, 0), "t runs from 40 to 40"),
        ((0, 0, -1, 0), "t runs from -1"),
    ],
)
def test_an_event_outside_is_refused_not_dropped(row, message):
    with pytest.raises(InvalidInput, match=message):
        events_to_frames(events(row), (2, 4, 5), 4, 10)


def test_what_is_no_event_list_is_refused():
    with pytest.raises(InvalidInput, match="'p'"):
        events_to_frames(np.zeros(3, [("x", "i4"), ("y", "i4"), ("t", "i8")]), (2, 4, 5), 4)
    with pytest.raises(InvalidInput, match="integers"):
        events_to_frames(np.zeros(3, [("x", "f4"), ("y", "i4"), ("t", "i8"), ("p", "i4")]), (2, 4, 5), 4)
    with pytest.raises(InvalidInput, match="missing"):
        events_to_frames(np.zeros((3, 4)), (2, 4, 5), 4)
    with pytest.raises(InvalidInput, match="at least 1"):
        events_to_frames(events(), (2, 4, 5), 0)
    with pytest.raises(InvalidInput, match="shorter steps"):
        events_to_frames(np.zeros(70_000, EVENT), (2, 4, 5), 4)


@pytest.mark.parametrize("frames", [np.zeros((2, 3, 3)), np.full((2, 3, 3), -1), np.zeros(3, int)])
def test_frames_that_no_event_list_holds_are_refused(frames):
    with pytest.raises(InvalidInput, match="counts from 0"):
        frames_to_events(frames)


@pytest.mark.parametrize(("labels", "message"), [([1], "more recordings"), ([1, 2, 3], "more labels")])
def test_labels_and_recordings_must_agree_in_number(tmp_path, labels, message):
    with pytest.raises(InvalidInput, match=message):
        import_events(tmp_path / "a.zarr", [events(), events()], (2, 4, 5), 4, labels=labels)
    assert list(tmp_path.iterdir()) == []


def test_a_signed_signal_is_no_event_list(tmp_path):
    with TraceWriter(tmp_path / "a.zarr", SIGNED, 1) as writer:
        writer.append({"input": np.zeros((1, 1, 3))})
    trace = SpikeTrace.open(tmp_path / "a.zarr")
    with pytest.raises(InvalidInput, match="spikes and counts only"):
        export_events(trace, 0)
    with pytest.raises(InvalidInput, match="no signal"):
        export_events(trace, 0, "other")


SIGNED = Workload(name="n", input_shape=(3,), input_kind="signed_spike", layers=())
