"""Triplets of tracks, chosen in each batch by what is said about them: alike in words is to be near in sound.

After Schindler, Gordea and Knees, "Unsupervised Cross-Modal Audio Representation Learning from Unstructured
Multilingual Text", SAC 2020, and the code that Schindler published of it, the seed. Within a view of a batch, c(a, b)
is the cosine of the tracks' documents, and d(a, b) the distance of their unit vectors, 0 to 2:

    positives of a: c(a, p) > upper, never a itself;     negatives of a: c(a, n) < lower

For each pair of an anchor and a positive, ``mining`` says which negative distance D it has:

    hard       D = min over n of d(a, n): the nearest negative (Hermans et al. 2017, eq. 5)
    semi_hard  D = min over n with d(a, n) > d(a, p): the nearest beyond the positive (Schroff et al. 2015, eq. 4),
               and where none is beyond it, the farthest negative of all, as in the seed's triplet_semihard_loss
    soft       D = -log sum over n of exp(-d(a, n)): all negatives, the nearer the heavier (Song et al. 2016, eq. 4)

and ``shape`` makes a loss of x = d(a, p) - D: max(0, margin + x) as hinge, log(1 + exp x) as logistic, exp x as
exponential. With soft the latter two are the seed's log(1 + sum exp) and sum exp over its negatives.
``aggregation`` says which positive of an anchor counts: ``max``, the farthest (hardest); ``min``, the nearest
(easiest); ``mean``, each of them. The loss is the mean over anchors with a positive and a negative.

The seed's triplet_loss_hard is hard with max or min, its triplet_loss_soft is semi_hard with max or min, and its
triplet_semihard_loss is semi_hard with mean, there over squared distances and all pairs at once. Its faults stay
behind: a batch without a positive was NaN, or counted anchors without one as if it lay at distance 0; where there was
no negative, one was made up; maxima were taken over the diagonal, so that only tracks of the same words were
positives. It collapsed to a loss of the margin under hard negatives, hence semi_hard by default.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.data.corpus import Corpus
from crossmodal.data.miner import Mined
from crossmodal.errors import InputError
from crossmodal.objectives._content import Content, joined
from crossmodal.precision import at_least_float32
from crossmodal.settings import Amount
from crossmodal.types import Batch, Embeddings, Objective, Order

Mining = Literal["hard", "semi_hard", "soft"]
Aggregation = Literal["max", "min", "mean"]
Shape = Literal["hinge", "logistic", "exponential"]


def distances(vectors: Tensor) -> Tensor:
    """Euclidean distances ``(n, n)`` of ``vectors (n, dim)`` of length one; where 0, so is the gradient.

    Lengths of one bound a distance by 2 and an exponential by e^2 a negative: nothing overflows.
    """
    square = 2 - 2 * vectors @ vectors.T
    apart = square > 0
    return torch.where(apart, square, 1).sqrt() * apart


def negative_distances(distance: Tensor, negatives: Tensor, mining: Mining) -> Tensor:
    """The distance of the negative for each pair of an anchor and a positive: ``(anchors, tracks)``, or one column.

    Args:
        distance: ``(anchors, tracks)``.
        negatives: ``(anchors, tracks)`` bool, at least one a row.
        mining: as the module says.
    """
    if mining == "soft":
        return -(-distance).masked_fill(~negatives, -torch.inf).logsumexp(1, keepdim=True)
    near_to_far = distance.masked_fill(~negatives, torch.inf).sort(dim=1).values
    if mining == "hard":
        return near_to_far[:, :1]
    beyond = torch.searchsorted(near_to_far.detach(), distance.detach().contiguous(), right=True)
    last = negatives.sum(dim=1, keepdim=True) - 1
    return near_to_far.gather(1, beyond.minimum(last))


def chosen_positives(distance: Tensor, positives: Tensor, aggregation: Aggregation) -> Tensor:
    """Of each anchor's positives those that count, ``(anchors, tracks)`` bool; at least one a row in, and out."""
    if aggregation == "mean":
        return positives
    sign = 1 if aggregation == "max" else -1
    farthest = (sign * distance).masked_fill(~positives, -torch.inf).argmax(dim=1)
    return F.one_hot(farthest, distance.shape[1]).bool()


def shaped(difference: Tensor, shape: Shape, margin: float) -> Tensor:
    """The loss of differences between positive and negative distances, element by element."""
    if shape == "hinge":
        return (difference + margin).relu()
    return F.softplus(difference) if shape == "logistic" else difference.exp()


def triplet_loss(
    distance: Tensor,
    positives: Tensor,
    negatives: Tensor,
    mining: Mining,
    aggregation: Aggregation,
    shape: Shape,
    margin: float,
) -> Tensor:
    """The mean over anchors with a positive and a negative, a scalar; 0 with a gradient of 0 if there is none.

    Args:
        distance: ``(tracks, tracks)``; at least float32.
        positives: ``(tracks, tracks)`` bool, of the anchor in each row.
        negatives: likewise.
        mining: how an anchor's negative is found.
        aggregation: which of its positives count.
        shape: of the loss.
        margin: of the hinge.
    """
    anchors = positives.any(dim=1) & negatives.any(dim=1)
    distance, positives, negatives = distance[anchors], positives[anchors], negatives[anchors]
    losses = shaped(distance - negative_distances(distance, negatives, mining), shape, margin)
    chosen = chosen_positives(distance, positives, aggregation)
    return ((losses * chosen).sum(dim=1) / chosen.sum(dim=1)).sum() / max(1, len(losses))


class Triplet(nn.Module, Objective):
    """One term, ``triplet``, for each view of the tracks alone, then averaged.

    Tracks of which nothing is said are no anchor, no positive and no negative. How alike tracks are in words, and so
    which thresholds leave how many positives, `crossmodal.data.similarity` tells; where positives seldom meet in a
    batch, `crossmodal.data.miner` brings them together.

    Args:
        corpus: the documents of the training tracks.
        content: what makes tracks alike: their tags, of all tagsets, or their texts.
        encoder: of documents, ``{"name": ..., **settings}``, fitted to those of the training part, and frozen. None:
            `lsi` of the kind of ``content``.
        upper: cosine of documents above which tracks are positives.
        lower: cosine of documents below which they are negatives; at most ``upper``.
        mining: how an anchor's negative is found.
        aggregation: which of its positives count.
        shape: of the loss.
        margin: of the hinge; the other shapes have none.
        mined: fill the batches with triplets that are mined by the documents, instead of at random.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        corpus: Corpus,
        content: Literal["tags", "texts"] = "tags",
        encoder: dict[str, Any] | None = None,
        upper: float = 0.9,
        lower: float = 0.85,
        mining: Mining = "semi_hard",
        aggregation: Aggregation = "max",
        shape: Shape = "hinge",
        margin: Amount = 1.0,
        mined: bool = False,
    ) -> None:
        super().__init__()
        if not -1 <= lower <= upper < 1:
            raise InputError(f"triplet: upper is {upper} and lower {lower}, valid is -1 <= lower <= upper < 1")
        documents = [joined(tags) for tags in corpus.tags()] if content == "tags" else corpus.texts()
        self.content = Content(
            {"name": "lsi", "kind": content} if encoder is None else encoder, documents, "triplet.encoder"
        )
        self.upper, self.lower, self.mined = upper, lower, mined
        self.mining, self.aggregation, self.shape, self.margin = mining, aggregation, shape, margin

    def order(self, batch_size: int, seed: int) -> Order | None:
        """Mined epochs, if they are wanted."""
        if not self.mined:
            return None
        vectors, _ = self.content(torch.arange(len(self.content.place), device=self.content.place.device))
        return Mined(vectors.cpu().numpy(), batch_size, self.upper, self.lower, seed)

    def pairs(self, tracks: Tensor) -> tuple[Tensor, Tensor]:
        """Which tracks ``(batch,)`` are positives and which negatives of each: ``(batch, batch)`` bool each."""
        vectors, known = self.content(tracks)
        similarity, both = vectors @ vectors.T, known & known[:, None]
        other = tracks != tracks[:, None]  # a batch over the end of an epoch may hold a track twice
        return both & other & (similarity > self.upper), both & (similarity < self.lower)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``triplet`` of ``audio (views, batch, dim)``."""
        with torch.autocast(embeddings.audio.device.type, enabled=False):
            pairs = self.pairs(batch.tracks)
            apart = [distances(at_least_float32(view)) for view in embeddings.audio]
            losses = [
                triplet_loss(view, *pairs, self.mining, self.aggregation, self.shape, self.margin) for view in apart
            ]
        return {"triplet": torch.stack(losses).mean()}
