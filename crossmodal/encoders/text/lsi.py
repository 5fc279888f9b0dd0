"""Topics of texts or of tags as a text encoder: TF-IDF and latent semantic indexing, nothing to download.

The weighting, for learning and for queries alike, and its sources stand in `crossmodal.data.topics`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from crossmodal.data.manifest import same_words
from crossmodal.data.topics import ARRAYS, MAX_TERMS, N_TOPICS, TopicModel
from crossmodal.errors import InputError
from crossmodal.settings import Count
from crossmodal.types import TextEncoder, Tokens


class Lsi(nn.Module, TextEncoder):
    """Fitted, not trained: what the model learns on top of the topics is its projection into the joint space.

    Args:
        kind: ``texts`` are cut into pieces of their words; ``tags`` are what commas separate: ``"rock, calm"``.
        topics: at most, and the width of the vectors: where fewer are found, zeros follow.
        max_terms: the most frequent pieces or tags are kept.
    """

    def __init__(
        self, kind: Literal["texts", "tags"] = "texts", topics: Count = N_TOPICS, max_terms: Count = MAX_TERMS
    ) -> None:
        super().__init__()
        self.kind, self.dim, self.max_terms = kind, topics, max_terms
        self.topics: TopicModel | None = None

    def fit(self, texts: Sequence[str]) -> None:
        """Learn the topics of the training texts; an `InputError` if not one term is in them."""
        self.topics = TopicModel.fit(self._documents(texts), self.dim, max_terms=self.max_terms)

    def save(self, folder: Path) -> None:
        """Write the topics: terms and arrays."""
        self._fitted().save(folder / "topics")

    def restore(self, folder: Path) -> None:
        """Read what `save` wrote; an `InputError` if it is broken, or of other settings."""
        topics = TopicModel.load(folder / "topics")
        if topics.kind != self.kind or topics.n_topics > self.dim:
            raise InputError(
                f"{folder / 'topics'} holds {topics.n_topics} topics of {topics.kind}, "
                f"but the encoder has {self.dim} of {self.kind}"
            )
        self.topics = topics

    def identity(self) -> bytes:
        """A hash of terms and arrays; nothing before they are learned."""
        if self.topics is None:
            return b""
        digest = hashlib.sha256(repr(self.topics.terms).encode())
        for name in ARRAYS:
            digest.update(getattr(self.topics, name).tobytes())
        return digest.digest()

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """``vectors (texts, dim)`` of length one, or of zeros for a text without a term that is known."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        if len(texts):
            found = self._fitted().transform(self._documents(texts))
            vectors[:, : found.shape[1]] = found
        return {"vectors": torch.from_numpy(vectors)}

    def forward(self, tokens: Tokens) -> Tensor:
        """The vectors as they are."""
        return tokens["vectors"]

    def _documents(self, texts: Sequence[str]) -> list[str] | list[list[str]]:
        if self.kind == "texts":
            return list(texts)
        return [[tag for part in text.split(",") if (tag := same_words(part))] for text in texts]

    def _fitted(self) -> TopicModel:
        if self.topics is None:
            raise InputError("the topics are not learned: call fit(texts) first, or load a saved model")
        return self.topics
