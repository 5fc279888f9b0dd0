"""How near what belongs together is, and what does not: cosines of pairs, and how far the two overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from crossmodal.data.groups import clusters_of
from crossmodal.embedding import Embedded
from crossmodal.report.figures import BINS, Chart, Numbers, histogram
from crossmodal.report.plane import drawn
from crossmodal.tasks._tracks import shared

TEXTS, TRACKS = 256, 400  # of which pairs are made


class Pairs(NamedTuple):
    """Cosines of pairs that belong together and of others.

    Attributes:
        chart: their histograms.
        separated: how often a pair that belongs together is nearer than one that does not; ties are half right.
        overlap: the share of the two histograms that they have in common.
        own: what belongs together, in words.
        other: what does not.
    """

    chart: Chart
    separated: float
    overlap: float
    own: str
    other: str


def texts_and_tracks(embedded: Embedded, part: str, seed: int) -> Pairs | None:
    """Texts with their own tracks and with others; None if there are no such pairs, or the model reads no text."""
    if not embedded.model.reads:
        return None
    manifest, found = embedded.part(part), embedded.vectors(part)
    texts = manifest.texts.drop_duplicates("text_id")
    texts = texts.iloc[drawn(len(texts), TEXTS, seed)]
    if texts.empty:
        return None
    about = manifest.relevance()
    own = np.array([[track in about[text] for track in found.track_ids] for text in texts["text_id"]])
    cosines = embedded.texts(texts["text"].tolist()) @ found.vectors.T
    return compared("Texts and tracks", {"a text and its own tracks": cosines[own], "a text and others": cosines[~own]})


def tracks_and_tracks(embedded: Embedded, part: str, tagset: str, seed: int) -> Pairs | None:
    """Tracks of different clusters that share a tag of a tagset, or do not; and, beside these, tracks of one cluster.

    A cluster is what artists and groups connect, as everywhere.
    """
    found = embedded.vectors(part)
    rows = drawn(len(found.track_ids), TRACKS, seed)
    ids = [found.track_ids[row] for row in rows]
    whole = embedded.part(part)
    manifest = whole.select(ids)
    if tagset not in set(manifest.tags["tagset"]):
        return None
    alike = shared(manifest, tagset, ids)
    tagged = alike.diagonal()
    clusters = np.array(clusters_of(whole, ids))
    together = clusters[:, None] == clusters
    once = np.triu(np.ones((len(ids), len(ids)), dtype=bool), 1)
    cosines = found.vectors[rows] @ found.vectors[rows].T
    pairs = once & ~together & tagged[:, None] & tagged
    named = {f"the same {tagset}": cosines[pairs & alike], f"another {tagset}": cosines[pairs & ~alike]}
    return compared("Tracks and tracks", named, {"the same artist or group": cosines[once & together]})


def compared(title: str, named: Mapping[str, Numbers], more: Mapping[str, Numbers] | None = None) -> Pairs | None:
    """The cosines of what belongs together, first, and of what does not; None if one of the two has none."""
    (own, same), (other, different) = named.items()
    if not (same.size and different.size):
        return None
    beside = {name: cosines for name, cosines in (more or {}).items() if cosines.size}
    chart = histogram(title, {**named, **beside})
    both = np.concatenate([same, different])
    separated = roc_auc_score(np.repeat([1, 0], [same.size, different.size]), both)
    return Pairs(chart, float(separated), overlap(same, different), own, other)


def overlap(first: Numbers, second: Numbers) -> float:
    """The share that the histograms of two sets of numbers have in common, over the range of both."""
    # in float64: there are no 40 bins between cosines that are the same but for float32's rounding
    edges = np.histogram_bin_edges(np.concatenate([first, second]).astype(np.float64), BINS)
    shares = [np.histogram(numbers, edges)[0] / numbers.size for numbers in (first, second)]
    return float(np.minimum(*shares).sum())
