"""Splits by group: no group is cut, nothing that is added moves anything, fractions are met."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import add_split, split_by_group, split_hash
from crossmodal.errors import InputError

GROUPS = st.dictionaries(st.text(min_size=1, max_size=4), st.text(max_size=2), max_size=20)


def series(groups: dict[str, str]) -> pd.Series:
    return pd.Series(list(groups.values()), index=list(groups), dtype="str")


@settings(max_examples=50)
@given(GROUPS)
def test_no_group_is_in_two_parts(groups):
    parts = split_by_group(series(groups))
    assert list(parts.index) == list(groups)
    seen: dict[str, str] = {}
    for track, group in groups.items():
        if group:
            assert seen.setdefault(group, parts[track]) == parts[track]


@settings(max_examples=50)
@given(GROUPS, GROUPS, st.randoms())
def test_tracks_that_are_added_move_no_others(groups, more, random):
    before = split_by_group(series(groups))
    items = list((more | groups).items())
    random.shuffle(items)
    after = split_by_group(series(dict(items)))
    assert all(before[track] == after[track] for track in groups)


def test_a_part_is_what_the_hash_says():
    fractions = {"train": 0.5, "test": 0.5}
    parts = split_by_group(series({f"t{n}": f"g{n}" for n in range(40)}), fractions, salt="pepper")
    for n in range(40):
        digest = hashlib.blake2b(f"pepper\0group\0g{n}".encode(), digest_size=6).digest()
        assert parts[f"t{n}"] == ("train" if digest[0] < 128 else "test")


def test_fractions_are_met_about():
    fractions = {"train": 0.7, "valid": 0.1, "test": 0.2}
    parts = split_by_group(series({f"t{n}": f"g{n}" for n in range(20_000)}), fractions)
    shares = parts.value_counts(normalize=True)
    # four standard errors of a share of 20,000 draws are at most .013
    assert shares.to_dict() == pytest.approx(fractions, abs=0.013)


def test_tracks_without_a_group_are_spread():
    parts = split_by_group(series({f"t{n}": "" for n in range(300)}))
    assert set(parts) == {"train", "valid", "test"}


def test_another_salt_gives_another_split():
    groups = series({f"t{n}": f"g{n}" for n in range(300)})
    assert split_by_group(groups).equals(split_by_group(groups))
    assert not split_by_group(groups, salt="2").equals(split_by_group(groups))


def test_an_empty_part_stays_empty():
    groups = series({f"t{n}": f"g{n}" for n in range(300)})
    assert set(split_by_group(groups, {"train": 1.0, "test": 0.0})) == {"train"}


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"train": 0.5, "test": 0.4}, "sum to 1"),
        ({"train": 1.5, "test": -0.5}, "at least 0"),
        ({}, "sum to 1"),
        ({"train": 0.5, "dev": 0.5}, "unknown parts dev; a split has train, valid, test"),
    ],
)
def test_bad_fractions_are_refused(fractions, message):
    with pytest.raises(InputError, match=message):
        split_by_group(series({"a": "x"}), fractions)


@pytest.fixture
def manifest():
    return Manifest.build(pd.DataFrame({"track_id": list("abc"), "path": ["a.wav", "b.wav", "c.wav"]}))


def test_splits_stand_side_by_side(manifest):
    two = add_split(add_split(manifest, "one", series({"a": "train", "b": "test"})), "two", series({"a": "test"}))
    assert two.validate() == []
    assert two.part("one", "test").tracks["track_id"].tolist() == ["b"]
    assert two.part("two", "test").tracks["track_id"].tolist() == ["a"]
    assert len(manifest.splits) == 0


def test_a_split_that_does_not_fit_is_refused(manifest):
    one = add_split(manifest, "one", series({"a": "train"}))
    with pytest.raises(InputError, match="a split 'one' already; there are: one"):
        add_split(one, "one", series({"b": "train"}))
    with pytest.raises(InputError, match="unknown parts dev; a split has train, valid, test"):
        add_split(manifest, "one", series({"a": "dev"}))
    with pytest.raises(InputError, match="has 1 tracks that the manifest has not: z"):
        add_split(manifest, "one", series({"a": "train", "z": "test"}))


def test_the_hash_sees_parts_but_not_order(manifest):
    one = add_split(manifest, "s", series({"a": "train", "b": "test"}))
    turned = add_split(manifest, "s", series({"b": "test", "a": "train"}))
    other = add_split(manifest, "s", series({"a": "test", "b": "train"}))
    assert split_hash(one, "s") == split_hash(turned, "s") != split_hash(other, "s")
    assert len(split_hash(one, "s")) == 16
    with pytest.raises(InputError, match="no split 't'; there are: s"):
        split_hash(one, "t")
