"""Supervised contrastive learning: tracks that share a tag attract each other, and so do the views of a track.

For a row i, one view of a track, P(i) the other rows of that track and of those that share a tag of the tagset with it,
and s the cosine over the temperature:

    loss(i) = mean over p in P(i) of  -log( exp s(i, p) / sum over a other than i of exp s(i, a) )

and the mean over all rows: L_out, eq. 2 of Khosla et al., "Supervised Contrastive Learning", NeurIPS 2020. There each
image has one label; of several tags, as genres of a track, one in common is enough here.

Differs from the seeds: SSLISMIR's returns 0 without labels, and trains nothing; here that is an error.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossmodal.errors import InputError, listed
from crossmodal.objectives._heads import head
from crossmodal.objectives.ntxent import Temperature, nt_xent, same_track, without_diagonal
from crossmodal.types import Batch, Embeddings, Objective, Space


def share_a_tag(tags: Tensor, views: int) -> Tensor:
    """Which other rows have a tag in common, ``(n, n - 1)`` bool, for rows ``(views, batch)``, flattened.

    Args:
        tags: ``(batch, tags)`` bool.
        views: of each track.
    """
    of_row = tags.float().repeat(views, 1)
    return without_diagonal(of_row @ of_row.T > 0)


class SupCon(nn.Module, Objective):
    """Views of tracks that share a tag against all others; one term, ``supcon``.

    A track that the tagset was not annotated for, or annotated with nothing, has its own views as positives, as in
    `ntxent`, and is a negative of the others.

    Args:
        space: for the dimensions of the encoder's output, and the tags of the training part.
        tagset: the tagset that says which tracks are alike, of one tag a track or of several.
        temperature: what cosines are divided by; the paper's is 0.1, SSLISMIR's 0.07.
        projector: settings of the head, see `Layers`.

    Raises:
        InputError: the training part has no such tagset.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views", "tags"})
    columns: Tensor  # which tags of the vocabulary are of the tagset, a buffer

    def __init__(
        self, space: Space, tagset: str, temperature: Temperature = 0.1, projector: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        within = [name == tagset for name, _ in space.tags]
        if not any(within):
            known = listed(sorted({name for name, _ in space.tags})) or "none"
            raise InputError(f"supcon: the training part has no tagset {tagset!r}; it has {known}")
        self.temperature = temperature
        self.register_buffer("columns", torch.tensor(within), persistent=False)
        self.projector = head("supcon: projector", space.features, projector, 512, 128)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``supcon`` of ``features (views, batch, features)`` and ``batch.tags (batch, tags)``."""
        with torch.autocast(embeddings.features.device.type, enabled=False):
            views = len(embeddings.features)
            rows = self.projector(embeddings.features).flatten(0, 1)
            alike = share_a_tag(batch.tags & batch.annotated & self.columns, views)
            return {"supcon": nt_xent(rows, alike | same_track(batch.tracks, views), self.temperature)}
