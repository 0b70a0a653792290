"""Predictions against published measurements of chips, through the public functions."""

import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from spikejoule.energy.accelerator import accelerator_names, load_accelerator
from spikejoule.energy.estimate import estimate
from spikejoule.energy.silicon import (
    EventCounts,
    chip_energy,
    fit_core_power,
    keyword_spotting_pj,
    scaling_slope_pj,
    static_energy_pj,
)
from spikejoule.energy.validation import validation
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.trace import SpikeTrace, TraceWriter
from spikejoule.sim.workload import Linear, Workload

ROOT = Path(__file__).parent.parent
CASES = {c["id"]: c for c in json.loads((ROOT / "tests/cases/silicon_cases.json").read_text())["cases"]}
DAVIES, SANAFE = load_accelerator("loihi1-davies2018"), load_accelerator("loihi1-sanafe")
INCOMPLETE = ("spinnaker2-hoeppner2021", "spinnaker2-prototype", "odin", "morphic")


@pytest.mark.parametrize(("active", "expected"), [(0, 7.63), (1e4, 7.92)])
def test_autoencoder_events_with_davies_figures(active, expected):
    energy = chip_energy(DAVIES, EventCounts(3e5, 1e4, active, 2e4, 2e4))
    assert energy.events_pj * 1e-6 == pytest.approx(expected, abs=0.005)
    assert energy.total_pj is None  # no time: no total


def test_autoencoder_total_is_events_plus_static_power_times_measured_time():
    counts = EventCounts(3e5, 1e4, 1e4, 2e4, 2e4)
    energy = chip_energy(DAVIES, counts, seconds=48.3e-6, static_power_w=16.05)
    assert energy.static_pj == pytest.approx(16.05 * 48.3e6)
    assert energy.total_pj * 1e-6 == pytest.approx(783.1, abs=0.1)


@pytest.mark.parametrize("chip", [DAVIES, SANAFE], ids=lambda chip: chip.name)
@pytest.mark.parametrize("rate", ["0.02", "0.05", "0.1", "0.2"])
def test_scaling_slopes(chip, rate):
    published = {p["model"]: p for p in CASES["loihi1_kws_scaling"]["predictions"]}
    model = "sanafe_loihi" if chip is SANAFE else "loihi1_davies2018"
    predicted, ratio = published[model]["by_rate"][rate]
    slope = scaling_slope_pj(chip, float(rate)) * 1e-6
    assert slope == pytest.approx(predicted, abs=0.0006)
    assert slope / 1.640 == pytest.approx(ratio, abs=0.001)


@pytest.mark.parametrize(("rate", "expected"), [(0.1, 4.36), (1.0, 41.2)])
def test_keyword_spotting(rate, expected):
    assert keyword_spotting_pj(DAVIES, rate) * 1e-6 == pytest.approx(expected, rel=2e-3)


def test_truenorth_form():
    runs = CASES["truenorth_eedn_8nets"]["measured"]
    columns = ([run[key] for run in runs] for key in ("cores", "fps"))
    fit = fit_core_power(*columns, [run["power_mW"] * 1e-3 for run in runs])
    assert fit.watt_per_core * 1e6 == pytest.approx(31.0, abs=0.05)
    assert fit.joule_per_core_tick * 1e9 == pytest.approx(14.5, abs=0.05)
    assert -0.14 < fit.errors.min() < fit.errors.max() < 0.10
    assert abs(fit.left_out).mean() == pytest.approx(0.094, abs=5e-4)
    assert fit.left_out.min() == pytest.approx(-0.158, abs=5e-4)


@pytest.mark.parametrize("call", [lambda: EventCounts(-1, 0, 0, 0, 0), lambda: static_energy_pj(1, float("nan"))])
def test_impossible_figures_are_refused(call):
    with pytest.raises(InvalidInput, match="finite number from 0"):
        call()


def test_a_rate_above_one_is_refused():
    with pytest.raises(InvalidInput, match="0 to 1"):
        keyword_spotting_pj(DAVIES, 1.5)


@pytest.fixture
def trace(tmp_path):
    net = Workload(name="net", input_shape=(40,), layers=(Linear(name="fc", in_shape=(40,), out_features=300),))
    rng = np.random.default_rng(0)
    with TraceWriter(tmp_path / "a.zarr", net, 3) as writer:
        writer.append({"input": rng.random((3, 2, 40)) < 0.3, "fc": rng.random((3, 2, 300)) < 0.1})
    return SpikeTrace.open(tmp_path / "a.zarr")


def test_truenorth_total_by_hand(trace):
    result = estimate(trace, load_accelerator("truenorth"))
    assert result.events_pj == pytest.approx(trace.read("input").sum() / 2 * 300 * 2.297)
    assert result.static_pj == pytest.approx(2 * 15.73e-6 * result.latency_s * 1e12)  # 300 neurons: two cores
    assert result.total_pj == result.events_pj + result.static_pj


def test_three_numbers_in_the_json_form(trace):
    data = estimate(trace, DAVIES).to_dict()
    assert data["static_pj"] == pytest.approx(0.104 * 337.3e-6 * estimate(trace, DAVIES).actions.steps * 1e12)
    assert data["total_pj"] == data["events_pj"] + data["static_pj"]
    assert data["static"]["static_power_w"]["value"] == 0.104
    assert "Frady" in data["static"]["static_power_w"]["source"]
    assert any("idle" in band["measured"] for band in data["validation"]["bands"])


@pytest.mark.parametrize(("name", "step_s"), [("loihi1-davies2018", 337.3e-6), ("truenorth", 1e-3)])
def test_power_and_energy_delay_in_the_json_form_are_of_the_total_over_its_time(trace, name, step_s):
    result = estimate(trace, load_accelerator(name))
    data, seconds = json.loads(json.dumps(result.to_dict())), step_s * result.actions.steps
    joules = (sum(row["energy_pj"] for row in data["table"]) + data["static_pj"]) * 1e-12
    assert data["energy_delay_js"] == pytest.approx(joules * seconds)
    assert data["power_w"] == pytest.approx(joules / seconds)


def test_power_of_a_chip_is_its_static_power_and_that_of_the_events(trace):
    result = estimate(trace, DAVIES)
    assert result.power_w == pytest.approx(0.104 + result.events_pj * 1e-12 / (result.actions.steps * 337.3e-6))


def test_without_static_power_there_is_no_total(trace):
    data = estimate(trace, load_accelerator("sop-45nm")).to_dict()
    assert data["static_pj"] is None
    assert data["total_pj"] is None


@pytest.mark.parametrize("name", INCOMPLETE)
def test_an_incomplete_chip_shows_its_prices_and_refuses_a_total(trace, name):
    chip = load_accelerator(name)
    assert chip.prices
    with pytest.raises(InvalidInput, match=f"{name}.*incomplete.*Missing:.*static power"):
        estimate(trace, chip)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"complete": True}, "complete is True"),
        ({"missing": []}, "missing lists 0 parts"),
        (
            {"static": {"static_power_w": {"value": 1.0, "basis": "measured"}}},
            "power_w.source: is missing",
        ),
        ({"static": {"static_power_w": {"value": -1, "basis": "measured", "source": "me"}}}, "0 <= low <= value"),
    ],
)
def test_bad_static_sections_and_flags_are_refused(tmp_path, change, message):
    source = yaml.safe_load((ROOT / "energy/accelerators/odin.yaml").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(source | change))
    with pytest.raises(InvalidInput, match=message):
        load_accelerator(path)


@pytest.mark.parametrize("key", ["static_power_w", "seconds_per_step"])
def test_a_static_figure_of_zero_needs_a_reason(tmp_path, key):
    source = yaml.safe_load((ROOT / "energy/accelerators/loihi1-sanafe.yaml").read_text())
    zero = {"value": 0, "basis": "measured", "source": "me"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(source | {"static": source["static"] | {key: zero}}))
    with pytest.raises(InvalidInput, match=f"static.{key}: a figure of 0 needs a reason"):
        load_accelerator(path)
    zero["reason"] = "switched off between steps"
    path.write_text(yaml.safe_dump(source | {"static": source["static"] | {key: zero}}))
    assert getattr(load_accelerator(path).static, key).value == 0


@pytest.mark.parametrize("name", accelerator_names())
def test_every_accelerator_says_what_it_models_and_how_it_was_checked(name):
    about = validation(load_accelerator(name))
    assert about.modelled
    assert about.not_modelled
    assert about.bands or about.verdict.startswith("none: ")


def test_the_band_of_the_keyword_spotter_by_hand():
    """4.36 uJ in events and 104 mW x 3.373 ms, over what was measured: 47.0 uJ above one idle, 371.7 uJ in total."""
    bands = {
        (b.predicted.split(",")[0], b.measured): b for b in validation(DAVIES).bands if "rate of 0.1" in b.predicted
    }
    above_idle = bands["events", "dynamic, above the idle after a first run"]
    total = bands["events + static power x measured time", "total"]
    assert above_idle.low == pytest.approx(4.36 / 47.0, rel=0.01)
    assert total.high == pytest.approx((4.36 + 104e-3 * 3373) / 371.7, rel=0.002)


def test_every_measured_dynamic_energy_names_its_idle():
    dynamic = [b.measured for chip in (DAVIES, SANAFE) for b in validation(chip).bands if "dynamic" in b.measured]
    assert dynamic
    assert all("idle" in measured or "above static" in measured for measured in dynamic)


def test_a_changed_machine_has_no_band():
    assert validation(dataclasses.replace(DAVIES, title="mine")).bands == ()
    assert "nothing was compared" in validation(dataclasses.replace(DAVIES, name="mine")).verdict


def test_static_power_as_a_price_per_step():
    assert DAVIES.static.step_price_pj(None) == pytest.approx((0.104 * 337.3e6,) * 3)
    assert load_accelerator("truenorth").static.step_price_pj(1e-3) == pytest.approx((15730.0,) * 3)
    assert dataclasses.replace(DAVIES.static, seconds_per_step=None).step_price_pj(None) is None


def test_the_time_behind_the_static_part_is_the_measured_one(trace):
    result = estimate(trace, DAVIES)
    assert result.static_time_s == pytest.approx(result.actions.steps * 337.3e-6)
    assert result.compared_pj == result.total_pj


def test_the_page_and_its_figure_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("validation")
    text, bands, _ = module.page()
    assert (ROOT / "docs" / "validation.md").read_text() == text, "run: python benchmarks/validation.py"
    assert (ROOT / "energy" / "validation.yaml").read_text() == bands, "run: python benchmarks/validation.py"
    assert module.digest(text) in (ROOT / "docs" / "validation.svg").read_text()
