"""The folder source: what lies there is what there is."""

from __future__ import annotations

import pytest
import yaml

from crossmodal import registry
from crossmodal.datasets import folder
from crossmodal.datasets.folder import Folder
from crossmodal.errors import InputError
from crossmodal.files import Skipped


@pytest.fixture
def music(tmp_path):
    names = ("rock/a.wav", "rock/b.mp3", "folk/c.OGG", "folk/tr/d.flac", "e.wav", ".hidden/x.wav", "rock/cover.jpg")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_files_are_tracks_and_folders_are_tags(music):
    found = Folder(str(music)).manifest()
    assert found.tracks["track_id"].tolist() == ["e.wav", "folk/c.OGG", "folk/tr/d.flac", "rock/a.wav", "rock/b.mp3"]
    assert found.tracks["title"].tolist() == ["e", "c", "d", "a", "b"]
    named = {"folk/c.OGG": "folk", "folk/tr/d.flac": "tr", "rock/a.wav": "rock", "rock/b.mp3": "rock"}
    assert found.labels("folder").to_dict() == named
    assert found.skipped == (Skipped("rock/cover.jpg", "rock/cover.jpg", "not audio by its name"),)
    assert found.steps == (("files", 6, 5), ("audio files", 5, 5))
    assert found.path("folk/c.OGG") == music / "folk" / "c.OGG"


def test_a_name_that_is_not_utf_8_is_skipped(music):
    name = b"caf\xe9.wav"
    with open(bytes(music) + b"/" + name, "wb") as file:
        file.write(b"x")
    found = Folder(str(music)).manifest()
    assert len(found) == 5
    assert ("caf?.wav", "caf?.wav", "its name is not UTF-8") in found.skipped


def test_the_split_keeps_folders_whole_where_they_are_the_groups(music):
    found = Folder(str(music), group="folder", fractions={"train": 0.5, "test": 0.5}).read()
    parts = found.splits.set_index("track_id")["part"]
    assert found.validate() == []
    assert parts["rock/a.wav"] == parts["rock/b.mp3"]
    others = Folder(str(music), group="folder", fractions={"train": 0.5, "test": 0.5}, salt="other").read()
    assert {tuple(Folder(str(music), salt=str(n)).read().splits["part"]) for n in range(8)} != {tuple(parts)}
    assert set(others.splits["name"]) == {"group"}


def test_a_folder_that_is_not_there_or_has_no_audio_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        Folder(str(tmp_path / "nowhere")).read()
    with pytest.raises(InputError, match="has no audio files"):
        Folder(str(tmp_path)).read()


def test_the_documented_block_fits():
    block = yaml.safe_load(folder.__doc__.split("::")[1])
    registry.check("datasets", block["data"])


def test_no_fractions_are_not_the_usual_ones(music):
    with pytest.raises(InputError, match=r"fractions must be at least 0 and sum to 1, not \{\}"):
        Folder(str(music), fractions={}).read()
