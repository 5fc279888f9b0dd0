"""Logistic regressions of many independent tags at once, each with its own unknown tracks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from crossmodal.heads import Floats, Scores, Truth

TOLERANCE = 1e-6  # of the gradient, where the curvature of each weight is about one


class Problem(NamedTuple):
    """The rows that tags are to be read off.

    The features are turned into their principal components, which changes neither what a penalty on the length of the
    weights allows nor what is found: there each weight has a curvature of its own, by which it is scaled, and L-BFGS
    needs tens of steps where it needs thousands without.

    Attributes:
        components: of the features, ``(rows, dim)``, float64.
        axes: of the components, ``(dim, dim)``, in columns.
        spread: the sum of squares of each component, ``(dim,)``.
        target: whether a row's track has a tag, ``(rows, tags)``, 0 or 1.
        counts: how much a row counts for a tag, ``(rows, tags)``: its weight, or 0 where it is unknown.
    """

    components: Scores
    axes: Scores
    spread: Scores
    target: Scores
    counts: Scores

    @classmethod
    def of(cls, features: Floats, truth: Truth, weights: Scores) -> Problem:
        """Of standardised features ``(rows, dim)``, the truth ``(rows, tags)`` and weights ``(rows,)``."""
        rows = features.astype(np.float64)
        spread, axes = np.linalg.eigh(rows.T @ rows)
        counts = weights[:, None] * (truth >= 0)
        return cls(rows @ axes, axes, np.maximum(spread, 0), (truth == 1).astype(np.float64), counts)


class Lines(NamedTuple):
    """Logistic regressions: weights ``(dim, tags)``, of components, and biases ``(tags,)``."""

    weights: Scores
    biases: Scores


def solved(problem: Problem, c: float, start: Lines | None = None) -> Lines:
    """The least of ``c`` times the sum of the log losses, plus half the squared length of the weights, for each tag.

    As in scikit-learn's ``LogisticRegression``, tag by tag; the biases have no penalty.

    Args:
        problem: what is to be fitted.
        c: the inverse strength of regularisation.
        start: where to begin, such as what another strength gave; else at the tags' shares.
    """
    total = problem.counts.sum(axis=0)
    share = ((problem.counts * problem.target).sum(axis=0) + 0.5) / (total + 1)
    each = c * share * (1 - share)  # the curvature of a loss at the tag's share
    scale = 1 / np.sqrt(each * problem.spread[:, None] * (total / len(problem.target)) + 1)
    scales = np.vstack([scale, 1 / np.sqrt(each * total + 1e-12)])
    dim, tags = scale.shape
    if start is None:
        start = Lines(np.zeros((dim, tags)), np.log(share / (1 - share)))

    def loss(flat: Scores) -> tuple[float, Scores]:
        lines = flat.reshape(dim + 1, tags) * scales
        logits = problem.components @ lines[:-1] + lines[-1]
        value = c * (problem.counts * (np.logaddexp(0, logits) - problem.target * logits)).sum()
        error = c * problem.counts * (expit(logits) - problem.target)
        slope = np.vstack([problem.components.T @ error + lines[:-1], error.sum(axis=0)])
        return float(value + (lines[:-1] ** 2).sum() / 2), (slope * scales).ravel()

    first = (np.vstack([*start.weights, start.biases]) / scales).ravel()
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-12, "gtol": TOLERANCE, "maxcor": 20}
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options=options).x.reshape(dim + 1, tags) * scales
    return Lines(found[:-1], found[-1])
