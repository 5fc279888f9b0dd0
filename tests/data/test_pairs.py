from __future__ import annotations

from typing import get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmodal.config import Views
from crossmodal.data.pairs import POLICIES, starts
from crossmodal.errors import InputError


def test_the_policies_are_those_of_the_config():
    assert get_args(get_type_hints(Views)["pair"]) == POLICIES


@given(
    length=st.integers(0, 3000),
    window=st.integers(1, 1000),
    count=st.integers(1, 6),
    pair=st.sampled_from(POLICIES),
    gap=st.integers(0, 500),
    seed=st.integers(0, 99),
)
def test_every_crop_lies_within_the_track_or_is_all_of_it(length, window, count, pair, gap, seed):
    found = starts(length, window, count, pair, gap, np.random.default_rng(seed))
    assert len(found) == count
    assert all(type(start) is int and 0 <= start <= max(0, length - window) for start in found)
    assert found == starts(length, window, count, pair, gap, np.random.default_rng(seed))


def test_random_draws_one_integer_a_crop_as_it_always_did():
    rng, same = np.random.default_rng(5), np.random.default_rng(5)
    assert starts(1000, 100, 3, "random", 0, rng) == [int(same.integers(901)) for _ in range(3)]
    assert rng.integers(10**9) == same.integers(10**9)  # and nothing more


def test_same_is_one_place_and_all_places_occur():
    drawn = [starts(12, 10, 3, "same", 0, np.random.default_rng(seed)) for seed in range(40)]
    assert all(len(set(found)) == 1 for found in drawn)
    assert {found[0] for found in drawn} == {0, 1, 2}


def test_adjacent_crops_follow_each_other_and_reach_both_ends():
    drawn = [starts(33, 10, 3, "adjacent", 0, np.random.default_rng(seed)) for seed in range(60)]
    assert all(np.diff(found).tolist() == [10, 10] for found in drawn)
    assert {found[0] for found in drawn} == {0, 1, 2, 3}


def test_gap_is_kept_in_any_order_and_every_place_occurs():
    drawn = [starts(52, 10, 3, "gap", 10, np.random.default_rng(seed)) for seed in range(300)]
    assert all((np.diff(sorted(found)) >= 20).all() for found in drawn)
    assert {tuple(np.argsort(found)) for found in drawn} == {
        (0, 1, 2),
        (0, 2, 1),
        (1, 0, 2),
        (1, 2, 0),
        (2, 0, 1),
        (2, 1, 0),
    }
    assert {min(found) for found in drawn} == {0, 1, 2}
    assert {max(found) for found in drawn} == {40, 41, 42}


@pytest.mark.parametrize("pair", ["adjacent", "gap"])
def test_a_short_track_is_spread_as_widely_as_it_goes(pair):
    found = starts(25, 10, 3, pair, 10, np.random.default_rng(0))
    assert sorted(found) == [0, 7, 15]
    assert starts(4, 10, 3, pair, 10, np.random.default_rng(0)) == [0, 0, 0]


def test_a_track_that_just_suffices_has_one_place():
    assert starts(30, 10, 3, "adjacent", 0, np.random.default_rng(1)) == [0, 10, 20]
    assert sorted(starts(50, 10, 3, "gap", 10, np.random.default_rng(1))) == [0, 20, 40]


def test_another_policy_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="pair is 'far'; valid: random, same, adjacent, gap"):
        starts(10, 5, 2, "far", 0, np.random.default_rng(0))
