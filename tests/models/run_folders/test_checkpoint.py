"""A training that was stopped goes on from its checkpoint and ends with the same bits."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from spikejoule.models.data.augmentation import Augmentation
from spikejoule.models.data.datasets import load_dataset
from spikejoule.models.data.splits import Split
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.run_folders.checkpoint import Checkpoint, CheckpointFile
from spikejoule.models.run_folders.run import Run
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.train import train

TINY = TrainConfig(
    dataset="digits", steps=2, width=0.25, epochs=3, train_samples=96, learning_rate=0.02, gate=GateConfig()
)
WEIGHTS = "weights.safetensors"
# three optimiser steps an epoch: with a checkpoint at each, the third ends the first epoch
VARIED = {
    "adam": TINY,
    "sgd": replace(TINY, optimiser="sgd", learning_rate=0.1, weight_decay=1e-3, clip_norm=1.0, label_smoothing=0.1),
    "augmented": replace(TINY, augmentation=Augmentation(roll_pixels=2, event_drop=0.1)),
    "patience": replace(TINY, optimiser="adamw", patience=2, rate_penalty=0.1, accumulate=2, epochs=4),
}


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def stopped_after(monkeypatch, config: TrainConfig, runs: Path, checkpoints: int) -> None:
    """Train until that many checkpoints are written."""
    write, left = CheckpointFile.write, [checkpoints]

    def write_and_stop(self, checkpoint):
        write(self, checkpoint)
        left[0] -= 1
        if left[0] == 0:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFile, "write", write_and_stop)
        with pytest.raises(StoppedError):
            train(config, runs=runs, checkpoint_s=0)


def assert_same(run: Run, other: Run) -> None:
    assert (run.path / WEIGHTS).read_bytes() == (other.path / WEIGHTS).read_bytes()
    logs = [log[log.quantity != "seconds"].reset_index(drop=True) for log in (run.log(), other.log())]
    assert logs[0].equals(logs[1])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, Run]:
    runs = tmp_path_factory.mktemp("undisturbed")
    return {name: train(config, runs=runs, checkpoint_s=None) for name, config in VARIED.items()}


@pytest.mark.parametrize("checkpoints", [1, 3, 5])
@pytest.mark.parametrize("name", VARIED)
def test_resumed_training_ends_with_the_same_bits(name, checkpoints, undisturbed, tmp_path, monkeypatch):
    stopped_after(monkeypatch, VARIED[name], tmp_path, checkpoints)
    assert not (tmp_path / undisturbed[name].hash).exists()
    assert_same(train(VARIED[name], runs=tmp_path), undisturbed[name])
    assert [path.name for path in tmp_path.iterdir()] == [undisturbed[name].hash]


def test_resumed_training_does_not_start_again(undisturbed, tmp_path, monkeypatch):
    stopped_after(monkeypatch, TINY, tmp_path, 7)  # in the third epoch
    seen = []
    train(TINY, runs=tmp_path, progress=lambda *report: seen.append(report[1]))
    assert seen == [2, 3]


def test_stopped_twice(undisturbed, tmp_path, monkeypatch):
    for _ in range(2):
        stopped_after(monkeypatch, TINY, tmp_path, 3)
    assert_same(train(TINY, runs=tmp_path), undisturbed["adam"])


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "other"])
def test_damaged_checkpoint_is_left_out_with_a_warning(damage, undisturbed, tmp_path, monkeypatch):
    stopped_after(monkeypatch, TINY, tmp_path, 4)
    path = tmp_path / f".{TINY.hash}.checkpoint"
    content = bytearray(path.read_bytes())
    if damage == "other":
        other = replace(TINY, seed=1)
        stopped_after(monkeypatch, other, tmp_path / "other", 1)
        content = bytearray((tmp_path / "other" / f".{other.hash}.checkpoint").read_bytes())
    content[-20] ^= damage == "flipped"
    path.write_bytes({"truncated": content[:-10], "text": b"no checkpoint"}.get(damage, bytes(content)))
    with pytest.warns(UserWarning, match=r"checkpoint .* training starts again"):
        run = train(TINY, runs=tmp_path)
    assert_same(run, undisturbed["adam"])


def test_checkpoint_of_other_programs_is_left_out(tmp_path, monkeypatch):
    stopped_after(monkeypatch, TINY, tmp_path, 4)
    monkeypatch.setattr("spikejoule.models.run_folders.checkpoint.versions", lambda: {"torch": "0.1"})
    with pytest.warns(UserWarning, match="other versions"):
        train(TINY, runs=tmp_path)


def test_checkpoint_of_other_data_is_left_out(undisturbed, tmp_path, monkeypatch):
    stopped_after(monkeypatch, TINY, tmp_path, 4)
    data = load_dataset("digits", 2)
    other = replace(data, test=Split(data.test.inputs, data.test.labels[::-1].copy()))
    with pytest.warns(UserWarning, match="on other data than are there now; training starts again"):
        run = train(TINY, runs=tmp_path, data=other)
    assert run.data_digest == other.digest
    assert_same(run, undisturbed["adam"])  # test data play no part


def test_none_is_written_before_its_time(tmp_path, monkeypatch):
    monkeypatch.setattr(CheckpointFile, "write", lambda *_: pytest.fail("too early"))
    train(TINY, runs=tmp_path, checkpoint_s=3600)


def test_writing_takes_no_more_than_its_share_of_the_time(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("spikejoule.models.run_folders.checkpoint.time.perf_counter", lambda: clock[0])

    def slow_save(*_):
        clock[0] += 3.0
        Path(_[1]).write_bytes(b"")

    monkeypatch.setattr("safetensors.torch.save_file", slow_save)
    file = CheckpointFile(TINY, tmp_path, 30)
    clock[0] += 30
    assert file.due()
    file.write(Checkpoint({}, {}))
    clock[0] += 100
    assert not file.due()  # 3 s of writing are to be at most 2 %
    clock[0] += 50
    assert file.due()


def test_checkpoint_left_beside_a_finished_run_is_removed(undisturbed, tmp_path, monkeypatch):
    stopped_after(monkeypatch, TINY, tmp_path, 1)
    kept = (tmp_path / f".{TINY.hash}.checkpoint").read_bytes()
    run = train(TINY, runs=tmp_path)
    (tmp_path / f".{TINY.hash}.checkpoint").write_bytes(kept)
    assert train(TINY, runs=tmp_path) == run
    assert [path.name for path in tmp_path.iterdir()] == [run.hash]


SCRIPT = """
import os, random, signal, sys, time
from dataclasses import replace
from spikejoule.models.networks.agmm import GateConfig
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.data.datasets import load_dataset
from spikejoule.models.training.train import train
config = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=40, train_samples=96, learning_rate=0.02,
                     gate=GateConfig())
runs, data = sys.argv[1], load_dataset("digits", 2)
import torch.optim, accelerate
random.seed(int(sys.argv[2]))
killed = 0
while True:
    child = os.fork()  # before any tensor is made: one interpreter for all of them
    if child == 0:
        train(config, runs=runs, data=data, checkpoint_s=0)
        os._exit(0)
    time.sleep(random.uniform(0.5, 4) if killed < 5 else 0)
    if killed < 5:
        os.kill(child, signal.SIGKILL)
    code = os.waitpid(child, 0)[1]
    killed += code == signal.SIGKILL
    if code == 0:
        break
    assert code == signal.SIGKILL, code
print("killed", killed)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks and sends a POSIX signal")
@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bits(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    result = subprocess.run([sys.executable, file, tmp_path / "runs", "1"], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[-1]) >= 1, "it was never killed: lower the delays"
    config = replace(TINY, epochs=40)
    assert_same(Run.open(tmp_path / "runs" / config.hash), train(config, runs=tmp_path / "undisturbed"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.slow
def test_two_processes_that_train_the_same_do_not_spoil_it(tmp_path, undisturbed):
    script = "import sys; from test_checkpoint import TINY, train\ntrain(TINY, runs=sys.argv[1], checkpoint_s=0)\n"
    command = [sys.executable, "-c", script, str(tmp_path / "runs")]
    both = [subprocess.Popen(command, cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert_same(Run.open(tmp_path / "runs" / TINY.hash), undisturbed["adam"])
