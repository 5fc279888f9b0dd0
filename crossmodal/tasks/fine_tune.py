"""Fine-tuning: what the audio encoder tells of tracks when it may learn the task itself."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from tqdm import tqdm

from crossmodal.errors import InputError
from crossmodal.heads import Scores, probabilities
from crossmodal.heads._choice import quality
from crossmodal.judgement import Judgement
from crossmodal.settings import Amount, Count, Positive, Whole
from crossmodal.tasks import _measures
from crossmodal.tasks._frozen import Labelled, View, labelled
from crossmodal.tasks._reader import Predicted
from crossmodal.tasks._tagsets import Tagset, tagsets_of
from crossmodal.tasks._tuning import Floats, Plan, Rates, Targets, Tuned, tune
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

TRACKS = View("tracks", "embeddings", whole=False, quietest_db=-np.inf, most=None)


class _Parts(NamedTuple):
    train: Labelled
    valid: Labelled
    judged: Labelled


class FineTune(Task):
    """All weights of a copy of the audio encoder, and a fresh linear layer, trained on a tagset; the model stays.

    The layer begins at zero, on features in units of their deviation over train. A step takes one random window of each
    of ``batch_size`` tracks: cross-entropy of exclusive tags, each weighing the same, else binary cross-entropy of
    those that are known; AdamW, whose rates rise over the first tenth of the steps. Whole tracks of valid say when to
    stop, which step was best, and which pair of learning rates, by balanced accuracy or macro average precision. The
    judged part is looked at once: the logits of a track's segments are averaged by their seconds. Tagsets, measures,
    chance and intervals are as in ``probe``.

    Args:
        tagsets: each has an encoder of its own; None for all that can be learned.
        lr: the encoder's learning rates to choose from; 0.0001 and 0.001 if None.
        head_lr: those of the linear layer; 0.001 and 0.01 if None.
        weight_decay: of matrices and kernels.
        steps: of each pair of rates, at most: with ``batch_size``, what it may cost.
        batch_size: windows of a step.
        validate_every: steps.
        patience: validations without a better one, after which a pair is given up.
        seeds: how often all this is done, with seeds from ``seed`` on; figures are means over them.
        draws: of the bootstrap.
        seed: of the bootstrap, and the first of tracks, windows and dropout.
        measures: some of ``probe``'s; None for all.
    """

    primary: ClassVar[str] = "balanced_accuracy"

    def __init__(
        self,
        tagsets: list[str] | None = None,
        lr: list[Positive] | None = None,
        head_lr: list[Positive] | None = None,
        weight_decay: Amount = 0.01,
        steps: Count = 400,
        batch_size: Count = 32,
        validate_every: Count = 50,
        patience: Count = 4,
        seeds: Count = 1,
        draws: Whole = 1000,
        seed: Whole = 0,
        measures: list[str] | None = None,
    ) -> None:
        self.tagsets, self.measures, self.draws = tagsets, measures, draws
        self.rates = [Rates(*pair) for pair in product(lr or [1e-4, 1e-3], head_lr or [1e-3, 1e-2])]
        self.plan = Plan(steps, batch_size, validate_every, patience, weight_decay, True, seed)
        self.seeds = range(seed, seed + seeds)
        _measures.check(measures, "fine_tune")
        for name, given in (("tagsets", tagsets), ("lr", lr), ("head_lr", head_lr)):
            if given == []:
                raise InputError(f"fine_tune: {name} is empty; give one at least, or leave it out")

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<tagset>/<measure>`` for each tagset; its truth and scores are tables."""
        tagsets, left_out = tagsets_of(embedded, self.tagsets, part)
        judgement = Judgement({}, {}, _measures.primary(tagsets, self.measures), left_out)
        for tagset in tagsets:
            made = self._predict(embedded, tagset, part)
            judgement.metrics.update(made.figures(self.draws, self.plan.seed, self.measures))
            judgement.tables.update(made.tables())
        return judgement

    def _predict(self, embedded: Embedded, tagset: Tagset, part: str) -> Predicted:
        asked = (("train", tagset), ("valid", tagset), (part, tagset.judged))
        parts = _Parts(*(labelled(embedded, *one, "features", TRACKS, 0) for one in asked))
        found = [self._tuned(embedded, tagset, parts, part, seed) for seed in self.seeds]
        return Predicted(tagset, parts.judged, [scores for scores, _ in found], [chosen for _, chosen in found], part)

    def _tuned(
        self, embedded: Embedded, tagset: Tagset, parts: _Parts, part: str, seed: int
    ) -> tuple[Scores, dict[str, Any]]:
        """The probabilities of the judged tracks by the best pair of rates, and what was chosen."""
        train, valid, judged = (Targets(each.ids, each.examples.truth) for each in parts)
        plan = self.plan._replace(exclusive=tagset.exclusive, seed=seed)

        def judge(logits: Floats) -> float:
            return quality(parts.valid.examples, probabilities(logits.astype(np.float64), tagset.exclusive))

        best: tuple[Rates, Tuned] | None = None
        for rates in tqdm(self.rates, desc=f"fine-tune {tagset.name}", unit="rates", leave=False):
            made = tune(embedded, train, valid, rates, plan, judge, parts.train.examples.features)
            if best is None or made.score > best[1].score:
                best = rates, made
        assert best is not None  # there is one pair at least
        rates, made = best
        logits = made.scores(judged, embedded.part(part), embedded.store).astype(np.float64)
        chosen = {"lr": rates.encoder, "head_lr": rates.head, "step": made.step}
        return probabilities(logits, tagset.exclusive), chosen
