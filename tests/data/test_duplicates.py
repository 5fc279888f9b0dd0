"""Duplicates: exact and planted ones are found, other takes and other music are not, and clusters join them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile
from sounds import music, note

from crossmodal.audio.alignment import SIMILAR
from crossmodal.audio.decode import decode
from crossmodal.audio.fingerprint import RATE, Fingerprint, fingerprint
from crossmodal.data import duplicates
from crossmodal.data.duplicates import across, clusters, exact_duplicates, near_duplicates

NATIVE = 22_050


def written(folder, sounds):
    """Files of the sounds by name, their fingerprints and paths."""
    paths = {}
    for name, sound in sounds.items():
        paths[name] = str(folder / name)
        settings = {"compression_level": 0.6} if name.endswith(("mp3", "ogg")) else {}
        soundfile.write(paths[name], sound, NATIVE, **settings)
    return {name: fingerprint(decode(path, RATE)[0]) for name, path in paths.items()}, paths


def names(pairs):
    return set(zip(pairs["track_a"], pairs["track_b"], strict=True))


# --- exact


def test_exact_duplicates_are_told_of_the_first():
    sha = pd.Series({"a": "1", "b": "2", "c": "1", "d": "1", "e": "", "f": ""})
    pairs = exact_duplicates(sha)
    assert names(pairs) == {("a", "c"), ("a", "d")}
    assert list(pairs["kind"].unique()) == ["exact"]
    assert (pairs["similarity"] == 1).all()
    assert (pairs["offset_s"] == 0).all()


def test_without_duplicates_the_tables_are_empty_and_typed():
    none = exact_duplicates(pd.Series({"a": "1", "b": "2"}))
    assert list(none) == list(duplicates.COLUMNS)
    assert len(none) == 0
    assert list(near_duplicates({}, {})) == list(none)
    assert (near_duplicates({}, {}).dtypes == none.dtypes).all()


# --- near


def test_planted_duplicates_are_found_and_nothing_else(tmp_path):
    tune, other, hit = music(8, 1, NATIVE), music(8, 2, NATIVE), note(220, 0.3, 3, NATIVE)
    takes = {f"take{seed}.wav": note(220, 0.3, seed, NATIVE) for seed in (4, 5)}
    shift = round(0.3 * NATIVE) + 11
    sounds = {"tune.wav": tune, "other.wav": other, "hit.wav": hit, **takes}
    sounds |= {"tune.ogg": tune, "late.mp3": np.pad(tune, (shift, 0)) / 3, "cut.wav": other[shift:] / -4}
    sounds |= {"hit.mp3": hit / 2, "hit.ogg": np.pad(hit, (shift, 0))}
    pairs = near_duplicates(*written(tmp_path, sounds))
    tunes, hits = ("tune.wav", "tune.ogg", "late.mp3"), ("hit.wav", "hit.mp3", "hit.ogg")
    expected = {(group[i], group[j]) for group in (tunes, hits) for i, j in ((0, 1), (0, 2), (1, 2))}
    assert names(pairs) == expected | {("other.wav", "cut.wav")}
    offsets = pairs.set_index(["track_a", "track_b"])["offset_s"]
    assert offsets["other.wav", "cut.wav"] == pytest.approx(shift / NATIVE, abs=2e-3)
    assert offsets["hit.wav", "hit.ogg"] == pytest.approx(-shift / NATIVE, abs=2e-3)
    assert pairs["similarity"].between(SIMILAR, 1.0001).all()


@pytest.mark.slow
def test_processes_find_the_same(tmp_path, monkeypatch):
    tune = music(3, 1, NATIVE)
    found = written(tmp_path, {"a.wav": tune, "b.ogg": tune, "c.wav": tune / 2})
    monkeypatch.setattr(duplicates, "FEW", 0)
    pd.testing.assert_frame_equal(near_duplicates(*found, workers=2), near_duplicates(*found))


@pytest.mark.parametrize(("share", "found"), [(0.7, True), (0.55, True), (0.4, False)])
def test_half_of_the_shorter_one_must_be_in_common(tmp_path, share, found):
    whole = music(30, 1, NATIVE)
    length = 12 * NATIVE
    start = round((1 - share) * length)
    pairs = near_duplicates(*written(tmp_path, {"a.wav": whole[:length], "b.wav": whole[start : start + length]}))
    assert (len(pairs) == 1) == found


def test_many_copies_are_one_cluster_by_few_pairs(monkeypatch):
    one = fingerprint(music(3, 1))
    ids = [f"t{i}" for i in range(100)]
    monkeypatch.setattr(duplicates, "compare", lambda a, b, shift: (0.0, 1.0, 1.0))
    monkeypatch.setattr(duplicates, "_samples", lambda path: None)
    pairs = near_duplicates(dict.fromkeys(ids, one), {name: name for name in ids})
    assert len(pairs) < 100 * 99 / 2
    assert clusters(pairs, pd.Index(ids)).nunique() == 1


def test_votes_by_a_plain_loop(monkeypatch):
    rng = np.random.default_rng(0)
    prints = {}
    for i in range(12):
        frames = np.sort(rng.integers(0, 60, 40)).astype(np.uint32)
        prints[f"t{i}"] = Fingerprint(2 * rng.integers(0, 30, 40).astype(np.uint32), frames)
    monkeypatch.setattr(duplicates, "VOTES", 4)
    monkeypatch.setattr(duplicates, "BLOCK", 5)
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 12)  # as many as there are tracks
    found = duplicates.candidates(prints, dict.fromkeys(prints, ""))
    expected = {}
    ids = list(prints)
    for i, a in enumerate(ids):
        for b in ids[i + 1 :]:
            first = [dict(zip(prints[x].hashes[::-1], prints[x].frames[::-1].astype(int), strict=True)) for x in (a, b)]
            deltas = sorted(first[0][h] - first[1][h] for h in first[0].keys() & first[1].keys())
            votes = [sum(low <= d <= low + duplicates.JITTER for d in deltas) for low in deltas]
            if max(votes, default=0) >= 4:
                expected[a, b] = {low for low, vote in zip(deltas, votes, strict=True) if vote == max(votes)}
    assert {(one.track_a, one.track_b) for one in found} == set(expected)
    for one in found:
        lows = expected[one.track_a, one.track_b]
        assert any(low <= one.shift // 128 <= low + duplicates.JITTER for low in lows)


# --- clusters and splits


def pair(a, b):
    return {"track_a": a, "track_b": b, "kind": "near", "offset_s": 0.0, "similarity": 1.0}


def test_clusters_join_what_pairs_connect():
    found = clusters(pd.DataFrame([pair("a", "c"), pair("c", "e"), pair("b", "d")]), pd.Index(list("abcdef")))
    assert found["a"] == found["c"] == found["e"]
    assert found["b"] == found["d"]
    assert found.nunique() == 3


def test_clusters_pass_over_pairs_of_other_tracks():
    assert clusters(pd.DataFrame([pair("a", "x")]), pd.Index(["a", "b"])).nunique() == 2
    assert clusters(exact_duplicates(pd.Series([], dtype="str")), pd.Index(["a", "b"])).nunique() == 2


def test_pairs_across_the_parts_of_each_split():
    splits = pd.DataFrame(
        [
            ("a", "one", "train"),
            ("b", "one", "test"),
            ("c", "one", "train"),
            ("a", "two", "train"),
            ("b", "two", "train"),
        ],
        columns=["track_id", "name", "part"],
    )
    found = across(pd.DataFrame([pair("a", "b"), pair("a", "c"), pair("a", "x")]), splits)
    assert found[["track_a", "track_b", "split", "part_a", "part_b"]].to_numpy().tolist() == [
        ["a", "b", "one", "train", "test"]
    ]
