"""Training configurations: what is refused, hashes that last, YAML files, variants and controls."""

import dataclasses
import json
import math

import pytest
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.settings import config as module
from spikejoule.models.settings.config import TrainConfig, config_from_dict, config_to_dict
from spikejoule.models.settings.variants import ALL_VARIANTS, CONTROLS, VARIANTS, variant_config
from spikejoule.sim.errors import InvalidInput


@pytest.mark.parametrize(
    "fields",
    [
        {"fold": -1},
        {"optimiser": "lion"},
        {"momentum": 1.0},
        {"weight_decay": -0.1},
        {"warm_up": 1.5},
        {"label_smoothing": 1},
        {"clip_norm": 0},
        {"patience": 0},
        {"precision": "fp8"},
        {"accumulate": 0},
        {"accumulate": True},
        {"rate_penalty": math.inf},
        {"penalty": "max"},
        {"rate_target": 0.1},
        {"rate_target": {"conv1": 2}, "penalty": "hinge"},
        {"rate_target": {}, "penalty": "hinge"},
        {"rate_target": "low", "penalty": "hinge"},
        {"warm_start": ""},
        {"steps": "4"},
    ],
)
def test_impossible_value_is_refused_by_name(fields):
    with pytest.raises(InvalidInput, match=f"train config: {next(iter(fields))} is .*; it must be "):
        TrainConfig(**fields)


def test_integer_and_float_of_one_value_are_one_config():
    assert TrainConfig(learning_rate=1, width=2).hash == TrainConfig(learning_rate=1.0, width=2.0).hash


def test_targets_are_one_config_in_whatever_order():
    pairs = {"conv1": 0.1, "conv2": 0.2}
    one, other = (TrainConfig(penalty="hinge", rate_target=t) for t in (pairs, dict(reversed(pairs.items()))))
    assert one == other
    assert hash(one) == hash(other)
    assert one.rate_targets == pairs


def test_config_with_targets_survives_json():
    config = TrainConfig(penalty="hinge", rate_target={"conv1": 0.1}, gate=GateConfig(detach=True), learning_rate=0.1)
    again = config_from_dict(json.loads(json.dumps(config_to_dict(config))))
    assert again == config
    assert again.hash == config.hash


CONFIGS = [
    TrainConfig(learning_rate=0.1),
    TrainConfig(learning_rate=0.1, gate=GateConfig()),
    TrainConfig(learning_rate=0.1, gate=GateConfig("constant")),
    TrainConfig(learning_rate=0.1, gate=GateConfig(detach=True)),
    *(TrainConfig(learning_rate=0.1, **{n: v}) for n, v in [("seed", 1), ("fold", 0), ("patience", 1), ("steps", 4)]),
    TrainConfig(learning_rate=0.1, penalty="hinge"),
    TrainConfig(learning_rate=0.1, penalty="hinge", rate_target=0.1),
    TrainConfig(learning_rate=0.1, penalty="hinge", rate_target={"conv1": 0.1}),
]


def test_different_configs_have_different_hashes():
    assert len({config.hash for config in CONFIGS}) == len(CONFIGS)


def test_hash_of_this_version_lasts():
    # these may change only together with FORMAT_VERSION: finished runs are found by them
    assert module.FORMAT_VERSION == 2
    assert TrainConfig(learning_rate=0.1).hash == "c57b3f31ed04a021"
    assert TrainConfig(learning_rate=0.1, steps=4, gate=GateConfig("constant")).hash == "039f4368c36b2c88"


def test_new_field_leaves_the_hashes_as_they_are():
    longer = dataclasses.make_dataclass(
        "Longer", [("shape", str, dataclasses.field(default="round"))], bases=(TrainConfig,), frozen=True
    )
    assert longer(learning_rate=0.1, seed=3).hash == TrainConfig(learning_rate=0.1, seed=3).hash
    assert longer(learning_rate=0.1, seed=3, shape="square").hash != TrainConfig(learning_rate=0.1, seed=3).hash


def test_main_job_has_its_six_variants():
    assert len(VARIANTS) == 6
    assert not VARIANTS.keys() & CONTROLS.keys()


@pytest.mark.parametrize("name", ALL_VARIANTS)
def test_every_variant_and_control_has_its_name(name):
    assert variant_config(name).variant == name


def test_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInput, match=r"variant 'ANN' is not known; .*BSNN \+ alpha\[t\]"):
        variant_config("ANN")
