"""The nearest tracks of the train part vote; nothing is learned."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import faiss
import numpy as np

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.heads import Examples, Fitted, Floats, Head, Ints, Scores, logits_of
from crossmodal.heads._choice import best, quality
from crossmodal.heads._standard import Standard
from crossmodal.settings import Count
from crossmodal.types import Approximate

TEMPERATURE = 0.07  # of Wu et al.
STEP = 1024  # rows whose votes are counted at a time
Weighting = Literal["uniform", "similarity"]


class Near(NamedTuple):
    """The nearest rows of train for each of some rows: cosines ``(rows, k)``, falling, and their numbers."""

    cosines: Scores
    rows: Ints


class Neighbours(Head):
    """Votes of the k nearest rows of train, by the cosine of standardised features.

    A tag's score is the share of the votes that it gets from those of whom it is known; where it is known of none, its
    share in train. Votes weigh the same, or by exp(cosine / 0.07), as in Wu et al., "Unsupervised Feature Learning via
    Non-Parametric Instance Discrimination" (CVPR 2018). Their number and weights are chosen on valid, by balanced
    accuracy or by macro average precision, the first as listed of equals.

    Args:
        k: the numbers of neighbours to choose from; 1 to 100 in steps of about twice as many if None. Train may have
            fewer rows than some.
        weighting: the weights to choose from; both if None.
        index: the kind of FAISS index, of `crossmodal.indexes`, and its settings. What an approximate one finds is
            compared by exact cosines.
    """

    def __init__(
        self,
        k: list[Count] | None = None,
        weighting: list[Weighting] | None = None,
        index: dict[str, Any] | None = None,
    ) -> None:
        self.k = [1, 2, 5, 10, 20, 50, 100] if k is None else k
        self.weighting: list[Weighting] = ["uniform", "similarity"] if weighting is None else weighting
        self.index = {"name": "flat"} if index is None else index
        registry.check("indexes", self.index, "head neighbours: index")
        if not (self.k and self.weighting):
            raise InputError(f"head neighbours: {'weighting' if self.k else 'k'} is empty; give one at least")

    def fit(self, train: Examples, valid: Examples, seed: int = 0, refit: bool = True) -> Fitted:
        """Nothing is drawn. With ``refit`` the tracks of valid vote too, when number and weights have been chosen."""
        near = self._search(train, max(self.k))(valid.features)
        options = list(product(self.k, self.weighting))

        def score(option: tuple[int, Weighting]) -> float:
            return quality(valid, valid.scores(logits_of(votes(near, train, *option), train.exclusive)))

        k, weighting = best(options, score)
        voters = train.joined(valid) if refit else train
        search = self._search(voters, k)

        def logits(features: Floats) -> Scores:
            return logits_of(votes(search(features), voters, k, weighting), train.exclusive)

        return Fitted(logits, {"k": k, "weighting": weighting})

    def _search(self, train: Examples, k: int) -> _Search:
        standard = Standard.of(train.features)
        return _Search(standard, _unit(standard(train.features)), self.index, min(k, len(train.features)))


class _Search:
    """The rows of train, and what finds the nearest of them."""

    def __init__(self, standard: Standard, rows: Floats, index: Mapping[str, Any], k: int) -> None:
        self.standard, self.rows, self.k = standard, rows, k
        kind = registry.build_block("indexes", index)
        if instead := kind.instead(*rows.shape):
            kind = registry.build("indexes", instead)
        self.kind = kind if isinstance(kind, Approximate) else None
        self.built: Any = None
        if self.kind:
            with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # what is mapped from there outlives it
                self.built = self.kind.build(rows, len(rows), Path(folder) / "index")

    def __call__(self, features: Floats) -> Near:
        """The nearest rows of each of ``features``."""
        queries = _unit(self.standard(features))
        if self.kind is None:
            cosines, rows = faiss.knn(queries, self.rows, self.k, metric=faiss.METRIC_INNER_PRODUCT)
            return Near(cosines.astype(np.float64), rows)
        effort = self.kind.efforts(len(self.rows))[-1]  # as hard as the kind can look
        count = min(len(self.rows), self.k * effort["depth"])
        rows = self.built.search(queries, count, params=self.kind.parameters(effort, 1.0, None))[1]
        exact = np.einsum("qd,qkd->qk", queries, self.rows[np.maximum(rows, 0)]).astype(np.float64)
        cosines = np.where(rows < 0, -np.inf, exact)  # it found fewer
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : self.k]
        return Near(np.take_along_axis(cosines, order, 1), np.take_along_axis(rows, order, 1))


def votes(near: Near, train: Examples, k: int, weighting: Weighting) -> Scores:
    """The share of the votes that each tag gets, ``(rows, tags)``."""
    known = (train.truth >= 0).sum(axis=0)
    share = (train.truth == 1).sum(axis=0) / np.maximum(known, 1)
    found = np.empty((len(near.rows), len(share)))
    for start in range(0, len(found), STEP):
        some = slice(start, start + STEP)
        cosines, truth = near.cosines[some, :k], train.truth[train.track[near.rows[some, :k]]]  # (rows, k, tags)
        weights = np.isfinite(cosines) * (np.exp((cosines - 1) / TEMPERATURE) if weighting == "similarity" else 1.0)
        total, given = (np.einsum("rk,rkt->rt", weights, asked) for asked in (truth >= 0, truth == 1))
        found[some] = np.where(total > 0, given / np.where(total > 0, total, 1), share)
    return found


def _unit(rows: Floats) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)
