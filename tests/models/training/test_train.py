"""Training and run folders: determinism, what is logged, what is refused, what is left behind."""

import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from spikejoule.models.data.datasets import load_dataset
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.run_folders.run import Run
from spikejoule.models.settings.config import TrainConfig, config_from_dict, config_to_dict
from spikejoule.models.settings.learning_rates import read_rates
from spikejoule.models.settings.variants import VARIANTS, quick, variant_config
from spikejoule.models.training.derive_variants import derive
from spikejoule.models.training.evaluate import evaluate
from spikejoule.models.training.train import train, train_many
from spikejoule.models.training.tune import TRAINED_VARIANTS, choose, tune, write_rates
from spikejoule.sim.errors import InvalidInput

TINY = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=2, train_samples=96, learning_rate=0.02)
WEIGHTS = "weights.safetensors"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(runs) -> Run:
    return train(replace(TINY, gate=GateConfig()), runs=runs)


@pytest.fixture
def copy(run, tmp_path) -> Run:
    """The same run in a folder that a test may damage."""
    import shutil

    return Run.open(shutil.copytree(run.path, tmp_path / run.hash))


def test_same_seed_gives_the_same_weights_bit_for_bit(run, tmp_path):
    torch.manual_seed(99)  # whatever the caller's random state
    again = train(run.config, runs=tmp_path)
    assert (again.path / WEIGHTS).read_bytes() == (run.path / WEIGHTS).read_bytes()


def test_another_seed_gives_other_weights(run, runs):
    other = train(replace(run.config, seed=1), runs=runs)
    assert (other.path / WEIGHTS).read_bytes() != (run.path / WEIGHTS).read_bytes()


def test_training_leaves_the_callers_random_state_and_threads(tmp_path):
    torch.manual_seed(5)
    expected, threads = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    train(replace(TINY, epochs=1), runs=tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads


def test_finished_run_is_reused(run, runs):
    before = (run.path / WEIGHTS).stat().st_mtime_ns
    assert train(run.config, runs=runs) == run
    assert (run.path / WEIGHTS).stat().st_mtime_ns == before


def test_folder_bears_the_hash_of_the_config(run):
    assert run.path.name == run.hash == run.config.hash
    assert replace(run.config, seed=1).hash != run.hash


def test_loaded_model_is_the_trained_one(run):
    data = load_dataset("digits", 2)
    log = run.log()
    last = log[(log.epoch == 2) & (log.layer == "")].set_index("quantity")["value"]
    evaluation = evaluate(run.model(), data.validation)
    assert evaluation.accuracy == last["validation_accuracy"]
    assert evaluation.firing_rates[""] == last["firing_rate"]


def test_log_holds_every_quantity_of_every_layer(run):
    log = run.log()
    network = {"train_loss", "train_accuracy", "validation_loss", "validation_accuracy"}
    network |= {"firing_rate", "learning_rate", "seconds"}
    flips = {"sign_flips", "sign_flip_rate", "predicted_flip_rate", "oscillating_share"}
    gradients = {"gradient_mean", "gradient_variance"}
    expected = {
        "": network,
        "conv1": gradients | {"firing_rate"},
        "conv2": gradients | flips | {"firing_rate"},
        "conv3": gradients | flips | {"firing_rate"},
        "classifier": gradients,
    }
    for epoch in (1, 2):
        rows = log[log.epoch == epoch]
        assert {layer: set(rows[rows.layer == layer].quantity) for layer in rows.layer.unique()} == expected
    assert np.isfinite(log.value).all()


def test_progress_is_told_every_epoch(tmp_path):
    seen = []
    train(replace(TINY, epochs=2), runs=tmp_path, progress=lambda *report: seen.append(report))
    assert seen == [("BSNN, seed 0", done, 2) for done in range(3)]


def test_learning_rate_is_resolved_before_hashing():
    rate = read_rates()["chosen"]["digits-events"]["BSNN"]
    assert TrainConfig().hash == TrainConfig(learning_rate=rate).hash


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_its_name_and_a_tuned_rate(name):
    for dataset in ("digits-events", "digits", "nmnist"):
        config = variant_config(name, TrainConfig(dataset=dataset))
        assert config.variant == name
        assert config.resolved().learning_rate > 0


def test_chosen_rates_are_those_that_the_rule_picks():
    rates = read_rates()
    for dataset, table in rates["table"].items():
        assert rates["chosen"][dataset] == {name: choose(table, name) for name in {row["variant"] for row in table}}
        assert set(TRAINED_VARIANTS) <= set(rates["chosen"][dataset])


def test_variant_without_a_tuned_rate_is_refused_and_told_how_to_tune():
    with pytest.raises(InvalidInput, match=r"no tuned learning rate for 'BSNN \+ AGMM \(sample\)'.*tune\(TrainConfig"):
        TrainConfig(gate=GateConfig(axes="sample")).resolved()


def test_tuned_rates_are_not_used_for_another_optimiser():
    with pytest.raises(InvalidInput, match="not those of 'sgd'"):
        TrainConfig(optimiser="sgd").resolved()


def test_config_survives_json(run):
    assert config_from_dict(json.loads(json.dumps(config_to_dict(run.config)))) == run.config


def test_quick_keeps_the_variant():
    assert quick(variant_config("BSNN + AGMM")).variant == "BSNN + AGMM"


@pytest.mark.parametrize(
    "fields",
    [
        {"network": "lenet"},
        {"dataset": "mnist"},
        {"weight_bits": 8},
        {"steps": 0},
        {"batch_size": 1},
        {"seed": -1},
        {"width": 0.0},
        {"leak": 1.0},
        {"learning_rate": math.nan},
        {"train_samples": 1},
        {"gate": "agmm"},
        {"derived": "int8"},
        {"derived": "frozen", "weight_bits": 1},
    ],
)
def test_impossible_config_is_refused(fields):
    with pytest.raises(InvalidInput, match="train config: "):
        TrainConfig(**fields)


def test_interrupted_training_leaves_nothing_and_earlier_runs_whole(copy, tmp_path):
    def interrupt(label: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"BSNN, seed 7 was stopped in epoch 2 of 2; nothing was written"):
        train(replace(TINY, seed=7), runs=tmp_path, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [copy.hash]
    assert Run.open(copy.path) == copy


def test_folder_that_is_a_file_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        train(TINY, runs=tmp_path / "file")


def test_full_disk_leaves_no_half_run(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pandas.DataFrame.to_parquet", full)
    with pytest.raises(InvalidInput, match="No space left"):
        train(replace(TINY, epochs=1), runs=tmp_path)
    assert list(tmp_path.iterdir()) == []


def edit_header(run: Run, **changes) -> None:
    file = run.path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_newer_version_is_refused(copy):
    edit_header(copy, version=3)
    with pytest.raises(InvalidInput, match="format version 3 is not 2"):
        Run.open(copy.path)


def test_foreign_folder_is_refused(copy, tmp_path):
    with pytest.raises(InvalidInput, match="no run folder"):
        Run.open(tmp_path)
    edit_header(copy, format="other")
    with pytest.raises(InvalidInput, match="no run folder of SpikeJoule"):
        Run.open(copy.path)


def test_edited_config_is_refused(copy):
    edit_header(copy, config=config_to_dict(replace(copy.config, seed=3)))
    with pytest.raises(InvalidInput, match="was edited"):
        Run.open(copy.path)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS, "log.parquet"])
def test_truncated_file_is_refused(copy, name):
    file = copy.path / name
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(InvalidInput, match=name):
        train(copy.config, runs=copy.path.parent)


@pytest.mark.parametrize("name", [WEIGHTS, "log.parquet"])
def test_missing_file_is_refused(copy, name):
    (copy.path / name).unlink()
    with pytest.raises(InvalidInput, match=f"{name} cannot be read"):
        Run.open(copy.path)


def test_weights_of_another_network_are_refused(copy):
    from spikejoule.models.run_folders.run import _digest  # a consistent forgery: digests fit, shapes do not

    other = train(replace(TINY, width=0.5, epochs=1), runs=copy.path.parent)
    (copy.path / WEIGHTS).write_bytes((other.path / WEIGHTS).read_bytes())
    digests = {name: _digest(copy.path / name) for name in (WEIGHTS, "log.parquet")}
    edit_header(copy, digests=digests)
    with pytest.raises(InvalidInput, match="does not fit its config"):
        Run.open(copy.path).model()


def test_frozen_run_has_no_gate(run):
    frozen = derive(run, "frozen")
    assert frozen.variant == "BSNN + AGMM, frozen"
    assert frozen.network.gate is None
    assert set(frozen.log().quantity) == {"firing_rate", "validation_loss", "validation_accuracy"}


def test_int8_run_is_made_of_a_trained_twin(tmp_path):
    config = replace(TINY, weight_bits=32, epochs=1)
    run = train(replace(config, derived="int8"), runs=tmp_path)
    assert run.variant == "SNN int8"
    assert {layer.weight_kind for layer in run.model().workload().layers} == {"integer"}
    assert (tmp_path / config.hash).is_dir()


@pytest.mark.parametrize(("kind", "message"), [("int4", "is not known"), ("int8", "full-precision")])
def test_impossible_derivation_is_refused(run, kind, message):
    with pytest.raises(InvalidInput, match=message):
        derive(run, kind)


def test_tuning_tries_every_variant_on_the_same_grid(tmp_path):
    names, rates = ("SNN fp32", "BSNN"), (0.005, 0.02)
    base = replace(TINY, epochs=1, learning_rate=None)
    tuning = tune(base, variants=names, rates=rates, seeds=(3,), runs=tmp_path, workers=1)
    tried = [(row["variant"], row["learning_rate"], row["seed"]) for row in tuning.table]
    assert tried == [(name, rate, 3) for name in names for rate in rates]
    assert set(tuning.chosen) == set(names)
    write_rates([tuning], tmp_path / "rates.yaml")
    assert "BSNN" in (tmp_path / "rates.yaml").read_text()


def test_ties_go_to_the_lower_validation_loss():
    rows = [
        {"variant": "BSNN", "learning_rate": rate, "validation_accuracy": 0.9, "validation_loss": loss}
        for rate, loss in ((0.1, 0.5), (0.2, 0.4), (0.3, 0.6))
    ]
    assert choose(rows, "BSNN") == 0.2


def test_workers_give_the_same_weights_as_serial_training(run, tmp_path):
    configs = [run.config, replace(run.config, derived="frozen"), replace(run.config, seed=1)]
    seen = []
    many = train_many(configs, runs=tmp_path, workers=2, progress=lambda *report: seen.append(report))
    assert [r.config for r in many] == configs
    assert (many[0].path / WEIGHTS).read_bytes() == (run.path / WEIGHTS).read_bytes()
    assert {label for label, done, total in seen if done == total == 2} == {
        "BSNN + AGMM, seed 0",
        "BSNN + AGMM, seed 1",
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_stops_the_workers_and_leaves_no_half_run(tmp_path):
    script = f"""
import os, signal
from dataclasses import replace
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.train import train_many
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits it ignored
config = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=2000, train_samples=96, learning_rate=0.02)
def interrupt(label, done, total):
    if done == 2:
        os.kill(os.getpid(), signal.SIGINT)
if __name__ == "__main__":
    train_many([config, replace(config, seed=1)], runs={str(tmp_path / "runs")!r}, progress=interrupt)
"""
    file = tmp_path / "script.py"
    file.write_text(script)
    result = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120)
    assert "KeyboardInterrupt: training was stopped" in result.stderr
    assert list((tmp_path / "runs").iterdir()) == []


def test_threads_of_one_process_train_to_the_same_bits(tmp_path):
    configs = [replace(TINY, seed=seed, epochs=1) for seed in range(3)]
    alone = [train(config, runs=tmp_path / "alone") for config in configs]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda config: train(config, runs=tmp_path / "together"), configs))
    name = "weights.safetensors"
    assert [(run.path / name).read_bytes() for run in together] == [(run.path / name).read_bytes() for run in alone]
