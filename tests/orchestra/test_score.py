from __future__ import annotations

import numpy as np
import pytest

from crossmodal.orchestra.attributes import TAGSETS, generator
from crossmodal.orchestra.render import Piece
from crossmodal.orchestra.score import BPM, SCALES, compose, key_name

BASE = {
    "instrument": "organ",
    "mood": "sad",
    "tempo": "moderate",
    "texture": "melody",
    "rhythm": "drums",
    "metre": "triple metre",
    "dynamics": "loud",
    "register": "low",
}


def score(key=0, seed=0, **changes):
    return compose(BASE | changes, key, 8.0, generator(seed, 1))


@pytest.mark.parametrize("mood", TAGSETS["mood"])
@pytest.mark.parametrize("texture", TAGSETS["texture"])
def test_all_notes_are_of_the_scale(mood, texture):
    key = 4
    tonic = (45 + key) % 12
    allowed = {(tonic + step) % 12 for step in SCALES[mood]}
    piece = score(key, mood=mood, texture=texture)
    assert {note.pitch % 12 for note in piece.lead + piece.bass} <= allowed


@pytest.mark.parametrize("tempo", TAGSETS["tempo"])
@pytest.mark.parametrize(("metre", "beats"), [("triple metre", 3), ("quadruple metre", 4)])
def test_bars_have_the_length_of_metre_and_tempo(tempo, metre, beats):
    bars = np.diff([note.start_s for note in score(tempo=tempo, metre=metre).bass])
    low, high = BPM[tempo]
    assert np.allclose(bars, bars[0])
    assert beats * 60 / high <= bars[0] <= beats * 60 / low


def test_a_piece_tells_the_tempo_that_it_is_composed_in():
    piece = Piece(BASE | {"tempo": "fast"}, 4, 2, 7, 8.0, 16000)
    bars = np.diff([note.start_s for note in compose(piece.attributes, 4, 8.0, generator(2, 1, 7)).bass])
    assert 3 * 60 / bars[0] == pytest.approx(piece.bpm)


def test_a_key_is_named_by_its_lowest_note_and_its_scale():
    assert [key_name(BASE, key) for key in (0, 2, 3, 11)] == ["A minor", "B minor", "C minor", "Ab minor"]
    assert key_name(BASE | {"mood": "happy"}, 0) == "A major"
    assert key_name(BASE | {"mood": "mysterious"}, 0) == ""
    assert len({key_name(BASE, key) for key in range(12)}) == 12


def test_textures_differ_in_how_many_notes_sound_at_once():
    def together(texture):
        starts = [note.start_s for note in score(texture=texture).lead]
        return max(starts.count(start) for start in starts)

    assert [together(texture) for texture in ("melody", "chords", "arpeggio")] == [1, 5, 1]


def test_drums_play_only_where_there_are_drums():
    assert score().hits
    assert not score(rhythm="no drums").hits


def test_registers_are_apart():
    def mean(register):
        return np.mean([note.pitch for note in score(register=register).lead])

    assert mean("high") - mean("low") == 24


def test_the_piece_fills_its_time():
    for texture in TAGSETS["texture"]:
        assert max(note.start_s + note.duration_s for note in score(texture=texture, tempo="slow").lead) > 7.5


def test_seed_and_key_decide():
    assert score() == score()
    assert score(seed=1) != score()
    assert [note.pitch + 3 for note in score().lead] == [note.pitch for note in score(key=3).lead]
