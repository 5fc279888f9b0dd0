"""The log-mel front end against plain loops, and its settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from crossmodal.audio.frontends import LogMel
from crossmodal.errors import InputError

SEED = {"sample_rate": 22_050, "n_fft": 1024, "hop": 256, "bands": 128, "f_min": 0.0, "norm": "slaney"}


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def slaney_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def slaney_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def plain_mel(samples, sample_rate, n_fft, hop, bands, f_min, norm):
    """Slaney's mel power spectrogram by loops, in float64: Auditory Toolbox, technical report 1998-010."""
    edges = [slaney_hz(mel) for mel in np.linspace(slaney_mel(f_min), slaney_mel(sample_rate / 2), bands + 2)]
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    padded = np.pad(samples.astype(np.float64), n_fft // 2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    frames = []
    for start in range(0, len(padded) - n_fft + 1, hop):
        power = np.abs(np.fft.rfft(padded[start : start + n_fft] * window)) ** 2
        row = []
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
            triangle = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
            row.append((triangle * (2 / (high - low) if norm else 1) * power).sum())
        frames.append(row)
    return np.array(frames)


def test_equals_plain_loops():
    samples = noise(8000)
    expected = 10 * np.log10(np.maximum(plain_mel(samples, **SEED), 1e-10))
    found = LogMel(**SEED)(torch.from_numpy(samples)).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3 * np.ptp(expected)


@pytest.mark.parametrize("samples", [1, 255, 256, 511, 512, 1023, 1024, 5000, 5120])
def test_frames_are_told_exactly(samples):
    frontend = LogMel()
    assert len(frontend(torch.zeros(samples))) == frontend.frames(samples)
    assert sum(len(part) for part in frontend.stream([np.zeros((1, samples), np.float32)])) == frontend.frames(samples)


@pytest.mark.parametrize("size", [1, 100, 257, 4096, 50_000])
def test_blocks_join_to_the_whole(size):
    frontend, samples = LogMel(), noise(3000 if size == 1 else 200_000)
    cut = [samples[None, i : i + size] for i in range(0, len(samples), size)]
    found = np.concatenate(list(frontend.stream(cut)))
    np.testing.assert_allclose(found, frontend(torch.from_numpy(samples)).numpy(), atol=1e-4)


def test_stereo_blocks_keep_the_channels():
    frontend, stereo = LogMel(), np.stack([noise(9000), noise(9000, 1)])
    found = np.concatenate(list(frontend.stream([stereo])))
    assert found.shape == (36, 2, 64)
    np.testing.assert_allclose(found[:, 1], frontend(torch.from_numpy(stereo[1])).numpy(), atol=1e-4)


def test_batch_equals_single_and_shapes_are_kept():
    frontend, samples = LogMel(), torch.from_numpy(noise(6 * 4000)).view(2, 3, 4000)
    found = frontend(samples)
    assert found.shape == (2, 3, frontend.frames(4000), *frontend.shape)
    torch.testing.assert_close(found[1, 2], frontend(samples[1, 2]), atol=1e-4, rtol=0)


def test_level_is_kept_and_silence_has_its_value():
    frontend, samples = LogMel(), torch.from_numpy(noise(4000))
    torch.testing.assert_close(
        frontend(samples) - frontend(samples / 10), torch.full((16, 64), 20.0), atol=1e-3, rtol=0
    )
    assert frontend.silence == pytest.approx(-100)
    assert (frontend(torch.zeros(4000)) - frontend.silence).abs().max() < 1e-4


def test_full_scale_is_far_from_the_end_of_float16():
    loud = LogMel(**SEED)(torch.sign(torch.sin(torch.arange(8000) * 0.1)))
    assert loud.max() < 100


def test_gradient_reaches_the_samples():
    samples = torch.from_numpy(noise(3000)).requires_grad_()
    LogMel()(samples).mean().backward()
    assert torch.isfinite(samples.grad).all()
    assert samples.grad.abs().sum() > 0
    quiet = torch.zeros(3000, requires_grad=True)
    LogMel()(quiet).mean().backward()
    assert torch.isfinite(quiet.grad).all()


def test_bf16_autocast_does_not_touch_it():
    frontend, samples = LogMel(), torch.from_numpy(noise(4000))
    with torch.autocast("cpu", torch.bfloat16):
        found = frontend(samples)
    assert torch.equal(found, frontend(samples))


@pytest.mark.parametrize(
    "other",
    [
        {"sample_rate": 22_050},
        {"n_fft": 2048},
        {"hop": 160},
        {"bands": 40},
        {"f_min": 30.0},
        {"f_max": 7000.0},
        {"mel_scale": "htk"},
        {"norm": "slaney"},
        {"floor_db": -80.0},
    ],
)
def test_fingerprint_changes_with_every_setting(other):
    plain = LogMel()
    changed = LogMel(**other)
    assert changed.fingerprint != plain.fingerprint
    assert LogMel(**changed.settings).fingerprint == changed.fingerprint
    assert set(changed.settings) == {*plain.settings, *other}


def test_fingerprint_is_of_values_not_of_spelling():
    assert LogMel(f_min=20, f_max=8000).fingerprint == LogMel().fingerprint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"f_max": 8001.0}, "f_max 8001 Hz"),
        ({"f_min": 9000.0}, "f_min is 9000"),
        ({"n_fft": 1023}, "n_fft is 1023"),
        ({"hop": 2000}, "hop 2000"),
        ({"bands": 0}, "bands is 0"),
        ({"bands": 400, "n_fft": 512}, "hold no bin"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        LogMel(**settings)
