"""Executing the tasks of an ablation on any executor: what starts from a run waits for it; progress in epochs."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from .ablate import Key, Task
from .sim.errors import InvalidInput

Progress = Callable[[str, int, int], None]  # label, done, in all
Report = Callable[[str, int], None]  # hash of a training, its epochs done
_POLL_S = 0.2
_ANSWER_S = 10


@dataclass(frozen=True)
class Outcome:
    """What became of a task: the traceback if its training failed, and per job its figures, or its own traceback."""

    error: str
    figures: dict[Key, dict[str, Any]]


class Bars:
    """Progress in epochs still to be trained, the unit that takes the time, and in trainings measured."""

    def __init__(self, tasks: Sequence[Task], runs: Path, progress: Progress | None) -> None:
        self._epochs = {x.config.hash: x.config.epochs for x in tasks if not (runs / x.config.hash).exists()}
        self._done = dict.fromkeys(self._epochs, 0)
        self._measured, self._tasks, self._progress = 0, len(tasks), progress

    def epochs(self, key: str, done: int) -> None:
        if self._progress is not None and key in self._done:
            self._done[key] = done
            self._progress("epochs", sum(self._done.values()), sum(self._epochs.values()))

    def ended(self, task: Task) -> None:
        self._measured += 1
        self.epochs(task.config.hash, task.config.epochs)
        if self._progress is not None:
            self._progress("trained and measured", self._measured, self._tasks)


class Here(Executor):
    """Runs everything in this process, when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*arguments, **named))
        return future


def execute(
    tasks: Sequence[Task], executor: Executor, work: Callable[[Task], Outcome], bars: Bars, reports: Any = None
) -> dict[Key, dict[str, Any]]:
    """Figures by job; what starts from another run is submitted once that has ended, and fails if that failed."""
    figures: dict[Key, dict[str, Any]] = {}
    waiting: dict[str, list[Task]] = {}
    pending: dict[Future[Outcome], Task] = {}
    try:
        for task in tasks:
            if task.start is None:
                pending[executor.submit(work, task)] = task
            else:
                waiting.setdefault(task.start, []).append(task)
        while pending:
            done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            _forward(reports, bars)
            for future in done:
                task, outcome = pending.pop(future), future.result()
                figures |= outcome.figures
                bars.ended(task)
                for follower in waiting.pop(task.config.hash, ()):
                    if outcome.error:
                        figures |= {job.key: {"error": f"its start failed:\n{outcome.error}"} for job in follower.jobs}
                        bars.ended(follower)
                    else:
                        pending[executor.submit(work, follower)] = follower
    except BaseException:  # Ctrl-C, or a progress callback that failed
        for future in pending:
            future.cancel()
        raise
    return figures


def _forward(reports: Any, bars: Bars) -> None:
    while reports is not None:
        try:
            bars.epochs(*reports.get_nowait())
        except queue.Empty:
            return


@contextmanager
def local_pool(workers: int) -> Iterator[tuple[Executor, Any]]:
    """A pool of spawned processes, and the queue of the epochs they report; leaving on an error stops them."""
    context = multiprocessing.get_context("spawn")  # fork is unsafe once torch has threads
    reports, stop = context.Queue(), context.Event()
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(reports, stop)) as pool:
        try:
            yield pool, reports
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def cluster(address: str | None) -> Iterator[Executor | None]:
    """The executor of the dask cluster whose scheduler has that address; None without one.

    Raises
    ------
    InvalidInput
        If dask.distributed is not installed, or no scheduler answers.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise InvalidInput("scheduler: dask.distributed is missing; install spikejoule[cluster]") from error
    try:
        client = Client(address, timeout=_ANSWER_S)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"scheduler: none answers at {address!r} ({error}); start one, or leave it out") from error
    with client:
        yield client.get_executor()


worker: dict[str, Report] = {}  # of a worker process of the local pool


def _start(reports: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()

    def report(key: str, done: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        reports.put((key, done))

    worker["report"] = report


def _end_with(sentinel: int) -> None:
    """End this process when its parent is gone, even if that was killed: two sweeps must not write to one folder."""
    wait_for([sentinel])
    os._exit(1)
