"""A writer is killed at any moment: what it acknowledged is there, and the index is whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import writing

from crossmodal.search import SearchIndex
from crossmodal.search.checks import verify


@pytest.mark.parametrize("kills", [pytest.param(3, id="few"), pytest.param(200, id="many", marks=pytest.mark.slow)])
def test_what_was_acknowledged_outlives_any_kill(tmp_path: Path, kills: int) -> None:
    folder, rng = tmp_path / "index", np.random.default_rng(kills)
    index = SearchIndex.build(folder, *writing.tables(["first"], 0), "m")
    cut, previous = 0, {"first": 0}
    for turn in range(kills):
        told = writing.killed(folder, turn, float(rng.uniform(0, 0.2)))
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
