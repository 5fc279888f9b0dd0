"""From a score to 16-bit samples: notes, drums, dynamics, a room, a noise floor."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from crossmodal.files import atomic
from crossmodal.orchestra.attributes import Attributes, generator
from crossmodal.orchestra.instruments import (
    BODIES,
    STEADY_S,
    TIMBRES,
    Signal,
    Timbre,
    bass,
    damped,
    drum,
    noise,
    resonate,
    smooth,
)
from crossmodal.orchestra.score import Hit, Note, bpm, compose, key_name

LEVEL_DB = {"soft": -28.0, "loud": -13.0, "swelling": -13.0}
BRIGHTNESS = {"soft": 0.4, "loud": 1.4, "swelling": 1.4}  # gain of what lies above about 1 kHz
SWELL_DB, SWELL_S = 22.0, 3.6  # each swell rises by so much in so long, and begins again
TREMOLO_HZ = 8.0
ECHOES = 16
NEPER = np.log(10) / 20  # of a decibel


class Piece(NamedTuple):
    """All that decides a track's samples."""

    attributes: Attributes
    key: int
    seed: int
    number: int
    duration_s: float
    sample_rate: int

    @property
    def bpm(self) -> float:
        """Beats a minute."""
        return bpm(self.attributes, generator(self.seed, 1, self.number))

    @property
    def key_name(self) -> str:
        """Its key in words, or nothing where it has none of the 24."""
        return key_name(self.attributes, self.key)


def render(piece: Piece) -> NDArray[np.int16]:
    """Compose and synthesise a piece, mono, ``(duration_s * sample_rate,)``: the same samples on every machine."""
    rate, attributes = piece.sample_rate, piece.attributes
    samples = round(piece.duration_s * rate)
    rng = generator(piece.seed, 1, piece.number)
    score = compose(attributes, piece.key, piece.duration_s, rng)
    detune = 1.0 + 0.012 * (rng.random() - 0.5)
    instrument = attributes["instrument"]
    lead = _play(score.lead, TIMBRES[instrument], samples, rate, detune, rng)
    lead = _level(resonate(lead, BODIES[instrument], rate, rng))
    if attributes["mood"] == "mysterious":
        lead *= 1.0 - 0.35 * (1.0 + damped(TREMOLO_HZ, STEADY_S, samples, rate))
    mix = lead + 0.4 * _level(_play(score.bass, bass, samples, rate, detune, rng))
    if score.hits:
        mix += (0.6 + 0.4 * rng.random()) * _level(_strike(score.hits, samples, rate, rng))
    mix = _dynamics(_level(_room(mix, rate, rng)), attributes["dynamics"], rate, rng)
    mix += 10 ** ((-72 + 12 * rng.random()) / 20) * noise(samples, rng)
    mixed: NDArray[np.int16] = np.round(32767 * np.tanh(mix)).astype(np.int16)
    return mixed


def write(piece: Piece, path: Path) -> None:
    """Render a piece to a 16-bit WAV file, whole or not at all."""
    with atomic(path) as temporary:
        soundfile.write(temporary, render(piece), piece.sample_rate, subtype="PCM_16", format="WAV")


def _level(signal: Signal) -> Signal:
    """The signal at a root mean square of one; silence stays silent."""
    return signal / max(float(np.sqrt(np.mean(signal**2))), 1e-9)


def _add(mix: Signal, start_s: float, rate: int, tone: Signal, gain: float) -> None:
    start = round(start_s * rate)
    end = min(start + len(tone), len(mix))
    if start < end:
        mix[start:end] += gain * tone[: end - start]


def _play(
    notes: list[Note], timbre: Timbre, samples: int, rate: int, detune: float, rng: np.random.Generator
) -> Signal:
    """All notes of one instrument; a note that returns sounds the same again, which saves most of the work."""
    mix = np.zeros(samples)
    known: dict[tuple[int, int], Signal] = {}
    for note in notes:
        form = (note.pitch, round(note.duration_s * rate))
        if form not in known:
            known[form] = timbre(detune * 440.0 * 2.0 ** ((note.pitch - 69) / 12), form[1], rate, rng)
        _add(mix, note.start_s, rate, known[form], note.velocity)
    return mix


def _strike(hits: list[Hit], samples: int, rate: int, rng: np.random.Generator) -> Signal:
    mix = np.zeros(samples)
    strokes = {kind: drum(kind, rate, rng) for kind in ("kick", "snare", "hat")}
    for hit in hits:
        _add(mix, hit.start_s, rate, strokes[hit.drum], hit.velocity)
    return mix


def _room(signal: Signal, rate: int, rng: np.random.Generator) -> Signal:
    """A short tail: echoes at random delays, the later the fainter, with the dry sound in front."""
    tail_s, wet = 0.05 + 0.15 * rng.random(), 0.1 + 0.25 * rng.random()
    mix = signal.copy()
    for delay_s, sign in zip(2.5 * tail_s * rng.random(ECHOES) + 0.005, rng.random(ECHOES), strict=True):
        delay = round(float(delay_s) * rate)
        gain = wet * np.exp(-delay_s / tail_s) * (1 if sign < 0.5 else -1)
        mix[delay:] += gain * signal[: max(len(signal) - delay, 0)]
    return mix


def _dynamics(signal: Signal, dynamics: str, rate: int, rng: np.random.Generator) -> Signal:
    """Level and brightness: what is played loud is bright as well, and a swell grows in both."""
    width = max(rate // 2000, 2)
    dull = smooth(smooth(signal, width), width)
    gain_db = LEVEL_DB[dynamics] + 6.0 * (rng.random() - 0.5)
    rise: Signal | float = 1.0
    if dynamics == "swelling":
        time = np.arange(len(signal)) / (rate * SWELL_S) + rng.random()
        rise = time - np.floor(time)
    bright = BRIGHTNESS["soft"] + (BRIGHTNESS[dynamics] - BRIGHTNESS["soft"]) * rise
    result: Signal = (dull + bright * (signal - dull)) * np.exp(NEPER * (gain_db - SWELL_DB * (1.0 - rise)))
    return result
