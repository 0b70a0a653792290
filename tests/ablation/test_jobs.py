"""What an ablation file means: its points, its trainings in their order, and what it refuses."""

from pathlib import Path

import pytest
import yaml
from spikejoule.ablation.jobs import jobs, load_ablation, plan
from spikejoule.models.settings.config import TrainConfig
from spikejoule.sim.errors import InvalidInput

ROOT = Path(__file__).parents[2]
SMALLEST = {"schema": "spikejoule.ablation/1", "title": "t", "variants": ["BSNN"]}
TWINS = 1  # by default one reference, at full width


def load(folder, **keys):
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(SMALLEST | keys))
    return load_ablation(path)


@pytest.fixture
def points(tmp_path):
    def made(**keys):
        return [job for job in jobs(load(tmp_path, **keys)) if job.point]

    return made


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("ablate_*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_ablation_can_be_planned_by_its_name(path):
    assert plan(load_ablation(path.stem))


def test_a_grid_is_the_product_of_axes_variants_and_seeds(points):
    found = points(variants=["BSNN", "BSNN + AGMM"], grid={"threshold": [1, 2], "leak": [0.5, 0.9, 0.25]}, seeds=[0, 5])
    assert len(found) == 2 * 2 * 3 * 2
    assert {(job.config.threshold, job.config.leak) for job in found} == {
        (threshold, leak) for threshold in (1.0, 2.0) for leak in (0.5, 0.9, 0.25)
    }


def test_several_grids_are_united_and_what_they_share_is_one_job(points):
    found = points(grid=[{"threshold": [1, 2]}, {"threshold": [2], "leak": [0.5]}, {"steps": [4]}])
    assert [(job.config.threshold, job.config.steps) for job in found] == [(1.0, 10), (2.0, 10), (1.0, 4)]


def test_how_nothing_is_penalised_makes_no_second_job(points):
    assert len(points(grid={"rate_penalty": [0], "penalty": ["mean", "hinge"]})) == 1


def test_gates_weight_bits_and_hinges_by_layer_are_axes(points):
    gate = {"kind": "agmm", "axes": "sample", "detach": True, "alpha_init": 1.0}
    one = points(base={"learning_rate": 0.02}, grid={"gate": [None, gate]})
    assert [job.config.variant for job in one] == ["BSNN", "BSNN + AGMM (sample, detached)"]
    two = points(grid={"weight_bits": [1, 32]})
    assert [job.config.variant for job in two] == ["BSNN", "SNN fp32"]
    hinge = {"rate_penalty": [3], "penalty": ["hinge"], "rate_target": [{"conv2": 0.1, "conv1": 0.05}]}
    assert points(grid=hinge)[0].config.rate_targets == {"conv1": 0.05, "conv2": 0.1}


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_latin_hypercube_has_one_sample_in_each_stratum_of_each_axis(points, scale):
    axes = {"threshold": [0.5, 4.5, scale], "steps": [1, 65]}
    found = points(latin_hypercube={"samples": 8, "seed": 3, "axes": axes})
    edges = [0.5 + i * 0.5 for i in range(9)] if scale == "linear" else [0.5 * 9 ** (i / 8) for i in range(9)]
    values = sorted(job.config.threshold for job in found)
    assert all(low <= value <= high for low, value, high in zip(edges, values, edges[1:], strict=False))
    strata = sorted((job.config.steps - 1) / 8 for job in found)
    assert all(place - 0.1 <= value <= place + 1.1 for place, value in enumerate(strata))
    assert all(isinstance(job.config.steps, int) for job in found)


def test_the_same_hypercube_twice_is_the_same_and_another_seed_is_another(points):
    first, again, other = (
        points(latin_hypercube={"samples": 4, "seed": seed, "axes": {"leak": [0, 0.9]}}) for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_every_sample_meets_every_point_of_the_grid(points):
    found = points(grid={"steps": [2, 4]}, latin_hypercube={"samples": 3, "axes": {"threshold": [1, 2]}})
    assert len({(job.config.steps, job.config.threshold) for job in found}) == 6


def test_penalised_runs_start_from_the_same_config_without_penalty(tmp_path):
    warm = {"epochs": 3, "learning_rate": 0.01}
    tasks = plan(
        load(tmp_path, base={"epochs": 7}, grid={"rate_penalty": [1, 2], "threshold": [1, 2]}, warm_start=warm)
    )
    trained = {task.config.hash: task for task in tasks}
    starts = [task for task in tasks if task.start is None]
    followers = [task for task in tasks if task.start is not None]
    assert tasks == starts + followers
    assert len(followers) == 4
    for task in followers:
        start = trained[task.start].config
        assert (start.rate_penalty, start.threshold, start.seed) == (0, task.config.threshold, task.config.seed)
        assert (start.epochs, start.learning_rate) == (7, 0.04)
        assert (task.config.epochs, task.config.learning_rate) == (3, 0.01)


def test_starts_that_no_one_asked_for_are_trained_but_are_no_row(tmp_path):
    sweep = load(tmp_path, grid={"rate_penalty": [1]}, warm_start={})
    assert sorted(len(task.jobs) for task in plan(sweep)) == [0, 1, TWINS]
    assert len(jobs(sweep)) == 1 + TWINS


def test_without_a_warm_start_nothing_waits(tmp_path):
    assert not [task for task in plan(load(tmp_path, grid={"rate_penalty": [0, 1]})) if task.start]


def test_what_is_derived_shares_the_training(tmp_path):
    sweep = load(tmp_path, variants=["SNN fp32", "SNN int8"], warm_start={}, grid={"rate_penalty": [0, 1]})
    assert [sorted(job.config.variant for job in task.jobs) for task in plan(sweep)] == [["SNN fp32", "SNN int8"]] * 2


def test_a_point_that_is_a_twin_too_is_one_job(tmp_path):
    found = jobs(load(tmp_path, variants=["SNN int8"], twins=[1.0, 0.5]))
    assert [(job.config.width, job.point, job.twin) for job in found] == [(1.0, True, True), (0.5, False, True)]


def test_twins_are_swept_over_a_grid_of_their_own(tmp_path):
    grids = [{"rate_penalty": [0, 1], "threshold": [1, 2]}, {"leak": [0.9]}]
    sweep = load(tmp_path, twins=[1.0, 0.5], twin_grid=grids, seeds=[0, 1])
    found = [job.config for job in jobs(sweep) if job.twin]
    assert len(found) == 2 * (2 * 2 + 1) * 2
    assert {(c.width, c.rate_penalty, c.threshold, c.leak) for c in found} == {
        *((width, penalty, threshold, 0.5) for width in (1.0, 0.5) for penalty in (0, 1) for threshold in (1, 2)),
        *((width, 0, 1, 0.9) for width in (1.0, 0.5)),
    }
    assert sweep.axes == ("threshold", "leak", "rate_penalty")


def test_without_a_grid_of_their_own_twins_keep_their_hashes(tmp_path):
    """The runs of files from before there was one."""
    sweep = load(tmp_path, base={"dataset": "digits", "steps": 4}, twins=[0.5])
    expected = TrainConfig(dataset="digits", steps=4, width=0.5, weight_bits=32, derived="int8").hash
    assert [job.config.hash for job in jobs(sweep) if job.twin] == [expected]


def test_a_penalised_int8_twin_is_derived_from_a_run_that_has_its_warm_start(tmp_path):
    sweep = load(tmp_path, twin_grid={"rate_penalty": [1]}, warm_start={"epochs": 3})
    (penalised,) = [task for task in plan(sweep) if task.start]
    assert [job.config.variant for job in penalised.jobs] == ["SNN int8"]
    assert (penalised.config.derived, penalised.config.rate_penalty, penalised.config.epochs) == (None, 1, 3)
    assert penalised.start == TrainConfig(weight_bits=32).hash


def test_every_state_width_has_its_twins_and_no_training_of_its_own(tmp_path):
    sweep = load(tmp_path, grid={"state_bits": [32, 16, 8]}, twins=[1.0, 0.5])
    assert len(jobs(sweep)) == 3 + 2 * 3
    assert len(plan(sweep)) == 3


def test_seeds_share_a_setting_and_axes_do_not(points):
    found = points(seeds=[0, 1], grid={"rate_penalty": [0, 1]}, warm_start={})
    assert [job.setting for job in found].count(found[0].setting) == 2
    assert len({job.setting for job in found}) == 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"schema": "spikejoule.ablation/9"}, "schema"),
        ({"tresholds": [1]}, "tresholds: unknown key"),
        ({"variants": ["ANN"]}, "'ANN' is not known"),
        ({"variants": []}, "variants"),
        ({"reference": "ANN"}, "'ANN' is not known"),
        ({"seeds": [0, 0]}, "seeds"),
        ({"seeds": ["zero"]}, "seeds.0"),
        ({"base": {"gate": None}}, "base.gate"),
        ({"base": {"treshold": 1}}, "base.treshold"),
        ({"base": {"steps": 0}}, "steps is 0"),
        ({"grid": {"treshold": [1]}}, "grid.treshold"),
        ({"grid": {"seed": [1]}}, "grid.seed"),
        ({"grid": {"threshold": []}}, "grid.threshold: empty"),
        ({"grid": {"threshold": 1}}, "grid"),
        ({"grid": {"threshold": [1, -1]}}, "BSNN at threshold -1: train config: threshold is -1"),
        ({"grid": {"gate": [{"kind": "magic"}]}}, "kind is 'magic'"),
        ({"latin_hypercube": {"samples": 0, "axes": {"leak": [0, 1]}}}, "latin_hypercube"),
        ({"latin_hypercube": {"samples": 2, "axes": {"leak": [1, 0]}}}, "latin_hypercube.axes.leak: give low < high"),
        ({"latin_hypercube": {"samples": 2, "axes": {"leak": [0, 1, "log"]}}}, "above 0 for log"),
        ({"latin_hypercube": {"samples": 2, "axes": {"penalty": [0, 1]}}}, "only numbers"),
        ({"latin_hypercube": {"samples": 2, "axes": {"leak": [0, 0.5]}}, "grid": {"leak": [0]}}, "grid.leak"),
        ({"accelerators": ["loihi9"]}, "'loihi9' is not known"),
        ({"warm_start": {"epoch": 3}}, "warm_start.epoch"),
        ({"twins": [-1.0]}, "width is -1"),
        ({"twin_grid": {"width": [0.5]}}, "twin_grid.width: no axis of the twins"),
        ({"twin_grid": {"threshold": []}}, "twin_grid.threshold: empty"),
        ({"twin_grid": {"threshold": [-1]}}, "SNN int8 at width 1.0, threshold -1, state_bits 32: train config"),
        ({"grid": {"state_bits": [64]}}, "BSNN at state_bits 64: state_bits is 64"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, keys, message):
    with pytest.raises(InvalidInput, match="sweep.yaml") as refused:
        load(tmp_path, **keys)
    assert message in str(refused.value)


def test_an_unknown_name_is_refused():
    with pytest.raises(InvalidInput, match="'nothing' is not known"):
        load_ablation("nothing")
