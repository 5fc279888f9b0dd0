"""Linear probe: what a logistic regression can read off frozen vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from crossmodal.errors import InputError, listed
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.metrics.classification import balanced_accuracy, confusion
from crossmodal.settings import Positive, Whole
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Labelled(NamedTuple):
    """The labelled tracks of a part: ``vectors (tracks, dim)``, a label, a group and an id each."""

    vectors: NDArray[np.float32]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    ids: NDArray[np.str_]


class Predicted(NamedTuple):
    """What a probe says of the labelled tracks of a part.

    Attributes:
        labels: the true ones, ``(tracks,)``.
        predicted: as many.
        groups: of the tracks.
        ids: of the tracks.
        classes: the number of labels to choose from.
        c: the inverse strength of regularisation that was chosen.
    """

    labels: NDArray[np.str_]
    predicted: NDArray[np.str_]
    groups: NDArray[np.str_]
    ids: list[str]
    classes: int
    c: float


class Probe(Task):
    """Standardised logistic regression on single-label tagsets, whole tracks, balanced accuracy.

    Fitted on train; C is chosen on valid by balanced accuracy; then refitted on both, and the judged part is looked at
    once. Interval: bootstrap over the judged tracks, clustered by the manifest's groups. Chance is 1 / classes.

    Args:
        tagsets: each is probed by itself.
        layer: ``features``, the audio encoder's output, or ``vectors``, after the projection to the joint space.
        c: the inverse strengths of regularisation to choose from.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """

    primary: ClassVar[str] = "balanced_accuracy"

    def __init__(
        self,
        tagsets: list[str],
        layer: Literal["features", "vectors"] = "features",
        c: list[Positive] | None = None,
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        self.tagsets, self.layer, self.draws, self.seed = tagsets, layer, draws, seed
        self.c = [0.001, 0.01, 0.1, 1.0, 10.0] if c is None else c
        if not (self.tagsets and self.c):
            raise InputError(f"probe: {'c' if self.tagsets else 'tagsets'} is empty; give one at least")

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<tagset>/balanced_accuracy`` for each tagset."""
        bar = tqdm(self.tagsets, desc="probe", unit="tagset", leave=False)
        return Judgement({f"{tagset}/{self.primary}": self._probe(embedded, tagset, part) for tagset in bar})

    def predict(self, embedded: Embedded, tagset: str, part: str = "test") -> Predicted:
        """The labels that the probe of a tagset gives to the labelled tracks of a part.

        Raises:
            InputError: the part has labels that train has not, or there is no such tagset.
        """
        train, valid, judged = (self._labelled(embedded, tagset, name) for name in ("train", "valid", part))
        unknown = sorted(set(judged.labels) - set(train.labels))
        if unknown:
            raise InputError(f"tagset {tagset!r}: {part} has labels that train has not: {listed(unknown)}")
        scores = [score(valid.labels, fitted(train, c).predict(valid.vectors)) for c in self.c]
        chosen = self.c[int(np.argmax(scores))]
        both = Labelled(*(np.concatenate(pair) for pair in zip(train, valid, strict=True)))
        predicted = fitted(both, chosen).predict(judged.vectors)
        return Predicted(judged.labels, predicted, judged.groups, list(judged.ids), len(set(both.labels)), chosen)

    def _probe(self, embedded: Embedded, tagset: str, part: str) -> Measured:
        made = self.predict(embedded, tagset, part)
        classes, true = np.unique(np.concatenate([made.labels, made.predicted]), return_inverse=True)
        cells = true[: len(made.labels)] * len(classes) + true[len(made.labels) :]

        def accuracy(drawn: NDArray[np.int64]) -> float:
            counts = np.bincount(cells, weights=drawn, minlength=len(classes) ** 2).astype(np.int64)
            return balanced_accuracy(counts.reshape(len(classes), -1))

        units = Units(made.ids, list(made.groups), self.draws, self.seed)
        chance = 1 / len(set(made.labels))
        return units.statistic(accuracy, chance=chance, candidates=made.classes, more={"c": made.c})

    def _labelled(self, embedded: Embedded, tagset: str, part: str) -> Labelled:
        vectors, tracks = embedded.vectors(part), embedded.part(part).tracks
        labels = embedded.part(part).labels(tagset)
        rows = [row for row, track in enumerate(vectors.track_ids) if track in labels.index]
        ids = [vectors.track_ids[row] for row in rows]
        groups = tracks.set_index("track_id")["group"].loc[ids]
        named = np.where(groups == "", pd.Series(ids, index=groups.index), groups).astype(str)
        return Labelled(getattr(vectors, self.layer)[rows], labels.loc[ids].to_numpy(str), named, np.array(ids))


def fitted(data: Labelled, c: float) -> Pipeline:
    """A standardised logistic regression of strength ``c``, every class weighing the same."""
    probe = LogisticRegression(C=c, max_iter=2000, class_weight="balanced")
    with threadpool_limits(1):  # its products are so small that threads, beside torch's own, only wait for each other
        return make_pipeline(StandardScaler(), probe).fit(data.vectors, data.labels)


def score(labels: NDArray[np.str_], predicted: NDArray[np.str_]) -> float:
    """Balanced accuracy."""
    return balanced_accuracy(confusion(labels, predicted)[1])
