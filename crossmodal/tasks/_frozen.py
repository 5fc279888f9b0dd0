"""Tracks with their tags as the heads of `crossmodal.heads` read them: frozen features of tracks, segments or crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed
from crossmodal.heads import Aggregate, Examples, Fit, Reading, Truth
from crossmodal.tasks._tracks import groups_of

if TYPE_CHECKING:
    from crossmodal.data.manifest import Manifest
    from crossmodal.embedding import Embedded
    from crossmodal.model import TrackVectors

Layer = Literal["features", "vectors"]
Silence = Literal["include", "leave_out"]
SILENT_DB = -40.0  # a segment that is so much quieter than its track is silent


class Tagset(NamedTuple):
    """A tagset.

    A tag that train lacks cannot be told. Exclusive ones count all the same, as what they are: errors, whatever is said
    of their tracks; independent ones have no figure.

    Attributes:
        name: its own.
        tags: those that train has.
        exclusive: whether each track has exactly one.
        unseen: those that the judged part has, and train has not.
    """

    name: str
    tags: tuple[str, ...]
    exclusive: bool
    unseen: tuple[str, ...] = ()

    @property
    def judged(self) -> Tagset:
        """As the judged part is labelled: the tags that train has, and of exclusive ones the unseen after them."""
        return self._replace(tags=self.tags + self.unseen, unseen=()) if self.exclusive else self


class View(NamedTuple):
    """How the tracks of a part are turned into rows.

    Attributes:
        rows: of what.
        aggregate: what is averaged over a track's rows.
        whole: see `Reading`.
        quietest_db: segments that are not louder than this against their track are left out, but for the loudest.
        most: so many segments of a track at most, drawn at random.
    """

    rows: Fit
    aggregate: Aggregate
    whole: bool
    quietest_db: float
    most: int | None

    @property
    def draws(self) -> bool:
        """Whether it depends on a seed."""
        return self.rows == "crop" or self.most is not None


class Views(NamedTuple):
    """How the three parts are read."""

    train: View
    valid: View
    judged: View


def views(reading: Reading, fit: Fit | None, aggregate: Aggregate | None, silence: Silence | None) -> Views:
    """How a head reads the parts, where the task's settings, None for none, come before the head's own."""
    aggregate = aggregate or reading.aggregate
    averaged: Fit = "tracks" if aggregate == "embeddings" else "segments"
    quietest = {"include": -np.inf, "leave_out": SILENT_DB, None: -np.inf}[silence]
    fitted_quietest = reading.quietest_db if silence is None else quietest
    train = View(fit or reading.fit or averaged, aggregate, reading.whole, fitted_quietest, reading.most)
    judged = View(averaged, aggregate, reading.whole, quietest, None)
    return Views(train, train if reading.valid == "train" else judged, judged)


class Labelled(NamedTuple):
    """The tracks of a part that a tagset was asked of.

    Attributes:
        examples: of these tracks.
        ids: theirs.
        groups: theirs; a track without one is one of its own.
        unlabelled: how many others the part has.
    """

    examples: Examples
    ids: list[str]
    groups: list[str]
    unlabelled: int


def labelled(embedded: Embedded, part: str, tagset: Tagset, layer: Layer, view: View, seed: int) -> Labelled:
    """The tracks of a part that are annotated with a tagset; of an exclusive one, those with one of its ``tags``."""
    vectors = embedded.crops(part, seed) if view.rows == "crop" else embedded.vectors(part)
    manifest = embedded.part(part)
    rows, truth = _truth(manifest, tagset, vectors.track_ids)
    ids = [vectors.track_ids[row] for row in rows]
    levels = embedded.levels(part) if np.isfinite(view.quietest_db) and view.rows != "crop" else None
    rng = np.random.default_rng(seed)
    tracks = [_kept(vectors.tracks[row], levels[row] if levels else None, view, rng) for row in rows]
    examples = _examples(tracks, truth, tagset.exclusive, layer, view)
    return Labelled(examples, ids, groups_of(manifest, ids), len(vectors.track_ids) - len(ids))


def _truth(part: Manifest, tagset: Tagset, track_ids: Sequence[str]) -> tuple[NDArray[np.intp], Truth]:
    """The rows of ``track_ids`` that are annotated, and what is true of them, ``(rows, tags)``."""
    tags, annotated = (table[table["tagset"] == tagset.name] for table in (part.tags, part.annotated))
    row, column = ({name: place for place, name in enumerate(names)} for names in (track_ids, tagset.tags))
    truth = np.full((len(row), len(column)), -1, np.int8)
    truth[[row[track] for track in {*annotated["track_id"], *tags["track_id"]} if track in row]] = 0
    known = tags[tags["track_id"].isin(row) & tags["tag"].isin(column)]
    truth[known["track_id"].map(row).to_numpy(int), known["tag"].map(column).to_numpy(int)] = 1
    rows = np.flatnonzero((truth == 1).any(axis=1) if tagset.exclusive else (truth >= 0).any(axis=1))
    return rows, truth[rows]


def _kept(track: TrackVectors, level: NDArray[np.float64] | None, view: View, rng: np.random.Generator) -> TrackVectors:
    """The segments of a track that count, and how much each does."""
    weights = track.weights
    rows = np.arange(len(weights))
    if view.whole:
        rows = np.flatnonzero(weights >= min(1 - 1e-6, weights.max()))
        weights = np.ones_like(weights)
    if level is not None:
        rows = rows[level[rows] > min(view.quietest_db, np.nextafter(level[rows].max(), -np.inf))]
    if view.most is not None and len(rows) > view.most:
        rows = np.sort(rng.permutation(rows)[: view.most])
    changed = {"bounds": track.bounds[rows], "vectors": track.vectors[rows], "features": track.features[rows]}
    return track._replace(weights=weights[rows], **changed)


def _examples(tracks: Sequence[TrackVectors], truth: Truth, exclusive: bool, layer: Layer, view: View) -> Examples:
    """A row a track, or a row a segment."""
    if view.rows != "segments":
        found = [track.feature if layer == "features" else track.vector for track in tracks]
        return Examples.of_tracks(np.stack(found), truth, exclusive)
    number = np.repeat(np.arange(len(tracks)), [len(track.weights) for track in tracks])
    weights = [track.weights.astype(np.float64) / track.weights.sum(dtype=np.float64) for track in tracks]
    pooled: Aggregate = "logits" if view.aggregate == "logits" else "probabilities"
    rows = np.concatenate([getattr(track, layer) for track in tracks])
    return Examples(rows, number, np.concatenate(weights), truth, exclusive, pooled)


def chosen_on(part: str) -> dict[str, str]:
    """What is told of figures of a part by what is fitted on train and chosen on valid.

    Raises:
        InputError: the part is train.
    """
    if part == "train":
        raise InputError("part train cannot be judged by what is fitted on it; judge valid or test")
    return {"chosen_on": part} if part == "valid" else {}


def tagsets_of(embedded: Embedded, names: Sequence[str] | None, part: str) -> tuple[list[Tagset], dict[str, str]]:
    """The tagsets that can be probed, and by name why others cannot.

    Args:
        embedded: the model beside its data.
        names: the tagsets; None for all that there are.
        part: what is judged.

    Raises:
        InputError: one that was named cannot be probed, or none can; or the part is train.
    """
    chosen_on(part)
    known = sorted(embedded.manifest.tags["tagset"].unique())
    asked = known if names is None else names
    if unknown := [name for name in asked if name not in known]:
        raise InputError(f"there is no tagset {listed(unknown)} with tags; there are: {listed(known) or 'none'}")
    found, reasons = [], {}
    tags = {name: _tags(embedded, name) for name in dict.fromkeys(("train", "valid", part))}
    for name in asked:
        here = {place: table.get(name, set()) for place, table in tags.items()}
        if reason := _reason(here, exclusive := _exclusive(embedded.manifest, name), part):
            reasons[name] = reason
        else:
            tags_of_train, unseen = (tuple(sorted(own)) for own in (here["train"], here[part] - here["train"]))
            found.append(Tagset(name, tags_of_train, exclusive, unseen))
    for name in reasons if names is not None or not found else ():
        raise InputError(f"tagset {name!r}: {reasons[name]}")
    if not found:
        raise InputError("there are no tagsets to probe: no track has a tag")
    return found, reasons


def _exclusive(manifest: Manifest, name: str) -> bool:
    """Whether each track that is annotated with a tagset has exactly one of its tags."""
    tags, annotated = (table[table["tagset"] == name] for table in (manifest.tags, manifest.annotated))
    counts = tags[["track_id", "tag"]].drop_duplicates()["track_id"].value_counts()
    return bool((counts == 1).all()) and set(annotated["track_id"]) <= set(counts.index)


def _tags(embedded: Embedded, part: str) -> dict[str, set[str]]:
    """The tags that the embedded tracks of a part have, by tagset."""
    tags = embedded.part(part).tags
    there = tags[tags["track_id"].isin(embedded.vectors(part).track_ids)]
    return {str(name): set(group) for name, group in there.groupby("tagset")["tag"]}


def _reason(tags: Mapping[str, set[str]], exclusive: bool, part: str) -> str:
    """Why a tagset with these tags in each part cannot be probed, or nothing."""
    if len(tags["train"]) < 1 + exclusive:
        return f"train has {len(tags['train'])} of its tags, too few to learn from"
    for name in ("valid", part):
        if not tags[name] & tags["train"]:
            return f"{name} has no track with a tag that train has"
    return f"all tracks of {part} are {listed(tags[part])}" if exclusive and len(tags[part]) == 1 else ""
