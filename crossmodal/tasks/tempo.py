"""Tempo: what a head reads off frozen features of the beats a minute of a track."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from crossmodal.errors import InputError
from crossmodal.judgement import Judgement
from crossmodal.metrics.tempo import accuracy_1, accuracy_2
from crossmodal.settings import Count, Whole
from crossmodal.tasks._classes import read, unweighted
from crossmodal.tasks._frozen import Layer
from crossmodal.tasks._numbers import numbers_of
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Tempo(Task):
    """A head over bins of tempo, of equal width in octaves; the tempo of the likeliest bin is judged.

    As classes, since errors of tempo are rarely small: a track at 60 beats a minute is near one at 120, and far from
    one at 75. A bin's tempo is the geometric mean of the training tracks' in it. ``accuracy_1``: within 4 % of the
    tempo; ``accuracy_2``: within 4 % of it, its half, double, third or threefold. The head is fitted on train, and
    chooses on valid by balanced accuracy. Chance is what the tempo of a training track, drawn at random, is expected to
    reach. Tracks without a tempo take no part. Intervals: bootstrap over tracks, clustered by group.

    Args:
        column: of ``manifest.tracks``, in beats a minute.
        head: of `crossmodal.heads`, with its settings; linear, every track weighing the same, unless given.
        layer: ``features``, the audio encoder's output, or ``vectors``, after the projection to the joint space.
        bins: to the octave; 24 are 2.9 % wide.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap, and of a head that draws.
    """

    primary: ClassVar[str] = "accuracy_1"

    def __init__(
        self,
        column: str = "tempo_bpm",
        head: dict[str, Any] | None = None,
        layer: Layer = "features",
        bins: Count = 24,
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        self.column, self.layer, self.bins, self.draws, self.seed = column, layer, bins, draws, seed
        self.head = unweighted(head, "tempo")

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<column>/accuracy_1`` and ``accuracy_2``, and the table ``<column>/values``: ``true``, ``predicted``."""
        tempi = self._tempi(embedded)
        octaves = pd.Series(np.log2(tempi.to_numpy()), tempi.index)
        bins = (octaves * self.bins).round().astype("int64")
        found = read(embedded, bins, part, self.layer, self.head, self.seed, f"tempo: {self.column}")
        known = octaves[octaves.index.isin(embedded.part("train").tracks["track_id"])]
        centres = known.groupby(bins.loc[known.index]).mean().loc[list(found.best)]
        true, predicted = tempi.loc[found.ids].to_numpy(), np.exp2(centres.to_numpy())
        units, guesses = found.units(self.draws, self.seed), np.exp2(known.to_numpy())
        metrics = {
            f"{self.column}/{measure.__name__}": units.mean(
                measure(true, predicted),
                chance=float(np.mean([measure(np.full(len(guesses), one), guesses).mean() for one in true])),
                candidates=len(found.classes),
                more=found.more,
            )
            for measure in (accuracy_1, accuracy_2)
        }
        values = pd.DataFrame({"true": true, "predicted": predicted}, pd.Index(found.ids, name="track_id"))
        return Judgement(metrics, {f"{self.column}/values": values})

    def _tempi(self, embedded: Embedded) -> pd.Series[float]:
        """The tempo of each track that has one, by track id."""
        found = numbers_of(embedded.manifest.tracks.set_index("track_id"), self.column).dropna()
        wrong = found.index[found <= 0]
        if len(wrong):
            raise InputError(f"tempo: track {wrong[0]} has {found[wrong[0]]:g} beats a minute in {self.column!r}")
        return found
