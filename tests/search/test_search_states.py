"""Anything that may be done to an index, in any order, against a dict; searched by loops."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from crossmodal.errors import InputError
from crossmodal.search import SearchIndex, nearest, tuning
from crossmodal.search.checks import verify
from crossmodal.search.exchange import read_parquet, write_parquet

DIM = 3
ODD = (
    "🎻",
    "e\u0301",
    "é",
    "A",
    "a",
    " ",
    "\n",
    "zero\0byte",
    "\u2028",
    "שלום",
    "x" * 3000,
    "-1",
    "null",
    "../../up",
    "",
)
IDS = st.sampled_from([*(f"{name} {i}" for name in ("çello", "a/b") for i in range(5)), *ODD])
# few directions, so that equals are common
VECTORS = st.lists(st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, -1), (3, 4, 0), (1, 1, 1), (-1, 2, 2)]), min_size=1)
TRACK = st.tuples(VECTORS.map(lambda rows: rows[:3]), st.one_of(st.none(), st.integers(0, 9)))
TRACKS = st.dictionaries(IDS, TRACK, min_size=1, max_size=4)

Track = tuple[list[tuple[int, ...]], int | None]
Found = tuple[str, float, float, Any]
recalls: dict[str, list[float]] = {}


def tables(tracks: dict[str, Track]) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    rows = [(name, float(i), i + 1.0) for name, (vectors, _) in tracks.items() for i in range(len(vectors))]
    vectors = np.array([vector for rows, _ in tracks.values() for vector in rows], dtype=np.float32)
    years = pd.array([year for _, year in tracks.values()], dtype="Int64")
    return (
        vectors,
        pd.DataFrame(rows, columns=["track_id", "start", "end"]),
        pd.DataFrame({"track_id": list(tracks), "year": years}),
    )


@cache
def direction(vector: tuple[int, ...]) -> Any:
    """At length one as it is stored, in float32; summed in float64."""
    stored = np.array(vector, dtype=np.float32)
    return (stored / np.linalg.norm(stored.astype(np.float64))).astype(np.float32).astype(np.float64)


def expected(tracks: dict[str, Track], query: tuple[int, ...], k: int) -> list[Found]:
    """(track, score, start, year) by loops."""
    found = []
    for name, (vectors, year) in tracks.items():
        rounded = [round(float(np.dot(direction(query), direction(vector))), 6) for vector in vectors]
        found.append((name, max(rounded), float(rounded.index(max(rounded))), year))
    hashes = {name: hashlib.blake2b(name.encode(), digest_size=8).digest() for name in tracks}
    return sorted(found, key=lambda track: (-track[1], hashes[track[0]]))[:k]


class Index(RuleBasedStateMachine):
    """One writer, a reader that is behind until it refreshes, and what both should hold."""

    kind: ClassVar[str] = "flat"
    crowd: ClassVar[dict[str, Track]] = {}  # tracks that are there from the beginning, so that a kind has something

    @initialize(tracks=TRACKS)
    def build(self, tracks: dict[str, Track]) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "index"
        self.model = self.crowd | tracks
        self.writer = SearchIndex.build(self.folder, *tables(self.model), "m", self.kind)
        self.reader, self.seen = SearchIndex.open(self.folder), dict(self.model)

    @rule(tracks=TRACKS)
    def add(self, tracks: dict[str, Track]) -> None:
        if known := tracks.keys() & self.model.keys():
            with pytest.raises(InputError, match="already") as raised:
                self.writer.add(*tables(tracks), "m")
            assert all(name in str(raised.value) for name in known)
        else:
            self.writer.add(*tables(tracks), "m")
            self.model.update(tracks)

    @rule(tracks=TRACKS)
    def update(self, tracks: dict[str, Track]) -> None:
        self.writer.update(*tables(tracks), "m")
        self.model.update(tracks)

    @rule(names=st.sets(IDS, max_size=4))
    def delete(self, names: set[str]) -> None:
        if names <= self.model.keys():
            self.writer.delete(sorted(names))
            self.model = {name: track for name, track in self.model.items() if name not in names}
        else:
            with pytest.raises(InputError, match="has no track "):
                self.writer.delete(sorted(names))

    @rule()
    def compact(self) -> None:
        self.writer.compact()
        assert self.writer.info["journal"] == 0

    @rule(share=st.sampled_from([2, 3, 20]))
    def delete_many(self, share: int) -> None:
        gone = sorted(self.model)[::share]
        self.writer.delete(gone)
        self.model = {name: track for name, track in self.model.items() if name not in gone}

    @rule()
    def reopen(self) -> None:
        assert verify(self.folder) == []
        self.writer = SearchIndex.open(self.folder)

    @rule()
    def copy(self) -> None:
        """What was saved is loaded elsewhere; the reader stays behind, and finds what it held as it was."""
        moved = self.home / f"copy {len(list(self.home.iterdir()))}"
        shutil.copytree(self.folder, moved)
        self.folder, self.writer = moved, SearchIndex.open(moved)
        self.reader, self.seen = SearchIndex.open(moved), dict(self.model)

    @precondition(lambda self: getattr(self, "model", None))
    @rule()
    def leave_and_enter(self) -> None:
        """By way of parquet."""
        number = len(list(self.home.iterdir()))
        write_parquet(self.writer, self.home / f"{number}.parquet")
        self.folder = self.home / f"entered {number}"
        self.writer = read_parquet([self.home / f"{number}.parquet"], self.folder, self.kind)
        self.reader, self.seen = SearchIndex.open(self.folder), dict(self.model)

    @rule()
    def refresh(self) -> None:
        self.reader.refresh()
        self.seen = dict(self.model)

    @rule(query=st.sampled_from([(1, 0, 0), (1, 2, 3), (-1, -1, 0)]), k=st.integers(1, 12), banned=st.sets(IDS))
    def search(self, query: tuple[int, ...], k: int, banned: set[str]) -> None:
        for index, model in ((self.writer, self.model), (self.reader, self.seen)):
            tracks = list(index.tracks)
            assert {track["track_id"]: track["year"] for track in tracks} == {n: y for n, (_, y) in model.items()}
            left = {name: track for name, track in model.items() if name not in banned}
            allowed = np.array([track["track_id"] not in banned for track in tracks], dtype=bool)
            queries = np.array([query, query], dtype=np.float32)
            excluded, masked = index.search(queries, k, exclude=banned), index.search(queries, k, allowed=allowed)
            assert masked[0] == masked[1]
            for hits in (excluded[0], masked[0]):
                found = [(h.track_id, h.score, h.start, h.metadata["year"]) for h in hits]
                assert [hit.rank for hit in hits] == list(range(1, len(found) + 1))
                self.compare(found, expected(left, query, len(left)), k)

    def compare(self, found: list[Found], ranking: list[Found], k: int) -> None:
        """Exact search gives the best; another kind some of them, each as it is, and as many, the best first."""
        if self.kind == "flat":
            assert found == ranking[:k]
            return
        places = {track: place for place, track in enumerate(ranking)}
        order = [places[track] for track in found]
        assert order == sorted(order)
        assert len(found) == min(k, len(ranking))
        recalls.setdefault(self.kind, []).append(sum(place < k for place in order) / max(1, len(found)))

    @invariant()
    def is_whole(self) -> None:
        if hasattr(self, "folder"):
            assert len(self.writer) == len(self.model)
            assert len(list(self.folder.glob("gen-*"))) <= 2

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "home", "/nonexistent"), ignore_errors=True)


def crowd() -> dict[str, Track]:
    """Some hundred tracks, in directions that are seldom equal."""
    rng = np.random.default_rng(0)
    return {
        f"crowd {number}": ([tuple(map(int, row)) for row in rng.integers(-50, 51, (2, DIM)) | 1], number % 7)
        for number in range(200)
    }


class Hnsw(Index):
    """A graph over all that is there when it is built."""

    kind, crowd = "hnsw", crowd()


class IvfPq(Index):
    """Lists of codes."""

    kind, crowd = "ivfpq", crowd()


@pytest.fixture(autouse=True)
def no_short_cut(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So few vectors would all be compared."""
    for module, name, value in ((nearest, "SHARE", 1), (nearest, "FEW", 5), (tuning, "SMALL", 320)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(tuning, "HELD_OUT", 40)
    return


SLOW = [pytest.param(cls, 1000 if cls is Index else 150, marks=pytest.mark.slow) for cls in (Index, Hnsw, IvfPq)]


@pytest.mark.parametrize(("machine", "examples"), [(Index, 3), (Hnsw, 1), *SLOW])
def test_any_order_of_changes_gives_what_a_dict_holds(machine: type[Index], examples: int) -> None:
    chosen = settings(
        max_examples=examples,
        stateful_step_count=15 if examples < 100 else 40,
        deadline=None,
        derandomize=examples < 100,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    recalls.clear()
    run_state_machine_as_test(machine, settings=chosen)  # type: ignore[no-untyped-call]
    assert all(np.mean(found) > 0.9 for found in recalls.values())
    assert examples < 100 or machine is Index or len(recalls[machine.kind]) > 100
