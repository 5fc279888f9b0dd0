"""Loudness against the recommendation's own coefficients and reference level, torchaudio, and a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crossmodal.audio.loudness import Meter, k_weighting
from crossmodal.errors import InputError

RATE = 48_000


def measured(audio, rate=RATE, block=None):
    meter = Meter(rate, len(audio))
    for start in range(0, audio.shape[1], block or audio.shape[1] or 1):
        meter.add(audio[:, start : start + (block or audio.shape[1])])
    return meter


def sine(hz=997.0, seconds=3.0, rate=RATE, peak=1.0):
    return (peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[None]


def noise(seconds, rate=RATE, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((channels, round(seconds * rate)))).astype(np.float32)


def test_the_coefficients_at_48_khz_are_those_of_the_recommendation():
    shelf, high_pass = k_weighting(48_000)
    np.testing.assert_allclose(shelf[:3], [1.53512485958697, -2.69169618940638, 1.19839281085285], atol=1e-8)
    np.testing.assert_allclose(shelf[3:], [1, -1.69065929318241, 0.73248077421585], atol=1e-8)
    np.testing.assert_allclose(high_pass, [1, -2, 1, 1, -1.99004745483398, 0.99007225036621], atol=1e-8)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_a_full_scale_sine_of_997_hz_is_at_minus_3_01(rate):
    assert measured(sine(rate=rate), rate).loudness_lufs == pytest.approx(-3.01, abs=0.05)


def test_both_channels_add_up():
    assert measured(np.repeat(sine(), 2, 0)).loudness_lufs == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_torchaudio_agrees(rate):
    torch = pytest.importorskip("torch")
    from torchaudio.functional import loudness

    audio = noise(4, rate) * np.linspace(0.05, 1, 4 * rate, dtype=np.float32)
    assert measured(audio, rate).loudness_lufs == pytest.approx(loudness(torch.from_numpy(audio), rate).item(), abs=0.1)


def test_blocks_of_any_size_give_the_same():
    audio = noise(2.3, 22_050)
    whole = measured(audio, 22_050)
    for block in (1_000, 2_205, 9_999):
        parts = measured(audio, 22_050, block)
        assert parts.loudness_lufs == pytest.approx(whole.loudness_lufs, abs=1e-9)
        assert parts.peak_dbfs == whole.peak_dbfs


def test_gating_by_a_plain_loop():
    from scipy.signal import sosfilt

    audio = np.concatenate([noise(2), noise(2) * 0.2, noise(2) * 1e-5, sine(seconds=1).repeat(2, 0) * 0.5], axis=1)
    weighted = sosfilt(k_weighting(RATE), audio.astype(np.float64))
    starts = range(0, audio.shape[1] - 19_200 + 1, 4_800)
    powers = [(weighted[:, start : start + 19_200] ** 2).mean(axis=1).sum() for start in starts]
    loud = [power for power in powers if -0.691 + 10 * math.log10(power) > -70]
    gate = -0.691 + 10 * math.log10(sum(loud) / len(loud)) - 10
    kept = [power for power in loud if -0.691 + 10 * math.log10(power) > gate]
    assert len(kept) < len(loud) < len(powers)
    expected = -0.691 + 10 * math.log10(sum(kept) / len(kept))
    assert measured(audio).loudness_lufs == pytest.approx(expected, abs=1e-9)


def test_silence_at_the_end_does_not_count():
    audio = noise(3)
    padded = np.pad(audio, ((0, 0), (0, 20 * RATE)))
    assert measured(padded).loudness_lufs == pytest.approx(measured(audio).loudness_lufs, abs=0.3)


def test_less_than_a_gating_block_has_no_loudness():
    assert math.isnan(measured(sine(seconds=0.39)).loudness_lufs)
    assert not math.isnan(measured(sine(seconds=0.4)).loudness_lufs)


def test_below_the_absolute_gate_there_is_none():
    assert math.isnan(measured(sine(peak=1e-4)).loudness_lufs)
    assert math.isnan(measured(np.zeros((1, RATE), np.float32)).loudness_lufs)


def test_the_peak_is_that_of_any_channel():
    audio = np.zeros((2, RATE), np.float32)
    audio[1, 17] = -0.5
    assert measured(audio).peak_dbfs == pytest.approx(-6.0206, abs=1e-3)
    assert measured(audio * 0).peak_dbfs == -math.inf


def test_memory_is_a_number_for_every_step():
    meter = measured(noise(30, 8_000, 1), 8_000, 4_000)
    assert sum(powers.nbytes for powers in meter._powers) == 80 * 30
    assert meter._rest.shape[1] < 800


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(InputError, match="1 or 2 channels, not of 6"):
        Meter(RATE, 6)
