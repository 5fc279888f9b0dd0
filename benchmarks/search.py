"""Search at a million vectors: recall over throughput, memory, filters, adding and opening, against others, in one run.

    python benchmarks/search.py RUN [--rows 1000000] [--cache build/search] [--picture curve.png]

RUN is a trained run, whose index is read, an index's folder, or an .npy or parquet of embeddings. A run's own index
holds its test part; `crossmodal index build RUN RUN/manifest --out FOLDER` makes one of all its tracks. Segments are
expanded to ``--rows`` vectors that are as hard to search (see vectors/expansion.py); a thousand real ones, of tracks
that the expansion has not seen, are the queries. Vectors and indexes are kept in ``--cache``: a run that finds them
there only measures. They are built on ``--threads``; every search is on one thread.

Exact FAISS, scikit-learn, hnswlib, usearch and crossmodal's kinds are asked in turn, round after round, so that what
else the machine does falls on all of them; told are medians of rounds. ``one`` is a query at a time, ``batch`` 100 at
once, for which exact search has a matrix product: the ratios are to exact FAISS asked in the same way. crossmodal is
asked through ``SearchIndex.search``, which brings metadata, too; the row with a star is what its own tuning chose.
Memory is what a process of its own has resident after 500 queries beyond what it had before it opened the index: its
own, pages of the index, and pages of vectors.npy and the tables, in which only what was found is looked up: these the
system may drop. Cold means that none of the files was in memory; seconds are medians of three processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "vectors"))

from alone import files, measured
from engines import GROUPS, Engine, K, engines, numbered, tables
from expansion import ASKED, SAMPLE, expanded, hardness, matched, parted, read

from crossmodal.material import Floats, Ints
from crossmodal.search import SearchIndex

KINDS = ("flat", "hnsw", "ivfsq", "ivfpq", "rabitq")
ADDED = 10_000
BATCH = 100
SECONDS = 0.3  # of asking, a point and round
FLAT, PQ = "faiss flat", "crossmodal ivfpq"
LIBRARIES = ("faiss-cpu", "hnswlib", "usearch", "scikit-learn", "numpy")


def made(arguments: argparse.Namespace) -> Path:
    """The folder of the vectors and queries, made unless it is there, and how hard they are."""
    folder = Path(arguments.cache) / f"{arguments.rows}-{arguments.seed}"
    if not (folder / "about.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        vectors, tracks = read(Path(arguments.run))
        asked = parted(tracks, min(ASKED, len(vectors) // 10), arguments.seed)
        real, recipe = vectors[~asked], matched(vectors[~asked], arguments.seed)
        out = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (arguments.rows, real.shape[1]))
        expanded(real, recipe, arguments.rows, arguments.seed, out)
        np.save(folder / "queries.npy", vectors[asked])
        count = f"{len(vectors):,} segments of {len(np.unique(tracks)):,} tracks, {real.shape[1]} numbers each"
        lines = [f"{count}; {int(asked.sum()):,} of them are the queries; {recipe}"]
        sizes = sorted({SAMPLE // 4, SAMPLE, len(real)})
        lines += [f"real     {hardness(real, size, arguments.seed)}" for size in sizes if size <= len(real)]
        sizes = sorted({*sizes, 100_000, arguments.rows})
        lines += [f"expanded {hardness(out, size, arguments.seed)}" for size in sizes if size <= arguments.rows]
        (folder / "about.json").write_text(json.dumps({"run": str(arguments.run), "lines": lines}))
    about = json.loads((folder / "about.json").read_text())
    print(f"{about['run']}: " + "\n".join(about["lines"]), flush=True)
    return folder


def built(folder: Path, found: list[Engine], threads: int) -> None:
    """Each engine's files, unless they are there, with the seconds that they took."""
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    faiss.omp_set_num_threads(threads)
    for engine in found:
        path, note = engine.path(folder), folder / f"{engine.path(folder).name}.json"
        if not note.exists():
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
            began = time.perf_counter()
            engine.build(path, vectors)
            note.write_text(json.dumps({"seconds": time.perf_counter() - began, "threads": threads}))
        said = json.loads(note.read_text())
        size = sum(file.stat().st_size for file in files(path))
        print(f"{engine.name:18} built in {said['seconds']:5.0f} s on {said['threads']} threads, {size / 1e6:6,.0f} MB")
    faiss.omp_set_num_threads(1)


def share(found: Ints, truth: Ints) -> float:
    """Recall."""
    return float(np.mean([len(set(a) & set(b)) / truth.shape[1] for a, b in zip(found, truth, strict=True)]))


class Point:
    """One engine at one effort: its recall, and its rates in each round."""

    def __init__(self, name: str, effort: Any, search: Any, recall: float, chosen: bool) -> None:
        self.name, self.effort, self.search, self.recall, self.chosen = name, effort, search, recall, chosen
        self.rates: dict[int, list[float]] = {1: [], BATCH: []}

    def time(self, queries: Floats, batch: int) -> None:
        """A round: as many queries as there is time for, always from the first on."""
        began, done = time.perf_counter(), 0
        while not done or time.perf_counter() - began < SECONDS:
            at = done % (len(queries) - batch + 1)
            self.search(queries[at : at + batch], self.effort)
            done += batch
        self.rates[batch].append(done / (time.perf_counter() - began))

    def rate(self, batch: int) -> float:
        """Queries a second."""
        return median(self.rates[batch])


def points(engine: Engine, folder: Path, queries: Floats, truth: Ints, rows: int) -> list[Point]:
    """An engine's efforts, the cheapest first, up to one that finds all; those that find no more are left out."""
    opened, search = engine.open(engine.path(folder))
    tuned = opened.info["effort"] if isinstance(opened, SearchIndex) else None
    found, best, done = [], {}, set()
    for effort in engine.efforts(rows):
        depth = effort["depth"] if isinstance(effort, dict) else 0
        if depth in done:
            continue
        recall = share(search(queries, effort), truth)
        if recall - best.get(depth, 0) < 0.0005:
            done.add(depth)
        best[depth] = recall
        if recall > 0.5:
            found.append(Point(engine.name, effort, search, recall, bool(effort) and effort == tuned))
        if recall > 0.9995:
            break
    return found


def curves(folder: Path, found: list[Engine], rows: int, rounds: int) -> list[Point]:
    """All engines at all efforts, in turn."""
    queries = np.load(folder / "queries.npy")
    truth = found[0].open(found[0].path(folder))[1](queries, None)
    every = [point for engine in found for point in points(engine, folder, queries, truth, rows)]
    for _ in range(rounds):
        for batch in (1, BATCH):
            for point in every:
                point.time(queries, batch)
    flat = every[0]
    print(f"\n{'recall@10 of ' + str(len(queries)) + ' queries':48} recall  one/s    x flat  batch/s  x flat")
    for point in every:
        ratios = [(point.rate(batch), point.rate(batch) / flat.rate(batch)) for batch in (1, BATCH)]
        cells = "  ".join(f"{rate:8,.1f} {ratio:7.1f}" for rate, ratio in ratios)
        told = json.dumps(point.effort) if point.effort else ""
        print(f"{point.name:18}{told:28} {'*' if point.chosen else ' '} {point.recall:.4f}  {cells}")
    return every


def memory(folder: Path, found: list[Engine]) -> dict[str, float]:
    """Print what each engine keeps resident and how fast it opens; returns megabytes, without those it may drop."""
    print(f"\n{'MB resident, seconds':22} own  index  looked up   open warm  first   open cold  first")
    kept = {}
    for engine in found:
        warm, cold = (measured(folder, engine, cold=cold) for cold in (False, True))
        kept[engine.name] = warm["own"] + warm["files"]
        sizes = f"{warm['own']:6,.0f} {warm['files']:6,.0f} {warm['vectors']:10,.0f}"
        times = "  ".join(f"{one['open']:9.3f} {one['first']:6.3f}" for one in (warm, cold))
        print(f"{engine.name:18} {sizes}   {times}", flush=True)
    return kept


def filtered(folder: Path, name: str) -> float:
    """Recall with 1 % of the tracks left, at random or by where they lie, and with 10 %; the least of the first two."""
    index = SearchIndex.open(folder / name.replace(" ", "-"))
    queries, least = np.load(folder / "queries.npy")[:200], 1.0
    ids = index.tracks.table["track_id"].to_numpy().astype(np.int64)
    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    scores = (vectors @ queries.mean(axis=0))[ids]  # of the rows in the index's order
    group = index.tracks.table["group"].to_numpy()
    masks = {
        "1 % at random": group == 0,
        "1 % far from the queries": scores < np.quantile(scores, 1 / GROUPS),
        "10 % at random": group < GROUPS / 10,
    }
    for what, mask in masks.items():
        left = ids[mask]
        truth = left[faiss.knn(queries, vectors[left], K, metric=faiss.METRIC_INNER_PRODUCT)[1]]
        began = time.perf_counter()
        answers = [index.search(queries[row : row + 1], K, allowed=mask)[0] for row in range(len(queries))]
        rate = len(queries) / (time.perf_counter() - began)
        recall = share(numbered(answers), truth)
        least = min(least, recall) if what.startswith("1 %") else least
        print(f"{name}, filter leaves {what:24} recall {recall:.4f}, {rate:6.0f} queries/s", flush=True)
    return least


def added(folder: Path, name: str, rows: int) -> float:
    """Seconds in which new vectors are in a copy of the index, on the disk and found."""
    source, copy = folder / name.replace(" ", "-"), folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(
        source, copy, copy_function=lambda a, b: shutil.copy2(a, b) if Path(a).stat().st_size < 1e5 else os.link(a, b)
    )
    index = SearchIndex.open(copy)
    new = np.random.default_rng(0).standard_normal((ADDED, index.dim), dtype=np.float32)
    prepared = tables(rows, ADDED)
    began = time.perf_counter()
    index.add(new, *prepared)
    seconds = time.perf_counter() - began
    assert [hits[0].track_id for hits in SearchIndex.open(copy).search(new[:5], 1)] == [str(rows + n) for n in range(5)]
    shutil.rmtree(copy)
    print(f"{name}: {ADDED:,} vectors added in {seconds:.2f} s", flush=True)
    return seconds


def picture(every: list[Point], path: Path, title: str) -> None:
    """Recall over throughput, an engine a line."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for name in dict.fromkeys(point.name for point in every):
        own = [(point.recall, point.rate(1)) for point in every if point.name == name]
        line = sorted(one for one in own if not any(o[0] >= one[0] and o[1] > one[1] for o in own))  # the best of them
        axes.plot(*zip(*line, strict=True), marker="o", markersize=4, label=name)
    axes.set(xlabel="recall@10", ylabel="queries a second, one at a time, one thread", yscale="log", title=title)
    axes.set_xlim(0.8, 1.002)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default="runs/quickstart")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cache", default="build/search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help="of crossmodal's indexes")
    parser.add_argument("--without", nargs="+", default=[], help="names of others that are left out: usearch, say")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="that build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--picture", type=Path, help="a .png of the curves")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()},", end=" ")
    print(", ".join(f"{name} {version(name)}" for name in LIBRARIES) + f"; seed {arguments.seed}", flush=True)
    folder = made(arguments)
    found = [engine for engine in engines(arguments.kinds) if engine.name not in arguments.without]
    built(folder, found, arguments.threads)
    kept = memory(folder, found)
    every = curves(folder, found, arguments.rows, arguments.rounds)
    print()
    kind = "crossmodal hnsw" if "hnsw" in arguments.kinds else f"crossmodal {arguments.kinds[0]}"
    least, seconds = filtered(folder, kind), added(folder, kind, arguments.rows)
    print(f"\n{'asked':70} found")
    for recall, times in ((0.95, 50), (0.99, 12)):
        ours = [p for p in every if p.recall >= recall and p.name.startswith("crossmodal")]
        best = max(ours, key=lambda p: p.rate(1))
        line = f"recall {recall} at {times} times exact flat, a query at a time on one thread"
        print(f"{line:70} {best.rate(1) / every[0].rate(1):.1f} times ({best.name} {best.effort})")
    small = [p for p in every if p.name == PQ and p.recall >= 0.95]
    if small:
        best = max(small, key=lambda p: p.rate(1))
        print(f"{'recall 0.95 of ivfpq in 1/8 of the memory of flat':70} {best.recall:.4f}", end=" ")
        print(f"in 1/{kept[FLAT] / kept[PQ]:.1f} at {best.rate(1) / every[0].rate(1):.1f} times")
    print(f"{'recall 0.95 where a filter leaves 1 %':70} {least:.4f}")
    print(f"{'10,000 vectors added within 1 s':70} {seconds:.2f} s")
    if arguments.picture:
        picture(every, arguments.picture, f"{arguments.rows:,} vectors")


if __name__ == "__main__":
    main()
