"""Doing work on every track of a manifest: by processes of this machine, resumable, once at a time for each folder."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from crossmodal.data.manifest import Manifest
from crossmodal.data.work import SKIPPED, Job, Results, Work, Writer, done, key
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped, make_folder, read_json, read_skipped, write_json, write_skipped

CHUNK = 8  # tracks that are handed to a worker at a time: few enough to share evenly, and the parent has little to do
AHEAD = 2  # chunks that wait for each worker

Engine = Callable[[list[Job], Path, Work], Iterator[Skipped | None]]
"""Does jobs into shards and journals below a folder; gives a result for each job, in any order."""


@contextmanager
def run(manifest: Manifest, work: Work, folder: Path, engine: Engine) -> Iterator[Results]:
    """Do what is left of a work; yield its results, in the manifest's order. The folder is locked until the block ends.

    Raises:
        InputError: another process works in the folder, the folder holds work of another identity, or the disk is full.
    """
    make_folder(folder)
    with locked(folder):
        _same_work(folder, work)
        jobs = _jobs(manifest)
        found = _do(jobs, folder, work, engine)
        skipped = [found[job.track_id] for job in jobs if job.track_id in found]
        write_skipped(folder / SKIPPED, [*_of_others(folder / SKIPPED, jobs), *skipped])
        finished = done(folder)
        tracks = {job.track_id: finished[job.key] for job in jobs if job.track_id not in found}
        yield Results(folder, work, tracks, skipped)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Have a folder of work to oneself; `InputError` if another process has it."""
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout as error:
        raise InputError(f"another process is working in {folder}; wait for it, or give another name") from error


def _of_others(path: Path, jobs: list[Job]) -> list[Skipped]:
    """What was skipped of tracks that are no jobs now: several lists of tracks may be done in one folder."""
    now = {job.track_id for job in jobs}
    return [skipped for skipped in read_skipped(path) if skipped.id not in now] if path.exists() else []


def _same_work(folder: Path, work: Work) -> None:
    path = folder / "work.json"
    if not path.exists():
        write_json(path, work.identity)
    old, new = read_json(path), work.identity
    if other := [f"{key} {old.get(key)}, not {new[key]}" for key in new if old.get(key) != new[key]]:
        raise InputError(f"{folder} was begun with {'; '.join(other)}; remove it, or go on with its settings")


def _jobs(manifest: Manifest) -> list[Job]:
    tracks, paths = manifest.tracks, manifest.paths()
    rows = zip(tracks["track_id"], tracks["duration"], tracks["sample_rate"], strict=True)
    return [
        Job(key(track, str(paths[track])), track, str(paths[track]), float(duration), int(rate))
        for track, duration, rate in rows
    ]


def _do(jobs: list[Job], folder: Path, work: Work, engine: Engine) -> dict[str, Skipped]:
    """Do the tracks that no journal names; the skipped ones by id."""
    finished = done(folder)
    left = [job for job in jobs if job.key not in finished]
    skipped: dict[str, Skipped] = {}
    results, began = engine(left, folder, work), len(jobs) - len(left)
    with tqdm(results, work.name, len(jobs), initial=began, unit="track", disable=None) as progress:
        try:
            for result in progress:
                if result is not None:
                    skipped[result.id] = result
                    progress.set_postfix(skipped=len(skipped))
        except OSError as error:
            why = error.strerror or error
            raise InputError(f"could not write into {folder}: {why}; what is done is kept there") from error
    return skipped


@dataclass(frozen=True)
class Processes:
    """The engine of one machine: so many processes; one does it in this process."""

    workers: int = 1

    def __call__(self, jobs: list[Job], folder: Path, work: Work) -> Iterator[Skipped | None]:
        """Results in the order they come."""
        return _here(jobs, folder, work) if self.workers == 1 else _in_processes(jobs, folder, work, self.workers)


ALONE = Processes()


def named(name: Literal["processes", "ray"], workers: int) -> Engine:
    """The engine that a config or a command names."""
    if name == "processes":
        return Processes(workers)
    from crossmodal.data.cluster import Ray

    return Ray(workers)


def _here(jobs: list[Job], folder: Path, work: Work) -> Iterator[Skipped | None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the processes do, so that the bytes are the same
    writer = Writer(folder, work)
    try:
        yield from map(writer, jobs)
    finally:
        writer.close()
        torch.set_num_threads(threads)


def _in_processes(jobs: list[Job], folder: Path, work: Work, workers: int) -> Iterator[Skipped | None]:
    """Only a few tracks are handed out ahead."""
    size = max(1, min(CHUNK, len(jobs) // (4 * workers)))
    queue = (jobs[start : start + size] for start in range(0, len(jobs), size))
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of torch's threads
    with ProcessPoolExecutor(workers, context, _start, (folder, work)) as pool:
        running: dict[Future[list[Skipped | None]], list[Job]] = {}
        try:
            while True:
                running |= {
                    pool.submit(_chunk, chunk): chunk for chunk in islice(queue, workers * AHEAD - len(running))
                }
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield from future.result()
                    del running[future]
        except BrokenProcessPool as error:
            names = listed([job.track_id for chunk in running.values() for job in chunk], 4)
            raise InputError(
                f"a worker process died, most often for want of memory, at one of the tracks {names}; what is done is"
                f" kept in {folder}: run it again, with fewer workers than {workers}"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_writer: Writer | InputError  # of a worker process, or why it has none


def _start(folder: Path, work: Work) -> None:
    global _writer
    torch.set_num_threads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        _writer = Writer(folder, work)
    except InputError as error:  # raised here, it would be told as a process that died
        _writer = error


def _chunk(jobs: list[Job]) -> list[Skipped | None]:
    if isinstance(_writer, InputError):
        raise _writer
    return [_writer(job) for job in jobs]


def _die_with_parent() -> None:
    """End this process when its parent was killed, for it would wait for ever for the next track."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
