"""CLIP's symmetric InfoNCE, with sets of positives: tracks may share a review, and a track may have several captions.

For a text t with the positive tracks P(t) among all tracks A of the batch, and s the scaled cosine:

    loss(t) = mean over p in P(t) of  -log( exp s(t, p) / sum over a in A of exp s(t, a) )

and likewise for a track over its texts. This is L_out of Khosla et al., "Supervised Contrastive Learning", NeurIPS
2020, eq. 2: the other positives stay in the denominator, so the least loss of a set of n is log n, reached when the
set shares the mass evenly. With one positive each it is the loss of CLIP (Radford et al., ICML 2021, fig. 3).

A holds the tracks that some text of the batch is about. Of a track that nobody described nobody knows what it is not.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from crossmodal.errors import InputError
from crossmodal.precision import at_least_float32
from crossmodal.types import Batch, Embeddings, Objective


def row_info_nce(similarity: Tensor, positives: Tensor) -> Tensor:
    """Mean over the rows that have a positive of the mean over their positives of -log softmax; 0 if none has.

    Args:
        similarity: ``(rows, columns)``, scaled; at least float32, or precision is lost.
        positives: ``(rows, columns)`` bool.
    """
    count = positives.sum(dim=1)
    loss = -(similarity.log_softmax(dim=1) * positives).sum(dim=1) / count.clamp(min=1)
    return loss.sum() / (count > 0).sum().clamp(min=1)  # rows without positives hold 0 and are not counted


def set_info_nce(similarity: Tensor, positives: Tensor) -> Tensor:
    """Symmetric InfoNCE over sets of positives: the mean of text to audio and audio to text, a scalar.

    What is not positive is negative, but for tracks without a text, which are left out. Texts without a track are no
    query, but stay candidates of the tracks. Without any positive the loss is 0, with a gradient of 0.

    Args:
        similarity: ``(texts, tracks)``, scaled by 1 / temperature; computed in float32, or float64 if it is that.
        positives: ``(texts, tracks)`` bool, true where the text is about the track.

    Raises:
        ValueError: the shapes differ.
    """
    if similarity.shape != positives.shape:
        raise ValueError(f"similarity is {tuple(similarity.shape)}, but positives are {tuple(positives.shape)}")
    described = positives.any(dim=0)
    similarity, positives = at_least_float32(similarity)[:, described], positives[:, described]
    return (row_info_nce(similarity, positives) + row_info_nce(similarity.T, positives.T)) / 2


class Clip(nn.Module, Objective):
    """Texts against tracks with a learned temperature; one term, ``clip``. Each view is scored, then averaged.

    The larger the batch the better, since its other tracks are the negatives.

    Args:
        temperature: what similarities are divided by, or where a learned one starts.
        learned: whether the temperature is trained, as the logarithm of its inverse (the scale).
        max_scale: bound of the scale, so that a learned temperature cannot run to 0; CLIP's is 100.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text"})

    def __init__(self, temperature: float = 0.07, learned: bool = True, max_scale: float = 100.0) -> None:
        super().__init__()
        if not (0 < temperature < math.inf and 1 / temperature <= max_scale < math.inf):
            raise InputError(
                f"clip: temperature is {temperature}, valid is 1 / max_scale or more (max_scale {max_scale})"
            )
        self.max_scale = max_scale
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learned)

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by, 1 / temperature: a scalar of at most ``max_scale``."""
        # The parameter itself is clamped: clamping its exponential would end its gradient, and it never came back.
        with torch.no_grad():
            self.log_scale.clamp_(max=math.log(self.max_scale))
        return self.log_scale.exp()

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``clip`` of ``audio (views, batch, dim)`` and ``text (texts, dim)`` under ``batch.positives``."""
        with torch.autocast(embeddings.audio.device.type, enabled=False):  # s reaches 100: bf16 would round it to 0.5
            text, scale = at_least_float32(embeddings.text), self.scale
            similarities = [scale * text @ at_least_float32(view).T for view in embeddings.audio]
            losses = [set_info_nce(similarity, batch.positives) for similarity in similarities]
        return {"clip": torch.stack(losses).mean()}
