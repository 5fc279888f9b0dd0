"""SimSiam: each view predicts the projection of another, through which no gradient flows. No negatives, no teacher.

With z the projection of a view and p the prediction from it:

    loss = mean over tracks and pairs of views of  -1/2 cos(p_1, stopgrad z_2)  -  1/2 cos(p_2, stopgrad z_1)

from -1 to 1: eqs. 1 and 4 of Chen and He, "Exploring Simple Siamese Representation Learning", CVPR 2021.

Differs from the seeds: SSLISMIR's configuration gives the pair to NT-Xent, which ignores the target.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossmodal.objectives._heads import head, matching_head, mean_cosine
from crossmodal.types import Batch, Embeddings, Objective, Space


def simsiam_loss(predictions: Tensor, projections: Tensor) -> Tensor:
    """The mean over tracks and ordered pairs of views of the negative cosine; projections get no gradient.

    Args:
        predictions: ``(views, batch, dim)``, of any length; two views or more.
        projections: ``(views, batch, dim)``.
    """
    return -mean_cosine(predictions, projections.detach())


class SimSiam(nn.Module, Objective):
    """Views that predict each other; one term, ``simsiam``. Works with batches of any size.

    Args:
        space: for the dimensions of the encoder's output.
        projector: settings of the head, see `Layers`; the paper's ends with a norm.
        predictor: settings of the head from there on, of which the last width is that of the projector; with
            ``{widths: []}`` there is none, and training collapses.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views"})

    def __init__(
        self, space: Space, projector: dict[str, Any] | None = None, predictor: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        layers = {"widths": [512, 512], "last": "norm"} if projector is None else projector
        self.projector = head("simsiam: projector", space.features, layers)
        self.predictor = matching_head("simsiam: predictor", self.projector.dim, predictor, 128, 512)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``simsiam`` of ``features (views, batch, features)``."""
        with torch.autocast(embeddings.features.device.type, enabled=False):
            projections = self.projector(embeddings.features)
            return {"simsiam": simsiam_loss(self.predictor(projections), projections)}
