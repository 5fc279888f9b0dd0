"""Partitions: nothing is cut, strata are exact, reasons are given; against plain loops."""

from __future__ import annotations

import hashlib
import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.data.manifest import Manifest
from crossmodal.data.partition import joined, left_out, split_by_rarest_tag, split_by_text, without_splits
from crossmodal.data.splits import add_split, split_by_group, split_hash
from crossmodal.errors import InputError

FEW = st.sampled_from(["", "a", "b", "c", "d"])
LINKS = st.lists(st.tuples(FEW, FEW), max_size=14)


def series(values: dict[str, str]) -> pd.Series:
    return pd.Series(list(values.values()), index=list(values), dtype="str")


def made(tags: dict[str, str], groups: dict[str, str] | None = None, texts: dict[str, str] | None = None) -> Manifest:
    """Tracks with the tags of a string, a group, and a text of a kind."""
    rows = [{"track_id": track, "path": f"{track}.wav", "group": (groups or {}).get(track, "")} for track in tags]
    tagged = [{"track_id": track, "tagset": "genre", "tag": tag} for track, found in tags.items() for tag in found]
    said = [{"text_id": t, "track_id": t, "kind": kind, "text": "Fine."} for t, kind in (texts or {}).items()]
    return Manifest.build(pd.DataFrame(rows), pd.DataFrame(said) if said else None, pd.DataFrame(tagged))


def components(nodes, edges):
    """Sets that the edges connect, by relabelling until nothing changes."""
    label = {node: place for place, node in enumerate(nodes)}
    changed = True
    while changed:
        changed = False
        for one, other in edges:
            low = min(label[one], label[other])
            changed |= label[one] != low or label[other] != low
            label[one] = label[other] = low
    return label


@settings(max_examples=60, deadline=None)
@given(LINKS, st.randoms())
def test_joined_groups_are_what_groups_and_clusters_connect(links, rng):
    tracks = {f"t{n}": link for n, link in enumerate(links)}
    groups = series({track: group for track, (group, _) in tracks.items()})
    clusters = series({track: cluster for track, (_, cluster) in tracks.items()})
    found = joined(groups, clusters)
    same = [(a, b) for a in tracks for b in tracks for n in (0, 1) if tracks[a][n] and tracks[a][n] == tracks[b][n]]
    expected = components(tracks, same)
    for a in tracks:
        for b in tracks:
            if a != b:
                assert (found[a] == found[b] != "") == (expected[a] == expected[b])
    order = rng.sample(list(tracks), len(tracks))
    assert joined(groups.reindex(order), clusters).reindex(groups.index).equals(found)


def test_joined_groups_have_the_first_name_and_the_others_stay():
    groups = series({"1": "b", "2": "a", "3": "c", "4": "", "5": "", "6": ""})
    found = joined(groups, series({"2": "x", "1": "x", "5": "y", "4": "y", "9": "x"}))
    assert found.to_dict() == {"1": "a", "2": "a", "3": "c", "4": (n := "near-duplicates of 4"), "5": n, "6": ""}


def test_a_track_in_two_clusters_is_refused():
    twice = pd.Series(["x", "y", "y"], index=["1", "1", "2"])
    with pytest.raises(InputError, match=r"several groups, or twice in one: 1$"):
        joined(series({"1": "", "2": ""}), twice)


def test_a_split_by_joined_groups_cuts_no_near_duplicates():
    groups = series({f"t{n}": f"g{n}" for n in range(400)})
    clusters = series({f"t{n}": f"c{n // 2}" for n in range(0, 400)})
    cut = split_by_group(groups).groupby(clusters).nunique()
    assert (cut > 1).any()
    assert (split_by_group(joined(groups, clusters)).groupby(clusters).nunique() == 1).all()


FRACTIONS = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.25, 0.25), (0.6, 0.0, 0.4), (1 / 3, 1 / 3, 1 / 3)])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=60), FRACTIONS, st.randoms())
def test_parts_of_a_stratum_are_within_one_of_exact(found, fractions, rng):
    tags = {f"t{n}": "".join(sorted(set(each))) for n, each in enumerate(["a", *found])}
    shares = dict(zip(("train", "valid", "test"), fractions, strict=True))
    parts = split_by_rarest_tag(made(tags), "genre", fractions=shares)
    counts = {tag: sum(tag in each for each in tags.values()) for tag in "abcd"}
    rarest = {track: min(each, key=lambda t: (counts[t], t), default="") for track, each in tags.items()}
    for stratum in set(rarest.values()):
        members = [track for track in tags if rarest[track] == stratum]
        for part, share in shares.items():
            assert abs(sum(parts[track] == part for track in members) - share * len(members)) < 1 + 1e-9
    order = rng.sample(list(tags), len(tags))
    again = split_by_rarest_tag(made({track: tags[track] for track in order}), "genre", fractions=shares)
    assert again.reindex(parts.index).equals(parts)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text("abc", max_size=2), FEW), min_size=1, max_size=40))
def test_no_group_is_cut_by_strata(found):
    tags = {f"t{n}": tags for n, (tags, _) in enumerate([("a", ""), *found])}
    groups = {f"t{n}": group for n, (_, group) in enumerate([("a", ""), *found])}
    parts = split_by_rarest_tag(made(tags, groups), "genre")
    assert list(parts.index) == list(tags)
    named = series(groups)[series(groups) != ""]
    assert (parts[named.index].groupby(named).nunique() <= 1).all()


def hashed(key):
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest(), "big") / 2**48


def by_loops(tags, groups, shares, salt):
    """The rule again: strata of groups, in the order of their hashes, cut at the shares of the tracks."""
    counts = {tag: sum(tag in each for each in tags.values()) for tag in "".join(tags.values())}
    order = [*sorted(counts, key=lambda t: (counts[t], t)), ""]
    members: dict[str, list[str]] = {}
    for track in tags:
        members.setdefault(f"group\0{groups[track]}" if groups[track] else f"track\0{track}", []).append(track)
    strata: dict[str, list[str]] = {}
    for key, tracks in members.items():
        rarest = min((tag for track in tracks for tag in tags[track] or [""]), key=order.index)
        strata.setdefault(rarest, []).append(key)
    parts = {}
    for tag, keys in strata.items():
        total, before = sum(len(members[key]) for key in keys), 0
        start = hashed(f"{salt}\0tag\0{tag}") if len(keys) > 1 else 0
        for key in sorted(keys, key=lambda k: hashed(f"{salt}\0{k}")):
            within = (before + start * len(members[key])) / total
            part = "train" if within < shares["train"] else "test"
            parts |= dict.fromkeys(members[key], part)
            before += len(members[key])
    return parts


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text("abc", max_size=2), FEW), min_size=1, max_size=40), st.sampled_from(["", "salt"]))
def test_strata_are_cut_as_by_loops(found, salt):
    tags = {f"t{n}": "".join(sorted(set(each))) for n, (each, _) in enumerate([("a", ""), *found])}
    groups = {f"t{n}": group for n, (_, group) in enumerate([("a", ""), *found])}
    shares = {"train": 0.7, "test": 0.3}
    parts = split_by_rarest_tag(made(tags, groups), "genre", fractions=shares, salt=salt)
    assert parts.to_dict() == by_loops(tags, groups, shares, salt)


def test_a_tag_of_one_group_is_trained_on():
    tags = {f"t{n}": chr(ord("a") + n) for n in range(26)}
    assert set(split_by_rarest_tag(made(tags), "genre", fractions={"train": 0.1, "test": 0.9})) == {"train"}
    assert set(split_by_rarest_tag(made(tags), "genre", fractions={"train": 0.0, "test": 1.0})) == {"test"}


def test_a_long_tail_of_rare_tags_leaves_every_part_its_share():
    tags = {f"t{n}-{copy}": chr(0x4E00 + n) for n in range(600) for copy in range(3)}
    shares = split_by_rarest_tag(made(tags), "genre").value_counts(normalize=True).to_dict()
    assert shares == pytest.approx({"train": 0.8, "valid": 0.1, "test": 0.1}, abs=0.03)


def test_another_salt_cuts_elsewhere():
    manifest = made({f"t{n}": "ab"[n % 2] for n in range(40)})
    assert not split_by_rarest_tag(manifest, "genre").equals(split_by_rarest_tag(manifest, "genre", salt="2"))


def test_rarest_tag_refuses_what_is_not_there():
    with pytest.raises(InputError, match="no tagset 'mood' with tags; there are: genre"):
        split_by_rarest_tag(made({"a": "x"}), "mood")
    with pytest.raises(InputError, match="sum to 1"):
        split_by_rarest_tag(made({"a": "x"}), "genre", fractions={"train": 0.5})


def test_reviewed_tracks_train_and_the_others_test():
    tracks = {f"t{n:03d}": "" for n in range(400)}
    texts = {track: "review" if n < 250 else "caption" for n, track in enumerate(tracks) if n < 300}
    manifest = made({**tracks, "t000": "x"}, texts=texts)
    parts = split_by_text(manifest, valid=0.2)
    assert set(parts[:250]) == {"train", "valid"}
    assert set(parts[250:]) == {"test"}
    assert 25 < (parts == "valid").sum() < 75  # four standard errors of .2 of 250
    assert list(parts.index) == list(tracks)
    assert left_out(manifest) == []
    other = split_by_text(manifest, valid=0.2, salt="2")
    assert not other.equals(parts)
    assert add_split(manifest, "s", parts).validate() == []


def test_groups_with_and_without_a_review_are_not_cut():
    groups = {"a": "g", "b": "g", "c": "h", "d": "h", "e": "", "f": ""}
    manifest = made(dict.fromkeys(groups, "x"), groups, {"a": "review", "c": "review", "d": "review", "e": "review"})
    parts = split_by_text(manifest, valid=0.0)
    assert parts.to_dict() == {"a": "train", "c": "train", "d": "train", "e": "train", "f": "test"}
    (out,) = left_out(manifest)
    assert tuple(out) == ("b", "b.wav", "has no review, but its group 'g' has one and is trained on")
    alone = series(dict.fromkeys(groups, ""))
    assert split_by_text(manifest, valid=0.0, groups=alone)["b"] == "test"
    with pytest.raises(InputError, match="no texts of kind 'caption'; there are: review"):
        split_by_text(manifest, "caption")


def test_splits_can_be_made_anew():
    manifest = made(dict.fromkeys("abc", "x"))
    one = add_split(add_split(manifest, "s", series({"a": "train"})), "t", series({"b": "test"}))
    again = add_split(without_splits(one, ["s", "other"]), "s", series({"a": "train"}))
    assert split_hash(again, "s") == split_hash(one, "s")
    assert split_hash(again, "t") == split_hash(one, "t")
    assert len(one.splits) == 2


def test_many_tracks_take_a_moment():
    rng = random.Random(0)
    count = 50_000
    groups = pd.Series([f"g{rng.randrange(count // 4)}" for _ in range(count)], index=[f"t{n}" for n in range(count)])
    clusters = pd.Series([f"c{rng.randrange(10 * count)}" for _ in range(count)], index=groups.index)
    found = joined(groups, clusters)
    assert (found.groupby(groups).nunique() == 1).all()
    assert (found.groupby(clusters).nunique() == 1).all()
