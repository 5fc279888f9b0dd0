"""Multi-label embeddings: from a track's audio, the vector of its tags is told, for each tagset a task of its own.

The tags that a track has of a tagset are one document, and TF-IDF with latent semantic indexing (or any other text
encoder) makes it a vector y; a linear head h of the tagset tells that from the track's vector x in the joint space:

    loss(tagset) = mean over tracks with tags of the tagset of  1 - cos( h(x), y )

After Schindler and Knees, "Multi-Task Music Representation Learning from Multi-Label Embeddings", CBMI 2019, whose
tagsets are genres, styles, moods and themes. Its topics were used to choose triplets (see `triplet`); here they are
what is learned, so that every track counts, and tags of one set are not mixed with those of another.

The heads stand on the joint space and not on the encoder's features before it, because that is the space that is
searched: its projection has to learn from tags, too, where no other objective trains it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.data.corpus import Corpus
from crossmodal.errors import InputError
from crossmodal.objectives._content import Content, joined
from crossmodal.precision import at_least_float32
from crossmodal.settings import Amount
from crossmodal.types import Batch, Embeddings, Objective, Space


def cosine_loss(predicted: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """The mean of 1 - cosine over views and the tracks whose target is known; 0 if none is.

    Args:
        predicted: ``(views, tracks, dim)``; at least float32, or precision is lost.
        targets: ``(tracks, dim)``.
        known: ``(tracks,)`` bool.
    """
    losses = 1 - F.cosine_similarity(predicted, targets.to(predicted.dtype), dim=-1)
    return losses[:, known].sum() / (len(predicted) * known.sum()).clamp(min=1)


class TagEmbedding(nn.Module, Objective):
    """A term ``tag_embedding/<tagset>`` for each tagset, 0 with a gradient of 0 for a batch without its tags.

    Args:
        space: sizes the heads.
        corpus: the tags of the training tracks.
        tagsets: the weight of each; None: all tagsets of the training part, each with weight 1.
        encoder: of tags, ``{"name": ..., **settings}``; it is fitted to each tagset of the training part, and frozen.
            A text model from the hub reads the tags as words with commas in between. None: `lsi` of kind tags.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"tags"})

    def __init__(
        self,
        space: Space,
        corpus: Corpus,
        tagsets: dict[str, Amount] | None = None,
        encoder: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.weights = dict.fromkeys(corpus.tagsets, 1.0) if tagsets is None else tagsets
        if not self.weights:
            raise InputError("objective tag_embedding needs tags, but the training part has none")
        block = {"name": "lsi", "kind": "tags"} if encoder is None else encoder
        documents = [[joined(tags) for tags in corpus.tags(tagset)] for tagset in self.weights]
        contents = [Content(block, each, "tag_embedding.encoder") for each in documents]
        self.contents = nn.ModuleList(contents)
        self.heads = nn.ModuleList(nn.Linear(space.dim, content.dim) for content in contents)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The weighted terms for ``audio (views, batch, dim)``, means over views."""
        terms = {}
        with torch.autocast(embeddings.audio.device.type, enabled=False):
            audio = at_least_float32(embeddings.audio)
            tasks = zip(self.weights.items(), self.heads, self.contents, strict=True)
            for (tagset, weight), head, content in tasks:
                terms[f"tag_embedding/{tagset}"] = weight * cosine_loss(head(audio), *content(batch.tracks))
        return terms
