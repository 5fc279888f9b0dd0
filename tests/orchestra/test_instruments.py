from __future__ import annotations

import numpy as np
import pytest

from crossmodal.orchestra.attributes import TAGSETS, generator
from crossmodal.orchestra.instruments import BODIES, TIMBRES, damped, drum, resonate, smooth

RATE = 16000


def test_there_is_a_timbre_and_a_body_for_every_instrument():
    assert set(TIMBRES) == set(BODIES) == set(TAGSETS["instrument"])


@pytest.mark.parametrize("name", TIMBRES)
@pytest.mark.parametrize("frequency", [110.0, 440.0, 1661.2])
def test_tones_have_their_pitch(name, frequency):
    tone = TIMBRES[name](frequency, RATE, RATE, generator(0, 1))[:RATE]
    assert np.all(np.isfinite(tone))
    assert 0.02 < np.sqrt(np.mean(tone**2)) < 2
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone))))  # a point a Hz
    ratio = np.argmax(spectrum) / frequency
    nearest = min((0.5, 1, 1.19, 2, 2.74, 3, 4, 4.07, 5, 6, 7, 8, 9, 10), key=lambda partial: abs(partial - ratio))
    assert ratio == pytest.approx(nearest, rel=0.02), ratio


@pytest.mark.parametrize("name", [name for name in TIMBRES if name != "bells"])
def test_tones_begin_and_end_softly(name):
    tone = TIMBRES[name](440.0, 4000, RATE, generator(0, 1))
    assert len(tone) == 4000
    assert abs(tone[0]) < 1e-9
    assert np.max(np.abs(tone[-5:])) < 0.05


def test_a_plucked_string_decays_and_loses_its_highs_first():
    tone = TIMBRES["guitar"](220.0, RATE, RATE, generator(0, 1))
    early, late = (np.abs(np.fft.rfft(tone[start : start + 4000])) for start in (400, 10000))
    assert late.sum() < 0.5 * early.sum()
    assert late[1000:].sum() / late.sum() < 0.5 * early[1000:].sum() / early.sum()


def test_damped_is_the_sine_that_it_says():
    time = np.arange(1000) / RATE
    plain = np.exp(-time / 0.1) * np.sin(2 * np.pi * 333.0 * time)
    np.testing.assert_allclose(damped(333.0, 0.1, 1000, RATE), plain, atol=1e-10)


def test_smooth_is_a_mean_of_neighbours():
    signal = generator(0, 1).random(50)
    plain = [np.mean(np.pad(signal, 5)[place + 5 - 2 + 0 : place + 5 + 3]) for place in range(50)]
    np.testing.assert_allclose(smooth(signal, 5), plain, atol=1e-12)


def test_a_body_lifts_its_formants():
    tone = 2 * generator(0, 1).random(RATE) - 1
    gain = np.abs(np.fft.rfft(resonate(tone, BODIES["violin"]._replace(air=0.0), RATE, generator(0, 2))))
    gain /= np.abs(np.fft.rfft(tone))
    assert gain[430] == pytest.approx(7.5, rel=0.05)
    assert gain[1200] < 1


@pytest.mark.parametrize("kind", ["kick", "snare", "hat"])
def test_strokes_are_short(kind):
    stroke = drum(kind, RATE, generator(0, 1))
    assert 0.05 < np.max(np.abs(stroke)) < 3
    assert np.abs(stroke[-50:]).max() < 0.1 * np.abs(stroke).max()
