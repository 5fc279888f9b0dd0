"""Which tracks may answer: conditions on their metadata, as a person types them.

::

    licence=CC0-1.0              equal, whatever the case; of a list, such as the tags, any one
    language=de|tr               one of several
    year=1990..1999              a range, both ends included; either may be left out
    duration<=3:00               numbers are compared as numbers; 3:00 is 180
    tag!=drums                   not equal, or none of several, or outside of a range
    artist=                      it is not known; artist!= is: it is known

A track whose value is not known meets no condition but ``column=``, so ``year!=1990`` is: another year is known. A list
without anything in it is known: a track that was annotated with no tag has not the tag ``drums``. ``tag`` stands for
all tagsets, ``tags.mood`` for one. Double quotes keep ``|``, ``;`` and ``..`` from being read so.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow
import pyarrow.compute
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed, nearest
from crossmodal.queries import seconds

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
FORMS = "valid is such as year>=1990, language=de|tr, duration=60..180, tag!=drums or artist="
OPERATOR = re.compile(r"!=|<=|>=|=|<|>")
Numbers = tuple[float, float]


@dataclass(frozen=True)
class Filter:
    """One condition; `parse` makes one of what a person types.

    Attributes:
        column: of the metadata, or ``tag`` for every tagset.
        operator: how the column's value is compared.
        values: with any of these; none for "not known".
    """

    column: str
    operator: Operator
    values: tuple[str, ...]


class _Cells(NamedTuple):
    """A column, each of its values once.

    Attributes:
        known: whether a track's cell is, ``(tracks,)``.
        values: the different ones.
        codes: the place of each value in the order of the cells, lists one after the other; one past them if unknown.
        rows: the track of each.
    """

    known: NDArray[np.bool_]
    values: list[Any]
    codes: NDArray[np.int64]
    rows: NDArray[np.int64]


def parse(text: str) -> list[Filter]:
    """The conditions of a text, parted by ``;``, all of which must be met.

    Raises:
        InputError: one that is not written as it must be.
    """
    return [_filter(part) for part in _split(text, ";") if part.strip()]


def allowed(filters: Sequence[Filter], tracks: pyarrow.Table) -> NDArray[np.bool_]:
    """Which tracks meet all of the conditions, ``(tracks,)``.

    Args:
        filters: the conditions.
        tracks: their metadata, a row a track.

    Raises:
        InputError: there is no such column, or it does not hold what it is compared with.
    """
    mask = np.ones(len(tracks), dtype=bool)
    for wanted in filters:
        mask &= _meets(wanted, [_cells(name, tracks[name]) for name in columns_of(wanted, tracks.column_names)])
    return mask


def _filter(text: str) -> Filter:
    found = OPERATOR.search(text)
    column, rest = (text[: found.start()].strip(), text[found.end() :].strip()) if found else ("", "")
    if found is None or not column:
        raise InputError(f"the filter {text.strip()!r} is no condition; {FORMS}")
    operator = found.group()
    values = tuple(_split(rest, "|")) if rest else ()
    if any(not value.strip(' "') for value in values):
        raise InputError(f"the filter {text.strip()!r} has an empty value; {FORMS}")
    if operator not in ("=", "!=") and len(values) != 1:
        raise InputError(
            f"the filter {text.strip()!r} compares with {len(values)} values; valid is one after {operator}"
        )
    return Filter(column, operator, tuple(value.strip() for value in values))  # type: ignore[arg-type]


def _split(text: str, mark: str) -> list[str]:
    """The text cut at each mark that stands outside of double quotes."""
    if text.count('"') % 2:
        raise InputError(f"the filter {text.strip()!r} has a quote that is not closed")
    return re.findall(rf'(?:^|(?<={re.escape(mark)}))((?:"[^"]*"|[^"{re.escape(mark)}])*)', text)


def columns_of(wanted: Filter, columns: Sequence[str]) -> list[str]:
    """The columns that a name stands for: itself, its plural, or what begins with its plural, such as ``tags.mood``."""
    name, plural = wanted.column, f"{wanted.column}s"
    if name in columns or plural in columns:
        return [name if name in columns else plural]
    if within := sorted(column for column in columns if column.startswith(f"{plural}.")):
        return within
    raise InputError(f"the index has no column {name!r}; it has {listed(sorted(columns), 50)}{nearest(name, columns)}")


def _cells(name: str, column: pyarrow.ChunkedArray) -> _Cells:
    kind, known, rows = column.type, column.is_valid().to_numpy(), np.arange(len(column))
    lists = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)
    flat = column.combine_chunks()
    if lists:
        rows, flat = pyarrow.compute.list_parent_indices(flat).to_numpy(), pyarrow.compute.list_flatten(flat)
    if pyarrow.types.is_nested(flat.type):
        raise InputError(f"{name} holds {kind}, which cannot be compared")
    found = (flat.cast(pyarrow.string()) if pyarrow.types.is_null(flat.type) else flat).dictionary_encode()
    values, codes = found.dictionary.to_pylist(), found.indices.fill_null(len(found.dictionary)).to_numpy()
    there = np.array([not is_missing(value) for value in values] + [False])[codes]
    return _Cells(known if lists else there, values, codes, rows)


def is_missing(value: Any) -> bool:
    """Whether a value stands for "not known"."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _meets(wanted: Filter, columns: Sequence[_Cells]) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = np.any([column.known for column in columns], axis=0)
    if not wanted.values:
        return ~known if wanted.operator == "=" else known
    inside = _test(wanted, [value for column in columns for value in column.values if not is_missing(value)])
    met = np.zeros(len(known), dtype=bool)
    for column in columns:
        fits = np.array([not is_missing(value) and inside(value) for value in column.values] + [False])
        met[column.rows[fits[column.codes]]] = True
    return known & ~met if wanted.operator == "!=" else met


def _test(wanted: Filter, values: Sequence[Any]) -> Callable[[Any], bool]:
    """Whether one value is among those wanted; all values are numbers, or all are words."""
    numeric = all(as_number(value) is not None for value in values)
    if numeric and values:
        bounds = [limits(wanted, value) for value in wanted.values]
        strict = wanted.operator in ("<", ">")
        return lambda value: any(_within(as_number(value) or 0.0, ends, strict) for ends in bounds)
    if wanted.operator not in ("=", "!="):
        if not values:  # nothing is known, so nothing is met
            return lambda value: False
        raise InputError(f"{wanted.column} holds words, which have no order; valid is {wanted.column}= and !=")
    words = {folded(value.strip('"')) for value in wanted.values}
    return lambda value: folded(str(value)) in words


def as_number(value: Any) -> float | None:
    """A number, or words that are one, as a finite number; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _within(number: float, ends: Numbers, strict: bool) -> bool:
    return ends[0] < number < ends[1] if strict else ends[0] <= number <= ends[1]


def limits(wanted: Filter, text: str) -> Numbers:
    """The lowest and the highest number that a value stands for."""
    if wanted.operator in ("<", "<="):
        return -math.inf, _end(wanted, text)
    if wanted.operator in (">", ">="):
        return _end(wanted, text), math.inf
    low, dots, high = text.partition("..")
    if not dots:
        return _end(wanted, low), _end(wanted, low)
    ends = (_end(wanted, low) if low else -math.inf), (_end(wanted, high) if high else math.inf)
    if ends[0] > ends[1] or not (low or high):
        raise InputError(f"{wanted.column}={text}: a range goes from the lower to the higher end, such as 1990..1999")
    return ends


def _end(wanted: Filter, text: str) -> float:
    number = as_number(text.strip().strip('"'))
    if number is not None:
        return number
    try:
        return seconds(text.strip())
    except InputError:
        raise InputError(f"{wanted.column} holds numbers, and {text!r} is none; {FORMS}") from None


def folded(text: str) -> str:
    """Words as they are compared: whatever the case, and however their letters are put together."""
    return unicodedata.normalize("NFKC", text).casefold().strip()
