"""Tables whose rows do not all fit."""

from __future__ import annotations

import gzip

import pytest

from crossmodal.data import ragged
from crossmodal.errors import InputError


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_that_do_not_fit_are_lost_with_their_lines(tmp_path, delimiter):
    rows = [
        ["id", "a, b", "c"],
        ["1", '"x\ny; ""z"""', ""],
        ["2", "u"],
        [],
        ["3", "ü", "v", "w"],
        ["", "p"],
        ["4", "q", "r"],
    ]
    rows[0][1] = '"a, b"'
    text = "\r\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    found, read, lost = ragged.read(tmp_path / "t.csv.gz", delimiter)
    assert found.values.tolist() == [["1", 'x\ny; "z"', ""], ["4", "q", "r"]]
    assert found.columns.tolist() == ["id", "a, b", "c"]
    assert read == len(found) + len(lost) == 5
    assert [(row.id, row.reason) for row in lost] == [
        ("2", "line 4 has 2 cells, not 3"),
        ("3", "line 6 has 4 cells, not 3"),
        ("line 7", "line 7 has 2 cells, not 3"),
    ]


@pytest.mark.parametrize(
    ("text", "delimiter"), [("a;b\n1;2", ";"), ("a,b\n1,2", ","), ("a\tb\n1\t2", "\t"), ("a\n1", ",")]
)
def test_the_header_tells_the_delimiter(tmp_path, text, delimiter):
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    assert ragged.read(tmp_path / "t.txt")[0].equals(ragged.read(tmp_path / "t.txt", delimiter)[0])


def test_several_header_rows_and_long_cells(tmp_path):
    (tmp_path / "t.csv").write_text(f",set,track\n,split,bio\nid,,\n1,train,{'x' * 200_000}\n", encoding="utf-8")
    found, _, _ = ragged.read(tmp_path / "t.csv", headers=3)
    assert found.columns.tolist() == ["id", "set.split", "track.bio"]
    assert len(found["track.bio"][0]) == 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"t\.csv is empty; its first line names the columns"),
        (b"a,a\n", r"has several columns called a"),
        (b'a,b\n1,"2\n', r"t\.csv line 2: unexpected end of data"),
        (b"a,b\n1,\xfc\n", r"t\.csv line 2: byte 0xfc is not utf-8-sig"),
    ],
)
def test_what_is_broken_is_named(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        ragged.read(tmp_path / "t.csv")
