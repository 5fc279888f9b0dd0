"""Vectors of what is said about the training tracks, computed once, for objectives that learn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.types import TextEncoder

AT_ONCE = 256  # documents


def joined(tags: Sequence[str]) -> str:
    """The tags of a track as one document: words for a language model, what `lsi` of kind tags takes apart again."""
    return ", ".join(tags)


class Content(nn.Module):
    """Frozen unit vectors of documents, looked up by ``Batch.tracks``; no weights, and no part of what is saved.

    Tracks of the same words share a vector, so that a million tracks with a hundred genres are no burden.

    Args:
        encoder: ``{"name": ..., **settings}``, a plug-in of ``encoders/text``; it is fitted to the documents.
        documents: one a training track; empty where nothing is said.
        where: what messages call the encoder.

    Raises:
        InputError: the encoder's settings are wrong, or there is no document.
    """

    vectors: Tensor  # (distinct documents, dim)
    place: Tensor  # (tracks,) int64, -1 where nothing is said

    def __init__(self, encoder: Mapping[str, Any], documents: Sequence[str], where: str) -> None:
        super().__init__()
        registry.check("encoders.text", encoder, where)
        said = [document for document in documents if document.strip()]
        if not said:
            raise InputError(f"{where}: not one of {len(documents)} training tracks has a document to learn from")
        built: TextEncoder = registry.build_block("encoders.text", encoder)
        built.fit(said)
        distinct = sorted(set(said))
        vectors = _unit_vectors(built, distinct)
        rows = {document: row for row, document in enumerate(distinct) if vectors[row].any()}
        self.register_buffer("vectors", vectors, persistent=False)
        self.register_buffer("place", torch.tensor([rows.get(text, -1) for text in documents]), persistent=False)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self.vectors.shape[1]

    def forward(self, tracks: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of some tracks ``(batch, dim)``, and where there is one, ``(batch,)`` bool."""
        place = self.place[tracks]
        return self.vectors[place.clamp(min=0)], place >= 0


@torch.no_grad()
def _unit_vectors(encoder: TextEncoder, documents: Sequence[str]) -> Tensor:
    if isinstance(encoder, nn.Module):
        encoder.eval()
    starts = tqdm(range(0, len(documents), AT_ONCE), "documents", disable=None, leave=False)
    found = [encoder.forward(encoder.tokenize(documents[start : start + AT_ONCE])) for start in starts]
    return F.normalize(torch.cat(found).float(), dim=-1)
