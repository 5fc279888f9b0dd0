"""What is refused: with a status that says whose fault it is, and a line that says nothing of the host."""

from __future__ import annotations

import io
import json
import time
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
from library import RATE, TOKEN, Api, limited, written
from starlette.testclient import TestClient

from crossmodal.asking import Asker
from crossmodal.errors import InputError
from crossmodal.filters import parse
from crossmodal.search import SearchIndex
from crossmodal.serve import lanes
from crossmodal.serve.app import create
from crossmodal.serve.catalogue import Catalogue

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("query", "more", "said"),
    [
        ("", {}, "empty"),
        ("   ", {}, "empty"),
        ("file:/etc/passwd", {}, "files cannot be asked for here"),
        ("+file:../x.wav", {}, "files cannot be asked for here"),
        ("id:t99", {}, "the index has no track 't99'"),
        ("-drums", {}, "only what is not wanted"),
        ("x" * 1001, {}, "query: String should have at most 1000 characters"),
        ("a " + "+b " * 16, {}, "17 parts; 16 are allowed"),
        ("\ud800", {}, "valid string"),
        ("a", {"k": 0}, "k: Input should be greater"),
        ("a", {"k": 101}, "k: Input should be less"),
        ("a", {"k": "many"}, "k: "),
        ("a", {"per_artist": 0}, "per_artist: "),
        ("a", {"match": "best"}, "match: "),
        ("a", {"anything": 1}, "anything: Extra inputs"),
        ("a", {"where": ["year>=1990"] * 17}, "where: List should have at most 16"),
        ("a", {"where": ["year>=1990;" * 17]}, "17 conditions; 16 are allowed"),
        ("a", {"where": ["x" * 501]}, "where.0: "),
        ("a", {"where": ["year"]}, "is no condition"),
        ("a", {"where": ["artist>3"]}, "holds words, which have no order"),
    ],
)
def test_queries(api: Api, query: str, more: dict, said: str) -> None:
    answer = api.client.post("/api/search", content=json.dumps({"query": query, **more}), headers=JSON)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize("column", ["path", "source_file", "where_it_came_from", "source_files"])
def test_no_condition_asks_for_a_path(api: Api, files: list[Path], column: str) -> None:
    for condition in (f"{column}={files[0]}", f"{column}!="):
        assert "the index has no column" in api.refused("a", where=[condition])
    assert "path" not in api.refused("a", where=["pth=1"])
    assert "source_file" not in api.refused("a", where=["sourcefile=1"])


def test_no_condition_asks_for_what_is_hidden_beside_what_is_shown(tmp_path: Path) -> None:
    table = pd.DataFrame({"track_id": ["/home/me/a.wav"], "notes.path": ["/home/me/a"], "notes.kind": ["live"]})
    segments = pd.DataFrame({"track_id": table["track_id"], "start": 0.0, "end": 1.0})
    index = SearchIndex.build(tmp_path, np.ones((1, 4), np.float32), segments, table, "m")
    catalogue = Catalogue(SimpleNamespace(index=index))
    catalogue.check(parse("notes.kind=live"))
    for condition in ("note=live", "notes.path=x"):
        with pytest.raises(InputError, match="the index has no column"):
            catalogue.check(parse(condition))
    assert catalogue.tells_paths


def test_ids_that_are_no_paths_tell_none(asker: Asker) -> None:
    assert not Catalogue(asker).tells_paths


def test_no_answer_holds_a_path_of_the_host(client: TestClient, files: list[Path], asker: Asker) -> None:
    home = str(files[0].parent)
    asked = [
        client.get("/api/info"),
        client.post("/api/search", json={"query": "a", "k": 12}),
        client.post("/api/search", json={"query": "id:t0 +slower", "k": 12}),
        client.post("/api/search/upload", content=files[0].read_bytes()),
        client.post("/api/search/upload", content=files[0].read_bytes(), params={"start": 9}),
        client.post("/api/search/upload", content=files[0].read_bytes(), params={"start": 2, "stop": 1}),
        client.post("/api/search/upload", content=b"RIFF" + bytes(99)),
        client.get("/api/track", params={"id": "t1"}),
        client.get("/api/audio", params={"id": "none"}),
        client.get("/metrics"),
        client.get("/health"),
    ]
    for answer in asked:
        told = answer.text + str(answer.headers)
        for path in (home, "/tmp", "crossmodal-", str(asker.index.folder)):
            assert path not in told, told


def test_uploads_that_are_no_music(client: TestClient) -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("music.wav", bytes(10**7))
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE)
    whole = written(noise)
    bodies = {
        b"": "is empty",
        zipped.getvalue(): "is not audio",
        b"#!/bin/sh": "is not audio",
        b"\x00\x00\x00\x20ftypM4A " + bytes(64): "",
        whole[:20]: "",
        whole[: len(whole) // 2]: "is truncated",
        written(noise, kind="OGG")[:2000]: "",
        written(np.zeros(RATE)): "is silent",
        written(noise[:10]): "at least 0.1 s",
        written(np.zeros((RATE, 9))): "of 9 channels",
        whole[:24] + (1).to_bytes(4, "little") + whole[28:]: "says 1 Hz",
        whole[:24] + (2**31).to_bytes(4, "little") + whole[28:]: "",
    }
    for body, said in bodies.items():
        answer = client.post("/api/search/upload", content=body)
        assert answer.status_code in (413, 422), answer.text
        assert said in answer.json()["detail"], answer.text


@pytest.mark.slow
def test_ten_hours_in_a_small_file_are_not_decoded(client: TestClient) -> None:
    file, minute = io.BytesIO(), np.zeros(60 * 8000, np.int16)
    with soundfile.SoundFile(file, "w", 8000, 1, format="FLAC") as out:
        for _ in range(10 * 60):
            out.write(minute)
    assert len(file.getvalue()) < 10**7
    tracemalloc.start()
    begun = time.monotonic()
    answer = client.post("/api/search/upload", content=file.getvalue())
    took, (_, peak) = time.monotonic() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, answer.json()["detail"]) == (413, "the upload lasts 36000 s; 600 s are allowed")
    assert took < 5
    assert peak < 50 * 2**20


@pytest.mark.slow
def test_much_sound_in_a_small_file_takes_bounded_memory(client: TestClient) -> None:
    """Ten minutes at 48 kHz in stereo, nearly all of it silence: 230 MB of samples in less than one."""
    samples = np.zeros((600 * 48_000, 2), np.int16)
    samples[:48_000] = np.random.default_rng(0).normal(0, 3000, (48_000, 2))
    body = written(samples, 48_000, "FLAC")
    del samples
    assert len(body) < 10**6
    tracemalloc.start()
    begun = time.monotonic()
    answer = client.post("/api/search/upload", content=body, params={"k": 1})
    took, (_, peak) = time.monotonic() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 200, answer.text
    assert peak < 250 * 2**20
    assert took < 60


@pytest.mark.slow
def test_headers_that_lie_are_not_believed(client: TestClient) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE)
    wav, flac = written(noise), bytearray(written(noise, kind="FLAC"))
    for size in (2**32 - 1, 2**31, 0, 7):  # of the data, as the header tells it
        answer = client.post("/api/search/upload", content=wav[:40] + size.to_bytes(4, "little") + wav[44:])
        assert answer.status_code in (200, 413, 422), answer.text
    for count in (0, 1, 2**36 - 1, RATE * 3600):  # of the samples: 36 bits of STREAMINFO
        flac[21:26] = bytes([flac[21] & 0xF0 | count >> 32]) + (count & 0xFFFFFFFF).to_bytes(4, "big")
        answer = client.post("/api/search/upload", content=bytes(flac))
        assert answer.status_code in (200, 413, 422), answer.text


@pytest.mark.slow
def test_a_body_has_a_size(asker: Asker) -> None:
    with TestClient(create(limited(asker, upload_bytes=1000))) as client:
        answer = client.post("/api/search/upload", content=bytes(1001))
        assert (answer.status_code, answer.json()["detail"]) == (413, "the body has 1001 bytes; 1000 are allowed")
        answer = client.post("/api/search/upload", content=(bytes(100) for _ in range(11)))  # it says no length
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
        answer = client.post("/api/search", content=b'{"query": "' + b"a" * 70_000, headers=JSON)
        assert answer.status_code == 413


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"query": 1e999}', b'{"k": NaN}']
)
def test_bodies_that_are_no_question(client: TestClient, body: bytes) -> None:
    answer = client.post("/api/search", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"detail"}


def test_tracks_that_are_not_there(client: TestClient) -> None:
    for path in ("track", "audio", "waveform"):
        for track in ("t99", "/etc/passwd", "../../etc/passwd", "0.wav", "\x00", "a" * 1000):
            answer = client.get(f"/api/{path}", params={"id": track})
            assert answer.status_code == 404, (path, track)
            assert "the index has no track" in answer.json()["detail"]
        assert client.get(f"/api/{path}").status_code == 422
        assert client.get(f"/api/{path}", params={"id": "a" * 1001}).status_code == 422
    assert client.get("/api/nothing").json() == {"detail": "Not Found"}
    assert client.delete("/api/info").json() == {"detail": "Method Not Allowed"}


def test_without_the_token_only_the_page_is_there(locked: TestClient) -> None:
    for path in ("/api/info", "/api/audio?id=t0", "/metrics", "/docs", "/openapi.json", "/nothing", "/pages"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": "a=b; ;"}):
            answer = locked.get(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert locked.get(path, headers={"cookie": f"crossmodal_session={TOKEN}"}).status_code == 401
        assert locked.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)
    assert locked.post("/api/search", json={"query": "a"}).status_code == 401
    for path in ("/health", "/", "/page/app.js"):
        assert locked.get(path).status_code in (200, 404)


def test_a_session_is_a_cookie_that_is_not_the_token(locked: TestClient, client: TestClient) -> None:
    assert locked.post("/api/session", json={"token": "wrong"}).status_code == 401
    assert locked.get("/api/info").status_code == 401
    opened = locked.post("/api/session", json={"token": TOKEN})
    assert opened.status_code == 204
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert locked.get("/api/info").status_code == 200
    locked.cookies.clear()
    answer = client.post("/api/session", json={"token": ""})
    assert (answer.status_code, "set-cookie" in answer.headers) == (204, False)


def test_other_names_and_other_sites_are_refused(locked: TestClient) -> None:
    for good in ("127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST:1"):
        assert locked.get("/health", headers={"host": good}).status_code == 200, good
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[", "localhost@evil"):
        assert locked.get("/health", headers={"host": host}).status_code == 400, host
    key = {"authorization": f"Bearer {TOKEN}"}
    for site, status in {"cross-site": 400, "same-site": 400, "same-origin": 200, "none": 200}.items():
        assert locked.get("/api/info", headers={**key, "sec-fetch-site": site}).status_code == status
    assert locked.get("/health", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_headers(client: TestClient) -> None:
    for path in ("/health", "/docs", "/nothing", "/api/audio?id=t0"):
        headers = client.get(path, headers={"origin": "https://evil.example"}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert "access-control-allow-origin" not in headers


def test_a_failure_tells_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(lanes.asyncio, "wrap_future", fail)
    answer = client.post("/api/search", json={"query": "a"})
    said = {"detail": "something went wrong here; the server's log says what"}
    assert (answer.status_code, answer.json()) == (500, said)
    assert "/secret/place" in caplog.text
