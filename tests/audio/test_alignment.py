"""The same sound correlates wherever it lies; other takes, shared stretches and clicks do not."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import music, note

from crossmodal.audio.alignment import SIMILAR, compare
from crossmodal.audio.alignment import whitened_correlation as correlation
from crossmodal.audio.fingerprint import RATE


@pytest.mark.parametrize("error", [-1_000, -3, 0, 700])
def test_the_offset_need_not_be_known_exactly(error):
    tune = music(9, 1)
    offset, similarity, share = compare(tune, 0.1 * tune[2_461:], 2_461 + error)
    assert offset == pytest.approx(2_461 / RATE, abs=1e-3)
    assert similarity > 0.98
    assert share == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("error", [-700, 0, 3])
def test_a_copy_upside_down_is_the_same(error):
    tune = music(9, 1)
    offset, similarity, share = compare(tune, -0.3 * tune[2_461:], 2_461 + error)
    assert offset == pytest.approx(2_461 / RATE, abs=1e-3)
    assert similarity > 0.98
    assert share == pytest.approx(1, abs=0.01)


def test_other_music_upside_down_is_not():
    assert max(compare(music(4, seed), -music(4, seed + 100), 0)[1] for seed in range(8)) < 0.1


def test_two_takes_of_a_note_are_not_the_same():
    assert max(compare(note(220, 0.4, 1), note(220, 0.4, seed), 0)[1] for seed in range(2, 12)) < SIMILAR


def test_noise_in_one_of_them_lowers_the_similarity():
    tune = music(3, 1)
    noise = np.random.default_rng(0).standard_normal(len(tune)).astype(np.float32) * np.abs(tune).max()
    found = [compare(tune, tune + level * noise, 0)[1] for level in (0, 1e-3, 1e-2, 1e-1)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < SIMILAR < found[1]


def test_a_shared_stretch_between_other_music_is_no_duplicate():
    one, other, common = music(20, 1), music(20, 2), music(5, 3)
    a, b = np.concatenate([one, common]), np.concatenate([common, other])
    assert compare(a, b, 20 * RATE)[2] < 0.5
    a[5 * RATE : 10 * RATE], b = common, np.concatenate([other[: 5 * RATE], common, other])
    assert compare(a, b, 0)[2] < 0.5


def test_ends_of_silence_do_not_count():
    tune = music(2, 1)
    assert compare(tune, np.pad(tune, (RATE, 9 * RATE)), -RATE)[2] == pytest.approx(1, abs=0.02)


def test_a_click_proves_nothing():
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    assert compare(click, click, 0)[2] == 0


def test_the_correlation_finds_a_fraction_of_a_sample():
    x = np.random.default_rng(0).standard_normal(4_000)
    spectrum = np.fft.rfft(x) * np.exp(-2j * np.pi * np.fft.rfftfreq(len(x)) * 3.5)
    value, lag = correlation(x, np.fft.irfft(spectrum, len(x)), 16)
    assert lag == -3.5
    assert value > 0.99


def test_the_correlation_of_a_sound_with_itself_is_one_and_with_noise_near_none():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(4_000)
    assert correlation(x, 0.01 * x, 16) == (pytest.approx(1, abs=1e-3), 0)
    assert correlation(x, rng.standard_normal(4_000), 16)[0] < 0.1


def test_a_loud_partial_in_common_is_not_enough():
    rng = np.random.default_rng(0)
    tone = 15 * np.sin(np.arange(4_000) / 3)
    x, y = (tone + rng.standard_normal(4_000) for _ in range(2))
    assert np.corrcoef(x, y)[0, 1] > 0.99
    assert correlation(x, y, 16)[0] < 0.5
