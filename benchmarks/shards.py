"""Memory and time of an index that is built of shards: what grows with the segments beside the kind itself.

    OMP_NUM_THREADS=1 python benchmarks/shards.py [SEGMENTS ...] [--dim 64] [--kind ivfpq]

Shards of 100,000 segments, five a track, of vectors in a space of twelve dimensions with noise around it, are built,
merged as exact search, compacted as KIND, verified, exported as parquet and imported again, opened and searched, each
in a process of its own. Peak memory is told twice: all that was resident (``getrusage``), of which the memory maps of
files are a part that the system takes back when it needs the room, and without them (``RssAnon``, looked at every 10
ms). Folders are removed as soon as they are not needed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal.search import SearchIndex
from crossmodal.search.checks import verify
from crossmodal.search.exchange import read_parquet, write_parquet
from crossmodal.search.merging import merge

SHARD, SEGMENTS, LATENT = 100_000, 5, 12


def vectors(count: int, dim: int, seed: int) -> np.ndarray:
    """Of a few dimensions, with noise in all."""
    rng = np.random.default_rng(seed)
    plane = np.random.default_rng(0).normal(size=(LATENT, dim)).astype(np.float32)
    noise = rng.normal(size=(count, dim)).astype(np.float32)
    return rng.normal(size=(count, LATENT)).astype(np.float32) @ plane + noise / 2


def shards(home: Path, segments: int, dim: int, **_: Any) -> str:
    for number in range(segments // SHARD):
        tracks = np.arange(SHARD // SEGMENTS) + number * SHARD // SEGMENTS
        ids = np.char.add("track ", tracks.astype(str))
        rows = pd.DataFrame({"track_id": np.repeat(ids, SEGMENTS), "start": np.tile(np.arange(5) * 5.0, len(ids))})
        rows["end"] = rows["start"] + 5
        table = pd.DataFrame(
            {"track_id": ids, "title": np.char.add("A title of it, ", ids), "year": tracks % 70 + 1950}
        )
        SearchIndex.build(home / f"shard-{number:04}", vectors(SHARD, dim, number + 1), rows, table, "model")
    return f"{segments // SHARD} of them"


def merging(home: Path, **_: Any) -> str:
    made = merge(home / "index", sorted(home.glob("shard-*")))
    return f"{sum(file['bytes'] for file in made.info['files'].values()) / made.info['segments']:.0f} bytes a segment"


def compacting(home: Path, kind: str, **_: Any) -> str:
    index = SearchIndex.open(home / "index")
    index.compact(kind)
    (home / "index" / "gen-000001").rename(home / "old")
    shutil.rmtree(home / "old")
    size = index.info["files"].get("index.faiss", {"bytes": 0})["bytes"]
    return f"index.faiss {size / 1e6:.0f} MB, recall {index.info['recall']['measured']}, {index.info['effort']}"


def adding(home: Path, dim: int, **_: Any) -> str:
    index, ids = SearchIndex.open(home / "index"), [f"new {number}" for number in range(10_000)]
    rows = pd.DataFrame({"track_id": ids, "start": 0.0, "end": 5.0})
    table, made = pd.DataFrame({"track_id": ids, "title": "new", "year": 2000}), vectors(10_000, dim, 0)
    begun = time.perf_counter()
    index.add(made, rows, table)
    seconds = time.perf_counter() - begun
    index.delete(ids)
    return f"{seconds:.2f} s of it for 10,000 tracks of one segment"


def verifying(home: Path, **_: Any) -> str:
    assert verify(home / "index") == []
    return ""


def exporting(home: Path, **_: Any) -> str:
    write_parquet(SearchIndex.open(home / "index"), home / "all.parquet")
    return f"{(home / 'all.parquet').stat().st_size / 1e6:.0f} MB"


def importing(home: Path, **_: Any) -> str:
    read_parquet([home / "all.parquet"], home / "again")
    shutil.rmtree(home / "again")
    return ""


def opening(home: Path, **_: Any) -> str:
    begun = time.perf_counter()
    SearchIndex.open(home / "index")
    return f"{(time.perf_counter() - begun) * 1000:.0f} ms of it opening"


def searching(home: Path, dim: int, **_: Any) -> str:
    index, queries = SearchIndex.open(home / "index"), vectors(100, dim, 0)
    index.search(queries[:1], 10)
    begun = time.perf_counter()
    for query in queries:
        index.search(query[None], 10)
    return f"{(time.perf_counter() - begun) * 10:.2f} ms a query"


STEPS = (shards, merging, compacting, opening, searching, verifying, exporting, importing, adding)


class Watched:
    """The peak of memory that is no file's, of this process."""

    def __init__(self) -> None:
        self.peak, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.over.wait(0.01):
            lines = Path("/proc/self/status").read_text().splitlines()
            self.peak = max(self.peak, next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

    def done(self) -> int:
        """Its kilobytes until now; no more is looked at."""
        self.over.set()
        self.thread.join()
        return self.peak


def measured(step: Callable[..., str], options: dict[str, Any]) -> None:
    watched, begun = Watched(), time.perf_counter()
    said = step(**options)
    seconds, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{options['segments']:>12,}  {step.__name__:11} {seconds:8.1f} s ({used.ru_utime + used.ru_stime:7.1f} s of"
        f" processor time)  {used.ru_maxrss / 1024:7.0f} MB resident,"
        f" {watched.done() / 1024:6.0f} MB without files  {said}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("segments", nargs="*", type=int, default=[200_000, 400_000])
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--kind", default="ivfpq")
    given = parser.parse_args()
    for segments in given.segments:
        with tempfile.TemporaryDirectory() as temporary:
            options = {"home": Path(temporary), "segments": segments, "dim": given.dim, "kind": given.kind}
            for step in STEPS:
                child = multiprocessing.get_context("spawn").Process(target=measured, args=(step, options))
                child.start()
                child.join()
                if child.exitcode:
                    sys.exit(f"{step.__name__} failed")


if __name__ == "__main__":
    main()
