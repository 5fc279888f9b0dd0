"""Tables of data sets as they are published: some rows have a cell too many, and these are counted, not fatal."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from crossmodal.data.sources import lines
from crossmodal.errors import InputError
from crossmodal.files import Skipped

DELIMITERS = (",", ";", "\t")
LONGEST = 2**24  # characters of a cell; Python's own limit, 2**17, is less than some biographies have


def read(
    path: Path, delimiter: str | None = None, encoding: str = "utf-8-sig", headers: int = 1
) -> tuple[pd.DataFrame, int, list[Skipped]]:
    """A delimited table, also .gz, with all its cells as words; a million rows take seconds.

    Args:
        path: of the table.
        delimiter: between cells; by default that which the first line has most of.
        encoding: of the file.
        headers: how many rows name the columns; what they say is joined by dots.

    Returns:
        The table, the number of rows that were read, and those that have not as many cells as there are columns.

    Raises:
        InputError: the file cannot be read, has no header, names a column twice, or a quote in it never ends.
    """
    text = lines(path, encoding)
    if delimiter is None:
        delimiter = max(DELIMITERS, key=(text or [""])[0].count)
    reader = csv.reader((f"{line}\n" for line in text), delimiter=delimiter, strict=True)
    limit = csv.field_size_limit(LONGEST)
    try:
        found = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: {error}") from error
    finally:
        csv.field_size_limit(limit)
    names = [".".join(filter(None, cells)) for cells in zip(*(row for _, row in found[:headers]), strict=False)]
    if not names:
        raise InputError(f"{path} is empty; its first line names the columns")
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(f"{path} has several columns called {', '.join(sorted(repeated))}")
    body = found[headers:]
    whole = [row for _, row in body if len(row) == len(names)]
    lost = [
        Skipped(row[0] or f"line {line}", path.name, f"line {line} has {len(row)} cells, not {len(names)}")
        for line, row in body
        if len(row) != len(names)
    ]
    return pd.DataFrame(whole, columns=names, dtype="str"), len(body), lost
