"""Writers of an index that are killed, or watched.

A module of its own, since the killed process imports it.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crossmodal.search import SearchIndex
from crossmodal.search.merging import merge

DIM = 16
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["crossmodal.search.merging", "pandas"])  # what a child imports then takes no time


def tables(names: list[str], seed: int) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """A segment a track; the year is the seed, and the vector is made of it."""
    vectors = np.random.default_rng(seed).normal(size=(len(names), DIM)).astype(np.float32)
    segments = pd.DataFrame({"track_id": names, "start": 0.0, "end": 1.0})
    return vectors, segments, pd.DataFrame({"track_id": names, "year": seed})


def change(index: SearchIndex, held: dict[str, int], turn: int, rng: np.random.Generator) -> tuple[Any, dict[str, int]]:
    """A change at random as a call, and what the index holds afterwards: id -> year."""
    kind = str(rng.choice(["add", "update", "delete", "compact", "build"], p=[0.4, 0.3, 0.15, 0.1, 0.05]))
    if kind == "compact":
        return index.compact, dict(held)
    if kind == "delete":
        gone = sorted(held)[: int(rng.integers(0, len(held) + 1))]
        return (lambda: index.delete(gone)), {name: year for name, year in held.items() if name not in gone}
    names = [f"{turn} {i}" for i in range(int(rng.integers(1, 100)))]
    if kind == "build":
        return (lambda: SearchIndex.build(index.folder, *tables(names, turn), "m")), dict.fromkeys(names, turn)
    if kind == "update":
        names += sorted(held)[:3]
    call = index.add if kind == "add" else index.update
    return (lambda: call(*tables(names, turn))), held | dict.fromkeys(names, turn)


def write(folder: Path, seed: int, told: Path) -> None:
    """Change the index until killed; each change is told before it begins and once it is acknowledged."""
    index, rng = SearchIndex.open(folder), np.random.default_rng(seed)
    held = {track["track_id"]: track["year"] for track in index.tracks}
    first = max(held.values(), default=0) + 1
    with told.open("w", encoding="utf-8") as file:
        for turn in range(first, first + 1000):
            call, after = change(index, held, turn, rng)
            print(json.dumps(["begun", after]), file=file, flush=True)
            call()
            print(json.dumps(["done", after]), file=file, flush=True)
            held = after


def compact(folder: Path) -> None:
    """Compact the index until killed."""
    while True:
        SearchIndex.open(folder).compact()


def killed(folder: Path, seed: int, delay_s: float, beside: bool = False) -> list[tuple[str, dict[str, int]]]:
    """Let a process of its own write, kill it so long after it began, and return what it told.

    With ``beside`` another process compacts the index at the same time, and is killed with it.
    """
    told = folder.with_name("told.jsonl")
    told.unlink(missing_ok=True)
    child = SERVER.Process(target=write, args=(folder, seed, told))
    other = SERVER.Process(target=compact, args=(folder,))
    child.start()
    if beside:
        other.start()
    deadline = time.monotonic() + 60
    while not (told.exists() and told.stat().st_size):
        assert child.is_alive(), "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(delay_s)
    for process in (child, other) if beside else (child,):
        process.kill()
        process.join()
    assert child.exitcode == -signal.SIGKILL
    lines = told.read_text(encoding="utf-8").splitlines(keepends=True)
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


def merged(folder: Path, shards: list[Path]) -> None:
    """What a process does that is to be killed, or watched."""
    merge(folder, shards, "ivfsq", recall=0.5)


def interrupted(folder: Path, shards: list[Path], delay_s: float) -> bool:
    """Let a process of its own merge, and kill it so long after it began; whether it was not done yet."""
    child = SERVER.Process(target=merged, args=(folder, shards))
    child.start()
    child.join(delay_s)
    child.kill()
    child.join()
    return child.exitcode == -signal.SIGKILL


def watched(folder: Path, shards: list[Path], told: Any) -> None:
    """Merge, and tell how many bytes memory held meanwhile that are no file's, beside what it held before."""
    before, peak, over = _held(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.005):
            peak = max(peak, _held())

    thread = threading.Thread(target=watch)
    thread.start()
    merge(folder, shards)
    over.set()
    thread.join()
    told.put(peak - before)


def _held() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
