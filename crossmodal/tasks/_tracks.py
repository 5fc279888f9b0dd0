"""Music to music: what tracks have in common, and how many of the nearest have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossmodal.data.groups import clusters_of
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.judgement import Measured, Units
from crossmodal.metrics import chance as random_order
from crossmodal.metrics import retrieval as metrics

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def shared(manifest: Manifest, tagset: str, ids: Sequence[str]) -> Bools:
    """``(tracks, tracks)``: which tracks share a tag of a tagset, in the order of ``ids``."""
    rows = manifest.tags[manifest.tags["tagset"] == tagset]
    if rows.empty and tagset not in tagset_names(manifest):
        raise InputError(f"there is no tagset {tagset!r} in the part that is judged")
    places = {track: place for place, track in enumerate(ids)}
    names = {tag: place for place, tag in enumerate(rows["tag"].unique())}
    has = np.zeros((len(ids), len(names)), np.float32)
    has[[places[track] for track in rows["track_id"]], [names[tag] for tag in rows["tag"]]] = 1
    return has @ has.T > 0


def tagset_names(manifest: Manifest) -> list[str]:
    """The tagsets that tracks are annotated with, also those of which none has a tag."""
    return sorted({*manifest.tags["tagset"], *manifest.annotated["tagset"]})


def annotated(manifest: Manifest, tagset: str, ids: Sequence[str]) -> Bools:
    """``(tracks,)``: of which it is known whether they have the tags of a tagset."""
    known = set(manifest.annotated.loc[manifest.annotated["tagset"] == tagset, "track_id"])
    return np.array([track in known for track in ids])


def tagsets_to_judge(
    manifest: Manifest, tagsets: Sequence[str] | None, apart: bool = True
) -> tuple[list[str], dict[str, str]]:
    """Of the tagsets, or all, those in which the order of the candidates matters, and by name why others are left out.

    Args:
        manifest: the part that is judged.
        tagsets: their names; None for all.
        apart: whether what artists and groups connect with a track is no candidate.
    """
    ids = list(manifest.tracks["track_id"])
    others = ~_no_candidates(clusters_of(manifest, ids), apart)
    names = tagset_names(manifest) if tagsets is None else tagsets
    why = {name: _reason(shared(manifest, name, ids), annotated(manifest, name, ids), others) for name in names}
    return [name for name in why if not why[name]], {name: reason for name, reason in why.items() if reason}


def reasons(left_out: Mapping[str, str]) -> str:
    """Why tagsets are left out, in words."""
    return "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "no track has a tag"


def _reason(related: Bools, known: Bools, others: Bools) -> str:
    """Why a tagset cannot be judged, or nothing."""
    candidates = others & known & known[:, None]
    if not candidates.any():
        return "artists and groups connect all tracks that are annotated with it, so none has a candidate"
    asked = (related & candidates).any(axis=1)
    if not asked.any():
        return "no track shares a tag with a candidate"
    return "" if (candidates & ~related)[asked].any() else "every candidate shares a tag with every track that asks"


@dataclass(frozen=True)
class Near:
    """Every track that is annotated with a tagset, against the others.

    Attributes:
        values: of all tracks, ``(tracks,)`` a measure of `metrics.retrieval.per_query`; NaN where no candidate shares a
            tag, or the track is not annotated.
        items: how many candidates each has.
        relevant: how many of them share a tag.
    """

    values: Mapping[str, Floats]
    items: Ints
    relevant: Ints

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        tagset: str,
        ids: Sequence[str],
        vectors: NDArray[np.floating],
        cutoffs: Sequence[int] = (),
        apart: bool = True,
    ) -> Near:
        """Tracks by the cosine of their unit ``vectors (tracks, dim)``.

        Args:
            manifest: the tracks.
            tagset: tracks that are not annotated with it are neither asked nor candidates.
            ids: of the tracks.
            vectors: of the tracks.
            cutoffs: of precision@k; left out where a track has not more candidates than k.
            apart: whether what artists and groups connect with a track is no candidate.
        """
        known = [*map(int, np.flatnonzero(annotated(manifest, tagset, ids)))]
        exclude = _no_candidates(clusters_of(manifest, [ids[row] for row in known]), apart)
        relevance = shared(manifest, tagset, ids)[np.ix_(known, known)]
        items, relevant = (~exclude).sum(axis=1), (relevance & ~exclude).sum(axis=1)
        scores, names = vectors[known] @ vectors[known].T, [ids[row] for row in known]
        ks = [k for k in cutoffs if k < items.min()]
        found = metrics.per_query(scores, relevance, names, exclude, names, ks)
        values = {name: np.full(len(ids), np.nan) for name in found}
        for name, column in found.items():
            values[name][known] = column
        return cls(values, items[relevant > 0], relevant[relevant > 0])

    def chance(self, measure: str) -> float:
        """What a random order is expected to reach, of ``map`` or ``precision@k``."""
        if measure == "map":
            return float(random_order.average_precision(self.items, self.relevant).mean())
        return float(random_order.precision(self.items, self.relevant, int(measure.partition("@")[2])).mean())

    def measured(self, units: Units, measure: str) -> Measured:
        """The mean of a measure; ``units`` are all tracks."""
        return units.mean(self.values[measure], chance=self.chance(measure), candidates=int(self.items.max()))


def mean_of_tagsets(units: Units, every: Sequence[Near], measure: str) -> Measured:
    """The mean of the tagsets' means of a measure, sampled over tracks: all tagsets' values of a track go together."""
    values = np.stack([near.values[measure] for near in every], axis=1)
    known = ~np.isnan(values)
    numbers = np.where(known, values, 0)

    def means(drawn: Ints) -> dict[str, Floats]:
        counts = drawn @ known.astype(np.int64)
        each = np.divide(drawn @ numbers, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
        return {measure: each.mean(axis=1)}

    chance = float(np.mean([near.chance(measure) for near in every]))
    counts = {"queries": int(known.sum(axis=0).max()), "candidates": max(int(near.items.max()) for near in every)}
    return units.statistics(means, lambda name: True, chance=chance, **counts)[measure]


def _no_candidates(clusters: Sequence[str], apart: bool) -> Bools:
    """Of each track: itself, or its whole cluster."""
    names = np.array(clusters)
    return names[:, None] == names if apart else np.eye(len(names), dtype=bool)
