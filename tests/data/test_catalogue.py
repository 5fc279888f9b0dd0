from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet

from crossmodal.data.catalogue import catalogue
from crossmodal.data.manifest import Manifest


def test_what_is_said_of_tracks_stands_in_one_table(tmp_path: Path) -> None:
    tracks = pd.DataFrame(
        {"track_id": ["a", "b", "c"], "path": ["a.wav", "b.wav", "/c.wav"], "year": [1990, 2000, 2010]}
    )
    texts = [
        ("1", "a", "tr", "x"),
        ("1", "b", "tr", "x"),
        ("2", "a", "de", "y"),
        ("3", "a", "de", "z"),
        ("4", "c", "", "w"),
    ]
    tags = [("a", "mood", "sad"), ("a", "mood", "happy"), ("b", "rhythm", "drums")]
    annotated = [("a", "mood"), ("c", "mood"), ("b", "rhythm")]
    manifest = Manifest.build(
        tracks,
        pd.DataFrame(texts, columns=["text_id", "track_id", "language", "text"]),
        pd.DataFrame(tags, columns=["track_id", "tagset", "tag"]),
        pd.DataFrame(annotated, columns=["track_id", "tagset"]),
        root=tmp_path,
    )
    catalogue(manifest, ["c", "a", "b"]).to_parquet(tmp_path / "tracks.parquet", index=False)
    rows = pyarrow.parquet.read_table(tmp_path / "tracks.parquet").to_pylist()
    assert [row["track_id"] for row in rows] == ["c", "a", "b"]
    assert [row["path"] for row in rows] == ["/c.wav", str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    assert [row["year"] for row in rows] == [2010, 1990, 2000]
    assert [row["languages"] for row in rows] == [None, ["de", "tr"], ["tr"]]
    assert [row["tags.mood"] for row in rows] == [[], ["happy", "sad"], None]
    assert [row["tags.rhythm"] for row in rows] == [None, None, ["drums"]]


def test_a_manifest_of_tracks_alone(tmp_path: Path) -> None:
    found = catalogue(Manifest.build(pd.DataFrame({"track_id": ["a"], "path": ["a.wav"]}), root=tmp_path), ["a"])
    found.to_parquet(tmp_path / "tracks.parquet", index=False)
    assert pyarrow.parquet.read_table(tmp_path / "tracks.parquet").to_pylist()[0]["languages"] is None
