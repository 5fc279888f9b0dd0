from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.errors import InputError
from crossmodal.filters import Filter, allowed, parse

ROWS: list[dict[str, Any]] = [
    {
        "track_id": "a",
        "year": 1990,
        "artist": "Sezen Aksu",
        "licence": "CC0-1.0",
        "duration": 100.0,
        "tags.mood": ["sad"],
        "tags.rhythm": [],
        "languages": ["de", "tr"],
        "date": "1990-01-02",
    },
    {
        "track_id": "b",
        "year": None,
        "artist": "",
        "licence": "",
        "duration": math.nan,
        "tags.mood": None,
        "languages": None,
    },
    {
        "track_id": "c",
        "year": 2000,
        "artist": "AC|DC; live..",
        "licence": "CC BY-NC 4.0",
        "duration": 180.5,
        "tags.mood": ["happy", "sad"],
        "tags.rhythm": ["drums"],
        "languages": [],
        "date": "2000",
    },
]


def table(rows: list[dict[str, Any]]) -> pyarrow.Table:
    names = dict.fromkeys(key for row in rows for key in row)
    return pyarrow.Table.from_pylist([dict.fromkeys(names) | row for row in rows])


TRACKS = table(ROWS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("year=1990", "a"),
        ("year = 1990 ", "a"),
        ("year!=1990", "c"),
        ("year>=1990", "ac"),
        ("year>1990", "c"),
        ("year<2000", "a"),
        ("year<=2000", "ac"),
        ("year=1990|2000", "ac"),
        ("year=1985..1995", "a"),
        ("year=1990..2000", "ac"),
        ("year=1995..", "c"),
        ("year=..1995", "a"),
        ("year=1980..1985|2000", "c"),
        ("year!=1985..1995", "c"),
        ("year=", "b"),
        ("year!=", "ac"),
        ("duration<=3:00", "a"),
        ("duration>3:00", "c"),
        ("artist=sezen aksu", "a"),
        ("artist=SEZEN AKSU|nobody", "a"),
        ('artist="AC|DC; live.."', "c"),
        ("artist!=Sezen Aksu", "c"),
        ("artist=", "b"),
        ("licence=cc0-1.0", "a"),
        ("licence!=CC BY-NC 4.0", "a"),
        ("language=de", "a"),
        ("languages=de|en", "a"),
        ("language!=de", "c"),
        ("language=", "b"),
        ("tag=sad", "ac"),
        ("tag=drums", "c"),
        ("tag!=drums", "a"),
        ("tag=sad; tag!=drums", "a"),
        ("tags.mood=happy", "c"),
        ("tags.rhythm!=drums", "a"),
        ("tags.rhythm=", "b"),
        ("track_id=a|b", "ab"),
        ("year>=1990;year<2000;", "a"),
        ("", "abc"),
    ],
)
def test_which_tracks_meet_a_condition(text: str, expected: str) -> None:
    mask = allowed(parse(text), TRACKS)
    assert mask.dtype == bool
    assert "".join(track["track_id"] for track, met in zip(ROWS, mask, strict=True) if met) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year", "the filter 'year' is no condition; valid is such as year>=1990"),
        ("=3", "is no condition"),
        ("yaer=3", r"no column 'yaer'; it has artist, .*; did you mean year\?"),
        ("tags.instrument=x", "no column 'tags.instrument'"),
        ("year>x", "year holds numbers, and 'x' is none"),
        ("year=1990..x", "'x' is none"),
        ("year>=", "compares with 0 values; valid is one after >="),
        ("year>1|2", "compares with 2 values"),
        ("year=|", "has an empty value"),
        ("year=2000..1990", "from the lower to the higher end"),
        ("year=..", "from the lower to the higher end"),
        ("artist>a", "artist holds words, which have no order"),
        ("date>=1990", "date holds words"),
        ('artist="AC', "has a quote that is not closed"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        allowed(parse(text), TRACKS)


def test_numbers_in_words_are_numbers_if_all_are() -> None:
    tracks = table([{"year": "1990"}, {"year": "02000"}, {"year": ""}, {}])
    assert allowed(parse("year>=1995"), tracks).tolist() == [False, True, False, False]
    assert allowed(parse("year=2e3"), tracks).tolist() == [False, True, False, False]


def test_a_column_of_which_nothing_is_known_meets_nothing() -> None:
    tracks = table([{"year": None}, {"year": math.nan}])
    for text in ("year>3", "year=3", "year!=3", "year!="):
        assert not allowed(parse(text), tracks).any()
    assert allowed(parse("year="), tracks).all()
    assert allowed([], TRACKS[:0]).shape == (0,)


def test_columns_in_chunks_and_of_other_kinds() -> None:
    parts = [
        table([{"x": ["a", None, ""], "y": True, "z": {"k": 1}}]),
        table([{"x": [], "y": False, "z": {"k": 2}}] * 2),
    ]
    tracks = pyarrow.concat_tables([parts[0], parts[1].cast(parts[0].schema)])
    assert allowed(parse("x=a"), tracks).tolist() == [True, False, False]
    assert allowed(parse("x!=a"), tracks).tolist() == [False, True, True]
    assert allowed(parse("y=true"), tracks).tolist() == [True, False, False]
    assert allowed(parse("y!="), tracks).all()
    assert allowed(parse("tag=happy"), TRACKS[2:]).tolist() == [True]
    assert allowed(parse("tag=sad"), TRACKS[1:]).tolist() == [False, True]
    with pytest.raises(InputError, match=r"z holds struct<.*>, which cannot be compared"):
        allowed(parse("z=1"), tracks)


def test_words_are_compared_as_they_look() -> None:
    tracks = table([{"artist": "Beyonce\u0301"}, {"artist": "STRASSE"}, {"artist": "ﬁn"}])
    assert allowed(parse("artist=BEYONCÉ"), tracks).tolist() == [True, False, False]
    assert allowed(parse("artist=straße|fin"), tracks).tolist() == [False, True, True]


def test_what_was_typed_becomes_a_condition() -> None:
    assert parse('tag = a|"b|c" ; year!=1..2') == [Filter("tag", "=", ("a", '"b|c"')), Filter("year", "!=", ("1..2",))]


NUMBERS = st.none() | st.just(math.nan) | st.integers(-5, 5) | st.integers(-50, 50).map(lambda x: x / 10)
OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=8), st.sampled_from(list(OPERATORS)), st.integers(-5, 5))
def test_numbers_are_compared_as_by_a_loop(values: list[float | None], sign: str, bound: int) -> None:
    values = [None if x is None else float(x) for x in values]
    expected = [x is not None and not math.isnan(x) and OPERATORS[sign](x, bound) for x in values]
    assert allowed(parse(f"x{sign}{bound}"), table([{"x": x} for x in values])).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.sampled_from(' "|;.=!<>year19tagx:-'), max_size=20) | st.text(max_size=30))
def test_nothing_typed_ends_in_a_traceback(text: str) -> None:
    try:
        mask = allowed(parse(text), TRACKS)
    except InputError:
        return
    assert mask.shape == (3,)
    assert mask.dtype == np.bool_
