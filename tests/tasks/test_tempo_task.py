from __future__ import annotations

import numpy as np
import pytest
from standing import PARTS, Stand, stand

from crossmodal.errors import InputError
from crossmodal.tasks.tempo import Tempo

COUNT = sum(PARTS.values())
TEMPI = np.array([60.0, 80.0, 120.0, 160.0])
LINEAR = {"name": "linear", "c": [1.0], "balanced": False}


def timed(noise: float, spread: float = 0.01) -> Stand:
    rng = np.random.default_rng(0)
    kinds = rng.integers(4, size=COUNT)
    features = 8 * np.eye(5)[kinds] + noise * rng.normal(size=(COUNT, 5))
    return stand(TEMPI[kinds] * (1 + spread * rng.uniform(-1, 1, COUNT)), features, "tempo_bpm")


def test_tempi_that_can_be_told_apart_are_right_within_their_bins() -> None:
    judgement = Tempo(head=LINEAR, draws=20).evaluate(timed(0.0))
    figure = judgement.metrics["tempo_bpm/accuracy_1"]
    assert (figure.value, figure.low, figure.high, figure.queries) == (1, 1, 1, 60)
    values = judgement.tables["tempo_bpm/values"]
    assert np.abs(values["predicted"] / values["true"] - 1).max() < 0.025


def test_accuracies_are_those_of_the_table() -> None:
    judgement = Tempo(head=LINEAR, draws=50).evaluate(timed(7.0))
    values = judgement.tables["tempo_bpm/values"]
    one, two = [], []
    for true, predicted in values[["true", "predicted"]].to_numpy():
        one.append(abs(predicted - true) <= 0.04 * true)
        two.append(any(abs(predicted - f * true) <= 0.04 * f * true for f in (1, 2, 3, 1 / 2, 1 / 3)))
    found = judgement.metrics
    assert found["tempo_bpm/accuracy_1"].value == pytest.approx(np.mean(one))
    assert found["tempo_bpm/accuracy_2"].value == pytest.approx(np.mean(two))
    assert 0.2 < np.mean(one) < np.mean(two) < 1
    assert found["tempo_bpm/accuracy_1"].low < np.mean(one) < found["tempo_bpm/accuracy_1"].high


def test_figures_of_several_seeds_are_means_with_their_deviation() -> None:
    head = {"name": "mlp", "hidden": 4, "lr": [0.01], "weight_decay": [0.0], "epochs": 4}
    judgement = Tempo(head=head, seeds=3, draws=50).evaluate(timed(3.0))
    values = judgement.tables["tempo_bpm/values"]
    names = ["predicted", "predicted-1", "predicted-2"]
    assert list(values) == ["true", *names]
    each = [np.mean(np.abs(values[name] / values["true"] - 1) <= 0.04) for name in names]
    figure = judgement.metrics["tempo_bpm/accuracy_1"]
    assert figure.value == pytest.approx(np.mean(each))
    assert figure.more["sd"] == pytest.approx(np.std(each, ddof=1))
    assert figure.more["sd"] > 0
    assert figure.low < figure.value < figure.high


def test_chance_is_a_training_tempo_drawn_at_random() -> None:
    data = timed(0.0, spread=0.0)
    figure = Tempo(head=LINEAR, draws=0).evaluate(data).metrics
    train, test = (data.part(name).tracks["tempo_bpm"].to_numpy() for name in ("train", "test"))
    same = np.mean([[a == b for b in train] for a in test])
    octave = np.mean([[a in (b, b / 2, 2 * b) for b in train] for a in test])
    assert figure["tempo_bpm/accuracy_1"].chance == pytest.approx(same)
    assert figure["tempo_bpm/accuracy_2"].chance == pytest.approx(octave)


def test_tracks_without_a_tempo_take_no_part_and_none_is_negative() -> None:
    data = timed(0.0)
    data.manifest.tracks.loc[[0, COUNT - 1], "tempo_bpm"] = np.nan
    assert Tempo(head=LINEAR, draws=0).evaluate(data).metrics["tempo_bpm/accuracy_1"].queries == 59
    data.manifest.tracks.loc[5, "tempo_bpm"] = -1.0
    with pytest.raises(InputError, match="tempo: track train-5 has -1 beats a minute in 'tempo_bpm'"):
        Tempo().evaluate(data)


def test_a_column_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match="tracks have no column 'bpm'; there are path, artist"):
        Tempo("bpm").evaluate(timed(0.0))


def test_a_head_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(InputError, match="heads has no 'linaer'"):
        Tempo(head={"name": "linaer"})
