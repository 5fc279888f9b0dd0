"""What cosines mean, against plain loops and scikit-learn's regression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from crossmodal.calibration import DECIMALS, LEAST, Calibration, cosines, percentiles, platt
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Vectors
from crossmodal.errors import InputError
from crossmodal.model import TrackVectors

TRACKS = 30


class Model:
    fingerprint = "model-a"


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def embedded(seed: int = 0, tracks: int = TRACKS, dim: int = 6) -> Vectors:
    """Tracks of one to four segments; those of even numbers point to the first axis."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(tracks):
        count = int(rng.integers(1, 5))
        vectors = rng.normal(size=(count, dim)) + 1.5 * np.eye(dim)[0] * (number % 2 == 0)
        bounds = np.column_stack([np.arange(count), np.arange(count) + 1]).astype(np.float32)
        weights = np.append(np.ones(count - 1), 0.25).astype(np.float32)
        found.append(TrackVectors(bounds, weights, unit(vectors), unit(vectors)))
    return Vectors(tuple(f"t{number}" for number in range(tracks)), tuple(found), "model-a")


def manifest(tracks: int = TRACKS) -> Manifest:
    """Even tracks are organ, odd ones have none; three are rare; the last ten are not annotated with moods."""
    ids = [f"t{number}" for number in range(tracks)]
    rows = [(name, "instrument", "organ") for name in ids[::2]] + [(name, "mood", "rare") for name in ids[:3]]
    rows += [(name, "mood", "sad") for name in ids[:20:3]]
    annotated = [(name, "instrument") for name in ids] + [(name, "mood") for name in ids[:20]]
    return Manifest.build(
        pd.DataFrame({"track_id": ids, "path": ids}),
        tags=pd.DataFrame(rows, columns=["track_id", "tagset", "tag"]),
        annotated=pd.DataFrame(annotated, columns=["track_id", "tagset"]),
    )


@pytest.fixture(scope="module")
def made() -> Calibration:
    return Calibration.of(embedded(), manifest(), "part valid")


def test_labels_tell_without_from_unknown(made: Calibration) -> None:
    by_track = {str(vector.tobytes()): f"t{row}" for row, t in enumerate(embedded().tracks) for vector in t.vectors}
    names = {}
    for vector, row in zip(made.vectors, made.track, strict=True):
        names[int(row)] = by_track[str(vector.tobytes())]
    assert sorted(names.values()) == sorted(f"t{row}" for row in range(TRACKS))
    assert made.tags == ("organ", "rare", "sad")
    for row, name in names.items():
        number = int(name[1:])
        moods = [int(number < 3), int(number % 3 == 0)] if number < 20 else [-1, -1]
        assert made.labels[row].tolist() == [int(number % 2 == 0), *moods]


def test_known_joins_tags(made: Calibration) -> None:
    organ, rare, sad = made.labels.T
    assert made.known(["organ"]).tolist() == organ.tolist()
    assert made.known(["rare", "sad"]).tolist() == [max(pair) for pair in zip(rare, sad, strict=True)]
    assert set(made.known([]).tolist()) == {-1}


def test_percentiles_by_loops() -> None:
    rng = np.random.default_rng(1)
    reference, weights = rng.integers(0, 9, size=50) / 10, rng.random(50)
    values = np.concatenate([reference[:10], [-1.0, 2.0, 0.05]])
    expected = [
        sum(w * (r < value) + w * (r == value) / 2 for r, w in zip(reference, weights, strict=True)) / weights.sum()
        for value in values
    ]
    assert percentiles(reference, weights)(values) == pytest.approx(expected)
    assert percentiles(reference, weights)(np.array([-1.0, 2.0])).tolist() == [0, 1]


def test_platt_is_a_logistic_regression_on_smoothed_labels() -> None:
    rng = np.random.default_rng(2)
    track = np.repeat(np.arange(20), 3).astype(np.int32)
    known = np.array([1] * 6 + [0] * 10 + [-1] * 4, np.int8)
    reference, weights = rng.normal(size=60) * 0.1 + 0.05 * (known[track] == 1), rng.random(60)
    x, y, w = [], [], []
    for row in range(60):
        if known[track[row]] >= 0:
            target = 7 / 8 if known[track[row]] == 1 else 1 / 12
            x += [reference[row]] * 2
            y += [1, 0]
            w += [weights[row] * target, weights[row] * (1 - target)]
    model = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000).fit(np.array(x)[:, None], y, np.array(w))
    values = np.linspace(-0.5, 0.5, 21)
    expected = model.predict_proba(values[:, None])[:, 1]
    assert platt(reference, known, track, weights)(values) == pytest.approx(expected, abs=2e-4)


def test_a_word_that_points_away_says_its_share() -> None:
    known, track = np.array([1] * 10 + [0] * 30, np.int8), np.arange(40, dtype=np.int32)
    reference = np.where(known[track] == 1, -0.2, 0.2) + np.linspace(0, 0.01, 40)
    scores = platt(reference, known, track, np.ones(40))(np.linspace(-1, 1, 9))
    share = (10 * 11 / 12 + 30 / 32) / 40
    assert scores == pytest.approx([share] * 9, abs=1e-4)


def test_it_is_never_surer_than_the_tracks_allow() -> None:
    known, track = np.array([1] * 5 + [0] * 5, np.int8), np.arange(10, dtype=np.int32)
    scores = platt(known * 1.0, known, track, np.ones(10))(np.array([0.0, 1.0]))
    assert scores == pytest.approx([1 / 7, 6 / 7], abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), constant=st.booleans(), probe=st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_scores_rise_with_the_cosine_and_lie_within_0_and_1(seed: int, constant: bool, probe: list[float]) -> None:
    rng = np.random.default_rng(seed)
    track = np.sort(rng.integers(0, 12, size=40)).astype(np.int32)
    known = rng.integers(-1, 2, size=12).astype(np.int8)
    known[:2], track[:2] = (0, 1), (0, 1)
    reference = np.zeros(40) if constant else rng.normal(size=40).round(1) / 4
    weights, values = rng.random(40) + 0.01, np.sort(np.array(probe))
    for score in (percentiles(reference, weights), platt(reference, known, track, weights)):
        found = score(values)
        assert np.isfinite(found).all()
        assert (np.diff(found) >= 0).all()
        assert 0 <= found.min() <= found.max() <= 1
        assert score(values[::-1])[::-1] == pytest.approx(found, abs=0)  # each by itself


def test_a_known_tag_has_a_probability_in_any_language_and_other_words_a_percentile(made: Calibration) -> None:
    vector = np.eye(6, dtype=np.float32)[0]
    measures = {
        ("organ", "en"): "probability",
        ("Kirchenorgel", "de"): "probability",
        ("orgue", "fr"): "probability",
        ("sad", "en"): "probability",
        ("rare", "en"): "percentile",  # three tracks are too few
        ("Kirchenorgel", "en"): "percentile",
        ("rain on a roof", "en"): "percentile",
    }
    assert {key: made.scale(*key, vector).measure for key in measures} == measures
    assert LEAST == 5
    swapped = replace(made, labels=1 - made.labels.clip(0))  # all but three are rare now
    assert swapped.scale("rare", "en", vector).measure == "percentile"
    reference = cosines(made.vectors, vector)
    values = np.linspace(-1, 1, 7)
    expected = platt(reference, made.labels[:, 0], made.track, made.weights)(values)
    assert made.scale("orgue", "fr", vector).score(values).tolist() == expected.tolist()
    expected = percentiles(reference, made.weights)(values)
    assert made.scale("rare", "en", vector).score(values).tolist() == expected.tolist()


def test_cosines_do_not_depend_on_the_batch(made: Calibration) -> None:
    vector = unit(np.arange(1.0, 7.0))
    singly = [cosines(made.vectors[row : row + 1], vector)[0] for row in range(len(made.vectors))]
    assert cosines(made.vectors, vector).tolist() == singly
    by_hand = [sum(float(a) * float(b) for a, b in zip(row, vector, strict=True)) for row in made.vectors]
    assert singly == pytest.approx(by_hand, abs=10**-DECIMALS)


def test_a_large_reference_keeps_whole_tracks(monkeypatch: pytest.MonkeyPatch, made: Calibration) -> None:
    monkeypatch.setattr("crossmodal.calibration.SEGMENTS", 20)
    small = Calibration.of(embedded(), manifest(), "part valid")
    assert 16 <= len(small.vectors) <= 20
    assert small.vectors.tolist() == made.vectors[: len(small.vectors)].tolist()
    assert len(small.labels) == small.track[-1] + 1 < TRACKS
    assert Calibration.of(embedded(), manifest(), "x").vectors.tolist() == small.vectors.tolist()


def test_it_is_read_as_it_was_written_and_refused_for_another_model(made: Calibration, tmp_path) -> None:
    made.save(tmp_path / "c.npz")
    made.save(tmp_path / "c.npz")
    found = Calibration.load(tmp_path / "c.npz")
    assert (found.fingerprint, found.source, found.tags) == (made.fingerprint, made.source, made.tags)
    for name in ("vectors", "weights", "track", "labels"):
        assert getattr(found, name).tolist() == getattr(made, name).tolist()
        assert getattr(found, name).dtype == getattr(made, name).dtype
    found.check(Model())  # type: ignore[arg-type]
    other = Model()
    other.fingerprint = "model-b"
    with pytest.raises(InputError, match="made with model model-a, but the words are of model model-b"):
        found.check(other)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


def test_a_failed_write_leaves_the_one_before(made: Calibration, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.save(tmp_path / "c.npz")
    before = (tmp_path / "c.npz").read_bytes()

    def full(file, **_arrays: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(InputError, match="No space left on device; nothing was changed"):
        made.save(tmp_path / "c.npz")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize("broken", ["missing", "empty", "text", "cut", "damaged", "foreign", "version"])
def test_what_is_no_calibration_is_told(made: Calibration, tmp_path, broken: str) -> None:
    path = tmp_path / "c.npz"
    made.save(path)
    content = path.read_bytes()
    middle = len(content) // 3
    damaged = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    whole = {"empty": b"", "text": b"words", "cut": content[:-40], "damaged": damaged}
    if broken == "missing":
        path.unlink()
    elif broken == "foreign":
        np.savez(path, vectors=made.vectors)
    elif broken == "version":
        np.savez(path, head=np.array('{"version": 0}'), vectors=made.vectors)
    else:
        path.write_bytes(whole[broken])
    expected = {"missing": "does not exist", "version": "not of version 1"}.get(broken, "is not a calibration")
    with pytest.raises(InputError, match=expected):
        Calibration.load(path)
