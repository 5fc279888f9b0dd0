"""The seven notebooks in their order, over one folder: each goes on from what those before it wrote."""

from __future__ import annotations

import json

import numpy as np
import pytest
from executing import NOTEBOOKS, read, run

from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.data.store import FeatureStore
from crossmodal.data.topics import TopicModel

GIVEN = {
    2: {"workers": 1},
    3: {"tagset": "instrument", "kind": None},
    4: {"overrides": ["split=by_album"], "length_s": 2.0},
    5: {"n_topics": 8, "pairs": 1000},
    6: {"overrides": ["split=by_album", "train.epochs=1"]},
    7: {"tasks": ["retrieval.draws=20", "retrieval.tags=false", "probe.tagsets=[tempo]"], "tagset": "tempo"},
}


def test_there_are_seven():
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{number}_" for number in range(1, 8)]


@pytest.mark.slow
def test_all_in_order(tmp_path, experiment):
    work = tmp_path / "work"
    given = {1: {"experiment": str(experiment), "overrides": []}, **GIVEN}
    printed = {}
    for number, path in enumerate(NOTEBOOKS, start=1):
        printed[number] = run(read(path), {"work": str(work), **given[number]})
        (store,) = list((work / "features").glob("*.h5")) or [None]
        assert (store is not None) == (number >= 4)  # merged by 4, found by 6
    manifest = Manifest.load(work / "manifest")
    assert len(manifest) == len(FeatureStore(store)) == 96
    assert TopicModel.load(work / "topics" / "tags").n_topics == 8
    results = json.loads((work / "export" / "results.json").read_text(encoding="utf-8"))
    assert results["split"]["hash"] == split_hash(manifest, "by_album")
    assert results["split"]["tracks"] == len(manifest.part("by_album", "test"))
    assert len(np.load(work / "export" / "vectors.npz")["vectors"]) == results["split"]["tracks"]
    same = len(results["tasks"]["retrieval"]["metrics"])
    assert f"figures, {same} of them equal to those of training" in printed[7]
