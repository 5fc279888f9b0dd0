"""The constant-Q front end against its definition, computed by loops, and against librosa's."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest
import torch

from crossmodal.audio.frontends import CQT, build, described
from crossmodal.errors import InputError

SMALL = {"sample_rate": 8000, "hop": 256, "bins_per_octave": 12, "f_min": 110.0, "octaves": 4, "floor_db": -80.0}
FINE = {"sample_rate": 8000, "hop": 400, "bins_per_octave": 60, "f_min": 220.0, "octaves": 4, "floor_db": -60.0}


def noise(samples: int, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def tone(hz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def plain_cqt(samples, sample_rate, hop, bins_per_octave, f_min, octaves, floor_db):
    """Brown's definition by loops in float64: each band's own windowed sum about every frame's centre."""
    q = 1 / (2 ** (1 / bins_per_octave) - 1)
    frames = []
    for centre in range(0, len(samples) + 1, hop):
        row = []
        for band in range(bins_per_octave * octaves):
            hz = f_min * 2 ** (band / bins_per_octave)
            half = int(q * sample_rate / hz / 2)
            n = np.arange(-half, half + 1)
            window = 0.5 + 0.5 * np.cos(np.pi * n / (half + 1))
            there = (centre + n >= 0) & (centre + n < len(samples))
            seen = np.zeros(len(n))
            seen[there] = samples[centre + n[there]]
            row.append(2 / window.sum() * abs((window * seen * np.exp(-2j * np.pi * n * hz / sample_rate)).sum()))
        frames.append(row)
    return np.maximum(np.array(frames), 10 ** (floor_db / 20))


def amplitudes(features) -> np.ndarray:
    return 10 ** (np.asarray(features) / 20)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("settings", [SMALL, FINE], ids=["12 bins", "60 bins"])
def test_equals_the_definition(settings, seed):
    samples = noise(9000, seed) + tone(700 + 300 * seed, 8000, 9000 / 8000)
    expected = plain_cqt(samples, **settings)
    found = CQT(**settings)(torch.from_numpy(samples)[None]).numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(amplitudes(found), expected, atol=1e-4)  # of full scale: -80 dB
    loud = expected > 0.01
    assert loud.mean() > 0.1
    np.testing.assert_allclose(found[loud], 20 * np.log10(expected[loud]), atol=0.05)


@pytest.mark.parametrize("band", [0, 100, 180, 239])
def test_a_sine_of_full_scale_is_0_db_in_its_band(band):
    frontend = CQT(**FINE)
    found = frontend(torch.from_numpy(tone(220 * 2 ** (band / 60), 8000, 2.0))[None])
    inner = found[20:-20]
    assert (inner.argmax(1) == band).all()
    assert inner[:, band].abs().max() < 0.02


def test_a_fifth_of_a_semitone_can_be_told():
    frontend = CQT(**FINE)
    tones = torch.from_numpy(np.stack([tone(440.0, 8000), tone(440 * 2 ** (1 / 60), 8000)]))
    assert frontend(tones.unsqueeze(1))[:, 10].argmax(1).tolist() == [60, 61]


@pytest.mark.parametrize("size", [1, 300, 4096, 30_000])
def test_blocks_join_to_the_whole(size):
    frontend, samples = CQT(**SMALL), noise(300 if size == 1 else 30_000, 2)
    cut = [samples[None, i : i + size] for i in range(0, len(samples), size)]
    found = np.concatenate(list(frontend.stream(cut)))
    whole = frontend(torch.from_numpy(samples)[None]).numpy()
    assert found.shape == whole.shape == (frontend.frames(len(samples)), 48)
    np.testing.assert_allclose(amplitudes(found), amplitudes(whole), atol=1e-5)


@pytest.mark.parametrize("samples", [1, 255, 256, 511, 512, 4000])
def test_frames_are_told_exactly(samples):
    frontend = CQT(**SMALL)
    assert len(frontend(torch.zeros(1, samples))) == frontend.frames(samples)
    assert sum(len(part) for part in frontend.stream([np.zeros((1, samples), np.float32)])) == frontend.frames(samples)
    assert frontend.hops(frontend.frames(samples)) == samples // 256


def test_batches_and_two_channels_are_those_of_one():
    one, both = CQT(**SMALL), CQT(**SMALL, channels=2)
    samples = torch.from_numpy(noise(3 * 2 * 5000, 3)).view(3, 2, 5000)
    found = both(samples)
    assert found.shape == (3, one.frames(5000), 2, 48) == (3, both.frames(5000), *both.shape)
    for row, channel in np.ndindex(3, 2):
        expected = one(samples[row, channel][None])
        torch.testing.assert_close(found[row, :, channel], expected, atol=1e-2, rtol=0)


def test_silence_has_its_value_also_beside_what_is_loud():
    frontend = CQT(**SMALL)
    assert frontend.silence == pytest.approx(-80)
    loud = torch.zeros(1, 40_000)
    loud[:, :8000] = torch.from_numpy(tone(440, 8000))
    found = frontend(loud)
    assert (found[-60:] - frontend.silence).abs().max() < 1e-4
    assert found[:20].max() > -1


def test_gradient_is_that_of_small_changes():
    frontend, samples = CQT(**{**SMALL, "octaves": 2}), torch.from_numpy(noise(2000, 4))[None]
    weights = torch.from_numpy(noise(frontend.frames(2000) * 24, 5)).view(-1, 24)
    leaf = samples.clone().requires_grad_()
    (frontend(leaf) * weights).sum().backward()
    way = torch.from_numpy(noise(2000, 6))[None]
    ends = [(frontend(samples + sign * 0.001 * way) * weights).sum().item() for sign in (1, -1)]
    assert (leaf.grad * way).sum().item() == pytest.approx((ends[0] - ends[1]) / 0.002, rel=0.02)
    quiet = torch.zeros(1, 2000, requires_grad=True)
    frontend(quiet).mean().backward()
    assert torch.isfinite(quiet.grad).all()


def test_bf16_autocast_does_not_touch_it():
    frontend, samples = CQT(**SMALL), torch.from_numpy(noise(4000, 7))[None]
    with torch.autocast("cpu", torch.bfloat16):
        found = frontend(samples)
    assert torch.equal(found, frontend(samples))


@pytest.mark.parametrize(
    "other",
    [
        {"sample_rate": 16_000},
        {"hop": 128},
        {"bins_per_octave": 24},
        {"f_min": 100.0},
        {"octaves": 3},
        {"floor_db": -70.0},
        {"channels": 2},
    ],
)
def test_fingerprint_changes_with_every_setting(other):
    changed = CQT(**{**SMALL, **other})
    assert changed.fingerprint != CQT(**SMALL).fingerprint
    assert set(changed.settings) == {*SMALL, "channels"}
    assert build(described(changed)).fingerprint == changed.fingerprint


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"octaves": 6}, r"the highest band, at 6645 Hz, reaches up to 7435 Hz; at .* 8000 Hz that is at most 4000"),
        ({"octaves": 5, "f_min": 130.0}, "take fewer octaves than 5, or a lower f_min than 130"),
        ({"bins_per_octave": 6}, "bins_per_octave is 6; it is at least 12"),
        ({"f_min": 0.0}, "f_min 0 Hz; hop and octaves are at least 1, f_min above 0"),
        ({"hop": 0}, "hop is 0"),
        ({"octaves": 0}, "octaves 0"),
    ],
)
def test_impossible_settings_are_refused(other, words):
    with pytest.raises(InputError, match=words):
        CQT(**{**SMALL, **other})


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("librosa") is None, reason="librosa is not installed")
def test_shape_and_peaks_are_librosas():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import librosa

        samples = tone(330, 8000, 1.6) + 0.5 * tone(1234, 8000, 1.6)
        theirs = np.abs(librosa.cqt(samples, sr=8000, hop_length=256, fmin=110.0, n_bins=144, bins_per_octave=36)).T
    found = CQT(8000, 256, 36, 110.0, 4)(torch.from_numpy(samples)[None]).numpy()
    assert found.shape == theirs.shape
    for low, high in ((0, 72), (72, 144)):  # a tone in either half
        peaks, expected = (values[12:-12, low:high].argmax(1) for values in (found, theirs))
        np.testing.assert_array_equal(peaks, expected)
    away = (found.max(1) - 20 * np.log10(theirs.max(1)))[12:-12]
    assert np.ptp(away) < 0.5
