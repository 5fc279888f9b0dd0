from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.asking import Answer, Wishes
from crossmodal.batch import Question, answers, read, write
from crossmodal.errors import InputError
from crossmodal.filters import Filter
from crossmodal.queries import Query, parse, words
from crossmodal.search import Hit


class Stub:
    """An asker that answers with its words, and cannot hear."""

    def __init__(self) -> None:
        self.asked: list[Wishes] = []

    def texts(self, queries: Iterator[Query]) -> dict[str, str]:
        return {part.value: part.value for query in queries for part in query.parts}

    def embedded(self, query: Query, texts: dict[str, str]) -> str:
        if query.sounds:
            raise InputError("it cannot be heard")
        return texts[query.parts[0].value]

    def answer(self, embedded: str, wishes: Wishes) -> Answer:
        self.asked.append(wishes)
        hits = [
            Hit(f"{embedded} {n}", 1 / n, 0.0, 4.0, n, {"title": 'ş;\n"', "year": 1990}) for n in range(1, wishes.k)
        ]
        return Answer(hits, ["copy"])


def saved(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_queries(tmp_path: Path) -> None:
    found = read(saved(tmp_path, "q.txt", "\ufeffa sad violin\r\n\n  çok yavaş -org \n"))
    assert found == [
        Question("1", "a sad violin", parse("a sad violin")),
        Question("3", "çok yavaş -org", parse("çok yavaş -org")),
    ]


def test_tables_have_ids_and_filters(tmp_path: Path) -> None:
    text = 'id,filters,query\nx,year>=1990;tag=sad,"piano, slow"\n,,organ\n'
    where = (Filter("year", ">=", ("1990",)), Filter("tag", "=", ("sad",)))
    expected = [Question("x", "piano, slow", parse("piano, slow"), where), Question("3", "organ", parse("organ"))]
    assert read(saved(tmp_path, "q.CSV", text)) == expected


def test_objects_may_list_filters(tmp_path: Path) -> None:
    lines = ['{"query": "piano", "id": 7, "filters": ["year>=1990", "tag=sad"]}', "", '{"query": "organ\\u2028 x"}']
    found = read(saved(tmp_path, "q.jsonl", "\n".join(lines)))
    where = (Filter("year", ">=", ("1990",)), Filter("tag", "=", ("sad",)))
    assert found == [
        Question("7", "piano", parse("piano"), where),
        Question("3", "organ\u2028 x", parse("organ\u2028 x")),
    ]


def test_queries_may_all_be_words(tmp_path: Path) -> None:
    assert read(saved(tmp_path, "q.txt", "no such.mp3"), words)[0].query == words("no such.mp3")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.xlsx", "", "is no file of queries; valid is .txt, .csv or .jsonl"),
        ("q.txt", " \n", "holds no query"),
        ("q.csv", "query\n", "holds no query"),
        ("q.txt", "piano\n-drums", "line 2: the query says only what is not wanted"),
        ("q.txt", "no such.mp3", "line 1: no such.mp3 does not exist"),
        ("q.csv", "text\npiano\n", "line 2: there is no column 'text'; valid: query, id, filters"),
        ("q.csv", "id\n7\n", "line 2: the query is None, but must be text"),
        ("q.csv", "query,id\npiano\n", "line 2: 1 cells under 2 columns"),
        ("q.csv", "query\npiano,x\n", "line 2: 2 cells under 1 columns"),
        ("q.csv", 'query\n"pia"no\n', "line 2: "),
        ("q.csv", "query,id\npiano,a\norgan,a\n", "line 3: the id 'a' stands twice"),
        ("q.csv", "query,filters\npiano,year\n", "line 2: the filter 'year' is no condition"),
        ("q.jsonl", '{"query": "x"}\n{"query"', "line 2 is not JSON"),
        ("q.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("q.jsonl", '["piano"]', "line 1 is not a JSON object but a list"),
        ("q.jsonl", '{"query": 3}', "line 1: the query is 3, but must be text"),
        ("q.jsonl", '{"query": "x", "filters": [3]}', r"line 1: the filters are \[3\]"),
        ("q.jsonl", '{"query": "x", "k": 3}', "line 1: there is no column 'k'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(saved(tmp_path, name, text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt cannot be read: No such file"):
        read(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes("Müsik".encode("latin-1"))
    with pytest.raises(InputError, match=r"line 1: byte 0xfc is not utf-8"):
        read(tmp_path / "latin.txt")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([".txt", ".csv", ".jsonl"]), st.text(st.sampled_from('query,id"\n{}:[]^-@ ;\r1\0'), max_size=40))
def test_no_file_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, suffix: str, text: str) -> None:
    path = saved(tmp_path_factory.getbasetemp(), f"fuzzed{suffix}", text)
    try:
        found = read(path)
    except InputError:
        return
    assert found


def questions() -> list[Question]:
    return [
        Question("a", "piano", parse("piano"), (Filter("tag", "=", ("sad",)),)),
        Question("b", "id:t", parse("id:t")),
        Question("c", "organ", parse("organ")),
    ]


def test_each_has_its_own_conditions_beside_those_of_all() -> None:
    stub, common = Stub(), (Filter("year", "=", ("1990",)),)
    rows = list(answers(stub, questions(), Wishes(k=3, where=common)))  # type: ignore[arg-type]
    assert [wishes.where for wishes in stub.asked] == [(*common, Filter("tag", "=", ("sad",))), common]
    assert rows[1] == {"id": "b", "query": "id:t", "error": "it cannot be heard"}
    assert [hit["track_id"] for hit in rows[0]["hits"]] == ["piano 1", "piano 2"]
    assert rows[0]["copies"] == ["copy"]


def test_answers_as_lines_of_json(tmp_path: Path) -> None:
    rows = list(answers(Stub(), questions(), Wishes(k=3)))  # type: ignore[arg-type]
    assert write(tmp_path / "out.jsonl", iter(rows)) == (3, 1)
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == rows


def test_answers_as_a_table(tmp_path: Path) -> None:
    none = {"id": "d", "query": "x", "hits": [], "copies": []}
    rows = [*answers(Stub(), questions(), Wishes(k=3)), none]  # type: ignore[arg-type]
    assert write(tmp_path / "out.csv", iter(rows)) == (4, 1)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [(row["id"], row["rank"], row["track_id"], row["error"]) for row in found] == [
        ("a", "1", "piano 1", ""),
        ("a", "2", "piano 2", ""),
        ("b", "", "", "it cannot be heard"),
        ("c", "1", "organ 1", ""),
        ("c", "2", "organ 2", ""),
        ("d", "", "", ""),
    ]
    assert found[0]["title"] == 'ş;\n"'


def test_a_failure_leaves_the_old_answers(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, object]]:
        yield {"id": "a", "query": "x", "hits": []}
        raise KeyboardInterrupt

    saved(tmp_path, "out.jsonl", "old")
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out.jsonl", rows())
    assert (tmp_path / "out.jsonl").read_text() == "old"
    with pytest.raises(InputError, match=r"answers are written as \.jsonl or \.csv"):
        write(tmp_path / "out.xml", iter([]))
