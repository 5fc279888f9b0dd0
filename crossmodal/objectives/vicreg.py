"""VICReg: views come close, while each dimension keeps its variance and correlates with no other. No negatives.

For two views Z and Z' of n tracks in d dimensions:

    paper:  25 mean of (Z - Z')^2  +  25 [v(Z) + v(Z')]  +  1 [c(Z) + c(Z')]
    mean:    1 mean of (Z - Z')^2  +   1 [v(Z) + v(Z')] / 2  +  1 [r(Z) + r(Z')] / 2

    v(Z) = mean over dimensions of max(0, 1 - sqrt(variance + epsilon))
    c(Z) = 1/d  sum over i and j other than i of the squared covariance of dimensions i and j
    r(Z) = mean over i and j other than i of their squared correlation

with n - 1 in variance and covariance; the mean over pairs of views. ``paper`` is algorithm 1 of Bardes et al., "VICReg:
Variance-Invariance-Covariance Regularization for Self-Supervised Learning", ICLR 2022, with eqs. 1 to 4 and 6; eq. 5 as
printed sums over dimensions where the algorithm takes the mean, which is ``invariance: 25 d`` here, and the authors'
repository halves v(Z) + v(Z'), which is ``variance: 12.5``. ``mean`` is Deezer's "feature_stats".

Differs from the seeds: SSLISMIR's is ``invariance: 25, variance: 7.5, covariance: 0.5`` (its 15 and 1 are of the mean
of both views), takes the root without an epsilon, where a constant dimension has no finite gradient, and dies at the
first step, since it returns what its loop cannot log; Deezer's scales its correlations by n / (n - 1).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossmodal.objectives._heads import head
from crossmodal.objectives.barlow_twins import Scaling, correlation, off_diagonal_squares
from crossmodal.settings import Amount
from crossmodal.types import Batch, Embeddings, Objective, Space

EPSILON = {"paper": 1e-4, "mean": 1e-5}
PUBLISHED = {"paper": (25.0, 25.0, 1.0), "mean": (1.0, 1.0, 1.0)}


def invariance(views: Tensor) -> Tensor:
    """The mean over pairs of views, tracks and dimensions of the squared difference; of ``(views, batch, dim)``."""
    return torch.stack([(a - b).square().mean() for a, b in combinations(views, 2)]).mean()


def variance(view: Tensor, scaling: Scaling) -> Tensor:
    """v(Z) of ``(batch, dim)``: by how much standard deviations fall short of 1. A batch of one has none at all."""
    spread = (view - view.mean(0)).square().sum(0) / max(1, len(view) - 1)
    return (1 - (spread + EPSILON[scaling]).sqrt()).relu().mean()


def covariance(view: Tensor) -> Tensor:
    """The covariance over a batch of the dimensions of ``(batch, dim)``: ``(dim, dim)``; 0 for a batch of one."""
    centred = view - view.mean(0)
    return centred.T @ centred / max(1, len(view) - 1)


def redundancy(view: Tensor, scaling: Scaling) -> Tensor:
    """c(Z) or r(Z) of ``(batch, dim)``; 0 for a batch of one."""
    if scaling == "mean":
        return off_diagonal_squares(correlation(view, view), scaling)
    return off_diagonal_squares(covariance(view), scaling) / view.shape[1]


class VICReg(nn.Module, Objective):
    """Three terms, each weighted: ``vicreg/invariance``, ``vicreg/variance`` and ``vicreg/covariance``.

    Args:
        space: for the dimensions of the encoder's output.
        scaling: the paper's sums, or means (Deezer's).
        invariance: weight of the first term; null, as of the others: the published one.
        variance: weight of the second.
        covariance: weight of the third.
        projector: settings of the head, see `Layers`; wide ones, of thousands of dimensions, do best.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views"})

    def __init__(
        self,
        space: Space,
        scaling: Scaling = "paper",
        invariance: Amount | None = None,
        variance: Amount | None = None,
        covariance: Amount | None = None,
        projector: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.scaling: Scaling = scaling
        given = zip((invariance, variance, covariance), PUBLISHED[scaling], strict=True)
        self.weights = [published if weight is None else weight for weight, published in given]
        self.projector = head("vicreg: projector", space.features, projector, 512, 512)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The weighted terms of ``features (views, batch, features)``."""
        with torch.autocast(embeddings.features.device.type, enabled=False):
            views = self.projector(embeddings.features)
            each = 2 if self.scaling == "paper" else 1  # both views of a pair are added, or averaged
            values = [
                invariance(views),
                each * torch.stack([variance(view, self.scaling) for view in views]).mean(),
                each * torch.stack([redundancy(view, self.scaling) for view in views]).mean(),
            ]
        names = ("vicreg/invariance", "vicreg/variance", "vicreg/covariance")
        return {name: weight * value for name, weight, value in zip(names, self.weights, values, strict=True)}
