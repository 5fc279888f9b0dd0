"""Notebook 3 on tiny synthetic data, and on real data: its partitions are saved, and cut nothing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from executing import ROOT, read, run

from crossmodal import registry
from crossmodal.data.ledger import Ledger
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash
from crossmodal.datasets.synthetic import Synthetic

DATA = Path(__file__).parents[3] / "shared" / "data"
NOTEBOOK = ROOT / "notebooks" / "3_Create_Evaluation_Partitions.ipynb"
pytestmark = pytest.mark.slow


def test_partitions_of_synthetic_tracks(tmp_path):
    before = Synthetic(str(tmp_path / "audio"), tracks=240).manifest(labels_only=True)
    silent = before.tracks.loc[before.tracks["group"].isin(["album-0003", "album-0004"]), "track_id"]
    silent = pd.concat([silent, before.tracks["track_id"].head(1)])
    texts = before.texts[~before.texts["track_id"].isin(silent)]
    manifest = Manifest.build(before.tracks, texts, before.tags, before.annotated, before.splits, before.root)
    manifest.save(tmp_path / "manifest")
    pairs = manifest.tracks["track_id"].iloc[[0, 5]]  # of two albums
    twins = {"track_a": pairs.iloc[:1], "track_b": pairs.iloc[1:].tolist(), "kind": "near", "splits": ""}
    found = pd.DataFrame(twins | {"offset_s": 0.0, "similarity": 1.0})
    Ledger(manifest.tracks[["track_id"]], found).save(tmp_path / "manifest.ledger")
    given = {"work": str(tmp_path), "tagset": "instrument", "valid": 0.2}
    printed = run(read(NOTEBOOK), given)
    assert "240 tracks, 1 clusters of duplicates" in printed
    assert "no problems" in printed
    saved = Manifest.load(tmp_path / "manifest")
    assert saved.validate() == []
    names = {"combination", "album", "by_artist", "by_album", "by_rarest_tag", "by_review"}
    assert set(saved.splits["name"]) == names
    assert split_hash(saved, "album") == split_hash(manifest, "album")
    parts = saved.splits.pivot(index="track_id", columns="name", values="part")
    for name in ("by_artist", "by_album", "by_rarest_tag"):
        assert parts[name].notna().all()
        assert parts.loc[pairs, name].nunique() == 1
    told = saved.tracks["track_id"].isin(saved.texts["track_id"]).set_axis(saved.tracks["track_id"])
    assert set(parts.loc[told[told].index, "by_review"]) == {"train", "valid"}
    assert (parts["by_review"] == "test").sum() == 8
    # the first track's album has reviews, so it is in no part, and the notebook says so
    assert parts["by_review"].isna().sum() == 1
    assert "1 tracks are in no part of by_review" in printed
    again = run(read(NOTEBOOK), given)
    assert again == printed


@pytest.mark.skipif(not DATA.is_dir(), reason="shared data is not there")
def test_partitions_of_real_tracks(tmp_path):
    data = yaml.safe_load((ROOT / "experiments" / "real_small.yaml").read_text(encoding="utf-8"))["data"]
    manifest = registry.build_block("datasets", data | {"root": str(DATA)}).manifest(labels_only=True)
    manifest.save(tmp_path / "manifest")
    given = {"work": str(tmp_path), "kind": "human", "valid": 0.1}
    assert "no problems" in run(read(NOTEBOOK), given)
    saved = Manifest.load(tmp_path / "manifest")
    assert set(saved.splits["name"]) == {"dev", "by_artist", "by_album", "by_rarest_tag", "by_human"}
    assert len(saved.part("by_human", "train")) + len(saved.part("by_human", "valid")) == 97
