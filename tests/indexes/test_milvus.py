"""An index in embedded Milvus, for real, beside one in a folder: the same calls, the same answers."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import writing
import writing_milvus
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from numpy.typing import NDArray
from tiny import Answer, Trained

from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.filters import Filter, parse
from crossmodal.indexes import _rows
from crossmodal.search import AnyIndex, Hit, SearchIndex, build_index, open_index
from crossmodal.search.exchange import read_parquet, write_parquet
from crossmodal.search.opening import verify

pytest.importorskip("pymilvus", reason="needs the extra milvus: pip install 'crossmodal[milvus]'")
pytest.importorskip("milvus_lite", reason="needs the extra milvus: pip install 'crossmodal[milvus]'")
from crossmodal.indexes.milvus import MilvusIndex

pytestmark = pytest.mark.slow  # to open a file takes a second, and to build in it two
DIM, TRACKS = 8, 120
Floats = NDArray[np.float32]
Tables = tuple[Floats, pd.DataFrame, pd.DataFrame]
WHERE = ["year>=1993", "tag=sad", "tag!=sad", "year=", "year!=1990", "tag=x; year<1993", "artist=Ä \\0'|b"]


def tables(count: int = TRACKS, first: int = 0, seed: int = 0, alike: bool = True) -> Tables:
    """Tracks of one to five segments, some of which are alike in every bit."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(count), rng.integers(1, 6, count))
    vectors = rng.normal(size=(len(owner), DIM)).astype(np.float32)
    if alike:
        vectors[::7] = vectors[0]
    ids = [f'a/{first + i} "ü"' for i in range(count)]
    segments = pd.DataFrame({"track_id": [ids[i] for i in owner], "start": np.arange(len(owner)) * 5.0})
    segments["end"] = segments["start"] + 5
    tracks = pd.DataFrame({"track_id": ids, "artist": [f"Ä \\{i % 4}'" for i in range(count)]})
    tracks["year"] = pd.array([1990 + i % 7 if i % 5 else None for i in range(count)], dtype="Int64")
    tracks["tags.mood"] = [["sad", "x"][: i % 3] if i % 4 else None for i in range(count)]
    tracks["date"] = pd.Timestamp("2020-02-29 12:00") + pd.to_timedelta(np.arange(count), "h")
    return vectors, segments, tracks


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One file for all tests, since one that is opened stays with its process; each has collections of its own."""
    path = tmp_path_factory.mktemp("milvus") / "catalogue.db"
    yield path
    MilvusIndex.build(f"{path}#last", *tables(1), "m").close()


NUMBER = itertools.count()


@pytest.fixture
def where(file: Path) -> str:
    return f"{file}#c{next(NUMBER)}"


@pytest.fixture
def both(where: str, tmp_path: Path) -> tuple[SearchIndex, MilvusIndex]:
    mine = MilvusIndex.build(where, *tables(), "m", frontend="f")
    return SearchIndex.build(tmp_path / "index", *tables(), "m", frontend="f"), mine


def queries(count: int = 5) -> Floats:
    found = np.random.default_rng(9).normal(size=(count, DIM)).astype(np.float32)
    found[0] = tables()[0][0]
    return found


def agree(both: tuple[AnyIndex, AnyIndex], **asked: Any) -> list[list[Hit]]:
    told, mine = (index.search(queries(), **asked) for index in both)
    assert mine == told
    return told


def test_answers_are_those_of_a_folder(both: tuple[SearchIndex, MilvusIndex]) -> None:
    ids = list(both[0].tracks.table["track_id"].to_pylist())
    for k in (1, 10, TRACKS, 2 * TRACKS):
        assert len(agree(both, k=k)[1]) == min(k, TRACKS)
    assert agree(both, k=3, exclude=[*ids[:60], "nowhere"])
    for text in WHERE:
        agree(both, k=7, where=parse(text))
        agree(both, k=200, where=parse(text), exclude=ids[::2])
    mask = np.arange(TRACKS) % 3 == 0
    agree(both, k=9, allowed=mask)
    agree(both, k=9, allowed=mask, where=parse("year>=1993"))
    assert agree(both, allowed=np.zeros(TRACKS, dtype=bool)) == [[]] * 5
    assert both[1].search(np.zeros((0, DIM), np.float32), fingerprint="m") == []


def test_what_a_folder_tells_is_told(both: tuple[SearchIndex, MilvusIndex]) -> None:
    folder, mine = both
    assert mine.tracks.table.equals(folder.tracks.table)
    assert (len(mine), mine.dim, mine.fingerprint) == (TRACKS, DIM, "m")
    keys = ("fingerprint", "frontend", "dim", "tracks", "segments", "kind")
    assert {key: mine.info[key] for key in keys} == {key: folder.info[key] for key in keys}
    assert mine.columns == folder.columns
    for track in folder.tracks:
        assert mine.track(track["track_id"]) == folder.track(track["track_id"])
        for told, found in zip(folder.segments(track["track_id"]), mine.segments(track["track_id"]), strict=True):
            assert np.array_equal(told, found)
    assert 'a/3 "ü"' in mine
    assert "a/3" not in mine
    assert len(mine.named("artist", {"Ä \\0'"})) == 30
    assert mine.named("artist", {"Ä \\0'"}) == folder.named("artist", {"Ä \\0'"})
    assert mine.named("artist", {"ä \\0'"}) == mine.named("path", {"x"}) == []
    assert mine.verify() == []


def test_changes_are_those_of_a_folder(both: tuple[SearchIndex, MilvusIndex]) -> None:
    more, fewer = tables(30, first=100, seed=1), tables(30, first=0, seed=2)
    for index in both:
        with pytest.raises(InputError, match=r"has tracks .* already; update replaces them"):
            index.add(*more, "m")
        index.update(*more, "m")
        index.update(*fewer, "m")
        index.delete(['a/3 "ü"', 'a/110 "ü"'])
        with pytest.raises(InputError, match="has no track 'nowhere'"):
            index.delete(['a/4 "ü"', "nowhere"])
    assert len(agree(both, k=500)[0]) == 128
    agree(both, k=50, where=parse("tag=sad"))
    assert both[1].verify() == []
    assert both[1].info["segments"] == both[0].info["segments"]
    both[1].compact()
    agree(both, k=500)


def test_new_columns_and_wider_types(both: tuple[SearchIndex, MilvusIndex]) -> None:
    vectors, segments, tracks = tables(5, first=500)
    tracks = tracks.drop(columns=["artist", "date"]).assign(year=1990.5, mood="new")
    for index in both:
        index.add(vectors, segments, tracks, "m")
        with pytest.raises(InputError, match="of other types than the index's"):
            index.update(vectors, segments, tracks.assign(year="words"), "m")
    agree(both, k=500)
    for text in ("mood=NEW", "mood!=new", "mood=", "year>1990.2", "artist="):
        agree(both, k=500, where=parse(text))
    assert both[1].tracks.table.schema == both[0].tracks.table.schema
    both[1].update(vectors, segments, tracks.drop(columns="mood"), "m")  # what a row had before is gone
    both[0].update(vectors, segments, tracks.drop(columns="mood"), "m")
    agree(both, k=500, where=[Filter("mood", "=", ())])


def test_they_move_as_parquet(both: tuple[SearchIndex, MilvusIndex], where: str, tmp_path: Path) -> None:
    write_parquet(both[0], tmp_path / "a.parquet")
    write_parquet(both[1], tmp_path / "b.parquet")
    assert pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))
    with pytest.raises(InputError, match="holds an index already"):
        read_parquet([tmp_path / "a.parquet"], where)
    back = (
        read_parquet([tmp_path / "b.parquet"], f"{where}back"),
        read_parquet([tmp_path / "b.parquet"], tmp_path / "back"),
    )
    assert [type(index) for index in back] == [MilvusIndex, SearchIndex]
    for index in back:
        agree((both[0], index), k=20)


def test_building_again_replaces_in_one_step(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = MilvusIndex.build(where, *tables(10), "m")
    reader = MilvusIndex.open(where)
    with monkeypatch.context() as patch:
        patch.setattr("crossmodal.indexes._collection._create", _killed)
        with pytest.raises(Killed):
            MilvusIndex.build(where, *tables(20), "n")
    assert (len(reader.refresh()), reader.fingerprint) == (10, "m")
    MilvusIndex.build(where, *tables(20), "n")
    assert (len(reader.refresh()), reader.fingerprint, reader.generation) == (20, "n", f"{where.split('#')[1]}_000002")
    with pytest.raises(InputError, match="built with model n, the tracks are of model m"):
        old.add(*tables(1, first=90), "m")


class Killed(BaseException):
    """What a kill is to the code that was running."""


def _killed(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.parametrize(("step", "at"), [("upsert", 1), ("upsert", 3), ("delete", 1)])
def test_a_killed_update_is_named_and_mended_by_the_same_call(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, at: int
) -> None:
    vectors, segments, tracks = tables(20)
    mine = MilvusIndex.build(where, vectors, segments, tracks, "m")
    first = segments.drop_duplicates("track_id").index
    new = -vectors[first], segments.loc[first], tracks.assign(year=2020)  # a segment a track is left
    monkeypatch.setattr(_rows, "BATCH", 3)
    calls, real = itertools.count(1), getattr(mine._rows.client, step)

    def until(*arguments: Any, **more: Any) -> Any:
        return _killed() if next(calls) >= at else real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(mine._rows.client, step, until)
        with pytest.raises(Killed):
            mine.update(*new, "m")
    mine = MilvusIndex.open(where)
    years = [track["year"] for track in mine.tracks]
    assert len(years) == 20  # each is the old or the new one
    assert years.count(2020) == (20 if step == "delete" else 3 * (at - 1))
    several = {name for name, count in segments["track_id"].value_counts().items() if count > 1}
    changed = {track["track_id"] for track in mine.tracks if track["year"] == 2020}
    assert {text.partition(": ")[0] for text in mine.verify()} == several & changed
    assert len(mine.search(queries(), 50)[0]) == 20
    mine.update(*new, "m")
    assert verify(where) == []
    folder = SearchIndex.build(tmp_path / "index", *new, "m")
    agree((folder, mine), k=50)


@pytest.mark.parametrize("kind", ["hnsw", "ivf", "ivfsq", "auto"])
def test_other_kinds_find_by_exact_scores(where: str, tmp_path: Path, kind: str) -> None:
    folder = SearchIndex.build(tmp_path / "index", *tables(alike=False), "m")
    made = MilvusIndex.build(
        where, *tables(alike=False), "m", kind=kind, settings={"nlist": 8} if "ivf" in kind else {}
    )
    assert made.info["recall"]["measured"] is None
    told, found = folder.search(queries(20), 10), made.search(queries(20), 10)
    exact = {(q, hit.track_id): hit.score for q, hits in enumerate(folder.search(queries(20), 500)) for hit in hits}
    assert all(exact[q, hit.track_id] == hit.score for q, hits in enumerate(found) for hit in hits)
    share = [len({h.track_id for h in a} & {h.track_id for h in b}) / 10 for a, b in zip(told, found, strict=True)]
    assert np.mean(share) > 0.9
    made.compact("flat")
    agree((folder, MilvusIndex.open(where)), k=10)


def test_what_is_refused_is_told_in_a_line(where: str, file: Path, tmp_path: Path) -> None:
    vectors, segments, tracks = tables(3)
    mine = MilvusIndex.build(where, vectors, segments, tracks, "m")
    refused: list[tuple[str, Callable[[], Any]]] = [
        ("holds no index .no collection nix.; build one first", lambda: open_index(f"{file}#nix")),
        ("holds no index", lambda: open_index(tmp_path / "none.db")),
        (r"http://127.0.0.1:9: Milvus says: .*127.0.0.1:9", lambda: open_index("http://127.0.0.1:9")),
        ("built with model m, the query is of model n", lambda: mine.search(queries(), fingerprint="n")),
        ("built with model m, the tracks are of model n", lambda: mine.update(vectors, segments, tracks, "n")),
        (r"queries are \(2, 3\); valid is \(queries, 8\)", lambda: mine.search(np.ones((2, 3), np.float32))),
        ("vectors are of 4 numbers, the index's of 8", lambda: mine.add(vectors[:, :4], segments, tracks)),
        ("k is 0", lambda: mine.search(queries(), 0)),
        ("query 0", lambda: mine.search(np.zeros((1, DIM), np.float32))),
        (r"allowed is bool \(2,\); valid is bool \(3,\)", lambda: mine.search(queries(), allowed=np.ones(2, bool))),
        ("has no track 'x'", lambda: mine.segments("x")),
        ("no index 'ivfpq' here; valid is flat", lambda: MilvusIndex.build(where, *tables(3), "m", kind="ivfpq")),
        ("hnsw in Milvus has no setting m; it has M", lambda: mine.compact("hnsw", {"m": 3})),
        ("M is 0; valid is", lambda: mine.compact("hnsw", {"M": 0})),
        ("is built for no recall", lambda: mine.compact(recall=0.9)),
        ("blob holds binary, which Milvus cannot", lambda: mine.update(vectors, segments, tracks.assign(blob=b"x"))),
        ("gain holds inf, which Milvus cannot", lambda: mine.update(vectors, segments, tracks.assign(gain=np.inf))),
    ]
    for message, call in refused:
        with pytest.raises(InputError, match=message) as told:
            call()
        assert "\n" not in str(told.value)
    assert mine.refresh().columns == ["artist", "year", "tags.mood", "date"]
    mine._rows.client.alter_collection_properties(mine.generation, properties={"crossmodal": '{"version": 9}'})
    with pytest.raises(InputError, match="is of version 9, this program reads 1"):
        open_index(where)


def test_a_file_is_one_process_s_until_it_is_closed(tmp_path: Path) -> None:
    code = "import sys; from crossmodal.search import open_index; print(len(open_index(sys.argv[1])))"
    mine = MilvusIndex.build(tmp_path / "own.db", *tables(7), "m")

    def other() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "own.db")]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert "another process may have it open" in other().stderr
    mine.close()
    ran = other()
    assert (ran.stdout, ran.stderr, ran.returncode) == ("7\n", "", 0)


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    where = tmp_path / "killed.db"
    MilvusIndex.build(where, *writing.tables(["first"], 0), "m").close()
    before = {"first": 0}
    for seed in range(6):
        told = writing_milvus.killed(where, seed, 0.7 * (seed + 1))
        done = [after for kind, after in told if kind == "done"]
        begun = told[-1][1]
        mine = MilvusIndex.open(where)
        held = {track["track_id"]: track["year"] for track in mine.tracks}
        before = done[-1] if done else before
        for name in {*held, *before, *begun}:  # each track is as it was, or as it was to be
            assert held.get(name) in (before.get(name), begun.get(name))
        assert mine.verify() == []  # a segment a track: none can be half there
        before = held
        mine.close()


def test_the_commands_take_a_location(
    ask: Answer, fail: Answer, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = Manifest.load(trained.folder / "manifest").part("combination", "valid")
    ids = list(valid.tracks["track_id"])
    for name, chosen in {"six": ids[:6], "two": ids[6:8], "all": ids[:8]}.items():
        valid.select(chosen).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    where, run = "cat.db#songs", trained.folder
    assert ask("index", run, "six", "--out", where) == f"{where}: flat in Milvus, 6 tracks in 18 segments; 0 skipped\n"
    assert "2 tracks came, 0 skipped" in ask("index", "add", where, run, "two", "--workers", 2)
    assert "already; update replaces them" in fail("index", "add", where, run, "two")
    assert "2 tracks came" in ask("index", "add", where, run, "two", "--update")
    ask("index", run, "all", "--out", "folder")
    for asked in (["organ"], ["organ", "--where", "duration>=1", "-k", 3], [f"id:{ids[0]} -organ", "--match", "late"]):
        assert ask("search", run, *asked, "--index", where) == ask("search", run, *asked, "--index", "folder")
    song = valid.path(ids[0])
    assert ask("search", run, song, "--index", where) == ask("search", run, song, "--index", "folder")
    told = ask("index", "info", where)
    assert "collection songs_000001" in told
    assert "recall: exact search" in told
    assert "all of it is what was written" in ask("index", "verify", where)
    assert "8 tracks in 24 segments" in ask("index", "export", where, "--out", "v.parquet")
    assert "holds an index already" in fail("index", "import", "v.parquet", "--out", where)
    assert ask("index", "import", "v.parquet", "--out", "cat.db#other").endswith("8 tracks in 24 segments\n")
    assert "7 tracks" in ask("index", "delete", where, ids[0])
    assert f"has no track {ids[0]!r}" in fail("index", "delete", where, ids[0])
    assert "hnsw in Milvus" in ask("index", "compact", where, "--kind", "hnsw")
    assert "has no setting memory" in fail("index", "compact", where, "--kind", "auto", "--memory", 9)
    assert not list(tmp_path.glob("*.partial"))
    open_index(where).close()  # type: ignore[union-attr]


IDS = st.sampled_from([f"{name} {i}" for name in ("çello", 'a"/\\b') for i in range(4)])
DIRECTIONS = st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, -1), (3, 4, 0), (1, 1, 1), (-1, 2, 2)])
TRACK = st.tuples(st.lists(DIRECTIONS, min_size=1, max_size=3), st.none() | st.integers(0, 3))
SEVERAL = st.dictionaries(IDS, TRACK, min_size=1, max_size=4)
Several = dict[str, tuple[list[tuple[int, int, int]], int | None]]


def few(tracks: Several) -> Tables:
    rows = [(name, float(i), i + 1.0) for name, (vectors, _) in tracks.items() for i in range(len(vectors))]
    years = pd.array([year for _, year in tracks.values()], dtype="Int64")
    return (
        np.array([vector for mine, _ in tracks.values() for vector in mine], dtype=np.float32),
        pd.DataFrame(rows, columns=["track_id", "start", "end"]),
        pd.DataFrame({"track_id": list(tracks), "year": years}),
    )


class Changes(RuleBasedStateMachine):
    """What is done to both is done to a dict, and asked by loops."""

    file: Path

    @initialize(tracks=SEVERAL)
    def build(self, tracks: Several) -> None:
        self.where, self.model = f"{self.file}#s{next(NUMBER)}", dict(tracks)
        self.index = MilvusIndex.build(self.where, *few(tracks), "m")

    @rule(tracks=SEVERAL)
    def add(self, tracks: Several) -> None:
        if tracks.keys() & self.model.keys():
            with pytest.raises(InputError, match="already"):
                self.index.add(*few(tracks), "m")
        else:
            self.index.add(*few(tracks), "m")
            self.model.update(tracks)

    @rule(tracks=SEVERAL)
    def update(self, tracks: Several) -> None:
        self.index.update(*few(tracks), "m")
        self.model.update(tracks)

    @rule(names=st.sets(IDS, max_size=3))
    def delete(self, names: set[str]) -> None:
        if names <= self.model.keys():
            self.index.delete(names)
            self.model = {name: track for name, track in self.model.items() if name not in names}
        else:
            with pytest.raises(InputError, match="has no track "):
                self.index.delete(names)

    @rule()
    def reopen(self) -> None:
        assert verify(self.where) == []
        self.index = MilvusIndex.open(self.where)

    @rule(query=DIRECTIONS, k=st.integers(1, 9), banned=st.sets(IDS), year=st.none() | st.integers(0, 3))
    def search(self, query: tuple[int, ...], k: int, banned: set[str], year: int | None) -> None:
        where = [] if year is None else [Filter("year", ">=", (str(year),))]
        hits = self.index.search(np.array([query], np.float32), k, exclude=banned, where=where)[0]
        found = []
        for name, (vectors, own) in self.model.items():
            if name not in banned and (year is None or (own is not None and own >= year)):
                scores = [round(float(direction(query) @ direction(vector)), 6) for vector in vectors]
                found.append((-max(scores), _hash(name), name, float(scores.index(max(scores))), own))
        expected = [(name, -score, start, own) for score, _, name, start, own in sorted(found)[:k]]
        assert [(hit.track_id, hit.score, hit.start, hit.metadata["year"]) for hit in hits] == expected
        assert len(self.index) == len(self.model)


def direction(vector: tuple[int, ...]) -> NDArray[np.float64]:
    stored = np.array(vector, dtype=np.float32)
    return np.asarray((stored / np.linalg.norm(stored)).astype(np.float64))


def _hash(name: str) -> bytes:
    import hashlib

    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def test_any_order_of_changes_gives_what_a_dict_holds(file: Path) -> None:
    Changes.file = file
    chosen = settings(
        max_examples=25, stateful_step_count=12, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Changes, settings=chosen)  # type: ignore[no-untyped-call]


def test_either_is_built_by_its_location(where: str, tmp_path: Path) -> None:
    made = [build_index(place, *tables(5), "m", frontend="f") for place in (where, tmp_path / "index")]
    assert [type(index) for index in made] == [MilvusIndex, SearchIndex]
    assert [index.location for index in made] == [where, str(tmp_path / "index")]
