"""Probe: what a head that is fitted on frozen features can tell of tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tqdm import tqdm

from crossmodal.errors import InputError
from crossmodal.heads import Aggregate, Fit
from crossmodal.judgement import Judgement
from crossmodal.settings import Count, Whole
from crossmodal.tasks import _measures
from crossmodal.tasks._frozen import Layer, Silence
from crossmodal.tasks._reader import Predicted, Reader
from crossmodal.tasks._tagsets import tagsets_of
from crossmodal.types import Task

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded


class Probe(Task):
    """A head on frozen features, fitted on train; what it chooses it chooses on valid; judged once.

    A tagset of which each annotated track has exactly one tag is exclusive: its measures are ``balanced_accuracy``,
    ``accuracy`` and ``macro_f1``. Any other is of independent tags: ``macro_roc_auc``, ``macro_average_precision`` and
    ``micro_...`` of both; tags that no track of the part has, or all have, are named in ``undefined`` and left out.
    A tag that the part has and train lacks cannot be told, and is named in ``unseen``: of exclusive tags its tracks
    count, as errors; of independent ones it is ``undefined``. Tracks that are not annotated with a tagset are left out
    and counted. Intervals: bootstrap over the judged tracks, clustered by artist and group. Chance is that of guesses,
    or of a random order. Figures of valid, which the head was chosen on, say so (``chosen_on``), and the head is then
    not fitted on it; train is not judged.

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
