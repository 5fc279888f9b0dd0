"""Music to music: tracks that share a tag should be neighbours. It needs no text encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from crossmodal.data.groups import clusters_of
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Units
from crossmodal.settings import Whole
from crossmodal.tasks._tracks import Near, mean_of_tagsets, reasons, tagsets_to_judge
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Neighbours(Task):
    """Whole tracks against those of other artists and groups by cosine; relevant is what shares a tag of a tagset.

    What artists and groups (albums) connect with a track (`crossmodal.data.groups.clusters_of`) is no candidate for it:
    it would be found by its production, voice or player (Pampalk, Flexer and Widmer, "Improvements of audio-based music
    similarity and genre classification", ISMIR 2005). Tracks that are not annotated with a tagset take no part in it.
    ``map`` is the mean over tagsets; those in which no candidate is relevant, or all are, are ``left_out``. Intervals:
    bootstrap over the queries, clustered by artist and group.

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
        tagsets, left_out = tagsets_to_judge(manifest, self.tagsets)
        if not tagsets:
            raise InputError(f"neighbours: part {part} has no tagset to judge: {reasons(left_out)}")
        units = Units(vectors.track_ids, clusters_of(manifest, vectors.track_ids), self.draws, self.seed)
        found = {name: Near.of(manifest, name, vectors.track_ids, vectors.vectors) for name in tagsets}
        figures = {f"{name}/map": near.measured(units, "map") for name, near in found.items()}
        figures["map"] = mean_of_tagsets(units, list(found.values()), "map")
        return Judgement(figures, left_out=left_out)

    def judged(self, manifest: Manifest) -> list[str]:
        """The tagsets that can be judged."""
        return tagsets_to_judge(manifest, self.tagsets)[0]
