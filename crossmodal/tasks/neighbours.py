"""Music to music: tracks that share a tag should be neighbours. It needs no text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.metrics import retrieval as metrics
from crossmodal.settings import Whole
from crossmodal.tasks._tracks import groups_of, shared
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

Bools = NDArray[np.bool_]


class Neighbours(Task):
    """Whole tracks against the tracks of other groups by cosine; relevant is what shares a tag of a tagset.

    The tracks of the query's own group (album, artist) are no candidates: they would be found by their production.
    ``map`` is the mean over tagsets. Intervals: bootstrap over the queries, clustered by group.

    Args:
        tagsets: those that are judged, each by itself; all of the part's if None.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap.
    """

    primary: ClassVar[str] = "map"

    def __init__(self, tagsets: list[str] | None = None, draws: Whole = 1000, seed: Whole = 0) -> None:
        if tagsets == []:
            raise InputError("neighbours: tagsets is empty; name one at least, or give null for all")
        self.tagsets, self.draws, self.seed = tagsets, draws, seed

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<tagset>/map`` and their mean, ``map``."""
        vectors = embedded.vectors(part)
        manifest = embedded.part(part).select(vectors.track_ids)
        scores = vectors.vectors @ vectors.vectors.T
        tagsets = self.judged(manifest)
        if not tagsets:
            raise InputError(f"neighbours: no two tracks of part {part} in different groups share a tag")
        found = {f"{name}/map": self._tagset(manifest, name, scores, vectors.track_ids) for name in tagsets}
        return Judgement({**found, "map": _mean(list(found.values()))})

    def judged(self, manifest: Manifest) -> list[str]:
        """The tagsets in which two tracks of different groups share a tag."""
        ids = tuple(manifest.tracks["track_id"])
        groups = groups_of(manifest, ids)
        others = groups[:, None] != groups
        names = sorted(manifest.tags["tagset"].unique()) if self.tagsets is None else self.tagsets
        return [name for name in names if (shared(manifest, name, ids) & others).any()]

    def _tagset(self, manifest: Manifest, tagset: str, scores: NDArray[np.floating], ids: tuple[str, ...]) -> Measured:
        relevance, groups = shared(manifest, tagset, ids), groups_of(manifest, ids)
        exclude = groups[:, None] == groups
        values = metrics.per_query(scores, relevance, list(ids), exclude, ks=[])["map"]
        chance = metrics.chance("audio_to_audio", relevance, exclude, [])["audio_to_audio/map"]
        units = Units(ids, list(groups), self.draws, self.seed)
        return units.mean(values, chance=chance, candidates=int((~exclude).sum(1).max()))


def _mean(judged: list[Measured]) -> Measured:
    """Over tagsets; the interval of a mean of dependent means is not known."""
    value, chance = (float(np.mean([getattr(found, key) for found in judged])) for key in ("value", "chance"))
    counts = {key: max(getattr(found, key) for found in judged) for key in ("queries", "candidates")}
    return Measured(value, chance=chance, **counts)
