"""Executing the tasks of an ablation on any executor: what starts from a run waits for it; progress in epochs."""

from __future__ import annotations

import queue
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..sim.errors import InvalidInput
from .jobs import Key, Task
from .worker_processes import WorkerDied

Progress = Callable[[str, int, int], None]  # label, done, in all
Figures = dict[str, object]  # of one job: columns of the table, or its error
Reports = queue.Queue[tuple[str, int]]  # hash of a training and epochs done
_TRIES = 2  # of a task whose worker dies beside others, which may have taken the memory
_POLL_S = 0.2
_ANSWER_S = 10


@dataclass(frozen=True)
class Outcome:
    """What became of a task: the traceback if its training failed, and per job its figures, or its own traceback."""

    error: str
    figures: dict[Key, Figures]


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

    def submit(self, fn: Callable[..., Any], /, *arguments: object, **named: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*arguments, **named))
        return future


def execute(
    tasks: Sequence[Task],
    executor: Executor,
    work: Callable[[Task], Outcome],
    bars: Bars,
    reports: Reports | None = None,
) -> dict[Key, Figures]:
    """Figures by job; what starts from another run is submitted once that has ended, and fails if that failed.

    A task whose worker dies (`WorkerDied`) has failed if nothing else was running or if it happens a second time;
    else it is tried again behind the others.
    """
    figures: dict[Key, Figures] = {}
    deaths: Counter[str] = Counter()
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
                task = pending.pop(future)
                outcome = _outcome(future, task, deaths)
                if outcome is None:
                    pending[executor.submit(work, task)] = task
                    continue
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


def _outcome(future: Future[Outcome], task: Task, deaths: Counter[str]) -> Outcome | None:
    """What became of a task, its worker's death included; None if it is to be tried again."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, WorkerDied):
        deaths[task.config.hash] += 1
        if not error.alone and deaths[task.config.hash] < _TRIES:
            return None
        told = str(error)
    elif _is_killed_worker(error):  # dask has tried again by itself; its own words name machines
        told = "worker process died: so did every other of the cluster that tried"
    else:
        raise error
    return Outcome(told, {job.key: {"error": told} for job in task.jobs})


def _is_killed_worker(error: BaseException) -> bool:
    distributed = sys.modules.get("distributed")  # there if a task ran on its cluster
    return distributed is not None and isinstance(error, distributed.KilledWorker)


def _forward(reports: Reports | None, bars: Bars) -> None:
    while reports is not None:
        try:
            bars.epochs(*reports.get_nowait())
        except queue.Empty:
            return


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
