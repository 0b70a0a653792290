"""The training loop: schedule, optimisers, accumulation, early stopping, precision, data parallelism."""

import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from spikejoule.models.data.augmentation import Augmentation
from spikejoule.models.data.datasets import load_dataset
from spikejoule.models.networks.spiking_network import SpikingNetwork
from spikejoule.models.run_folders.run import Run
from spikejoule.models.settings.config import TrainConfig
from spikejoule.models.training.devices import make_accelerator
from spikejoule.models.training.evaluate import evaluate
from spikejoule.models.training.fit import network_config
from spikejoule.models.training.stepper import Stepper, make_optimiser, rate_at
from spikejoule.models.training.train import train, train_many
from spikejoule.sim.errors import InvalidInput
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import functional

TINY = TrainConfig(dataset="digits", steps=2, width=0.25, epochs=2, train_samples=96, learning_rate=0.02)
WEIGHTS = "weights.safetensors"


def test_rate_rises_linearly_and_falls_as_a_cosine():
    config = replace(TINY, learning_rate=2.0, warm_up=0.25)
    rates = [rate_at(config, step, 8) for step in range(8)]
    falling = [2 * math.cos(math.pi * k / 6 / 2) ** 2 for k in range(6)]  # (1 + cos x) / 2 = cos^2 (x / 2)
    assert rates == pytest.approx([1, 2, *falling])


def test_without_warm_up_it_starts_at_the_peak():
    assert rate_at(replace(TINY, warm_up=0.0), 0, 100) == TINY.learning_rate


def one_step(config: TrainConfig, size: int = 8) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
    """Parameters before and after one optimiser step on the first digits, and the mean of its parts' gradients."""
    data = load_dataset("digits", config.steps)
    inputs, labels = np.swapaxes(data.train.inputs[:size], 0, 1), data.train.labels[:size]
    torch.manual_seed(0)
    model = SpikingNetwork(network_config(config, data)).train()
    before = [value.detach().clone() for value in model.parameters()]
    x, y = torch.from_numpy(np.ascontiguousarray(inputs)), torch.from_numpy(labels)
    gradients = [torch.zeros_like(value) for value in before]
    for part in range(config.accumulate):
        rows = slice(part, None, config.accumulate)
        logits = model(x[:, rows].expand(config.steps, -1, -1, -1, -1))
        loss = functional.cross_entropy(logits, y[rows])
        for total, gradient in zip(gradients, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total += gradient / config.accumulate
    stepper = Stepper(model, make_optimiser(model, config), config, make_accelerator("cpu", "no", config.accumulate))
    stepper.step(inputs, labels, "")
    return before, [value.detach() for value in model.parameters()], gradients


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_sgd_step_by_hand(accumulate):
    config = replace(TINY, optimiser="sgd", learning_rate=0.1, weight_decay=0.01, accumulate=accumulate)
    before, after, gradients = one_step(config)
    for old, new, gradient in zip(before, after, gradients, strict=True):
        decay = 0.01 * old if old.dim() > 1 else 0.0  # not on biases, batch norm and gates
        torch.testing.assert_close(new, old - 0.1 * (gradient + decay))


def test_clipping_scales_all_gradients_to_the_norm():
    before, after, gradients = one_step(replace(TINY, optimiser="sgd", learning_rate=1.0, clip_norm=1e-3))
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
    assert norm > 1e-2
    moved = math.sqrt(sum(float(((new - old) ** 2).sum()) for old, new in zip(before, after, strict=True)))
    assert moved == pytest.approx(1e-3, rel=0.01)


@pytest.mark.parametrize("fields", [{"accumulate": 3}, {"accumulate": 32}])
def test_batches_that_do_not_fall_into_equal_parts_are_refused(fields, tmp_path):
    with pytest.raises(InvalidInput, match="32 samples per optimiser step do not fall into"):
        train(replace(TINY, **fields), runs=tmp_path)


def column(run: Run, quantity: str) -> list[float]:
    log = run.log()
    return log[(log.layer == "") & (log.quantity == quantity)].value.tolist()


def test_patience_stops_and_keeps_the_best_epoch(tmp_path):
    run = train(replace(TINY, epochs=30, patience=1, learning_rate=0.1), runs=tmp_path)
    accuracies, losses = column(run, "validation_accuracy"), column(run, "validation_loss")
    merits = list(zip(accuracies, [-loss for loss in losses], strict=True))
    best = merits.index(max(merits))
    assert len(accuracies) == best + 2 < 30
    assert column(run, "kept_epoch")[-1] == best + 1
    assert evaluate(run.model(), load_dataset("digits", 2).validation).accuracy == accuracies[best]


def test_bfloat16_trains_and_leaves_float32_trainings_as_they_are(tmp_path):
    before = train(TINY, runs=tmp_path / "before")
    mixed = train(replace(TINY, precision="bf16"), runs=tmp_path)
    after = train(TINY, runs=tmp_path)
    assert np.isfinite(mixed.log().value).all()
    assert (before.path / WEIGHTS).read_bytes() == (after.path / WEIGHTS).read_bytes()
    assert column(mixed, "train_loss") != column(after, "train_loss")
    assert column(mixed, "train_loss")[-1] == pytest.approx(column(after, "train_loss")[-1], rel=0.1)


def test_half_precision_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="precision 'fp16' needs a GPU"):
        train(replace(TINY, precision="fp16"), runs=tmp_path)


def test_unknown_device_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="device is 'gpu'; use one of cpu, auto"):
        train(TINY, runs=tmp_path, device="gpu")


def test_folds_and_augmentation_change_what_is_trained_on(tmp_path):
    changes = ({}, {"fold": 0}, {"fold": 1}, {"augmentation": Augmentation(roll_pixels=2)})
    runs = train_many([replace(TINY, epochs=1, **change) for change in changes], runs=tmp_path, workers=1)
    assert len({(run.path / WEIGHTS).read_bytes() for run in runs}) == 4


def test_tensorboard_that_is_not_installed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InvalidInput, match="pip install tensorboard"):
        train(TINY, runs=tmp_path, tensorboard=tmp_path / "board")


def test_tensorboard_gets_every_row_and_changes_nothing(tmp_path):
    run = train(TINY, runs=tmp_path / "runs", tensorboard=tmp_path / "board")
    read = EventAccumulator(str(tmp_path / "board")).Reload()
    written = {(tag, event.step): event.value for tag in read.Tags()["scalars"] for event in read.Scalars(tag)}
    rows = {(f"{row.layer or 'network'}/{row.quantity}", row.epoch): row.value for row in run.log().itertuples()}
    assert written == pytest.approx(rows, rel=1e-6)  # TensorBoard keeps float32
    assert (train(TINY, runs=tmp_path / "plain").path / WEIGHTS).read_bytes() == (run.path / WEIGHTS).read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo")
def test_two_processes_train_like_two_accumulated_parts(tmp_path):
    # they split a batch into the same parts; only batch norm's running statistics are then those of one part
    script = tmp_path / "script.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[2]); from test_fit import TINY, train\ntrain(TINY, runs=sys.argv[1])\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # what `accelerate launch --cpu --num_processes 2` and torchrun set
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, str(script), str(tmp_path / "runs"), str(Path(__file__).parent)]
    processes = [
        subprocess.Popen(command, env=common | {"RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    both = Run.open(tmp_path / "runs" / TINY.hash)
    one = train(replace(TINY, accumulate=2), runs=tmp_path)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [TINY.hash]
    for (name, value), other in zip(both.model().named_parameters(), one.model().parameters(), strict=True):
        torch.testing.assert_close(value, other, msg=name)
    for quantity in ("train_loss", "train_accuracy"):
        assert column(both, quantity) == pytest.approx(column(one, quantity))
    log, other = both.log(), one.log()
    for quantity in ("sign_flips", "predicted_flip_rate", "gradient_variance"):
        mine, theirs = (frame[frame.quantity == quantity].value.tolist() for frame in (log, other))
        assert mine == pytest.approx(theirs)
