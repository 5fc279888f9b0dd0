from __future__ import annotations

import numpy as np
import pytest

from crossmodal.errors import InputError
from crossmodal.evaluation import line
from crossmodal.judgement import Units
from crossmodal.metrics import bootstrap

IDS, GROUPS = [f"t{n}" for n in range(12)], [f"g{n // 3}" for n in range(12)]
UNITS = Units(IDS, GROUPS, draws=200)


def test_two_systems_on_the_same_units_are_drawn_alike() -> None:
    values = np.random.default_rng(0).random(12)
    one, other = UNITS.mean(values), UNITS.mean(values + 0.25)
    assert one.units == other.units
    assert one.samples is not None
    assert other.samples is not None
    assert other.samples - one.samples == pytest.approx(np.full(200, 0.25))
    assert one.low == pytest.approx(np.quantile(one.samples, 0.025))


def test_units_without_a_value_are_left_out_and_not_counted() -> None:
    values = np.where(np.arange(12) % 2 == 0, np.arange(12.0), np.nan)
    found = UNITS.mean(values, chance=0.5)
    assert (found.value, found.queries, found.chance) == (5.0, 6, 0.5)
    assert found.units == UNITS.select(np.arange(0, 12, 2)).mean(values[::2]).units != UNITS.name


@pytest.mark.parametrize(
    "other", [Units(IDS[::-1], GROUPS, 200), Units(IDS, IDS, 200), Units(IDS, GROUPS, 100), Units(IDS, GROUPS, 200, 1)]
)
def test_other_units_have_another_name(other: Units) -> None:
    assert other.name != UNITS.name


def test_a_statistic_that_a_sample_lacks_has_no_interval() -> None:
    found = UNITS.statistic(lambda drawn: float("nan") if drawn[0] == 0 else 1.0)
    assert (found.value, found.low, found.samples) == (1.0, None, None)


def test_several_figures_of_the_same_samples_are_those_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random((12, 2))
    alone = [UNITS.statistic(lambda drawn, k=k: float(drawn @ values[:, k]), chance=0.1) for k in range(2)]
    monkeypatch.setattr(bootstrap, "CELLS", 90)  # seven samples at a time

    def sums(drawn: np.ndarray) -> dict[str, np.ndarray]:
        assert len(drawn) <= 7
        return dict(zip("ab", (drawn @ values).T, strict=True))

    found = UNITS.statistics(sums, chance=0.1)
    for figure, other in zip(found.values(), alone, strict=True):
        assert figure.as_dict() == pytest.approx(other.as_dict())
        assert figure.samples == pytest.approx(other.samples)
        assert figure.units == other.units == UNITS.name
    assert Units(IDS, GROUPS, draws=0).statistics(sums)["a"].low is None


def test_the_interval_of_a_mean_is_of_percentiles_and_that_of_a_statistic_corrected() -> None:
    values = np.random.default_rng(0).random(12)
    mean, statistic = UNITS.mean(values), UNITS.statistic(lambda drawn: float(drawn @ values) / drawn.sum())
    assert (mean.corrected, statistic.corrected) == (False, True)
    assert statistic.samples == pytest.approx(mean.samples)
    assert (mean.low, mean.high) == tuple(np.quantile(mean.samples, [0.025, 0.975]))
    assert (statistic.low, statistic.high) == bootstrap.bias_corrected(statistic.value, statistic.samples)


def test_groups_are_counted() -> None:
    assert UNITS.mean(np.ones(12)).groups == UNITS.statistic(lambda drawn: 1.0).groups == 4
    assert UNITS.mean([1.0] * 3 + [np.nan] * 9).as_dict()["groups"] == 1


def test_one_group_says_nothing_of_others() -> None:
    alone, values = Units(IDS, ["the orchestra"] * 12, draws=200), np.arange(12.0)
    for found in (
        alone.mean(values),
        UNITS.mean(np.where(np.arange(12) < 3, values, np.nan)),
        alone.statistic(lambda drawn: float(drawn @ values)),
        alone.statistics(lambda drawn: {"sum": drawn @ values})["sum"],
    ):
        assert (found.groups, found.low, found.high, found.samples) == (1, None, None, None)
        assert "no interval: one group" in line(found.as_dict())
    assert "no interval" not in line(UNITS.mean(values).as_dict())


def test_without_draws_there_is_no_interval() -> None:
    found = Units(IDS, GROUPS, draws=0).mean(np.ones(12))
    assert (found.value, found.low, found.high, found.samples) == (1.0, None, None, None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_mean_of_nothing_or_of_infinity_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="at least one"):
        UNITS.mean(np.full(12, value))
