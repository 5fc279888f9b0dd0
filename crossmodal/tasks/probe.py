"""Probe: what a head that is fitted on frozen features can tell of tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.heads import Aggregate, Examples, Fit, Head, Scores
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.settings import Count, Whole
from crossmodal.tasks import _measures
from crossmodal.tasks._frozen import Labelled, Layer, Silence, Views, labelled, views
from crossmodal.tasks._tagsets import Tagset, chosen_on, tagsets_of
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

UNWEIGHTED = {
    "name": "linear",
    "balanced": False,
}  # of what is judged track by track, every one of which weighs the same


class Predicted(NamedTuple):
    """What a probe says of the labelled tracks of a part.

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
        return Units(self.judged.ids, self.judged.groups, draws, seed)

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
        layer: whose output it is shown, see `Probe`.
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


class Probe(Task):
    """A head on frozen features, fitted on train; what it chooses it chooses on valid; judged once.

    A tagset of which each annotated track has exactly one tag is exclusive: its measures are ``balanced_accuracy``,
    ``accuracy`` and ``macro_f1``. Any other is of independent tags: ``macro_roc_auc``, ``macro_average_precision`` and
    ``micro_...`` of both; tags that no track of the part has, or all have, are named in ``undefined`` and left out.
    A tag that the part has and train lacks cannot be told, and is named in ``unseen``: of exclusive tags its tracks
    count, as errors; of independent ones it is ``undefined``. Tracks that are not annotated with a tagset are left out
    and counted. Intervals: bootstrap over the judged tracks, clustered by the manifest's groups. Chance is that of
    guesses, or of a random order. Figures of valid, which the head was chosen on, say so (``chosen_on``), and the head
    is then not fitted on it; train is not judged.

    Args:
        tagsets: each is probed by itself; None for all that train, valid and the judged part allow, and ``left_out``
            says why others are not.
        head: ``{name: ..., settings}`` of `crossmodal.heads`; ``linear`` if None.
        layer: ``features``, the audio encoder's output, or ``vectors``, after the projection to the joint space.
        fit: what the head is fitted on, see `crossmodal.heads.Reading`; None for the head's own way.
        aggregate: what is averaged over the segments of a track, so that every second counts once: ``embeddings``,
            before the head, or the head's ``logits`` or ``probabilities``; None for the head's own way.
        silence: ``leave_out`` for segments more than 40 dB quieter than their track, or digitally silent, in all
            parts; ``include`` for none; None for the head's own way. Crops are drawn from whole tracks.
        refit: whether the head may be fitted again on train and valid when its choices are made.
        seeds: how often a head that draws is fitted, with seeds from ``seed`` on; figures are means over them.
        draws: of the bootstrap.
        seed: of the bootstrap, and the first of the head.
        measures: which of those above; None for all.
        joint: a name under which the tagsets are asked as one, of independent tags called ``<tagset>/<tag>``, of the
            tracks that are annotated with all of them; others are left out and counted. None for each by itself.
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
        refit: bool = True,
        seeds: Count = 1,
        draws: Whole = 1000,
        seed: Whole = 0,
        measures: list[str] | None = None,
        joint: str | None = None,
    ) -> None:
        self.reader = Reader.of("probe", head, layer, fit, aggregate, silence, seeds, seed, refit)
        self.tagsets, self.joint = tagsets, joint
        self.draws, self.seed, self.measures = draws, seed, measures
        _measures.check(measures, "probe")
        if tagsets is not None and not tagsets:
            raise InputError("probe: tagsets is empty; give one at least, or leave it out for all")

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<tagset>/<measure>`` for each tagset; its truth and scores are tables."""
        tagsets, left_out = tagsets_of(embedded, self.tagsets, part, self.joint)
        judgement = Judgement({}, {}, _measures.primary(tagsets, self.measures), left_out)
        for tagset in tqdm(tagsets, desc="probe", unit="tagset", leave=False):
            made = self.reader.predict(embedded, tagset, part)
            judgement.metrics.update(made.figures(self.draws, self.seed, self.measures))
            judgement.tables.update(made.tables())
        return judgement

    def predict(self, embedded: Embedded, tagset: str, part: str = "test") -> Predicted:
        """What the probe of a tagset, or of all as ``joint``, says of the labelled tracks of a part.

        Raises:
            InputError: the tagset cannot be probed, or there is none; or the part is train.
        """
        names, joint = (self.tagsets, tagset) if tagset == self.joint else ([tagset], None)
        return self.reader.predict(embedded, tagsets_of(embedded, names, part, joint)[0][0], part)


def head_of(block: dict[str, Any] | None, where: str) -> Head:
    """The head that a block ``{name: ..., settings}`` describes, ``linear`` if None; `InputError` names ``where``."""
    block = {"name": "linear"} if block is None else block
    registry.check("heads", block, f"{where}: head")
    head: Head = registry.build_block("heads", block)
    return head
