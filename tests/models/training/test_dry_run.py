"""The dry run: real shapes, counted parameters, measured time and memory."""

from dataclasses import replace

import pytest
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.settings.recipes import DataShape
from spikejoule.models.training.dry_run import dry_run
from spikejoule.sim.errors import InvalidInput

CONFIG = TrainConfig(steps=3, width=0.5, batch_size=8)
EVENTS = DataShape(input_shape=(2, 16, 16), classes=10, training_samples=1077)


def test_parameters_by_hand():
    result = dry_run(replace(CONFIG, gate=GateConfig()), EVENTS)
    convolutions = 9 * (2 * 8 + 8 * 16 + 16 * 16)
    norms, classifier, gates = 2 * (8 + 16 + 16), 16 * 10 + 10, 3 * 3  # one alpha per step and layer
    assert result.parameters == convolutions + norms + classifier + gates
    assert result.parameter_bytes == 4 * result.parameters


def test_epoch_is_made_of_whole_batches():
    result = dry_run(CONFIG, EVENTS)
    assert result.steps_per_epoch == 1077 // 8
    assert result.seconds_per_epoch == pytest.approx(result.seconds_per_step * result.steps_per_epoch)
    assert dry_run(replace(CONFIG, train_samples=64), EVENTS).steps_per_epoch == 8


@pytest.mark.parametrize("shape", [EVENTS, DataShape((3, 8, 8), 100, 50, "analog", held_input=True)])
def test_any_data_can_be_tried_before_it_is_there(shape):
    result = dry_run(replace(CONFIG, dataset="nmnist"), shape)
    assert result.device == "cpu"
    assert result.seconds_per_step > 0
    assert result.peak_memory_bytes > 50e6  # an interpreter with torch


def test_unknown_kind_of_input_is_refused():
    with pytest.raises(InvalidInput, match="input_kind is 'graded'"):
        dry_run(CONFIG, replace(EVENTS, input_kind="graded"))
