"""What is said about the training tracks, a document a track, in the order in which a batch numbers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crossmodal.data.checks import among
from crossmodal.data.manifest import Manifest
from crossmodal.data.topics import tag_documents, text_documents


@dataclass(frozen=True)
class Corpus:
    """The tags and texts of training tracks; objectives get it by a constructor's parameter named ``corpus``.

    Attributes:
        part: the training part, or what of it may be used: a track without rows in it has empty documents.
        tracks: track ids in the order of the loader, so that ``Batch.tracks`` are rows of the documents.
    """

    part: Manifest
    tracks: Sequence[str]

    @property
    def tagsets(self) -> tuple[str, ...]:
        """The tagsets that the tracks have tags of, sorted."""
        tags = self.part.tags
        return tuple(sorted(tags.loc[among(tags["track_id"], pd.Series(list(self.tracks))), "tagset"].unique()))

    def tags(self, tagset: str | None = None) -> list[list[str]]:
        """The tags of each track, sorted: of one tagset, or of all with their tagset's name, ``"genres: rock"``.

        Raises:
            InputError: the part has no such tagset.
        """
        if tagset is None:
            return self._rows(tag_documents(self.part), list)
        documents = self._rows(tag_documents(self.part, [tagset]), list)
        return [[tag.removeprefix(f"{tagset}: ") for tag in document] for document in documents]

    def texts(self) -> list[str]:
        """All texts of each track as one document, of every kind and language; empty where there is none."""
        found = pd.Series(dtype="str") if self.part.texts.empty else text_documents(self.part)
        return self._rows(found, str)

    def _rows(self, documents: pd.Series[Any], empty: type[Any]) -> list[Any]:
        found = documents.to_dict()
        return [found.get(track, empty()) for track in self.tracks]
