"""MTG-Jamendo: tags, joins and splits, on an imitation and on the real files of split 0."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from layouts import mtg_jamendo as layout

from crossmodal import registry
from crossmodal.datasets.mtg_jamendo import MTGJamendo
from crossmodal.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "data" / "annotations"


@pytest.fixture
def source(tmp_path):
    return MTGJamendo(str(tmp_path), **layout.write(tmp_path))


def test_ragged_tags_are_sorted_within_each_track(source):
    found = source.read()
    assert list(found.tags.itertuples(index=False, name=None)) == [
        ("track_0000214", "genre", "pop, folk"),
        ("track_0000214", "instrument", "piano"),
        ("track_0000215", "genre", '"new" wave'),
        ("track_0000215", "mood/theme", "été"),
        ("track_0000300", "genre", "rock"),
        ("track_0000301", "genre", "jazz"),
        ("track_0000400", "instrument", "piano"),
        ("track_0000401", "genre", "rock"),
    ]
    assert len(found.annotated) == 6 * 3
    parts = [(track[-3:], name, part) for track, name, part in found.splits.itertuples(index=False)]
    assert parts == [
        (track, "split-1", part)
        for track, part in zip(
            ("214", "215", "300", "301", "400", "401"),
            ("train", "train", "valid", "valid", "test", "test"),
            strict=True,
        )
    ]


def test_rows_tags_and_joins_are_counted(source):
    found = source.read()
    assert [(step.name, step.read, step.kept) for step in found.steps] == [
        ("autotagging-train.tsv", 6, 2),
        ("autotagging-validation.tsv", 2, 2),
        ("autotagging-test.tsv", 2, 2),
        ("tags", 10, 8),
        ("raw.meta.tsv", 4, 3),
        ("raw.meta.tsv joined to tracks", 3, 2),
        ("audio_licenses.txt", 3, 2),
        ("audio_licenses.txt joined to tracks", 2, 1),
    ]
    assert [row.reason for row in found.skipped] == [
        "5 cells where TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION, TAGS are wanted",
        "the duration 'long' is no number of seconds",
        "stands twice",
        "no tags",
        "the tag 'genre---rock' stands twice",
        "the tag 'rock' is not of the form genre---rock",
        "2 cells under 8 columns",
        "no track of this id in the subset",
        "not a path, a work and a licence",
        "no track of this id in the subset",
    ]


def test_words_and_licences_are_joined_by_track(source, tmp_path):
    tracks = source.read().tracks.set_index("track_id")
    told = tracks[["artist", "album", "title", "released", "group", "url", "licence", "path", "duration"]].T
    assert told["track_0000214"].tolist() == [
        *("Élan", "Red", 'A "quoted', "2004-12-17", "artist_000014", "http://www.jamendo.com/track/214"),
        *("http://creativecommons.org/licenses/by-nc/3.0/", "raw_30s/audio-low/14/214.low.mp3", 124.6),
    ]
    assert told["track_0000300"].tolist()[:3] == ["Bo", "Blue", "Title"]
    assert told["track_0000301"].tolist()[:5] == ["artist_000020", "album_000040", "", "", "artist_000020"]
    for name in ("data/raw.meta.tsv", "audio_licenses.txt"):
        (tmp_path / name).unlink()
    bare = MTGJamendo(str(tmp_path), subset="overall", split=1).read()
    assert bare.tracks[["artist", "title", "licence", "path"]].to_numpy()[0].tolist() == [
        *("artist_000014", "", "", "raw_30s/audio/14/214.mp3"),
    ]


@pytest.mark.parametrize("folder", ["splits/split-1", "split-1", "mtg-jamendo-split1"])
def test_the_folders_that_splits_are_kept_in(source, tmp_path, folder):
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    (tmp_path / "data" / "splits" / "split-1").rename(tmp_path / folder)
    assert len(source.read()) == 6


def test_a_file_of_other_columns_and_a_split_that_is_none_are_refused(source, tmp_path):
    with pytest.raises(InputError, match="split"):
        registry.build("datasets", "mtg_jamendo", root=str(tmp_path), split=5)
    (tmp_path / "data/splits/split-1/autotagging-test.tsv").write_text("id,tags\n")
    with pytest.raises(InputError, match=r"autotagging-test\.tsv line 1: the columns are not TRACK_ID"):
        source.read()


def test_rows_without_an_id_or_a_path_and_tags_of_other_categories_are_skipped(source, tmp_path):
    with (tmp_path / "data/splits/split-1/autotagging-train.tsv").open("a") as file:
        file.write("\tartist_000014\talbum_000031\t19/219.mp3\t30\tgenre---rock\n")
        file.write("track_0000220\tartist_000014\talbum_000031\t\t30\tgenre---rock\n")
        file.write("track_0000221\tartist_000014\talbum_000031\t.mp3\t30\tgenre---rock\n")
        file.write("track_0000222\tartist_000014\talbum_000031\t22/222.mp3\t30\tfoo---bar\tgenre---rock\n")
    found = source.read()
    assert sorted(found.tracks["track_id"].str[-3:]) == ["214", "215", "222", "300", "301", "400", "401"]
    assert set(found.annotated["tagset"]) == {"genre", "instrument", "mood/theme"}
    skipped = {row.id: row.reason for row in found.skipped}
    assert skipped["autotagging-train.tsv line 8"] == "no track id"
    assert skipped["autotagging-train.tsv line 9"] == skipped["autotagging-train.tsv line 10"] == "no path"
    assert skipped["track_0000222"] == "the tag 'foo---bar' is of none of genre, instrument, mood/theme"
    assert ("tags", 12, 9) in found.steps


COUNTS = {
    "genre": ((32_572, 11_043, 11_479), {"genre": 87}),
    "instrument": ((14_395, 5_466, 5_115), {"instrument": 40}),
    "moodtheme": ((9_949, 3_802, 4_231), {"mood/theme": 56}),
    "top50tags": ((32_136, 10_888, 11_356), {"genre": 31, "instrument": 14, "mood/theme": 5}),
}


@pytest.mark.parametrize("subset", COUNTS)
def test_real_labels_have_the_published_numbers_and_cut_no_artist(subset):
    if not REAL.is_dir():
        pytest.skip("the real label files are not here")
    found = MTGJamendo(str(REAL), subset=subset).manifest(labels_only=True)
    sizes, tags = COUNTS[subset]
    assert found.validate() == []  # it would name artists in two parts
    assert (found.tracks["group"] != "").all()
    parts = found.splits["part"].value_counts()
    assert tuple(parts[["train", "valid", "test"]]) == sizes
    assert found.tags.groupby("tagset")["tag"].nunique().to_dict() == tags
    assert found.skipped == ()
    assert not math.isnan(found.tracks["duration"].sum(skipna=False))
