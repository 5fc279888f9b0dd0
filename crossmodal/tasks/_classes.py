"""Classes of whole tracks, such as keys or bins of tempo, read off frozen features by a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal.errors import InputError
from crossmodal.heads import Examples, Head, Ints, probabilities
from crossmodal.judgement import Units
from crossmodal.tasks._frozen import Layer
from crossmodal.tasks._tagsets import chosen_on
from crossmodal.tasks._tracks import groups_of
from crossmodal.tasks.probe import head_of

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Read(NamedTuple):
    """What a head reads off the tracks of a part that have a class.

    Attributes:
        ids: of the tracks.
        groups: of the tracks; a track without a group is one of its own.
        classes: those of the training part, in order.
        scores: the probability of each, ``(tracks, classes)``.
        more: what the head chose on valid, ``chosen``; whether that is the part that is judged, ``chosen_on``.
    """

    ids: list[str]
    groups: list[str]
    classes: NDArray[np.generic]
    scores: NDArray[np.float64]
    more: dict[str, Any]

    @property
    def best(self) -> NDArray[np.generic]:
        """The likeliest class of each track, the first of equals."""
        found: NDArray[np.generic] = self.classes[self.scores.argmax(axis=1)]
        return found

    def units(self, draws: int, seed: int) -> Units:
        """What the bootstrap draws from."""
        return Units(self.ids, self.groups, draws, seed)


def read(embedded: Embedded, labels: pd.Series, part: str, layer: Layer, head: Head, seed: int, where: str) -> Read:
    """Fit a head on train, let it choose on valid, and read the classes of the judged tracks.

    Tracks of valid whose class train has not do not count for the choice; judged ones do count, as what they are:
    tracks that cannot be told.

    Args:
        embedded: the model beside its data.
        labels: the class of each track that has one, by track id.
        part: the part that is judged.
        layer: ``features``, the audio encoder's output, or ``vectors``, after the projection.
        head: of `crossmodal.heads`.
        seed: of a head that draws.
        where: what messages call the classes.

    Raises:
        InputError: a part has no track that has a class, or train has one class alone; or the part is train.
    """
    more = chosen_on(part)
    found = {name: _labelled(embedded, labels, name, where) for name in ("train", "valid", part)}
    classes = np.unique(labels.loc[found["train"]].to_numpy())
    if len(classes) < 2:
        raise InputError(f"{where}: all labelled tracks of part train are of one class, {classes[0]}")
    known = [track for track in found["valid"] if labels[track] in classes]
    if not known:
        raise InputError(f"{where}: no track of part valid has a class that train has")
    train, valid = (
        _examples(embedded, name, ids, layer, labels, classes)
        for name, ids in (("train", found["train"]), ("valid", known))
    )
    fitted = head.fit(train, valid, seed, refit=part != "valid")
    ids = found[part]
    groups = groups_of(embedded.part(part), ids)
    scores = probabilities(fitted.logits(_features(embedded, part, ids, layer)), exclusive=True)
    return Read(ids, groups, classes, scores, {"chosen": fitted.chosen} | more)


def unweighted(head: dict[str, Any] | None, where: str) -> Head:
    """The head that a block describes, or logistic regression, every track weighing the same, if None."""
    return head_of({"name": "linear", "balanced": False} if head is None else head, where)


def _labelled(embedded: Embedded, labels: pd.Series, part: str, where: str) -> list[str]:
    ids = [track for track in embedded.vectors(part).track_ids if track in labels.index]
    if not ids:
        raise InputError(f"{where}: no track of part {part} has any")
    return ids


def _features(embedded: Embedded, part: str, ids: list[str], layer: Layer) -> NDArray[np.float32]:
    vectors = embedded.vectors(part)
    rows = {track: row for row, track in enumerate(vectors.track_ids)}
    made: NDArray[np.float32] = getattr(vectors, layer)[[rows[track] for track in ids]]
    return made


def _examples(
    embedded: Embedded, part: str, ids: list[str], layer: Layer, labels: pd.Series, classes: NDArray[np.generic]
) -> Examples:
    places: Ints = np.searchsorted(classes, labels.loc[ids].to_numpy())
    truth = np.eye(len(classes), dtype=np.int8)[places]
    return Examples.of_tracks(_features(embedded, part, ids, layer), truth, exclusive=True)
