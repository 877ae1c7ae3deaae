"""One thread beside the Trio loop that runs jobs in turn and hands each outcome back.

What always holds: jobs run in the order they were given; an outcome is delivered in the Trio thread in that same
order, also when nobody waits for it any more; a job whose caller left before it began is not run. It knows nothing of
databases: a job is a function.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import trio

T = TypeVar("T")

MAX_WAITING_JOBS = 1_000  # configuration writes at once; beyond, the disk has stopped


class WriterBusy(Exception):
    """The job was not started: too many are waiting, or the thread has been closed."""


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    work: Callable[[], T]
    deliver: Callable[[T], None]
    done: trio.Event = field(default_factory=trio.Event)
    abandoned: bool = False
    ran: bool = False
    result: Any = None
    error: BaseException | None = None


class Writer:
    """The thread. `call` is for Trio tasks of one loop."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._waiting = 0
        self._closed = False
        self._token = trio.lowlevel.current_trio_token()
        # A daemon: a process that ends without closing loses nothing, because a commit is whole or not there.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, work: Callable[[], T], deliver: Callable[[T], None] = lambda _: None) -> T:
        """Runs `work` in the thread; then `deliver` with its result in the Trio thread, also if we are cancelled.

        Cancelled before the thread took it, the job never runs; after that it runs whole.

        Raises:
            WriterBusy: the job was not taken.

        """
        if self._closed or self._waiting >= MAX_WAITING_JOBS:
            raise WriterBusy
        job = _Job(work, deliver)
        self._waiting += 1
        self._jobs.put(job)
        try:
            await job.done.wait()
        finally:
            job.abandoned = not job.done.is_set()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    async def aclose(self) -> None:
        """After the jobs already given; no more are taken."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await trio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not job.abandoned:
                job.ran = True
                try:
                    job.result = job.work()
                except BaseException as error:  # noqa: BLE001 -- raised again in the task that waits
                    job.error = error
            try:
                self._token.run_sync_soon(self._finish, job)
            except trio.RunFinishedError:
                return

    def _finish(self, job: _Job[Any]) -> None:
        self._waiting -= 1
        if job.ran and job.error is None:
            try:
                job.deliver(job.result)
            except Exception as error:  # noqa: BLE001 -- an exception here would end Trio itself; the waiting task gets it
                job.error = error
        job.done.set()
