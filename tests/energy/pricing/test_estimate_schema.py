"""What estimate --json prints satisfies docs/estimate.schema.json, on every complete machine and published formula."""

import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from spikejoule import cli
from spikejoule.commands import pricing
from spikejoule.energy.machines.accelerator import accelerator_names, load_accelerator
from spikejoule.sim.network.workload import Conv2d, Linear, Workload
from spikejoule.sim.trace.trace_writer import TraceWriter
from typer.testing import CliRunner

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "estimate.schema.json").read_text())
COMPLETE = [name for name in accelerator_names() if load_accelerator(name).complete]
CONV = Conv2d(name="conv", in_shape=(1, 5, 5), out_channels=4, kernel_size=3, weight_kind="binary")
FC = Linear(name="fc", in_shape=(4, 3, 3), out_features=2, source="conv", neuron="readout")
NET = Workload(name="net", input_shape=(1, 5, 5), layers=(CONV, FC))


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("schema") / "trace.zarr", np.random.default_rng(0)
    with TraceWriter(path, NET, 3, provenance={"seed": 0, "versions": {"torch": "9.9"}}) as writer:
        writer.append({name: rng.random((3, 8, *shape)) < 0.3 for name, (shape, _) in NET.signals.items()})
    return path


def printed(*words):
    result = CliRunner().invoke(cli.app, ["estimate", *map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output, parse_constant=pytest.fail)  # NaN and Infinity are no JSON


def errors(document):
    return [f"{list(error.path)}: {error.message}" for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_every_kind_of_machine_is_tried():
    assert {load_accelerator(name).architecture.kind for name in COMPLETE} == {"operations", "grid", "event"}


@pytest.mark.parametrize("accelerator", COMPLETE)
def test_estimates_satisfy_it(trace, accelerator):
    assert errors(printed(trace, "-a", accelerator)) == []


def test_scores_satisfy_it(trace):
    scores = printed(trace, "--all-models")
    assert errors(scores) == []
    assert any(score["energy_pj"] is None for score in scores)


@pytest.mark.parametrize(
    "change",
    [
        {"energy": 1.0},
        {"energy_pj": "1 pJ"},
        {"energy_pj": -1},
        {"schema": "spikejoule.estimate/2"},
        {"trace_hash": "abc"},
        {"firing_rate": 30},
        {"table": []},
        {"table": [{"layer": "fc"}]},
        {"omitted": {"leakage": ""}},
        {"static": {"per": "chip"}},
    ],
)
def test_other_documents_do_not(trace, change):
    document = printed(trace, "-a", "sop-45nm")
    assert errors(document | copy.deepcopy(change))


@pytest.mark.parametrize("name", ["energy_pj", "static_pj", "table", "provenance"])
def test_a_missing_field_is_an_error(trace, name):
    document = printed(trace, "-a", "sop-45nm")
    del document[name]
    assert errors(document)


def test_the_table_adds_up_to_the_energy(trace):
    document = printed(trace, "-a", "event-driven-45nm")
    assert sum(row["energy_pj"] for row in document["table"]) == pytest.approx(document["energy_pj"])


def test_figures_that_json_lacks_are_null_and_text():
    made = pricing._json_figures({"a": [math.nan, math.inf, -math.inf, 1.5], "b": (None, "x", 3)})
    assert made == {"a": [None, "inf", "-inf", 1.5], "b": [None, "x", 3]}
