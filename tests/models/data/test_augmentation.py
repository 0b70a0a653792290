"""Augmentations: what they may change, that a seed repeats them, refusals."""

import numpy as np
import pytest
from spikejoule.models.data.augmentation import Augmentation, augment, augmentation_rng
from spikejoule.sim.errors import InvalidInput

ALL = {
    "flip": Augmentation(flip=True),
    "crop": Augmentation(crop_pixels=2),
    "roll": Augmentation(roll_pixels=3),
    "cutout": Augmentation(cutout_pixels=4),
    "drop": Augmentation(event_drop=0.3),
    "all": Augmentation(True, 2, 3, 4, 0.3),
}


def spikes(samples=60):
    return (np.random.default_rng(1).random((3, samples, 2, 8, 10)) < 0.3).astype(np.uint8)


def changed(augmentation, inputs, seed=0):
    return augment(inputs, augmentation, augmentation_rng(seed, 1))


@pytest.mark.parametrize("name", ALL)
def test_spikes_stay_spikes_and_the_given_array_stays(name):
    inputs = spikes()
    before = inputs.copy()
    found = changed(ALL[name], inputs)
    assert found.dtype == np.uint8
    assert found.shape == inputs.shape
    assert set(np.unique(found)) == {0, 1}
    assert not np.array_equal(found, inputs)
    np.testing.assert_array_equal(inputs, before)


@pytest.mark.parametrize("name", ALL)
def test_a_seed_and_an_epoch_repeat_what_they_drew(name):
    inputs = spikes()
    first = augment(inputs, ALL[name], augmentation_rng(7, 3))
    np.testing.assert_array_equal(first, augment(inputs, ALL[name], augmentation_rng(7, 3)))
    assert not np.array_equal(first, augment(inputs, ALL[name], augmentation_rng(7, 4)))
    assert not np.array_equal(first, augment(inputs, ALL[name], augmentation_rng(8, 3)))


def test_nothing_declared_changes_nothing():
    np.testing.assert_array_equal(changed(Augmentation(), spikes()), spikes())


@pytest.mark.parametrize("name", ["flip", "crop", "roll", "cutout"])
def test_every_step_of_a_sample_is_moved_alike(name):
    picture = spikes()[:1]
    found = changed(ALL[name], np.repeat(picture, 3, axis=0))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def moves(inputs, found, candidates):
    """Which of the candidate pictures each sample has become."""
    seen = []
    for sample in range(inputs.shape[1]):
        hits = [key for key, move in candidates.items() if np.array_equal(found[:, sample], move(inputs[:, sample]))]
        assert len(hits) == 1, "a sample is none of the pictures that it may become"
        seen.append(hits[0])
    return set(seen)


def test_flip_mirrors_some_samples_left_to_right():
    inputs = spikes()
    candidates = {"same": lambda x: x, "mirrored": lambda x: x[..., ::-1]}
    assert moves(inputs, changed(ALL["flip"], inputs), candidates) == set(candidates)


def test_roll_moves_round_by_up_to_its_reach():
    inputs = spikes(800)
    candidates = {
        (y, x): (lambda a, y=y, x=x: np.roll(a, (y, x), (-2, -1))) for y in range(-3, 4) for x in range(-3, 4)
    }
    assert moves(inputs, changed(ALL["roll"], inputs), candidates) == set(candidates)


def test_crop_shifts_and_leaves_nothing_behind():
    inputs = spikes(400)

    def shifted(pictures, y, x):
        found = np.zeros_like(pictures)
        for row in range(8):
            for column in range(10):
                if 0 <= row + y < 8 and 0 <= column + x < 10:
                    found[..., row, column] = pictures[..., row + y, column + x]
        return found

    candidates = {(y, x): (lambda a, y=y, x=x: shifted(a, y, x)) for y in range(-2, 3) for x in range(-2, 3)}
    assert moves(inputs, changed(ALL["crop"], inputs), candidates) == set(candidates)


def test_cutout_clears_one_square_and_nothing_else():
    ones = np.ones((1, 300, 2, 8, 10), np.uint8)
    sizes = set()
    for sample in np.moveaxis(changed(ALL["cutout"], ones), 1, 0):
        rows, columns = np.nonzero(sample[0, 0] == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert len(rows) == height * width  # a filled rectangle
        np.testing.assert_array_equal(sample[0, 0], sample[0, 1])
        sizes.add((int(height), int(width)))
    assert max(sizes) == (4, 4)
    assert {height for height, _ in sizes} == {2, 3, 4}  # over the border hangs at most half of it


def test_drop_takes_its_share_of_the_events():
    ones = np.ones((4, 50, 2, 8, 10), np.uint8)
    kept = changed(ALL["drop"], ones).mean()
    assert abs(kept - 0.7) < 5 * np.sqrt(0.3 * 0.7 / ones.size)


def test_a_line_of_channels_can_be_shifted_and_thinned():
    line = np.eye(9, dtype=np.uint8)[None, 4:5].repeat(200, axis=1)
    found = changed(Augmentation(crop_pixels=3), line)
    assert set(found[0].argmax(1).tolist()) == set(range(1, 8))
    assert changed(ALL["drop"], line).sum() < 200


@pytest.mark.parametrize("name", ["flip", "roll", "cutout"])
def test_a_line_of_channels_has_no_picture_to_change(name):
    with pytest.raises(InvalidInput, match="need pictures"):
        changed(ALL[name], np.zeros((1, 2, 9)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"flip": 1}, "True or False"),
        ({"crop_pixels": -1}, "integer from 0"),
        ({"roll_pixels": 1.5}, "integer from 0"),
        ({"cutout_pixels": True}, "integer from 0"),
        ({"event_drop": 1}, "from 0 to below 1"),
    ],
)
def test_impossible_augmentations_are_refused(fields, message):
    with pytest.raises(InvalidInput, match=f"augmentation: .*{message}"):
        Augmentation(**fields)


def test_what_is_larger_than_the_picture_is_refused():
    with pytest.raises(InvalidInput, match="has 8 pixels"):
        changed(Augmentation(cutout_pixels=9), spikes())
    with pytest.raises(InvalidInput, match=r"give \(steps, batch"):
        changed(Augmentation(), np.zeros((1, 2)))
