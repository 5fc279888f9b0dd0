"""Conditions as Milvus' expressions, where they lie, and what is refused: evaluated without a server."""

from __future__ import annotations

import datetime
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.filters import Filter, allowed, parse
from crossmodal.indexes._conditions import expression, terms
from crossmodal.indexes._place import TOKEN, Place, place
from crossmodal.search import open_index

Rows = list[dict[str, Any]]
ROWS: Rows = [
    {"track_id": "a", "year": 1990, "artist": 'Ä "x\\y"\n', "tags.mood": ["sad"], "tags.rhythm": [], "decade": ["90"]},
    {"track_id": "b", "artist": "", "duration": math.nan},
    {"track_id": "c", "year": 2000, "artist": "1984", "tags.mood": ["happy", "sad"], "tags.rhythm": ["drums"]},
    {"track_id": "d", "year": -3, "duration": 1e-7, "decade": ["80", "90"], "date": datetime.date(1990, 1, 2)},
]


def table(rows: Rows) -> pa.Table:
    names = dict.fromkeys(key for row in rows for key in row)
    return pa.Table.from_pylist([dict.fromkeys(names) | row for row in rows])


def evaluated(asked: str, tracks: pa.Table) -> list[bool]:
    """By embedded Milvus' own evaluator: rows with an id, a number and dynamic fields."""
    pytest.importorskip("milvus_lite", reason="needs the extra milvus")
    from milvus_lite import CollectionSchema, DataType, FieldSchema
    from milvus_lite.search.filter import compile_filter, evaluate_mask

    fields = [FieldSchema(name="number", dtype=DataType.INT64, is_primary=True)]
    schema = CollectionSchema(fields=fields, enable_dynamic_field=True)
    held = [json.dumps(terms(tracks.schema, track)) for track in tracks.to_pylist()]
    data = pa.table({"number": pa.array(range(len(tracks)), pa.int64()), "$meta": pa.array(held, pa.string())})
    return evaluate_mask(compile_filter(asked, schema), data).tolist() if asked else [True] * len(tracks)


def met(conditions: list[Filter], tracks: pa.Table) -> list[bool]:
    return evaluated(expression(conditions, tracks.schema, lambda asked: any(evaluated(asked, tracks))), tracks)


TYPED = """year>=1990; year=1990|2000; year!=1990; year=; year!=; year<0; year=..1995; year!=1980..1995; duration<1;
artist=1984; artist!=1984; artist=; tag=sad; tag=drums; tag!=drums; tag!=sad; tags.rhythm=; tags.rhythm!=; decade=90;
decade!=80; date=1990-01-02; date!=; track_id=a|D; tag=sad|drums"""


@pytest.mark.parametrize("text", [text.strip() for text in TYPED.split(";")])
def test_an_expression_meets_what_a_filter_does(text: str) -> None:
    tracks, conditions = table(ROWS), parse(text)
    assert met(conditions, tracks) == allowed(conditions, tracks).tolist()


def test_conditions_are_all_met() -> None:
    conditions = parse("tag=sad; year<2000")
    assert met(conditions, table(ROWS)) == [True, False, False, False]
    assert met([], table(ROWS)) == [True] * 4


@pytest.mark.parametrize("text", ["artist>a", "year>x", "yaer=3", "year=2000..1990", "artist=1; year=1990..x"])
def test_what_a_filter_refuses_is_refused_in_the_same_words(text: str) -> None:
    with pytest.raises(InputError) as told:
        allowed(parse(text), table(ROWS))
    with pytest.raises(InputError) as mine:
        met(parse(text), table(ROWS))
    assert str(mine.value) == str(told.value)


def test_ranges_of_lists_and_nested_columns_are_refused() -> None:
    with pytest.raises(InputError, match=r"decade holds lists of numbers, .*; valid is decade=90\|91"):
        met(parse("decade>=80"), table(ROWS))
    with pytest.raises(InputError, match=r"z holds struct<.*>, which cannot be compared"):
        met(parse("z=1"), table([{"z": {"k": 1}}]))


WORDS = st.text(st.sampled_from("aÄß\"\\'\n\t[]%_$ 19.,é"), max_size=4) | st.sampled_from(["1990", "02000", " 3 "])
NUMBERS = st.none() | st.just(math.nan) | st.integers(-5, 5) | st.floats(-9, 9).map(lambda x: round(x, 1))
TRACK = st.fixed_dictionaries(
    {
        "n": NUMBERS.map(lambda x: None if x is None else float(x)),
        "w": st.none() | WORDS,
        "tags.a": st.none() | st.lists(st.none() | WORDS, max_size=3),
        "tags.b": st.none() | st.lists(st.sampled_from(["1", "2.0", "x"]), max_size=2),
        "flag": st.none() | st.booleans(),
    }
)
SCHEMA = pa.schema(
    {
        "n": pa.float64(),
        "w": pa.large_string(),
        "tags.a": pa.list_(pa.string()),
        "tags.b": pa.list_(pa.string()),
        "flag": pa.bool_(),
    }
)
INJECTED = Filter("w", "=", ('a" or number >= 0 or "',))
VALUE = WORDS.filter(str.strip) | st.sampled_from(["true", "x", "1", "-2..3", "..2", "1:00", INJECTED.values[0]])
CONDITION = st.builds(
    Filter,
    st.sampled_from(["n", "w", "tag", "tags.a", "tags.b", "flag"]),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
    st.lists(VALUE, min_size=1, max_size=2).map(tuple),
).filter(lambda one: one.operator in ("=", "!=") or len(one.values) == 1) | st.builds(
    Filter, st.sampled_from(["n", "w", "tag", "flag"]), st.sampled_from(["=", "!="]), st.just(())
)


def outcome(ask: Callable[[list[Filter], pa.Table], Any], conditions: list[Filter], tracks: pa.Table) -> Any:
    """Which tracks meet conditions, or what is said against these."""
    try:
        return list(ask(conditions, tracks))
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("examples", [pytest.param(40, id="few"), pytest.param(1000, id="all", marks=pytest.mark.slow)])
def test_any_condition_meets_what_a_filter_does(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=examples < 100, database=None)
    @given(st.lists(TRACK, min_size=1, max_size=6), st.lists(CONDITION, min_size=1, max_size=2))
    @example([{"n": 1.0, "w": "a", "tags.a": None, "tags.b": None, "flag": None}], [INJECTED])
    def same(rows: Rows, conditions: list[Filter]) -> None:
        tracks = pa.Table.from_pylist(rows, schema=SCHEMA)
        found = outcome(met, conditions, tracks)
        assert "lists of numbers" in found or found == outcome(allowed, conditions, tracks)

    same()


def test_a_location_says_where() -> None:
    for folder in ("runs/a/index", "a#b/index", "x.db/index", "catalogue.dbx"):
        assert place(folder) is None
    assert place("a#1/cat.db") == Place("a#1/cat.db", "crossmodal", Path("a#1/cat.db"))
    assert place(Path("cat.db#mine")) == Place("cat.db", "mine", Path("cat.db"))
    assert place("https://host:19530/db#mine") == Place("https://host:19530/db", "mine", None)
    assert str(place("cat.db#mine")) == "cat.db#mine"
    assert str(place("http://host:19530")) == "http://host:19530"
    for name in ("", "1a", "a b", "é", "x" * 201):
        with pytest.raises(InputError, match="no name of a collection"):
            place(f"cat.db#{name}")


def test_a_token_stands_in_no_location() -> None:
    with pytest.raises(InputError, match=f"the address of host holds a user or a token; set .* {TOKEN}") as told:
        place("https://root:secret@host:19530")
    assert "secret" not in str(told.value)


def test_it_is_no_kind_of_faiss_index() -> None:
    assert "milvus" not in registry.names("indexes")
    with pytest.raises(InputError, match="indexes has no 'milvus'"):
        registry.find("indexes", "milvus")


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(InputError, match=r"needs the extra milvus: pip install 'crossmodal\[milvus\]'"):
        open_index(tmp_path / "cat.db")


def test_terms_are_numbers_and_words() -> None:
    schema = pa.schema({"track_id": pa.string(), "year": pa.string(), "tags": pa.list_(pa.string())})
    found = terms(schema, {"track_id": "A", "year": " 1990", "tags": ["x", None, "2"]})
    assert found == {
        **{"k0": 1, "x0": 1, "w0": "a", "n0": None},
        **{"k1": 1, "x1": 0, "w1": "1990", "n1": 1990.0},
        **{"k2": 1, "x2": 1, "w2": ["x", "2"], "n2": [2.0]},
    }
    assert not any(terms(schema, {"track_id": "", "year": None, "tags": None}).values())
    assert np.isfinite(found["n1"])
