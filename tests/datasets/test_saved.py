"""A saved manifest, also one that was edited by hand since."""

from __future__ import annotations

import pandas as pd
import pytest

from crossmodal.data.manifest import Manifest
from crossmodal.datasets.saved import Saved
from crossmodal.errors import InputError


@pytest.fixture
def home(tmp_path):
    tracks = pd.DataFrame({"track_id": ["a", "b"], "path": ["a.wav", "b.wav"], "group": ["x", "x"]})
    tags = pd.DataFrame({"track_id": ["a"], "tagset": ["genre"], "tag": ["rock"]})
    splits = pd.DataFrame({"track_id": ["a", "b"], "name": "mine", "part": "train"})
    Manifest.build(tracks, tags=tags, splits=splits, root=tmp_path).save(tmp_path / "m")
    return tmp_path / "m"


def edit(home, table, **columns):
    pd.read_parquet(home / f"{table}.parquet").assign(**columns).to_parquet(home / f"{table}.parquet")


def test_what_was_saved_is_read(home):
    assert Saved(str(home)).read().tracks["track_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "columns", "message"),
    [
        ("tracks", {"track_id": "a"}, "1 duplicate track ids: a"),
        ("tracks", {"path": ["a.wav", "../../b.wav"]}, r"1 paths leave the root"),
        ("tags", {"track_id": "c"}, "1 tags of unknown tracks: c"),
        ("tags", {"tagset": "mood"}, "tags of 'mood' on tracks not said to be annotated"),
        ("splits", {"part": ["train", "tset"]}, "1 split parts other than train, valid, test: tset"),
        ("splits", {"part": ["train", "test"]}, r"split 'mine' cuts 1 groups in two: x \(test 1, train 1\)"),
    ],
)
def test_what_was_broken_by_hand_is_named(home, table, columns, message):
    edit(home, table, **columns)
    with pytest.raises(InputError, match=message):
        Saved(str(home)).read()


def test_a_table_that_is_gone_or_lacks_a_column_is_named(home):
    pd.read_parquet(home / "tags.parquet").drop(columns="tag").to_parquet(home / "tags.parquet")
    with pytest.raises(InputError, match=r"tags\.parquet lacks tag; it has"):
        Saved(str(home)).read()
    (home / "tags.parquet").unlink()
    with pytest.raises(InputError, match=r"tags\.parquet does not exist"):
        Saved(str(home)).read()
