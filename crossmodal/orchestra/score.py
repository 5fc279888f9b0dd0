"""Composition: from attributes to notes.

A mood is a mode and a manner of playing: happy is major and detached, sad is minor and bound, mysterious is Phrygian
dominant and trembling. Onsets come from sums and products of IEEE doubles alone, so that no machine rounds them to
another sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crossmodal.orchestra.attributes import Attributes

SCALES = {"happy": (0, 2, 4, 5, 7, 9, 11), "sad": (0, 2, 3, 5, 7, 8, 10), "mysterious": (0, 1, 4, 5, 7, 8, 10)}
ARTICULATION = {"happy": 0.55, "sad": 1.05, "mysterious": 0.9}  # share of a note's time that sounds
BPM = {"slow": (50.0, 60.0), "moderate": (88.0, 104.0), "fast": (150.0, 172.0)}
BEATS = {"triple metre": 3, "quadruple metre": 4}
TONIC = {"low": 45, "high": 69}  # MIDI number of the lowest key
NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
RHYTHMS: dict[int, tuple[tuple[float, ...], ...]] = {
    3: ((1, 1, 1), (1, 0.5, 0.5, 1), (2, 1), (1, 1, 0.5, 0.5)),
    4: ((1, 1, 1, 1), (1, 0.5, 0.5, 1, 1), (2, 1, 1), (1, 1, 1, 0.5, 0.5)),
}
ROOTS = (0, 3, 4, 5, 0)  # degrees of the scale on which a bar's chord may stand
STEPS = (-2, -1, -1, 1, 1, 2)


class Note(NamedTuple):
    """A note: times in seconds, pitch as MIDI number, velocity in 0..1."""

    start_s: float
    duration_s: float
    pitch: int
    velocity: float


class Hit(NamedTuple):
    """A stroke of the drums: ``drum`` is "kick", "snare" or "hat"."""

    start_s: float
    drum: str
    velocity: float


@dataclass(frozen=True)
class Score:
    """What the lead instrument, the bass and the drums play."""

    lead: list[Note]
    bass: list[Note]
    hits: list[Hit]


@dataclass(frozen=True)
class Bar:
    """One bar: where it starts, its beats, the degree of its chord, and the scale it stands in."""

    start_s: float
    beat_s: float
    beats: int
    root: int
    tonic: int
    scale: tuple[int, ...]
    articulation: float

    def pitch(self, degree: int) -> int:
        """MIDI number of a degree of the scale; 7 is the octave."""
        return self.tonic + 12 * (degree // 7) + self.scale[degree % 7]

    def note(self, beat: float, beats: float, degree: int) -> Note:
        """A note of this bar, louder on the first beat, and on whole beats than between them."""
        velocity = 1.0 if beat == 0 else 0.55 if beat == int(beat) else 0.45
        length = beats * self.beat_s * self.articulation
        return Note(self.start_s + beat * self.beat_s, length, self.pitch(degree), velocity)


def bpm(attributes: Attributes, rng: np.random.Generator) -> float:
    """The beats a minute of a piece: the first that its generator draws."""
    low, high = BPM[attributes["tempo"]]
    return low + (high - low) * rng.random()


def key_name(attributes: Attributes, key: int) -> str:
    """The key of a piece as words, such as "A minor"; none for a mysterious one, which is neither major nor minor."""
    mode = {"happy": "major", "sad": "minor"}.get(attributes["mood"])
    return f"{NAMES[(TONIC['low'] + key) % 12]} {mode}" if mode else ""


def compose(attributes: Attributes, key: int, duration_s: float, rng: np.random.Generator) -> Score:
    """Compose a piece in ``key`` (semitones, 0 to 11) that fills ``duration_s`` seconds."""
    beat_s = 60.0 / bpm(attributes, rng)
    beats = BEATS[attributes["metre"]]
    score = Score([], [], [])
    degree = 2 * int(rng.integers(0, 3))
    for number in range(int(duration_s / (beats * beat_s)) + 1):
        root = ROOTS[rng.integers(0, len(ROOTS))] if number % 4 else 0
        tonic, mood = TONIC[attributes["register"]] + key, attributes["mood"]
        bar = Bar(number * beats * beat_s, beat_s, beats, root, tonic, SCALES[mood], ARTICULATION[mood])
        if attributes["texture"] == "melody":
            degree = _melody(bar, degree, score.lead, rng)
        elif attributes["texture"] == "chords":
            score.lead.extend(bar.note(beat, 1, root + third) for beat in range(beats) for third in (0, 2, 4, 7, 9))
        else:
            _arpeggio(bar, score.lead, rng)
        score.bass.append(Note(bar.start_s, 0.9 * beat_s, 33 + (bar.pitch(root) - 33) % 12, 1.0))
        if attributes["rhythm"] == "drums":
            _drums(bar, score.hits)
    return score


def _melody(bar: Bar, degree: int, notes: list[Note], rng: np.random.Generator) -> int:
    """A walk along the scale that starts each bar on a note of its chord; gives the degree where it ends."""
    rhythms = RHYTHMS[bar.beats]
    beat = 0.0
    for length in rhythms[rng.integers(0, len(rhythms))]:
        if beat == 0:
            degree = min((bar.root + third for third in (0, 2, 4, -3)), key=lambda tone: (abs(tone - degree), tone))
        else:
            degree = min(max(degree + STEPS[rng.integers(0, len(STEPS))], -1), 9)
        notes.append(bar.note(beat, length, degree))
        beat += length
    return degree


def _arpeggio(bar: Bar, notes: list[Note], rng: np.random.Generator) -> None:
    """The chord's notes one after another, up and down, in even quavers."""
    shape = ((0, 4, 7, 11, 14, 11, 7, 4), (0, 2, 4, 7, 9, 11, 14, 7))[rng.integers(0, 2)]
    for quaver in range(2 * bar.beats):
        notes.append(bar.note(quaver / 2, 0.5, bar.root + shape[quaver % len(shape)]))


def _drums(bar: Bar, hits: list[Hit]) -> None:
    """Kick on the first beat (and the third of four), snare on the others, hats between them."""
    for beat in range(bar.beats):
        start = bar.start_s + beat * bar.beat_s
        kick = beat == 0 or (bar.beats == 4 and beat == 2)
        hits.append(Hit(start, "kick" if kick else "snare", 1.0 if beat == 0 else 0.8))
        hits.append(Hit(start, "hat", 0.5))
        hits.append(Hit(start + bar.beat_s / 2, "hat", 0.4))
