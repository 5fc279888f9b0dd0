"""Heads: what is fitted on frozen features, found by file name; here what they are given and what they promise.

A head is fitted on the train part, makes its choices (strength, learning rate, neighbours, when to stop) on the valid
part, and sees nothing of the part it is judged on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logit, softmax

Floats = NDArray[np.float32]
Scores = NDArray[np.float64]
Truth = NDArray[np.int8]
Ints = NDArray[np.int64]
Aggregate = Literal["embeddings", "logits", "probabilities"]
Fit = Literal["tracks", "segments", "crop"]
LEAST = 1e-9  # a probability's distance from 0 and 1 where its log-odds are taken


class Reading(NamedTuple):
    """How a head is shown tracks, unless the task says otherwise.

    Attributes:
        fit: on a row a track, the mean of its segments; on a row a segment; or on one crop a track, drawn anywhere.
            None: on tracks if their embeddings are averaged, else on segments.
        aggregate: what is averaged over a track's segments when it is judged: embeddings, before the head; or the
            head's logits or probabilities.
        valid: whether the valid part is shown as the train part is, or as the judged one.
        whole: whether only whole segments count, each the same; if not, every second counts once. A track shorter
            than a segment keeps its only one.
        quietest_db: segments that are not louder than the track by so much are not fitted on.
        most: so many segments of a track are fitted on, drawn at random; None for all.
    """

    fit: Fit | None = None
    aggregate: Aggregate = "embeddings"
    valid: Literal["train", "judged"] = "judged"
    whole: bool = False
    quietest_db: float = -np.inf
    most: int | None = None


@dataclass(frozen=True)
class Examples:
    """Tracks that a head is fitted on, chosen by or judged on: rows of features, and what is true of their tracks.

    Attributes:
        features: of tracks or of segments, ``(rows, dim)``.
        track: the number of each row's track, ``(rows,)``.
        weights: of each row in its track, ``(rows,)``; they sum to one a track.
        truth: 1 for a tag that a track has, 0 for one it has not, -1 where that is unknown, ``(tracks, tags)``.
        exclusive: whether each track has exactly one of the tags: then their probabilities sum to one.
        aggregate: what is averaged over a track's rows.
    """

    features: Floats
    track: Ints
    weights: Scores
    truth: Truth
    exclusive: bool
    aggregate: Aggregate = "probabilities"

    @classmethod
    def of_tracks(cls, features: Floats, truth: Truth, exclusive: bool) -> Examples:
        """A row a track."""
        return cls(features, np.arange(len(truth)), np.ones(len(truth)), truth, exclusive)

    @cached_property
    def labels(self) -> Ints:
        """The tag that each track has, ``(tracks,)``, where they are exclusive."""
        return np.asarray(self.truth.argmax(axis=1))

    @property
    def single(self) -> bool:
        """Whether there is a row a track."""
        return len(self.features) == len(self.truth)

    def scores(self, logits: Scores) -> Scores:
        """The probabilities of tracks, ``(tracks, tags)``, from a head's logits of all rows, ``(rows, tags)``."""
        values = logits if self.aggregate == "logits" else probabilities(logits, self.exclusive)
        pooled = np.zeros((len(self.truth), values.shape[1]))
        np.add.at(pooled, self.track, self.weights[:, None] * values)
        return probabilities(pooled, self.exclusive) if self.aggregate == "logits" else pooled

    def log_loss(self, scores: Scores) -> float:
        """Mean of -log of what was given to the truth: over tracks, of independent tags over all that are known."""
        scores = np.clip(scores, LEAST, 1 - LEAST)
        if self.exclusive:
            return float(-np.log(scores[np.arange(len(scores)), self.labels]).mean())
        losses = -np.where(self.truth == 1, np.log(scores), np.log1p(-scores))
        return float(losses[self.truth >= 0].mean())

    def select(self, tracks: Ints) -> Examples:
        """Some of the tracks, by their numbers, each once, in this order."""
        number = np.full(len(self.truth), -1)
        number[tracks] = np.arange(len(tracks))
        rows = np.flatnonzero(number[self.track] >= 0)
        return replace(
            self,
            features=self.features[rows],
            track=number[self.track[rows]],
            weights=self.weights[rows],
            truth=self.truth[tracks],
        )

    def joined(self, other: Examples) -> Examples:
        """These tracks and then those of others."""
        return replace(
            self,
            features=np.concatenate([self.features, other.features]),
            track=np.concatenate([self.track, other.track + len(self.truth)]),
            weights=np.concatenate([self.weights, other.weights]),
            truth=np.concatenate([self.truth, other.truth]),
        )


class Fitted(NamedTuple):
    """A head after it was fitted.

    Attributes:
        logits: of features ``(rows, dim)``, as `probabilities` takes them: ``(rows, tags)``.
        chosen: what was chosen on valid, by the names of the settings.
    """

    logits: Callable[[Floats], Scores]
    chosen: dict[str, Any]


class Head(Protocol):
    """Something that is fitted on frozen features.

    Attributes:
        reading: how it is shown tracks.
        draws: whether it depends on the seed.
    """

    reading: ClassVar[Reading] = Reading()
    draws: ClassVar[bool] = False

    def fit(self, train: Examples, valid: Examples, seed: int = 0, refit: bool = True) -> Fitted:
        """Fit on train and choose on valid.

        Args:
            train: what is learned from; every tag is true of a track.
            valid: what choices are made by.
            seed: of what is drawn.
            refit: whether valid may be learned from too, once all is chosen; heads that stop early by it never do.
        """
        ...


def probabilities(logits: Scores, exclusive: bool) -> Scores:
    """Softmax of the logits of exclusive tags, or the logistic function of each: ``(rows, tags)``."""
    return np.asarray(softmax(logits, axis=1) if exclusive else expit(logits))


def logits_of(scores: Scores, exclusive: bool) -> Scores:
    """The logits that `probabilities` turns into ``scores``, for what gives probabilities in the first place."""
    clipped = np.clip(scores, LEAST, 1 - LEAST)
    return np.asarray(log_softmax(np.log(clipped), axis=1) if exclusive else logit(clipped))
