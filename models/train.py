"""Train a spiking network into a run folder, or many of them at once with the same results."""

from __future__ import annotations

import dataclasses
import multiprocessing
import queue
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch

from ..sim.errors import InvalidInput
from .config import TrainConfig
from .datasets import Dataset, load_dataset
from .derive import derive
from .evaluate import LogRow
from .fit import fit
from .run import Run, check_writable, find_run, save_run

Progress = Callable[[str, int, int], None]  # label, epochs done, epochs in all
_POLL_S = 0.2


def train(
    config: TrainConfig,
    *,
    runs: str | Path = "runs",
    progress: Progress | None = None,
    data: Dataset | None = None,
) -> Run:
    """Train the network that ``config`` describes, or take the finished run with that config.

    Parameters
    ----------
    config : TrainConfig
        With ``derived`` set, the run it is derived from is trained first.
    runs : path
        Folder of run folders. Nothing is written before the training has ended.
    progress : callable, optional
        Called as ``progress(label, epochs done, epochs)`` before the first and after every epoch.
    data : Dataset, optional
        Already loaded data of ``config.dataset``.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInput
        If the config has no learning rate, the loss is not finite, or the folder cannot be written.
    KeyboardInterrupt
        On Ctrl-C, with a message; no folder is left behind and finished runs stay as they are.

    Notes
    -----
    Adam with a linear warm-up over a tenth of all steps and a cosine down to nought, cross-entropy on the logits' mean
    over steps, no augmentation, no early stopping: the last epoch's weights are kept. Validation data are only looked
    at, test data never. One thread, so that the same seed gives the same bits whatever the machine's core count.
    """
    config = config.resolved()
    found = find_run(config, runs)
    if found is not None:
        return found
    if config.derived is not None:
        base = train(dataclasses.replace(config, derived=None), runs=runs, progress=progress, data=data)
        return derive(base, config.derived, runs=runs, data=data)
    check_writable(runs)
    label, epoch = f"{config.variant}, seed {config.seed}", 0
    log: list[LogRow] = []
    try:
        data = load_dataset(config.dataset, config.steps) if data is None else data
        model, epochs = fit(config, data)
        for epoch, rows in enumerate(epochs):
            log += rows
            if progress is not None:
                progress(label, epoch, config.epochs)
        return save_run(config, model, log, runs)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"training of {label} was stopped in epoch {epoch + 1} of {config.epochs}; nothing of it was written, "
            f"finished runs in {str(runs)!r} are whole"
        ) from None


def train_many(
    configs: Sequence[TrainConfig],
    *,
    runs: str | Path = "runs",
    workers: int = 2,
    progress: Progress | None = None,
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
    jobs: dict[TrainConfig, list[TrainConfig]] = {}  # what is trained -> what is wanted of it
    for config in resolved:
        if find_run(config, runs) is None:
            jobs.setdefault(dataclasses.replace(config, derived=None), []).append(config)
    check_writable(runs)
    if workers > 1 and len(jobs) > 1:
        try:
            _train_in_pool(jobs, str(runs), min(workers, len(jobs)), progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"training was stopped; nothing of the unfinished trainings was written, finished runs in "
                f"{str(runs)!r} are whole and will be reused"
            ) from None
        except BrokenProcessPool as error:
            raise InvalidInput(
                "train_many: a worker process died: too little memory, or the calling script lacks its "
                "`if __name__ == '__main__':`; use workers=1"
            ) from error
    return [train(config, runs=runs, progress=progress) for config in resolved]


def _train_in_pool(
    jobs: dict[TrainConfig, list[TrainConfig]], runs: str, workers: int, progress: Progress | None
) -> None:
    context = multiprocessing.get_context(
        "spawn"
    )  # fork is unsafe once torch has threads, and is not on every platform
    reports, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(reports, stop)) as pool:
        try:
            for _ in range(workers):  # the workers import torch while this process makes the data
                pool.submit(_warm_up)
            data = {key: load_dataset(*key) for key in sorted({(job.dataset, job.steps) for job in jobs})}
            futures = [pool.submit(_work, wanted, runs, data[job.dataset, job.steps]) for job, wanted in jobs.items()]
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


def _forward(reports: Any, progress: Progress | None) -> None:
    while True:
        try:
            report = reports.get_nowait()
        except queue.Empty:
            return
        if progress is not None:
            progress(*report)


_worker: dict[str, Any] = {}  # of a worker process: what its initialiser was given


def _start(reports: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    torch.set_num_threads(1)
    _worker.update(reports=reports, stop=stop)


def _warm_up() -> None:
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # torch imports its compiler when it first makes one


def _work(wanted: list[TrainConfig], runs: str, data: Dataset) -> None:
    def report(label: str, done: int, total: int) -> None:
        if _worker["stop"].is_set():
            raise KeyboardInterrupt
        _worker["reports"].put((label, done, total))

    for config in wanted:
        train(config, runs=runs, progress=report, data=data)
