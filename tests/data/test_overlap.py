"""What parts share, by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from crossmodal.data.manifest import Manifest
from crossmodal.data.overlap import leaks, shared
from crossmodal.data.splits import add_split
from crossmodal.errors import InputError


def series(values: dict[str, str]) -> pd.Series:
    return pd.Series(list(values.values()), index=list(values), dtype="str")


@pytest.fixture
def manifest():
    tracks = pd.DataFrame(
        {
            "track_id": list("abcdef"),
            "path": [f"{t}.wav" for t in "abcdef"],
            "artist": ["x", "x", "y", "z", "z", "x"],
            "album": ["1", "1", "", "", "2", "2"],
        }
    )
    said = [("1", "a", "Fine"), ("1", "b", "Fine"), ("2", "c", "fine "), ("3", "d", "Loud"), ("4", "f", "Loud")]
    texts = pd.DataFrame(said, columns=["text_id", "track_id", "text"])
    parts = series({"a": "train", "b": "train", "c": "test", "d": "valid", "e": "test"})  # f is in none
    return add_split(Manifest.build(tracks, texts), "s", parts)


def test_what_parts_share(manifest):
    found = shared(manifest, "s")
    columns = ["values", "in several parts", "tracks outside train share with train"]
    assert found.columns.tolist() == columns
    assert found.T.to_dict("list") == {
        "artist": [3, 1, 0],  # z: valid and test
        "album": [2, 0, 0],
        "group": [0, 0, 0],
        "text": [2, 1, 1],  # c says what a and b say
    }


def test_near_duplicates_in_several_parts(manifest):
    assert leaks(manifest, "s", series({"a": "k", "b": "k", "f": "k", "c": "", "d": ""})) == []
    found = leaks(manifest, "s", series({"a": "k", "e": "k", "f": "k", "c": "m", "d": "m", "b": "n", "q": "n"}))
    assert found == ["split 's' cuts 2 clusters of near-duplicates: a train, e test; c test, d valid"]
    with pytest.raises(InputError, match=r"several groups, or twice in one: a$"):
        leaks(manifest, "s", pd.Series(["k", "k"], index=["a", "a"]))
    with pytest.raises(InputError, match="no split 't'; there are: s"):
        leaks(manifest, "t", series({}))


def test_only_the_first_clusters_are_named():
    ids = [f"{n:02d}" for n in range(10)]
    manifest = Manifest.build(pd.DataFrame({"track_id": ids, "path": ids}))
    manifest = add_split(manifest, "s", pd.Series(["train", "test"] * 5, index=ids))
    (line,) = leaks(manifest, "s", pd.Series([n // 2 for n in range(10)], index=ids))
    assert line.startswith("split 's' cuts 5 clusters of near-duplicates: 00 train, 01 test; 02")
    assert line.endswith("; 04 train, 05 test and 2 more")
