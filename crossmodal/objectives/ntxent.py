"""SimCLR's NT-Xent for any number of views: a track's views find each other among the views of all tracks.

For a row i, one view of a track, the rows P(i) of the same track and s the cosine over the temperature:

    simclr:     loss(i) = mean over p in P(i) of  -log( exp s(i, p) / sum over a other than i of exp s(i, a) )
    decoupled:  the same with the sum over the rows of other tracks alone

and the mean over all rows. ``simclr`` is eq. 1 of Chen et al., "A Simple Framework for Contrastive Learning of Visual
Representations", ICML 2020; with more than two views, Deezer's generalisation, all other views are positives and stay
in the denominator, so that the least loss of n views is log(n - 1). ``decoupled`` is L_DC of Yeh et al., "Decoupled
Contrastive Learning", ECCV 2022; it falls below 0 where pairs are good.

Differs from the seeds: CLMR's takes batches of one size; SSLISMIR's "NTXent" is the decoupled one without saying so,
with 1e-4 added within the logarithm; to all three a track that comes twice in a batch is its own negative.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.objectives._heads import head
from crossmodal.objectives.clip import row_info_nce
from crossmodal.settings import Range
from crossmodal.types import Batch, Embeddings, Objective, Space

Temperature = Annotated[float, Range(1e-3)]


def without_diagonal(square: Tensor) -> Tensor:
    """``(n, n)`` to ``(n, n - 1)``: each row without its entry on the diagonal."""
    n = len(square)
    return square.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)


def cosines(rows: Tensor, temperature: float) -> Tensor:
    """The cosine of each row of ``(n, dim)`` and each other one, over the temperature: ``(n, n - 1)``."""
    unit = F.normalize(rows, dim=-1)
    return without_diagonal(unit @ unit.T / temperature)


def same_track(tracks: Tensor, views: int) -> Tensor:
    """Which other rows are of the same track, ``(n, n - 1)`` bool, for rows ``(views, batch)``, flattened."""
    of_row = tracks.repeat(views)
    return without_diagonal(of_row[:, None] == of_row)


def nt_xent(rows: Tensor, positives: Tensor, temperature: float) -> Tensor:
    """Mean over rows of the mean over their positives of -log softmax over all other rows, a scalar.

    Args:
        rows: ``(n, dim)``, of any length; at least float32, or precision is lost.
        positives: ``(n, n - 1)`` bool, of each row and the others; rows without any are left out of the mean.
        temperature: what cosines are divided by.
    """
    return row_info_nce(cosines(rows, temperature), positives)


def decoupled_nt_xent(rows: Tensor, positives: Tensor, temperature: float) -> Tensor:
    """`nt_xent` with the softmax over negatives alone; rows without a negative are left out too, and 0 if all are."""
    counted = positives.any(1) & ~positives.all(1)
    similarity, positives = cosines(rows, temperature)[counted], positives[counted]
    attraction = (similarity * positives).sum(1) / positives.sum(1)
    losses = similarity.masked_fill(positives, -torch.inf).logsumexp(1) - attraction
    return losses.sum() / counted.sum().clamp(min=1)


class NTXent(nn.Module, Objective):
    """Views of a track against those of all others; one term, ``ntxent``.

    A track that comes twice in a batch has the more positives. Alone in its batch, it has no negative: two views of it
    then cost 0, and nothing is learned. The larger the batch the better.

    Args:
        space: for the dimensions of the encoder's output.
        temperature: what cosines are divided by; CLMR's is 0.5, Deezer's 0.1, SSLISMIR's 0.07.
        variant: whether the positives are in the denominator (simclr) or not (decoupled).
        projector: settings of the head, see `Layers`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views"})

    def __init__(
        self,
        space: Space,
        temperature: Temperature = 0.1,
        variant: Literal["simclr", "decoupled"] = "simclr",
        projector: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.loss = nt_xent if variant == "simclr" else decoupled_nt_xent
        self.projector = head("ntxent: projector", space.features, projector, 512, 128)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``ntxent`` of ``features (views, batch, features)``."""
        with torch.autocast(embeddings.features.device.type, enabled=False):
            rows = self.projector(embeddings.features).flatten(0, 1)
            positives = same_track(batch.tracks, len(embeddings.features))
            return {"ntxent": self.loss(rows, positives, self.temperature)}
