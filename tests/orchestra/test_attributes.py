from __future__ import annotations

from itertools import combinations as pairs_of

import numpy as np
import pytest

from crossmodal.orchestra.attributes import COMBINED, TAGSETS, combinations, is_held, plan


@pytest.fixture(scope="module")
def albums():
    return plan(2400, seed=0)


def of(albums, *parts):
    return [album for album in albums if album.part in parts]


def test_parts_have_the_sizes_that_are_promised(albums):
    assert len(albums) == 600
    assert len(of(albums, "test")) >= 130
    assert len(of(albums, "valid")) == 60
    assert len(of(albums, "train")) > 400


def test_no_combination_of_test_is_in_training_or_validation(albums):
    test = {album.combination for album in of(albums, "test")}
    rest = {album.combination for album in of(albums, "train", "valid")}
    assert not test & rest
    assert all(is_held(combination) for combination in test)
    assert len(test) > 80


def test_every_value_and_every_pair_of_values_is_heard_in_training(albums):
    train = [album.attributes for album in of(albums, "train")]
    for first, second in pairs_of(COMBINED, 2):
        heard = {(attributes[first], attributes[second]) for attributes in train}
        assert heard == {(a, b) for a in TAGSETS[first] for b in TAGSETS[second]}, (first, second)
    for tagset, values in TAGSETS.items():
        assert {attributes[tagset] for attributes in train} == set(values)


def test_what_is_held_does_not_depend_on_the_seed(albums):
    other = plan(2400, seed=1)
    assert [album.attributes for album in other] != [album.attributes for album in albums]
    assert all(is_held(album.combination) == (album.part == "test") for album in albums + other)


def test_held_and_other_combinations_are_all_there_are():
    held, rest = combinations(True), combinations(False)
    assert len(held) + len(rest) == np.prod([len(TAGSETS[tagset]) for tagset in COMBINED])
    assert not set(held) & set(rest)
    assert 0.15 < len(held) / (len(held) + len(rest)) < 0.3


def test_albums_of_one_combination_differ_in_the_rest(albums):
    full = [tuple(album.attributes.values()) for album in albums]
    assert len(set(full)) == len(full)


def test_a_small_plan_has_every_part():
    assert {album.part for album in plan(12, seed=0)} == {"train", "valid", "test"}
