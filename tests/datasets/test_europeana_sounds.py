"""Europeana's records: pages, languages, and what cannot be used."""

from __future__ import annotations

import json

import pytest
from layout import layout

from crossmodal.datasets.europeana_sounds import EuropeanaSounds
from crossmodal.errors import InputError

LAYOUT = layout("europeana_sounds")


@pytest.fixture
def root(tmp_path):
    LAYOUT.write(tmp_path)
    return tmp_path


def search(root, *items):
    folder = root / "search"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text(json.dumps({"success": True, "items": items}), encoding="utf-8")
    return EuropeanaSounds(str(root)).read()


def test_records_are_tracks(root):
    tracks = EuropeanaSounds(str(root)).read().tracks
    assert tracks["track_id"].tolist() == ["/2022608/AKB_1", "/2022608/2", "/91/zero"]
    assert tracks["path"].tolist() == ["audio/2022608_AKB_1.wav", "audio/2022608_2.mp3", "audio/91_zero.mp3"]
    columns = ["artist", "title", "group", "licence", "provider", "country", "year", "url"]
    assert tracks[columns].values.tolist()[0] == [
        *("Ann", "Fiddle", "2022608", LAYOUT.CC, "An Archive", "Ireland", "1931"),
        "https://example.org/a/b.WAV?download=1",
    ]
    assert tracks.loc[1, ["artist", "title", "licence", "year"]].tolist() == ["", "Untitled\tsong", LAYOUT.NC, ""]


def test_texts_in_the_languages_that_the_archives_say(root):
    texts = EuropeanaSounds(str(root)).read().texts
    rows = texts[texts["track_id"] == "/2022608/AKB_1"][["kind", "language", "text"]].values.tolist()
    assert rows == [
        ["title", "en", "Fiddle"],
        ["title", "de", "Geige, „schnell“"],
        ["description", "", "A reel."],
        ["description", "tr", "Çok hızlı"],
        ["subject", "en", "Folk music, Dance, fast"],
        ["subject", "", "Reel"],
    ]
    rows = texts[texts["track_id"] == "/2022608/2"][["kind", "language", "text"]].values.tolist()
    assert rows == [["title", "", "Untitled\tsong"], ["description", "", "One text."]]
    assert not texts["text_id"].duplicated().any()


def test_tags_are_english_or_without_a_language(root):
    tags = EuropeanaSounds(str(root)).read().tags
    assert tags[["tagset", "tag"]].values.tolist() == [
        *(["subject", "Folk music"], ["subject", "Dance, fast"], ["subject", "Reel"], ["type", "Sound"])
    ]


def test_every_row_is_counted(root):
    found = EuropeanaSounds(str(root)).read()
    assert [tuple(step) for step in found.steps] == [
        ("search pages", 5, 2),
        ("records on the pages", 8, 3),
        ("texts", 11, 10),
    ]
    said = [(row.id, row.path, row.reason) for row in found.skipped]
    assert said[0][:2] == ("3", "search/3.json")
    assert said[0][2].startswith("is not JSON: ")
    assert said[1:] == [
        ("4", "search/4.json", "is an error: Invalid API key"),
        ("5", "search/5.json", "is not whole: it has 1 items of 9"),
        ("/2022608/picture", "search/1.json", "is of type IMAGE, not SOUND"),
        ("/2022608/AKB_1", "search/2.json", "is on search/1.json already"),
        ("/2022608/mute", "search/2.json", "has no edmIsShownBy, the address of its recording"),
        ("?", "search/2.json", "has no id"),
        ("?", "search/2.json", "has no id"),
        ("/2022608/AKB_1", "", "its description has no words"),
    ]


def test_half_a_surrogate_pair_can_be_saved(tmp_path):
    item = {**LAYOUT.BARE, "title": ["broken \ud83d end"]}
    found = search(tmp_path, item)
    found.save(tmp_path / "m")
    assert found.tracks["title"].tolist() == ["broken ? end"]


def test_values_of_unexpected_types_are_left_out(tmp_path):
    odd = {"dcTitleLangAware": {"en": [None, 3, "x"], "zxx": "y"}, "dcSubjectLangAware": ["no", "map"], "rights": None}
    found = search(tmp_path, {**LAYOUT.BARE, **odd, "dcDescription": None})
    assert found.texts[["kind", "language", "text"]].values.tolist() == [["title", "en", "x"], ["title", "", "y"]]
    assert found.tracks["licence"].tolist() == [""]


def test_an_id_cannot_leave_the_folder(tmp_path):
    found = search(tmp_path, {**LAYOUT.BARE, "id": "/../../etc/passwd"})
    assert found.tracks["path"].tolist() == ["audio/.._.._etc_passwd.mp3"]


def test_no_page_or_no_whole_page(tmp_path):
    with pytest.raises(InputError, match=r"europeana_sounds finds no search/\*\.json"):
        EuropeanaSounds(str(tmp_path)).read()
    (tmp_path / "search").mkdir()
    (tmp_path / "search/a.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match=r"no page of 1 in .* is whole: search/a\.json is not an answer .* but a list"):
        EuropeanaSounds(str(tmp_path)).read()
