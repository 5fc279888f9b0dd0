"""Tables of others, as they keep them: delimiters, headers, ids and what is wrong with them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crossmodal.data.tables import read
from crossmodal.errors import InputError

VALUES = [[0.5, 1.0], [0.25, -1.0]]


def written(folder: Path, text: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.csv.gz", "A.CSV", "a.tsv.gz"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("header", [True, False])
def test_delimiter_and_header_are_found_out(tmp_path: Path, name: str, delimiter: str, header: bool) -> None:
    text = "clip x,rock,zurna\n" * header + 'x,0.5,1\n"ı, 2", .25 ,-1e0\n'.replace(",", delimiter)
    text = text.replace("clip x,rock,zurna", delimiter.join(["clip x", "rock", "zurna"]))
    if delimiter != ",":
        text = text.replace(f"ı{delimiter} 2", "ı, 2")
    table = read(written(tmp_path, text, name))
    assert table.ids == ("x", "ı, 2")
    assert table.values.tolist() == VALUES
    assert table.columns == (("rock", "zurna") if header else ("1", "2"))
    assert table.named == header
    assert table.notes == (f"the first line {'names the columns' if header else 'is no header'}",)


def test_a_row_number_and_a_tab_before_the_id_are_left_out(tmp_path: Path) -> None:
    table = read(written(tmp_path, "0\tf/a-0-29.mp3,0.5,1.0\n1\tf/b-29-59.mp3,0.25,-1.0\n"))
    assert table.ids == ("f/a-0-29.mp3", "f/b-29-59.mp3")
    assert table.values.tolist() == VALUES
    assert table.notes[1] == "ids are what follows the row's number and a tab"


@pytest.mark.parametrize("start", [0, 1])
def test_the_column_in_which_pandas_counts_rows_is_left_out(tmp_path: Path, start: int) -> None:
    frame = pd.DataFrame({"track": ["a", "b"], "rock": [0.5, 0.25], "zurna": [1, -1]}, index=[start, start + 1])
    frame.to_csv(tmp_path / "a.csv")
    table = read(tmp_path / "a.csv")
    assert (table.ids, table.columns, table.values.tolist()) == (("a", "b"), ("rock", "zurna"), VALUES)
    numbers = written(tmp_path, "0,5,7\n1,6,8\n", "b.csv")
    assert read(numbers).ids == ("0", "1")  # here they are all there is


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_what_other_programs_write(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    frame = pd.DataFrame(VALUES, index=pd.Index(["a", "b"], name="track_id"), columns=["0", "1"])
    if suffix == "npz":
        np.savez(path, scores=np.array(VALUES, np.float32), track_ids=["a", "b"], tags=["0", "1"])
    else:
        getattr(frame, f"to_{suffix}")(path)
    table = read(path)
    assert (table.ids, table.columns, table.named, table.values.tolist()) == (("a", "b"), ("0", "1"), True, VALUES)
    if suffix == "parquet":
        frame.reset_index().to_parquet(path)
        assert read(path).ids == ("a", "b")
        pd.DataFrame({"id": ["a", "b"], "genre": ["rock", None]}).to_parquet(path)
        assert read(path).values.tolist() == [["rock"], [""]]


def test_a_matrix_alone_counts_its_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array(VALUES))
    table = read(tmp_path / "a.npy")
    assert (table.ids, table.columns, table.named, table.values.tolist()) == (("0", "1"), ("1", "2"), False, VALUES)


def test_empty_cells_and_truths_in_words_are_numbers(tmp_path: Path) -> None:
    table = read(written(tmp_path, "id,a,b\nx,,True\ny,NA,false\n"))
    assert not table.words
    np.testing.assert_array_equal(table.values, [[np.nan, 1], [np.nan, 0]])


def test_one_column_of_words_is_classes(tmp_path: Path) -> None:
    table = read(written(tmp_path, "id\tgenre\na\tdoğu \nb\trock\n"))
    assert table.words
    assert (table.columns, table.values.tolist()) == (("genre",), [["doğu"], ["rock"]])
    assert table.select(["b"]).values.tolist() == [["rock"]]
    assert read(written(tmp_path, "a,rock\nb,pop\nc,rock\nd,pop\n")).ids == ("a", "b", "c", "d")


def test_a_first_line_that_may_be_a_header_is_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path, "sång,genre\na,rock\nb,rock\n")
    with pytest.raises(InputError, match="'genre' stands in the first line alone; say --header or --no-header"):
        read(path)
    assert read(path, header=True).ids == ("a", "b")
    assert read(path, header=False).ids == ("sång", "a", "b")


def test_rows_and_columns_are_selected_by_name_and_renamed(tmp_path: Path) -> None:
    table = read(written(tmp_path, "id,x,y\na,1,2\nb,3,4\n"))
    assert table.select(["b", "a"], ["y"]).values.tolist() == [[4], [2]]
    assert table.rename(["u", "v"]).columns == ("u", "v")
    with pytest.raises(InputError, match=r"2 columns of values, but there are 3 names"):
        table.rename(["u", "v", "w"])
    with pytest.raises(InputError, match="stand more than once: u"):
        table.rename(["u", "u"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a,b\nx,1,0\ny,1\n", r"a.csv line 3 has 2 cells, line 1 has 3$"),
        ("id,a,b\nx,1,0\ny,1,rock\n", r"a.csv line 3, column b: 'rock' is no number$"),
        ("id;a;b\nx;0,5;0,1\n", r"a.csv line 2, column a: '0,5' is no number$"),
        ("id,a\nx,1\nx,0\n", r"the ids of .*a.csv stand more than once: x$"),
        ("id,a,a\nx,1,1\n", r"the columns of .*a.csv stand more than once: a$"),
        ("id,a\nx,1\n,0\n", r"a.csv: row 2 has no id$"),
        ("id,a\n", r"a.csv has 0 rows and 1 columns of values; one is needed$"),
        ("x\ny\n", r"a.csv has no lines of an id and values"),
        ("", r"a.csv has no lines of an id and values"),
        ('id,a\nx,"1\n', r"a.csv line 2: unexpected end of data"),
        ('id,a\n\n"x\ny",1\n', r"a.csv line 3: a quotation mark is closed 2 lines on$"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(written(tmp_path, text))


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.csv does not exist"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(InputError, match=r"a.xlsx is of no known kind; a table is .csv, .npy"):
        read(written(tmp_path, "x", "a.xlsx"))
    for name in ("a.npz", "a.parquet", "a.csv.gz"):
        (tmp_path / name).write_bytes(b"not that")
        with pytest.raises(InputError, match=rf"{name} cannot be read"):
            read(tmp_path / name)
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    with pytest.raises(InputError, match="has 2 matrices of numbers"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 2)), ids=["x"])
    with pytest.raises(InputError, match=r"the matrix is \(2, 2\), but there are 1 ids and 2 columns"):
        read(tmp_path / "a.npz")
