"""The Free Music Archive: its tables, subsets, texts and broken clips."""

from __future__ import annotations

import pytest
from layout import layout

from crossmodal.datasets.fma import Fma, plain
from crossmodal.errors import InputError

LAYOUT = layout("fma")
PLAIN = 'An "early" & loud\nrecord.\nÉté, in two\nlines'


@pytest.fixture
def root(tmp_path):
    LAYOUT.write(tmp_path)
    return tmp_path


def test_tracks_of_the_small_subset(root):
    found = Fma(str(root)).read()
    assert found.tracks["track_id"].tolist() == ["2", "5", "10", "134", "135"]
    columns = ["path", "artist", "album", "title", "group", "duration", "licence"]
    assert found.tracks[columns].values.tolist()[0] == [
        *("fma_small/000/000002.mp3", "AWOL", "AWOL", "Food", "artist 1", 30.0, "Attribution")
    ]
    assert found.tracks[columns].values.tolist()[2] == [
        *("fma_small/000/000010.mp3", "Kurt Vile", "Constant\tHitmaker", "Freeway", "artist 6", 20.0),
        "Attribution-NonCommercial",
    ]
    assert found.validate() == []


@pytest.mark.parametrize(
    ("subset", "tracks", "duration"),
    [("small", 5, 30.0), ("medium", 6, 30.0), ("large", 7, 30.0), ("full", 8, 600.0)],
)
def test_subsets_hold_one_another_and_only_clips_are_silent(root, subset, tracks, duration):
    found = Fma(str(root), subset=subset).read()
    assert len(found) == tracks
    assert found.tracks["duration"].max() == duration
    assert found.tracks["path"][0] == f"fma_{subset}/000/000002.mp3"
    assert ("133297" in set(found.tracks["track_id"])) == (subset == "full")


def test_every_row_is_counted(root):
    found = Fma(str(root)).read()
    assert [tuple(step) for step in found.steps] == [
        ("tracks.csv", 10, 8),
        ("tracks of the subset small", 6, 5),
        ("genres.csv", 4, 3),
        ("genres joined to their titles", 5, 4),
        ("genres_all joined to their titles", 5, 5),
        ("texts of kind album", 2, 2),
        ("texts of kind artist", 3, 1),
        ("texts of kind track", 1, 1),
        ("tracks in the split 'fma'", 5, 4),
    ]
    assert [(row.id, row.reason) for row in found.skipped] == [
        ("140", "line 17 has 3 cells, not 18"),
        ("2", "stands there twice; the first counts"),
        ("133297", "its clip has no audio, see https://github.com/mdeff/fma/issues/44"),
        ("22", "line 5 has 2 cells, not 5"),
        ("5", "there is no genre 99"),
        ("2", "its artist.bio has no words"),
        ("5", "its artist.bio has no words"),
        ("135", "its part is 'unknown', none of training, validation, test"),
    ]


def test_tagsets(root):
    found = Fma(str(root)).read()
    assert found.labels("genre_top").to_dict() == {"2": "Hip-Hop", "5": "Hip-Hop", "10": "Pop", "135": "Rock"}
    rows = found.tags[found.tags["track_id"] == "5"]
    assert rows[["tagset", "tag"]].values.tolist() == [
        *(["genre_top", "Hip-Hop"], ["genres", "Hip-Hop"], ["genres_all", "Hip-Hop"], ["genres_all", "Rock"]),
        *(["tags", "lo-fi"], ["tags", "80's, or so"]),
    ]
    asked = found.annotated.groupby("tagset")["track_id"].agg(list).to_dict()
    assert asked["genre_top"] == asked["genres"] == ["2", "5", "10", "135"]
    assert asked["tags"] == ["5", "10"]


def test_texts_are_shared_by_albums_and_have_no_markup(root):
    texts = Fma(str(root)).read().texts.values.tolist()
    assert texts == [
        ["album:1", "2", "", "album", PLAIN],
        ["album:1", "5", "", "album", PLAIN],
        ["artist:6", "10", "", "artist", "Born in Köln."],
        ["track:5", "5", "de", "track", "Recorded live."],
    ]


def test_the_published_split(root):
    parts = Fma(str(root)).read().splits
    assert parts[["track_id", "name", "part"]].values.tolist() == [
        *(["2", "fma", "train"], ["5", "fma", "train"], ["10", "fma", "valid"], ["134", "fma", "test"])
    ]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("just words", "just words"),
        ("a < b & c", "a < b & c"),
        ("a&nbsp;&eacute;&#8217;s", "a é’s"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("<a href='x'>li<em>n</em>k</a>", "link"),
        ("<style>p {}</style> <!-- no --> ", ""),
    ],
)
def test_html_to_words(page, text):
    assert plain(page) == text


def test_a_column_that_is_not_there_is_named(root):
    path = root / "fma_metadata" / "tracks.csv"
    path.write_text(path.read_text("utf-8").replace("genre_top", "genre_bottom"), "utf-8")
    with pytest.raises(InputError, match=r"tracks\.csv has no column 'track\.genre_top'"):
        Fma(str(root)).read()


def test_the_archive_that_is_not_as_published_is_named(root):
    from crossmodal.data.sources import altered

    (root / "fma_small.zip").write_bytes(b"half of it")
    assert altered(Fma(str(root))) == [
        "not as published, by their checksums: fma_small.zip; broken, or another version"
    ]
