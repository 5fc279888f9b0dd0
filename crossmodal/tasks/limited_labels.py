"""Limited labels: how much of what a probe finds it still finds when fitted on a few labelled tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from crossmodal.errors import InputError
from crossmodal.heads import Aggregate, Examples, Fit, Ints, Scores
from crossmodal.judgement import Judgement, Measured
from crossmodal.settings import Count, Share, Whole
from crossmodal.tasks import _measures
from crossmodal.tasks._frozen import Labelled, Layer, Silence, labelled, views
from crossmodal.tasks._reader import head_of
from crossmodal.tasks._sampling import samples
from crossmodal.tasks._tagsets import Tagset, chosen_on, tagsets_of
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Draw(NamedTuple):
    """One sample of the training tracks: its share, its number, its size, and what the head says when fitted on it."""

    share: float
    number: int
    seed: int
    tracks: int
    scores: Scores


class LimitedLabels(Task):
    """A head fitted on shares of the labelled training tracks, drawn anew several times.

    Every tag keeps its share of the tracks, one at least, so that no tag is lost; where tags are many and rare, a share
    then holds more tracks than it says. One that holds no fewer than a larger one would be the same figure by another
    name: it is ``left_out``, as ``<tagset>@<percent>%``. The table ``curve/<tagset>`` tells how many tracks there are:
    share, draw, seed, metric, value, tracks. Figures are ``<tagset>@<percent>%/<measure>``, those of
    `crossmodal.tasks.probe`: the mean over the draws, their standard deviation (``sd``), and an interval from the
    bootstrap over the judged tracks, clustered by artist and group.

    The head makes its choices on valid as everywhere, and never learns from it: it is not fitted again on train and
    valid, which would be more labels than the share says. Choices too need labels: with ``valid: share`` they have as
    small a share of valid, drawn alike; ``whole``, the default, is how the published curves were made.

    Args:
        tagsets: each by itself; None for all that the parts allow.
        head: ``{name: ..., settings}`` of `crossmodal.heads`; ``linear`` if None.
        layer: see `crossmodal.tasks.probe`, as of ``fit``, ``aggregate`` and ``silence``.
        fit: likewise.
        aggregate: likewise.
        silence: likewise.
        shares: of the training tracks; 1, 2, 5, 10, 20, 50 and 100 % if None.
        repeats: draws of each share, each with a seed of its own for the head too. Of all tracks there is one, unless
            the head draws.
        nested: whether each draw's smaller shares lie within its larger ones.
        by: whether single tracks are drawn, or the manifest's groups as wholes.
        valid: whether choices are made on the whole of valid, or on the same share of it.
        draws: of the bootstrap.
        seed: of the bootstrap and of the draws.
        measures: see `crossmodal.tasks.probe`, as of ``joint``.
        joint: likewise.
    """

    primary: ClassVar[str] = "balanced_accuracy"

    def __init__(
        self,
        tagsets: list[str] | None = None,
        head: dict[str, Any] | None = None,
        layer: Layer = "features",
        fit: Fit | None = None,
        aggregate: Aggregate | None = None,
        silence: Silence | None = None,
        shares: list[Share] | None = None,
        repeats: Count = 5,
        nested: bool = True,
        by: Literal["tracks", "groups"] = "tracks",
        valid: Literal["whole", "share"] = "whole",
        draws: Whole = 1000,
        seed: Whole = 0,
        measures: list[str] | None = None,
        joint: str | None = None,
    ) -> None:
        self.head = head_of(head, "limited_labels")
        self.tagsets, self.joint, self.layer, self.repeats = tagsets, joint, layer, repeats
        self.views = views(self.head.reading, fit, aggregate, silence)
        self.shares = sorted(set(SHARES if shares is None else shares))
        self.nested, self.by, self.valid = nested, by, valid
        self.draws, self.seed, self.measures = draws, seed, measures
        _measures.check(measures, "limited_labels")
        if not self.shares or self.shares[0] <= 0:
            raise InputError("limited_labels: shares are above 0, up to 1, and at least one")
        if tagsets is not None and not tagsets:
            raise InputError("limited_labels: tagsets is empty; give one at least, or leave it out for all")

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<tagset>@<percent>%/<measure>`` for each tagset and share, and the curves as tables."""
        tagsets, left_out = tagsets_of(embedded, self.tagsets, part, self.joint)
        judgement = Judgement({}, {}, _measures.primary(tagsets, self.measures), left_out)
        for tagset in tagsets:
            judged = labelled(embedded, part, tagset.judged, self.layer, self.views.judged, self.seed)
            total = len(self.shares) * self.repeats
            bar = tqdm(self._draws(embedded, tagset, judged.examples), tagset.name, total, unit="draw", leave=False)
            kept, why = _told_apart(list(bar))
            judgement.left_out.update({f"{tagset.name}@{percent(share)}": reason for share, reason in why.items()})
            for share, made in kept.items():
                found = self._measured(tagset, judged, made, chosen_on(part))
                name = f"{tagset.name}@{percent(share)}"
                judgement.metrics.update({f"{name}/{measure}": figure for measure, figure in found.items()})
            judgement.tables[f"curve/{tagset.name}"] = self._curve(tagset, judged, chain(*kept.values()))
        return judgement

    def _draws(self, embedded: Embedded, tagset: Tagset, judged: Examples) -> Iterator[Draw]:
        drawing = self.head.draws or self.views.train.draws
        for number in range(self.repeats):
            seed = self.seed + number
            train = labelled(embedded, "train", tagset, self.layer, self.views.train, seed)
            valid = labelled(embedded, "valid", tagset, self.layer, self.views.valid, seed)
            rows, chosen_by = self._rows(train, seed, 0), self._rows(valid, seed, 1)
            for share in self.shares if drawing or not number else [share for share in self.shares if share < 1]:
                fewer = valid.examples if self.valid == "whole" else valid.examples.select(chosen_by[share])
                fitted = self.head.fit(train.examples.select(rows[share]), fewer, seed, refit=False)
                scores = judged.scores(fitted.logits(judged.features))
                yield Draw(share, number, seed, len(rows[share]), scores)

    def _rows(self, part: Labelled, seed: int, stream: int) -> dict[float, Ints]:
        """The tracks of each share of a part."""
        groups = part.groups if self.by == "groups" else part.ids
        return samples(part.examples.truth, groups, self.shares, self.nested, (seed, stream))

    def _measured(
        self, tagset: Tagset, judged: Labelled, made: list[Draw], more: dict[str, Any]
    ) -> dict[str, Measured]:
        units = judged.units(self.draws, self.seed)
        told = {"share": made[0].share, "repeats": len(made), "tracks": mean_tracks(made)}
        scores = [draw.scores for draw in made]
        return _measures.measured(tagset, judged.examples.truth, scores, units, self.measures, told | more)

    def _curve(self, tagset: Tagset, judged: Labelled, made: Iterable[Draw]) -> pd.DataFrame:
        """A row for each draw and metric."""
        rows = []
        for draw in made:
            values = _measures.values(tagset, judged.examples.truth, draw.scores, self.measures)
            about = {"share": draw.share, "draw": draw.number, "seed": draw.seed, "tracks": draw.tracks}
            rows += [about | {"metric": name, "value": value} for name, value in values.items()]
        return pd.DataFrame(rows, columns=["share", "draw", "seed", "metric", "value", "tracks"])


def mean_tracks(made: Sequence[Draw]) -> float:
    """How many tracks the draws of a share hold."""
    return float(np.mean([draw.tracks for draw in made]))


def percent(share: float) -> str:
    """A share as figures are named after it."""
    return f"{100 * share:g}%"


def _told_apart(every: Sequence[Draw]) -> tuple[dict[float, list[Draw]], dict[float, str]]:
    """The draws of each share, and why others are left out: they hold no fewer tracks than a larger one."""
    kept: dict[float, list[Draw]] = {}
    why: dict[float, str] = {}
    for share in sorted({draw.share for draw in every}, reverse=True):
        made = [draw for draw in every if draw.share == share]
        larger, tracks = min(kept, default=share), mean_tracks(made)
        if kept and tracks >= mean_tracks(kept[larger]):
            most = f"the {mean_tracks(kept[larger]):g} of {percent(larger)}"
            why[share] = f"every tag keeps a track, so it holds {tracks:g} tracks, no fewer than {most}"
        else:
            kept[share] = made
    return dict(sorted(kept.items())), dict(sorted(why.items()))
