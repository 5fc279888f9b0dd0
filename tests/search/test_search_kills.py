"""A writer is killed at any moment: what it acknowledged is there, and the index is whole."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import writing

from crossmodal.search import SearchIndex
from crossmodal.search.checks import verify
from crossmodal.search.merging import merge

MANY = [pytest.param(200, beside, marks=pytest.mark.slow) for beside in (False, True)]


@pytest.mark.parametrize(("kills", "beside"), MANY)
def test_what_was_acknowledged_outlives_any_kill(tmp_path: Path, kills: int, beside: bool) -> None:
    folder, rng = tmp_path / "index", np.random.default_rng(kills)
    index = SearchIndex.build(folder, *writing.tables(["first"], 0), "m")
    cut, previous = 0, {"first": 0}
    for turn in range(kills):
        told = writing.killed(folder, turn, float(rng.uniform(0, 0.2)), beside)
        assert verify(folder) == []
        found = {track["track_id"]: track["year"] for track in index.refresh().tracks}
        done = [held for what, held in told if what == "done"]
        before = done[-1] if done else previous
        last = told[-1][1] if told else previous  # a change that was begun may be there or not
        assert found in (before, last)
        assert found == last or told[-1][0] == "begun"
        cut += found == before != last
        for name in list(found)[-2:]:
            (vector,) = index.segments(name)[1]
            assert index.search(vector[None], 1)[0][0].score == 1
        assert len(list(folder.glob("gen-*"))) <= 3
        previous = found
    index.compact()
    assert {track["track_id"]: track["year"] for track in index.tracks} == previous
    assert not list(folder.glob(".*.tmp"))
    assert cut or kills < 100, "no kill fell into a change"


@pytest.mark.slow
def test_a_merge_that_is_killed_leaves_all_or_nothing(tmp_path: Path) -> None:
    for number in range(2):
        made = writing.tables([f"{number} {track}" for track in range(2000)], number)
        SearchIndex.build(tmp_path / str(number), *made, "m")
    rng, absent = np.random.default_rng(0), 0
    for turn in range(20):
        child = writing.SERVER.Process(target=merge, args=(tmp_path / f"out {turn}", [tmp_path / "0", tmp_path / "1"]))
        child.start()
        time.sleep(float(rng.uniform(0, 0.3)))
        child.kill()
        child.join()
        if not (tmp_path / f"out {turn}" / "CURRENT").exists():
            absent += 1
            merge(tmp_path / f"out {turn}", [tmp_path / "0", tmp_path / "1"])
        assert verify(tmp_path / f"out {turn}") == []
        assert len(SearchIndex.open(tmp_path / f"out {turn}")) == 4000
    assert absent > 0
