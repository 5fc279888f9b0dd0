"""What a head that is fitted on frozen features reads off them, with each of its seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crossmodal import registry
from crossmodal.heads import Aggregate, Examples, Fit, Head, Scores
from crossmodal.judgement import Measured, Units
from crossmodal.tasks import _measures
from crossmodal.tasks._frozen import Labelled, Layer, Silence, Views, labelled, views
from crossmodal.tasks._tagsets import Tagset, chosen_on

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

UNWEIGHTED = {"name": "linear", "balanced": False}
"""A head for what is judged track by track, every one of which weighs the same."""


class Predicted(NamedTuple):
    """What a head says of the labelled tracks of a part.

    Attributes:
        tagset: whose tags were asked.
        judged: the tracks, and what is true of them, in the tags of ``tagset.judged``.
        scores: probabilities of the tags with each seed, ``(tracks, tags)``.
        chosen: what was chosen on valid with each seed.
        part: that is judged.
    """

    tagset: Tagset
    judged: Labelled
    scores: list[Scores]
    chosen: list[dict[str, Any]]
    part: str = "test"

    @property
    def labels(self) -> NDArray[np.str_]:
        """The tag that each track has, ``(tracks,)``, of an exclusive tagset."""
        return np.asarray(np.array(self.tagset.judged.tags)[self.judged.examples.labels])

    @property
    def best(self) -> list[NDArray[np.str_]]:
        """The likeliest tag of each track, the first of equals, with each seed."""
        return [np.array(self.tagset.tags)[scores.argmax(axis=1)] for scores in self.scores]

    @property
    def predicted(self) -> NDArray[np.str_]:
        """The likeliest tag of each track, with the first seed."""
        return self.best[0]

    @property
    def more(self) -> dict[str, Any]:
        """What was chosen, as it is or by seed; tracks that were left out; seeds; whether the part was chosen on."""
        keys = self.chosen[0] if self.chosen else {}
        single = len(self.chosen) == 1
        chosen = {key: keys[key] if single else [each[key] for each in self.chosen] for key in keys}
        return chosen | {"unlabelled": self.judged.unlabelled, "seeds": len(self.scores)} | chosen_on(self.part)

    def units(self, draws: int, seed: int) -> Units:
        """What the bootstrap draws from."""
        return self.judged.units(draws, seed)

    def figures(self, draws: int, seed: int, measures: list[str] | None) -> dict[str, Measured]:
        """``<tagset>/<measure>``, with the bootstrap's draws and seed."""
        units, truth = self.units(draws, seed), self.judged.examples.truth
        found = _measures.measured(self.tagset, truth, self.scores, units, measures, self.more)
        return {f"{self.tagset.name}/{name}": figure for name, figure in found.items()}

    def tables(self) -> dict[str, pd.DataFrame]:
        """``<tagset>/truth``, ``<tagset>/scores``, and those of further seeds: a row a track, a column a tag."""
        index = pd.Index(self.judged.ids, name="track_id", dtype="str")
        tags, every = list(self.tagset.tags), list(self.tagset.judged.tags)
        made = {"truth": pd.DataFrame(self.judged.examples.truth, index, every)}
        for seed, scores in enumerate(self.scores):
            known = pd.DataFrame(scores, index, tags)
            made[f"scores-{seed}" if seed else "scores"] = known.reindex(columns=every, fill_value=0.0)
        return {f"{self.tagset.name}/{name}": table for name, table in made.items()}


class Reader(NamedTuple):
    """What reads tags off frozen features.

    Attributes:
        head: that is fitted.
        layer: whose output it is shown, see `crossmodal.tasks.probe`.
        views: how it is shown the parts.
        seeds: how often it is fitted, if anything is drawn.
        seed: the first of them.
        refit: whether it may be fitted again on train and valid.
    """

    head: Head
    layer: Layer
    views: Views
    seeds: int
    seed: int
    refit: bool = True

    @classmethod
    def of(
        cls,
        where: str,
        head: dict[str, Any] | None,
        layer: Layer,
        fit: Fit | None,
        aggregate: Aggregate | None,
        silence: Silence | None,
        seeds: int,
        seed: int,
        refit: bool = True,
    ) -> Reader:
        """That of a task's settings; an `InputError` names the task, ``where``."""
        built = head_of(head, where)
        return cls(built, layer, views(built.reading, fit, aggregate, silence), seeds, seed, refit)

    def predict(self, embedded: Embedded, tagset: Tagset, part: str) -> Predicted:
        """What it says of the tracks of a part that are annotated with a tagset."""
        judged = labelled(embedded, part, tagset.judged, self.layer, self.views.judged, self.seed)
        drawing = self.head.draws or self.views.train.draws
        seeds = range(self.seed, self.seed + (self.seeds if drawing else 1))
        refit = self.refit and part != "valid"  # what is judged is never learned from
        found = [self._fitted(embedded, tagset, judged.examples, seed, refit) for seed in seeds]
        return Predicted(tagset, judged, [scores for scores, _ in found], [chosen for _, chosen in found], part)

    def _fitted(
        self, embedded: Embedded, tagset: Tagset, judged: Examples, seed: int, refit: bool
    ) -> tuple[Scores, dict[str, Any]]:
        train, valid = (
            labelled(embedded, name, tagset, self.layer, view, seed).examples
            for name, view in (("train", self.views.train), ("valid", self.views.valid))
        )
        fitted = self.head.fit(train, valid, seed, refit)
        return judged.scores(fitted.logits(judged.features)), fitted.chosen


def head_of(block: dict[str, Any] | None, where: str) -> Head:
    """The head that a block ``{name: ..., settings}`` describes, ``linear`` if None; `InputError` names ``where``."""
    block = {"name": "linear"} if block is None else block
    registry.check("heads", block, f"{where}: head")
    head: Head = registry.build_block("heads", block)
    return head
