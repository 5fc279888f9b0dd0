"""What heads are shown beside whole tracks: how loud segments are, and crops that begin anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import Trained

from crossmodal.audio.frontends import LogMel
from crossmodal.audio.frontends.cqt import CQT
from crossmodal.audio.frontends.raw import Raw
from crossmodal.embedding import Embedded
from crossmodal.evaluation import open_run

RATE = 16_000


@pytest.fixture(scope="module")
def embedded(trained: Trained) -> Embedded:
    return open_run(trained.folder)[1]


@pytest.mark.parametrize(
    "frontend",
    [LogMel(RATE), LogMel(RATE, channels=2, norm="slaney"), CQT(RATE), Raw(RATE), Raw(RATE, channels=2)],
    ids=lambda frontend: f"{type(frontend).__name__}{frontend.channels}",
)
def test_power_tells_levels_apart_and_silence_has_none(frontend) -> None:
    """Noise of three levels: differences in dB are those of the root mean squares."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(frontend.channels, RATE)).astype(np.float32) / 4
    with torch.inference_mode():
        power = [
            float(frontend.power(frontend.forward(torch.from_numpy(gain * noise)).numpy()).mean())
            for gain in (1.0, 0.5, 0.1, 0.0)
        ]
    assert 10 * np.log10(power[1] / power[0]) == pytest.approx(20 * np.log10(0.5), abs=0.2)
    assert 10 * np.log10(power[2] / power[0]) == pytest.approx(-20, abs=0.5)
    assert power[3] == 0


def test_features_of_16_bits_know_silence_too() -> None:
    frontend = LogMel(RATE, floor_db=-77.3)
    with torch.inference_mode():
        stored = frontend.forward(torch.zeros(1, RATE)).numpy().astype(np.float16).astype(np.float32)
    assert (frontend.power(stored) == 0).all()


def test_levels_are_those_of_a_plain_loop_over_segments(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    levels, vectors = embedded.levels("test"), embedded.vectors("test")
    assert [len(level) for level in levels] == [len(track.weights) for track in vectors.tracks]
    track_id, frontend = vectors.track_ids[2], embedded.model.audio_encoder.frontend
    frames = np.asarray(embedded.store[track_id], dtype=np.float64)
    power = (10 ** (frames / 10)).sum(axis=1)
    rate = frontend.frame_rate
    for level, (start, end) in zip(levels[2], vectors.tracks[2].bounds, strict=True):
        first, last = round(start * rate), round(end * rate)
        assert level == pytest.approx(10 * np.log10(power[first:last].mean() / power.mean()), abs=0.2)
    assert embedded.levels("test") is levels
    monkeypatch.setattr(frontend, "power", lambda frames: np.zeros(len(frames)))
    embedded.forget()
    embedded._levels.clear()
    assert all((level == 0).all() for level in embedded.levels("test"))  # of nothing but silence
    monkeypatch.undo()
    embedded._levels.clear()


def test_crops_are_segments_of_the_track_that_begin_anywhere(embedded: Embedded) -> None:
    first, again, other = (embedded.crops("test", seed) for seed in (0, 0, 1))
    assert first is again
    assert first.track_ids == embedded.vectors("test").track_ids
    assert all(len(track.weights) == 1 and track.weights[0] == 1 for track in first.tracks)
    assert not np.allclose(first.features, other.features)
    rng, model = np.random.default_rng(0), embedded.model
    frontend, window = model.audio_encoder.frontend, model.window
    for track_id, track in zip(first.track_ids, first.tracks, strict=True):
        frames = np.asarray(embedded.store[track_id], dtype=np.float32)
        start = int(rng.integers(frontend.hops(len(frames)) - window + 1))
        wanted = next(model.embed_features([frames[start : start + window + 1]]))
        assert track.features == pytest.approx(wanted.features, abs=1e-4)
    embedded.forget()
    assert embedded.crops("test", 0) is not first


def test_a_crop_of_a_short_track_is_the_track(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(embedded.model), "window", property(lambda model: 10_000))
    embedded.forget()
    crops, whole = embedded.crops("test", 0), embedded.vectors("test")
    assert crops.features == pytest.approx(whole.features, abs=1e-6)
    embedded.forget()
