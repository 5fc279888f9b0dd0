"""Every task draws tracks in clusters of artist and group, and says nothing of others by one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import stands

from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Vectors
from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Units
from crossmodal.tasks._frozen import labelled
from crossmodal.tasks._tagsets import tagsets_of
from crossmodal.tasks._tracks import Near
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


@pytest.mark.parametrize("task", [Neighbours(), TagsetPrecision()], ids=lambda task: type(task).__name__)
def test_in_one_cluster_no_track_has_a_neighbour(task: Task) -> None:
    with pytest.raises(InputError, match="no tagset to judge: instrument: artists and groups connect all tracks"):
        task.evaluate(ONE, "test")  # type: ignore[arg-type]


@pytest.mark.parametrize("task", [*TASKS[:2], *TASKS[4:]], ids=lambda task: type(task).__name__)
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


@pytest.mark.parametrize("task", [Neighbours(draws=0), TagsetPrecision(cutoffs=[1], draws=0)], ids=["map", "precision"])
def test_other_albums_of_an_artist_are_no_candidates(task: Task) -> None:
    artists = [f"artist {row // 4}" for row in range(60)]  # two groups each
    made: Judgement = task.evaluate(stand(artists), "test")  # type: ignore[arg-type]
    assert {figure.candidates for figure in made.metrics.values()} == {56}


def test_an_artist_is_not_found_by_the_other_album() -> None:
    albums, artists = ["x1", "x1", "x2", "x2", *"yzvw"], ["X", "X", "X", "x", *"yzvw"]
    names, tags = [f"t{row}" for row in range(8)], list("ababbaab")
    tracks = pd.DataFrame({"track_id": names, "path": "", "group": albums, "artist": artists})
    manifest = Manifest.build(tracks, tags=pd.DataFrame({"track_id": names, "tagset": "g", "tag": tags}))
    # each of X is nearest to the one of the other album with its tag, of the others to one without
    angles = np.array([0, 1.0, 0.1, 1.1, 0.25, 1.25, 2.2, 2.3])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    near = Near.of(manifest, "g", names, vectors, [1])
    assert near.values["precision@1"][:4].tolist() == [0, 0, 0, 0]
    assert near.items.tolist() == [4, 4, 4, 4, 7, 7, 7, 7]
    assert Near.of(manifest, "g", names, vectors, [1], apart=False).values["precision@1"][:4].tolist() == [1, 1, 1, 1]
