"""Reading CSV, TSV and JSON lines, and what is said of broken ones."""

from __future__ import annotations

import gzip

import pytest

from crossmodal.data import rows
from crossmodal.errors import InputError


def records(path):
    return rows.read(path).to_dict("records")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", '\ufeffid,title\n1,"a, b\n""c"""\n\n007,🎹 موسيقى\n'),
        ("t.tsv", 'id\ttitle\r\n1\t"a, b\n""c"""\r\n007\t🎹 موسيقى'),
        ("t.jsonl", '{"id": "1", "title": "a, b\\n\\"c\\""}\n \n{"id": "007", "title": "🎹 موسيقى"}'),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_all_kinds_read_the_same(tmp_path, name, text, zipped):
    path = tmp_path / (name + ".gz" if zipped else name)
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())
    assert records(path) == [{"id": "1", "title": 'a, b\n"c"'}, {"id": "007", "title": "🎹 موسيقى"}]


def test_json_objects_become_dotted_columns(tmp_path):
    path = tmp_path / "t.ndjson"
    path.write_text('{"meta": {"key": {"mode": 3}}, "text": [{"a": 1}, {"b": [2]}], "tags": [], "year": 1999}\n{}\n')
    frame = rows.read(path)
    assert frame.columns.tolist() == ["meta.key.mode", "text.a", "text.b", "tags", "year"]
    assert frame.iloc[0].tolist() == [3, [1, None], [None, [2]], [], 1999]
    assert rows.word(frame["year"][0]) == "1999"  # a missing year elsewhere does not make it 1999.0
    assert frame.iloc[1].map(rows.missing).all()


def test_a_line_separator_within_a_text_ends_no_line(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "one\u2028two\x85three"}\n', encoding="utf-8")
    assert records(path) == [{"text": "one\u2028two\x85three"}]


def test_another_encoding_is_read_when_it_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"id,title\n1,Caf\xe9\n")
    assert rows.read(path, "latin-1").to_dict("records") == [{"id": "1", "title": "Café"}]
    with pytest.raises(InputError, match="no encoding 'latin-nine'"):
        rows.read(path, "latin-nine")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"id,title\n1,ok\n2,Caf\xe9\n", r"t\.csv line 3: byte 0xe9 is not utf-8; save"),
        ("t.jsonl", '{"id": "ä"}'.encode("utf-16"), r"t\.jsonl line 1: byte 0xff is not utf-8; save"),
        ("t.csv", b"id,title\n1,a,b\n", r"t\.csv line 2: 3 cells under 2 columns"),
        ("t.tsv", b"id\ttitle\n1\n", r"t\.tsv line 2: 1 cells under 2 columns"),
        ("t.csv", b'id,title\n1,"open\n2,b\n', r"t\.csv line 3: unexpected end of data"),
        ("t.csv", b"id,id\n1,2\n", r"several columns called id"),
        ("t.jsonl", b'{"id": 1}\n{"id": 2\n', r"t\.jsonl line 2 is not JSON"),
        ("t.jsonl", b'{"id": 1}\n[1]\n', r"t\.jsonl line 2 is not a JSON object but a list"),
        ("t.jsonl", b'{"id": "\\ud83d"}\n', r"t\.jsonl line 1 is not JSON.*surrogate"),
        ("t.csv.gz", b"id,title\n", r"t\.csv\.gz cannot be read"),
        ("t.csv.gz", gzip.compress(b"id,title\n" * 99, mtime=0)[:-9], r"t\.csv\.gz cannot be read"),
        ("t.xlsx", b"", r"of no known kind; a table is \.csv, \.tsv, \.jsonl, \.ndjson, each also \.gz"),
    ],
)
def test_broken_tables_are_named_with_their_line(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        rows.read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"t\.csv cannot be read: No such file"):
        rows.read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (["a", "b;c"], ["a", "b;c"]),
        ([], []),
        ("[]", []),
        ('["a", "b;c"]', ["a", "b;c"]),
        ("['a', \"it's\"]", ["a", "it's"]),
        ("a;b | c", ["a", "b ", " c"]),
        ("[Chorus] la; [Bridge]", ["[Chorus] la", " [Bridge]"]),
        (1999, [1999]),
        (" ", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_lists_in_cells(cell, expected):
    assert rows.items(cell, ";|") == expected


def test_without_separators_a_cell_is_one_item_though_it_is_empty():
    assert rows.items("slow; very slow | end") == ["slow; very slow | end"]
    assert rows.items("[Verse 1] la la [Chorus]") == ["[Verse 1] la la [Chorus]"]
    assert rows.items("") == [""]
    assert rows.items(None) is None
