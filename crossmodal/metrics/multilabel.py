"""Multi-label figures: how well scores rank, over tags (macro), over everything at once (micro), and by clip.

Conventions: those of `crossmodal.metrics.ranking`; an item is a clip. A tag of which all that is known is of one class
is left out of the macro figures and a clip likewise of those by clip; `undefined` says which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from crossmodal.metrics import chance as random_order
from crossmodal.metrics.ranking import Figures, Floats, Ints, Ranked, validate

Labels = NDArray[np.integer]
Bools = NDArray[np.bool_]
NAMES = ("macro_roc_auc", "macro_average_precision", "micro_roc_auc", "micro_average_precision")
BY_CLIP = ("clip_roc_auc", "clip_average_precision")


def undefined(truth: Labels, axis: int = 0) -> Bools:
    """The tags (``axis`` 0) or the clips (1) that lack a 1 or a 0."""
    return np.asarray(~((truth == 1).any(axis=axis) & (truth == 0).any(axis=axis)))


class MultiLabel:
    """Scores that are sorted once, and figures of any bootstrap sample of their clips.

    Args:
        truth: 1, 0 or -1 (unknown), ``(clips, tags)``.
        scores: as many.
        clips: their ids, for messages.
        tags: their names, for messages.

    Raises:
        InputError: shapes that differ, a score that is not finite, another truth; it names clips and tags.
    """

    def __init__(
        self,
        truth: Labels,
        scores: NDArray[np.floating],
        clips: Sequence[object] | None = None,
        tags: Sequence[object] | None = None,
    ) -> None:
        validate(truth, scores, clips, tags)
        self.truth, self._scores = truth, scores

    @cached_property
    def _tags(self) -> Ranked:
        return Ranked.of_tags(self.truth, self._scores)

    @cached_property
    def _together(self) -> Ranked:
        return Ranked.together(self.truth, self._scores)

    def by_tag(self, drawn: Ints | None = None) -> Figures:
        """Of each tag, ``(tags,)``; ``drawn (clips,)`` is how often each clip counts, once each unless given."""
        return self._tags.figures(self._drawn(drawn))

    def by_clip(self) -> Figures:
        """Of each clip, ``(clips,)``."""
        return Ranked.of_items(self.truth, self._scores).figures(np.ones(len(self.truth), dtype=np.int64))

    def together(self, drawn: Ints | None = None) -> Figures:
        """Of everything at once, ``(1,)``."""
        return self._together.figures(self._drawn(drawn))

    def macro(self, drawn: Ints | None = None) -> tuple[float, float]:
        """Mean ROC-AUC and mean average precision of the tags that have both."""
        return self.by_tag(drawn).macro()

    def figures(self, drawn: Ints) -> Floats:
        """Those of `NAMES`, then ROC-AUC by tag, then average precision by tag: one row of a bootstrap."""
        tags, together = self.by_tag(drawn), self.together(drawn)
        return np.concatenate([tags.macro(), [f[0] for f in together], *tags])

    def chance(self) -> dict[str, float]:
        """What `chance` says of the truth."""
        return chance(self.truth)

    def _drawn(self, drawn: Ints | None) -> Ints:
        return np.ones(len(self.truth), dtype=np.int64) if drawn is None else drawn


def evaluate(truth: Labels, scores: NDArray[np.floating], drawn: Ints | None = None) -> dict[str, float]:
    """The figures over tags, over everything, and by clip, by name; NaN where no tag or clip has any."""
    found = MultiLabel(truth, scores)
    tags, together = found.macro(drawn), found.together(drawn)
    clips = found.by_clip()
    weights = np.ones(len(truth)) if drawn is None else drawn
    known = (weights > 0) & ~np.isnan(clips.roc_auc)
    by_clip = [float(np.average(f[known], weights=weights[known])) for f in clips] if known.any() else None
    over = dict(zip(NAMES, [*tags, *(float(f[0]) for f in together)], strict=True))
    return over | dict(zip(BY_CLIP, by_clip or [float("nan")] * 2, strict=True))


def chance(truth: Labels) -> dict[str, float]:
    """What a random order is expected to reach, by name; exact. Nothing of a figure that is undefined."""
    found: dict[str, float] = {}
    tags, clips = (random_precision(truth, axis) for axis in (0, 1))
    together = random_precision(truth.reshape(-1, 1))
    for name, each in zip(("macro", "micro", "clip"), (tags, together, clips), strict=True):
        known = each[~np.isnan(each)]
        found |= {f"{name}_roc_auc": 0.5, f"{name}_average_precision": float(known.mean())} if len(known) else {}
    return found


def random_precision(truth: Labels, axis: int = 0) -> Floats:
    """The average precision of each tag (or clip, ``axis`` 1) that a random order is expected to have; NaN likewise."""
    known, hits = (truth != -1).sum(axis=axis), (truth == 1).sum(axis=axis)
    defined = ~undefined(truth, axis)
    found = np.full(len(known), np.nan)
    if defined.any():
        found[defined] = random_order.average_precision(known[defined], hits[defined])
    return found
