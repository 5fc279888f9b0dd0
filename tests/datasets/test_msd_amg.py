"""AllMusic's tag sets: the h5 and the csv files, reviews of albums, and the partition by review."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pandas as pd
import pytest

from crossmodal.data import pytables
from crossmodal.datasets.msd_amg import MsdAmg
from crossmodal.errors import InputError

sys.path.insert(0, str(Path(__file__).parent / "layouts"))
import msd_amg as layout

sys.path.pop(0)
track = layout.track


@pytest.fixture
def root(tmp_path):
    layout.write(tmp_path)
    return tmp_path


def tags(manifest, tagset):
    rows = manifest.tags[manifest.tags["tagset"] == tagset]
    return {name: group.tolist() for name, group in rows.groupby("track_id")["tag"]}


def test_labels_albums_and_reviews(root):
    found = MsdAmg(str(root), valid=0.5).read()
    assert len(found) == 11
    assert found.tracks.loc[0, ["track_id", "path", "artist", "album", "title", "group"]].tolist() == [
        track("A", 0),
        f"audio/A/A/A/{track('A', 0)}.mp3",
        *("Ann", "First", "Song 0", "Ann / First"),
    ]
    assert tags(found, "genres")[track("C", 2)] == ["Pop/Rock", "Children's"]
    assert tags(found, "styles")[track("C", 2)] == ["Rock & Roll, loud"]
    assert tags(found, "moods")[track("C", 2)] == ["Sad"]  # there twice
    assert "themes" not in set(found.annotated["tagset"])
    assert found.relevance("review") == {
        "review:a:en": frozenset({track("A", 0), track("A", 1)}),
        "review:c:de": frozenset({track("C", 0), track("C", 1)}),
    }


def test_every_row_is_counted(root):
    found = MsdAmg(str(root)).read()
    assert [(step.name, step.read, step.kept) for step in found.steps] == [
        ("msd_amglabels_all.h5", 14, 12),
        ("tracks with a genre", 12, 11),
        ("reviews.jsonl", 9, 6),
        ("reviews joined to tracks", 6, 4),
        ("tracks with a review", 4, 4),
        ("tracks without a review", 7, 7),
        ("tracks in the split 'review'", 11, 9),
    ]
    said = {(row.id, row.reason) for row in found.skipped}
    assert (track("D", 2), "has no genre") in said
    assert ("TRZZZZZ128F0000000", "no track of this id is kept") in said
    assert (track("A", 2), "has no review, but its group 'Ann / First' has one and is trained on") in said


def test_tracks_without_a_genre_can_be_kept(root):
    found = MsdAmg(str(root), without_genre="keep").read()
    assert len(found) == 12
    assert track("D", 2) not in set(found.annotated.loc[found.annotated["tagset"] == "genres", "track_id"])
    assert "review:d:tr" in set(found.texts["text_id"])


def test_reviewed_albums_train_and_the_others_test(root):
    found = MsdAmg(str(root), valid=0.5).read()
    assert found.validate() == []
    parts = found.splits.set_index("track_id")["part"]
    assert {parts[track(album, 0)] for album in "AC"} <= {"train", "valid"}
    assert {parts[track(album, n)] for album, n in (("B", 0), ("B", 1), ("B", 2), ("D", 0), ("D", 1))} == {"test"}
    assert not {track("A", 2), track("C", 2)} & set(parts.index)
    drawn = {MsdAmg(str(root), valid=0.5, salt=str(n)).read().splits["part"].to_string() for n in range(8)}
    assert len(drawn) > 1
    assert "valid" not in set(MsdAmg(str(root), valid=0.0).read().splits["part"])


def test_albums_with_one_review_are_one_group(root):
    """The deluxe edition has the review of the first."""
    lines = (root / "reviews.jsonl").read_text(encoding="utf-8")
    (root / "reviews.jsonl").write_text(lines.replace(track("C", 0), track("B", 0)).replace('"c"', '"a"'), "utf-8")
    found = MsdAmg(str(root)).read()
    groups = found.tracks.set_index("track_id")["group"]
    assert groups[track("B", 0)] != groups[track("A", 0)]  # the text is another: the id was used twice
    rows = pd.DataFrame({"track_id": [track("A", 0), track("B", 1)], "review": "Same words."})
    rows.to_csv(root / "other.csv", index=False)
    groups = MsdAmg(str(root), reviews="other.csv").read().tracks.set_index("track_id")["group"]
    assert groups[track("B", 0)] == groups[track("A", 0)] == "Ann / First"


CSV = """index;genres;styles
TRAAAAA128F0000001;['Pop/Rock', "Children's"];
TRAAAAA128F0000002;Pop/Rock, R&B;[]
TRAAAAA128F0000003;"[""Childrens"", Pop/Rock";Rock en Español
TRAAAAA128F0000004;Jazz
TRAAAAA128F0000005;Jazz;Bop;more
"""


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_csv_files_as_they_are_around(tmp_path, encoding):
    (tmp_path / "msd_amglabels_all.csv").write_bytes(CSV.encode(encoding))
    found = MsdAmg(str(tmp_path), encoding=encoding).read()
    numbered = [f"TRAAAAA128F000000{n}" for n in (1, 2, 3)]
    genres = tags(found, "genres")
    assert [genres[name] for name in numbered] == [
        ["Pop/Rock", "Children's"],
        ["Pop/Rock", "R&B"],
        ["Childrens", "Pop/Rock"],
    ]
    assert tags(found, "styles") == {numbered[2]: ["Rock en Español"]}
    assert set(found.annotated.loc[found.annotated["tagset"] == "styles", "track_id"]) == set(numbered[1:])
    assert [row.reason for row in found.skipped] == ["line 5 has 2 cells, not 3", "line 6 has 4 cells, not 3"]
    assert len(found.splits) == 0


def test_a_file_a_tagset_joined(tmp_path):
    (tmp_path / "msd_amglabels_moods.csv").write_text("trackid,moods\nTRAAAAA128F0000001,Sad\n", "utf-8")
    (tmp_path / "msd_amglabels_genres.csv").write_text(
        "trackid\tgenres\nTRAAAAA128F0000002\tJazz\nTRAAAAA128F0000001\tRap\n", "utf-8"
    )
    found = MsdAmg(str(tmp_path)).read()
    assert found.tracks["track_id"].tolist() == ["TRAAAAA128F0000002", "TRAAAAA128F0000001"]
    assert tags(found, "moods") == {"TRAAAAA128F0000001": ["Sad"]}
    assert [step.name for step in found.steps][:2] == ["msd_amglabels_genres.csv", "msd_amglabels_moods.csv"]


def test_albums_come_from_the_data_sets_own_database(tmp_path):
    (tmp_path / "msd_amglabels_all.csv").write_bytes(CSV.encode())
    with sqlite3.connect(tmp_path / "track_metadata.db") as database:
        database.execute("CREATE TABLE songs (track_id text, title text, release text, artist_name text)")
        database.execute("INSERT INTO songs VALUES ('TRAAAAA128F0000002', 'Ü', 'Big', 'Ann')")
    database.close()
    found = MsdAmg(str(tmp_path)).read().tracks.set_index("track_id")
    assert found.loc["TRAAAAA128F0000002", ["artist", "album", "title", "group"]].tolist() == [
        "Ann",
        "Big",
        "Ü",
        "Ann / Big",
    ]
    assert found.loc["TRAAAAA128F0000001", "group"] == ""
    (tmp_path / "track_metadata.db").write_bytes(b"no database at all, just words" * 99)
    with pytest.raises(InputError, match=r"track_metadata.db is not the database of the Million Song Dataset"):
        MsdAmg(str(tmp_path)).read()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("msd_amglabels_all.csv", "song,genres\n1,rock\n", r"has the columns song, genres; it needs index or trackid"),
        ("msd_amglabels_all.csv", 'index,genres\nTR,"rock\n', r"msd_amglabels_all.csv line 2: unexpected end of data"),
        ("msd_amglabels_all.csv", "", "is empty; its first line names the columns"),
        ("msd_amglabels_all.h5", "no", "is not a whole HDF5 file"),
        ("reviews.csv", "track_id,text\n", r"has no column 'review'; it has: track_id, text"),
    ],
)
def test_what_is_broken_is_named(tmp_path, name, content, message):
    (tmp_path / "msd_amglabels_all.csv").write_bytes(CSV.encode())
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        MsdAmg(str(tmp_path)).read()


def test_a_review_table_that_is_named_must_be_there(tmp_path):
    (tmp_path / "msd_amglabels_all.csv").write_bytes(CSV.encode())
    with pytest.raises(InputError, match=r"msd_amg finds no mine\.csv"):
        MsdAmg(str(tmp_path), reviews="mine.csv").read()


def test_no_pickle_of_the_h5_is_run(root, monkeypatch):
    monkeypatch.setattr(pytables.pickle, "loads", None)
    assert len(MsdAmg(str(root)).read()) == 11
