"""Data sets: the simulated event camera, frames, splits, refusals."""

import numpy as np
import pytest
from spikejoule.models.data.datasets import SPLITS, Preprocessing, load_dataset, split_dataset
from spikejoule.models.data.event_camera import EVENT_DTYPE, SENSOR, gaze, simulate_events, upsample
from spikejoule.models.data.frames import to_frames
from spikejoule.sim.errors import InvalidInput

OFFLINE = ["digits-events", "digits"]  # the others need files: test_dataset_files.py


def spot(size: int = 8) -> np.ndarray:
    image = np.zeros((1, size, size))
    image[0, 3:5, 3:5] = 1
    return image


def test_dark_image_makes_no_event():
    assert len(simulate_events(np.zeros((1, 8, 8)))[0]) == 0


def test_events_are_those_of_a_sensor_and_in_order():
    (events,) = simulate_events(spot())
    assert events.dtype == EVENT_DTYPE
    assert (np.diff(events["t"]) >= 0).all()
    assert (events["t"] >= 0).all()
    assert (events["t"] <= 300_000).all()
    assert set(np.unique(events["p"])) == {0, 1}
    assert min(events["x"].min(), events["y"].min()) >= 0
    assert max(events["x"].max(), events["y"].max()) < SENSOR


def test_events_sum_up_to_the_change_of_log_intensity():
    # the gaze returns to where it started, so every pixel's polarities cancel to within one threshold
    (events,) = simulate_events(spot())
    balance = np.zeros((SENSOR, SENSOR))
    np.add.at(balance, (events["y"], events["x"]), 2.0 * events["p"] - 1)
    assert np.abs(balance).max() <= 1
    half = events[events["t"] <= 150_000]
    positions, times = gaze()
    middle = upsample(spot(), offset=tuple(positions[np.searchsorted(times, 150_000)]))[0]
    change = np.log(middle + 0.1) - np.log(upsample(spot(), offset=tuple(positions[0]))[0] + 0.1)
    balance = np.zeros((SENSOR, SENSOR))
    np.add.at(balance, (half["y"], half["x"]), 2.0 * half["p"] - 1)
    assert np.abs(0.3 * balance - change).max() <= 0.3 + 1e-4


def test_samples_do_not_meet():
    images = np.random.default_rng(0).random((3, 8, 8))
    together = simulate_events(images)
    assert all(np.array_equal(simulate_events(images[i : i + 1])[0], together[i]) for i in range(3))


@pytest.mark.parametrize("images", [np.zeros((0, 8, 8)), np.zeros((8, 8)), np.full((1, 8, 8), 2.0)])
def test_impossible_images_are_refused(images):
    with pytest.raises(InvalidInput, match="event camera"):
        simulate_events(images)


def test_frames_are_binary_and_in_their_bins():
    events = np.array([(1, 2, 0, 1), (1, 2, 10, 1), (3, 0, 90, 0), (0, 0, 100, 1)], EVENT_DTYPE)
    frames = to_frames([events], (SENSOR, SENSOR, 2), 2)
    assert frames.shape == (1, 2, 2, SENSOR, SENSOR)
    assert frames[0, 0].sum() == 1  # two events of one pixel are one spike
    assert frames[0, 0, 1, 2, 1] == 1
    assert frames[0, 1, 0, 0, 3] == 1


@pytest.mark.parametrize("name", OFFLINE)
def test_declared_shape_and_kind_are_those_of_the_data(name):
    data = load_dataset(name, 4)
    for split in SPLITS:
        inputs = data.split(split).inputs
        assert inputs.shape[1:] == ((1,) if data.held_input else (4,)) + data.input_shape
        assert (data.input_kind == "spike") == (set(np.unique(inputs)) <= {0, 1})


@pytest.mark.parametrize("name", OFFLINE)
def test_split_is_stratified_and_fixed(name):
    data = load_dataset(name, 4)
    assert [len(data.split(split)) for split in SPLITS] == [1077, 360, 360]
    shares = [np.bincount(data.split(split).labels, minlength=10) / len(data.split(split)) for split in SPLITS]
    assert np.abs(np.stack(shares) - 0.1).max() < 0.01


def test_splits_share_no_sample():
    inputs = np.arange(100).reshape(100, 1, 1, 1, 1)
    data = split_dataset(inputs, np.arange(100) % 5, name="numbers", description="")
    seen = np.concatenate([data.split(split).inputs.ravel() for split in SPLITS])
    assert sorted(seen.tolist()) == list(range(100))


def test_both_offline_sets_split_alike():
    first, second = (load_dataset(name, 4) for name in OFFLINE)
    assert all(np.array_equal(first.split(split).labels, second.split(split).labels) for split in SPLITS)


def test_empty_data_set_is_refused():
    with pytest.raises(InvalidInput, match="'none' is empty"):
        split_dataset(np.zeros((0, 1, 1, 1, 1)), np.zeros(0, np.int64), name="none", description="")


def test_data_set_too_small_to_split_is_refused():
    with pytest.raises(InvalidInput, match="cannot be split"):
        split_dataset(np.zeros((3, 1, 1, 1, 1)), np.arange(3), name="tiny", description="")


@pytest.mark.parametrize(("name", "steps", "message"), [("mnist", 4, "not known"), ("digits", 0, "integer from 1")])
def test_unknown_set_or_steps_are_refused(name, steps, message):
    with pytest.raises(InvalidInput, match=message):
        load_dataset(name, steps)


@pytest.mark.parametrize("name", OFFLINE)
def test_five_folds_test_every_image_once(name):
    images = load_dataset(name, 4)
    whole = np.concatenate([images.split(split).inputs for split in SPLITS]).reshape(1797, -1)
    folds = [load_dataset(name, 4, fold=fold) for fold in range(5)]
    tested = np.concatenate([data.test.inputs for data in folds]).reshape(1797, -1)
    assert sorted(map(bytes, tested)) == sorted(map(bytes, whole))


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_stratified_and_their_parts_disjoint(fold):
    data = split_dataset(np.arange(100).reshape(100, 1, 1), np.arange(100) % 5, name="n", description="", fold=fold)
    assert [len(data.split(split)) for split in SPLITS] == [60, 20, 20]
    assert [set(np.bincount(data.split(split).labels)) for split in SPLITS] == [{12}, {4}, {4}]
    seen = np.concatenate([data.split(split).inputs.ravel() for split in SPLITS])
    assert sorted(seen.tolist()) == list(range(100))


@pytest.mark.parametrize("fold", [-1, 5, 0.5, True])
def test_a_fold_that_is_not_there_is_refused(fold):
    with pytest.raises(InvalidInput, match="integer from 0"):
        load_dataset("digits", 2, fold=fold)


def test_both_offline_sets_fold_alike():
    first, second = (load_dataset(name, 4, fold=3) for name in OFFLINE)
    assert all(np.array_equal(first.split(split).labels, second.split(split).labels) for split in SPLITS)


def test_counts_of_digits_events_are_spikes_where_they_are_not_zero():
    counts = load_dataset("digits-events", 4, preprocessing=Preprocessing(binarize=False))
    assert counts.input_kind == "graded"
    assert counts.test.inputs.max() > 1
    np.testing.assert_array_equal(counts.test.inputs > 0, load_dataset("digits-events", 4).test.inputs)


@pytest.mark.parametrize("options", [{"size": 8}, {"binarize": False}])
def test_preprocessing_that_digits_cannot_have_is_refused(options):
    with pytest.raises(InvalidInput, match="data set 'digits'"):
        load_dataset("digits", 2, preprocessing=Preprocessing(**options))


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 1.5}, {"binarize": 1}])
def test_impossible_preprocessing_is_refused(options):
    with pytest.raises(InvalidInput, match="preprocessing: "):
        Preprocessing(**options)
