"""Run folders: config, weights and log of one training, named by the hash of the config; nothing is ever unpickled."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...sim.display import html_table, lines, one_line
from ...sim.errors import InvalidInput
from ...sim.files import replacing
from ...sim.readable_numbers import percent
from ..data.splits import Dataset
from ..networks.agmm import GateConfig
from ..networks.network_config import NetworkConfig
from ..networks.spiking_network import SpikingNetwork
from ..settings.config import FORMAT_VERSION, TrainConfig, config_from_dict, config_to_dict

if TYPE_CHECKING:
    import pandas

_FORMAT = "spikejoule-run"
_CONFIG, _WEIGHTS, _LOG = "config.json", "weights.safetensors", "log.parquet"
BUILT_IN = ("digits", "digits-events")  # data sets without files that could change
Logged = tuple[int, str, str, float]  # epoch, layer or "", quantity, value
_AGAIN = "delete the folder to have it trained again"


@dataclass(frozen=True)
class Run:
    """One finished training on disk, as `train` returns it.

    Attributes
    ----------
    path : Path
        The run folder ``runs/<hash>``.
    config : TrainConfig
        Resolved: its learning rate is a number.
    hash : str
        Hash of the config and the format version.
    network : NetworkConfig
        The structure that the weights belong to.
    versions : dict
        Versions of the programs that trained it.
    data_digest : str or None
        `Dataset.digest` of the data it was trained on; None where it was not recorded.
    """

    path: Path
    config: TrainConfig
    hash: str
    network: NetworkConfig
    versions: dict[str, str] = field(compare=False)
    data_digest: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        config = self.config
        data = "data not recorded" if self.data_digest is None else f"data {self.data_digest[:12]}"
        return lines(
            f"Run {self.hash}: {self.variant}, {config.network} on {config.dataset}, {config.steps} steps",
            f"seed {config.seed}, {config.epochs} epochs, learning rate {config.learning_rate:g}; {data}",
            f"at {self.path}",
        )

    def _repr_html_(self) -> str:
        log = self.log()
        of_network = log[log["layer"] == ""].pivot_table(index="epoch", columns="quantity", values="value")
        shown = ("train_accuracy", "validation_accuracy", "firing_rate")
        rows = [
            {"epoch": epoch, **{name.replace("_", " "): percent(row.get(name)) for name in shown}}
            for epoch, row in zip(of_network.index, of_network.to_dict("records"), strict=True)
        ]
        return html_table(one_line(self), rows)

    @property
    def variant(self) -> str:
        return self.config.variant

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Read and verify a run folder.

        Raises
        ------
        InvalidInput
            If it is no run folder, from a newer format, incomplete, or its files are not those that were written.
        """
        path = Path(path)
        header = _read_header(path)
        try:
            config, stored = config_from_dict(header["config"]), str(header["hash"])
            network = _network_from_dict(header["network"])
            digests, versions = dict(header["digests"]), dict(header["versions"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"run {path}: {_CONFIG} is damaged ({error}); {_AGAIN}") from error
        if config.learning_rate is None or config.hash != stored:
            raise InvalidInput(
                f"run {path}: {_CONFIG} was edited: its config does not have the hash {stored}; {_AGAIN}"
            )
        for name in (_WEIGHTS, _LOG):
            try:
                digest = _digest(path / name)
            except OSError as error:
                raise InvalidInput(f"run {path}: {name} cannot be read ({error.strerror}); {_AGAIN}") from error
            if digest != digests.get(name):
                raise InvalidInput(f"run {path}: {name} is truncated or not the file that was written; {_AGAIN}")
        return cls(path, config, stored, network, versions, header.get("data"))

    def log(self) -> pandas.DataFrame:
        """The training log in long form: columns ``epoch``, ``layer`` ("" is the network), ``quantity``, ``value``."""
        import pandas

        return pandas.read_parquet(self.path / _LOG)

    def model(self) -> SpikingNetwork:
        """The network with its weights, in evaluation mode."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        with torch.random.fork_rng(devices=[]):  # the initial weights are overwritten
            model = SpikingNetwork(self.network)
        try:
            model.load_state_dict(load_file(self.path / _WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise InvalidInput(f"run {self.path}: {_WEIGHTS} does not fit its config ({error}); {_AGAIN}") from error
        return model.eval()


def find_run(config: TrainConfig, runs: str | Path) -> Run | None:
    """The finished run of a resolved config, or None; a damaged one is refused, not overwritten."""
    path = Path(runs) / config.hash
    return Run.open(path) if path.exists() else None


def check_data(run: Run, data: Dataset) -> None:
    """Refuse a run that was trained on other data than are there now; its hash covers their name only.

    A run from before digests were recorded is taken where the data set is made by this package from data that come
    with scikit-learn (`BUILT_IN`), whose content its version fixes.

    Raises
    ------
    InvalidInput
        If the digests differ, or the run has none and its data lie in files that may have changed.
    """
    if run.data_digest == data.digest or (run.data_digest is None and run.config.dataset in BUILT_IN):
        return
    where = f"run {run.path}: its data set {run.config.dataset!r}"
    if run.data_digest is None:
        raise InvalidInput(f"{where} was not recorded with it, so the files may have changed since; {_AGAIN}")
    raise InvalidInput(
        f"{where} had the digest {run.data_digest[:12]} when it was trained, and now has {data.digest[:12]}: its files "
        f"were changed. Put the former ones back, use another folder for runs, or {_AGAIN}"
    )


def check_writable(runs: str | Path) -> None:
    """Make the folder for runs, and fail now rather than after the training if nothing can be written there."""
    try:
        Path(runs).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=runs):
            pass
    except OSError as error:
        raise InvalidInput(
            f"{runs}: cannot be written ({error.strerror or error}); choose another folder for runs"
        ) from error


def save_run(
    config: TrainConfig, model: SpikingNetwork, log: Sequence[Logged], runs: str | Path, *, data: Dataset
) -> Run:
    """Write a run folder under a temporary name and rename it, so that it is there whole or not at all.

    Parameters
    ----------
    config : TrainConfig
        Resolved.
    model : SpikingNetwork
    log : sequence of (epoch, layer, quantity, value)
    runs : path
    data : Dataset
        What it was trained on; its digest is recorded.

    Raises
    ------
    InvalidInput
        If the folder cannot be written, for example because the disk is full.
    """
    final = Path(runs) / config.hash
    with replacing(final, keep=True) as partial:  # two processes may train the same config
        partial.mkdir()
        _write(partial, config, model, log, data)
    return Run.open(final)


def _write(folder: Path, config: TrainConfig, model: SpikingNetwork, log: Sequence[Logged], data: Dataset) -> None:
    import pandas
    from safetensors.torch import save_file

    # plain strides: channels-last tensors would be refused, and the file should not depend on the memory layout
    save_file({name: value.cpu().contiguous() for name, value in model.state_dict().items()}, folder / _WEIGHTS)
    frame = pandas.DataFrame(list(log), columns=["epoch", "layer", "quantity", "value"])
    frame = frame.astype({"epoch": "int64", "layer": "str", "quantity": "str", "value": "float64"})
    frame.to_parquet(folder / _LOG, index=False)
    header = {
        "format": _FORMAT,
        "version": FORMAT_VERSION,
        "hash": config.hash,
        "variant": config.variant,
        "config": config_to_dict(config),
        "network": dataclasses.asdict(model.config),
        "digests": {name: _digest(folder / name) for name in (_WEIGHTS, _LOG)},
        "data": data.digest,
        "device": next(model.parameters()).device.type,
        "versions": versions(),
    }
    (folder / _CONFIG).write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of what a training or a recording depends on."""
    names = ("spikejoule", "torch", "accelerate", "norse", "tonic", "numpy", "scikit-learn")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def _read_header(path: Path) -> dict[str, Any]:
    file = path / _CONFIG
    try:
        header = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"run {path}: {_CONFIG} cannot be read ({error.strerror}): this is no run folder") from error
    except ValueError as error:  # undecodable text or broken JSON
        raise InvalidInput(f"run {path}: {_CONFIG} is damaged ({error}); {_AGAIN}") from error
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise InvalidInput(
            f"run {path}: {_CONFIG} is not of the format {_FORMAT!r}: this is no run folder of SpikeJoule"
        )
    if header.get("version") != FORMAT_VERSION:
        raise InvalidInput(
            f"run {path}: format version {header.get('version')!r} is not {FORMAT_VERSION}, the one known here; "
            f"use the SpikeJoule that wrote it, or train again"
        )
    return header


def _network_from_dict(data: dict[str, Any]) -> NetworkConfig:
    fields = {**data, "input_shape": tuple(data["input_shape"])}
    if fields["gate"] is not None:
        fields["gate"] = GateConfig(**fields["gate"])
    return NetworkConfig(**fields)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
