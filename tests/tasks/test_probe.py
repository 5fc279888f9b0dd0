from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.tasks.probe import Probe

PARTS = {"train": 120, "valid": 60, "test": 60}
CLASSES = ("cello", "ney", "oud")


@dataclass
class Vectors:
    track_ids: tuple[str, ...]
    features: np.ndarray
    vectors: np.ndarray


@dataclass
class Stand:
    """Stands for an `Embedded`: features that are as far apart as ``distance`` says, vectors that are noise."""

    manifest: Manifest
    distance: float
    split: str = "s"

    def part(self, name: str) -> Manifest:
        return self.manifest.part("s", name)

    def vectors(self, name: str) -> Vectors:
        ids = tuple(self.part(name).tracks["track_id"])
        rng = np.random.default_rng([len(ids), len(name)])
        kinds = np.array([CLASSES.index(track.split("-")[1]) for track in ids])
        features = rng.normal(size=(len(ids), 6)) + self.distance * np.eye(6)[kinds]
        return Vectors(ids, features.astype(np.float32), rng.normal(size=(len(ids), 6)).astype(np.float32))


def stand(distance: float, renamed: str = "") -> Stand:
    rows = [
        (f"{part}{n}-{CLASSES[n % 3]}", part, CLASSES[n % 3]) for part, count in PARTS.items() for n in range(count)
    ]
    frame = pd.DataFrame(rows, columns=["track_id", "part", "tag"])
    frame.loc[(frame["part"] == "test") & (frame["tag"] == "oud"), "tag"] = renamed or "oud"
    frame["group"] = frame["part"] + (frame.index // 2).astype(str)
    tracks = frame[["track_id", "group"]].assign(path=frame["track_id"])
    tags = frame[["track_id", "tag"]].assign(tagset="instrument")
    splits = frame[["track_id", "part"]].assign(name="s")
    return Stand(Manifest.build(tracks, tags=tags.iloc[:-3], splits=splits), distance)  # the last three are unlabelled


def test_separable_classes_are_told_apart() -> None:
    found = Probe(["instrument"], draws=50).evaluate(stand(50.0)).as_dict()["instrument/balanced_accuracy"]
    assert (found["value"], found["low"], found["high"]) == (1.0, 1.0, 1.0)
    assert (found["queries"], found["candidates"], found["chance"]) == (57, 3, pytest.approx(1 / 3))
    assert found["c"] == 0.001  # the first of those that are equally good


def test_noise_stays_at_chance_within_its_interval() -> None:
    found = Probe(["instrument"], draws=200).evaluate(stand(0.0)).as_dict()["instrument/balanced_accuracy"]
    assert found["low"] < 1 / 3 < found["high"]
    assert 0 < found["low"] < found["value"] < found["high"] < 1


def test_the_layer_is_the_one_asked_for() -> None:
    features, vectors = (
        Probe(["instrument"], layer=layer, draws=10)
        .evaluate(stand(5.0))
        .as_dict()["instrument/balanced_accuracy"]["value"]
        for layer in ("features", "vectors")
    )
    assert features > 0.95
    assert vectors < 0.6


def test_the_interval_holds_the_value_and_is_that_of_its_seed() -> None:
    probe = Probe(["instrument"], draws=100, seed=1)
    first, again = (probe.evaluate(stand(1.0)).as_dict()["instrument/balanced_accuracy"] for _ in range(2))
    assert first == again
    assert first["low"] < first["value"] < first["high"]


def test_a_label_that_training_has_not_is_an_error() -> None:
    with pytest.raises(InputError, match="tagset 'instrument': test has labels that train has not: rebab"):
        Probe(["instrument"]).evaluate(stand(1.0, renamed="rebab")).as_dict()


def test_an_unknown_tagset_is_an_error() -> None:
    with pytest.raises(InputError, match="makam"):
        Probe(["makam"]).evaluate(stand(1.0)).as_dict()


def test_predictions_are_those_that_are_scored() -> None:
    probe, data = Probe(["instrument"], draws=10), stand(1.0)
    made = probe.predict(data, "instrument")
    assert list(made.labels) == list(data.part("test").labels("instrument"))
    recalls = [np.mean(made.predicted[made.labels == label] == label) for label in CLASSES]
    assert probe.evaluate(data).as_dict()["instrument/balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    assert 0.4 < np.mean(recalls) < 1
