"""Running a sweep: the table, what is reused, what fails, what is killed, and other executors."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import yaml
from spikejoule.ablation.jobs import jobs, load_ablation, plan
from spikejoule.ablation.resumable_sweep import run_ablation, timings, write_tables
from spikejoule.ablation.scheduling import cluster
from spikejoule.energy.explaining.break_even import break_even
from spikejoule.energy.machines.accelerator import load_accelerator
from spikejoule.energy.pricing.estimate import estimate
from spikejoule.models.recording.record import record
from spikejoule.models.run_folders.run import Run
from spikejoule.sim.errors import InvalidInput

# real trainings of about half a second; a low threshold lets so small a network fire at all
TINY = {
    "schema": "spikejoule.ablation/1",
    "title": "tiny",
    "base": {"dataset": "digits", "steps": 2, "width": 0.25, "epochs": 1, "train_samples": 64, "threshold": 0.25},
    "variants": ["BSNN + AGMM"],
    "grid": {"rate_penalty": [0, 1]},
    "accelerators": ["sop-45nm", "truenorth"],
    "twins": [0.25],
    "warm_start": {},
}
WEIGHTS = "weights.safetensors"


def load(folder, **keys):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | keys))
    return load_ablation(path)


def written(runs):
    return {path.parent.name: path.stat().st_mtime_ns for path in runs.glob(f"*/{WEIGHTS}")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(scope="module")
def sweep(folder):
    return load(folder)


@pytest.fixture(scope="module")
def swept(sweep, folder):
    return run_ablation(sweep, runs=folder / "runs", workers=1)


def test_there_is_one_row_per_job_in_the_plans_order(sweep, swept):
    assert swept.table["run"].tolist() == [job.config.hash for job in jobs(sweep)]
    assert swept.table["status"].tolist() == ["finished"] * 3
    assert swept.table["rate_penalty"].tolist() == [0.0, 1.0, 0.0]


def test_a_row_holds_what_the_runs_own_traces_say(swept, folder):
    row = swept.table.iloc[1]
    run = Run.open(folder / "runs" / row["run"])
    priced = estimate(record(run), load_accelerator("sop-45nm"))
    assert row["sop-45nm.energy_pj"] == priced.energy_pj
    assert row["synaptic_operations"] == priced.operations.synaptic_operations
    assert row["test_accuracy"] == record(run).accuracy
    assert row["validation_accuracy"] == record(run, split="validation").accuracy
    assert row["firing_rate.conv1"] == priced.operations.firing_rate("conv1")
    assert run.config.warm_start == swept.table["run"][0]


def test_a_machine_that_refuses_a_network_leaves_the_run_whole(swept):
    assert ["gate" in reason for reason in swept.table["truenorth.refused"]] == [True, True, False]
    assert ["analog" in reason for reason in swept.table["truenorth.refused"]] == [False, False, True]
    assert "truenorth.energy_pj" not in swept.table
    assert swept.table["status"].tolist() == ["finished"] * 3


def test_narrow_states_are_replayed_and_their_twins_too(swept, folder):
    grid = {"rate_penalty": [0], "state_bits": [32, 8]}
    narrow = load(folder, grid=grid, accelerators=["event-driven-45nm", "truenorth"])
    table = run_ablation(narrow, runs=folder / "runs", workers=1).table
    assert table[["run", "state_bits", "twin"]].to_numpy().tolist() == [
        [swept.table["run"][index], bits, index == 2] for index in (0, 2) for bits in (32, 8)
    ]
    assert table["spike_mismatch"].notna().tolist() == [False, True, False, True]
    energy = table["event-driven-45nm.energy_pj"]
    assert energy[1] < energy[0]
    assert energy[3] < energy[2]
    assert table["truenorth.refused"].notna().all()


def test_the_break_even_is_that_of_the_variant_against_the_twin(swept, folder):
    best = (
        swept.settings().query("point").sort_values(["validation_accuracy", "validation_pj"], ascending=[False, True])
    )
    names = [best["setting"].iloc[0], swept.settings().query("twin")["setting"].iloc[0]]
    runs = [swept.table.set_index("setting").loc[name, "run"] for name in names]
    chip = load_accelerator("sop-45nm")
    ours, theirs = (estimate(record(Run.open(folder / "runs" / run)), chip) for run in runs)
    expected = break_even(ours, theirs).set_index("layer").loc[""]
    assert swept.break_even.iloc[0][["rate", "compute_rate", "machine_rate"]].tolist() == pytest.approx(
        expected[["rate", "compute_rate", "machine_rate"]].tolist(), nan_ok=True
    )


def test_finished_runs_are_taken_as_they_are_and_give_the_same_table(sweep, swept, folder):
    before = written(folder / "runs")
    again = run_ablation(sweep, runs=folder / "runs", workers=1)
    assert written(folder / "runs") == before
    pd.testing.assert_frame_equal(again.table, swept.table, check_exact=True)


def test_the_table_has_no_times_and_they_stand_apart(swept, folder):
    assert not [name for name in swept.table if "second" in name]
    seconds = timings(swept, folder / "runs")
    assert seconds["run"].tolist() == swept.table["run"].tolist()
    assert (seconds["seconds"] >= 0).all()
    paths = write_tables(swept, folder / "out" / "tiny", folder / "runs")
    assert [path.name for path in paths] == ["tiny.parquet", "tiny-timings.parquet"]
    pd.testing.assert_frame_equal(pd.read_parquet(paths[0]), swept.table)


def test_a_failure_is_recorded_what_starts_from_it_too_and_the_rest_goes_on(sweep, swept, folder, tmp_path):
    in_the_way = tmp_path / swept.table["run"][0]
    in_the_way.mkdir()
    found = run_ablation(sweep, runs=tmp_path, workers=1)
    assert found.table["status"].tolist() == ["failed", "failed", "finished"]
    first, follower = found.table["error"][:2]
    assert "spikejoule.models.run_folders.run:" in first
    assert "InvalidInput: run" in first.splitlines()[-1]
    assert "its start failed" in follower
    in_the_way.rmdir()
    before = written(tmp_path)
    again = run_ablation(sweep, runs=tmp_path, workers=1)
    assert before.items() <= written(tmp_path).items()
    pd.testing.assert_frame_equal(again.table, swept.table, check_exact=True)


def test_axes_of_mixed_kinds_can_be_written(swept, folder, tmp_path):
    hinge = {"rate_penalty": [1], "penalty": ["hinge"], "rate_target": [{"conv1": 0.5}]}
    mixed = load(folder, grid=[{"rate_penalty": [0]}, hinge], accelerators=["sop-45nm"])
    found = run_ablation(mixed, runs=folder / "runs", workers=1)
    write_tables(found, tmp_path / "mixed", folder / "runs")
    targets = pd.read_parquet(tmp_path / "mixed.parquet")["rate_target"]
    assert targets.tolist() == ["0.0", '{"conv1": 0.5}', "0.0"]


def test_progress_counts_the_epochs_that_are_left(sweep, swept, folder):
    told = []
    run_ablation(sweep, runs=folder / "runs", workers=1, progress=lambda *report: told.append(report))
    assert told == [("trained and measured", done, 3) for done in (1, 2, 3)]


def test_ctrl_c_is_told_in_one_sentence_and_keeps_what_is_finished(sweep, swept, folder):
    def stop(label, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="finished runs in .* are whole"):
        run_ablation(sweep, runs=folder / "runs", workers=1, progress=stop)


def test_any_executor_will_do(sweep, swept, folder):
    with ThreadPoolExecutor(2) as executor:
        found = run_ablation(sweep, runs=folder / "runs", executor=executor)
    pd.testing.assert_frame_equal(found.table, swept.table, check_exact=True)


@pytest.mark.parametrize("workers", [0, 1.5, True])
def test_an_impossible_number_of_workers_is_refused(sweep, tmp_path, workers):
    with pytest.raises(InvalidInput, match="workers"):
        run_ablation(sweep, runs=tmp_path, workers=workers)


def test_without_a_scheduler_there_is_no_cluster():
    with cluster(None) as executor:
        assert executor is None


@pytest.mark.slow
def test_residual_networks_of_every_kind_have_break_evens(tmp_path):
    base = TINY["base"] | {"network": "resnet19", "width": 0.0625, "learning_rate": 0.01}
    kinds = ["current", "graded", "and", "or"]
    keys = {"base": base, "grid": {"residual": kinds}, "variants": ["BSNN"], "twins": [0.0625]}
    sweep = load(tmp_path, **keys, accelerators=["sop-45nm"], tolerance_points=100.0)
    found = run_ablation(sweep, runs=tmp_path / "runs", workers=1)
    assert found.table["status"].tolist() == ["finished"] * 5
    assert found.break_even["refused"].tolist() == [""]
    assert (found.break_even["rate"] > 0).all()


MANY = {
    "variants": ["BSNN", "BSNN + constant gain"],
    "grid": {"rate_penalty": [0, 1], "threshold": [0.25, 0.5]},
    "seeds": [0, 1, 2],
    "twins": [0.25, 0.5],
    "accelerators": ["sop-45nm", "event-driven-45nm"],
}


def ablate(path, runs, out):
    # a shell's background job inherits Ctrl-C ignored, which these tests send
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "if __name__ == '__main__': from spikejoule.cli import main; main()"
    )
    command = [sys.executable, "-c", start, "ablate", path, "--runs", runs, "--out", out, "--format", "html"]
    return subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_sweep_killed_three_times_ends_with_the_same_table_as_one_left_alone(tmp_path):
    load(tmp_path, **MANY)
    sweep = load(tmp_path, **MANY)
    trainings = len(plan(sweep))
    assert trainings == 24 + 2 * 3
    alone = ablate(tmp_path / "tiny.yaml", tmp_path / "alone", tmp_path / "out" / "alone")
    output, _ = alone.communicate(timeout=600)
    assert alone.returncode == 0, output
    assert "synaptic operations" in output
    kept = {}
    for enough in (2, 9, 17):  # so that each kill falls into another part of the sweep
        process = ablate(tmp_path / "tiny.yaml", tmp_path / "killed", tmp_path / "out" / "killed")
        while len(written(tmp_path / "killed")) < enough and process.poll() is None:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        time.sleep(1)  # the workers notice
        kept = {**written(tmp_path / "killed"), **kept}
        assert enough <= len(kept) < trainings + 6
    last = ablate(tmp_path / "tiny.yaml", tmp_path / "killed", tmp_path / "out" / "killed")
    output, _ = last.communicate(timeout=600)
    assert last.returncode == 0, output
    tables = [(tmp_path / "out" / f"{name}.parquet").read_bytes() for name in ("alone", "killed")]
    assert tables[0] == tables[1]
    assert kept.items() <= written(tmp_path / "killed").items()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_stops_the_workers_and_is_one_line(tmp_path):
    load(tmp_path, **MANY)
    process = ablate(tmp_path / "tiny.yaml", tmp_path / "runs", tmp_path / "out" / "stopped")
    while not written(tmp_path / "runs") and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.startswith("spikejoule: stopped; finished results are whole")
    assert output.count("\n") == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # distributed's own
def test_a_dask_cluster_gives_the_same_table(sweep, swept, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the optional extra `cluster` is not installed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as machines,
        cluster(machines.scheduler_address) as executor,
    ):
        found = run_ablation(sweep, runs=tmp_path, executor=executor)
    pd.testing.assert_frame_equal(found.table, swept.table, check_exact=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_scheduler_that_does_not_answer_is_told():
    pytest.importorskip("distributed", reason="the optional extra `cluster` is not installed")
    with pytest.raises(InvalidInput, match=r"none answers at 'tcp://127.0.0.1:1'"), cluster("tcp://127.0.0.1:1"):
        pass
