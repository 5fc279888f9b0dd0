"""Words on the segments of a track, against plain loops."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from crossmodal.calibration import Calibration, percentiles
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.prompts import prompts
from crossmodal.errors import InputError
from crossmodal.model import DualEncoder, TrackVectors
from crossmodal.zero_shot import Row, Tagger, Taggram, prompt_vectors, word_vectors

DIM = 5


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Model:
    """Stands for a `DualEncoder`: a random vector for each text, whatever it is asked with."""

    fingerprint = "model-a"

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        return unit(np.array([np.random.default_rng(list(text.encode())).normal(size=DIM) for text in texts]))


def track(segments: int = 7) -> TrackVectors:
    rng = np.random.default_rng(3)
    starts = np.arange(segments) * 2.0
    bounds = np.column_stack([starts, starts + 2]).astype(np.float32)
    bounds[-1, 1] -= 1.5
    vectors = unit(rng.normal(size=(segments, DIM)))
    return TrackVectors(bounds, np.append(np.ones(segments - 1), 0.25).astype(np.float32), vectors, vectors)


def reference(fingerprint: str = "model-a") -> Calibration:
    """Forty tracks of a segment each, the first half with the tag organ."""
    vectors = unit(np.random.default_rng(4).normal(size=(40, DIM)))
    labels = (np.arange(40) < 20).astype(np.int8)[:, None]
    rows = np.arange(40, dtype=np.int32)
    return Calibration(fingerprint, "here", vectors, np.ones(40, np.float32), rows, ("organ",), labels)


def tagger(words: Sequence[str], language: str = "en", calibration: Calibration | None = None) -> Tagger:
    return Tagger(Model(), words, language, calibration)  # type: ignore[arg-type]


@pytest.mark.parametrize("language", ["en", "de", "tr", "ja"])
def test_a_word_is_the_mean_of_its_prompts(language: str) -> None:
    words = ["organ", "Zugposaune", "尺八"]
    found = word_vectors(Model().embed_text, words, language)
    assert found.dtype == np.float32
    for word, vector in zip(words, found, strict=True):
        total = np.zeros(DIM)
        for text in prompts(word, language):
            total += Model().embed_text([text])[0]
        assert vector == pytest.approx(total / np.sqrt(total @ total), abs=1e-6)


def test_a_word_in_a_template_is_the_mean_over_its_names() -> None:
    templates = ["music with {}", "{}"]
    found = prompt_vectors(Model().embed_text, ["organ", "rain"], "en", templates)
    for word, names in (("organ", Lexicon.load().words("organ", "en")), ("rain", ["rain"])):
        for place, template in enumerate(templates):
            vectors = [Model().embed_text([template.replace("{}", name)])[0] for name in names]
            expected = sum(vectors, np.zeros(DIM)) / len(names)
            assert found[["organ", "rain"].index(word), place] == pytest.approx(expected, abs=1e-6)


def test_raw_scores_are_cosines_by_loops_and_sorted_by_their_means() -> None:
    words = ["organ", "rain", "sad", "bells"]
    found = tagger(words).tag(track())
    vectors = dict(zip(words, word_vectors(Model().embed_text, words, "en"), strict=True))
    assert {row.measure for row in found.rows} == {"cosine"}
    assert {row.word for row in found.rows} == set(words)
    for row in found.rows:
        expected = [
            sum(float(a) * float(b) for a, b in zip(v, vectors[row.word], strict=True)) for v in track().vectors
        ]
        assert row.scores == pytest.approx(expected, abs=2e-6)
        seconds = [2.0] * 6 + [0.5]
        mean = sum(s * e for s, e in zip(seconds, expected, strict=True)) / sum(seconds)
        assert row.mean == pytest.approx(mean, abs=2e-6)
    assert [row.mean for row in found.rows] == sorted((row.mean for row in found.rows), reverse=True)


def test_calibrated_scores_are_each_word_s_own_and_known_tags_come_first() -> None:
    found = tagger(["rain", "organ", "church organ", "bells"], calibration=reference()).tag(track())
    assert [row.measure for row in found.rows] == ["probability"] * 2 + ["percentile"] * 2
    assert {row.word for row in found.rows[:2]} == {"organ", "church organ"}
    rain = next(row for row in found.rows if row.word == "rain")
    vector = word_vectors(Model().embed_text, ["rain"], "en")[0]
    known = reference().vectors.astype(float) @ vector
    expected = percentiles(known, np.ones(40))(track().vectors.astype(float) @ vector)
    assert rain.scores == pytest.approx(expected, abs=0.02)
    for row in found.rows:
        assert 0 <= row.scores.min() <= row.mean <= row.scores.max() <= 1


def test_a_word_s_scores_do_not_depend_on_the_others() -> None:
    words = ["organ", "rain", "sad"]
    together = {row.word: row for row in tagger(words, calibration=reference()).tag(track()).rows}
    for word in words:
        (alone,) = tagger([word], calibration=reference()).tag(track()).rows
        assert alone.scores.tolist() == together[word].scores.tolist()
        assert alone.mean == together[word].mean


def test_equal_words_keep_their_order() -> None:
    rows = tagger(["church organ", "CHURCH ORGAN", "Church Organ"]).tag(track()).rows
    assert len(rows) == 3
    same = Taggram(track().bounds, tuple(Row(word, "cosine", 0.5, np.zeros(7)) for word in "cab"))
    assert [row.word for row in same.top(2).rows] == ["c", "a"]


def test_a_calibration_of_another_model_is_refused() -> None:
    with pytest.raises(InputError, match="made with model model-b"):
        tagger(["organ"], calibration=reference("model-b"))


def test_a_model_without_words_is_refused() -> None:
    frontend = {"sample_rate": 8000, "n_fft": 256, "hop": 128, "bands": 8}
    audio = {"name": "mel_cnn", "frontend": frontend, "channels": [2], "dim": 4}
    with pytest.raises(InputError, match="it has no text encoder"):
        Tagger(DualEncoder(audio, {"name": "none"}), ["organ"], "en")


def test_the_top_is_of_each_measure() -> None:
    found = tagger(["rain", "organ", "church organ", "bells"], calibration=reference()).tag(track())
    assert found.top(1).rows == (found.rows[0], found.rows[2])
    assert found.top(9).rows == found.rows


def test_as_data_it_has_seconds_and_a_row_a_word() -> None:
    found = json.loads(json.dumps(tagger(["organ", "sad"]).tag(track()).as_dict()))
    assert found["segments"][0] == {"start": 0.0, "end": 2.0}
    assert found["segments"][-1] == {"start": 12.0, "end": 12.5}
    assert [len(row["scores"]) for row in found["rows"]] == [7, 7]
    assert found["rows"][0].keys() == {"word", "measure", "mean", "scores"}
