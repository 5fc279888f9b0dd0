"""A server of uvicorn's, on a port: clients that are slow, lie or are many."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import httpx2
import pandas as pd
import pytest
import uvicorn
from library import limited

from crossmodal.asking import Asker
from crossmodal.search import SearchIndex
from crossmodal.serve.app import create
from crossmodal.serve.limits import Limits
from crossmodal.serve.protocol import bounded
from crossmodal.serve.served import Served

pytestmark = pytest.mark.slow


@contextmanager
def running(served: Served) -> Iterator[int]:
    """The port of a server in a thread of this process."""
    config = uvicorn.Config(create(served), port=0, http=bounded(served.limits), ws="none", log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
    assert not thread.is_alive()


def ended(connection: socket.socket, most: float) -> tuple[bytes, float]:
    """What comes until the server closes the connection, and how long that took."""
    begun, told = time.monotonic(), b""
    connection.settimeout(most)
    try:
        while block := connection.recv(65536):
            told += block
    except ConnectionResetError:
        pass
    return told, time.monotonic() - begun


def trickled(port: int, head: bytes, drip: bytes, every: float = 0.05, most: float = 5.0) -> tuple[bytes, float]:
    """What the server says to one who sends so slowly, and when it has enough."""
    begun, told = time.monotonic(), b""
    with socket.create_connection(("127.0.0.1", port), most) as connection:
        connection.sendall(head)
        connection.settimeout(every)
        while time.monotonic() < begun + most:
            try:
                connection.sendall(drip)
                block = connection.recv(65536)
                if not block:
                    break
                told += block
            except TimeoutError:
                continue
            except OSError:
                break
    return told, time.monotonic() - begun


JSON = {"Content-Type": "application/json"}
POST = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def test_slow_heads_bodies_and_readers(asker: Asker, files) -> None:
    served = limited(asker, header_s=0.5, body_s=0.5, stalled_s=0.7, body_rate=10_000)
    with running(served) as port:
        with socket.create_connection(("127.0.0.1", port)) as silent:  # says nothing at all
            told, took = ended(silent, 5)
        assert (told, 0.3 < took < 2) == (b"", True)
        told, took = trickled(port, b"GET /health HTTP/1.1\r\nHost: x\r\n", b"a")
        assert (told, took < 2) == (b"", True)
        for path in (b"/api/search", b"/api/search/upload"):
            told, took = trickled(port, POST % (path, 50_000), b"{")
            assert (told[:12], took < 3) == (b"HTTP/1.1 408", True), path
            assert b"connection: close" in told
        told, took = trickled(port, POST % (b"/api/session", 50_000) + b"x", b"{", most=4)
        assert (told[:12], took < 3) == (b"HTTP/1.1 408", True)
        told, took = trickled(
            port, POST % (b"/api/nothing", 10**6), b"{"
        )  # answered at once; the rest is not read for ever
        assert (told[:12], took < 3) == (b"HTTP/1.1 404", True)
        health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
        told, took = trickled(port, health, b"G", most=5)  # the next request begins and does not end
        assert (told[:15], took < 3) == (b"HTTP/1.1 200 OK", True)


def test_an_upload_that_is_slow_but_steady_is_taken(asker: Asker, files) -> None:
    body = files[4].read_bytes()
    with running(limited(asker, body_s=0.3, body_rate=20_000)) as port:
        blocks = [body[at : at + 8000] for at in range(0, len(body), 8000)]

        def steady() -> Iterator[bytes]:
            for block in blocks:
                time.sleep(0.1)
                yield block

        with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("POST", "/api/search/upload", steady(), {"Content-Length": str(len(body))})
            answer = connection.getresponse()
            assert (answer.status, len(blocks) > 5) == (200, True), answer.read()


def test_one_who_does_not_read_is_left(asker: Asker, files, tmp_path) -> None:

    big = tmp_path / "big.wav"
    with big.open("wb") as file:
        file.truncate(64 * 2**20)
    tracks = pd.DataFrame([{"track_id": "big", "path": str(big)}])
    segments = pd.DataFrame([{"track_id": "big", "start": 0.0, "end": 1.0}])
    vector = asker.index.segments("t0")[1][:1]
    index = SearchIndex.build(tmp_path / "index", vector, segments, tracks, asker.model.fingerprint)
    with running(limited(Asker(index, asker.model), stalled_s=0.5)) as port:
        with socket.create_connection(("127.0.0.1", port)) as lazy:
            lazy.sendall(b"GET /api/audio?id=big HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(1.5)
            told, _ = ended(lazy, 5)
        assert 0 < len(told) < 60 * 2**20
        assert len(httpx2.get(f"http://127.0.0.1:{port}/api/audio?id=big").content) == 64 * 2**20


def test_lengths_that_lie(asker: Asker, files) -> None:
    body = files[4].read_bytes()
    with running(limited(asker, upload_bytes=100_000, body_s=0.5)) as port:
        told, _ = trickled(port, POST % (b"/api/search/upload", 10**12), b"")
        assert b"HTTP/1.1 413" in told
        told, _ = trickled(port, POST % (b"/api/search/upload", len(body) + 1) + body, b"")  # one byte more is said
        assert told.startswith(b"HTTP/1.1 408")
        told, _ = trickled(port, POST % (b"/api/search/upload", 1000) + body, b"")  # fewer are said
        assert told.startswith(b"HTTP/1.1 422")
        with socket.create_connection(("127.0.0.1", port)) as gone:  # it says much, and leaves
            gone.sendall(POST % (b"/api/search/upload", 90_000) + body[:1000])
        chunked = POST.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked") % b"/api/search/upload"
        told, _ = trickled(port, chunked, b"10000\r\n" + bytes(0x10000) + b"\r\n", 0.01)
        assert b"HTTP/1.1 413" in told
        for head in (b"-1", b"1e3", b"99999999999999999999999", b"5, 6"):
            told, _ = trickled(port, POST.replace(b"%d", head) % b"/api/search", b"", most=2)
            assert told[:10] == b"HTTP/1.1 4", head
        metrics = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'status="500"' not in metrics


def test_more_connections_than_there_may_be(asker: Asker) -> None:
    with running(limited(asker, connections=5)) as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", port)) as sixth:
            told, _ = ended(sixth, 5)
        assert told.startswith(b"HTTP/1.1 429")
        assert json.loads(told.split(b"\r\n\r\n")[1])["detail"].startswith("too many connections")
        for connection in held:
            connection.close()
        time.sleep(0.2)
        assert httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200


def test_fifty_clients_at_once(asker: Asker, capsys: pytest.CaptureFixture[str]) -> None:
    expected = {hit.track_id for hit in asker.index.search(asker.model.embed_text(["a slow piano"]), 3)[0]}

    def ask(port: int, number: int) -> list[float]:
        took = []
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            for turn in range(10):
                query = "a slow piano" if turn % 2 else f"drums {number} {turn}"
                begun = time.perf_counter()
                connection.request("POST", "/api/search", json.dumps({"query": query, "k": 3}), JSON)
                answer = connection.getresponse()
                found = json.loads(answer.read())
                took.append(time.perf_counter() - begun)
                assert answer.status == 200, found
                assert turn % 2 == 0 or {hit["track_id"] for hit in found["hits"]} == expected
        return took

    served = Served(asker, "x", limits=Limits())
    with running(served) as port, ThreadPoolExecutor(50) as pool:
        took = sorted(one for all_ in pool.map(lambda number: ask(port, number), range(50)) for one in all_)
    batched = sum(count for size, count in enumerate(served.words.sizes) if size > 1)
    with capsys.disabled():
        p99 = took[round(0.99 * len(took)) - 1]
        print(
            f"\n50 clients, {len(took)} requests: median {1e3 * statistics.median(took):.0f} ms, p99 {1e3 * p99:.0f} ms"
        )
    assert len(took) == 500
    assert batched > 0
