"""The sigmoid loss of SigLIP, with sets of positives: each pair of a text and a track is a question of its own.

For unit vectors of the texts T of a batch and the tracks A that some of them is about, with z(t, a) = 1 where text t is
about track a and -1 elsewhere, s > 0 and b learned:

    loss = 1 / |T|  *  sum over t in T, a in A of  -log sigmoid( z(t, a) (s <t, a> + b) )

This is eq. 1 and algorithm 1 of Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023, with
s = exp(t') from t' = log 10 and b = -10. There a batch holds as many texts as images, one of each other's, and |T| is
the batch size; here |T| counts the batch's texts, those without a track in it too, and a text may have any number of
tracks. What is not positive is negative, but for tracks without a text: nobody knows what they are not.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.errors import InputError
from crossmodal.precision import at_least_float32
from crossmodal.types import Batch, Embeddings, Objective


def sigmoid_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """Binary cross-entropy, summed over all pairs and divided by the number of texts; 0 if there is no positive pair.

    Tracks that no text is about are left out.

    Args:
        logits: ``(texts, tracks)``; at least float32, or precision is lost.
        positives: ``(texts, tracks)`` bool, true where the text is about the track.

    Raises:
        ValueError: the shapes differ.
    """
    if logits.shape != positives.shape:
        raise ValueError(f"logits are {tuple(logits.shape)}, but positives are {tuple(positives.shape)}")
    described = positives.any(dim=0)
    logits, positives = logits[:, described], positives[:, described]
    signs = positives.to(logits.dtype) * 2 - 1
    return F.softplus(-signs * logits).sum() / max(1, len(logits))


class SigLip(nn.Module, Objective):
    """Texts against tracks with a learned scale and bias; one term, ``siglip``. Each view is scored, then averaged.

    Args:
        scale: what cosines are multiplied by, to begin with; its logarithm is learned.
        bias: what is added, to begin with: so low that the many negatives do not drown the few positives.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def __init__(self, scale: float = 10.0, bias: float = -10.0) -> None:
        super().__init__()
        if not (0 < scale < math.inf and math.isfinite(bias)):
            raise InputError(f"siglip: scale is {scale} and bias {bias}, valid is a positive scale and a finite bias")
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``siglip`` of ``audio (views, batch, dim)`` and ``text (texts, dim)`` under ``batch.positives``."""
        with torch.autocast(embeddings.audio.device.type, enabled=False):
            text, audio = at_least_float32(embeddings.text), at_least_float32(embeddings.audio)
            logits = [self.log_scale.exp() * text @ view.T + self.bias for view in audio]
            losses = [sigmoid_loss(view, batch.positives) for view in logits]
        return {"siglip": torch.stack(losses).mean()}
