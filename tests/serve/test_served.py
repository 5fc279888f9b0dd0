"""What is behind the API: queries answered together, lanes with a limit, an index that changes, and what is counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from fastapi import HTTPException
from library import build, limited
from starlette.testclient import TestClient

from crossmodal.asking import Answer, Asker, Wishes
from crossmodal.errors import InputError
from crossmodal.filters import parse as where
from crossmodal.model import DualEncoder
from crossmodal.queries import parse
from crossmodal.serve import metrics, plane, sounds
from crossmodal.serve.app import create
from crossmodal.serve.lanes import Lane, called
from crossmodal.serve.served import Asked, Served
from crossmodal.serve.server import is_loopback, names_of

WISHES = (
    Wishes(k=5),
    Wishes(k=3),
    Wishes(k=5, where=tuple(where("year>=1995"))),
    Wishes(per_artist=1),
    Wishes(match="late"),
)


@pytest.mark.slow
def test_together_as_alone(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tracks, and scores up to the rounding of float32 in batches of another size."""
    texts = [f"{'a very slow ' * (i % 7)}piano {i} -drums" for i in range(40)]
    queries = [parse(text, files=False) for text in texts]
    wishes = [WISHES[i % len(WISHES)] for i in range(len(texts))]
    alone = [asker.ask(query, wish) for query, wish in zip(queries, wishes, strict=True)]
    calls: dict[str, int] = {"embed_text": 0, "search": 0}
    for owner, name in ((asker.model, "embed_text"), (asker.index, "search")):
        monkeypatch.setattr(owner, name, _counted(calls, name, getattr(owner, name)))
    jobs = [Asked(query, wish) for query, wish in zip(queries, wishes, strict=True)]
    together: list[Answer] = Served(asker, "x")._answered(jobs)
    assert calls["embed_text"] == 1
    assert calls["search"] <= 3 + 8 * 4 + 8  # one for each of three equal wishes; the others are each a query's own
    for one, other in zip(alone, together, strict=True):
        assert [hit.track_id for hit in one.hits] == [hit.track_id for hit in other.hits]
        assert [hit.score for hit in one.hits] == pytest.approx([hit.score for hit in other.hits], abs=2e-6)


def _counted(calls: dict[str, int], name: str, of: Callable) -> Callable:
    def call(*args, **more):
        calls[name] += 1
        return of(*args, **more)

    return call


def test_one_that_fails_fails_alone(asker: Asker) -> None:
    bad = Asked(parse("a"), Wishes(where=tuple(where("artist>3"))))
    good = Asked(parse("a"), Wishes(k=2))
    first, second, third = Served(asker, "x")._answered([good, bad, good])
    assert isinstance(second, InputError)
    assert first == third == asker.ask(parse("a"), Wishes(k=2))


def test_a_lane_takes_what_waits_and_refuses_more() -> None:
    begin, sizes = threading.Event(), []

    def work(jobs: Sequence[int]) -> list[int]:
        begin.wait(5)
        sizes.append(len(jobs))
        return [2 * job for job in jobs]

    async def ask() -> None:
        lane: Lane[int] = Lane("test", work, most=6, batch=4)
        waiting = [asyncio.create_task(lane.do(job, 5)) for job in range(6)]
        await asyncio.sleep(0.05)
        with pytest.raises(HTTPException) as refused:
            await lane.do(6, 5)
        assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "1"})
        begin.set()
        assert await asyncio.gather(*waiting) == [0, 2, 4, 6, 8, 10]
        assert lane.inside == 0
        assert await lane.do(7, 5) == 14

    asyncio.run(ask())
    assert sum(sizes) == 7
    assert max(sizes) == 4


def test_what_takes_too_long_is_given_up_and_what_waits_is_not_begun() -> None:
    began = []

    async def ask() -> None:
        lane: Lane = Lane("test", called, most=9)
        jobs = [lambda n=n: (began.append(n), time.sleep(0.2)) for n in range(2)]
        for result in await asyncio.gather(*(lane.do(job, 0.05) for job in jobs), return_exceptions=True):
            assert isinstance(result, HTTPException)
            assert (result.status_code, result.headers) == (503, {"Retry-After": "10"})
        await asyncio.sleep(0.3)
        assert (began, lane.inside) == ([0], 0)
        with pytest.raises(KeyError):
            await lane.do(lambda: {}["x"], 1)

    asyncio.run(ask())


@pytest.mark.slow
def test_too_many_are_told_to_come_again(asker: Asker) -> None:
    with TestClient(create(limited(asker, texts=0, sounds=0, files=0))) as client:
        for answer in (
            client.post("/api/search", json={"query": "a"}),
            client.post("/api/search/upload", content=b"x"),
            client.post("/api/search", json={"query": "id:t0"}),
            client.get("/api/waveform", params={"id": "t0"}),
            client.get("/api/map"),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_what_changes_is_served(model: DualEncoder, files: list[Path], tmp_path: Path) -> None:
    built = build(tmp_path, model, files[:5])
    served = Served(Asker(built.open(tmp_path), model), "x")
    before = served.catalogue
    served.refresh()
    assert served.catalogue is before
    built.delete(["t1"])
    served.refresh()
    served.refresh()
    assert [len(before.index), len(served.catalogue.index)] == [5, 4]
    with pytest.raises(InputError):
        served.catalogue.track("t1")
    assert before.track("t1")
    build(tmp_path, model, files[:7])
    served.refresh()
    assert len(served.catalogue.index) == 7
    after = served.catalogue
    served.refresh()
    assert served.catalogue is after  # what is known of it, such as its map, is kept
    assert "t6" in {hit.track_id for hit in served._answered([Asked(parse("a"), Wishes())])[0].hits}


def test_what_the_files_are_to_blame_for_is_not_told(
    client: TestClient, asker: Asker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise InputError(f"the files of {asker.index.folder} do not agree with each other")

    monkeypatch.setattr(asker.index, "search", broken)
    answer = client.post("/api/search", json={"query": "a"})
    assert answer.status_code == 500
    assert str(asker.index.folder) not in answer.text
    assert str(asker.index.folder) in caplog.text


@pytest.mark.slow
def test_what_cannot_be_read_leaves_what_was_there(
    model: DualEncoder, files: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(tmp_path, model, files[:5])
    served = Served(Asker(build(tmp_path, model, files[:5]), model), "x")
    current = (tmp_path / "CURRENT").read_bytes()
    (tmp_path / "CURRENT").write_text("nothing")
    for _ in range(3):
        served.refresh()
    assert len(caplog.records) == 1
    with TestClient(create(served)) as client:
        assert client.get("/health").json()["status"] == "stale"
        assert client.post("/api/search", json={"query": "a"}).status_code == 200
        assert "crossmodal_index_stale 1" in client.get("/metrics").text
    (tmp_path / "CURRENT").write_bytes(current)
    served.refresh()
    assert not served.stale


def test_the_watch_goes_on_whatever_goes_wrong(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    served, states = Served(asker, "x"), iter([ValueError("odd"), MemoryError()])
    with monkeypatch.context() as patch:
        patch.setattr(type(asker.index), "refreshed", lambda _: (_ for _ in ()).throw(next(states)))
        served._seen = ()
        served.refresh()
        served.refresh()
    assert served.stale
    served.refresh()
    assert not served.stale


def test_what_failed_once_is_tried_again(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestClient(create(Served(asker, "x"))) as client:
        asked = ("/api/waveform?id=t0", "/api/map")
        with monkeypatch.context() as patch:
            for module, name in ((sounds, "wave"), (plane, "places")):
                patch.setattr(module, name, _failing)
            assert [client.get(path).status_code for path in asked] == [500, 500]
        assert [client.get(path).status_code for path in asked] == [200, 200]


def _failing(*_: object) -> None:
    raise OSError("the disk is gone")


def test_requests_are_counted(served: Served) -> None:
    with TestClient(create(served)) as client:
        for _ in range(3):
            client.post("/api/search", json={"query": "a"})
        client.get("/api/track", params={"id": "none"})
        client.get("/no/such/page")
        client.request("HACK", "/health")
        lines = client.get("/metrics").text.splitlines()
    assert 'crossmodal_requests_total{route="/api/search",method="POST",status="200"} 3' in lines
    assert 'crossmodal_requests_total{route="/api/track",method="GET",status="404"} 1' in lines
    assert 'crossmodal_requests_total{route="other",method="GET",status="404"} 1' in lines
    assert 'crossmodal_errors_total{route="/api/track"} 1' in lines
    assert 'crossmodal_request_seconds_count{route="/api/search"} 3' in lines
    assert 'crossmodal_request_seconds_bucket{route="/api/search",le="+Inf"} 3' in lines
    assert any(line.startswith('crossmodal_queue_depth{lane="words"}') for line in lines)
    assert any(line.startswith("crossmodal_batch_size_count") for line in lines)
    assert not any("HACK" in line for line in lines)


def test_a_histogram_adds_up() -> None:
    lines = metrics.histogram("x", {"a": 'q"\n'}, (1, 2.5), [3, 0, 4], 12345678.5)
    assert lines == [
        'x_bucket{a="q\\"\\n",le="1"} 3',
        'x_bucket{a="q\\"\\n",le="2.5"} 3',
        'x_bucket{a="q\\"\\n",le="+Inf"} 7',
        'x_sum{a="q\\"\\n"} 12345678.5',
        'x_count{a="q\\"\\n"} 7',
    ]


def test_hosts() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.2", "example.org", "")] == [False] * 5
    assert names_of("0.0.0.0") is None
    assert "127.0.0.2" in (names_of("127.0.0.2") or ())


def test_times_are_of_the_right_bucket() -> None:
    counted = metrics.Metrics()
    for seconds in (0.001, 0.002, 0.0021, 100.0):
        counted.seen("/x", "GET", 200, seconds)
    text = counted.text({})
    assert 'le="0.002"} 2' in text
    assert 'le="0.005"} 3' in text
    assert 'le="30"} 3' in text
    assert np.isclose(float(text.split("crossmodal_request_seconds_sum")[1].split()[1]), 100.0051)
