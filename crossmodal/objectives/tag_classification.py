"""Tags told from audio by learned vectors of their own in the joint space: the supervised, multi-label baseline.

    loss = mean over tracks of the sum over their known tags of  BCE( sigmoid( s <audio, tag> + b ), has it the tag? )

It is the sigmoid loss of SigLIP (Zhai et al. 2023, eq. 1) with a learned vector in the place of each text. A pair is
known where the track was annotated with the tag's tagset: a track that nobody annotated says nothing.
Beside `clip` it lets the audio encoder learn to hear before the text encoder has learnt to read.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.errors import InputError
from crossmodal.precision import at_least_float32
from crossmodal.types import Batch, Embeddings, Objective, Space


def masked_bce(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy, summed over the known tags of a track; the mean over the tracks that have any, else 0.

    Args:
        logits: ``(tracks, tags)``.
        targets: ``(tracks, tags)`` bool.
        known: ``(tracks, tags)`` bool.
    """
    losses = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    return (losses * known).sum() / known.any(1).sum().clamp(min=1)


class TagClassification(nn.Module, Objective):
    """Sigmoid over cosines with a learned unit vector, scale and bias for each tag; one term, ``tag_classification``.

    Args:
        space: the joint space and the tags of the training part.
        scale: what cosines are multiplied by, to begin with.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"tags"})

    def __init__(self, space: Space, scale: float = 10.0) -> None:
        super().__init__()
        if not space.tags:
            raise InputError("objective tag_classification needs tags, but the training part has none")
        self.tags = nn.Parameter(torch.empty(len(space.tags), space.dim))
        nn.init.normal_(self.tags, std=space.dim**-0.5)
        self.log_scale = nn.Parameter(torch.tensor(float(scale)).log())
        # to begin with, one tag of all is expected: else the many that are absent drown the few that are not
        self.bias = nn.Parameter(torch.full((len(space.tags),), -math.log(max(2, len(space.tags)))))

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term for ``audio (views, batch, dim)``, the mean over views."""
        with torch.autocast(embeddings.audio.device.type, enabled=False):
            audio = at_least_float32(embeddings.audio)
            logits = self.log_scale.exp() * audio @ F.normalize(self.tags, dim=-1).T + self.bias
            losses = [masked_bce(view, batch.tags, batch.annotated) for view in logits]
        return {"tag_classification": torch.stack(losses).mean()}
