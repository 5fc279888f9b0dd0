"""The presets against the authors' own steps, in torchaudio's functions and plain numpy."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from torchaudio.functional import melscale_fbanks

from crossmodal.audio.frontends import PRESETS, LogMel, build, described

NAMES = sorted(PRESETS)


def sound(rate: int) -> np.ndarray:
    """A second of noise and a tone."""
    rng = np.random.default_rng(3)
    return (rng.standard_normal(rate) * 0.1 + np.sin(np.arange(rate) * 0.3) * 0.2).astype(np.float32)


def originals(samples: np.ndarray, window: int, hop: int, f_min: float, f_max: float, scale: str) -> np.ndarray:
    """Mel power as the authors have it, with an FFT as long as the window, ``(frames, bands)``."""
    padded = np.pad(samples.astype(np.float64), window // 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, len(padded) - window + 1, hop)
    power = np.stack([np.abs(np.fft.rfft(padded[start : start + window] * hann)) ** 2 for start in starts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands
        filters = melscale_fbanks(window // 2 + 1, f_min, f_max, 128, 16_000, None, scale)
    return power @ filters.double().numpy()


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_can_be_built_and_described(name):
    frontend = build(name)
    assert isinstance(frontend, LogMel)
    assert build(described(frontend)).fingerprint == frontend.fingerprint
    assert build({"name": name, "hop": 200}).settings == {**frontend.settings, "hop": 200}
    found = frontend(torch.zeros(3, frontend.channels, frontend.sample_rate))
    assert found.shape == (3, frontend.frames(frontend.sample_rate), *frontend.shape)
    assert (found - frontend.silence).abs().max() < 1e-4
    assert frontend.settings.items() >= {key: value for key, value in PRESETS[name].items() if key != "name"}.items()


@pytest.mark.parametrize(
    ("name", "rate", "seconds", "shape"),
    [
        ("sslismir", 16_000, 3.0, (301, 128)),
        ("deezer", 16_000, 4.0, (126, 128)),
        ("clmr_tf", 16_000, 3.69, (231, 128)),
        ("schindler", 22_050, 216 * 256 / 22_050, (217, 2, 128)),
    ],
)
def test_shapes_are_those_of_the_papers(name, rate, seconds, shape):
    frontend = build(name)
    assert frontend.sample_rate == rate
    assert (frontend.frames(round(seconds * rate)), *frontend.shape) == shape


@pytest.mark.parametrize(
    ("name", "window", "hop", "f_min", "floor"), [("sslismir", 400, 160, 50.0, 1e-8), ("clmr_tf", 512, 256, 0.0, 1e-10)]
)
def test_zero_padding_keeps_the_bands_at_twice_the_power(name, window, hop, f_min, floor):
    frontend, samples = build(name), sound(16_000)
    theirs = originals(samples, window, hop, f_min, 8000.0, "htk")
    found = frontend(torch.from_numpy(samples)[None]).numpy()
    ratio = frontend.n_fft / window
    wide = slice(100, None)  # bands with several of the bins of the short window
    expected = 10 * np.log10(theirs[:, wide] * ratio)
    assert np.abs(np.median(found[:, wide] - expected)) < 0.05
    assert (theirs.max(0) == 0).any()  # the original's empty bands
    assert (found.max(0) > frontend.silence + 20).all()
    assert frontend.silence == pytest.approx(10 * math.log10(floor * ratio), abs=0.02)


def slaney_filters(bins: int, f_max: float, bands: int, rate: int) -> np.ndarray:
    """Triangles between points that are evenly spaced on Slaney's mel scale, ``(bins, bands)``, one by one."""

    def mel(hz: float) -> float:
        return hz / (200 / 3) if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)

    def hz(mels: float) -> float:
        return mels * 200 / 3 if mels < 15 else 1000 * math.exp((mels - 15) * math.log(6.4) / 27)

    points = [hz(mel(f_max) * number / (bands + 1)) for number in range(bands + 2)]
    filters = np.zeros((bins, bands))
    for band in range(bands):
        low, centre, high = points[band : band + 3]
        for number in range(bins):
            frequency = number * rate / 2 / (bins - 1)
            if low < frequency < high:
                rising = frequency <= centre
                filters[number, band] = (
                    (frequency - low) / (centre - low) if rising else (high - frequency) / (high - centre)
                )
    return filters


def test_deezers_decibels_are_a_constant_lower():
    frontend, samples = build("deezer"), sound(16_000)
    squares = (torch.hann_window(1024) ** 2).sum().item()
    theirs = 10 * np.log10(np.maximum(originals(samples, 1024, 512, 0.0, 11_025.0, "slaney") / squares, 1e-10))
    found = frontend(torch.from_numpy(samples)[None]).numpy()
    np.testing.assert_allclose((found - theirs)[:, :117], 10 * math.log10(384), atol=2e-3)
    assert frontend.silence == pytest.approx(10 * math.log10(1e-10 * 384), abs=0.2)
    assert (theirs[:, 117:] == -100).all()  # 11 bands lie above 8000 Hz
    assert (found[:, 117:] == np.float32(frontend.silence)).all()


def test_deezers_filters_are_those_of_their_definition():
    frontend = build("deezer")
    plain = slaney_filters(513, 11_025.0, 128, 16_000)
    assert np.flatnonzero(plain.sum(0) == 0).tolist() == list(range(117, 128))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty bands
        torchaudios = melscale_fbanks(513, 0.0, 11_025.0, 128, 16_000, None, "slaney").numpy()
    # of a float32 frequency of thousands of Hz in a band of tens of Hz
    np.testing.assert_allclose(torchaudios, plain, atol=1e-4)
    ours = np.concatenate([np.zeros((513, group.filters.shape[1])) for group in frontend.groups], axis=1)
    for number, group in enumerate(frontend.groups):
        ours[group.low : group.high, 16 * number : 16 * number + 16] = group.filters.numpy()
    assert np.array_equal(ours.astype(np.float32), torchaudios)


def test_schindlers_channels_keep_level_and_balance():
    frontend, samples = build("schindler"), torch.from_numpy(sound(22_050))
    found = frontend(torch.stack([samples, samples / 10]))
    torch.testing.assert_close(found[:, 0] - found[:, 1], torch.full((87, 128), 20.0), atol=1e-2, rtol=0)
