from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from crossmodal.errors import InputError
from crossmodal.search import Hit, SearchIndex, tables

Floats = NDArray[np.float32]
NAMES = ("çello", "Großvater", "şarkı 🎻", "عود", "a/b", "plain")


def material(tracks: int = 60, dim: int = 8, seed: int = 0) -> tuple[Floats, pd.DataFrame, pd.DataFrame]:
    """Tracks of one to five segments, and one, the last, of 300."""
    rng = np.random.default_rng(seed)
    ids = [f"{NAMES[i % len(NAMES)]} {i}" for i in range(tracks)]
    counts = [*rng.integers(1, 6, size=tracks - 1), 300]
    rows = [(name, 5.0 * j, 5.0 * j + 5) for name, count in zip(ids, counts, strict=True) for j in range(count)]
    vectors = rng.normal(size=(len(rows), dim)).astype(np.float32)
    vectors[-300:] = vectors[-1] + 0.1 * vectors[-300:]  # alike, so that they fill the first places
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = pd.DataFrame({"track_id": ids, "title": [f"Titel {i}" for i in range(tracks)], "year": range(tracks)})
    return vectors, pd.DataFrame(rows, columns=["track_id", "start", "end"]), table


def built(folder: Path, seed: int = 0, fingerprint: str = "model-a") -> SearchIndex:
    return SearchIndex.build(folder, *material(seed=seed), fingerprint)


def by_loops(query: Floats, vectors: Floats, segments: pd.DataFrame) -> list[tuple[str, float, float]]:
    """(track, score, start) of each track's best segment, all tracks, in order."""
    best: dict[str, tuple[float, float]] = {}
    for vector, row in zip(vectors, segments.itertuples(), strict=True):
        score = round(float(vector.astype(float) @ query.astype(float)), 6)
        if row.track_id not in best or score > best[row.track_id][0]:
            best[row.track_id] = (score, row.start)

    def key(name: str) -> tuple[float, bytes]:
        return -best[name][0], hashlib.blake2b(name.encode(), digest_size=8).digest()

    return [(name, *best[name]) for name in sorted(best, key=key)]


def seen(hits: list[Hit]) -> list[tuple[str, float, float]]:
    return [(hit.track_id, hit.score, hit.start) for hit in hits]


@pytest.mark.parametrize("k", [1, 7, 60, 1000])
def test_equals_brute_force(tmp_path: Path, k: int) -> None:
    vectors, segments, _ = material()
    index = built(tmp_path)
    queries = np.concatenate([vectors[:30], vectors[-3:]])
    for query, hits in zip(queries, index.search(queries, k), strict=True):
        expected = by_loops(query, vectors, segments)[:k]
        assert [hit.track_id for hit in hits] == [name for name, _, _ in expected]
        assert [hit.start for hit in hits] == [start for _, _, start in expected]
        assert [hit.score for hit in hits] == pytest.approx([score for _, score, _ in expected], abs=2e-6)
        assert [hit.rank for hit in hits] == list(range(1, min(k, 60) + 1))
        assert all(hit.end == hit.start + 5 for hit in hits)


def test_a_track_of_many_segments_takes_one_place(tmp_path: Path) -> None:
    vectors, _, _ = material()
    hits = built(tmp_path).search(vectors[-1:], 10)[0]
    assert len({hit.track_id for hit in hits}) == 10
    assert hits[0].track_id == "plain 59"


def test_reopened_from_disk_it_answers_the_same_in_any_batch(tmp_path: Path) -> None:
    vectors, _, _ = material()
    index = built(tmp_path)
    again = SearchIndex.open(tmp_path)
    assert index.search(vectors[:40], 5) == again.search(vectors[:40], 5)
    singly = [again.search(vectors[row : row + 1], 5)[0] for row in range(40)]
    assert [[hit.track_id for hit in hits] for hits in again.search(vectors[:40], 5)] == [
        [hit.track_id for hit in hits] for hits in singly
    ]
    assert (len(again), again.dim, again.fingerprint) == (60, 8, "model-a")
    assert again.search(vectors[:0], 5) == []


def test_metadata_are_plain_values(tmp_path: Path) -> None:
    vectors, segments, tracks = material()
    tracks["year"] = tracks["year"].astype(float).where(tracks["year"] > 0)
    tracks["title"] = tracks["title"].where(tracks["year"] != 1)
    tracks["genres"] = [["folk", "türkü"]] * 60
    index = SearchIndex.build(tmp_path, vectors, segments, tracks, "m")
    found = {hit.track_id: hit.metadata for hit in index.search(vectors[:1], 60)[0]}
    assert found["çello 0"]["year"] is None
    assert found["Großvater 1"] == {"title": None, "year": 1.0, "genres": ["folk", "türkü"]}
    assert "türkü" in json.dumps(index.search(vectors[:1], 1)[0], ensure_ascii=False)


def test_metadata_of_many_batches_are_read_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROWS", 7)
    vectors, segments, tracks = material()
    notes = [f"{i} {'x' * 5000}" for i in range(len(tracks))]
    SearchIndex.build(tmp_path, vectors, segments, tracks.assign(note=notes), "m")
    index = SearchIndex.open(tmp_path)
    assert index.tracks.table["note"].num_chunks == 9
    before = pa.total_allocated_bytes()
    hits = index.search(vectors[:1], 60)[0]
    assert pa.total_allocated_bytes() - before < 50_000  # of 300,000 bytes of notes
    assert {hit.track_id: hit.metadata["note"] for hit in hits} == dict(zip(tracks["track_id"], notes, strict=True))


def test_equal_tracks_stand_by_the_hash_of_their_ids_whatever_their_order_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = np.array([f"t{i}" for i in range(200)])
    answers = []
    for turn in range(2):
        order = rng.permutation(200)
        segments = pd.DataFrame({"track_id": ids[order], "start": 0.0, "end": 1.0})
        index = SearchIndex.build(
            tmp_path / str(turn), np.ones((200, 4), np.float32), segments, segments[["track_id"]], "m"
        )
        answers.append([hit.track_id for hit in index.search(np.ones((1, 4), np.float32), 10)[0]])
    assert answers[0] == answers[1]
    assert answers[0] == sorted(ids, key=lambda name: hashlib.blake2b(name.encode(), digest_size=8).digest())[:10]


def test_of_equal_segments_the_first_answers(tmp_path: Path) -> None:
    vectors = np.tile(np.eye(3, dtype=np.float32), (4, 1))  # four segments alike for each of three queries
    segments = pd.DataFrame({"track_id": "t", "start": np.arange(12.0), "end": np.arange(12.0) + 1})
    index = SearchIndex.build(tmp_path, vectors, segments, segments[["track_id"]][:1], "m")
    assert [seen(hits) for hits in index.search(vectors[:3], 1)] == [[("t", 1.0, float(i))] for i in range(3)]


def test_excluded_tracks_are_no_candidates(tmp_path: Path) -> None:
    vectors, segments, _ = material()
    index = built(tmp_path)
    hits = index.search(vectors[-1:], 60, exclude=["plain 59", "not there"])[0]
    assert seen(hits)[0][0] == by_loops(vectors[-1], vectors, segments)[1][0]
    assert len(hits) == 59
    assert "plain 59" not in {hit.track_id for hit in hits}
    assert index.search(vectors[:1], 3, exclude=list(segments["track_id"])) == [[]]


def test_vectors_are_brought_to_length_one(tmp_path: Path) -> None:
    vectors, segments, tracks = material()
    index = SearchIndex.build(tmp_path, 3 * vectors, segments, tracks, "m")
    assert index.search(7 * vectors[:1], 1)[0][0].score == 1


def test_bad_queries_are_refused(tmp_path: Path) -> None:
    vectors, _, _ = material()
    index = built(tmp_path)
    with pytest.raises(InputError, match="built with model model-a, the query is of model other"):
        index.search(vectors[:1], 3, fingerprint="other")
    assert index.search(vectors[:1], 3, fingerprint="model-a")
    with pytest.raises(InputError, match="k is 0"):
        index.search(vectors[:1], 0)
    with pytest.raises(InputError, match=r"queries are \(1, 5\); valid is \(queries, 8\)"):
        index.search(vectors[:1, :5], 3)
    with pytest.raises(InputError, match=r"queries are \(8,\)"):
        index.search(vectors[0], 3)
    for value in (0, np.nan, np.inf):
        queries = vectors[:3].copy()
        queries[1] = value
        with pytest.raises(InputError, match=r"not for query 1$"):
            index.search(queries, 3)


def test_bad_tables_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    vectors, segments, tracks = material()
    zero = vectors.copy()
    zero[0] = 0
    late = segments.assign(end=segments["end"].where(segments.index > 0, -1.0))
    for message, arguments in {
        r"not zero, but are not for çello 0$": (zero, segments, tracks),
        "valid is \\(segments, dim\\)": (vectors[:-1], segments, tracks),
        "1 or more": (vectors[:0], segments[:0], tracks),
        "more than once: Großvater 1$": (vectors, segments, pd.concat([tracks, tracks[1:2]])),
        "table lacks: çello 0$": (vectors, segments, tracks[1:]),
        "do not in: çello 0$": (vectors, late, tracks),
    }.items():
        with pytest.raises(InputError, match=message):
            SearchIndex.build(tmp_path / "index", *arguments, "m")
    with pytest.raises(InputError, match=r"indexes has no 'flatt'; it has .*flat"):
        SearchIndex.build(tmp_path / "index", vectors, segments, tracks, "m", kind="flatt")
    assert not (tmp_path / "index").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        SearchIndex.build(tmp_path / "file", vectors, segments, tracks, "m")


def test_tracks_without_a_segment_are_left_out(tmp_path: Path) -> None:
    vectors, segments, tracks = material()
    more = pd.concat([tracks, pd.DataFrame({"track_id": ["silent"], "title": ["x"], "year": [1]})])
    assert len(SearchIndex.build(tmp_path, vectors, segments, more, "m")) == 60


def test_a_new_generation_replaces_the_old_one_and_leaves_it_unchanged(tmp_path: Path) -> None:
    old = built(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "gen-000001").iterdir()}
    built(tmp_path, seed=1, fingerprint="model-b")
    assert SearchIndex.open(tmp_path).fingerprint == "model-b"
    assert (tmp_path / "CURRENT").read_text().startswith("gen-000002 ")
    assert {path: path.read_bytes() for path in (tmp_path / "gen-000001").iterdir()} == before
    assert old.search(material()[0][:1], 1)[0][0].score == 1


def test_the_same_input_gives_the_same_files(tmp_path: Path) -> None:
    built(tmp_path)
    built(tmp_path)
    one, two = (sorted((tmp_path / f"gen-00000{i}").iterdir()) for i in (1, 2))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(one) == 6


STEPS = ("tables.write", "fit", "write_json", "sync", "point")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("step", STEPS)
def test_a_failed_build_leaves_the_old_generation_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: type[BaseException]
) -> None:
    built(tmp_path)

    def fail(*_: object) -> None:
        raise error(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"crossmodal.search.generation.{step}", fail)
        with pytest.raises((KeyboardInterrupt, InputError, OSError)) as raised:
            built(tmp_path, seed=1, fingerprint="model-b")
    if error is OSError and step != "point":
        assert raised.match(r"could not write .*gen-000002: No space left on device")
    assert SearchIndex.open(tmp_path).fingerprint == "model-a"
    assert not list(tmp_path.glob(".*.tmp"))
    assert built(tmp_path, seed=1, fingerprint="model-b").fingerprint == "model-b"
    assert {path.name for path in tmp_path.glob("gen-*")} == {"gen-000001", SearchIndex.open(tmp_path).generation}


def test_what_is_not_there_or_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere holds no index"):
        SearchIndex.open(tmp_path / "nowhere")
    built(tmp_path)
    generation = tmp_path / "gen-000001"
    for name in ("vectors.npy", "segments.arrow", "tracks.arrow", "ids.arrow"):
        whole = (generation / name).read_bytes()
        for broken in (whole[:-10], b"", whole + b"x"):
            (generation / name).write_bytes(broken)
            with pytest.raises(InputError, match=f"{name} is not what was written: it has {len(broken)} bytes"):
                SearchIndex.open(tmp_path)
        (generation / name).unlink()
        with pytest.raises(InputError, match=f"{name} does not exist"):
            SearchIndex.open(tmp_path)
        (generation / name).write_bytes(whole)
    assert len(SearchIndex.open(tmp_path)) == 60


@pytest.mark.parametrize("change", [{"tracks": 59}, {"segments": 1}, {"dim": 9}, {"files": {}}, {"version": 1}])
def test_info_that_says_otherwise_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    built(tmp_path)
    path = tmp_path / "gen-000001" / "info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=r"info\.json is (of version 1, this|not what was written)"):
        SearchIndex.open(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "CURRENT").write_text(f"gen-000001 {digest}\n")
    if "files" not in change:
        with pytest.raises(InputError, match=r"info\.json (is of version 1, this|says otherwise)|but info\.json says"):
            SearchIndex.open(tmp_path)


@pytest.mark.parametrize("text", ["", "gen-000009", "gen-000001 12ab", "../elsewhere", "{", "\xff"])
def test_current_that_names_no_generation_is_refused(tmp_path: Path, text: str) -> None:
    built(tmp_path)
    (tmp_path / "CURRENT").write_text(text)
    with pytest.raises(InputError, match="which names no generation"):
        SearchIndex.open(tmp_path)


def test_current_that_names_a_generation_that_is_gone_is_refused(tmp_path: Path) -> None:
    built(tmp_path)
    (tmp_path / "CURRENT").write_text("gen-000009 " + "0" * 64)
    with pytest.raises(InputError, match=r"gen-000009/info\.json cannot be read"):
        SearchIndex.open(tmp_path)


def test_threads_of_faiss_are_left_as_they_are(tmp_path: Path) -> None:
    before = faiss.omp_get_max_threads()
    built(tmp_path).search(material()[0][:2], 3)
    assert faiss.omp_get_max_threads() == before


def test_neither_search_nor_metrics_load_torch() -> None:
    code = (
        "import sys, crossmodal.search, crossmodal.indexes.flat, crossmodal.metrics.retrieval, "
        "crossmodal.metrics.bootstrap, crossmodal.metrics.classification; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
