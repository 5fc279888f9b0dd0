"""What embedded Milvus costs beside a folder: `python benchmarks/milvus.py [SEGMENTS [KIND...]]`.

100,000 x 256 unless given, flat and hnsw. Vectors lie about 1,000 centres, four segments a track; queries about the
same centres. Recall is that of the ten best tracks against the exact ones of a folder. Times are of the processor, all
threads together (embedded Milvus runs in this process); of searches medians, of one query at a time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crossmodal import filters
from crossmodal.indexes.milvus import MilvusIndex
from crossmodal.search import SearchIndex

DIM, SEGMENTS, QUERIES = 256, 4, 10
WHERE = {"a number": "year=1990", "a word": "artist=artist 7", "a tag": "tag=sad"}


def clustered(count: int, seed: int) -> Any:
    centres = np.random.default_rng(0).normal(size=(1000, DIM))
    rng = np.random.default_rng(seed)
    return (centres[rng.integers(0, 1000, count)] + rng.normal(size=(count, DIM))).astype(np.float32)


def tables(rows: int) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    number = np.arange(rows) // SEGMENTS
    segments = pd.DataFrame({"track_id": [f"track {i}" for i in number], "start": np.arange(rows) % SEGMENTS * 5.0})
    tracks = segments[["track_id"]].drop_duplicates().reset_index(drop=True)
    at = np.arange(len(tracks))
    mood = [["sad"] if i % 100 == 0 else ["calm"] for i in at]
    tracks = tracks.assign(year=1990 + at % 50, artist=[f"artist {i % 100}" for i in at], **{"tags.mood": mood})
    return clustered(rows, 1), segments.assign(end=segments["start"] + 5), tracks


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def median(index: Any, queries: Any, **asked: Any) -> tuple[float, list[Any]]:
    found = [timed(lambda query=query: index.search(query[None], 10, **asked)[0]) for query in queries]
    return float(np.median([seconds for seconds, _ in found])), [hits for _, hits in found]


def measure(name: str, index: Any, exact: list[Any], queries: Any) -> list[Any]:
    seconds, found = median(index, queries)
    truth = exact or found
    same = [len({h.track_id for h in a} & {h.track_id for h in b}) / 10 for a, b in zip(truth, found, strict=True)]
    told = [f"{name}: search {seconds * 1e3:.0f} ms, recall@10 {np.mean(same):.3f}"]
    for what, typed in WHERE.items():
        told.append(f"where {what} is so {median(index, queries[:2], where=filters.parse(typed))[0] * 1e3:.0f} ms")
    print("; ".join(told), flush=True)
    return found


def main() -> None:
    if find_spec("pymilvus") is None:
        print("needs the extra milvus: pip install 'crossmodal[milvus]'")
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    made, queries = tables(rows), clustered(QUERIES, 2)
    some = made[0][:SEGMENTS], made[1][:SEGMENTS], made[2][:1].assign(track_id="new")
    with tempfile.TemporaryDirectory() as home:
        seconds, folder = timed(lambda: SearchIndex.build(f"{home}/index", *made, "m"))
        print(f"{rows:,} x {DIM}; a folder, flat: built in {seconds:.1f} s")
        exact = measure("a folder, flat", folder, [], queries)
        for kind in sys.argv[2:] or ("flat", "hnsw"):
            file = Path(home) / f"{kind}.db"
            seconds, index = timed(lambda file=file, kind=kind: MilvusIndex.build(file, *made, "m", kind))
            size = sum(path.stat().st_size for path in file.rglob("*") if path.is_file())
            print(f"Milvus, {kind}: built in {seconds:.1f} s, {size / 1e6:.0f} MB", flush=True)
            measure(f"Milvus, {kind}", index, exact, queries)
            named = some[1].assign(track_id="new")
            update, _ = timed(lambda index=index, named=named: index.update(some[0], named, some[2]))
            count, _ = timed(lambda index=index: len(index))
            index.close()
            again, index = timed(lambda file=file: MilvusIndex.open(file))
            print(
                f"Milvus, {kind}: a track updated in {update:.2f} s, counted in {count:.1f} s, opened in {again:.1f} s"
            )
            index.close()


main()
