"""The main job on very little training: what matters here is that it is whole, and the same twice."""

from dataclasses import replace

import pandas as pd
import pytest
from spikejoule.models.settings.config import TrainConfig
from spikejoule.reports.page.blocks import Paragraph, Table
from spikejoule.reports.sections.contents import build_report
from spikejoule.sim.errors import InvalidInput
from spikejoule.sim.trace.spike_trace import SpikeTrace
from spikejoule.study import Study, run_study

SHORT = Study(
    base=replace(TrainConfig(), epochs=1, train_samples=64),
    variants=("SNN fp32", "SNN int8", "BSNN + AGMM", "BSNN + AGMM, frozen"),
    seeds=(0,),
)


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    folders = [tmp_path_factory.mktemp("runs") for _ in range(2)]
    return [(folder, run_study(SHORT, runs=folder, workers=1)) for folder in folders]


def test_the_same_seeds_give_the_same_traces_twice(twice):
    hashes = [
        {path.name: SpikeTrace.open(path / "trace.zarr").hash for path in folder.iterdir()} for folder, _ in twice
    ]
    assert len(hashes[0]) == 4
    assert hashes[0] == hashes[1]


def test_the_same_seeds_give_the_same_report_numbers_twice(twice):
    first, second = (comparison.summary() for _, comparison in twice)
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_a_run_folder_holds_everything_reports_need(twice):
    names = {"config.json", "weights.safetensors", "log.parquet", "trace.zarr", "counts.parquet"}
    names |= {"parameters.safetensors"}
    for run in twice[0][0].iterdir():
        assert {path.name for path in run.iterdir()} == names


def test_every_accelerator_of_the_study_is_in_the_comparison(twice):
    assert len(twice[0][1].others) == len(SHORT.accelerators) - 1


def test_every_run_is_replayed_at_every_width(twice):
    replayed = twice[0][1].replayed
    assert {name: [[one.state_bits for one in runs] for runs in group] for name, group in replayed.items()} == {
        name: [[None, 16, 8]] for name in SHORT.variants
    }


def test_replays_in_float64_are_the_recordings_but_for_ties(twice):
    for group in twice[0][1].replayed.values():
        check, wide, narrow = group[0]
        assert check.mismatch.differing <= 1e-4 * check.mismatch.places
        assert check.mismatch.differing <= wide.mismatch.differing <= narrow.mismatch.differing


def test_the_report_holds_every_variant_at_every_width(twice):
    section = next(x for x in build_report(twice[0][1]).sections if x.title == "State width")
    table = next(block for block in section.blocks if isinstance(block, Table))
    states = ("float32 as trained", "16 bits", "8 bits")
    assert [row[1] for row in table.rows] == [*states] * 4
    assert [row[0] for row in table.rows if row[0]] == list(SHORT.variants)
    data = table.data.set_index(["variant", "state"])
    for state in data.loc["SNN fp32"].index:
        fp32, int8 = (data.loc[(name, state), "energy_pj"] for name in ("SNN fp32", "SNN int8"))
        assert data.loc[("SNN int8", state), "ratio"] == fp32 / int8
    text = " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))
    assert "SNN fp32 / BSNN + AGMM, both at the same width, is" in text
    assert "replayed, not retrained" in text


def test_prices_at_narrow_widths_are_printed_with_their_source(twice):
    report = build_report(twice[0][1])
    section = next(x for x in report.sections if x.title == "Prices")
    printed = {row[0] for block in section.blocks if isinstance(block, Table) for row in block.rows}
    assert {"add.int8", "add.int16", "multiply.int16", "compare.int8", "sigmoid.int8"} <= printed


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variants": ("SNN fp32", "ANN")}, "'ANN'"),
        ({"variants": ("BSNN",)}, "baseline SNN fp32 is missing"),
        ({"seeds": ()}, "seeds are"),
        ({"seeds": (1, 1)}, "seeds are"),
        ({"accelerators": ()}, "name at least one"),
    ],
)
def test_impossible_studies_are_refused(fields, message):
    with pytest.raises(InvalidInput, match=message):
        Study(**fields)


def test_a_derived_variant_takes_the_rate_of_the_one_it_comes_from():
    study = Study(rates={"SNN fp32": 0.125})
    assert [config.learning_rate for config in study.configs("SNN int8")] == [0.125] * 3


def test_an_unknown_accelerator_is_refused_before_any_training(tmp_path):
    with pytest.raises(InvalidInput, match="'loihi9' is not known"):
        run_study(Study(accelerators=("loihi9",)), runs=tmp_path)
    assert not list(tmp_path.iterdir())
