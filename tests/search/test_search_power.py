"""Full disks at any byte, power that fails between two steps, and readers beside a writer and a compaction."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import writing
from test_files import no_file_larger_than

from crossmodal.errors import InputError
from crossmodal.indexes import _lists
from crossmodal.search import SearchIndex, nearest, tuning
from crossmodal.search.checks import verify

FULL = r"could not write .*; nothing was changed"


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few vectors would all be compared."""
    for module, name, value in ((nearest, "SHARE", 1), (nearest, "FEW", 5), (tuning, "SMALL", 50)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(tuning, "HELD_OUT", 20)


def held(index: SearchIndex) -> dict[str, int]:
    return {track["track_id"]: track["year"] for track in index.tracks}


def made(folder: Path, kind: str = "flat", count: int = 150) -> SearchIndex:
    index = SearchIndex.build(folder, *writing.tables([f"track {number}" for number in range(count)], 0), "m", kind)
    index.add(*writing.tables(["x", "y"], 1))
    return index


SLOW = [pytest.param(kind, 60, marks=pytest.mark.slow) for kind in ("hnsw", "ivf")]


@pytest.mark.parametrize(("kind", "sizes"), [("flat", 4), ("hnsw", 2), *SLOW])
@pytest.mark.usefixtures("approximate")
def test_a_disk_that_is_full_at_any_byte_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, sizes: int
) -> None:
    monkeypatch.setattr(_lists, "HELD", 3000)  # lists are written in parts
    index = made(tmp_path / "index", kind)
    before, folder = held(index), index.folder / index.generation
    largest = max(path.stat().st_size for path in folder.iterdir())
    for size in np.unique(np.linspace(0, largest - 1, sizes).astype(int)):
        with (
            no_file_larger_than(int(size)),
            pytest.raises(InputError, match=FULL),
        ):
            index.compact()
        assert held(SearchIndex.open(index.folder)) == before
        assert verify(index.folder) == []
    size = (folder / "journal").stat().st_size
    for more in (0, 1, 8, 15, 16, 17, 100, 300):
        with (
            no_file_larger_than(size + more),
            pytest.raises(InputError, match=FULL),
        ):
            index.add(*writing.tables(["z"], 2))
        assert (folder / "journal").stat().st_size == size
        assert held(SearchIndex.open(index.folder)) == before
    index.add(*writing.tables(["z"], 2))
    index.compact()
    assert held(index) == before | {"z": 2}
    assert verify(index.folder) == []


def test_a_new_index_that_does_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    index = made(tmp_path / "index")
    before = held(index)
    for size in (0, 100, 1000, 5000):
        with no_file_larger_than(size), pytest.raises(InputError, match=FULL):
            made(index.folder)
        assert held(index.refresh()) == before


def test_what_a_rename_shows_is_on_the_disk_before_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index, steps = made(tmp_path / "index"), []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        steps.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        steps.append(("rename", f"{Path(source).name} {Path(target).name}"))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    index.add(*writing.tables(["z"], 2))
    assert steps == [("sync", "journal")]
    steps.clear()
    index.compact()
    temporary, current = f".gen-000002.{os.getpid()}.tmp", f".CURRENT.{os.getpid()}.tmp"
    shown, pointed = steps.index(("rename", f"{temporary} gen-000002")), steps.index(("rename", f"{current} CURRENT"))
    names = {path.name for path in (index.folder / "gen-000002").iterdir()} | {temporary}
    assert names <= {name for step, name in steps[:shown] if step == "sync"}
    assert {"index"} <= {name for step, name in steps[shown:pointed] if step == "sync"}
    assert ("sync", current) in steps[shown:pointed]
    assert ("sync", "index") in steps[pointed:]


@pytest.mark.slow
def test_a_torn_last_record_is_ignored_and_then_cut_at_every_byte(tmp_path: Path) -> None:
    index = made(tmp_path / "index", count=3)
    path = index.folder / index.generation / "journal"
    before, whole = held(index), path.read_bytes()
    index.add(*writing.tables(["torn"], 2))
    longer = path.read_bytes()
    for size in range(len(whole), len(longer)):
        for tail in (b"", bytes(40)):  # a file may have its length before it has its bytes
            path.write_bytes(longer[:size] + tail if not tail or size == len(whole) else longer[:size])
            assert held(SearchIndex.open(index.folder)) == before
        assert size % 16 or verify(index.folder) == []
        SearchIndex.open(index.folder).add(*writing.tables(["next"], 3))
        assert held(SearchIndex.open(index.folder)) == before | {"next": 3}
    assert len(longer) - len(whole) > 500


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf"])
@pytest.mark.usefixtures("approximate")
def test_maps_outlive_their_files(tmp_path: Path, kind: str) -> None:
    index = made(tmp_path / "index", kind)
    reader = SearchIndex.open(index.folder)
    queries = writing.tables(["q"] * 20, 9)[0]
    before = index.search(queries, 5)
    shutil.rmtree(index.folder)
    assert reader.search(queries, 5) == before
    assert len(held(reader)) == 152


@pytest.mark.parametrize("turns", [3, pytest.param(150, marks=pytest.mark.slow)])
def test_readers_see_states_that_were_and_never_go_back(tmp_path: Path, turns: int) -> None:  # noqa: C901 (threads)
    """Beside a writer and compactions: each of them in its thread, with an object of its own."""
    folder = tmp_path / "index"
    SearchIndex.build(folder, *writing.tables(["first"], 0), "m")
    history, done, problems = [{"first": 0}], threading.Event(), []

    def write() -> None:
        index, rng = SearchIndex.open(folder), np.random.default_rng(turns)
        for turn in range(1, turns + 1):
            names = [f"{turn} {number}" for number in range(3)] + sorted(history[-1])[:2]
            gone = sorted(history[-1])[: int(rng.integers(0, 2))]
            history.append(history[-1] | dict.fromkeys(names, turn))
            index.update(*writing.tables(names, turn))
            history.append({name: year for name, year in history[-1].items() if name not in gone})
            index.delete(gone)

    def fold() -> None:
        index = SearchIndex.open(folder)
        while not done.is_set():
            index.compact()

    def look() -> None:
        index, last = SearchIndex.open(folder), 0
        while not done.is_set():
            found = held(index.refresh())
            seen = next((place for place in range(last, len(history)) if history[place] == found), None)
            if seen is None:
                problems.append(f"{len(found)} tracks, which no state after {last} had")
                return
            last = seen
            index.search(writing.tables(["q"], last)[0], 3)

    def guarded(function: object) -> None:
        try:
            function()  # type: ignore[operator]
        except Exception as error:
            problems.append(repr(error))

    others = [threading.Thread(target=guarded, args=(function,)) for function in (fold, look, look)]
    for thread in others:
        thread.start()
    guarded(write)
    done.set()
    for thread in others:
        thread.join(60)
    assert problems == []
    assert held(SearchIndex.open(folder)) == history[-1]
    assert verify(folder) == []
