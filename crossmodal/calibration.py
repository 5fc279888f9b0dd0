"""What a cosine of a word and a segment means: probabilities and percentiles by the segments of a reference.

Cosines of different words cannot be compared: one word is near to all music, another to none. A `Calibration` keeps
the segments of tracks that training did not see, usually the valid part, with what is known of their tags; each word's
cosines are read against its cosines with those:

- ``probability``, for a word that names a tag of the reference: how likely a second of music with this cosine belongs
  to a track with the tag, in a collection where the tag is as frequent as in the reference. By Platt's logistic curve.
- ``percentile``, for any other word: the share of the reference's seconds whose cosine with the word is lower. It says
  how unusual the cosine is for this word, not that the word is true: of any music, a tenth lies above 0.9.

Both rise with the cosine and lie between 0 and 1. The figures hold for music like the reference.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from crossmodal.data.manifest import Manifest
from crossmodal.data.prompts import meant
from crossmodal.embedding import Vectors
from crossmodal.errors import InputError
from crossmodal.files import atomic
from crossmodal.metrics.retrieval import id_order
from crossmodal.model import DualEncoder
from crossmodal.types import PathLike

VERSION = 1
ARRAYS = ("vectors", "weights", "track", "labels")
SEGMENTS = 20_000  # kept of a reference, whole tracks: 10 MB at 128 dimensions
LEAST = 5  # tracks with a tag, and as many without, for a curve
DECIMALS = 6  # of a cosine: what lies below is float32 noise, which differs between batch sizes
Floats = NDArray[np.floating]
Measure = Literal["probability", "percentile", "cosine"]


class Scale(NamedTuple):
    """How one word's cosines ``(n,)`` become scores ``(n,)``, and what these are."""

    measure: Measure
    score: Callable[[Floats], Floats]


COSINE = Scale("cosine", lambda cosines: cosines)


@dataclass(frozen=True)
class Calibration:
    """The reference of one model.

    Attributes:
        fingerprint: the model's.
        source: what the segments are of, in words.
        vectors: of the segments, unit, ``(segments, dim)``.
        weights: the share of each that holds sound, ``(segments,)``.
        track: the row of ``labels`` that each is of, ``(segments,)``.
        tags: the names of the tags, whatever their tagset.
        labels: 1 for a track that has a tag, 0 for one annotated without it, -1 where that is unknown,
            ``(tracks, tags)``.
    """

    fingerprint: str
    source: str
    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]
    track: NDArray[np.int32]
    tags: tuple[str, ...]
    labels: NDArray[np.int8]

    @classmethod
    def of(cls, vectors: Vectors, manifest: Manifest, source: str) -> Calibration:
        """The reference made of embedded tracks: all of them, or as many whole ones as `SEGMENTS` allows.

        Args:
            vectors: of the tracks.
            manifest: what is known of them.
            source: in words, such as "part valid of split album".
        """
        order = id_order(vectors.track_ids)
        sizes = np.array([len(vectors.tracks[row].bounds) for row in order])
        kept = order[: max(1, int((sizes.cumsum() <= SEGMENTS).sum()))]
        tracks = [vectors.tracks[row] for row in kept]
        tags, labels = labels_of(manifest, [vectors.track_ids[row] for row in kept])
        return cls(
            vectors.fingerprint,
            source,
            np.concatenate([track.vectors for track in tracks]),
            np.concatenate([track.weights for track in tracks]),
            np.repeat(np.arange(len(tracks), dtype=np.int32), [len(track.bounds) for track in tracks]),
            tags,
            labels,
        )

    def scale(self, word: str, language: str, vector: Floats) -> Scale:
        """The scale of a word, by its unit vector ``(dim,)``."""
        reference = cosines(self.vectors, vector)
        known = self.known(meant(word, language, self.tags))
        if min((known == 1).sum(), (known == 0).sum()) < LEAST:
            return Scale("percentile", percentiles(reference, self.weights))
        return Scale("probability", platt(reference, known, self.track, self.weights))

    def known(self, tags: Collection[str]) -> NDArray[np.int8]:
        """1 for the tracks that have one of the tags, 0 for those annotated without, -1 otherwise: ``(tracks,)``."""
        columns = [place for place, tag in enumerate(self.tags) if tag in tags]
        return np.asarray(self.labels[:, columns].max(axis=1, initial=-1))

    def check(self, model: DualEncoder) -> None:
        """Raise `InputError` unless it was made with this very model."""
        if model.fingerprint != self.fingerprint:
            raise InputError(
                f"the calibration was made with model {self.fingerprint}, but the words are of model "
                f"{model.fingerprint}; make it again with crossmodal calibrate"
            )

    def save(self, path: PathLike) -> None:
        """Write an ``.npz`` file, whole or not at all."""
        head = {"version": VERSION, "fingerprint": self.fingerprint, "source": self.source, "tags": self.tags}
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, head=np.array(json.dumps(head)), **arrays)

    @classmethod
    def load(cls, path: PathLike) -> Calibration:
        """Read what `save` wrote.

        Raises:
            InputError: it is not there, or not as it was written.
        """
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as saved:
                head = json.loads(str(saved["head"]))
                if head["version"] != VERSION:
                    raise InputError(f"{path} is not of version {VERSION}; make it again with crossmodal calibrate")
                arrays = {name: saved[name] for name in ARRAYS}
                return cls(head["fingerprint"], head["source"], tags=tuple(head["tags"]), **arrays)
        except InputError:
            raise
        except FileNotFoundError as error:
            raise InputError(f"{path} does not exist; make it with crossmodal calibrate") from error
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is not a calibration; make it again with crossmodal calibrate") from error


def cosines(vectors: Floats, word: Floats) -> Floats:
    """Of unit vectors ``(n, dim)`` with a word's ``(dim,)``, rounded to where they do not depend on the batch."""
    return np.asarray(vectors.astype(np.float64) @ word.astype(np.float64)).round(DECIMALS)


def percentiles(reference: Floats, weights: Floats) -> Callable[[Floats], Floats]:
    """The share of the reference that lies lower, and half of what is equal: ``(n,)`` cosines to as many scores."""
    order = np.argsort(reference, kind="stable")
    edges = reference[order]
    total = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])

    def score(values: Floats) -> Floats:
        below, upto = (total[np.searchsorted(edges, values, side)] for side in ("left", "right"))
        return np.asarray((below + upto) / (2 * total[-1]))

    return score


def platt(
    reference: Floats, known: NDArray[np.int8], track: NDArray[np.int32], weights: Floats
) -> Callable[[Floats], Floats]:
    """A logistic curve, 1 / (1 + exp(-(slope * cosine + bias))), that never falls; after Platt (1999).

    His targets keep the curve from being surer than so few tracks allow: (with + 1) / (with + 2) for the segments of
    tracks with the tag, 1 / (without + 2) for the others; tracks are counted, since the segments of one are alike.
    Where the word points away from its tag, the curve is flat, at the tag's share.

    Args:
        reference: cosines of the segments, ``(segments,)``.
        known: 1, 0, or -1 for unknown, ``(tracks,)``.
        track: of each segment.
        weights: of each segment.
    """
    target = np.choose(known + 1, [0.0, 1 / ((known == 0).sum() + 2), 1 - 1 / ((known == 1).sum() + 2)])[track]
    counts = weights * (known[track] >= 0)
    counts = counts / counts.sum()
    middle = float(counts @ reference)
    spread = max(float(np.sqrt(counts @ (reference - middle) ** 2)), 1e-9)
    standard = (reference - middle) / spread

    def loss(line: Floats) -> tuple[float, Floats]:
        logits = line[0] * standard + line[1]
        error = counts * (expit(logits) - target)
        value = counts @ (np.logaddexp(0, logits) - target * logits)
        return float(value), np.array([error @ standard, error.sum()])

    slope, bias = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]).x
    return lambda values: np.asarray(expit(slope * (values - middle) / spread + bias))


def labels_of(manifest: Manifest, track_ids: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int8]]:
    """The names of the tags, and 1 for a track that has one, 0 if annotated without, else -1: ``(tracks, tags)``."""
    part = manifest.select(track_ids)
    rows = {track: row for row, track in enumerate(track_ids)}
    columns = {tag: column for column, tag in enumerate(sorted(part.tags["tag"].unique()))}
    found = np.full((len(rows), len(columns)), -1, np.int8)
    for tagset, tags in part.tags.groupby("tagset")["tag"]:
        annotated = part.annotated.loc[part.annotated["tagset"] == tagset, "track_id"]
        found[np.ix_([rows[track] for track in annotated], [columns[tag] for tag in tags.unique()])] = 0
    found[part.tags["track_id"].map(rows), part.tags["tag"].map(columns)] = 1
    return tuple(columns), found
