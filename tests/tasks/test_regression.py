from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.preprocessing import StandardScaler
from standing import PARTS, Stand, stand
from stands import stand as segmented

from crossmodal.errors import InputError
from crossmodal.tasks.regression import Regression, r2

COUNT = sum(PARTS.values())


def arousal(noise: float, column: str = "arousal") -> Stand:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(COUNT, 5)) * [1, 10, 0.1, 3, 1] + 4
    return stand(features[:, 1] / 5 + noise * rng.normal(size=COUNT), features, column)


def test_what_is_linear_is_read_off_and_noise_is_not() -> None:
    found = Regression(["arousal"], draws=50).evaluate(arousal(0.0)).metrics
    assert found["arousal/r2"].value > 0.9999
    assert found["arousal/mae"].value < 0.01 < found["arousal/mae_of_mean"].value
    noise = Regression(["arousal"], draws=50).evaluate(arousal(1000.0)).metrics["arousal/r2"]
    assert noise.low is not None
    assert noise.low < 0 < 0.2 > noise.value


def test_it_equals_scikit_learn_with_the_alpha_of_the_least_error_on_valid() -> None:
    data = arousal(3.0)
    judgement = Regression(["arousal"], alpha=[0.1, 30.0, 1000.0], draws=30).evaluate(data)
    values = {name: data.part(name).tracks["arousal"].to_numpy() for name in PARTS}
    scaler = StandardScaler().fit(data.vectors("train").features)
    x = {name: scaler.transform(data.vectors(name).features) for name in PARTS}
    models = {alpha: Ridge(alpha=alpha).fit(x["train"], values["train"]) for alpha in (0.1, 30.0, 1000.0)}
    errors = {alpha: np.square(m.predict(x["valid"]) - values["valid"]).mean() for alpha, m in models.items()}
    best = min(errors, key=errors.__getitem__)
    predicted = models[best].predict(x["test"])
    found = judgement.metrics
    assert found["arousal/r2"].more["alpha"] == best
    assert found["arousal/r2"].value == pytest.approx(r2_score(values["test"], predicted))
    assert found["arousal/mae"].value == pytest.approx(mean_absolute_error(values["test"], predicted))
    table = judgement.tables["arousal/values"]
    assert list(table.index) == list(data.vectors("test").track_ids)
    np.testing.assert_allclose(table["predicted"], predicted, rtol=1e-5)
    assert found["arousal/r2"].low < found["arousal/r2"].value < found["arousal/r2"].high


def test_weighted_r2_is_that_of_repeated_rows() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        true, predicted, counts = rng.normal(size=8), rng.normal(size=8), rng.integers(0, 3, size=8)
        rows = np.repeat(np.arange(8), counts)
        if len(rows) > 1 and np.ptp(true[rows]) > 0:
            assert r2(true, predicted, counts) == pytest.approx(r2_score(true[rows], predicted[rows]))
    assert np.isnan(r2(np.ones(3), np.zeros(3)))


def test_numbers_may_be_words_and_empty_cells_are_unknown() -> None:
    data = arousal(0.0)
    words = data.manifest.tracks["arousal"].map("{:.6f}".format)
    words.iloc[[0, -1]] = ["", " "]
    whole, some = (Regression(["arousal"], draws=0).evaluate(data).metrics["arousal/r2"] for _ in range(2))
    data.manifest.tracks["arousal"] = words
    some = Regression(["arousal"], draws=0).evaluate(data).metrics["arousal/r2"]
    assert (whole.queries, some.queries) == (60, 59)
    assert some.value > 0.9999
    assert some.low is None


def test_silent_segments_may_be_left_out_of_all_parts() -> None:
    """The first of three segments is noise twenty times as large, and silent; the last is a quarter as long."""
    data = segmented(0.0, segments=lambda number: 3)
    vectors = [data.vectors(name) for name in PARTS]
    heard = {
        track_id: (track.features[1] + 0.25 * track.features[2]) @ np.arange(6)
        for part in vectors
        for track_id, track in zip(part.track_ids, part.tracks, strict=True)
    }
    data.manifest.tracks["arousal"] = data.manifest.tracks["track_id"].map(heard)
    every, loud = (
        Regression(["arousal"], silence=silence, draws=0).evaluate(data).metrics["arousal/r2"].value
        for silence in ("include", "leave_out")
    )
    assert every < 0.5 < 0.999 < loud


def test_the_test_part_is_not_looked_at_before_the_end() -> None:
    data, other = arousal(3.0), arousal(3.0)
    test = other.manifest.tracks["track_id"].str.startswith("test")
    other.manifest.tracks["arousal"] = other.manifest.tracks["arousal"].where(~test, 0.0)
    one, two = (Regression(["arousal"], draws=0).evaluate(each).tables["arousal/values"] for each in (data, other))
    np.testing.assert_array_equal(one["predicted"], two["predicted"])


def test_figures_of_valid_say_that_alpha_was_chosen_on_it() -> None:
    task, data = Regression(["arousal"], draws=0), arousal(3.0)
    assert task.evaluate(data, "valid").metrics["arousal/r2"].more["chosen_on"] == "valid"
    assert "chosen_on" not in task.evaluate(data).metrics["arousal/r2"].more
    with pytest.raises(InputError, match="part train cannot be judged"):
        task.evaluate(data, "train")


@pytest.mark.parametrize(
    ("columns", "cell", "message"),
    [
        (["valence"], 1.0, "tracks have no column 'valence'; there are"),
        (["arousal"], "high", "column 'arousal' of track train-3 is 'high', which is no number"),
        ([], 1.0, "regression: columns is empty"),
    ],
)
def test_mistakes_are_told(columns: list[str], cell: object, message: str) -> None:
    data = arousal(1.0)
    data.manifest.tracks["arousal"] = data.manifest.tracks["arousal"].astype("object")
    data.manifest.tracks.loc[3, "arousal"] = cell
    with pytest.raises(InputError, match=message):
        Regression(columns).evaluate(data)


def test_too_few_numbers_are_told() -> None:
    data = arousal(1.0)
    data.manifest.tracks.loc[data.manifest.tracks["track_id"].str.startswith("valid"), "arousal"] = np.nan
    with pytest.raises(InputError, match="0 tracks of part valid have a number in the column 'arousal'"):
        Regression(["arousal"]).evaluate(data)
