"""Conditions on the metadata as expressions that Milvus evaluates, with the same answers as `crossmodal.filters`.

What an expression asks are dynamic fields of each row, four a column, named by the column's number, so that no name of
a user's stands in an expression: ``k3`` is 1 if column 3 is known; ``w3`` holds its words, folded; ``n3`` those of them
that are numbers; ``x3`` is 1 if some are none, else 0. Of a column of lists, w and n are lists. A field that does not
apply is null, not absent: embedded Milvus merges an upserted row with the one before. Where a field may be null,
``exists`` stands before it, since what a comparison with null gives differs between versions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from crossmodal.errors import InputError
from crossmodal.filters import Filter, Numbers, as_number, columns_of, folded, is_missing, limits

NOTHING = "number < 0"  # an expression that no row meets
ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})
Holds = Callable[[str], bool]


def terms(schema: pa.Schema, track: Mapping[str, Any]) -> dict[str, Any]:
    """The dynamic fields of a track's rows.

    Args:
        schema: of the tracks' metadata.
        track: its values by column.
    """
    found: dict[str, Any] = {}
    for number, field in enumerate(schema):
        value, many = track.get(field.name), _is_list(field.type)
        cells = [] if _odd(field.type) or value is None else value if many else [value]
        there = [cell for cell in cells if not is_missing(cell)]
        words = list(dict.fromkeys(folded(str(cell)) for cell in there))
        numbers = [as_number(cell) for cell in there if as_number(cell) is not None]
        known = bool(there) or (many and value is not None)
        found[f"k{number}"] = 1 if known else None
        found[f"x{number}"] = int(len(numbers) < len(there)) if there else None
        found[f"w{number}"] = (words if many else words[0]) if known else None
        found[f"n{number}"] = (numbers if many else numbers[0] if numbers else None) if known else None
    return found


def expression(conditions: Sequence[Filter], schema: pa.Schema, holds: Holds) -> str:
    """What a row must meet to meet all of some conditions; empty if there are none.

    Args:
        conditions: on the metadata.
        schema: of the metadata.
        holds: whether some row of the collection meets an expression.

    Raises:
        InputError: as `crossmodal.filters.allowed`, or a range of numbers in lists, which Milvus cannot look for.
    """
    return both(*(_condition(wanted, schema, holds) for wanted in conditions))


def both(*expressions: str) -> str:
    """What meets all of some expressions; empty ones ask nothing."""
    return " and ".join(f"({one})" for one in expressions if one)


def among(field: str, values: Iterable[str], negated: bool = False) -> str:
    """A field of words is one of several."""
    return f"{field} {'not in' if negated else 'in'} [{', '.join(map(quoted, values))}]"


def quoted(text: str) -> str:
    """A literal of any words."""
    return f'"{text.translate(ESCAPED)}"'


def _condition(wanted: Filter, schema: pa.Schema, holds: Holds) -> str:
    columns = [schema.get_field_index(name) for name in columns_of(wanted, schema.names)]
    for column in columns:
        if _odd(schema.types[column]):
            raise InputError(f"{schema.names[column]} holds {schema.types[column]}, which cannot be compared")
    known = _any(_exists("k", column) for column in columns)
    if not wanted.values:
        return f"not ({known})" if wanted.operator == "=" else known
    inside = _inside(wanted, columns, holds)
    met = _any(f"{_exists('k', column)} and {inside(column, schema.field(column))}" for column in columns)
    return f"({known}) and not ({met})" if wanted.operator == "!=" else met


def _inside(wanted: Filter, columns: Sequence[int], holds: Holds) -> Callable[[int, pa.Field], str]:
    """How the values of a known column are compared: all are numbers, or all are words."""
    if not holds(_any(f'$meta["x{column}"] == 1' for column in columns)):
        if holds(_any(_exists("x", column) for column in columns)):
            bounds = [limits(wanted, value) for value in wanted.values]
            return lambda column, field: _numbers(wanted, bounds, column, field)
        if wanted.operator not in ("=", "!="):  # nothing is known, so nothing is met
            return lambda column, field: NOTHING
    elif wanted.operator not in ("=", "!="):
        raise InputError(f"{wanted.column} holds words, which have no order; valid is {wanted.column}= and !=")
    words = sorted({folded(value.strip('"')) for value in wanted.values})
    return lambda column, field: _words(words, column, field)


def _words(words: Sequence[str], column: int, field: pa.Field) -> str:
    if _is_list(field.type):
        return f"json_contains_any(w{column}, [{', '.join(map(quoted, words))}])"
    return among(f"w{column}", words)


def _numbers(wanted: Filter, bounds: Sequence[Numbers], column: int, field: pa.Field) -> str:
    if not _is_list(field.type):
        less, more = ("<", ">") if wanted.operator in ("<", ">") else ("<=", ">=")
        return _any(_between(f"n{column}", ends, less, more) for ends in bounds)
    if any(low != high for low, high in bounds):
        raise InputError(
            f"{field.name} holds lists of numbers, of which Milvus finds single ones; valid is {field.name}=90|91"
        )
    return f"json_contains_any(n{column}, [{', '.join(repr(low) for low, _ in bounds)}])"


def _between(name: str, ends: Numbers, less: str, more: str) -> str:
    low, high = ends
    return both(
        f"{name} {more} {low!r}" if low != -float("inf") else "",
        f"{name} {less} {high!r}" if high != float("inf") else "",
    )


def _exists(kind: str, column: int) -> str:
    return f'exists $meta["{kind}{column}"]'


def _any(expressions: Iterable[str]) -> str:
    return " or ".join(f"({one})" for one in expressions)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _odd(kind: pa.DataType) -> bool:
    """Whether a column's values are neither plain nor lists of plain ones."""
    return bool(pa.types.is_nested(kind.value_type if _is_list(kind) else kind))
