"""Landmarks: the same wherever a recording is cut, at any gain and by way of codecs; few, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from sounds import music

from crossmodal.audio import fingerprint as module
from crossmodal.audio.decode import decode
from crossmodal.audio.fingerprint import CHUNK, HOP, OPENING, RATE, fingerprint


def agreeing(one, other):
    """Landmarks with the same hash, counted at each difference of frames: the most common one and its count."""
    deltas = [
        int(a) - int(b)
        for hash_, a in zip(one.hashes, one.frames, strict=True)
        for b in other.frames[other.hashes == hash_]
    ]
    values, counts = np.unique(deltas, return_counts=True)
    return (int(values[counts.argmax()]), int(counts.max())) if deltas else (0, 0)


def test_arrays_are_small_sorted_and_deterministic():
    one, again = fingerprint(music(20)), fingerprint(music(20))
    assert one.hashes.dtype == one.frames.dtype == np.uint32
    assert (np.diff(one.frames.astype(int)) >= 0).all()
    np.testing.assert_array_equal(one.hashes, again.hashes)
    np.testing.assert_array_equal(one.frames, again.frames)


def test_a_bounded_number_for_each_second():
    for seconds in (0.3, 2, 40):
        count = len(fingerprint(music(seconds)).hashes)
        assert 20 < count <= OPENING + 12 * (seconds + 1)


def test_silence_has_none_and_a_few_samples_do_no_harm():
    assert len(fingerprint(np.zeros(RATE, np.float32)).hashes) == 0
    assert len(fingerprint(np.zeros(0, np.float32)).hashes) == 0
    assert len(fingerprint(np.ones(5, np.float32)).frames) >= 0


@pytest.mark.parametrize("shift", [1, 77, 2_400, 2_461])
def test_a_shift_moves_the_frames_and_keeps_the_hashes(shift):
    samples = music(6)
    delta, count = agreeing(fingerprint(np.pad(samples, (shift, 0))), fingerprint(samples))
    assert abs(delta - shift / HOP) <= 1
    assert count > 50


def test_a_cut_moves_the_frames_and_keeps_the_hashes():
    samples = music(6)
    delta, count = agreeing(fingerprint(samples), fingerprint(samples[2_461:]))
    assert abs(delta - 2_461 / HOP) <= 1
    assert count > 20


def test_gain_changes_nothing():
    one, quiet = fingerprint(music(4)), fingerprint(music(4) / 4)
    np.testing.assert_array_equal(one.hashes, quiet.hashes)


@pytest.mark.parametrize(("name", "options"), [("a.mp3", {"bitrate_mode": "CONSTANT"}), ("a.ogg", {})])
@pytest.mark.parametrize("seconds", [0.3, 8])
def test_codecs_keep_many_landmarks(tmp_path, seconds, name, options):
    original = music(seconds, rate=22_050)
    soundfile.write(tmp_path / "a.wav", original, 22_050)
    soundfile.write(tmp_path / name, original, 22_050, compression_level=0.6, **options)
    one, other = (fingerprint(decode(tmp_path / file, RATE)[0]) for file in ("a.wav", name))
    assert agreeing(one, other)[1] > 20


def test_other_music_shares_almost_nothing():
    assert agreeing(fingerprint(music(20)), fingerprint(music(20, seed=1)))[1] < 4


def test_the_size_of_a_chunk_changes_nothing(monkeypatch):
    samples = music(20)
    whole = fingerprint(samples)
    assert len(samples) < CHUNK * HOP
    monkeypatch.setattr(module, "CHUNK", 100)
    parts = fingerprint(samples)
    np.testing.assert_array_equal(whole.hashes, parts.hashes)
    np.testing.assert_array_equal(whole.frames, parts.frames)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 4, 15])
def test_the_running_maximum_by_a_plain_loop(radius):
    x = np.random.default_rng(0).standard_normal((23, 3)).astype(np.float32)
    expected = [x[max(0, i - radius) : i + radius + 1].max(axis=0) for i in range(len(x))]
    np.testing.assert_array_equal(module._highest(x, radius, axis=0), expected)
    np.testing.assert_array_equal(module._highest(x.T, radius, axis=1), np.transpose(expected))


def test_hashes_are_as_many_as_codes_and_tell_the_kind():
    codes = np.arange(100_000, dtype=np.uint32)
    for kind in (0, 1):
        hashes = module._mixed(codes, kind)
        assert len(np.unique(hashes)) > 0.999 * len(codes)
        assert (hashes % 2 == kind).all()
