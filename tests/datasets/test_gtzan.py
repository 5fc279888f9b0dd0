"""GTZAN: the filtered lists."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import gtzan as layout

from crossmodal.datasets.gtzan import GTZAN
from crossmodal.files import Skipped

REAL = Path(__file__).parents[3] / "shared" / "data" / "annotations"


def test_genres_and_parts_are_those_of_the_lists(tmp_path):
    layout.write(tmp_path)
    found = GTZAN(str(tmp_path), audio="genres_original").read()
    assert found.labels("genre").to_dict() == {
        "blues.00029": "blues",
        "jazz.00053": "jazz",
        "hiphop.00000": "hiphop",
        "blues.00012": "blues",
        "rock.00001": "rock",
        "pop.00001": "pop",
    }
    assert found.splits["part"].tolist() == ["train", "train", "valid", "test", "test", "test"]
    assert set(found.splits["name"]) == {"filtered"}
    assert found.tracks["path"].tolist()[0] == "genres_original/blues/blues.00029.wav"
    assert found.skipped == (
        Skipped("jazz/jazz.00054.wav", "train_filtered.txt", "corrupt in the copy called genres_original"),
        Skipped("blues/blues.00029.wav", "train_filtered.txt", "stands in the lists twice"),
        Skipped("valid_filtered.txt line 2", "valid_filtered.txt", "no excerpt's name, as blues/blues.00012.wav is"),
        Skipped("rock/blues.00001.wav", "valid_filtered.txt", "no excerpt's name, as blues/blues.00012.wav is"),
    )


def test_the_original_has_jazz_54_and_either_suffix(tmp_path):
    layout.write(tmp_path)
    found = GTZAN(str(tmp_path), suffix=".au").read()
    assert found.tracks["path"].tolist()[2] == "genres/jazz/jazz.00054.au"


def test_lists_without_a_usable_line_give_no_tracks(tmp_path):
    for part in ("train", "valid", "test"):
        (tmp_path / f"{part}_filtered.txt").write_text("nonsense\n" if part == "test" else "")
    found = GTZAN(str(tmp_path)).read()
    assert (len(found), len(found.tags), len(found.splits)) == (0, 0, 0)
    assert [row.id for row in found.skipped] == ["nonsense"]


@pytest.mark.parametrize(("audio", "train"), [("genres", 443), ("genres_original", 442)])
def test_real_lists_have_the_published_numbers(audio, train):
    if not REAL.is_dir():
        pytest.skip("the real lists are not here")
    found = GTZAN(str(REAL), audio=audio).manifest(labels_only=True)
    assert found.validate() == []
    assert found.splits["part"].value_counts().to_dict() == {"train": train, "valid": 197, "test": 290}
    assert found.tags["tag"].nunique() == 10
    assert len(found.skipped) == 443 - train
