"""Train a spiking network into a run folder, or many of them at once with the same results."""

from __future__ import annotations

import dataclasses
import multiprocessing
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...sim.errors import InvalidInput
from ..data.datasets import Dataset
from ..networks.spiking_network import SpikingNetwork
from ..run_folders.checkpoint import CheckpointFile
from ..run_folders.run import Run, check_data, check_writable, find_run, save_run
from ..settings.config import TrainConfig, config_data
from .derive_variants import derive
from .devices import make_accelerator
from .evaluate import LogRow
from .fit import fit, network_config

if TYPE_CHECKING:
    from accelerate import Accelerator

Progress = Callable[[str, int, int], None]  # label, epochs done, epochs in all
CHECKPOINT_S = 30.0
_POLL_S = 0.2


def train(
    config: TrainConfig,
    *,
    runs: str | Path = "runs",
    progress: Progress | None = None,
    data: Dataset | None = None,
    device: str = "cpu",
    checkpoint_s: float | None = CHECKPOINT_S,
    tensorboard: str | Path | None = None,
) -> Run:
    """Train the network that ``config`` describes, or take the finished run with that config.

    Parameters
    ----------
    config : TrainConfig
        With ``derived`` set, the run it is derived from is trained first.
    runs : path
        Folder of run folders. A run is written when the training has ended, checkpoints (hidden files) before.
    progress : callable, optional
        Called as ``progress(label, epochs done, epochs)`` before the first and after every epoch.
    data : Dataset, optional
        Already loaded data of ``config.dataset``.
    device : {'cpu', 'auto'}
        'auto' takes the GPU if there is one. Not part of the hash; the run's config.json names it.
    checkpoint_s : float or None
        Seconds between checkpoints (see `CheckpointFile`), hence about the most that is
        lost if the process is killed; None writes none. The next call with the same config goes on from there and, on
        a CPU, ends with the same bits.
    tensorboard : path, optional
        Folder for TensorBoard; needs the package tensorboard. Changes nothing in the run.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInput
        If the config has no learning rate, a loss, gradient or weight is not finite (the message names layer, time
        step and optimiser step), the warm start does not fit, a finished run had other data
        (`check_data`), or the folder cannot be written.
    KeyboardInterrupt
        On Ctrl-C, with a message; no run folder is left behind and finished runs stay as they are.

    Notes
    -----
    Linear warm-up, then a cosine down to nought; cross-entropy on the logits' mean over steps. Validation data are
    only looked at, test data never. One thread, so that the same seed gives the same bits whatever the machine's core
    count. Under ``accelerate launch`` every process computes its share of each batch and the main one writes the run.
    Weights and gradients are the same in all of them, so the monitors are right as they are; losses and hits are
    summed over them, and each evaluates the whole validation part. Tested are one and two CPU processes; GPUs, fp16
    and several machines are not.
    """
    config = config.resolved()
    found = find_run(config, runs)
    file = CheckpointFile(config, runs, checkpoint_s)
    if found is not None:
        check_data(found, config_data(config) if data is None else data)
        file.discard()  # of a process that was killed between writing the run and removing its checkpoint
        return found
    how: dict[str, Any] = {"device": device, "checkpoint_s": checkpoint_s, "tensorboard": tensorboard}
    if config.derived is not None:
        base = train(dataclasses.replace(config, derived=None), runs=runs, progress=progress, data=data, **how)
        return derive(base, config.derived, runs=runs, data=data)
    check_writable(runs)
    label, epoch = f"{config.variant}, seed {config.seed}", 0

    def told(done: int) -> None:
        nonlocal epoch
        epoch = done
        if progress is not None:
            progress(label, done, config.epochs)

    accelerator = make_accelerator(device, config.precision, config.accumulate)
    try:
        with _tensorboard(tensorboard) as write_scalars:
            data = config_data(config) if data is None else data
            return _train_and_save(config, data, runs, file, accelerator, told, write_scalars)
    except KeyboardInterrupt:
        kept = "its last checkpoint is kept: train again to go on" if file.path.exists() else "nothing was written"
        raise KeyboardInterrupt(
            f"training of {label} was stopped in epoch {epoch + 1} of {config.epochs}; {kept}, "
            f"finished runs in {str(runs)!r} are whole"
        ) from None


def _train_and_save(
    config: TrainConfig,
    data: Dataset,
    runs: str | Path,
    file: CheckpointFile,
    accelerator: Accelerator,
    told: Callable[[int], None],
    write_scalars: Callable[[list[LogRow]], None],
) -> Run:
    """Every epoch, told and shown as it ends, and the run that the main process writes in the end."""
    log: list[LogRow] = []
    start = None if config.warm_start is None else _start_weights(config, data, runs)
    model, epochs = fit(config, data, accelerator=accelerator, start=start, file=file)
    for epoch, rows in epochs:
        log += rows
        write_scalars(rows)
        told(epoch)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if find_run(config, runs) is None:  # another process may have trained the same meanwhile
            save_run(config, model, log, runs, data=data)
        file.discard()
    accelerator.wait_for_everyone()
    return Run.open(Path(runs) / config.hash)


def _start_weights(config: TrainConfig, data: Dataset, runs: str | Path) -> dict[str, torch.Tensor]:
    """The weights of the run that ``config.warm_start`` names, checked to fit the new network name by name."""
    source = Run.open(Path(runs) / str(config.warm_start))
    weights = source.model().state_dict()
    with torch.random.fork_rng(devices=[]):
        wanted = SpikingNetwork(network_config(config, data)).state_dict()
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in (weights, wanted)]
    differing = sorted(
        name for name in shapes[0].keys() | shapes[1].keys() if shapes[0].get(name) != shapes[1].get(name)
    )
    if differing:
        name = differing[0]
        raise InvalidInput(
            f"train config: warm_start {config.warm_start!r} ({source.variant}) has {name} of shape "
            f"{shapes[0].get(name)}, the new network of {shapes[1].get(name)}; start from a run of the same network, "
            f"width, steps and kind of gate"
        )
    return weights


@contextmanager
def _tensorboard(folder: str | Path | None) -> Iterator[Callable[[list[LogRow]], None]]:
    """A function that shows log rows in TensorBoard, or does nothing without a folder."""
    if folder is None:
        yield lambda rows: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InvalidInput(
            "train: logging to TensorBoard needs the package tensorboard, which is not installed; "
            "install it (pip install tensorboard) or leave `tensorboard` out"
        ) from error
    with SummaryWriter(str(folder)) as writer:

        def write(rows: list[LogRow]) -> None:
            for row in rows:
                writer.add_scalar(f"{row.layer or 'network'}/{row.quantity}", row.value, row.epoch)

        yield write


def train_many(
    configs: Sequence[TrainConfig],
    *,
    runs: str | Path = "runs",
    workers: int = 2,
    progress: Progress | None = None,
    device: str = "cpu",
    checkpoint_s: float | None = CHECKPOINT_S,
) -> list[Run]:
    """Train (or reuse) the run of every config, ``workers`` at a time.

    Parameters
    ----------
    configs : sequence of TrainConfig
        Derived ones too: what they are derived from is trained once.
    runs : path
        Folder of run folders.
    workers : int
        Processes, from 1; 1 trains in this process. More are *spawned*: a script that calls this needs the usual
        ``if __name__ == "__main__":``.
    progress : callable, optional
        Called in this process as ``progress(label, epochs done, epochs)``.
    device, checkpoint_s
        As in `train`; the workers share one GPU.

    Returns
    -------
    list of Run
        In the order of ``configs``.

    Raises
    ------
    InvalidInput
        As `train`; the other trainings end first and their runs are kept.
    KeyboardInterrupt
        On Ctrl-C, with a message, after the workers have stopped; finished runs are kept.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise InvalidInput(f"train_many: workers is {workers!r}; it must be an integer from 1")
    resolved = [config.resolved() for config in configs]
    how: dict[str, Any] = {"device": device, "checkpoint_s": checkpoint_s}
    jobs: dict[TrainConfig, list[TrainConfig]] = {}  # what is trained -> what is wanted of it
    for config in resolved:
        if find_run(config, runs) is None:
            jobs.setdefault(dataclasses.replace(config, derived=None), []).append(config)
    check_writable(runs)
    if workers > 1 and len(jobs) > 1:
        try:
            _train_in_pool(jobs, str(runs), min(workers, len(jobs)), progress, how)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"training was stopped; finished runs in {str(runs)!r} are whole and will be reused, unfinished ones "
                f"go on from their last checkpoint if they have one"
            ) from None
        except BrokenProcessPool as error:
            raise InvalidInput(
                "train_many: a worker process died: too little memory, or the calling script lacks its "
                "`if __name__ == '__main__':`; use workers=1"
            ) from error
    return [train(config, runs=runs, progress=progress, **how) for config in resolved]


def _train_in_pool(
    jobs: dict[TrainConfig, list[TrainConfig]],
    runs: str,
    workers: int,
    progress: Progress | None,
    how: dict[str, object],
) -> None:
    context = multiprocessing.get_context(
        "spawn"
    )  # fork is unsafe once torch has threads, and is not on every platform
    reports, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(reports, stop)) as pool:
        try:
            for _ in range(workers):  # the workers import torch while this process makes the data
                pool.submit(_warm_up)
            data = {_data_key(job): config_data(job) for job in {_data_key(job): job for job in jobs}.values()}
            futures = [pool.submit(_work, wanted, runs, data[_data_key(job)], how) for job, wanted in jobs.items()]
            pending: set[Future[None]] = set(futures)
            while pending:
                _, pending = wait(pending, timeout=_POLL_S)
                _forward(reports, progress)
        except BaseException:  # Ctrl-C, or a progress callback that failed: stop the workers, then pass it on
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _forward(reports, progress)
    for future in futures:
        future.result()


def _data_key(config: TrainConfig) -> tuple[object, ...]:
    return config.dataset, config.steps, config.fold, config.preprocessing


def _forward(reports: Any, progress: Progress | None) -> None:
    while True:
        try:
            report = reports.get_nowait()
        except queue.Empty:
            return
        if progress is not None:
            progress(*report)


_worker: dict[str, Any] = {}  # of a worker process: what its initialiser was given


def _start(reports: object, stop: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    torch.set_num_threads(1)
    _worker.update(reports=reports, stop=stop)


def _warm_up() -> None:
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # torch imports its compiler when it first makes one
    make_accelerator()


def _work(wanted: list[TrainConfig], runs: str, data: Dataset, how: dict[str, Any]) -> None:
    def report(label: str, done: int, total: int) -> None:
        if _worker["stop"].is_set():
            raise KeyboardInterrupt
        _worker["reports"].put((label, done, total))

    for config in wanted:
        train(config, runs=runs, progress=report, data=data, **how)
