"""Zero-shot tags and classes: a manifest's tags as words, in prompts of several languages, judged on one part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from crossmodal.calibration import Calibration, cosines
from crossmodal.data.groups import clusters_of
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.prompts import meant, own_templates, read_templates
from crossmodal.errors import InputError, listed
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.settings import Whole
from crossmodal.tasks._calibrated import Scored, figures, together
from crossmodal.tasks._prompted import Tagset, classes, judged, prompt_scores, tagging
from crossmodal.tasks._tracks import tagset_names
from crossmodal.types import Task
from crossmodal.zero_shot import prompt_vectors, unit

if TYPE_CHECKING:
    from crossmodal.embedding import Embedded

Vectors = Mapping[str, NDArray[np.float32]]  # of each word in the templates of one language, (templates, dim)
UNDEFINED = "no tag that some of its tracks have and others lack"


class ZeroShot(Task):
    """Every tag of the part as a word in sentences: no classifier was fitted to it.

    Tracks that are not annotated with a tagset take no part in it. A track's score is the mean of its segments', by
    their seconds.

    By prompts, of each tagset and language, of raw cosines: ``tagging/...``, ROC-AUC and average precision over tags,
    and, of tagsets that give a track one tag, ``classification/...``, where the nearest class is taken. The figures are
    of the ensemble of all templates (the mean of the vectors). Beside them, ``prompts`` says how far the figures of
    single templates lie from each other, ``drop`` by how much a language is lower than the pivot, and ``undefined``
    which tags all tracks have, or none. Without a language it is the mean over languages, and the spread over all.

    By the pivot's words: ``text_to_audio`` ranks tracks by one word, which a calibration hardly changes;
    ``audio_to_text`` ranks the words for one track, which is what a calibration is for; ``calibration`` compares the
    probabilities of segments with the tags of their tracks, word by word: ``ece``, the smaller the better, and
    ``brier``, which must be below ``brier_of_shares``, that of saying a tag's share in the reference of every segment.
    Each is of all words together, and of the words of each tagset, those that some tracks have and others lack. Names
    that end in ``_of_cosines`` are the same of raw cosines.

    Intervals: bootstrap over tracks, clustered by artist and group.

    Args:
        tagsets: those whose tags are the words; all of the part's if None. Those that have no tag which some tracks
            have and others lack are ``left_out``.
        languages: which the tags are put into by the lexicon; if None, those of ``templates``, or all of the lexicon.
        pivot: the language that the others are compared with.
        templates: sentences of a language with ``{}`` where the word is to stand, or a file of them, YAML or JSON; the
            lexicon's for the languages that it leaves out.
        reference: the part that the scores are calibrated on.
        draws: of the bootstrap; 0 for none.
        seed: of the bootstrap.
    """

    primary: ClassVar[str] = "text_to_audio/map"
    reads: ClassVar[bool] = True

    def __init__(
        self,
        tagsets: list[str] | None = None,
        languages: list[str] | None = None,
        pivot: str = "en",
        templates: dict[str, list[str]] | str | None = None,
        reference: Literal["train", "valid", "test"] = "valid",
        draws: Whole = 1000,
        seed: Whole = 0,
    ) -> None:
        if tagsets == []:
            raise InputError("zero_shot: tagsets is empty; name one at least, or give null for all")
        own = {} if templates is None else read_templates(templates)
        known = Lexicon.load().languages
        names = languages if languages is not None else [*own] or [*known]
        if strange := [name for name in names if name not in own and name not in known]:
            raise InputError(f"zero_shot: the lexicon lacks languages {listed(strange)}; give templates of them")
        if pivot not in names:
            raise InputError(f"zero_shot: pivot is {pivot}, but languages are {listed(names)}; it must be one of them")
        self.templates = {name: own.get(name) or own_templates(name) for name in names}
        self.tagsets, self.pivot, self.reference, self.draws, self.seed = tagsets, pivot, reference, draws, seed

    def evaluate(self, embedded: Embedded, part: str = "test") -> Judgement:
        """``<direction>[/<tagset>]/<measure>`` and ``tagging/<tagset>[/<language>]/<measure>``; see the tables.

        The tables are ``<tagset>/truth`` and ``<tagset>/scores``, cosines of the pivot's words with tracks, and
        ``prompts/<tagset>``, a row a template.
        """
        if part == self.reference:
            raise InputError(f"zero_shot is calibrated on part {part}, so it cannot judge it; set zero_shot.reference")
        tagsets, left_out = self._tagsets(embedded, part)
        words = list(dict.fromkeys(tag for tagset in tagsets for tag in tagset.tags))
        vectors: dict[str, Vectors] = {}
        for language, templates in self.templates.items():
            found = prompt_vectors(embedded.texts, words, language, templates)
            vectors[language] = dict(zip(words, found, strict=True))
        ids = embedded.vectors(part).track_ids
        units = Units(ids, clusters_of(embedded.part(part), ids), self.draws, self.seed)
        metrics = self._calibrated(embedded, part, tagsets, vectors[self.pivot], units)
        tables: dict[str, pd.DataFrame] = {}
        tracks = np.stack([np.average(t.vectors, axis=0, weights=t.weights) for t in embedded.vectors(part).tracks])
        for tagset in tqdm(tagsets, desc="zero-shot tags", unit="tagset", disable=None, leave=False):
            more = self._prompted(tagset, tracks[tagset.rows].astype(np.float64), vectors, units)
            metrics |= more.metrics
            tables |= more.tables
        return Judgement(metrics, tables, left_out=left_out)

    def _tagsets(self, embedded: Embedded, part: str) -> tuple[list[Tagset], dict[str, str]]:
        """Those that have a tag which some tracks have and others lack, and by name why the others are left out."""
        ids = embedded.vectors(part).track_ids
        manifest = embedded.part(part).select(ids)
        there = tagset_names(manifest)
        if unknown := sorted(set(self.tagsets or []) - set(there)):
            raise InputError(f"zero_shot: part {part} has no tagset {listed(unknown)}; it has {listed(there)}")
        every = [Tagset.of(embedded.manifest, manifest, name, ids) for name in self.tagsets or there]
        left_out = {tagset.name: UNDEFINED for tagset in every if tagging(tagset) is None}
        if len(left_out) == len(every):
            raise InputError(f"zero_shot: part {part} has {UNDEFINED}")
        return [tagset for tagset in every if tagset.name not in left_out], left_out

    def _prompted(
        self, tagset: Tagset, tracks: NDArray[np.float64], vectors: Mapping[str, Vectors], units: Units
    ) -> Judgement:
        """The figures of a tagset by prompts."""
        own = {language: np.stack([found[tag] for tag in tagset.tags]) for language, found in vectors.items()}
        scores = {language: prompt_scores(tracks, found) for language, found in own.items()}
        metrics: dict[str, Measured] = {}
        tables = tagset.tables(units.ids, scores[self.pivot][0])
        prompts = []
        for name, judge in (("tagging", tagging(tagset)), ("classification", classes(tagset))):
            if judge is not None:
                sampled = units.select(tagset.rows[judge.rows])
                found, table = judged(judge, sampled, scores, self.templates, self.pivot)
                metrics |= {f"{name}/{tagset.name}/{measure}": figure for measure, figure in found.items()}
                prompts.append(table.set_index(["language", "template"]))
        return Judgement(metrics, {**tables, f"prompts/{tagset.name}": pd.concat(prompts, axis=1).reset_index()})

    def _calibrated(
        self, embedded: Embedded, part: str, tagsets: list[Tagset], words: Vectors, units: Units
    ) -> dict[str, Measured]:
        """The figures of the pivot's words."""
        reference = Calibration.of(embedded.vectors(self.reference), embedded.part(self.reference), self.reference)
        scored = {
            f"/{tagset.name}": self._scored(embedded, part, reference, tagset, words, units) for tagset in tagsets
        }
        found: dict[str, Measured] = {}
        for name, each in {"": together(list(scored.values())), **scored}.items():
            found |= figures(name, each)
        return found

    def _scored(
        self, embedded: Embedded, part: str, reference: Calibration, tagset: Tagset, words: Vectors, units: Units
    ) -> Scored:
        """The words of a tagset that some tracks have and others lack, on every segment of a part."""
        vectors = embedded.vectors(part)
        columns = [column for column, labels in enumerate(tagset.labels.T) if 0 < labels.sum() < len(labels)]
        tags = tuple(tagset.tags[column] for column in columns)
        labels = np.full((len(vectors.tracks), len(tags)), -1, np.int8)
        labels[tagset.rows] = tagset.labels[:, columns]
        found = unit(np.stack([words[tag].mean(axis=0) for tag in tags]))
        scales = [reference.scale(tag, self.pivot, vector) for tag, vector in zip(tags, found, strict=True)]
        raw = [cosines(vectors.segment_vectors, vector) for vector in found]
        known = [reference.known(meant(tag, self.pivot, reference.tags)) for tag in tags]
        return Scored(
            tags,
            labels,
            np.stack(raw, axis=1),
            np.stack([scale.score(column) for scale, column in zip(scales, raw, strict=True)], axis=1),
            np.array([scale.measure == "probability" for scale in scales]),
            np.array([np.mean(column[column >= 0] == 1) if (column >= 0).any() else 0.0 for column in known]),
            np.repeat(np.arange(len(vectors.tracks)), [len(track.bounds) for track in vectors.tracks]),
            np.concatenate([track.weights for track in vectors.tracks]),
            units,
        )
