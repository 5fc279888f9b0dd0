"""Doing work on the tracks of a manifest by the actors of a Ray cluster: an engine in place of `Processes`."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from crossmodal.data.work import Job, Work, Writer
from crossmodal.errors import InputError
from crossmodal.files import Skipped

if TYPE_CHECKING:
    from pyarrow import Table

BLOCK = 32  # tracks of a Ray task, at most: a task costs some milliseconds of the driver's time
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no figures are sent to anyone
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # or every pool of actors begins with a line that looks like an error
}


@dataclass(frozen=True)
class Ray:
    """The engine of a cluster: so many actors, each on a CPU of its own and with a shard of its own.

    The jobs are a Ray dataset; results come back as they are done. Shards and journals lie in the folder of the work,
    so on a cluster of several machines that folder, the audio and what the work reads (a model) are on a file system
    that all of them share under the same paths, and the package is installed on all of them. What is done is resumed
    and merged as with `Processes`, on whichever engine it was begun.

    Args:
        workers: actors.
        address: of a running cluster, "auto" for one that this machine is part of. Without it the cluster is that of
            the variable RAY_ADDRESS, or one of this machine alone that is started for the work and ended after it.
            A program that has called ``ray.init`` keeps its own.

    Raises:
        InputError: Ray is not installed.
    """

    workers: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise InputError('work on a cluster needs Ray: pip install "crossmodal[cluster]"')

    def __call__(self, jobs: list[Job], folder: Path, work: Work) -> Iterator[Skipped | None]:
        """Results in the order they come."""
        if not jobs:
            return
        workers = min(self.workers, len(jobs))
        # the results are closed before Ray is ended: what still ran in one of their threads would start another
        with (
            _connected(self.address, workers),
            closing(_results(jobs, folder.resolve(), work, workers)) as results,
        ):
            for result in results:
                if isinstance(result, Exception):
                    raise result
                yield result


@contextmanager
def _connected(address: str | None, workers: int) -> Iterator[None]:
    """Have Ray, quiet; end it only if it was not there before."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)  # before the import, which reads them
    import ray
    import ray.data

    if ray.is_initialized():
        yield
        return
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    settings = {"num_cpus": workers, "include_dashboard": False} if where == "local" else {}
    try:
        ray.init(where, log_to_driver=False, logging_level="error", **settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"there is no Ray cluster at {where}: {str(error).splitlines()[0]}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _results(jobs: list[Job], folder: Path, work: Work, workers: int) -> Generator[Any]:
    """The result of each job, streamed; or an exception."""
    import ray.data
    from ray.exceptions import RayError

    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False  # there is one bar already
    size = max(1, min(BLOCK, len(jobs) // (4 * workers)))
    with ray.data.DataContext.current(context):
        dataset = ray.data.from_items([job._asdict() for job in jobs], override_num_blocks=-(-len(jobs) // size))
        pool = ray.data.ActorPoolStrategy(size=workers)
        arguments = {"compute": pool, "num_cpus": 1, "batch_size": None, "batch_format": "pyarrow"}
        results = dataset.map_batches(_Actor, fn_constructor_args=(folder, work), **arguments)
        batches = iter(results.iter_batches(prefetch_batches=0, batch_size=None, batch_format="pyarrow"))
    try:
        for batch in batches:
            yield from map(pickle.loads, batch["result"].to_pylist())  # of our own actors
    except RayError as error:
        raise InputError(
            f"the Ray cluster failed: {str(error).splitlines()[0]}; what is done is in {folder}"
        ) from error
    finally:
        batches.close()


class _Actor:
    """A worker, in a process somewhere on the cluster."""

    def __init__(self, folder: Path, work: Work) -> None:
        self.folder, self.work = folder, work
        self.writer: Writer | None = None

    def __call__(self, batch: Table) -> dict[str, list[bytes]]:
        """The results of some jobs, or one error as a value: raised, it would arrive as a page of traceback."""
        try:
            results: list[Any] = self._results([Job(**row) for row in batch.to_pylist()])
        except (OSError, InputError) as error:
            results = [error]
        return {"result": [pickle.dumps(result) for result in results]}

    def _results(self, jobs: list[Job]) -> list[Skipped | None]:
        import ray

        if ray.get_runtime_context().was_current_actor_reconstructed:  # Ray would try the same track for ever
            raise InputError(
                f"a worker died, most often for want of memory, at one of the tracks from {jobs[0].track_id} to"
                f" {jobs[-1].track_id}; what is done is kept in {self.folder}: run it again, with fewer workers"
            )
        if self.writer is None:
            torch.set_num_threads(1)  # as processes do, so that the bytes are the same
            self.writer = Writer(self.folder, self.work)
        results = [self.writer(job) for job in jobs]
        for file in (self.writer.shard, self.writer.journal):
            os.fsync(file.fileno())  # the driver, on another machine, reads both once it knows the results
        return results
