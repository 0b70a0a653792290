"""Packing against independent oracles: np.packbits for bits, plain Python for planes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.network.fan_out import words_per_row
from spikejoule.sim.trace.packing import pack, pack_planes, unpack, unpack_planes

SHAPES = st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 4), st.integers(1, 70))
DTYPES = [np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint64, np.float16, np.float32, np.float64]


def by_packbits(values):
    """Rows of non-zero bits by NumPy's own packing."""
    rows = (np.asarray(values) != 0).reshape(*values.shape[:2], math.prod(values.shape[2:]))
    padded = np.zeros((*rows.shape[:2], words_per_row(rows.shape[2]) * 64), bool)
    padded[..., : rows.shape[2]] = rows
    return np.packbits(padded, axis=-1, bitorder="little").view("<u8")


@settings(max_examples=60, deadline=None)
@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))), st.sampled_from(DTYPES))
def test_spikes_of_any_dtype_pack_like_packbits(spikes, dtype):
    np.testing.assert_array_equal(pack(spikes.astype(dtype), "spike"), by_packbits(spikes))


@settings(max_examples=60, deadline=None)
@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=st.floats(-2, 2, width=32))))
def test_analog_bits_say_where_a_value_is_not_zero(values):
    np.testing.assert_array_equal(pack(values, "analog"), by_packbits(values))


@settings(max_examples=40, deadline=None)
@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.int32, shape, elements=st.integers(0, 65535))))
def test_graded_planes_are_the_bits_of_the_values(values):
    planes = pack_planes(values, "graded")
    assert len(planes) == max(1, int(values.max(initial=0)).bit_length())
    rows = values.reshape(*values.shape[:2], math.prod(values.shape[2:]))
    for plane, words in enumerate(planes):
        bits = [[[(int(value) >> plane) & 1 for value in row] for row in step] for step in rows]
        np.testing.assert_array_equal(words, by_packbits(np.array(bits).reshape(rows.shape)))
    np.testing.assert_array_equal(pack(values, "graded"), by_packbits(values))
    np.testing.assert_array_equal(unpack_planes(planes, values.shape[2:], "graded"), values)


@settings(max_examples=40, deadline=None)
@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.int8, shape, elements=st.integers(-1, 1))))
def test_signed_spikes_are_a_plane_of_nonzero_and_one_of_negative_bits(values):
    nonzero, negative = pack_planes(values.astype(np.float32), "signed_spike")
    np.testing.assert_array_equal(nonzero, by_packbits(values))
    np.testing.assert_array_equal(negative, by_packbits(values < 0))
    np.testing.assert_array_equal(
        unpack_planes(np.stack([nonzero, negative]), values.shape[2:], "signed_spike"), values
    )


@settings(max_examples=40, deadline=None)
@given(SHAPES.flatmap(lambda shape: hnp.arrays(np.bool_, shape)))
def test_unpacking_inverts_packing(spikes):
    np.testing.assert_array_equal(unpack(pack(spikes, "spike"), spikes.shape[2:]), spikes)


def test_strided_and_byte_swapped_arrays_pack_alike():
    spikes = np.random.default_rng(0).random((4, 6, 100)) < 0.3
    expected = pack(spikes, "spike")
    np.testing.assert_array_equal(pack(np.asfortranarray(spikes), "spike"), expected)
    np.testing.assert_array_equal(pack(spikes.astype(">f4"), "spike"), expected)
    np.testing.assert_array_equal(pack(np.repeat(spikes, 2, axis=0)[::2], "spike"), expected)


def test_minus_zero_is_zero():
    assert pack(np.full((1, 1, 70), -0.0), "spike").tolist() == [[[0, 0]]]


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 63), (1, 2, 64), (2, 0, 99)])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("spike", 2), ("spike", -1), ("spike", 0.5), ("spike", 1e-30), ("spike", np.nan), ("spike", np.nextafter(1, 2)),
        ("signed_spike", -2), ("signed_spike", 0.5), ("signed_spike", np.nan), ("graded", -1), ("graded", 1.5),
        ("graded", 65536), ("graded", np.inf), ("graded", np.nan), ("analog", np.nan), ("analog", -np.inf),
    ],
)  # fmt: skip
def test_a_value_that_contradicts_its_kind_is_refused_and_named(kind, value, place):
    values = np.zeros((3, 3, 100))
    values[place] = value
    with pytest.raises(InvalidInput, match=rf"step {place[0]}, sample {place[1]}, neuron \({place[2]},\) .*{kind}"):
        pack(values, kind)


@pytest.mark.parametrize("values", [np.zeros((2, 2, 2), complex), np.array([[["a"]]]), np.zeros((2, 2)), np.float32(1)])
def test_what_is_no_signal_is_refused(values):
    with pytest.raises(InvalidInput, match="give"):
        pack(values)


def test_an_unknown_kind_is_refused():
    with pytest.raises(InvalidInput, match="use one of spike"):
        pack(np.zeros((1, 1, 1)), "pulse")
