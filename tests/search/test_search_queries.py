"""Queries that lie elsewhere than what is searched, as texts do: an index is judged by them too, and keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from crossmodal import material
from crossmodal.cli.index import summary
from crossmodal.errors import InputError
from crossmodal.material import sampled
from crossmodal.search import SearchIndex, nearest, tuning
from crossmodal.search.checks import verify
from crossmodal.search.exchange import read_parquet, write_parquet
from crossmodal.search.merging import merge

DIM, TRACKS = 16, 1200
Floats = NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def no_short_cut() -> Iterator[None]:
    """So few vectors would all be compared."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in ((nearest, "SHARE", 1), (tuning, "SMALL", 500), (tuning, "HELD_OUT", 200)):
            patch.setattr(module, name, value)
        yield


def sounds() -> Floats:
    """Clusters in a narrow cone."""
    rng = np.random.default_rng(0)
    centres = 6 * np.eye(DIM)[0] + rng.normal(size=(60, DIM))
    return (centres[rng.integers(0, 60, TRACKS)] + 0.4 * rng.normal(size=(TRACKS, DIM))).astype(np.float32)


def words(count: int, seed: int) -> Floats:
    """In every direction."""
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)


def tables(start: int = 0, stop: int = TRACKS) -> tuple[Floats, pd.DataFrame, pd.DataFrame]:
    ids = [f"track {number}" for number in range(start, stop)]
    segments = pd.DataFrame({"track_id": ids, "start": 0.0, "end": 5.0})
    return sounds()[start:stop], segments, segments[["track_id"]]


def kept(index: SearchIndex) -> Floats:
    return np.load(index.folder / index.generation / "queries.npy")


def recall(index: SearchIndex, queries: Floats) -> float:
    """Of the ten best, by a plain product."""
    vectors, _, tracks = tables()
    scores = queries @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
    best = [{tracks["track_id"][row] for row in rows} for rows in np.argsort(-scores, axis=1)[:, :10]]
    found = [{hit.track_id for hit in hits} for hits in index.search(queries, 10)]
    return float(np.mean([len(first & second) / 10 for first, second in zip(found, best, strict=True)]))


@pytest.mark.parametrize("kind", ["hnsw", "ivfsq"])
def test_queries_that_are_not_like_segments_reach_the_recall_too(tmp_path: Path, kind: str) -> None:
    blind = SearchIndex.build(tmp_path / "blind", *tables(), "m", kind, recall=0.9)
    judged = SearchIndex.build(tmp_path / "judged", *tables(), "m", kind, recall=0.9, queries=words(300, 1))
    new = words(100, 2)
    assert recall(blind, new) < 0.85
    assert recall(judged, new) >= 0.9
    more = next(name for name in judged.info["effort"] if name != "depth")
    assert judged.info["effort"][more] > blind.info["effort"][more]
    told = judged.info["recall"]
    assert told["of"].keys() == {"segments", "queries"}
    assert told["measured"] == min(told["of"].values()) >= told["asked"] == 0.9
    assert "of 200 segments and 300 queries" in told["how"]
    assert f"{told['of']['queries']:.3f} of queries (0.9 asked)" in summary(judged)
    assert blind.info["recall"]["of"].keys() == {"segments"}
    assert "of queries" not in summary(blind)


def test_queries_go_on_through_compactions_and_merges(tmp_path: Path) -> None:
    asked, more = words(100, 1), words(80, 2)
    once = SearchIndex.build(tmp_path / "once", *tables(), "m", "ivfsq", recall=0.9, queries=asked)
    parts = [tables(0, 700), tables(700, TRACKS)]
    shards = [SearchIndex.build(tmp_path / str(i), *each, "m", queries=asked) for i, each in enumerate(parts)]
    made = merge(tmp_path / "all", [each.folder for each in shards], "ivfsq", recall=0.9)
    made.update(*tables(5, 9))
    made.compact()
    assert made.info["files"] == once.info["files"]
    assert made.info["recall"] == once.info["recall"]
    assert verify(made.folder) == []

    other = SearchIndex.build(tmp_path / "other", *parts[1], "m", queries=more)
    both = kept(merge(tmp_path / "two", [shards[0].folder, other.folder]))
    assert {row.tobytes() for row in both} == {row.tobytes() for each in (shards[0], other) for row in kept(each)}
    write_parquet(once, tmp_path / "once.parquet")
    assert "queries.npy" not in read_parquet([tmp_path / "once.parquet"], tmp_path / "back").info["files"]


def test_a_sample_of_samples_is_one_of_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(material, "QUERIES", 40)
    every = words(300, 1)
    whole = sampled(every)
    assert len(whole) == len({row.tobytes() for row in whole}) == 40
    assert np.array_equal(sampled(np.concatenate([sampled(every[200:]), sampled(every[:220])])), whole)
    lengths = np.linalg.norm(kept(SearchIndex.build(tmp_path, *tables(0, 9), "m", queries=every)), axis=1)
    assert lengths == pytest.approx(np.ones(40), abs=1e-6)


def test_few_queries_say_too_little(tmp_path: Path) -> None:
    made = SearchIndex.build(tmp_path, *tables(), "m", "ivfsq", recall=0.9, queries=words(tuning.FEWEST - 1, 1))
    assert made.info["recall"]["of"].keys() == {"segments"}
    assert len(kept(made)) == tuning.FEWEST - 1


def test_queries_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for queries, message in (
        (words(60, 1)[:, :-1], r"queries are \(60, 15\); valid is \(queries, 16\)"),
        (np.zeros((1, DIM), np.float32), "must be finite and not zero, but are not for query 0"),
    ):
        with pytest.raises(InputError, match=message):
            SearchIndex.build(tmp_path / "index", *tables(0, 9), "m", queries=queries)
    assert not (tmp_path / "index").exists()
