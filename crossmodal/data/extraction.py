"""Running an extraction: in this process or in several, resumable, one at a time for each store."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from crossmodal.data.manifest import Manifest
from crossmodal.data.shards import Done, Job, Recipe, Writer, done, key
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped, read_json, write_json

AHEAD = 4  # tracks that wait for each worker: enough to keep it busy, few enough to take no memory

Found = dict[str, Done]


@contextmanager
def run(manifest: Manifest, recipe: Recipe, out: Path, workers: int) -> Iterator[tuple[Path, Found, list[Skipped]]]:
    """Do what is left of an extraction; yield its folder, the tracks in it and the skipped, in the manifest's order.

    The folder is locked until the block ends.
    """
    folder = out.with_name(out.name + ".partial")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            _same_recipe(folder, recipe)
            jobs = _jobs(manifest)
            skipped = _do(jobs, folder, recipe, workers)
            finished = done(folder)
            found = {job.track_id: finished[job.key] for job in jobs if job.track_id not in skipped}
            yield folder, found, [skipped[job.track_id] for job in jobs if job.track_id in skipped]
    except Timeout as error:
        raise InputError(f"another extraction is writing {out}; wait for it, or give another name") from error


def _same_recipe(folder: Path, recipe: Recipe) -> None:
    path = folder / "recipe.json"
    if not path.exists():
        write_json(path, recipe.to_dict())
    old, new = read_json(path), recipe.to_dict()
    if other := [f"{key} {old.get(key)}, not {new[key]}" for key in new if old.get(key) != new[key]]:
        raise InputError(f"{folder} was begun with {'; '.join(other)}; remove it, or extract with its settings")


def _jobs(manifest: Manifest) -> list[Job]:
    tracks, paths = manifest.tracks, manifest.paths()
    rows = zip(tracks["track_id"], tracks["duration"], tracks["sample_rate"], strict=True)
    return [
        Job(key(track, str(paths[track])), track, str(paths[track]), float(duration), int(rate))
        for track, duration, rate in rows
    ]


def _do(jobs: list[Job], folder: Path, recipe: Recipe, workers: int) -> dict[str, Skipped]:
    """Extract the tracks that no journal names; the skipped ones by id."""
    finished = done(folder)
    left = [job for job in jobs if job.key not in finished]
    results = _here(left, folder, recipe) if workers == 1 else _in_processes(left, folder, recipe, workers)
    skipped: dict[str, Skipped] = {}
    with tqdm(results, "features", len(jobs), initial=len(jobs) - len(left), unit="track", disable=None) as progress:
        try:
            for result in progress:
                if result is not None:
                    skipped[result.id] = result
                    progress.set_postfix(skipped=len(skipped))
        except OSError as error:
            why = error.strerror or error
            raise InputError(f"could not write into {folder}: {why}; what is done is kept there") from error
    return skipped


def _here(jobs: list[Job], folder: Path, recipe: Recipe) -> Iterator[Skipped | None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the processes do, so that the bytes are the same
    writer = Writer(folder, recipe)
    try:
        yield from map(writer, jobs)
    finally:
        writer.close()
        torch.set_num_threads(threads)


def _in_processes(jobs: list[Job], folder: Path, recipe: Recipe, workers: int) -> Iterator[Skipped | None]:
    """Results in the order they come, with only a few tracks handed out ahead."""
    queue = iter(jobs)
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of torch's threads
    with ProcessPoolExecutor(workers, context, _start, (folder, recipe)) as pool:
        running: dict[Future[Skipped | None], Job] = {}
        try:
            while True:
                running |= {pool.submit(_extract, job): job for job in islice(queue, workers * AHEAD - len(running))}
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield future.result()
                    del running[future]
        except BrokenProcessPool as error:
            names = listed([job.track_id for job in running.values()], 4)
            raise InputError(
                f"a worker process died, most often for want of memory, at one of the tracks {names}; what is done is"
                f" kept in {folder}: run it again, with fewer workers than {workers}"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_writer: Writer | None = None  # of a worker process


def _start(folder: Path, recipe: Recipe) -> None:
    global _writer
    torch.set_num_threads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _writer = Writer(folder, recipe)


def _extract(job: Job) -> Skipped | None:
    assert _writer is not None
    return _writer(job)


def _die_with_parent() -> None:
    """End this process when its parent was killed, for it would wait for ever for the next track."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
