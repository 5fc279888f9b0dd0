"""Zero-shot tagging: any words, without a classifier for them, scored on every segment of a track."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal.calibration import COSINE, Calibration, Measure, Scale, cosines
from crossmodal.data.prompts import own_templates, prompts
from crossmodal.model import DualEncoder, TrackVectors

Floats = NDArray[np.floating]
MEASURES: tuple[Measure, ...] = ("probability", "percentile", "cosine")  # in the order in which they are shown
DIGITS = 6  # of a score that is written


class Row(NamedTuple):
    """A word of a taggram.

    Attributes:
        word: as it was given.
        measure: what its scores are; those of different measures do not compare.
        mean: of the scores, by the seconds of the segments.
        scores: of the segments, ``(segments,)``.
    """

    word: str
    measure: Measure
    mean: float
    scores: Floats


class Taggram(NamedTuple):
    """Words over the time of a track.

    Attributes:
        bounds: start and end of the segments in seconds, ``(segments, 2)``.
        rows: the words, measure by measure, those of the highest mean first.
    """

    bounds: Floats
    rows: tuple[Row, ...]

    def top(self, words: int) -> Taggram:
        """Only so many words of each measure, the first ones."""
        kept = [[row for row in self.rows if row.measure == measure][:words] for measure in MEASURES]
        return self._replace(rows=tuple(row for rows in kept for row in rows))

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it: segments with start and end in seconds, and a row a word."""
        segments = [{"start": round(start, 3), "end": round(end, 3)} for start, end in self.bounds.tolist()]
        rows = [
            {"word": row.word, "measure": row.measure, "mean": round(row.mean, DIGITS)}
            | {"scores": row.scores.round(DIGITS).tolist()}
            for row in self.rows
        ]
        return {"segments": segments, "rows": rows}


class Tagger:
    """A model that knows a list of words.

    Args:
        model: one with a text encoder.
        words: each once, as `data.prompts.read_words` gives them.
        language: whose sentences the words are put into; in one that the lexicon lacks they stand alone.
        calibration: of this model; without it the scores are raw cosines, which do not compare between words.

    Raises:
        InputError: a model without a text encoder, or a calibration of another one.
    """

    def __init__(
        self, model: DualEncoder, words: Sequence[str], language: str, calibration: Calibration | None = None
    ) -> None:
        if calibration is not None:
            calibration.check(model)
        self.words = list(words)
        self.vectors = word_vectors(model.embed_text, words, language)
        self.scales: list[Scale] = [COSINE] * len(words)
        if calibration is not None:
            asked = zip(words, self.vectors, strict=True)
            self.scales = [calibration.scale(word, language, vector) for word, vector in asked]

    def tag(self, track: TrackVectors) -> Taggram:
        """The taggram of an embedded track."""
        rows = []
        for word, vector, scale in zip(self.words, self.vectors, self.scales, strict=True):
            scores = scale.score(cosines(track.vectors, vector))
            rows.append(Row(word, scale.measure, float(np.average(scores, weights=track.weights)), scores))
        rows.sort(key=lambda row: (MEASURES.index(row.measure), -row.mean))
        return Taggram(track.bounds, tuple(rows))


def word_vectors(
    embed: Callable[[Sequence[str]], NDArray[np.float32]], words: Sequence[str], language: str
) -> NDArray[np.float32]:
    """Unit vectors of words, ``(words, dim)``: the mean of their prompts', at length one."""
    return unit(prompt_vectors(embed, words, language, own_templates(language)).mean(axis=1))


def prompt_vectors(
    embed: Callable[[Sequence[str]], NDArray[np.float32]], words: Sequence[str], language: str, templates: Sequence[str]
) -> NDArray[np.float32]:
    """Vectors of words in each template, ``(words, templates, dim)``: the mean over what the lexicon calls a word.

    A word's prompts are embedded by themselves, so that its vectors do not depend on the other words.
    """
    bar = tqdm(words, desc=f"words ({language})", unit="word", disable=None, leave=False)
    found = (embed(prompts(word, language, templates)) for word in bar)
    return np.stack([vectors.reshape(-1, len(templates), vectors.shape[1]).mean(axis=0) for vectors in found])


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors ``(..., dim)`` at length one."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12), dtype=np.float32)
