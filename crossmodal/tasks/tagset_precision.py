"""Music to music at many cut-offs: how many of the nearest tracks share a tag. It needs no text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from crossmodal.data.groups import clusters_of
from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.settings import Count, Whole
from crossmodal.tasks._tracks import Near, mean_of_tagsets, reasons, tagsets_to_judge
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

CUTOFFS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
MEAN = "mean"  # of the tagsets, in the table


class TagsetPrecision(Task):
    """Each track asks for the others by cosine: the share of the k nearest that have a tag of a tagset with it.

    After Schindler and Knees, "Multi-Task Music Representation Learning from Multi-Label Embeddings" (CBMI 2019), and
    Schindler, Gordea and Knees, "Unsupervised Cross-Modal Audio Representation Learning from Unstructured Multilingual
    Text" (SAC 2020), who compare systems so at cut-offs from 1 to 1000.

    Tracks that are not annotated with a tagset take no part in it; tracks that share a tag with no candidate are not
    asked. A cut-off is judged where every track has more candidates than that, ``precision@k`` without a tagset, the
    mean of the tagsets, where that holds in all of them. Tagsets in which no candidate is relevant, or all are, are
    ``left_out``. Intervals: bootstrap over tracks, clustered by artist and group.

    Args:
        tagsets: those that are judged, each by itself; all of the part's if None.
        cutoffs: k of precision@k; 1, 2, 5, 10, ... 1000 if None.
        exclude_group: what artists and groups (albums) connect with a track is no candidate for it, as in
            `crossmodal.tasks.neighbours`.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap.
    """

    primary: ClassVar[str] = "precision@10"

    def __init__(
        self,
        tagsets: list[str] | None = None,
        cutoffs: list[Count] | None = None,
        exclude_group: bool = True,
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        for name, given in (("tagsets", tagsets), ("cutoffs", cutoffs)):
            if given == []:
                raise InputError(f"tagset_precision: {name} is empty; give one at least, or null for all")
        self.tagsets, self.exclude_group, self.draws, self.seed = tagsets, exclude_group, draws, seed
        self.cutoffs = CUTOFFS if cutoffs is None else cutoffs

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<tagset>/precision@k``, ``precision@k``, and the table ``curve/precision``."""
        vectors = embedded.vectors(part)
        manifest = embedded.part(part).select(vectors.track_ids)
        tagsets, left_out = tagsets_to_judge(manifest, self.tagsets, self.exclude_group)
        if not tagsets:
            raise InputError(f"tagset_precision: part {part} has no tagset to judge: {reasons(left_out)}")
        every = {
            name: Near.of(manifest, name, vectors.track_ids, vectors.vectors, self.cutoffs, self.exclude_group)
            for name in tagsets
        }
        units = Units(vectors.track_ids, clusters_of(manifest, vectors.track_ids), self.draws, self.seed)
        found = {(name, k): near.measured(units, at(k)) for name, near in every.items() for k in self._of(near)}
        if not found:
            raise InputError(
                f"tagset_precision: in part {part} there are not more candidates than {min(self.cutoffs)}, "
                "the lowest of cutoffs"
            )
        common = [k for k in self.cutoffs if all(k in self._of(near) for near in every.values())]
        means = {(MEAN, k): mean_of_tagsets(units, list(every.values()), at(k)) for k in common}
        figures = {f"{name}/{at(k)}": figure for (name, k), figure in found.items()}
        figures |= {at(k): figure for (_, k), figure in means.items()}
        return Judgement(figures, {"curve/precision": curve({**found, **means})}, left_out=left_out)

    def _of(self, near: Near) -> list[int]:
        return [k for k in self.cutoffs if at(k) in near.values]


def at(k: int) -> str:
    """The name of a measure."""
    return f"precision@{k}"


def curve(found: Mapping[tuple[str, int], Measured]) -> pd.DataFrame:
    """A row a tagset, the mean last, and k: value, low, high and chance."""
    rows = [(name, k, f.value, f.low, f.high, f.chance) for (name, k), f in found.items()]
    return pd.DataFrame(rows, columns=["tagset", "k", "value", "low", "high", "chance"])
