"""The protocols of published data sets: their splits are those of the real label files, and keep what they promise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from crossmodal import guards, protocols, registry
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import add_split, split_by_group, split_hash
from crossmodal.heads.clmr import CLMR

ANNOTATIONS = Path(__file__).parents[2] / "shared" / "data" / "annotations"
NAMED = [name for name in protocols.names() if protocols.load(name).data.source != protocols.ANY]
FRACTIONS = {"train": 0.6, "valid": 0.1, "test": 0.3}  # crossmodal data split --name hashed --valid 0.1 --test 0.3
SUBSETS = {"genre": "genre", "instrument": "instrument", "moodtheme": "moodtheme", "top50": "top50tags"}

needs_labels = pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason="../shared/data is not there")


def settings(name: str) -> dict[str, Any]:
    """Of the source that reads the labels of a protocol."""
    parts = name.split("_")
    return {"subset": SUBSETS[parts[parts.index("jamendo") + 1]]} if "jamendo" in parts else {}


@pytest.fixture(scope="module")
def labels() -> dict[Any, Manifest]:
    """Manifests that were read before."""
    return {}


def manifest(name: str, labels: dict[Any, Manifest]) -> Manifest:
    source = protocols.load(name).data.source
    key = source, *settings(name).values()
    if key not in labels:
        built = registry.build("datasets", source, root=str(ANNOTATIONS), **settings(name))
        labels[key] = built.manifest(labels_only=True)
        if source == "giantsteps_key":
            groups = labels[key].tracks.set_index("track_id")["group"]
            labels[key] = add_split(labels[key], "hashed", split_by_group(groups, FRACTIONS))
    return labels[key]


PINNED = [name for name in NAMED if protocols.load(name).data.hash]
SMALL = [name for name in PINNED if protocols.load(name).data.source in ("gtzan", "giantsteps_key")]


def check(name: str, labels: dict[Any, Manifest]) -> None:
    protocol, found = protocols.load(name), manifest(name, labels)
    assert split_hash(found, protocol.data.split) == protocol.data.hash
    assert protocol.data.located(found, "run", name) == protocol.data.split
    tracks = found.tracks.set_index("track_id").assign(part=found.parts(protocol.data.split))
    for column in {"artist", "album", "group"} & set(protocol.forbids):
        judged = set(tracks.loc[tracks["part"] == "test", column]) - {""}
        others = set(tracks.loc[tracks["part"].isin(["train", "valid"]), column]) - {""}
        assert not judged & others
    for block in protocol.tasks.values():
        assert set(block.get("tagsets", [])) <= set(found.tags["tagset"])
        for tagset in block.get("tagsets", []):
            tags = found.part(protocol.data.split, "test").tags
            assert set(tags.loc[tags["tagset"] == tagset, "tag"]) == set(
                found.tags.loc[found.tags["tagset"] == tagset, "tag"]
            ), "a tag is undefined in test"
        if joint := block.get("joint"):
            assert joint == f"top{len(found.tags[['tagset', 'tag']].drop_duplicates())}"
            assert set(found.annotated.groupby("track_id")["tagset"].nunique()) == {len(block["tagsets"])}


@pytest.mark.parametrize("name", protocols.names())
def test_what_the_guard_counts_is_not_typed_in(name: str) -> None:
    told = re.findall(r"Leaks[^.]*\.", protocols.load(name).about)
    assert not any(re.search(r"\d", line) for line in told)


def test_clmr_s_early_stop_is_told() -> None:
    recipe = CLMR().recipe
    assert f"at most {recipe.epochs} epochs, and none after {recipe.patience} in which" in " ".join(
        protocols.load("clmr_linear").about.split()
    )


@needs_labels
@pytest.mark.parametrize("name", SMALL)
def test_small_splits_are_those_of_the_label_files(name: str, labels: dict[Any, Manifest]) -> None:
    check(name, labels)


@pytest.mark.slow
@needs_labels
@pytest.mark.parametrize("name", sorted(set(PINNED) - set(SMALL)))
def test_large_splits_are_those_of_the_label_files(name: str, labels: dict[Any, Manifest]) -> None:
    check(name, labels)


@pytest.mark.slow
@needs_labels
def test_the_leaks_that_are_told_of_magnatagatune_are_there(labels: dict[Any, Manifest]) -> None:
    found = manifest("magnatagatune_original", labels)
    for name in ("original", "clean", "pub"):
        protocol = protocols.load(f"magnatagatune_{name}")
        shares = {one.kind: one.share for one in guards.leaks(found, protocol.data.split)}
        about = " ".join(protocol.about.split())
        assert "no album is cut, but artists are: most clips of test" in about
        assert shares["album"] == shares["group"] == 0
        assert shares["artist"] > 0.5


@pytest.mark.parametrize("name", protocols.names())
def test_a_protocol_tells_what_a_reader_asks(name: str) -> None:
    protocol = protocols.load(name)
    assert "\n" not in protocol.title
    assert "track" in protocol.forbids
    lines = (protocols.FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 120
    if protocol.data.source == protocols.ANY:
        assert protocol.data.split == protocols.OWN
        assert protocol.data.hash is None
    else:
        assert protocol.data.source in registry.names("datasets")
        assert protocol.papers or "no figure was published" in protocol.about
        assert protocol.data.hash or "hash" in protocol.about


def test_no_title_stands_twice() -> None:
    titles = [protocols.load(name).title for name in protocols.names()]
    assert len(set(titles)) == len(titles)
