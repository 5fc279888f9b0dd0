"""BYOL: each view predicts what a teacher, a moving average of the student, makes of another view. No negatives.

With q the student's prediction of a view and z' the teacher's projection of another view of the same track:

    loss = mean over tracks and pairs of views of  ( 2 - 2 cos(q_1, z'_2) )  +  ( 2 - 2 cos(q_2, z'_1) )

from 0 to 8: eq. 2 of Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020, and its symmetric counterpart. No
gradient reaches the teacher; it follows encoder and projector after each step.

Differs from the seeds: Deezer's sums products over the batch instead of the dimensions (2 - 2 B/F cos), and its teacher
fails under DDP; SSLISMIR's compares vectors that are not normalised, and its teacher cannot be restored.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossmodal.objectives._heads import head, matching_head, mean_cosine
from crossmodal.objectives._teacher import Schedule, Teacher
from crossmodal.settings import Share
from crossmodal.types import AudioEncoder, Batch, Embeddings, Objective, Space


def byol_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Both directions of a pair of views added, the mean over pairs and tracks.

    Args:
        predictions: the student's, ``(views, batch, dim)``, of any length; two views or more.
        targets: the teacher's, ``(views, batch, dim)``.
    """
    return 2 * (2 - 2 * mean_cosine(predictions, targets))


class BYOL(nn.Module, Objective):
    """A student that predicts its teacher; one term, ``byol``. Works with batches of any size.

    Args:
        space: for the dimensions of the encoder's output.
        projector: settings of the student's head, see `Layers`; the teacher's follows it.
        predictor: settings of the head from there on, of which the last width is that of the projector.
        momentum: the share of itself that the teacher keeps in a step, to begin with.
        schedule: whether it rises to 1 by a cosine, or stays.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views"})

    def __init__(
        self,
        space: Space,
        projector: dict[str, Any] | None = None,
        predictor: dict[str, Any] | None = None,
        momentum: Share = 0.996,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__()
        self.projector = head("byol: projector", space.features, projector, 512, 128)
        self.predictor = matching_head("byol: predictor", self.projector.dim, predictor, 512, 128)
        self.teacher = Teacher(self.projector, momentum, schedule)

    def start(self, encoder: AudioEncoder) -> None:
        """Copy the encoder for the teacher."""
        self.teacher.start(encoder)

    def targets(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features ``(n, frames, *shape)`` to the teacher encoder's ``(n, features)``."""
        return self.teacher.encode(features, lengths)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``byol`` of ``features`` and ``targets``, both ``(views, batch, features)``."""
        with torch.autocast(embeddings.features.device.type, enabled=False):
            predictions = self.predictor(self.projector(embeddings.features))
            return {"byol": byol_loss(predictions, self.teacher(embeddings.targets))}

    def after_step(self, encoder: AudioEncoder, done: float) -> None:
        """Move the teacher towards the student."""
        self.teacher.follow(encoder, self.projector, done)
