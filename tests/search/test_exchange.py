"""Indexes that are merged, and vectors that leave and enter as parquet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossmodal.errors import InputError
from crossmodal.files import atomic
from crossmodal.search import SearchIndex
from crossmodal.search.checks import verify
from crossmodal.search.exchange import read_parquet, write_parquet
from crossmodal.search.merging import merge

DIM = 6


def tables(first: int, count: int, **columns: object) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Tracks of one to three segments with their numbers' vectors."""
    ids = [f"track {i}" for i in range(first, first + count) for _ in range(1 + i % 3)]
    rng = np.random.default_rng(first)
    segments = pd.DataFrame({"track_id": ids, "start": np.arange(len(ids)) * 2.0})
    segments["end"] = segments["start"] + 2
    tracks = segments[["track_id"]].drop_duplicates()
    return rng.normal(size=(len(ids), DIM)).astype(np.float32), segments, tracks.assign(**columns)


def build(folder: Path, first: int, count: int, **columns: object) -> SearchIndex:
    return SearchIndex.build(folder, *tables(first, count, **columns), "m", frontend="f")


def answers(index: SearchIndex) -> list[list[tuple[str, float, float, float]]]:
    queries = np.random.default_rng(9).normal(size=(20, DIM)).astype(np.float32)
    return [[hit[:4] for hit in hits] for hits in index.search(queries, 1000)]


def test_what_is_merged_answers_as_if_it_had_been_built_at_once(tmp_path: Path) -> None:
    parts = [build(tmp_path / str(first), first, 40, year=first) for first in (0, 40, 80)]
    parts[1].delete(["track 41"])
    parts[2].update(*tables(118, 4, year=7, album="x"))
    made = merge(tmp_path / "all", [part.folder for part in parts])
    assert verify(made.folder) == []
    frames = [tables(0, 40), tables(40, 40), tables(80, 38), tables(118, 4)]
    vectors, segments, tracks = zip(*frames, strict=True)
    vectors, segments, tracks = np.concatenate(vectors), pd.concat(segments), pd.concat(tracks)
    gone = (segments["track_id"] == "track 41").to_numpy()
    whole = SearchIndex.build(tmp_path / "whole", vectors[~gone], segments[~gone], tracks, "m")
    assert answers(made) == answers(whole)
    assert {track["track_id"]: (track["year"], track["album"]) for track in made.tracks} == {
        f"track {i}": (7, "x") if i >= 118 else (i // 40 * 40, None) for i in range(122) if i != 41
    }
    assert (made.info["frontend"], made.info["kind"], len(parts[1])) == ("f", "flat", 39)


def test_what_cannot_be_merged_is_told(tmp_path: Path) -> None:
    one, two = build(tmp_path / "1", 0, 5, year=1), build(tmp_path / "2", 3, 5, year=1)
    words = build(tmp_path / "words", 10, 3, year="old")
    other = SearchIndex.build(tmp_path / "other", *tables(50, 3), "another", frontend="f")
    for message, sources in {
        "more than one index: track 3, track 4$": [one, two],
        "more than one index: track 0, .*track 4$": [one, one],
        "of one fingerprint can be merged, but they are of .*/1: m, .*/other: another": [one, other],
        "metadata are of other types": [one, words],
        "no index to merge": [],
    }.items():
        with pytest.raises(InputError, match=message):
            merge(tmp_path / "all", [index.folder for index in sources])
        assert not (tmp_path / "all" / "CURRENT").exists()
    with pytest.raises(InputError, match="holds an index already"):
        merge(tmp_path / "1", [tmp_path / "2"])
    with pytest.raises(InputError, match="nowhere holds no index"):
        merge(tmp_path / "all", [tmp_path / "nowhere"])


def test_parquet_brings_all_of_it_back(tmp_path: Path) -> None:
    index = build(
        tmp_path / "index", 0, 40, year=pd.array([None, *range(1, 40)], dtype="Int64"), tags=[["a", "ü"]] * 40
    )
    index.delete(["track 7"])
    index.update(*tables(38, 5, year=3, tags=[["b"]] * 5))
    write_parquet(index, tmp_path / "v.parquet")
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["track_id", "start", "end", "vector", "metadata"]
    assert len(table) == index.info["segments"]
    back = read_parquet([tmp_path / "v.parquet"], tmp_path / "back")
    assert answers(back) == answers(index)
    index.compact()
    assert list(back.tracks) == list(index.tracks)
    assert back.tracks[0].keys() == {"track_id", "year", "tags"}
    assert {key: back.info[key] for key in ("fingerprint", "frontend", "dim")} == {
        "fingerprint": "m",
        "frontend": "f",
        "dim": DIM,
    }
    for name, (bounds, vectors) in {name: index.segments(name) for name in ("track 3", "track 38")}.items():
        np.testing.assert_array_equal(back.segments(name)[0], bounds)
        np.testing.assert_array_equal(back.segments(name)[1], vectors)


def test_a_table_of_other_hands_is_enough(tmp_path: Path) -> None:
    vectors, segments, _ = tables(0, 4)
    table = pa.Table.from_pandas(segments.assign(vector=[row.tolist() for row in vectors]))  # lists of float64
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "v.parquet")
    with pytest.raises(InputError, match="which model its vectors are of"):
        read_parquet([tmp_path / "v.parquet"], tmp_path / "index")
    made = read_parquet([tmp_path / "v.parquet"], tmp_path / "index", fingerprint="m")
    assert answers(made) == answers(build(tmp_path / "same", 0, 4))


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"

    def written(**columns: object) -> None:
        good = {"track_id": ["a", "b"], "start": [0.0, 0.0], "end": [1.0, 1.0], "vector": [[1.0, 2.0], [3.0, 4.0]]}
        pq.write_table(pa.table({key: value for key, value in (good | columns).items() if value is not None}), path)

    for message, columns in {
        "lacks the columns end; it has track_id": {"end": None},
        "columns album; what is told of tracks belongs into metadata": {"album": ["x", "y"]},
        "vectors are lists of one length, but of 2, 1": {"vector": [[1.0, 2.0], [3.0]]},
        "but of 2, None": {"vector": [[1.0, 2.0], None]},
        "vectors are not numbers": {"vector": [["x"], ["y"]]},
        "vectors are double, not lists": {"vector": [1.0, 2.0]},
        "finite and not zero, but are not for b$": {"vector": [[1.0], [0.0]]},
    }.items():
        written(**columns)
        with pytest.raises(InputError, match=message):
            read_parquet([path], tmp_path / "index", fingerprint="m")
    path.write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read_parquet([path], tmp_path / "index")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read_parquet([tmp_path / "nowhere"], tmp_path / "index")
    assert not (tmp_path / "index" / "CURRENT").exists()
    with atomic(path) as temporary:
        written()
        temporary.write_bytes(path.read_bytes())
    assert len(read_parquet([path], tmp_path / "index", fingerprint="m")) == 2
    with pytest.raises(InputError, match="holds an index already"):
        read_parquet([path], tmp_path / "index", fingerprint="m")
