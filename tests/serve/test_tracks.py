"""A track's own: its metadata, its bytes in ranges, its waveform, and its place on the map."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from library import ODD, build
from starlette.testclient import TestClient

from crossmodal.asking import Asker
from crossmodal.serve import plane, sounds
from crossmodal.serve.app import create
from crossmodal.serve.served import Served


@pytest.fixture
def audio(client: TestClient) -> Callable:
    def ask(method: str = "GET", track: str = "t1", **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.request(method, "/api/audio", params={"id": track}, headers=named)

    return ask


def test_a_track(client: TestClient, asker: Asker) -> None:
    for name in ("t1", ODD):
        track = client.get("/api/track", params={"id": name}).json()
        assert track["track_id"] == name
        assert track["segments"] == asker.index.segments(name)[0].tolist()
        assert set(track["metadata"]) == {"year", "languages", "tags.mood"}
    assert client.get("/api/track", params={"id": "t0"}).json()["metadata"]["year"] is None


def test_audio_in_ranges(audio: Callable, files: list[Path]) -> None:
    whole = files[1].read_bytes()
    size = len(whole)
    answer = audio()
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, whole, "audio/wav")
    for asked, (start, stop) in {
        "bytes=0-99": (0, 100),
        "bytes=100-": (100, size),
        "bytes=-10": (size - 10, size),
        f"bytes=-{10 * size}": (0, size),
        f"bytes=9-{10 * size}": (9, size),
    }.items():
        answer = audio(range=asked)
        assert (answer.status_code, answer.content) == (206, whole[start:stop]), asked
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        head = audio("HEAD", range=asked)
        assert (head.status_code, head.content, head.headers["content-length"]) == (206, b"", str(stop - start))
    for asked in (f"bytes={size}-", "bytes=-0", f"bytes={size}-{size + 9}"):
        answer = audio(range=asked)
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")
    for asked in ("bytes=9-3", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=" + "0-," * 1000):
        assert (audio(range=asked).status_code, audio(range=asked).content) == (200, whole), asked
    assert audio(track=ODD).content == files[3].read_bytes()
    assert audio(track="t11").headers["content-type"] == "audio/ogg"


def test_a_range_is_of_the_file_that_is_known(audio: Callable, files: list[Path]) -> None:
    headers = audio("HEAD").headers
    tag, changed = headers["etag"], headers["last-modified"]
    assert headers["accept-ranges"] == "bytes"
    for known, status in ((tag, 206), (changed, 206), ('"other"', 200), (f"W/{tag}", 200)):
        assert audio(range="bytes=0-9", if_range=known).status_code == status
    assert audio(if_none_match=f'"a", {tag}').status_code == 304
    assert audio(if_none_match='"a"').status_code == 200


@pytest.mark.slow
def test_files_that_are_gone_or_are_none(
    asker: Asker, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    for number, file in enumerate(files[:8]):
        kept.append(tmp_path / file.name)
        kept[-1].write_bytes(files[number].read_bytes())
    built = build(tmp_path / "index", asker.model, kept)
    kept[0].unlink()
    kept[1].unlink()
    kept[1].mkdir()
    kept[2].write_bytes(b"no music")
    with TestClient(create(Served(Asker(built, asker.model), "few"))) as client:
        for track in ("t0", "t1"):
            for path in ("audio", "waveform"):
                answer = client.get(f"/api/{path}", params={"id": track})
                assert answer.status_code in (404, 422)
                assert str(tmp_path) not in answer.text
        assert client.get("/api/waveform", params={"id": "t2"}).status_code == 422
        assert client.post("/api/search", json={"query": "id:t0"}).status_code == 200


def test_a_waveform_holds_the_peaks(client: TestClient, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.abs(soundfile.read(files[5], dtype="float32")[0])
    calls = []
    monkeypatch.setattr(sounds, "wave", lambda *args, of=sounds.wave: calls.append(args) or of(*args))
    for bins in (1, 7, 200):
        found = client.get("/api/waveform", params={"id": "t5", "bins": bins}).json()
        assert found["duration"] == 3.5
        assert len(found["peaks"]) == bins
        edges = [round(len(samples) * edge / bins) for edge in range(bins + 1)]
        expected = [samples[start:stop].max() for start, stop in itertools.pairwise(edges)]
        assert np.mean(np.abs(np.array(found["peaks"]) - expected) < 0.002) > 0.9
        assert max(found["peaks"]) == pytest.approx(samples.max(), abs=0.001)
    assert len(calls) == 1
    for bins in (0, 2001, "x"):
        assert client.get("/api/waveform", params={"id": "t5", "bins": bins}).status_code == 422


def test_peaks_of_many_blocks_and_of_few_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.9, 0.9, 8000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 8000, subtype="FLOAT")
    monkeypatch.setattr("crossmodal.audio.decode.BLOCK", 333)
    made = sounds.wave(tmp_path / "a.wav", 100)
    assert made.peaks == pytest.approx([np.abs(samples[at : at + 80]).max() for at in range(0, 8000, 80)])
    assert len(sounds.wave(tmp_path / "a.wav", 20_000).peaks) == 8000


def test_the_map(client: TestClient, asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(plane, "places", lambda *args, of=plane.places: calls.append(args) or of(*args))
    found = client.get("/api/map").json()
    assert (found["total"], found["groups"]) == (12, ["happy", "sad"])
    assert found["columns"] == ["tags.mood", "title", "artist", "languages"]
    assert {point["id"] for point in found["points"]} == {track["track_id"] for track in asker.index.tracks}
    places = [(point["x"], point["y"]) for point in found["points"]]
    assert np.abs(places).max() <= 1
    assert np.ptp(places, axis=0).max() > 1
    coloured = client.get("/api/map", params={"colour": "artist"}).json()
    assert coloured["groups"] == ["Großvater", "Sezen Aksu"]
    assert [(point["x"], point["y"]) for point in coloured["points"]] == places
    assert len(calls) == 1
    assert client.get("/api/map", params={"colour": "path"}).status_code == 422
