import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spikejoule.energy.machines.prices import Price, load_technology, technology_names
from spikejoule.sim.errors import InvalidInput

HOROWITZ = load_technology("horowitz-45nm")
FIGURES = {"value": 1.0, "low": 0.5, "high": 2.0, "basis": "measured", "source": "somebody 2020"}


@pytest.mark.parametrize("name", technology_names())
def test_every_shipped_technology_names_node_basis_and_source_of_every_price(name):
    technology = load_technology(name)
    prices = [*technology.operations.values(), *(point.price for point in technology.sram)]
    assert prices
    assert all(price.node_nm and price.source and price.basis for price in prices)


@pytest.mark.parametrize(("kib", "pj"), [(8, 10), (32, 20), (1024, 100)])
def test_horowitz_points_are_exact(kib, pj):
    assert HOROWITZ.sram_access(kib, 64).value == pj


def test_below_8_kib_the_8_kib_price_holds():
    assert HOROWITZ.sram_access(0.1, 64) == HOROWITZ.sram_access(8, 64)


def test_above_1_mib_the_price_grows_with_the_square_root_and_is_marked_derived():
    price = HOROWITZ.sram_access(4096, 64)
    assert (price.value, price.basis) == (pytest.approx(200), "derived")


def test_64_kib_lies_on_the_power_law_through_32_kib_and_1_mib():
    # 20 pJ x 2^(log 5 / log 32), by hand: log 5 / log 32 = 0.46439, 2^0.46439 = 1.37973
    assert HOROWITZ.sram_access(64, 64).value == pytest.approx(27.595, abs=1e-3)
    assert HOROWITZ.sram_access(64, 64).low == pytest.approx(20 + 80 * 32 / 992)


@given(st.floats(0.01, 1e6), st.floats(1.0, 100.0))
def test_a_larger_memory_never_costs_less(kib, factor):
    assert HOROWITZ.sram_access(kib * factor, 64).value >= HOROWITZ.sram_access(kib, 64).value * (1 - 1e-12)


def test_a_narrower_word_costs_its_share_and_is_derived():
    price = HOROWITZ.sram_access(8, 16)
    assert (price.value, price.basis) == (2.5, "derived")
    assert HOROWITZ.dram_access(64).basis == "measured"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": -1.0, "low": -1.0}, "not negative"),
        ({"value": math.nan}, "finite"),
        ({"low": 3.0}, "low <= value <= high"),
        ({"value": 0.0, "low": 0.0}, "needs a reason"),
    ],
)
def test_impossible_prices_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Price(**(FIGURES | change))


def test_a_free_action_says_why():
    assert Price(**(FIGURES | {"value": 0.0, "low": 0.0}), reason="sent on idle wires").value == 0


def test_an_unknown_technology_names_the_known_ones():
    with pytest.raises(InvalidInput, match="'tsmc-3nm' is not known; use one of .*horowitz-45nm"):
        load_technology("tsmc-3nm")
