"""What is asked over HTTP is answered as `Asker` answers it."""

from __future__ import annotations

from pathlib import Path

import pytest
from library import ODD
from starlette.testclient import TestClient

from crossmodal import filters
from crossmodal.asking import Answer, Asker, Wishes
from crossmodal.queries import parse
from crossmodal.queries import words as only_words


def same(found: dict, answer: Answer) -> bool:
    told = [(hit["track_id"], hit["rank"], hit["score"], hit["start"], hit["end"]) for hit in found["hits"]]
    return found["left_out"] == answer.copies and told == [
        (hit.track_id, hit.rank, hit.score, hit.start, hit.end) for hit in answer.hits
    ]


MORE = [{}, {"k": 3, "match": "late"}, {"where": ["year>=1995; artist="], "copies": True}]
SOUNDS = ["id:t0 +slower", 'id:"t2"@1-2', f'id:"{ODD}"']  # slower, since files are compared
ASKED = [(query, more) for query in ("a slow piano", "piano -drums^0.5") for more in MORE]
ASKED += [
    (f'id:"{ODD}"', MORE[2]),
    *(pytest.param(one, more, marks=pytest.mark.slow) for one in SOUNDS for more in MORE),
]


@pytest.mark.parametrize(("query", "more"), ASKED)
def test_answers_are_the_asker_s(api, asker: Asker, query: str, more: dict) -> None:
    where = tuple(one for text in more.get("where", []) for one in filters.parse(text))
    wishes = Wishes(**{**more, "where": where})
    assert same(api.search(query, **more), asker.ask(parse(query, files=False), wishes))


def test_words_that_look_like_more(api, asker: Asker) -> None:
    assert same(api.search("id:t0 -drums", plain=True), asker.ask(only_words("id:t0 -drums")))
    assert len({hit["artist"] for hit in api.search("rain", per_artist=1)["hits"] if hit["artist"]}) == 2


def test_an_upload_is_asked_as_its_file_is(client: TestClient, asker: Asker, files: list[Path]) -> None:
    body = files[4].read_bytes()
    found = client.post("/api/search/upload", content=body, params={"k": 5})
    assert found.status_code == 200, found.text
    own = asker.ask(parse(str(files[4])), Wishes(k=6))
    assert own.copies == ["t4"]
    assert found.json()["left_out"] == ["t4"]
    assert [hit["track_id"] for hit in found.json()["hits"]] == [hit.track_id for hit in own.hits][:5]
    more = {"query": "slower -drums", "start": 1, "stop": 2.5, "copies": True, "where": ["year>=1993", "year<=1999"]}
    found = client.post("/api/search/upload", content=body, params=more)
    asked = f"{files[4]}@1-2.5 +slower -drums"
    expected = asker.ask(parse(asked), Wishes(where=tuple(filters.parse("year=1993..1999")), copies=True))
    assert same(found.json(), expected)
