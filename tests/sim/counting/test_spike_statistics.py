"""Statistics of spikes and traffic, worked by hand and against plain loops; more of them in test_layer_counts.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikejoule.sim.counting.spike_statistics import (
    core_traffic,
    layer_statistics,
    merge_statistics,
    row_fetches,
    spike_statistics,
    touched_neurons,
)
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.fan_out import pack_bits
from spikejoule.sim.network.workload import Conv2d, Linear, Pool, RecurrentLinear


def packed(spikes):
    """(steps, samples, neurons) as words."""
    spikes = np.asarray(spikes, bool)
    return np.array([[pack_bits(sample) for sample in step] for step in spikes]).reshape(*spikes.shape[:2], -1)


def one_sample(text):
    """Spikes of one sample, one line a step, such as '1.1'."""
    return packed([[[mark == "1" for mark in line]] for line in text.split()])


def test_intervals_lie_between_consecutive_spikes_of_one_neuron():
    # neuron 0 fires at 0, 1, 4; neuron 1 at 2 and 4; neuron 2 never
    statistics = spike_statistics(one_sample("1.. 1.. .1. ... 11."), 3)
    assert statistics.intervals.tolist() == [0, 1, 1, 1, 0]


def test_histogram_counts_neurons_by_their_spikes():
    statistics = spike_statistics(one_sample("1.. 1.. .1. ... 11."), 3)
    assert statistics.histogram.tolist() == [1, 0, 1, 1, 0, 0]


def test_intervals_do_not_reach_from_sample_to_sample():
    first_fires_late_second_early = packed([[[0], [1]], [[1], [0]]])
    assert spike_statistics(first_fires_late_second_early, 1).intervals.tolist() == [0, 0]


def test_silent_share_is_per_sample_and_never_fired_over_all():
    statistics = spike_statistics(packed([[[1, 0, 0, 0], [1, 1, 0, 0]]]), 4)
    assert (statistics.silent.tolist(), statistics.silent_share, statistics.never_fired_share) == ([3, 2], 5 / 8, 0.5)


def test_firing_rate_is_spikes_per_neuron_and_step():
    assert spike_statistics(one_sample("1... 11.."), 4).firing_rate == 3 / 8


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 999), st.integers(1, 70), st.integers(1, 6), st.integers(0, 3), st.sampled_from([0.0, 0.4, 1.0]))
def test_spike_times_equal_plain_loops(seed, neurons, steps, samples, rate):
    spikes = np.random.default_rng(seed).random((steps, samples, neurons)) < rate
    words = packed(spikes) if samples else np.zeros((steps, 0, -(-neurons // 64)), np.uint64)
    statistics = spike_statistics(words, neurons)
    histogram, intervals = [0] * (steps + 1), [0] * steps
    for sample in range(samples):
        for neuron in range(neurons):
            times = [step for step in range(steps) if spikes[step, sample, neuron]]
            histogram[len(times)] += 1
            for before, after in itertools.pairwise(times):
                intervals[after - before] += 1
    assert (statistics.histogram.tolist(), statistics.intervals.tolist()) == (histogram, intervals)
    assert statistics.spikes_per_neuron.tolist() == spikes.sum(axis=(0, 1)).tolist()


def test_a_wrong_number_of_neurons_is_refused():
    with pytest.raises(InvalidInput, match="1 words a row; 65 neurons take 2"):
        spike_statistics(np.zeros((1, 1, 1), np.uint64), 65)


def corner_spike(layer):
    x = np.zeros((1, 1, layer.inputs), bool)
    x[..., 0] = True
    return packed(x)


CONV = Conv2d(name="conv", in_shape=(1, 4, 4), out_channels=2, kernel_size=3, padding=1)


def test_a_corner_spike_touches_four_positions_of_each_channel():
    bits = np.unpackbits(touched_neurons(CONV, corner_spike(CONV)).view(np.uint8), bitorder="little")
    assert np.flatnonzero(bits).tolist() == [0, 1, 4, 5, 16, 17, 20, 21]


def test_neighbours_share_the_neurons_they_touch():
    x = np.zeros((1, 1, 16), bool)
    x[..., :2] = True
    statistics = layer_statistics(CONV, packed(x))
    assert (statistics.counts.all_weights.item(), statistics.touched.item()) == (20, 12)


def test_row_fetches_of_a_corner_spike_by_layout():
    fetches = row_fetches(CONV, corner_spike(CONV))
    assert (fetches.tap_major.item(), fetches.kernel_major.item()) == (4, 2)


def test_a_spike_that_no_tap_reads_fetches_nothing():
    layer = Conv2d(name="conv", in_shape=(1, 3, 3), out_channels=2, kernel_size=1, stride=2)
    x = np.zeros((1, 1, 9), bool)
    x[..., 4] = True  # the middle falls between the strides
    fetches = row_fetches(layer, packed(x))
    assert (fetches.tap_major.item(), fetches.kernel_major.item()) == (0, 0)


def test_pooling_fetches_no_weights():
    layer = Pool(name="pool", in_shape=(1, 4, 4), mode="average", kernel_size=2)
    assert row_fetches(layer, corner_spike(layer)).tap_major.item() == 0


def test_traffic_goes_to_the_cores_of_the_targets():
    layer = Linear(name="fc", in_shape=(3,), out_features=4)
    traffic = core_traffic(layer, packed([[[1, 0, 1]]]), np.array([0, 0, 1]), np.array([0, 2, 2, 2]))
    assert traffic.spikes.tolist() == [[[1, 1]]]
    assert traffic.events.tolist() == [[[2, 0, 6]]]
    assert traffic.packets.tolist() == [[[[1, 0, 1], [1, 0, 1]]]]


def test_traffic_can_leave_zero_weights_out():
    mask = np.array([[1, 1], [0, 1]], bool)
    layer = Linear(name="fc", in_shape=(2,), out_features=2, nonzero=mask)
    spikes, cores = packed([[[1, 1]]]), (np.array([0, 1]), np.array([0, 1]))
    assert core_traffic(layer, spikes, *cores).events.tolist() == [[[2, 2]]]
    skipping = core_traffic(layer, spikes, *cores, skip_zero_weights=True)
    assert skipping.events.tolist() == [[[2, 1]]]
    assert skipping.packets.tolist() == [[[[1, 0], [1, 1]]]]


def test_recurrent_events_arrive_one_step_later():
    layer = RecurrentLinear(name="back", in_shape=(2,), out_features=2, source="a", joins="a")
    words, one_core = packed([[[1, 1]], [[1, 0]]]), (np.zeros(2, int), np.zeros(2, int))
    statistics = layer_statistics(layer, words, one_core)
    assert statistics.counts.all_weights.ravel().tolist() == [0, 4]
    assert statistics.touched.ravel().tolist() == [0, 2]
    assert statistics.traffic.events.ravel().tolist() == [0, 4]
    assert statistics.fetches.tap_major.ravel().tolist() == [0, 2]


@pytest.mark.parametrize("cores", [np.zeros(2, int), np.array([0, 0, -1]), np.zeros(3)])
def test_a_mapping_that_does_not_fit_is_named(cores):
    layer = Linear(name="fc", in_shape=(3,), out_features=4)
    with pytest.raises(InvalidInput, match="'fc': source_cores .* must be 3 core numbers"):
        core_traffic(layer, packed([[[1, 0, 1]]]), cores, np.zeros(4, int))


def test_no_chunk_is_refused():
    with pytest.raises(InvalidInput, match="no chunk"):
        merge_statistics([])
