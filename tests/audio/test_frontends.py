"""The log-mel front end against plain loops, and its settings; front ends by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from crossmodal.audio import frontends
from crossmodal.audio.frontends import LogMel, build, described
from crossmodal.errors import InputError

SEED = {"sample_rate": 22_050, "n_fft": 1024, "hop": 256, "bands": 128, "f_min": 0.0, "norm": "slaney"}


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def mono(samples: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(noise(samples, seed))[None]


def slaney_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def slaney_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * np.log(hz / 1000) / np.log(6.4)


def plain_mel(samples, sample_rate, n_fft, hop, bands, f_min, norm, window=None):
    """Slaney's mel power spectrogram by loops, in float64: Auditory Toolbox, technical report 1998-010."""
    edges = [slaney_hz(mel) for mel in np.linspace(slaney_mel(f_min), slaney_mel(sample_rate / 2), bands + 2)]
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    size = window or n_fft
    padded = np.pad(samples.astype(np.float64), size // 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(size)) / n_fft)
    frames = []
    for start in range(0, len(padded) - size + 1, hop):
        power = np.abs(waves @ (padded[start : start + size] * hann)) ** 2
        row = []
        for low, centre, high in zip(edges, edges[1:], edges[2:], strict=False):
            triangle = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
            row.append((triangle * (2 / (high - low) if norm else 1) * power).sum())
        frames.append(row)
    return np.array(frames)


@pytest.mark.parametrize("other", [{}, {"window": 600}])
def test_equals_plain_loops(other):
    samples = noise(8000)
    expected = 10 * np.log10(np.maximum(plain_mel(samples, **SEED, **other), 1e-10))
    found = LogMel(**SEED, **other)(torch.from_numpy(samples)[None]).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-3 * np.ptp(expected)


def test_no_band_is_farther_below_the_loudest_of_its_frame_than_the_range():
    """In frames of a tone between two seconds of silence; rounding is not heard."""
    samples = np.pad(np.sin(2 * np.pi * 440 * np.arange(16_000) / SEED["sample_rate"]), 16_000).astype(np.float32)
    power = plain_mel(samples, **SEED)
    heard = np.maximum(power, power.max(axis=1, keepdims=True) * 1e-9)
    expected = 10 * np.log10(np.maximum(heard, 1e-10))
    found = LogMel(**SEED, range_db=90.0)(torch.from_numpy(samples)[None]).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert (found[0] == LogMel().silence).all()
    assert found[80].min() > found[0].max()
    assert np.ptp(LogMel(**SEED, range_db=200.0)(torch.from_numpy(samples)[None]).numpy(), axis=1).max() > 120


@pytest.mark.parametrize("samples", [1, 255, 256, 511, 512, 1023, 1024, 5000, 5120])
def test_frames_are_told_exactly(samples):
    frontend = LogMel()
    assert len(frontend(torch.zeros(1, samples))) == frontend.frames(samples)
    assert sum(len(part) for part in frontend.stream([np.zeros((1, samples), np.float32)])) == frontend.frames(samples)


@pytest.mark.parametrize("size", [1, 100, 257, 4096, 50_000])
def test_blocks_join_to_the_whole(size):
    frontend, samples = LogMel(), noise(3000 if size == 1 else 200_000)
    cut = [samples[None, i : i + size] for i in range(0, len(samples), size)]
    found = np.concatenate(list(frontend.stream(cut)))
    np.testing.assert_allclose(found, frontend(torch.from_numpy(samples)[None]).numpy(), atol=1e-4)


def test_two_channels_are_those_of_one_side_by_side():
    both, one, stereo = LogMel(channels=2), LogMel(), np.stack([noise(9000), noise(9000, 1)])
    expected = torch.stack([one(torch.from_numpy(channel)[None]) for channel in stereo], dim=1)
    found = both(torch.from_numpy(stereo))
    assert found.shape == (36, 2, 64) == (both.frames(9000), *both.shape)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    streamed = np.concatenate(list(both.stream([stereo[:, :5000], stereo[:, 5000:]])))
    np.testing.assert_allclose(streamed, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_batch_equals_single_and_shapes_are_kept(channels):
    frontend, samples = LogMel(channels=channels), torch.from_numpy(noise(6 * 4000 * channels))
    samples = samples.view(2, 3, channels, 4000)
    found = frontend(samples)
    assert found.shape == (2, 3, frontend.frames(4000), *frontend.shape)
    torch.testing.assert_close(found[1, 2], frontend(samples[1, 2]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(4000,), (2, 4000), (3, 2, 4000)])
def test_other_channels_are_refused(shape):
    with pytest.raises(InputError, match=r"samples are \(..., 1, samples\), not"):
        LogMel()(torch.zeros(shape))
    with pytest.raises(InputError, match=r"not \(2, 3000\)"):
        list(LogMel().stream([np.zeros((2, 3000), np.float32)]))


def test_level_is_kept_and_silence_has_its_value():
    frontend, samples = LogMel(), mono(4000)
    torch.testing.assert_close(
        frontend(samples) - frontend(samples / 10), torch.full((16, 64), 20.0), atol=1e-3, rtol=0
    )
    assert frontend.silence == pytest.approx(-100)
    assert (frontend(torch.zeros(1, 4000)) - frontend.silence).abs().max() < 1e-4


def test_full_scale_is_far_from_the_end_of_float16():
    loud = LogMel(**SEED)(torch.sign(torch.sin(torch.arange(8000) * 0.1))[None])
    assert loud.max() < 100


def test_gradient_reaches_the_samples():
    samples = mono(3000).requires_grad_()
    LogMel()(samples).mean().backward()
    assert torch.isfinite(samples.grad).all()
    assert samples.grad.abs().sum() > 0
    quiet = torch.zeros(1, 3000, requires_grad=True)
    LogMel()(quiet).mean().backward()
    assert torch.isfinite(quiet.grad).all()


def test_bf16_autocast_does_not_touch_it():
    frontend, samples = LogMel(), mono(4000)
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
        {"range_db": 100.0},
        {"channels": 2},
        {"window": 512},
        {"silent_bands": True},
    ],
)
def test_fingerprint_changes_with_every_setting(other):
    plain = LogMel()
    changed = LogMel(**other)
    assert changed.fingerprint != plain.fingerprint
    assert LogMel(**changed.settings).fingerprint == changed.fingerprint == build(described(changed)).fingerprint
    assert set(changed.settings) == {*plain.settings, *other}


def test_fingerprint_is_of_values_not_of_spelling():
    assert LogMel(f_min=20, f_max=8000, window=1024).fingerprint == LogMel().fingerprint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"f_max": 8001.0}, "f_max 8001 Hz"),
        ({"f_min": 9000.0}, "f_min is 9000"),
        ({"n_fft": 1023}, "n_fft is 1023"),
        ({"hop": 2000}, "hop is 2000"),
        ({"bands": 0}, "bands is 0"),
        ({"range_db": 0.0}, "range_db is 0; it is above 0"),
        ({"window": 2048}, "window is 2048; it is even, and from 2 to n_fft, 1024"),
        ({"window": 511}, "window is 511"),
        ({"window": 200}, "hop is 256; it is from 1 to the window, 200"),
        ({"channels": 3}, "channels is 3; it is 1 or 2"),
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"bands": 400, "n_fft": 512}, "hold no bin"),
        ({"f_max": 11_025.0}, "<= 8000; with silent_bands f_max may be above"),
        ({"f_max": 11_025.0, "silent_bands": True, "f_min": 8000.0}, "f_min is 8000"),
        ({"f_max": 11_025.0, "silent_bands": True, "bands": 400, "n_fft": 512}, "mel bands 2, 3, 6, .* hold no bin"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        LogMel(**settings)


@pytest.mark.parametrize("bands", [16, 64, 200])
def test_silent_bands_lie_above_half_the_sample_rate_and_the_others_where_they_would(bands):
    """At twice the sample rate, and as many points again, the same bands hear the same of what is below."""
    low, high = (
        LogMel(sample_rate=rate, n_fft=points, hop=256, bands=bands, f_max=15_900.0, silent_bands=True)
        for rate, points in ((16_000, 1024), (32_000, 2048))
    )
    filters = [torch.zeros(1025, bands), torch.zeros(1025, bands)]
    for made, whole in zip((low, high), filters, strict=True):
        for number, group in enumerate(made.groups):
            whole[group.low : group.high, 16 * number : 16 * number + 16] = group.filters
    torch.testing.assert_close(filters[0][:513], filters[1][:513], atol=1e-5, rtol=0)
    silent = low(mono(4000))[..., filters[0].sum(0) == 0]
    assert 0 < silent.shape[-1] < bands / 2
    assert (silent == low.silence).all()


def test_settings_and_names_build_the_same():
    plain = LogMel().fingerprint
    assert {build(given).fingerprint for given in (None, {}, "log_mel", {"name": "log_mel", "bands": 64})} == {plain}
    assert build({"bands": 40}).settings == LogMel(bands=40).settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("mel", "audio: frontend is 'mel'; there are log_mel, cqt, raw, and the presets sslismir"),
        ({"name": ["raw"]}, r"audio: frontend is \['raw'\]; there are"),
        ({"hopp": 3}, "audio: frontend has no setting 'hopp'; valid: sample_rate"),
        ({"name": "raw", "hop": 3}, r"no setting 'hop'; valid: sample_rate \(int\), channels \(1 or 2\)"),
        ({"name": "cqt", "hop": 0.5}, r"audio: frontend: hop is 0.5 \(float\), but must be int"),
        ({"channels": 3}, r"audio: frontend: channels is 3 \(int\), but must be 1 or 2"),
    ],
)
def test_what_cannot_be_built_is_told(given, words):
    with pytest.raises(InputError, match=words):
        build(given, "audio: frontend")


def test_front_ends_of_others_have_no_name():
    class Other(LogMel):
        pass

    with pytest.raises(InputError, match="Other is no front end of the package; there are log_mel"):
        described(Other())


def test_names_and_classes_are_there_without_torch():
    code = "import sys; from crossmodal.audio import frontends as f; f.PRESETS; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert frontends.LogMel is LogMel
    with pytest.raises(AttributeError, match="has no attribute 'Mel'"):
        frontends.Mel  # noqa: B018
