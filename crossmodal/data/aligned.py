"""Two tables brought to the same rows and columns, and what their values say: tags, or classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossmodal.data.tables import Table
from crossmodal.errors import InputError, listed

Truth = NDArray[np.int8]
NAMED = 3  # that a message names


def align(truth: Table, scores: Table, common: bool = False) -> tuple[Table, Table, dict[str, list[str]]]:
    """Both tables with the rows and columns of the truth, in its order, and the names that only one of them has.

    Columns are aligned by name if both tables name them, and otherwise by their order; so are none where a table has
    a single column, which holds classes.

    Args:
        truth: 1, 0 and -1 or empty, or words.
        scores: numbers, or words.
        common: leave out what only one of them has, instead of refusing it.

    Raises:
        InputError: they differ in ids or columns and ``common`` is not given, or have nothing in common.
    """
    rows, left_out = _shared(truth, scores, "ids", truth.ids, scores.ids, common)
    columns: list[str] | None = None
    if len(truth.columns) > 1 and len(scores.columns) > 1:
        if truth.named and scores.named:
            columns, more = _shared(truth, scores, "columns", truth.columns, scores.columns, common)
            left_out |= more
        elif scores.named:
            truth = truth.rename(scores.columns)
        else:
            scores = scores.rename(truth.columns, truth.named)
    return truth.select(rows, columns), scores.select(rows, columns), left_out


def _shared(
    truth: Table, scores: Table, what: str, ours: Sequence[str], theirs: Sequence[str], common: bool
) -> tuple[list[str], dict[str, list[str]]]:
    left, right = set(ours), set(theirs)
    both = [name for name in ours if name in right]
    lacking = {
        f"{what} not in {scores.path}": [name for name in ours if name not in right],
        f"{what} not in {truth.path}": [name for name in theirs if name not in left],
    }
    lacking = {where: names for where, names in lacking.items() if names}
    if lacking and not (common and both):
        told = "; ".join(f"{len(names)} {where}: {listed(names, NAMED)}" for where, names in lacking.items())
        raise InputError(f"{told}; " + ("--common leaves them out" if both else f"no {what} are in both"))
    return both, lacking


def matrix_of(table: Table) -> Truth:
    """1, 0 and -1, which an empty cell is too; `InputError` names the row and column of anything else."""
    values = numbers_of(table)
    values = np.where(np.isnan(values), -1, values)
    rows, columns = np.nonzero(~np.isin(values, (-1, 0, 1)))
    if len(rows):
        cell = f"{table.ids[rows[0]]}, column {table.columns[columns[0]]}: {values[rows[0], columns[0]]:g}"
        raise InputError(f"{table.path}: {cell}; truth is 1, 0 or -1 (unknown)")
    return np.asarray(values, dtype=np.int8)


def numbers_of(table: Table) -> NDArray[np.float64]:
    """The values; `InputError` if they are words."""
    if table.words:
        raise InputError(f"{table.path} has words such as {str(table.values[0, 0])!r}, where numbers are needed")
    return np.asarray(table.values, dtype=np.float64)


def single(matrix: Truth) -> bool:
    """Whether each row has exactly one 1 among several columns, and nothing unknown: whether they are classes."""
    return matrix.shape[1] > 1 and bool((matrix >= 0).all() and (matrix.sum(axis=1) == 1).all())


def classes_of(table: Table) -> NDArray[np.str_]:
    """The class of each row, ``(rows,)``: a word, a whole number, or the column that has the only 1.

    Raises:
        InputError: a row without a class, numbers that are none, several 1 a row.
    """
    if len(table.columns) > 1:
        matrix = matrix_of(table)
        if not single(matrix):
            raise InputError(f"{table.path} has {len(table.columns)} columns, but not one 1 in each row: no classes")
        return np.asarray(np.array(table.columns, dtype=np.str_)[matrix.argmax(axis=1)])
    if table.words:
        labels = np.array(table.values[:, 0], dtype=np.str_)
    else:
        cells = numbers_of(table)[:, 0]
        if len(odd := cells[~np.isnan(cells) & ((cells != np.round(cells)) | np.isinf(cells))]):
            raise InputError(f"{table.path} has numbers that are no classes, such as {odd[0]:g}")
        labels = np.array(["" if np.isnan(cell) else str(int(cell)) for cell in cells])
    if len(empty := np.flatnonzero(labels == "")):
        raise InputError(f"{table.path} has no class for {listed([table.ids[row] for row in empty], NAMED)}")
    return labels
