"""What tells a collapsed space from a healthy one: how vectors spread, over how many dimensions, and who is near whom.

Conventions: ``vectors (n, dim)``, one a row; all but `effective_rank` bring rows to length one first. A set of
positives is ``(rows of a, rows of b)`` bool; without one, row i of ``b`` is the positive of row i of ``a``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating]


def unit(vectors: Floats) -> NDArray[np.float64]:
    """The rows at length one; a row of zeros stays.

    Raises:
        InputError: there are no rows, or they hold a number that is none.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise InputError(f"vectors are {rows.shape}; valid is (n, dim), at least one row, all of it finite")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1.0))


def deviation(vectors: Floats) -> float:
    """Mean over dimensions of the rows' standard deviation, times sqrt(dim): 0 if all are equal, at most 1.

    1 is reached by rows that spread evenly over the sphere. It is the check of Chen and He, "Exploring Simple Siamese
    Representation Learning", CVPR 2021, section 4.1, who plot it without the root. Of rows at a mean cosine c to each
    other it is at most sqrt(1 - c).
    """
    rows = unit(vectors)
    return float(rows.std(axis=0).mean() * np.sqrt(rows.shape[1]))


def effective_rank(vectors: Floats) -> float:
    """Dimensions in use, 1 to min(n, dim): exp of the entropy of the singular values as shares of their sum.

    Roy and Vetterli, "The effective rank", EUSIPCO 2007, eq. 3; as a measure of learnt vectors "RankMe", Garrido et
    al., ICML 2023, eq. 1, without its epsilon. Rows are neither centred nor scaled; zeros have rank 0.
    """
    unit(vectors)  # checks them
    rows = np.asarray(vectors, dtype=np.float64)
    # the squares of the singular values are eigenvalues of the smaller Gram matrix: a third of the time of an SVD
    squares = np.linalg.eigvalsh(rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows)
    singular = np.sqrt(squares[squares > max(rows.shape) * np.finfo(np.float64).eps * squares[-1]])
    share = singular / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum())) if len(share) else 0.0


def uniformity(vectors: Floats, t: float = 2.0) -> float:
    """The logarithm of the mean over pairs of rows of exp(-t |x - y|^2): 0 if all are equal, lower if more even.

    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere", ICML 2020, section 4.1, without the pairs of a row with itself, as in their code. Even spread over a
    sphere of many dimensions gives about -2 t.

    Raises:
        InputError: a single row, which has no pair.
    """
    rows = unit(vectors)
    if len(rows) < 2:
        raise InputError("uniformity needs two vectors or more")
    squares = _squared_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    return float(np.log(np.exp(-t * squares).mean()))


def alignment(a: Floats, b: Floats, positives: Bools | None = None, alpha: float = 2.0) -> float:
    """Mean over positive pairs of |x - y|^alpha: 0 if positives are equal, 2 (for alpha 2) if they are orthogonal.

    Wang and Isola 2020, section 4.1.

    Raises:
        InputError: there is no positive pair, or its shape differs.
    """
    pairs = _pairs(a, b, positives)
    return float((_squared_distances(unit(a), unit(b))[pairs] ** (alpha / 2)).mean())


def similarities(a: Floats, b: Floats, positives: Bools | None = None) -> tuple[float, float]:
    """Mean cosine of the positive pairs, and of all others (NaN if there are none): equal ones tell nothing apart."""
    pairs = _pairs(a, b, positives)
    cosines = unit(a) @ unit(b).T
    return float(cosines[pairs].mean()), float(cosines[~pairs].mean()) if not pairs.all() else float("nan")


def modality_gap(audio: Floats, text: Floats) -> float:
    """Distance of the two centroids of rows, from 0 to 2.

    Liang et al., "Mind the Gap: Understanding the Modality Gap in Multi-modal Contrastive Representation Learning",
    NeurIPS 2022, section 4.1.
    """
    return float(np.linalg.norm(unit(audio).mean(axis=0) - unit(text).mean(axis=0)))


def _pairs(a: Floats, b: Floats, positives: Bools | None) -> Bools:
    pairs = np.eye(len(a), dtype=bool) if positives is None else positives
    if pairs.shape != (len(a), len(b)) or not pairs.any():
        raise InputError(f"positives are {pairs.shape}, {pairs.sum()} pairs; valid is {(len(a), len(b))}, one or more")
    return pairs


def _squared_distances(a: Floats, b: Floats) -> NDArray[np.float64]:
    """|x - y|^2 of every row of ``a`` and of ``b``, ``(rows of a, rows of b)``."""
    norms = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)
    return np.asarray((norms - 2 * a @ b.T).clip(min=0))
