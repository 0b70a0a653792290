"""Worker processes that die while they work: whose fault it is, what is tried again, and what goes on."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from spikejoule.ablation.jobs import load_ablation
from spikejoule.ablation.resumable_sweep import run_ablation
from spikejoule.ablation.worker_processes import WorkerDied, local_pool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

TINY = {
    "schema": "spikejoule.ablation/1",
    "title": "tiny",
    "base": {"dataset": "digits", "steps": 2, "width": 0.25, "epochs": 1, "train_samples": 64, "threshold": 0.25},
    "variants": ["BSNN"],
    "grid": {"rate_penalty": [0, 1]},
    "accelerators": ["sop-45nm"],
    "warm_start": {},
}

# stands in a file of its own, as what a worker runs has to be importable there
SCRIPT = """
import json, os, signal, sys, time
from functools import partial
from pathlib import Path

from spikejoule.ablation.jobs import load_ablation, plan
from spikejoule.ablation.worker_processes import local_pool
from spikejoule.ablation.scheduling import Bars, Outcome, execute


def work(task, folder):
    name = f"{task.config.seed}-{task.config.rate_penalty:g}"
    tries = len(list(folder.glob(f"{name}-*")))
    (folder / f"{name}-{tries}").touch()
    time.sleep(0.3)
    if name == "1-0":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "2-0" and tries == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "3-0":
        sys.exit(3)
    return Outcome("", {job.key: {"error": ""} for job in task.jobs})


if __name__ == "__main__":
    workers, folder = int(sys.argv[2]), Path(sys.argv[3])
    tasks = [task for task in plan(load_ablation(sys.argv[1])) if task.config.weight_bits == 1]
    with local_pool(workers) as (pool, reports):
        figures = execute(tasks, pool, partial(work, folder=folder), Bars(tasks, folder, None), reports)
    told = {}
    for task in tasks:
        name = f"{task.config.seed}-{task.config.rate_penalty:g}"
        told[name] = [len(list(folder.glob(f"{name}-*"))), figures[task.jobs[0].key]["error"]]
    print(json.dumps(told))
"""


def sweep(folder, **keys):
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | keys))
    return path


def run_script(folder, script, workers, **keys):
    (folder / "script.py").write_text(script)
    (folder / "tries").mkdir()
    words = [sys.executable, folder / "script.py", sweep(folder, **keys), workers, folder / "tries"]
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600, check=False)


def test_a_death_belongs_to_the_task_that_died_and_the_next_task_gets_a_new_process(tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)  # who reads it waits for a writer
    with local_pool(2) as (pool, _):
        busy = pool.submit(gate.read_bytes)
        dying = pool.submit(signal.raise_signal, signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"worker process died: killed by signal 9 \(SIGKILL\)") as died:
            dying.result()
        assert not died.value.alone
        assert pool.submit(os.getppid).result() == os.getpid()
        gate.write_bytes(b"go on")
        assert busy.result() == b"go on"
        with pytest.raises(WorkerDied, match="exit code 3") as died:
            pool.submit(sys.exit, 3).result()
        assert died.value.alone
    assert not multiprocessing.active_children()


LIGHT = """
import os

from spikejoule.ablation.worker_processes import local_pool

with local_pool(1) as (pool, _):
    pool.submit(os.getpid).result()
"""


def test_a_script_that_workers_cannot_import_is_told(tmp_path):
    done = run_script(tmp_path, LIGHT, 1)
    assert "a worker process could not start (exit code 1)" in done.stderr
    assert "lacks its `if __name__ == '__main__':`" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_who_kills_its_worker_twice_has_failed_and_the_others_are_run_once(tmp_path):
    done = run_script(tmp_path, SCRIPT, 2, seeds=[1, 2, 3, 4, 5])
    told = json.loads(done.stdout)
    assert told["1-0"] == [2, "worker process died: killed by signal 9 (SIGKILL)"]
    assert told["1-1"] == [0, "its start failed:\nworker process died: killed by signal 9 (SIGKILL)"]
    assert told["2-0"] == [2, ""]  # dies once only
    assert told["3-0"] == [2, "worker process died: exit code 3"]
    assert [told[name] for name in ("2-1", "4-0", "4-1", "5-0", "5-1")] == [[1, ""]] * 5


@pytest.mark.slow
def test_who_kills_its_worker_alone_has_failed_at_once(tmp_path):
    told = json.loads(run_script(tmp_path, SCRIPT, 1, seeds=[1, 2, 4]).stdout)
    assert told["1-0"] == [1, "worker process died: killed by signal 9 (SIGKILL)"]
    assert told["2-0"] == [1, "worker process died: killed by signal 11 (SIGSEGV)"]
    assert told["4-1"] == [1, ""]


@pytest.mark.slow
def test_a_worker_killed_from_outside_changes_nothing_in_the_table(tmp_path):
    ablation = load_ablation(sweep(tmp_path, seeds=[0, 1]))
    killed = []

    def kill_one(label, done, total):
        if not killed and label == "epochs":
            victim = multiprocessing.active_children()[0]
            os.kill(victim.pid, signal.SIGKILL)
            killed.append(victim.pid)

    disturbed = run_ablation(ablation, runs=tmp_path / "killed", workers=2, progress=kill_one).table
    assert killed
    alone = run_ablation(ablation, runs=tmp_path / "alone", workers=1).table
    pd.testing.assert_frame_equal(disturbed, alone, check_exact=True)
