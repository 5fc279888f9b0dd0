"""Tempo: what a head reads off frozen features of the beats a minute of a track."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from crossmodal.errors import InputError
from crossmodal.heads import Aggregate, Fit
from crossmodal.judgement import Judgement
from crossmodal.metrics.tempo import accuracy_1, accuracy_2
from crossmodal.settings import Count, Whole
from crossmodal.tasks import _measures
from crossmodal.tasks._frozen import Layer, Silence
from crossmodal.tasks._numbers import numbers_of
from crossmodal.tasks._reader import UNWEIGHTED, Reader
from crossmodal.tasks._tagsets import classes
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Tempo(Task):
    """A head over bins of tempo, of equal width in octaves; the tempo of the likeliest bin is judged.

    As classes, since errors of tempo are rarely small: a track at 60 beats a minute is near one at 120, and far from
    one at 75. A bin's tempo is the geometric mean of the training tracks' in it. ``accuracy_1``: within 4 % of the
    tempo; ``accuracy_2``: within 4 % of it, its half, double, third or threefold. The head is fitted on train, and
    chooses on valid by balanced accuracy. Chance is what the tempo of a training track, drawn at random, is expected to
    reach. Tracks without a tempo take no part. Intervals: bootstrap over tracks, clustered by artist
    and group.

    Args:
        column: of ``manifest.tracks``, in beats a minute.
        head: of `crossmodal.heads`, with its settings; linear, every track weighing the same, unless given.
        layer: see `crossmodal.tasks.probe`, as of ``fit``, ``aggregate``, ``silence`` and ``seeds``.
        fit: likewise.
        aggregate: likewise.
        silence: likewise.
        bins: to the octave; 24 are 2.9 % wide.
        seeds: see `crossmodal.tasks.probe`.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap, and the first of the head.
    """

    primary: ClassVar[str] = "accuracy_1"

    def __init__(
        self,
        column: str = "tempo_bpm",
        head: dict[str, Any] | None = None,
        layer: Layer = "features",
        fit: Fit | None = None,
        aggregate: Aggregate | None = None,
        silence: Silence | None = None,
        bins: Count = 24,
        seeds: Count = 1,
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        head = UNWEIGHTED if head is None else head
        self.reader = Reader.of("tempo", head, layer, fit, aggregate, silence, seeds, seed)
        self.column, self.bins, self.draws, self.seed = column, bins, draws, seed

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<column>/accuracy_1`` and ``accuracy_2``; the table ``<column>/values``: ``true`` and ``predicted``."""
        tempi = self._tempi(embedded)
        octaves = pd.Series(np.log2(tempi.to_numpy()), tempi.index)
        bins = (2 ** ((octaves * self.bins).round() / self.bins)).map("{:.9g}".format)
        made = self.reader.predict(embedded, classes(embedded, self.column, bins, part), part)
        known = octaves[octaves.index.isin(embedded.part("train").tracks["track_id"])]
        centres = 2 ** known.groupby(bins.loc[known.index]).mean()
        true, predicted = tempi.loc[made.judged.ids], [centres.loc[list(best)].to_numpy() for best in made.best]
        units, guesses = made.units(self.draws, self.seed), np.exp2(known.to_numpy())
        metrics = {
            f"{self.column}/{measure.__name__}": _measures.mean(
                [measure(true, each) for each in predicted],
                units,
                made.more,
                chance=float(np.mean([measure(np.full(len(guesses), one), guesses).mean() for one in true])),
                candidates=len(made.tagset.tags),
            )
            for measure in (accuracy_1, accuracy_2)
        }
        columns = {f"predicted-{seed}" if seed else "predicted": each for seed, each in enumerate(predicted)}
        values = pd.DataFrame({"true": true.to_numpy(), **columns}, pd.Index(made.judged.ids, name="track_id"))
        return Judgement(metrics, {f"{self.column}/values": values})

    def _tempi(self, embedded: Embedded) -> pd.Series[float]:
        """The tempo of each track that has one, by track id."""
        found = numbers_of(embedded.manifest.tracks.set_index("track_id"), self.column).dropna()
        wrong = found.index[found <= 0]
        if len(wrong):
            raise InputError(f"tempo: track {wrong[0]} has {found[wrong[0]]:g} beats a minute in {self.column!r}")
        return found
