"""Barlow Twins: the dimensions of two views correlate each with itself and with no other. No negatives.

With C the cross-correlation over the batch between the dimensions of two views:

    paper:  loss = sum over i of (1 - C_ii)^2   +  0.005  sum over i and j other than i of C_ij^2
    mean:   loss = mean over i of (1 - C_ii)^2  +  1      mean over i and j other than i of C_ij^2

and the mean over pairs of views. ``paper`` is eqs. 1 and 2 of Zbontar et al., "Barlow Twins: Self-Supervised Learning
via Redundancy Reduction", ICML 2021; ``mean`` is the scaling of Deezer's benchmark, which weighs the two terms alike
whatever the number of dimensions.

Differs from the seeds: SSLISMIR's divides by the batch size of its configuration, which scales a short batch wrongly,
and by n where its deviations are over n - 1; Deezer's the other way about. Here C is the correlation over the batch as
it is, and C_ii of identical views is 1.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from crossmodal.objectives._heads import head
from crossmodal.settings import Amount
from crossmodal.types import Batch, Embeddings, Objective, Space

EPSILON = 1e-5  # added to variances, as batch norm does in the authors' code: a constant dimension correlates with none
Scaling = Literal["paper", "mean"]


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """The correlation over a batch of each dimension of ``a (batch, dim)`` with each of ``b``: ``(dim, dim)``."""
    return standardised(a).T @ standardised(b) / len(a)


def standardised(values: Tensor) -> Tensor:
    """``(batch, dim)`` with a mean of 0 and a variance of 1 in each dimension; a batch of one becomes 0."""
    centred = values - values.mean(0)
    return centred / (centred.square().mean(0) + EPSILON).sqrt()


def off_diagonal_squares(square: Tensor, scaling: Scaling) -> Tensor:
    """The sum (paper) or the mean of the squares of ``(dim, dim)`` without its diagonal, 0 where ``dim`` is 1."""
    total = square.square().sum() - square.diagonal().square().sum()
    return total if scaling == "paper" else total / max(1, square.numel() - len(square))


def barlow_twins_terms(views: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Invariance and redundancy, not yet weighted: the mean over pairs of views.

    Args:
        views: ``(views, batch, dim)``, two views or more.
        scaling: sums over dimensions (paper), or means.
    """
    pairs = [correlation(a, b) for a, b in combinations(views, 2)]
    own = torch.stack([(1 - pair.diagonal()).square() for pair in pairs])
    invariance = own.sum(1).mean() if scaling == "paper" else own.mean()
    return invariance, torch.stack([off_diagonal_squares(pair, scaling) for pair in pairs]).mean()


class BarlowTwins(nn.Module, Objective):
    """Correlations of views; two terms, ``barlow_twins/invariance`` and ``barlow_twins/redundancy``.

    A batch of one track has no correlation: it costs a constant, and nothing is learned.

    Args:
        space: for the dimensions of the encoder's output.
        scaling: sums over dimensions (paper), or means (Deezer's).
        redundancy: the weight of the second term; null: 0.005 of sums, 1 of means, as published.
        projector: settings of the head, see `Layers`; wide ones, of thousands of dimensions, do best.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views"})

    def __init__(
        self,
        space: Space,
        scaling: Scaling = "paper",
        redundancy: Amount | None = None,
        projector: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.scaling: Scaling = scaling
        published = 5e-3 if scaling == "paper" else 1.0
        self.redundancy = published if redundancy is None else redundancy
        self.projector = head("barlow_twins: projector", space.features, projector, 512, 512)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The weighted terms of ``features (views, batch, features)``."""
        with torch.autocast(embeddings.features.device.type, enabled=False):
            invariance, redundancy = barlow_twins_terms(self.projector(embeddings.features), self.scaling)
        return {"barlow_twins/invariance": invariance, "barlow_twins/redundancy": self.redundancy * redundancy}
