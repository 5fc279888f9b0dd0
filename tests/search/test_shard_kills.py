"""Shards of a size: merges that are killed, and what a merge holds in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import writing

from crossmodal.search import SearchIndex
from crossmodal.search.checks import verify
from crossmodal.search.merging import merge


def many(folder: Path, first: int, tracks: int, dim: int) -> Path:
    """An index of tracks of one segment."""
    rows = pd.DataFrame({"track_id": [f"t{first + i}" for i in range(tracks)], "start": 0.0, "end": 1.0})
    vectors = np.random.default_rng(first).normal(size=(tracks, dim)).astype(np.float32)
    return SearchIndex.build(folder, vectors, rows, rows[["track_id"]].assign(year=first), "m").folder


@pytest.mark.slow
def test_a_merge_that_is_killed_anywhere_is_merged_again_to_the_same_bytes(tmp_path: Path) -> None:
    sources = [many(tmp_path / str(first), first, 20_000, 16) for first in (0, 20_000, 40_000)]
    files = merge(tmp_path / "once", sources, "ivfsq", recall=0.5).info["files"]
    rng, cut = np.random.default_rng(0), 0
    for _ in range(30):
        cut += writing.interrupted(tmp_path / "all", sources, float(rng.uniform(0, 1.5)))
        if (tmp_path / "all" / "CURRENT").exists():
            assert SearchIndex.open(tmp_path / "all").info["files"] == files
            shutil.rmtree(tmp_path / "all")
    assert cut > 5
    assert all(verify(source) == [] for source in sources)
    shutil.rmtree(tmp_path / "all", ignore_errors=True)
    assert writing.interrupted(tmp_path / "all", sources, 0.3)
    assert merge(tmp_path / "all", sources, "ivfsq", recall=0.5).info["files"] == files
    assert {path.name for path in (tmp_path / "all").iterdir()} >= {"CURRENT", "gen-000001"}
    assert not list((tmp_path / "all").glob(".gen-*"))


@pytest.mark.slow
def test_merging_takes_no_memory_for_what_it_merges(tmp_path: Path) -> None:
    """Of 400 MB of vectors."""
    sources = [many(tmp_path / str(first), first, 100_000, 256) for first in range(0, 400_000, 100_000)]
    told = writing.SERVER.Queue()
    child = writing.SERVER.Process(target=writing.watched, args=(tmp_path / "all", sources, told))
    child.start()
    peak = told.get(timeout=300)
    child.join()
    assert len(SearchIndex.open(tmp_path / "all")) == 400_000
    assert 1e6 < peak < 250e6
