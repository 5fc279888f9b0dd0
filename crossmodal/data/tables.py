"""Tables of truth and of scores as people keep them: a row a track, its id first, a column a tag or a class.

Read are csv, tsv and txt, plain or gzipped, npy, npz and parquet. Of a text, the delimiter and whether its first line
is a header are found out; what was taken for granted is told in `Table.notes`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from crossmodal.data.rows import text_of
from crossmodal.errors import InputError, listed

DELIMITERS = "\t,;|"
LOOKED_AT = 50  # lines by which the delimiter is chosen
WORDS = {"": np.nan, "na": np.nan, "n/a": np.nan, "null": np.nan, "none": np.nan, "true": 1.0, "false": 0.0}
IDS = {"", "id", "ids", "track_id", "track_ids", "track", "clip_id", "clip", "song_id", "song", "item_id", "query_id"}
IDS |= {"query", "index", "name", "path", "file", "filename", "mp3_path"}
COLUMNS = ("columns", "tags", "classes", "labels", "items")  # their names in an npz
NUMBERED = re.compile(r"\d+\t(.+)", re.DOTALL)  # a row's number and a tab before the id


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        path: of its file.
        ids: of the rows, all different.
        columns: as many as there are; ``1``, ``2``, ... unless `named`.
        named: whether the file names its columns.
        values: ``(rows, columns)`` numbers, NaN where a cell is empty; or ``(rows, 1)`` words.
        notes: what was found out about the file.
    """

    path: Path
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    named: bool
    values: NDArray[np.float64] | NDArray[np.str_]
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> bool:
        """Whether its one column holds words, such as the names of classes."""
        return self.values.dtype.kind == "U"

    def select(self, ids: Sequence[str], columns: Sequence[str] | None = None) -> Table:
        """Some rows, and some columns, in the order given."""
        rows, wanted = _places(self.ids, ids), self.columns if columns is None else tuple(columns)
        values = self.values[rows][:, _places(self.columns, wanted)]
        return replace(self, ids=tuple(ids), columns=wanted, values=values)

    def rename(self, columns: Sequence[str], named: bool = True) -> Table:
        """The same with other names of columns; `InputError` unless they are as many, and different."""
        if len(columns) != len(self.columns):
            raise InputError(
                f"{self.path} has {len(self.columns)} columns of values, but there are {len(columns)} names"
            )
        _different(columns, f"the names of the columns of {self.path}")
        return replace(self, columns=tuple(columns), named=named)


def read(path: Path, header: bool | None = None, words: bool = False) -> Table:
    """A table of ids and values.

    Args:
        path: .csv, .tsv or .txt, each also .gz; .npy, a matrix, of which the ids are 0, 1, ...; .npz, one matrix, and
            beside it ``ids`` and ``columns``, or one of the names in `IDS` and `COLUMNS`; .parquet.
        header: whether the first line of a text names the columns; found out unless given: it does if it begins with
            a word for id, or if it has words where all below has numbers.
        words: whether the values are taken as they are written, ``001`` and ``nan`` too; empty ones are "".

    Raises:
        InputError: no such file or kind of file, rows of other lengths, an id that is missing or stands twice, a word
            where there are numbers; it names file, line and column.
    """
    kinds: dict[str, Callable[[Path], Table]] = dict.fromkeys((".npy", ".npz"), lambda path: _numpy(path, words))
    kinds |= {".parquet": lambda path: _parquet(path, words)}
    kinds |= dict.fromkeys((".csv", ".tsv", ".txt"), lambda path: _text(path, header, words))
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in kinds or (path.suffix == ".gz" and suffix in (".npy", ".npz", ".parquet")):
        raise InputError(f"{path} is of no known kind; a table is {listed(sorted(kinds))}, text also .gz")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    table = kinds[suffix](path)
    if not table.values.size:
        raise InputError(f"{path} has {len(table.ids)} rows and {len(table.columns)} columns of values; one is needed")
    if "" in table.ids:
        raise InputError(f"{path}: row {table.ids.index('') + 1} has no id")
    _different(table.ids, f"the ids of {path}")
    _different(table.columns, f"the columns of {path}")
    return table


def _text(path: Path, header: bool | None, words: bool) -> Table:
    lines, rows = _split(path)
    if header is None:
        header = _has_header(path, rows)
    names, lines, rows = (rows[0], lines[1:], rows[1:]) if header else ([], lines, rows)
    notes = [f"the first line {'names the columns' if header else 'is no header'}"]
    ids = [row[0].strip() for row in rows]
    if rows and all(NUMBERED.fullmatch(name) for name in ids):
        notes.append("ids are what follows the row's number and a tab")
        ids = [name.split("\t", 1)[1].strip() for name in ids]
    elif rows and len(rows[0]) > 2 and _counted(ids) and any(_number(row[1]) is None for row in rows):
        notes.append("ids are in the second column; the first counts the rows")
        names, rows = names[1:], [row[1:] for row in rows]
        ids = [row[0].strip() for row in rows]
    width = len(rows[0]) - 1 if rows else 0
    columns = tuple(name.strip() for name in names[1:]) or _numbers(width)
    values = _as_written(rows) if words else _values(path, lines, rows, columns)
    return Table(path, tuple(ids), columns, bool(names), values, tuple(notes))


def _split(path: Path) -> tuple[list[int], list[list[str]]]:
    """The number of each line that is not blank, and its cells, of which there are as many in each."""
    text = text_of(path)
    delimiter = max(DELIMITERS, key=lambda d: _width(text, d))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines, rows, last = [], [], 0
    try:
        for row in reader:
            if reader.line_num > last + 1:
                raise InputError(
                    f"{path} line {last + 1}: a quotation mark is closed {reader.line_num - last} lines on"
                )
            last += 1
            if not row:
                continue
            lines.append(reader.line_num)
            rows.append(row)
            if len(row) != len(rows[0]):
                raise InputError(f"{path} line {lines[-1]} has {len(row)} cells, line {lines[0]} has {len(rows[0])}")
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}") from error
    if not rows or len(rows[0]) < 2:
        raise InputError(f"{path} has no lines of an id and values, with tabs, commas, semicolons or | between")
    return lines, rows


def _width(text: str, delimiter: str) -> float:
    """How many cells a line has, as a rule; 0 where the delimiter splits some of the lines only."""
    first = [line for line in text.split("\n", 4 * LOOKED_AT)[: 4 * LOOKED_AT] if line.strip()][:LOOKED_AT]
    try:
        widths = [len(row) for row in csv.reader(first, delimiter=delimiter) if row]
    except csv.Error:
        return 0
    return median(widths) if widths and min(widths) > 1 else 0


def _has_header(path: Path, rows: list[list[str]]) -> bool:
    first, rest = [cell.strip() for cell in rows[0]], rows[1:]
    if first[0].lower() in IDS:
        return True
    words = [place for place, cell in enumerate(first) if place > 0 and _number(cell) is None]
    if any(all(_number(row[place]) is not None for row in rest) for place in words):
        return bool(rest)
    seen = Counter(row[-1].strip() for row in rest)
    if len(first) - 1 in words and first[-1] not in seen and max(seen.values(), default=0) > 1:
        raise InputError(f"{path}: {first[-1]!r} stands in the first line alone; say --header or --no-header")
    return False


def _counted(ids: list[str]) -> bool:
    return any(ids == [str(row + start) for row in range(len(ids))] for start in (0, 1))


def _number(cell: str) -> float | None:
    """What a cell says; NaN if it is empty, None if it is a word."""
    try:
        return float(cell)
    except ValueError:
        return WORDS.get(cell.strip().lower())


def _as_written(rows: list[list[str]]) -> NDArray[np.str_]:
    return np.array([[cell.strip() for cell in row[1:]] for row in rows], dtype=np.str_)


def _values(
    path: Path, lines: list[int], rows: list[list[str]], columns: Sequence[str]
) -> NDArray[np.float64] | NDArray[np.str_]:
    try:
        return np.array([[float(cell) for cell in row[1:]] for row in rows])  # the rule, and fast
    except ValueError:
        numbers = [[_number(cell) for cell in row[1:]] for row in rows]
    wrong = [(row, place) for row, cells in enumerate(numbers) for place, cell in enumerate(cells) if cell is None]
    if wrong and len(columns) == 1:
        return np.array([[row[1].strip()] for row in rows], dtype=np.str_)
    if wrong:
        row, place = wrong[0]
        cell = rows[row][place + 1]
        raise InputError(f"{path} line {lines[row]}, column {columns[place]}: {cell!r} is no number")
    return np.array(numbers, dtype=np.float64)


def _numpy(path: Path, words: bool) -> Table:
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {"values": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read as arrays: {error}") from error
    matrices = {name: array for name, array in arrays.items() if array.ndim == 2 and array.dtype.kind in "biuf"}
    if len(matrices) != 1:
        raise InputError(
            f"{path} has {len(matrices)} matrices of numbers ({listed(matrices) or 'none'}); one is needed"
        )
    (values,) = matrices.values()
    ids = next((array for name, array in arrays.items() if name in IDS), np.arange(len(values)))
    columns = next((array for name, array in arrays.items() if name in COLUMNS), None)
    names = _numbers(values.shape[1]) if columns is None else tuple(map(str, columns))
    if len(ids) != len(values) or len(names) != values.shape[1]:
        raise InputError(f"{path}: the matrix is {values.shape}, but there are {len(ids)} ids and {len(names)} columns")
    notes = ("the columns have names" if columns is not None else "the columns have no names",)
    cells = values.astype(np.str_) if words else values.astype(np.float64)
    return Table(path, tuple(map(str, ids)), names, columns is not None, cells, notes)


def _parquet(path: Path, words: bool) -> Table:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as parquet: {error}") from error
    if isinstance(frame.index, pd.RangeIndex) and len(frame.columns):
        frame = frame.set_index(frame.columns[0])
    ids, columns = tuple(map(str, frame.index)), tuple(map(str, frame.columns))
    rows = [["", *("" if pd.isna(cell) else str(cell) for cell in row)] for row in frame.itertuples(index=False)]
    if words:
        return Table(path, ids, columns, True, _as_written(rows), ("the columns have names",))
    numeric = all(kind.kind in "biuf" for kind in frame.dtypes)
    lines = list(range(1, len(rows) + 1))
    values = frame.to_numpy(np.float64, na_value=np.nan) if numeric else _values(path, lines, rows, columns)
    return Table(path, ids, columns, True, values, ("the columns have names",))


def _numbers(width: int) -> tuple[str, ...]:
    return tuple(str(number + 1) for number in range(width))


def _places(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    places = {name: place for place, name in enumerate(names)}
    return [places[name] for name in wanted]


def _different(names: Sequence[str], what: str) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{what} stand more than once: {listed(twice)}")
