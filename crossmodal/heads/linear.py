"""Logistic regression: what a line can tell apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from crossmodal.errors import InputError
from crossmodal.heads import Examples, Fitted, Floats, Head, Scores
from crossmodal.heads._choice import best, quality
from crossmodal.heads._logistic import Lines, Problem, solved
from crossmodal.heads._standard import Standard
from crossmodal.settings import Positive

Predict = Callable[[Floats], Scores]


class Linear(Head):
    """Standardised logistic regression with an L2 penalty: multinomial for exclusive tags, else a line for each tag.

    C is chosen on valid, by balanced accuracy or by macro average precision, of equals the first that is listed;
    then the head is fitted again on train and valid. A track that a tag is unknown of does not count for it.

    Args:
        c: the inverse strengths of regularisation to choose from; 0.001 to 10 by tens if None.
        balanced: whether all exclusive tags weigh the same, however frequent.
    """

    def __init__(self, c: list[Positive] | None = None, balanced: bool = True) -> None:
        self.c, self.balanced = [0.001, 0.01, 0.1, 1.0, 10.0] if c is None else c, balanced
        if not self.c:
            raise InputError("head linear: c is empty; give one at least")

    def fit(self, train: Examples, valid: Examples, seed: int = 0, refit: bool = True) -> Fitted:
        """Nothing is drawn."""
        fitted = self._exclusive if train.exclusive else _independent
        options = dict(zip(self.c, fitted(train, self.c), strict=True))
        chosen = best(self.c, lambda c: quality(valid, valid.scores(options[c](valid.features))))
        last = fitted(train.joined(valid), [chosen])[0] if refit else options[chosen]
        return Fitted(last, {"c": chosen})

    def _exclusive(self, examples: Examples, strengths: list[float]) -> list[Predict]:
        labels = examples.labels[examples.track]
        weights = None if examples.single else examples.weights

        def fitted(c: float) -> Predict:
            line = LogisticRegression(C=c, max_iter=2000, class_weight="balanced" if self.balanced else None)
            pipeline = make_pipeline(StandardScaler(), line)
            pipeline.fit(examples.features, labels, logisticregression__sample_weight=weights)
            return lambda features: _logits(pipeline, features, examples.truth.shape[1])

        with threadpool_limits(1):  # its products are so small that threads, beside torch's own, wait for each other
            return [fitted(c) for c in strengths]


def _logits(pipeline: Pipeline, features: Floats, tags: int) -> Scores:
    """Of all tags, ``(rows, tags)``; one that no track had has no chance."""
    found = pipeline.decision_function(features).astype(np.float64)
    if found.ndim == 1:  # of two classes the second's, against 0 for the first
        found = np.stack([np.zeros_like(found), found], axis=1)
    logits = np.full((len(found), tags), -np.inf)
    logits[:, pipeline.classes_] = found
    return logits


def _independent(examples: Examples, strengths: list[float]) -> list[Predict]:
    """Each begins where the one before it ended, the strongest penalty first."""
    standard = Standard.of(examples.features)
    problem = Problem.of(standard(examples.features), examples.truth[examples.track], examples.weights)
    found: dict[float, Lines] = {}
    for c in sorted(set(strengths)):
        found[c] = solved(problem, c, found[max(found)] if found else None)

    def predict(c: float) -> Predict:
        weights, biases = problem.axes @ found[c].weights, found[c].biases
        return lambda features: standard(features).astype(np.float64) @ weights + biases

    return [predict(c) for c in strengths]
