"""What is there besides questions: the page's files, the docs, health and metrics."""

from __future__ import annotations

import re

from starlette.testclient import TestClient


def test_info(client: TestClient) -> None:
    info = client.get("/api/info").json()
    assert (info["tracks"], info["segments"], info["kind"], info["recall"]) == (12, 48, "flat", 1.0)
    assert info["languages"] == ["de", "en", "tr"]
    columns = {column["name"]: column for column in info["columns"]}
    assert (columns["year"]["min"], columns["year"]["max"]) == (1991, 2001)
    assert columns["tags.mood"]["values"] == [["calm", 6], ["happy", 6], ["sad", 6]]
    assert columns["artist"]["values"] == [["Großvater", 4], ["Sezen Aksu", 4]]
    assert not {"path", "source_file", "where_it_came_from"} & set(columns)
    assert info["examples"] == ["a slow piano"]


def test_the_docs_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert "/api/search/upload" in page.text
    assert not re.search(r"(src|href)=\"(?!/|#)", page.text)
    assert "<script" not in page.text


def test_there_are_no_other_pages(client: TestClient) -> None:
    for name in ("index.htm", "../app.py", "..%2fapp.py", "%2e%2e%2fapp.py", "", "style.css%00", "__init__.py"):
        assert client.get(f"/page/{name}").status_code == 404, name
