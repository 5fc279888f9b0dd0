"""Which tracks belong together: against sets that are joined until nothing changes, and whatever the order."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmodal.data.groups import clusters_of, groups_of, mostly_by, names_of
from crossmodal.data.leakage import named
from crossmodal.data.manifest import Manifest

EVALUATION = Path(__file__).parents[2] / "docs" / "evaluation.md"
ARTISTS = st.sampled_from(["", "Ada", " ada ", "ＡＤＡ", "Bo", "Various Artists", "[unknown]", "trad."])
GROUPS = st.sampled_from(["", "a", "b", "c", "d"])


def made(tracks: dict[str, tuple[str, str]]) -> Manifest:
    """Tracks with an artist and a group each."""
    rows = [{"track_id": track, "path": track, "artist": a, "group": g} for track, (a, g) in tracks.items()]
    return Manifest.build(pd.DataFrame(rows))


def together(tracks: dict[str, tuple[str, str]]) -> set[frozenset[str]]:
    """Sets of tracks, united while two of them have a known artist, of half of all at most, or a group in common."""
    names = {"": "", "Ada": "ada", " ada ": "ada", "ＡＤＡ": "ada", "Bo": "bo"}
    each = [names.get(artist, "") for artist, _ in tracks.values()]
    names = {artist: name for artist, name in names.items() if 2 * each.count(name) <= len(each)}
    sets = [({track}, {names.get(artist, "")} - {""}, {group} - {""}) for track, (artist, group) in tracks.items()]
    while True:
        pair = next(((a, b) for a in sets for b in sets if a is not b and (a[1] & b[1] or a[2] & b[2])), None)
        if pair is None:
            return {frozenset(found) for found, _, _ in sets}
        one, other = pair
        sets = [s for s in sets if s is not one and s is not other] + [tuple(x | y for x, y in zip(*pair, strict=True))]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ARTISTS, GROUPS), min_size=1, max_size=12), st.randoms())
def test_clusters_are_what_known_artists_and_groups_connect(links: list[tuple[str, str]], rng: random.Random) -> None:
    tracks = {f"t{number}": link for number, link in enumerate(links)}
    found = clusters_of(made(tracks), list(tracks))
    sets: dict[str, set[str]] = {}
    for track, name in zip(tracks, found, strict=True):
        sets.setdefault(name, set()).add(track)
    assert {frozenset(each) for each in sets.values()} == together(tracks)
    order = rng.sample(list(tracks), len(tracks))
    again = clusters_of(made({track: tracks[track] for track in order}), order)
    assert dict(zip(order, again, strict=True)) == dict(zip(tracks, found, strict=True))


def test_clusters_are_called_after_their_first_group_or_track() -> None:
    tracks = {"1": ("Ada", "b"), "2": ("", "b"), "3": ("ada", "a"), "4": ("Bo", ""), "5": ("bo", ""), "6": ("", "")}
    manifest = made({**tracks, "7": ("Various Artists", ""), "8": ("various artists", "c")})
    assert clusters_of(manifest, list("87654321")) == ["c", "7", "6", "4", "4", "a", "a", "a"]
    assert groups_of(manifest, list("12345678")) == ["b", "b", "a", "4", "5", "6", "7", "c"]
    assert clusters_of(manifest.select(list("1378")), ["1", "3"]) == ["a", "a"]


def test_an_artist_of_more_than_half_of_the_tracks_connects_none() -> None:
    half = {"1": ("Ada", ""), "2": ("Ada", "a"), "3": ("Ada", "a"), "4": ("Bo", ""), "5": ("Bo", ""), "6": ("", "")}
    assert clusters_of(made(half), list("123456")) == ["1", "1", "1", "4", "4", "6"]
    most = {**half, "7": ("ada", "")}
    assert clusters_of(made(most), list("1234567")) == ["1", "a", "a", "4", "4", "6", "7"]
    assert (mostly_by(made(half)), mostly_by(made(most))) == (None, "Ada")
    assert mostly_by(made(dict.fromkeys("123", ("unknown", "")))) is None


@pytest.mark.parametrize("name", ["Ada", "Ada (Bo)", "Various Artists", "<Unknown>", "traditional (Ireland)", ""])
def test_an_artist_that_leaks_is_an_artist_that_clusters(name: str) -> None:
    one, other = made({"1": (name, "")}), made({"2": (name.upper(), "")})
    (leaks,) = (leak.tracks for leak in named(one, other, "split") if leak.kind == "artist")
    both = made({"1": (name, ""), "2": (name.upper(), ""), "3": ("Bo", ""), "4": ("Cy", "")})
    assert len(set(clusters_of(both, ["1", "2"]))) == 2 - leaks == (1 if name.startswith("Ada") else 2)


@pytest.mark.parametrize(
    ("one", "other"), [("The Beatles", "Beatles, The"), ("Björk", "Bjork"), ("Jay-Z", "Jay-Z feat. Rihanna")]
)
def test_names_that_are_spelt_otherwise_are_others(one: str, other: str) -> None:
    """A limit that docs/evaluation.md tells."""
    names = names_of(made({"a": (one, ""), "b": (f" {one.upper()} ", ""), "c": (other, "")}), "artist")
    assert names["a"] == names["b"] != names["c"]
    assert f'"{one}" and "{other}"' in " ".join(EVALUATION.read_text("utf-8").split())
