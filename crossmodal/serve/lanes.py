"""Lanes: threads of their own in which work is done in turn, so that the server goes on listening meanwhile."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from fastapi import HTTPException

Job = TypeVar("Job")
Work = Callable[[Sequence[Job]], Sequence[Any]]


class Lane(Generic[Job]):
    """Jobs that wait for a thread, which takes as many as wait, up to ``batch``, at once.

    The threads are daemons: a server that ends does not wait for work that nobody will see.

    Args:
        work: jobs to results, one each; a result that is an exception is raised to who asked.
        most: jobs inside, those in work too; one more is refused.
        batch: jobs that are worked on together, at most.
        threads: that work.
    """

    def __init__(self, name: str, work: Work[Job], most: int, batch: int = 1, threads: int = 1) -> None:
        self.name, self.sizes = name, [0] * (batch + 1)
        self._work, self._most, self._batch = work, most, batch
        self._queue: queue.SimpleQueue[tuple[Job, Future[Any]]] = queue.SimpleQueue()
        self._inside, self._lock = 0, threading.Lock()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    @property
    def inside(self) -> int:
        """Jobs that wait or are in work."""
        return self._inside

    async def do(self, job: Job, seconds: float) -> Any:
        """What becomes of a job.

        Raises:
            HTTPException: 429, too many wait; 503, it took longer than ``seconds``; or what the work raises.
        """
        with self._lock:
            if self._inside >= self._most:
                raise busy()
            self._inside += 1
        future: Future[Any] = Future()
        future.add_done_callback(self._left)
        self._queue.put((job, future))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            late = f"this took longer than {seconds:g} s; ask for less, or try again later"
            raise HTTPException(503, late, {"Retry-After": "10"}) from None

    def _left(self, _: Future[Any]) -> None:
        with self._lock:
            self._inside -= 1

    def _run(self) -> None:
        while True:
            taken = [self._queue.get()]
            while len(taken) < self._batch and not self._queue.empty():
                taken.append(self._queue.get())
            if wanted := [(job, future) for job, future in taken if future.set_running_or_notify_cancel()]:
                self._finish([job for job, _ in wanted], [future for _, future in wanted])

    def _finish(self, jobs: list[Job], futures: list[Future[Any]]) -> None:
        self.sizes[len(jobs)] += 1
        try:
            results = list(self._work(jobs))
        except Exception as error:
            results = [error] * len(jobs)
        for future, result in zip(futures, results, strict=True):
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


class Slots:
    """So many may do something at a time; one more is refused.

    Args:
        most: that may.
    """

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def taken(self) -> Iterator[None]:
        """One of them, until the block ends.

        Raises:
            HTTPException: 429, there is none.
        """
        if not self._free:
            raise busy()
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def busy() -> HTTPException:
    """The answer to one too many."""
    return HTTPException(429, "too many requests are waiting; try again soon", {"Retry-After": "1"})


def called(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """The work of a lane whose jobs are calls."""
    return [job() for job in jobs]
