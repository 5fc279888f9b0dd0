"""Rows of a matrix that are nearest to queries: all are compared, or those that a FAISS index finds.

What a FAISS index finds are candidates: their scores are those of the exact vectors. A filter names the rows that may
answer. Where they are few all of them are compared, since a graph or a list that is searched for one row in a hundred
finds none; where they are many the index looks harder by as much as it will pass over.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from crossmodal.material import Floats, Ints
from crossmodal.types import Approximate

FEW = 50_000  # rows a filter leaves that are all compared: 50 MB of them at 256 dimensions
SHARE = 16  # exact search is as fast once more than one row in so many is looked at
ASKED = 40  # rows a kind's effort is measured for: four for each of ten tracks

Bools = NDArray[np.bool_]


class Found(NamedTuple):
    """The rows found for each query.

    Attributes:
        scores: ``(queries, count)`` float32, descending.
        rows: likewise, int64; -1 where there were no more.
        bounds: what no other row exceeds, ``(queries,)``: -inf if there is no other, inf if that is not known.
    """

    scores: Floats
    rows: Ints
    bounds: Floats


def exact(queries: Floats, vectors: Floats, count: int, allowed: Bools | None = None) -> Found:
    """The ``count`` best of all rows, or of those that ``allowed (rows,)`` marks."""
    left = _left(vectors, allowed)
    if allowed is not None and left <= FEW and 4 * left <= len(vectors):
        rows = np.flatnonzero(allowed)
        found = exact(queries, vectors[rows], count)
        return found._replace(rows=rows[found.rows])
    count = min(count, left)
    scores, rows = _compared(queries, vectors, count, _selector(allowed))
    bounds = scores[:, -1] if count < left else np.full(len(queries), -np.inf, dtype=np.float32)
    return Found(scores, rows, bounds)


def _compared(queries: Floats, vectors: Floats, count: int, selector: Any) -> tuple[Floats, Ints]:
    """By FAISS, from where the vectors lie, also in a memory map."""
    scores = np.empty((len(queries), count), dtype=np.float32)
    rows = np.empty((len(queries), count), dtype=np.int64)
    if scores.size:
        queries, vectors = np.ascontiguousarray(queries), np.ascontiguousarray(vectors)
        x, y, out, ids = (faiss.swig_ptr(array) for array in (queries, vectors, scores, rows))
        faiss.knn_inner_product(x, y, vectors.shape[1], len(queries), len(vectors), count, out, ids, selector)
    return scores, rows


def approximate(
    queries: Floats,
    vectors: Floats,
    index: faiss.Index,
    kind: Approximate,
    effort: dict[str, int],
    count: int,
    allowed: Bools | None = None,
) -> Found:
    """The ``count`` best of the candidates that an index finds, by their exact scores."""
    passed = len(vectors) / max(1, _left(vectors, allowed))
    parameters = kind.parameters(effort, max(1.0, count / ASKED) * passed, _selector(allowed))
    _, rows = index.search(queries, count * effort["depth"], params=parameters)
    if rows.max(initial=-1) >= len(vectors):
        raise IndexError(f"row {rows.max()} was found, of {len(vectors)}")
    scores = np.where(rows < 0, -np.inf, scored(queries, vectors, rows)).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    queried = np.arange(len(queries))[:, None]
    scores, rows = scores[queried, order], rows[queried, order]
    return Found(scores, rows, np.where(rows[:, -1] < 0, np.inf, scores[:, -1]).astype(np.float32))


def wants_exact(vectors: Floats, count: int, effort: dict[str, int], allowed: Bools | None) -> bool:
    """Whether all rows that may answer are compared, though there is an index."""
    left = _left(vectors, allowed)
    return (left < len(vectors) and left <= FEW) or count * effort["depth"] * SHARE > left


def scored(queries: Floats, vectors: Floats, rows: Ints) -> Floats:
    """The scores of ``rows (queries, count)``, whatever they are where a row is -1."""
    gathered = vectors[np.maximum(rows, 0)]  # (queries, count, dim)
    return np.asarray(np.matmul(gathered, queries[:, :, None])[:, :, 0])


def _left(vectors: Floats, allowed: Bools | None) -> int:
    return len(vectors) if allowed is None else int(np.count_nonzero(allowed))


def _selector(allowed: Bools | None) -> Any:
    return None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
