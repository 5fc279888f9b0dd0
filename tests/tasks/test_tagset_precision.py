"""Precision at cut-offs by shared tags, against plain loops."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.metrics.bootstrap import samples
from crossmodal.tasks.neighbours import Neighbours
from crossmodal.tasks.tagset_precision import TagsetPrecision

TRACKS = [f"t{row}" for row in range(30)]
GROUPS = [f"g{row // 3}" if row < 24 else "" for row in range(30)]
GENRES = ["jazz", "rock", "folk", "dub"]


class Stand:
    """Stands for an `Embedded` with random vectors: a multi-label tagset of all tracks, and one of some."""

    split = "s"

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        genres = {row: list(rng.choice(GENRES, rng.integers(0, 3), replace=False)) for row in range(30)}
        moods = {row: [["sad", "glad"][row // 2 % 2]] for row in range(0, 30, 2)} | {
            row: ["sad"] for row in (1, 3, 5, 9)
        }
        self.tags: dict[str, dict[int, list[str]]] = {"genre": genres, "mood": moods}
        rows = [
            (TRACKS[row], name, tag) for name, own in self.tags.items() for row, tags in own.items() for tag in tags
        ]
        annotated = [(TRACKS[row], name) for name, own in self.tags.items() for row in own]  # some with nothing
        self.manifest = Manifest.build(
            pd.DataFrame({"track_id": TRACKS, "path": TRACKS, "group": GROUPS}),
            tags=pd.DataFrame(rows, columns=["track_id", "tagset", "tag"]),
            annotated=pd.DataFrame(annotated, columns=["track_id", "tagset"]),
        )
        vectors = rng.normal(size=(30, 4))
        self.found = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def part(self, _name: str) -> Manifest:
        return self.manifest

    def vectors(self, _name: str) -> SimpleNamespace:
        return SimpleNamespace(track_ids=tuple(TRACKS), vectors=self.found)


@pytest.fixture(scope="module")
def stand() -> Stand:
    return Stand()


def by_loops(stand: Stand, tagset: str, k: int, apart: bool) -> tuple[dict[int, float], list[float]]:
    """The precision of each track that is asked, and its share of relevant candidates."""
    tags = {row: set(own) for row, own in stand.tags[tagset].items()}
    found, chance = {}, []
    for query, own in tags.items():
        group = [row for row in tags if GROUPS[row] and GROUPS[row] == GROUPS[query]] if apart else []
        others = [row for row in tags if row != query and row not in group]
        others.sort(key=lambda row: -float(stand.found[row] @ stand.found[query]))
        right = [bool(own & tags[row]) for row in others]
        if any(right):
            found[query] = sum(right[:k]) / k
            chance.append(sum(right) / len(right))
    return found, chance


@pytest.mark.parametrize("apart", [True, False])
def test_precision_equals_plain_loops(stand: Stand, apart: bool) -> None:
    made = TagsetPrecision(cutoffs=[1, 3, 10], exclude_group=apart, draws=40).evaluate(stand)
    for tagset in stand.tags:
        for k in (1, 3, 10):
            values, chance = by_loops(stand, tagset, k, apart)
            figure = made.metrics[f"{tagset}/precision@{k}"]
            assert figure.value == pytest.approx(np.mean(list(values.values())))
            assert figure.chance == pytest.approx(np.mean(chance))
            assert figure.queries == len(values)
            assert figure.low <= figure.value <= figure.high
    assert made.metrics["genre/precision@1"].candidates == 29
    assert made.metrics["mood/precision@1"].candidates == 18
    assert made.metrics["genre/precision@1"].queries < 30  # some have no genre


def test_the_mean_of_tagsets_is_sampled_over_tracks(stand: Stand) -> None:
    made = TagsetPrecision(cutoffs=[3], draws=30).evaluate(stand).metrics
    figure = made["precision@3"]
    assert figure.value == pytest.approx((made["genre/precision@3"].value + made["mood/precision@3"].value) / 2)
    every = [by_loops(stand, tagset, 3, True)[0] for tagset in stand.tags]
    groups = [group or track for group, track in zip(GROUPS, TRACKS, strict=True)]
    expected = []
    for row in np.concatenate(list(samples(groups, 30, 0))):
        drawn = [[found[track] for track in found for _ in range(row[track])] for found in every]
        expected.append(np.mean([np.mean(values) for values in drawn]))
    assert figure.samples == pytest.approx(expected)
    assert (figure.low, figure.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))


def test_cut_offs_are_judged_where_every_track_has_more_candidates(stand: Stand) -> None:
    made = TagsetPrecision(draws=0).evaluate(stand)  # of 30 and 19 tracks, less up to three of a group
    assert {name for name in made.metrics if name.startswith("genre/")} == {
        f"genre/precision@{k}" for k in (1, 2, 5, 10, 20)
    }
    assert {name for name in made.metrics if name.startswith("mood/")} == {f"mood/precision@{k}" for k in (1, 2, 5, 10)}
    assert {name for name in made.metrics if "/" not in name} == {f"precision@{k}" for k in (1, 2, 5, 10)}
    assert TagsetPrecision.primary in made.metrics
    assert "mood/precision@15" in TagsetPrecision(cutoffs=[15], draws=0).evaluate(stand).metrics
    assert "mood/precision@16" not in TagsetPrecision(cutoffs=[1, 16], draws=0).evaluate(stand).metrics


def test_the_curve_is_a_table(stand: Stand) -> None:
    made = TagsetPrecision(draws=20).evaluate(stand)
    table = made.tables["curve/precision"].set_index(["tagset", "k"])
    assert list(table) == ["value", "low", "high", "chance"]
    assert len(table) == len(made.metrics)
    assert table.loc[("mood", 5), "high"] == made.metrics["mood/precision@5"].high
    assert table.loc[("mean", 2), "chance"] == made.metrics["precision@2"].chance


def test_a_tagset_of_one_class_does_not_raise_the_mean() -> None:
    stand = Stand()
    planet = pd.DataFrame({"track_id": TRACKS, "tagset": "planet", "tag": "earth"})
    tags = pd.concat([stand.manifest.tags, planet])
    annotated = pd.concat([stand.manifest.annotated, planet[["track_id", "tagset"]]])
    before = TagsetPrecision(cutoffs=[3], draws=0).evaluate(stand)
    stand.manifest = replace(stand.manifest, tags=tags, annotated=annotated)
    found = TagsetPrecision(cutoffs=[3], draws=0).evaluate(stand)
    assert found.as_dict() == before.as_dict()
    assert found.left_out == {"planet": "every candidate shares a tag with every track that asks"}
    with pytest.raises(InputError, match="part test has no tagset to judge: planet: every candidate"):
        TagsetPrecision(["planet"]).evaluate(stand)


def test_it_ranks_as_neighbours_do(stand: Stand) -> None:
    found = Neighbours(["genre"], draws=0).evaluate(stand).metrics["genre/map"]
    assert found.queries == TagsetPrecision(["genre"], draws=0).evaluate(stand).metrics["genre/precision@1"].queries


def test_what_cannot_be_judged_is_told(stand: Stand) -> None:
    with pytest.raises(InputError, match="cutoffs is empty"):
        TagsetPrecision(cutoffs=[])
    with pytest.raises(InputError, match="tagsets is empty"):
        TagsetPrecision(tagsets=[])
    with pytest.raises(InputError, match="no tagset 'moood'"):
        TagsetPrecision(["moood"]).evaluate(stand)
    with pytest.raises(InputError, match="not more candidates than 100"):
        TagsetPrecision(cutoffs=[500, 100]).evaluate(stand)
