"""Many queries from a file, and their answers in a file.

Read are ``.txt``, a query a line; ``.csv`` with a column ``query``, and ``.jsonl`` with an object a line. Both may
also have an ``id``, the line's number unless given, and ``filters``, as `crossmodal.filters` reads them, parted by
``;``, or a list in ``.jsonl``. Written are ``.jsonl``, an object a query, or ``.csv``, a row a hit. A query that cannot
be answered, since its audio is broken for instance, has an ``error`` in place of hits.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from crossmodal import filters, queries
from crossmodal.asking import Asker, Wishes
from crossmodal.data import rows as tables
from crossmodal.errors import InputError, listed
from crossmodal.evaluation import as_dict
from crossmodal.files import atomic
from crossmodal.filters import Filter
from crossmodal.queries import Query

KEYS = ("query", "id", "filters")
FIELDS = ("id", "query", "rank", "track_id", "score", "start", "end", "title", "artist", "album", "path", "error")
Row = dict[str, Any]
Reader = Callable[[Path, str], Iterator[tuple[int, Row]]]


class Question(NamedTuple):
    """A query of a file: its id, what was typed, what that means, and the conditions of its own."""

    id: str
    typed: str
    query: Query
    where: tuple[Filter, ...] = ()


def read(path: Path, parse: Callable[[str], Query] = queries.parse) -> list[Question]:
    """The queries of a file; blank lines are none.

    Args:
        path: a .txt, .csv or .jsonl file.
        parse: what makes a query of what was typed.

    Raises:
        InputError: the file is missing or of another kind, a query or filter in it is not written as it must be (with
            the line), an id stands twice, or there is no query.
    """
    kinds: dict[str, Reader] = {
        ".txt": _lines,
        ".csv": partial(tables.delimited, delimiter=","),
        ".jsonl": tables.objects,
    }
    if path.suffix.lower() not in kinds:
        raise InputError(f"{path} is no file of queries; valid is .txt, .csv or .jsonl")
    found: dict[str, Question] = {}
    for line, row in kinds[path.suffix.lower()](path, tables.text_of(path)):
        try:
            question = _question(line, row, parse)
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error}") from error
        if question.id in found:
            raise InputError(f"{path}, line {line}: the id {question.id!r} stands twice")
        found[question.id] = question
    if not found:
        raise InputError(f"{path} holds no query")
    return list(found.values())


def answers(asker: Asker, questions: Sequence[Question], wishes: Wishes) -> Iterator[Row]:
    """Of each question its id, its query, and ``hits`` with the ``copies`` left out, or else an ``error``."""
    texts = asker.texts(question.query for question in questions)
    for question in tqdm(questions, "search", unit="query", disable=None, leave=False):
        row: Row = {"id": question.id, "query": question.typed}
        try:
            asked = replace(wishes, where=(*wishes.where, *question.where))
            answer = asker.answer(asker.embedded(question.query, texts), asked)
            yield row | {"hits": [as_dict(hit) for hit in answer.hits], "copies": answer.copies}
        except InputError as error:
            yield row | {"error": str(error)}


def write(path: Path, rows: Iterator[Row]) -> tuple[int, int]:
    """Write answers to a .jsonl or .csv file, whole or not at all; how many there are, and how many with an error.

    Raises:
        InputError: a file of another kind.
    """
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise InputError(f"{path}: answers are written as .jsonl or .csv")
    counts = [0, 0]
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS, lineterminator="\n") if path.suffix.lower() == ".csv" else None
        if table:
            table.writeheader()
        for row in rows:
            counts[0], counts[1] = counts[0] + 1, counts[1] + ("error" in row)
            if table:
                table.writerows(flat(row))
            else:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return counts[0], counts[1]


def flat(row: Row) -> list[Row]:
    """An answer as rows of a table: one a hit; one without a rank where there is none."""
    head = {key: row[key] for key in ("id", "query")}
    hits = row.get("hits") or [{"error": row.get("error", "")}]
    return [head | {key: value for key, value in hit.items() if key in FIELDS} for hit in hits]


def _question(line: int, row: Row, parse: Callable[[str], Query]) -> Question:
    if unknown := [key for key in row if key not in KEYS]:
        raise InputError(f"there is no column {listed(map(repr, unknown))}; valid: {listed(KEYS)}")
    typed, where, name = row.get("query"), row.get("filters") or "", row.get("id")
    if not isinstance(typed, str):
        raise InputError(f"the query is {typed!r}, but must be text")
    if isinstance(where, list) and all(isinstance(one, str) for one in where):
        where = ";".join(where)
    if not isinstance(where, str):
        raise InputError(f"the filters are {where!r}, but must be text, or a list of texts")
    return Question(str(line if name in (None, "") else name), typed, parse(typed), tuple(filters.parse(where)))


def _lines(_: Path, text: str) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, {"query": line.strip()}
