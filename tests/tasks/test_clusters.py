"""Every task draws tracks in clusters of artist and group, and says nothing of others by one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import stands

from crossmodal.embedding import Vectors
from crossmodal.judgement import Judgement, Units
from crossmodal.tasks._frozen import labelled
from crossmodal.tasks._tagsets import tagsets_of
from crossmodal.tasks.fine_tune import TRACKS
from crossmodal.tasks.key import Key
from crossmodal.tasks.limited_labels import LimitedLabels
from crossmodal.tasks.neighbours import Neighbours
from crossmodal.tasks.probe import Probe
from crossmodal.tasks.regression import Regression
from crossmodal.tasks.retrieval import Retrieval
from crossmodal.tasks.tagset_precision import TagsetPrecision
from crossmodal.tasks.tempo import Tempo
from crossmodal.tasks.zero_shot import ZeroShot
from crossmodal.types import Task

HEAD = {"name": "linear", "c": [1.0]}
TASKS: list[Task] = [
    Probe(head=HEAD, draws=9),
    LimitedLabels(head=HEAD, shares=[0.5], repeats=1, draws=9),
    Neighbours(draws=9),
    TagsetPrecision(cutoffs=[2], draws=9),
    Retrieval(cutoffs=[1], tags=False, draws=9),
    ZeroShot(languages=["en"], draws=9),
    Regression(["tempo_bpm"], alpha=[1.0], draws=9),
    Tempo(head=HEAD, bins=3, draws=9),
    Key(head=HEAD, draws=9),
]


class Stand(stands.Stand):
    """With whole tracks' vectors, and words at random."""

    def _vectors(self, name: str) -> Vectors:  # type: ignore[override]
        made = super()._vectors(name)
        return Vectors(made.track_ids, made.tracks, "m")

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([np.random.default_rng(list(text.encode())).normal(size=6) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def stand(artists: Sequence[str]) -> Stand:
    """Groups of two, one tag a track, and the artist of each test track; a text a track, a tempo and a key."""
    whole = stands.stand(1.0).manifest
    tracks = whole.tracks.assign(artist="")
    test = whole.part("s", "test").tracks["track_id"].tolist()
    tracks.loc[tracks["track_id"].isin(test), "artist"] = list(artists)
    tracks["tempo_bpm"] = np.array([80.0, 100.0, 125.0])[tracks.index % 3]
    tracks["key"] = np.array(["C major", "A minor", "D major"])[tracks.index % 3]
    texts = pd.DataFrame({"text_id": test, "track_id": test, "language": "en", "kind": "human", "text": test})
    tags = tracks[["track_id"]].assign(tagset="instrument", tag=np.array(stands.CLASSES)[tracks.index % 3])
    return Stand(replace(whole, tracks=tracks, texts=texts, tags=tags, annotated=tags[["track_id", "tagset"]]), 1.0)


THREES = stand(["Various Artists" if row < 12 else f"artist {row // 6}" for row in range(60)])  # 6 pairs, 8 artists
ONE = stand(["Ada", "Bo"] * 30)  # each pair is of both
ORCHESTRA = stand(["the orchestra"] * 60)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_all_figures_are_over_clusters(task: Task) -> None:
    made: Judgement = task.evaluate(THREES, "test")  # type: ignore[arg-type]
    assert {name: figure.groups for name, figure in made.metrics.items()} == dict.fromkeys(made.metrics, 14)
    assert any(figure.low is not None and figure.low < figure.high for figure in made.metrics.values())


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_one_cluster_has_figures_without_intervals(task: Task) -> None:
    whole: Judgement = task.evaluate(THREES, "test")  # type: ignore[arg-type]
    made: Judgement = task.evaluate(ONE, "test")  # type: ignore[arg-type]
    assert {name: figure.value for name, figure in made.metrics.items()} == pytest.approx(
        {name: figure.value for name, figure in whole.metrics.items()}
    )
    told = {(figure.groups, figure.low, figure.high, figure.samples is None) for figure in made.metrics.values()}
    assert told == {(1, None, None, True)}


def test_notes_of_one_orchestra_are_drawn_by_their_groups() -> None:
    assert len(set(units(ORCHESTRA).groups)) == 30


def test_samples_of_two_systems_pair_whatever_the_order_of_the_rows() -> None:
    order = np.random.default_rng(0).permutation(len(THREES.manifest.tracks))
    tracks = THREES.manifest.tracks.iloc[order].reset_index(drop=True)
    other = Stand(replace(THREES.manifest, tracks=tracks), 1.0)
    by_id = [dict(zip(u.ids, u.groups, strict=True)) for u in (units(THREES), units(other))]
    assert by_id[0] == by_id[1]
    assert units(Stand(THREES.manifest, 2.0)).name == units(THREES).name != units(ONE).name


def units(data: Stand) -> Units:
    """Of a tagset's tracks."""
    tagset = tagsets_of(data, None, "test")[0][0]  # type: ignore[arg-type]
    return labelled(data, "test", tagset, "features", TRACKS, 0).units(9, 0)  # type: ignore[arg-type]
