from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.errors import InputError
from crossmodal.queries import Part, Query, parse, seconds, words

NAMES = (
    "song.mp3",
    "my song.mp3",
    "me@home.mp3",
    "Artist -Live +1.mp3",
    "çello 🎻.ogg",
    "a^2.wav",
    'say "hi".wav',
    "raw",
)


@pytest.fixture
def music(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of awkward names, where one is."""
    for name in (*NAMES, "file\udc80"):
        (tmp_path / name).touch()
    (tmp_path / "me@home").mkdir()
    (tmp_path / "me@home" / "in a folder.flac").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts(text: str, files: bool = True) -> list[tuple[object, ...]]:
    return [(one.kind, one.value, one.weight, one.start, one.stop) for one in parse(text, files).parts]


@pytest.mark.parametrize(
    "text",
    [
        "a sad violin, slow",
        "ruhige Glocken in Moll, ganz ohne Schlagzeug",
        "موسيقى بطيئة",
        "lo-fi hip-hop - rainy",
        "Artist - Title",
        'a 12" remix',
        "meet me @8-10",
        "user@host",
        "^_^",
        "a -- b",
        "a + b",
        "rock'n'roll",
        "text",
        "no. 5",
        "/",
        "C:\\Music",
        "piano ->",
        "slow " * 10_000,
        "a\0b",
    ],
)
def test_what_a_person_says_is_words(text: str) -> None:
    assert parts(text) == [("text", text.strip(), 1, None, None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("piano -drums", [("text", "piano", 1), ("text", "drums", -1)]),
        ("piano   -drums and bass ", [("text", "piano", 1), ("text", "drums and bass", -1)]),
        ("-drums piano +rain", [("text", "drums piano", -1), ("text", "rain", 1)]),
        ("+piano", [("text", "piano", 1)]),
        ("piano^2 -drums^0.5", [("text", "piano", 2), ("text", "drums", -0.5)]),
        ('"-6 dB" +"a -b ^3"^.5', [("text", "-6 dB", 1), ("text", "a -b ^3", 0.5)]),
        ('piano -"hi hat"', [("text", "piano", 1), ("text", "hi hat", -1)]),
        ("Klavier -Schlagzeug +(ruhig)", [("text", "Klavier", 1), ("text", "Schlagzeug", -1), ("text", "(ruhig)", 1)]),
        ("id:a b -id:c@d", [("id", "a b", 1), ("id", "c@d", -1)]),
        ('id:"x -y@0-4" +slower', [("id", "x -y@0-4", 1), ("text", "slower", 1)]),
        ("text:song.mp3", [("text", "song.mp3", 1)]),
    ],
)
def test_several_parts(text: str, expected: list[tuple[object, ...]]) -> None:
    assert parts(text) == [(*one, None, None) for one in expected]


@pytest.mark.parametrize(
    ("text", "value", "stretch"),
    [
        ("song.mp3", "song.mp3", (None, None)),
        ("song.mp3@1:00-1:30", "song.mp3", (60, 90)),
        ("song.mp3@60-90.5", "song.mp3", (60, 90.5)),
        ("song.mp3@1:00-", "song.mp3", (60, None)),
        ("song.mp3@-1:02:03.5", "song.mp3", (None, 3723.5)),
        ("my song.mp3@1-2", "my song.mp3", (1, 2)),
        ("me@home.mp3", "me@home.mp3", (None, None)),
        ("me@home.mp3@1-2", "me@home.mp3", (1, 2)),
        ("me@home/in a folder.flac@0-9", "me@home/in a folder.flac", (0, 9)),
        ("Artist -Live +1.mp3", "Artist -Live +1.mp3", (None, None)),
        ("Artist -Live +1.mp3@1-2", "Artist -Live +1.mp3", (1, 2)),
        ('"Artist -Live +1.mp3"@1-2', "Artist -Live +1.mp3", (1, 2)),
        ("çello 🎻.ogg@1-2", "çello 🎻.ogg", (1, 2)),
        ("raw@1-2", "raw", (1, 2)),
        ("a^2.wav", "a^2.wav", (None, None)),
        ('say "hi".wav', 'say "hi".wav', (None, None)),
        ("file:raw", "raw", (None, None)),
        ("file:song.mp3@1-", "song.mp3", (1, None)),
    ],
)
def test_files_and_their_stretches(music: Path, text: str, value: str, stretch: tuple[float | None, ...]) -> None:
    assert parts(text) == [("file", value, 1, *stretch)]


def test_files_beside_words(music: Path) -> None:
    expected = [("file", "my song.mp3", 1, 10, 20), ("text", "slower", 2, None, None)]
    assert parts("my song.mp3@0:10-0:20 +slower^2") == expected
    assert parts(f"slow +{music}/song.mp3^.5 -raw") == [
        ("text", "slow", 1, None, None),
        ("file", f"{music}/song.mp3", 0.5, None, None),
        ("file", "raw", -1, None, None),
    ]


def test_a_stretch_may_be_of_a_track() -> None:
    assert parts("id:album-1@0:30-1:00 -id:x@-4") == [("id", "album-1", 1, 30, 60), ("id", "x", -1, None, 4)]


def test_a_path_of_windows_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossmodal.queries._is_file", lambda value: value == "C:\\My Music\\me@home\\a -b.mp3")
    (one,) = parts("C:\\My Music\\me@home\\a -b.mp3@1:00-")
    assert one == ("file", "C:\\My Music\\me@home\\a -b.mp3", 1, 60, None)
    assert parts('"C:\\My Music\\me@home\\a -b.mp3" +slower')[0] == (*one[:3], None, None)


def test_without_the_disk_files_are_words_or_refused(music: Path) -> None:
    assert parts("song.mp3 +me@home.mp3@1-2", files=False) == [
        ("text", "song.mp3", 1, None, None),
        ("text", "me@home.mp3@1-2", 1, None, None),
    ]
    assert parts("/etc/passwd", files=False)[0][0] == "text"
    with pytest.raises(InputError, match="query, character 7: files cannot be asked for here"):
        parse("piano +file:song.mp3", files=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the query is empty; give at least one word"),
        (" \n", "the query is empty"),
        ("-drums", "only what is not wanted; say what is"),
        ("piano -Piano", "both wants 'piano' and does not|both wants 'Piano' and does not"),
        ("a b +c -a  B", "both wants"),
        ("piano^0", "the weight after ^ is '0'; valid is a number from 0.001 to 1000"),
        ("piano^2x", "the weight after ^ is '2x'"),
        ("piano^-1", "the weight after ^ is '-1'"),
        ("piano^1e999", "the weight after ^ is '1e999'"),
        ("piano +rain^.", r"query, character 7: the weight after ^ is '\.'"),
        ('piano -"hi hat', "query, character 8: this quote is not closed"),
        ('piano +""', "query, character 7: a part of the query, its text, is empty"),
        ("a\udc80b", r"its text, holds '\\udc80', which is no character"),
        ("piano -id:\udc80", r"query, character 7: .*its id, holds '\\udc80'"),
        ("\udc80.mp3", "does not exist"),
        ("file\udc80", "which is no character"),
        ("id:", "its id, is empty"),
        ("piano +id:", "query, character 7: .*its id, is empty"),
        ("no such.MP3", r"^no such.MP3 does not exist; to search for these words, add --text$"),
        ("no such.mp3@1-2", "^no such.mp3 does not exist"),
        ("piano -no such.wav", "^query, character 7: no such.wav does not exist"),
        ("file:nothing", "^nothing does not exist$"),
        ("song.mp3@abc", "the stretch after @ is 'abc'; valid is such as @1:00-1:30"),
        ("song.mp3@", "the stretch after @ is ''"),
        ("song.mp3@-", "the stretch after @ is '-'"),
        ("song.mp3@30-10", "must end after it starts"),
        ("song.mp3@1:75-2:00", "'1:75' is no time; after a colon stand less than 60"),
        ('"piano"@1-2', "piano does not exist"),
        ('text:"piano"@1-2', "words, which have no stretch"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(music: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.sub(r"(?<!\\)\^ is", r"\\^ is", message)) as error:
        parse(text)
    assert "\n" not in str(error.value)


def test_words_are_words_whatever_they_look_like() -> None:
    assert words("song.mp3 -drums") == Query((Part("text", "song.mp3 -drums"),))
    with pytest.raises(InputError, match="empty"):
        words(" ")


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("90.5", 90.5), ("1:30", 90), ("61:00", 3660), ("1:02:03.5", 3723.5)]
)
def test_times(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:2:3:4", "1e3", "inf", "nan", "1:", ":1", "1.5:30", "٣", " 1"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError, match="is no time"):
        seconds(text)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"kind": "song", "value": "x"}, "valid is text, file or id"),
        ({"kind": "text", "value": " "}, "is empty"),
        ({"kind": "text", "value": "x", "weight": 0.0}, "weight of 'x' is 0"),
        ({"kind": "text", "value": "x", "weight": float("nan")}, "weight of 'x' is nan"),
        ({"kind": "text", "value": "x", "stop": 3.0}, "no stretch"),
        ({"kind": "id", "value": "x", "start": -1.0}, "must end after it starts"),
        ({"kind": "id", "value": "x", "start": 3.0, "stop": 3.0}, "must end after it starts"),
    ],
)
def test_parts_that_cannot_be(settings_: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Part(**settings_)  # type: ignore[arg-type]


def test_a_query_needs_a_wanted_part() -> None:
    for none in ((), (Part("text", "x", -1.0),)):
        with pytest.raises(InputError, match="only what is not wanted"):
            Query(none)


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet=st.sampled_from(' "@^+-:.12ax/\\\té€\0'), max_size=30) | st.text(max_size=40))
def test_nothing_typed_ends_in_a_traceback(text: str) -> None:
    for files in (True, False):
        try:
            found = parse(text, files)
        except InputError:
            continue
        assert any(part.weight > 0 for part in found.parts)


VALUES = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    str.strip
)
WEIGHTS = st.sampled_from([1.0, 2.0, 0.5, 12.25, 1000.0])
ENDS = st.sampled_from([(None, None), (1.0, 2.5), (None, 60.0), (90.125, None)])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(VALUES, WEIGHTS, st.booleans(), st.sampled_from(["text", "id"]), ENDS), min_size=1, max_size=4)
)
def test_a_query_that_is_written_is_read_again(
    rows: list[tuple[str, float, bool, str, tuple[float | None, float | None]]],
) -> None:
    made = [
        Part(kind, value, weight if wanted else -weight, *(ends if kind == "id" else (None, None)))  # type: ignore[arg-type]
        for value, weight, wanted, kind, ends in rows
    ]
    try:
        query = Query(tuple(made))
    except InputError:  # it contradicts itself
        return
    assert parse(str(query)) == query
