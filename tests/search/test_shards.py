"""Indexes of many pieces: the bytes of one that is built at once, whatever was cut where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.indexes import _lists
from crossmodal.material import hashed
from crossmodal.search import SearchIndex, generation, pieces, scatter, tables, tuning
from crossmodal.search.checks import verify
from crossmodal.search.exchange import read_parquet, write_parquet
from crossmodal.search.merging import merge
from crossmodal.search.pieces import shard

DIM, TRACKS = 8, 400
Tables = tuple[np.ndarray, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    """Of 50 segments, and tracks in batches of 64; kinds are approximate from 300 segments on."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (pieces, "STRETCH", 50),
            (scatter, "STRETCH", 50),
            (tables, "ROWS", 64),
            (tuning, "SMALL", 300),
            (tuning, "HELD_OUT", 100),
        ):
            patch.setattr(module, name, value)
        yield


def catalogue() -> Tables:
    """Tracks of one to four segments, with metadata of each type, some of them not known."""
    rng = np.random.default_rng(0)
    ids = [f"träck/{i}" for i in range(TRACKS)]
    counts = rng.integers(1, 5, TRACKS)
    segments = pd.DataFrame({"track_id": np.repeat(ids, counts), "start": 0.0})
    segments["start"] = segments.groupby("track_id").cumcount() * 2.5
    segments["end"] = segments["start"] + 2.5
    tracks = pd.DataFrame({"track_id": ids, "title": [f"T{i}" if i % 5 else None for i in range(TRACKS)]})
    tracks["year"] = pd.array([i if i % 3 else None for i in range(TRACKS)], dtype="Int64")
    tracks["tags"] = [["a", "ü"][: i % 3] if i % 7 else None for i in range(TRACKS)]
    return rng.normal(size=(len(segments), DIM)).astype(np.float32), segments, tracks


def part(whole: Tables, ids: list[str]) -> Tables:
    vectors, segments, tracks = whole
    mine = segments["track_id"].isin(ids)
    return vectors[mine], segments[mine], tracks[tracks["track_id"].isin(ids)]


@pytest.fixture(scope="module")
def whole() -> Tables:
    return catalogue()


@pytest.fixture(scope="module")
def shards(whole: Tables, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three, by the hashes of the ids."""
    home, ids = tmp_path_factory.mktemp("shards"), list(whole[2]["track_id"])
    parts = [part(whole, shard(ids, number, 3)) for number in (1, 2, 3)]
    return [SearchIndex.build(home / str(i), *each, "m", frontend="f").folder for i, each in enumerate(parts)]


def test_shards_hold_every_track_once_and_other_tracks_do_not_matter() -> None:
    ids = [f"track {i}" for i in range(3000)]
    parts = [shard(ids, number, 7) for number in range(1, 8)]
    assert sorted(name for each in parts for name in each) == sorted(ids)
    assert all(350 < len(each) < 510 for each in parts)
    assert shard(ids[::3], 2, 7) == [name for name in parts[1] if name in ids[::3]]
    assert shard(ids, 1, 1) == ids
    for number, each in enumerate(parts):
        assert {int(digest) * 7 >> 64 for digest in hashed(each)} == {number}


@pytest.mark.parametrize("kind", ["flat", "ivfsq"])
def test_whatever_way_it_is_built_its_bytes_are_the_same(
    whole: Tables, shards: list[Path], tmp_path: Path, kind: str
) -> None:
    files = SearchIndex.build(tmp_path / "once", *whole, "m", kind, recall=0.8, frontend="f").info["files"]
    assert len(files) == (4 if kind == "flat" else 5)
    made = merge(tmp_path / "merged", shards, kind, recall=0.8)
    assert made.info["files"] == files
    assert verify(made.folder) == []
    write_parquet(made, tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    order = np.random.default_rng(1).permutation(len(table))
    order = order[np.argsort(np.array(table["start"])[order], kind="stable")]  # of a track the first stays first
    pq.write_table(table.take(order), tmp_path / "mixed.parquet")
    read = read_parquet([tmp_path / "mixed.parquet"], tmp_path / "read", kind, recall=0.8)
    assert read.info["files"] == files
    assert not (tmp_path / "read.partial").exists()

    ids = list(whole[2]["track_id"])
    other = merge(tmp_path / "two", shards[:2])
    other.delete(shard(ids, 1, 3)[::2])
    other.update(*part(whole, shard(ids, 2, 3)[5:25]))
    other.add(*part(whole, shard(ids, 1, 3)[::2] + shard(ids, 3, 3)))
    other.compact(kind, recall=0.8)
    assert other.info["files"] == files


@pytest.mark.parametrize("kind", ["ivf", "ivfpq", "ivfsq", "rabitq"])
def test_lists_that_memory_does_not_hold_have_the_bytes_of_those_that_it_does(
    whole: Tables, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = SearchIndex.build(tmp_path / "once", *whole, "m", kind, recall=0.8)
    parts, part = [], _lists._part
    monkeypatch.setattr(_lists, "_part", lambda *arguments: parts.append(part(*arguments)) or parts[-1])
    monkeypatch.setattr(_lists, "HELD", 100 * registry.build("indexes", kind).size(DIM))
    again = SearchIndex.build(tmp_path / "again", *whole, "m", kind, recall=0.8)
    assert len(parts) == -(-len(whole[0]) // 100) > 9
    assert again.info["files"] == once.info["files"]
    assert {key: again.info[key] for key in ("recall", "effort")} == {
        key: once.info[key] for key in ("recall", "effort")
    }
    assert again.search(whole[0][:50], 10) == once.search(whole[0][:50], 10)


def test_lists_of_an_unknown_form_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lists, "HELD", 1000)
    monkeypatch.setattr(_lists, "_save", lambda _, path: path.write_bytes(bytes(100)))
    monkeypatch.setattr(_lists.faiss, "read_index", lambda *_: faiss.IndexIVFFlat(faiss.IndexFlatIP(DIM), DIM, 1))
    with pytest.raises(RuntimeError, match="this version of FAISS writes lists otherwise"):
        registry.build("indexes", "ivf").build(catalogue()[0], 100, tmp_path / "index.faiss")


def test_files_of_several_parquets_are_one_index(whole: Tables, shards: list[Path], tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    for path, folder in zip(paths, shards, strict=True):
        write_parquet(SearchIndex.open(folder), path)
    assert pq.ParquetFile(paths[0]).num_row_groups > 1
    made = read_parquet(paths, tmp_path / "all")
    assert made.info["files"] == merge(tmp_path / "merged", shards).info["files"]
    with pytest.raises(InputError, match=r"in more than one file of .*: träck/"):
        read_parquet([paths[0], paths[1], paths[0]], tmp_path / "twice")
    lone = SearchIndex.build(tmp_path / "lone", *part(whole, ["träck/0"]), "another model")
    write_parquet(lone, tmp_path / "lone.parquet")
    with pytest.raises(InputError, match=r"files of one fingerprint make an index, but they are of .*0.parquet: m"):
        read_parquet([paths[0], tmp_path / "lone.parquet"], tmp_path / "twice")
    assert read_parquet([*paths], tmp_path / "named", fingerprint="x").fingerprint == "x"
    assert not list(tmp_path.glob("*.partial"))


def test_tracks_of_two_shards_are_refused_before_anything_is_written(
    whole: Tables, shards: list[Path], tmp_path: Path
) -> None:
    again = SearchIndex.build(tmp_path / "again", *part(whole, ["träck/3"]), "m", frontend="f")
    with pytest.raises(InputError, match=r"more than one index: träck/3$"):
        merge(tmp_path / "all", [*shards, again.folder])
    assert not (tmp_path / "all").exists()
    again.delete(["träck/3"])
    assert len(merge(tmp_path / "all", [*shards, again.folder])) == TRACKS


def test_what_is_added_and_deleted_during_a_compaction_stays(
    whole: Tables, shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = merge(tmp_path / "index", shards)
    more, write = catalogue(), generation.write
    other = SearchIndex.open(index.folder)

    def slow(*arguments: object) -> str:
        digest = write(*arguments)  # type: ignore[arg-type]
        other.add(more[0][:1], more[1][:1].assign(track_id="new"), more[2][:1].assign(track_id="new"))
        other.delete(["träck/1"])
        return digest

    index.delete(["träck/2"])
    monkeypatch.setattr(generation, "write", slow)
    index.compact()
    for each in (index, other.refresh(), SearchIndex.open(index.folder)):
        assert each.generation == "gen-000002"
        assert ("new" in each, "träck/1" in each, "träck/2" in each) == (True, False, False)
        assert len(each) == TRACKS - 1
    assert index.info["journal"] > 0
    assert verify(index.folder) == []


def test_a_merge_that_fails_leaves_the_shards_and_no_index(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for folder in shards for path in folder.glob("gen-*/*")}
    merged, taken = pieces.merged, []

    def fail(*arguments: object) -> object:
        taken.append(arguments)
        if len(taken) == 3:
            raise OSError(28, "No space left on device")
        return merged(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(pieces, "merged", fail)
        with pytest.raises(InputError, match="No space left on device; nothing was changed"):
            merge(tmp_path / "all", shards)
    assert [path.name for path in (tmp_path / "all").iterdir()] == [".building"]
    assert {path: path.read_bytes() for folder in shards for path in folder.glob("gen-*/*")} == before
    assert len(merge(tmp_path / "all", shards)) == TRACKS
