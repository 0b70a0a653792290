"""Worker processes, each with a pipe of its own: one that dies takes only its task with it, and that is told."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from typing import Any

from ..sim.errors import InvalidInput

Report = Callable[[str, int], None]  # hash of a training, its epochs done
_READY, _EPOCHS, _RESULT = "ready", "epochs", "result"

worker: dict[str, Report] = {}  # of a worker process: whom to tell of epochs


class WorkerDied(RuntimeError):
    """The process that worked on a task ended in the middle of it.

    Attributes
    ----------
    alone : bool
        No other task was running then, so none of them can have taken the memory.
    """

    def __init__(self, how: str, alone: bool) -> None:
        super().__init__(f"worker process died: {how}")
        self.alone = alone


class Crew(Executor):
    """An executor of spawned processes that outlives the death of any of them.

    `concurrent.futures.ProcessPoolExecutor` gives up all its tasks when one process dies, and does not say on which of
    them; its processes also share queues whose locks a killed one takes with it. Here every process has its own pipe
    and a thread that feeds it one task at a time, so a death belongs to one task, the others go on, and the next task
    gets a new process. What a task raises ends its process too: a task that can fail has to return that.

    Parameters
    ----------
    workers : int
        Processes at a time; started when there is something to do.
    reports : queue.Queue
        Gets the epochs that tasks report through `worker`.
    """

    def __init__(self, workers: int, reports: queue.Queue[tuple[str, int]]) -> None:
        self._threads = ThreadPoolExecutor(workers)
        self._reports = reports
        self._own = threading.local()  # of a thread: its process
        self._started: list[_Process] = []
        self._lock = threading.Lock()
        self._busy = 0
        self._stopped = False

    def submit(self, fn: Callable[..., Any], /, *arguments: object, **named: object) -> Future[Any]:
        """As any executor; the future raises `WorkerDied` if the process dies, InvalidInput if none can be started."""
        return self._threads.submit(self._run, fn, arguments, named)

    def stop(self) -> None:
        """Start nothing more, and have every task end at its next report of an epoch."""
        self._stopped = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in list(self._started):
            process.stop()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what was submitted, then end the processes."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        for process in self._started:
            process.end()

    def _run(self, fn: Callable[..., Any], arguments: tuple[object, ...], named: dict[str, object]) -> object:
        with self._lock:
            self._busy += 1
        process = self._process()
        try:
            return process.perform((fn, arguments, named), self._reports)
        except EOFError:
            del self._own.process
            with self._lock:
                alone = self._busy == 1
            raise process.obituary(alone) from None
        finally:
            with self._lock:
                self._busy -= 1

    def _process(self) -> _Process:
        """The process of the thread that asks, started if it has none."""
        process: _Process | None = getattr(self._own, "process", None)
        if process is None:
            process = self._own.process = _Process()
            self._started.append(process)
            if self._stopped:
                process.stop()
        return process


class _Process:
    """One spawned process and this side of its pipe."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # fork is unsafe once torch has threads
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(theirs,))
        self._process.start()
        theirs.close()  # else its end would not end the pipe
        self._sending = threading.Lock()  # the word to stop comes from another thread than the tasks
        self._ready = False

    def perform(self, task: tuple[object, ...], reports: queue.Queue[tuple[str, int]]) -> object:
        """The result of one task; EOFError if the process dies."""
        self._send(task)
        while True:
            kind, content = self._receive()
            if kind == _READY:
                self._ready = True
            elif kind == _EPOCHS:
                reports.put(content)
            else:
                return content

    def _receive(self) -> tuple[str, Any]:
        wait_for([self._pipe, self._process.sentinel])
        if not self._pipe.poll():  # what it had sent before it died comes first
            raise EOFError
        try:
            message: tuple[str, object] = self._pipe.recv()
        except ConnectionResetError as error:
            raise EOFError from error
        return message

    def obituary(self, alone: bool) -> Exception:
        """What to raise for its task: how it died, or that it never came to work."""
        self._process.join()
        self._pipe.close()
        code = self._process.exitcode or 0
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code} ({signal.Signals(-code).name})"
        if not self._ready:
            return InvalidInput(
                f"a worker process could not start ({how}): too little memory, or the calling script lacks its "
                f"`if __name__ == '__main__':`. Finished runs are kept; use fewer workers and start it again"
            )
        return WorkerDied(how, alone)

    def stop(self) -> None:
        """Have it end, at the next report of an epoch if it is at work."""
        self._send(None)

    def _send(self, message: tuple[object, ...] | None) -> None:
        with self._sending, contextlib.suppress(OSError):  # to one that is dead: receiving will tell
            self._pipe.send(message)

    def end(self) -> None:
        """Wait for an idle one to end."""
        self._pipe.close()
        self._process.join()
        self._process.close()


@contextmanager
def local_pool(workers: int) -> Iterator[tuple[Executor, queue.Queue[tuple[str, int]]]]:
    """A `Crew`, and the queue of the epochs that its processes report; leaving on an error stops them."""
    reports: queue.Queue[tuple[str, int]] = queue.Queue()
    crew = Crew(workers, reports)
    try:
        yield crew, reports
    except BaseException:
        crew.stop()
        raise
    finally:
        crew.shutdown()


def _serve(pipe: Connection) -> None:
    """What a worker process does: one task after another, until its parent closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()

    def report(key: str, done: int) -> None:
        if pipe.poll():  # while a task runs nothing comes but the word to stop
            raise KeyboardInterrupt
        pipe.send((_EPOCHS, (key, done)))

    worker["report"] = report
    pipe.send((_READY, None))
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):
        while (task := pipe.recv()) is not None:
            fn, arguments, named = task
            pipe.send((_RESULT, fn(*arguments, **named)))


def _end_with(sentinel: int) -> None:
    """End this process when its parent is gone, even if that was killed: two sweeps must not write to one folder."""
    wait_for([sentinel])
    os._exit(1)
