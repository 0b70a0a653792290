"""Trainings as files: what they say, and what is refused."""

from dataclasses import replace
from importlib.resources import files

import pytest
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.settings.recipes import load_recipe
from spikejoule.models.training.fit import network_config
from spikejoule.sim.errors import InvalidInput

OTHER = ("ablate_", "learning_rates")
SHIPPED = [
    path.name.removesuffix(".yaml")
    for path in files("spikejoule").joinpath("configs").iterdir()
    if path.name.endswith(".yaml") and not path.name.startswith(OTHER)
]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_build_their_network_and_name_their_source(name):
    recipe = load_recipe(name)
    assert recipe.data is not None
    assert recipe.published is not None
    assert recipe.published.source
    assert recipe.config.learning_rate is not None
    network = network_config(replace(recipe.config, width=0.05), recipe.data)
    assert SpikingNetwork(network).workload().input_shape == recipe.data.input_shape


def test_the_published_rows_of_agmm_are_there():
    # the two figures known to us: CIFAR-10, ResNet-19, T = 2 and ImageNet, ResNet-18, T = 4
    known = {name: load_recipe(name) for name in ("agmm_cifar10_resnet19", "agmm_imagenet_resnet18")}
    assert {name: (r.config.steps, r.published.accuracy_percent) for name, r in known.items()} == {
        "agmm_cifar10_resnet19": (2, 96.13),
        "agmm_imagenet_resnet18": (4, 64.67),
    }


def test_config_from_yaml(tmp_path):
    file = tmp_path / "sparse.yaml"
    file.write_text(
        "dataset: digits\nsteps: 4\ngate: {kind: constant}\n"
        "rate_penalty: 1\npenalty: hinge\nrate_target: {conv1: 0.1}\n"
    )
    expected = replace(
        TrainConfig(dataset="digits", steps=4), gate=GateConfig("constant"), rate_penalty=1.0, penalty="hinge"
    )
    assert load_recipe(file).config == replace(expected, rate_target={"conv1": 0.1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rte: 0.1", "learning_rte is not known; use any of network, dataset"),
        ("gate: {knd: agmm}", r"gate\.knd is not known; use any of kind, axes"),
        ("steps: '4'", "steps is '4'; it must be an integer"),
        ("gate: {kind: agm}", "kind is 'agm'"),
        (
            "data: {input_shape: [3, 8, 8], classes: 10}",
            "data must be a mapping with input_shape, classes, training_samp",
        ),
        ("published: {accuracy_percent: 1, source: x, year: 2}", "published must be a mapping"),
        ("- 4", "holds no mapping"),
        ("steps: [", "cannot be read as YAML"),
    ],
)
def test_bad_yaml_is_refused_with_file_and_key(tmp_path, text, message):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=rf"bad\.yaml: .*{message}"):
        load_recipe(file)


def test_missing_yaml_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"none\.yaml' is not known"):
        load_recipe(tmp_path / "none.yaml")
