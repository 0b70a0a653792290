"""Commands that train a network and record what it does."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..sim.errors import InvalidInput
from .arguments import STEP_BY_STEP, Runs, given_names
from .console import progress_bars, show_dry_run

if TYPE_CHECKING:
    from ..models.settings.config import TrainConfig
    from ..models.settings.recipes import Recipe

app = typer.Typer()


class GateKind(StrEnum):
    none = "none"
    agmm = "agmm"
    constant = "constant"
    alpha = "alpha"


@app.command(epilog="Example: spikejoule train --weight-bits 1 --gate agmm --seed 0", rich_help_panel=STEP_BY_STEP)
def train(
    context: typer.Context,
    dataset: Annotated[
        str, typer.Option(help="digits-events, digits, or one whose files you have: see docs/datasets.md.")
    ] = "digits-events",
    network: Annotated[
        str, typer.Option(help="csnn, vgg11, vggsnn, resnet18, resnet18-imagenet, resnet19, mlp or recurrent.")
    ] = "csnn",
    width: Annotated[float, typer.Option(help="Factor on the number of channels.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Time steps T.")] = 10,
    weight_bits: Annotated[int, typer.Option(help="1: binary, 32: full precision.")] = 1,
    gate: Annotated[
        GateKind, typer.Option(help="Gain on the currents before the neurons: of AGMM, constant, or alpha per step.")
    ] = GateKind.none,
    seed: Annotated[int, typer.Option(help="Seed of initial weights and sample order.")] = 0,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 20,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak learning rate.", show_default="the tuned one")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(help='A variant or control by name, such as "BSNN + AGMM", instead of --weight-bits and --gate.'),
    ] = None,
    config_file: Annotated[
        str | None,
        typer.Option("--config", help="A .yaml file, or the name of one in configs/; options given here win over it."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only tell size, memory and time, by two optimiser steps on made data of the same shape."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, or auto: the GPU if there is one.")] = "cpu",
    checkpoint_s: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints, from which a killed training goes on.")
    ] = 30,
    tensorboard: Annotated[Path | None, typer.Option(help="Also log into this folder, for TensorBoard.")] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Train one network into a run folder named by the hash of its configuration; prints the folder."""
    from ..models.networks.agmm import GateConfig
    from ..models.settings.recipes import load_recipe
    from ..models.training.train import train as run_training

    fields: dict[str, object] = {
        "dataset": dataset,
        "network": network,
        "width": width,
        "steps": steps,
        "weight_bits": weight_bits,
        "gate": None if gate is GateKind.none else GateConfig(gate.value),
        "seed": seed,
        "epochs": epochs,
        "learning_rate": learning_rate,
    }
    recipe = None if config_file is None else load_recipe(config_file)
    config = _configured(recipe, fields, given_names(context), variant)
    if dry_run:
        _dry_run(config, recipe, device)
        return
    with progress_bars() as progress:
        run = run_training(
            config, runs=runs, progress=progress, device=device, checkpoint_s=checkpoint_s, tensorboard=tensorboard
        )
    print(run.path)


@app.command(epilog="Example: spikejoule record runs/0123456789abcdef --split test", rich_help_panel=STEP_BY_STEP)
def record(
    run: Annotated[Path, typer.Argument(help="A run folder, as train prints it.", show_default=False)],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
) -> None:
    """Record the spikes of a trained network on a part of its data; prints the trace's path."""
    from ..models.recording.record import record as run_recording
    from ..models.run_folders.run import Run

    with progress_bars() as progress:
        trace = run_recording(Run.open(run), split=split, progress=progress)
    print(trace.path)


def _configured(
    recipe: Recipe | None, fields: Mapping[str, object], given: Collection[str], variant: str | None
) -> TrainConfig:
    """The recipe's config or the default one, with the fields whose options were given, as the named variant."""
    from ..models.settings.config import TrainConfig
    from ..models.settings.variants import variant_config

    if variant is not None and {"weight_bits", "gate"} & set(given):
        raise InvalidInput("train: --variant says what --weight-bits and --gate say too; give one or the other")
    chosen: dict[str, Any] = {name: value for name, value in fields.items() if name in given}
    config = replace(TrainConfig() if recipe is None else recipe.config, **chosen)
    return config if variant is None else variant_config(variant, config)


def _dry_run(config: TrainConfig, recipe: Recipe | None, device: str) -> None:
    from ..models.settings.config import config_data
    from ..models.settings.recipes import DataShape
    from ..models.training.dry_run import dry_run as try_out

    print(
        f"dry run of {config.network} at batch size {config.batch_size}: two optimiser steps on made data; nothing is "
        "trained or written. Full-size networks take minutes on a CPU ...",
        file=sys.stderr,
        flush=True,
    )
    shape = None if recipe is None else recipe.data
    if shape is None:  # no shape in a file: the data themselves tell it
        data = config_data(config)
        shape = DataShape(data.input_shape, data.classes, len(data.train), data.input_kind, data.held_input)
    show_dry_run(try_out(config, shape, device=device), None if recipe is None else recipe.published)
