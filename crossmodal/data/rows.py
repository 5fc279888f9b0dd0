"""Tables as people keep them: CSV, TSV and JSON lines, plain or gzipped; and what their cells mean."""

from __future__ import annotations

import ast
import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from crossmodal.errors import InputError, listed

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*DELIMITERS, *JSON_LINES)


def read(path: Path, encoding: str = "utf-8") -> pd.DataFrame:
    """A table with the cells as they are: str in CSV and TSV, any JSON value in JSON lines, NaN if missing.

    JSON objects become columns with dotted names, ``{"meta": {"key": "C"}}`` the column ``meta.key``; so do objects in
    a list, whose values become lists of one length: ``{"text": [{"lang": "en"}, {}]}`` is ``text.lang: ["en", None]``.

    Raises:
        InputError: the file is missing, of another kind, not in ``encoding``, or a line is broken; it names both.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is of no known kind; a table is {listed(SUFFIXES)}, each also .gz")
    text = text_of(path, encoding)
    rows = objects(path, text) if suffix in JSON_LINES else delimited(path, text, DELIMITERS[suffix])
    return pd.DataFrame([row if suffix in DELIMITERS else flat(row) for _, row in rows], dtype="object")


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """A text file, gzipped or not, without its byte order mark; errors as `read`."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} line {line}: byte 0x{data[error.start]:02x} is not {encoding}; save it as UTF-8, or name its"
            " encoding"
        ) from error
    except LookupError as error:
        raise InputError(f"there is no encoding {encoding!r}; there are utf-8, latin-1, cp1252, utf-16, ...") from error


def delimited(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row of a table, with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        if repeated := {name for name in header if header.count(name) > 1}:
            raise InputError(f"{path} has several columns called {listed(sorted(repeated))}")
        for row in reader:
            if row and len(row) != len(header):
                raise InputError(f"{path} line {reader.line_num}: {len(row)} cells under {len(header)} columns")
            if row:
                yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}") from error


def objects(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON object of each line that is not blank, with the line's number."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
                json.dumps(row, ensure_ascii=False).encode()  # half of a surrogate pair is no character
            except (json.JSONDecodeError, UnicodeEncodeError, RecursionError) as error:
                raise InputError(f"{path} line {number} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise InputError(f"{path} line {number} is not a JSON object but a {type(row).__name__}")
            yield number, row


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A JSON object as one of depth one, with dotted keys; objects in a list become lists of their values."""
    cells: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            cells |= {f"{key}.{name}": cell for name, cell in flat(value).items()}
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            items = [flat(item) for item in value]
            names = dict.fromkeys(name for item in items for name in item)
            cells |= {f"{key}.{name}": [item.get(name) for item in items] for name in names}
        else:
            cells[key] = value
    return cells


def column(frame: pd.DataFrame, name: str, file: Path) -> pd.Series:
    """The cells of a column, or an `InputError` that lists the columns there are."""
    if name not in frame:
        raise InputError(f"{file} has no column {name!r}; it has: {listed(frame.columns, 50)}")
    return frame[name]


def missing(cell: Any) -> bool:
    """Whether a cell says nothing: null, or a key that its row does not have."""
    return cell is None or cell != cell


def word(cell: Any) -> str:
    """A cell as a word, ``""`` if it is missing."""
    return "" if missing(cell) else str(cell)


def number(cell: Any) -> Any:
    """A cell to be read as a number, None if it is missing or empty."""
    return word(cell).strip() or None


def items(cell: Any, separators: str = "") -> list[Any] | None:
    """What a cell lists: a list, also one written out, in JSON or in Python; or what stands between ``separators``.

    None, which is not the empty list, if the cell is missing, or if there are separators and it is blank.
    """
    if isinstance(cell, list):
        return cell
    if missing(cell) or (separators and not word(cell).strip()):
        return None
    listing = _written_list(cell) if isinstance(cell, str) else None
    if listing is not None:
        return listing
    return re.split(f"[{re.escape(separators)}]", cell) if separators and isinstance(cell, str) else [cell]


def _written_list(cell: str) -> list[Any] | None:
    """``["a", "b"]`` or ``['a', 'b']`` as a list; None if it is only a text in brackets, like ``[Chorus] la la``."""
    if not (cell.lstrip().startswith("[") and cell.rstrip().endswith("]")):
        return None
    for parse in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return list(parse(cell.strip()))
    return None
