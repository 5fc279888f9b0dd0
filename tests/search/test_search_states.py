"""Anything that may be done to an index, in any order, against a dict; searched by loops."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from crossmodal.errors import InputError
from crossmodal.search import SearchIndex
from crossmodal.search.checks import verify

DIM = 3
IDS = st.sampled_from([f"{name} {i}" for name in ("çello", "a/b") for i in range(5)])
# few directions, so that equals are common
VECTORS = st.lists(st.sampled_from([(1, 0, 0), (0, 1, 0), (0, 0, -1), (3, 4, 0), (1, 1, 1), (-1, 2, 2)]), min_size=1)
TRACK = st.tuples(VECTORS.map(lambda rows: rows[:3]), st.one_of(st.none(), st.integers(0, 9)))
TRACKS = st.dictionaries(IDS, TRACK, min_size=1, max_size=4)

Track = tuple[list[tuple[int, int, int]], int | None]


def tables(tracks: dict[str, Track]) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    rows = [(name, float(i), i + 1.0) for name, (vectors, _) in tracks.items() for i in range(len(vectors))]
    vectors = np.array([vector for rows, _ in tracks.values() for vector in rows], dtype=np.float32)
    years = pd.array([year for _, year in tracks.values()], dtype="Int64")
    return (
        vectors,
        pd.DataFrame(rows, columns=["track_id", "start", "end"]),
        pd.DataFrame({"track_id": list(tracks), "year": years}),
    )


def direction(vector: tuple[int, ...]) -> Any:
    """At length one as it is stored, in float32; summed in float64."""
    stored = np.array(vector, dtype=np.float32)
    return (stored / np.linalg.norm(stored)).astype(np.float64)


def expected(tracks: dict[str, Track], query: tuple[int, ...], k: int) -> list[tuple[str, float, float, Any]]:
    """(track, score, start, year) by loops."""
    found = []
    for name, (vectors, year) in tracks.items():
        rounded = [round(float(np.dot(direction(query), direction(vector))), 6) for vector in vectors]
        found.append((name, max(rounded), float(rounded.index(max(rounded))), year))
    hashes = {name: hashlib.blake2b(name.encode(), digest_size=8).digest() for name in tracks}
    return sorted(found, key=lambda track: (-track[1], hashes[track[0]]))[:k]


class Index(RuleBasedStateMachine):
    """One writer, a reader that is behind until it refreshes, and what both should hold."""

    @initialize(tracks=TRACKS)
    def build(self, tracks: dict[str, Track]) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.model = dict(tracks)
        self.writer = SearchIndex.build(self.folder, *tables(tracks), "m")
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

    @rule()
    def reopen(self) -> None:
        assert verify(self.folder) == []
        self.writer = SearchIndex.open(self.folder)

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
            assert excluded == masked
            assert masked[0] == masked[1]
            found = [(h.track_id, h.score, h.start, h.metadata["year"]) for h in masked[0]]
            assert found == expected(left, query, k)

    @invariant()
    def is_whole(self) -> None:
        if hasattr(self, "folder"):
            assert len(self.writer) == len(self.model)
            assert len(list(self.folder.glob("gen-*"))) <= 2

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "folder", "/nonexistent"), ignore_errors=True)


@pytest.mark.parametrize("examples", [pytest.param(6, id="few"), pytest.param(1000, id="many", marks=pytest.mark.slow)])
def test_any_order_of_changes_gives_what_a_dict_holds(examples: int) -> None:
    checks = [HealthCheck.too_slow]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        derandomize=examples < 100,
        database=None,
        suppress_health_check=checks,
    )
    run_state_machine_as_test(Index, settings=chosen)  # type: ignore[no-untyped-call]
