"""Regression: numbers that a ridge regression can read off frozen vectors, such as arousal and valence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Measured
from crossmodal.settings import Positive, Whole
from crossmodal.tasks._frozen import Layer, Silence
from crossmodal.tasks._numbers import Numbers, numbers
from crossmodal.tasks._tagsets import chosen_on
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

Floats = NDArray[np.float64]


class Regression(Task):
    """Ridge regression of columns of ``manifest.tracks`` that hold numbers, on standardised features of whole tracks.

    Emotion as arousal and valence (``columns: [arousal, valence]``), loudness, year, or any number that a table
    brings. Fitted on train; alpha is the one of the least squared error on valid. ``r2``: 1 - squared error / squared
    distance to the judged tracks' own mean, as scikit-learn has it; ``mae``: mean absolute error, in the column's unit,
    beside ``mae_of_mean``, that of saying the training mean of every track. Tracks without a number take no part.
    Intervals: bootstrap over tracks, clustered by artist and group.

    Args:
        columns: each is read off by itself.
        layer: ``features``, the audio encoder's output, or ``vectors``, after the projection to the joint space.
        silence: whether silent segments count in the mean of a track's, see `crossmodal.tasks.probe`. What is linear
            gives the same of the mean as in the mean, so there is no ``aggregate``.
        alpha: the strengths of regularisation to choose from.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap.
    """

    primary: ClassVar[str] = "r2"

    def __init__(
        self,
        columns: list[str],
        layer: Layer = "features",
        silence: Silence = "include",
        alpha: list[Positive] | None = None,
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        self.columns, self.layer, self.silence, self.draws, self.seed = columns, layer, silence, draws, seed
        self.alpha = [0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0] if alpha is None else alpha
        if not (self.columns and self.alpha):
            raise InputError(f"regression: {'alpha' if self.columns else 'columns'} is empty; give one at least")

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<column>/r2``, ``mae`` and ``mae_of_mean``; the table ``<column>/values``: ``true``, ``predicted``."""
        judgement, seen = Judgement({}), chosen_on(part)
        for column in self.columns:
            train, valid, judged = (
                numbers(embedded, column, name, self.layer, self.silence) for name in ("train", "valid", part)
            )
            alpha = min(self.alpha, key=lambda alpha: _squared(valid.values, fitted(train, alpha), valid.features))
            predicted = fitted(train, alpha).predict(judged.features)
            mean, more = float(train.values.mean()), {"alpha": alpha} | seen
            judgement.metrics.update(self._measured(column, judged, predicted, mean, more))
            judgement.tables[f"{column}/values"] = pd.DataFrame(
                {"true": judged.values, "predicted": predicted}, index=pd.Index(judged.ids, name="track_id")
            )
        return judgement

    def _measured(
        self, column: str, judged: Numbers, predicted: Floats, mean: float, more: dict[str, Any]
    ) -> dict[str, Measured]:
        units, true = judged.units(self.draws, self.seed), judged.values
        return {
            f"{column}/r2": units.statistic(lambda counts: r2(true, predicted, counts), more=more),
            f"{column}/mae": units.mean(np.abs(predicted - true), more=more),
            f"{column}/mae_of_mean": units.mean(np.abs(mean - true)),
        }


def fitted(train: Numbers, alpha: float) -> Pipeline:
    """A ridge regression of strength ``alpha`` on standardised features."""
    with threadpool_limits(1):
        return make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(train.features, train.values)


def _squared(true: Floats, model: Pipeline, features: NDArray[np.float32]) -> float:
    return float(np.mean((model.predict(features) - true) ** 2))


def r2(true: Floats, predicted: Floats, counts: NDArray[np.integer] | None = None) -> float:
    """The share of the variance of ``true`` that is explained, each value counted so often; NaN if all are equal."""
    weights = np.ones(len(true)) if counts is None else counts.astype(np.float64)
    rest = weights @ (true - predicted) ** 2
    spread = weights @ (true - np.average(true, weights=weights)) ** 2
    return float(1 - rest / spread) if spread > 0 else float("nan")
