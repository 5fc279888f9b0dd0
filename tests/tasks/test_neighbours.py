"""Music to music by shared tags, against plain loops."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.tasks.neighbours import Neighbours
from crossmodal.tasks.tagset_precision import TagsetPrecision
from crossmodal.types import Task

GROUPS = ["a", "a", "b", "b", "", "c", "c", "d"]
TAGS = {
    "mood": {0: ["sad"], 1: ["sad"], 2: ["sad", "calm"], 3: ["happy"], 4: ["happy"], 5: ["calm"], 7: ["odd"]},
    "place": {0: ["here"], 1: ["here"], 6: ["there"]},  # only within a group
}


@dataclass
class Vectors:
    track_ids: tuple[str, ...]
    vectors: np.ndarray


class Stand:
    """Stands for an `Embedded` with random vectors."""

    split = "s"

    def __init__(self, tags: dict[str, dict[int, list[str]]] = TAGS) -> None:
        tracks = [f"t{row}" for row in range(len(GROUPS))]
        rows = [(f"t{row}", name, tag) for name, rows in tags.items() for row, own in rows.items() for tag in own]
        self.manifest = Manifest.build(
            pd.DataFrame({"track_id": tracks, "path": tracks, "group": GROUPS}),
            tags=pd.DataFrame(rows, columns=["track_id", "tagset", "tag"]),
        )
        vectors = np.random.default_rng(5).normal(size=(len(tracks), 3))
        self.found = Vectors(tuple(tracks), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def part(self, _name: str) -> Manifest:
        return self.manifest

    def vectors(self, _name: str) -> Vectors:
        return self.found


def by_loops(stand: Stand, tagset: str) -> float:
    """Mean average precision over the tracks that share a tag with a track of another group, among those annotated."""
    tags = {row: set(own) for row, own in TAGS[tagset].items()}
    scores = stand.found.vectors @ stand.found.vectors.T
    values = []
    for query in tags:
        others = [row for row in tags if row != query and (GROUPS[row] != GROUPS[query] or not GROUPS[row])]
        ranking = sorted(others, key=lambda row, query=query: -scores[query, row])
        hits = [bool(tags.get(query, set()) & tags.get(row, set())) for row in ranking]
        if any(hits):
            values.append(np.mean([sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit]))
    return float(np.mean(values))


def test_equals_a_plain_loop_without_tracks_of_the_same_group() -> None:
    stand = Stand()
    found = Neighbours(draws=50).evaluate(stand).as_dict()
    assert found["mood/map"]["value"] == pytest.approx(by_loops(stand, "mood"))
    assert found["mood/map"]["queries"] == 6  # t6 is not annotated with the set, and nobody shares t7's
    assert found["mood/map"]["candidates"] == 6
    assert found["mood/map"]["low"] <= found["mood/map"]["value"] <= found["mood/map"]["high"]
    assert 0 < found["mood/map"]["chance"] < 1


def test_a_tagset_shared_within_groups_alone_is_not_judged() -> None:
    stand = Stand()
    assert Neighbours().judged(stand.manifest) == ["mood"]
    found = Neighbours(draws=0).evaluate(stand).as_dict()
    assert set(found) == {"mood/map", "map"}
    assert found["map"]["value"] == found["mood/map"]["value"]
    assert found["mood/map"]["low"] is None
    left_out = Neighbours(draws=0).evaluate(stand).left_out
    assert left_out == dict.fromkeys([*sorted(set(TAGS) - {"mood"})], "no track shares a tag with a candidate")
    assert left_out


def test_a_tagset_of_one_class_does_not_raise_the_mean() -> None:
    stand = Stand({**TAGS, "planet": {row: ["earth"] for row in range(len(GROUPS))}})
    found = Neighbours(draws=0).evaluate(stand)
    assert "planet/map" not in found.metrics
    assert found.metrics["map"].value == found.metrics["mood/map"].value < 1
    assert found.left_out["planet"] == "every candidate shares a tag with every track that asks"
    assert Neighbours(["planet"]).judged(stand.manifest) == []
    with pytest.raises(InputError, match="no tagset to judge: planet: every candidate shares a tag"):
        Neighbours(["planet"]).evaluate(stand)


def test_the_primary_is_the_mean_over_tagsets() -> None:
    tags = {**TAGS, "place": {0: ["here"], 7: ["here"], 2: ["there"], 5: ["there"]}}
    found = Neighbours(draws=0).evaluate(Stand(tags)).as_dict()
    assert found[Neighbours.primary]["value"] == pytest.approx(
        (found["mood/map"]["value"] + found["place/map"]["value"]) / 2
    )
    sampled = Neighbours(draws=80).evaluate(Stand(tags)).as_dict()["map"]
    assert sampled["low"] is None or sampled["low"] <= sampled["value"] <= sampled["high"]
    assert (sampled["queries"], sampled["candidates"]) == (6, 6)


def test_what_cannot_be_judged_is_told() -> None:
    with pytest.raises(InputError, match="no tagset 'moood'"):
        Neighbours(["moood"]).evaluate(Stand()).as_dict()
    with pytest.raises(InputError, match="part test has no tagset to judge: place: no track shares a tag"):
        Neighbours(["place"]).evaluate(Stand()).as_dict()


@pytest.mark.parametrize("task", [Neighbours(draws=0), TagsetPrecision(cutoffs=[1], draws=0)])
def test_a_tagset_of_which_no_track_has_a_tag_is_left_out(task: Task) -> None:
    stand = Stand()
    nothing = pd.DataFrame({"track_id": stand.manifest.tracks["track_id"], "tagset": "nothing"})
    annotated = pd.concat([stand.manifest.annotated, nothing])
    stand.manifest = replace(stand.manifest, annotated=annotated)
    left_out = task.evaluate(stand).left_out  # type: ignore[arg-type]
    assert left_out["nothing"] == "no track shares a tag with a candidate"
    with pytest.raises(InputError, match="no tagset to judge: nothing: no track shares"):
        type(task)(["nothing"]).evaluate(stand)  # type: ignore[call-arg, arg-type]
