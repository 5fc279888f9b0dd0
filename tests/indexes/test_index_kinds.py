"""Each kind of index against exact search, over clustered vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.indexes import auto
from crossmodal.search import Hit, SearchIndex, nearest, tuning
from crossmodal.search.checks import verify
from crossmodal.types import Approximate

DIM, TRACKS, SEGMENTS = 16, 700, 2
APPROXIMATE = ("hnsw", "ivf", "ivfpq", "ivfsq", "rabitq")
Floats = NDArray[np.float32]


def clustered(count: int, seed: int) -> Floats:
    """Vectors about a hundred centres, so close that neighbours are neighbours, so wide that they are not equals."""
    centres = np.random.default_rng(0).normal(size=(100, DIM))
    rng = np.random.default_rng(seed)
    return (centres[rng.integers(0, 100, count)] + 0.5 * rng.normal(size=(count, DIM))).astype(np.float32)


def tables(vectors: Floats, first: int = 0) -> tuple[Floats, pd.DataFrame, pd.DataFrame]:
    number = first + np.arange(len(vectors)) // SEGMENTS
    ids = [f"track {i}" for i in number]
    segments = pd.DataFrame({"track_id": ids, "start": np.arange(len(vectors)) % SEGMENTS * 5.0})
    segments["end"] = segments["start"] + 5
    return vectors, segments, segments[["track_id"]].drop_duplicates()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="module")
def flat(home: Path) -> SearchIndex:
    return SearchIndex.build(home / "flat", *tables(clustered(TRACKS * SEGMENTS, 1)), "m")


@pytest.fixture(scope="module", params=APPROXIMATE)
def index(request: pytest.FixtureRequest, home: Path) -> SearchIndex:
    made = tables(clustered(TRACKS * SEGMENTS, 1))
    return SearchIndex.build(home / request.param, *made, "m", kind=request.param, recall=0.9)


@pytest.fixture(scope="module", autouse=True)
def no_short_cut() -> Iterator[None]:
    """So few vectors would all be compared."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in ((nearest, "SHARE", 1), (nearest, "FEW", 50), (tuning, "SMALL", 500)):
            patch.setattr(module, name, value)
        patch.setattr(tuning, "HELD_OUT", 200)
        yield


def recall(found: list[list[Hit]], truth: list[list[Hit]]) -> float:
    names = [[{hit.track_id for hit in hits} for hits in answers] for answers in (found, truth)]
    shares = [len(first & second) / len(second) for first, second in zip(*names, strict=True)]
    return float(np.mean(shares))


def test_a_kind_reaches_its_recall_for_new_queries(index: SearchIndex, flat: SearchIndex) -> None:
    queries = clustered(200, 2)
    found, truth = index.search(queries, 10), flat.search(queries, 10)
    assert recall(found, truth) >= 0.9
    assert index.info["recall"]["measured"] >= index.info["recall"]["asked"] == 0.9
    for hits, best in zip(found, truth, strict=True):
        scores = {hit.track_id: (hit.start, hit.score) for hit in best}
        assert all(scores.get(hit.track_id, (hit.start, hit.score)) == (hit.start, hit.score) for hit in hits)
    assert verify(index.folder) == []


@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_filters_lose_no_recall(index: SearchIndex, flat: SearchIndex, share: float) -> None:
    allowed = np.random.default_rng(3).random(TRACKS) < share
    queries = clustered(100, 4)
    found, truth = index.search(queries, 10, allowed=allowed), flat.search(queries, 10, allowed=allowed)
    assert recall(found, truth) >= (1.0 if share == 0.01 else 0.95)
    names = {track["track_id"] for track, keep in zip(index.tracks, allowed, strict=True) if keep}
    assert {hit.track_id for hits in found for hit in hits} <= names


def test_one_in_a_hundred_that_are_still_too_many_to_compare(
    index: SearchIndex, flat: SearchIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "FEW", 1)
    allowed = np.random.default_rng(3).random(TRACKS) < 0.03
    queries = clustered(100, 4)
    assert recall(index.search(queries, 3, allowed=allowed), flat.search(queries, 3, allowed=allowed)) >= 0.95


def test_deleted_and_added_tracks_count(index: SearchIndex, tmp_path: Path) -> None:
    made, names = tables(clustered(TRACKS * SEGMENTS, 1)), [f"track {i}" for i in range(0, TRACKS, 2)]
    built = SearchIndex.build(tmp_path / "own", *made, "m", kind=index.info["kind"], recall=0.9)
    exact = SearchIndex.build(tmp_path / "flat", *made, "m")
    for each in (built, exact):
        each.delete(names)
        each.add(*tables(clustered(100, 5), TRACKS))
    queries = clustered(100, 6)
    truth = exact.search(queries, 10)
    assert recall(built.search(queries, 10), truth) >= 0.95
    assert not {hit.track_id for hits in built.search(queries, 10) for hit in hits} & set(names)
    built.compact()
    assert recall(built.search(queries, 10), truth) >= 0.95


def test_the_same_vectors_give_the_same_files(index: SearchIndex, tmp_path: Path) -> None:
    made = tables(clustered(TRACKS * SEGMENTS, 1))
    again = SearchIndex.build(tmp_path, *made, "m", kind=index.info["kind"], recall=0.9)
    assert again.info["files"] == index.info["files"]


def test_all_are_asked_for_and_all_are_found(index: SearchIndex, flat: SearchIndex) -> None:
    queries = clustered(2, 7)
    assert index.search(queries, TRACKS) == flat.search(queries, TRACKS)


def test_a_recall_that_is_not_reached_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = registry.find("indexes", "ivf")
    monkeypatch.setattr(cls, "efforts", lambda *_: [{"depth": 1, "probes": 1}])
    made = SearchIndex.build(tmp_path, *tables(clustered(TRACKS * SEGMENTS, 1)), "m", kind="ivf", recall=0.99)
    assert made.info["recall"]["measured"] < 0.99


def test_few_segments_are_compared_whatever_the_kind(tmp_path: Path) -> None:
    for kind in (*APPROXIMATE, "auto"):
        made = SearchIndex.build(tmp_path / kind, *tables(clustered(40, 1)), "m", kind=kind)
        assert (made.info["kind"], made.info["effort"], made.info["recall"]["measured"]) == (kind, {}, 1)
        assert len(made.search(clustered(1, 2), 5)[0]) == 5


@pytest.mark.parametrize(
    ("rows", "memory", "kind"),
    [
        (50_000, None, "flat"),
        (50_000, 51_200_000, "flat"),
        (50_000, 51_199_999, "hnsw"),
        (50_001, None, "hnsw"),
        (10_000_000, None, "hnsw"),
        (10_000_000, 3_000_000_000, "ivfsq"),
        (10_000_000, 1_000_000_000, "ivfpq"),
        (10_000_000, 500_000_000, "rabitq"),
    ],
)
def test_auto_chooses_by_size_and_memory(rows: int, memory: int | None, kind: str) -> None:
    assert auto.Auto(memory).instead(rows, 256) == kind


def test_auto_says_what_it_would_need(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"need 480000000 bytes as rabitq, the smallest kind, but memory is 1000"):
        auto.Auto(1000).instead(10_000_000, 256)
    with pytest.raises(InputError, match=r"need 480 bytes as ivfpq"):
        SearchIndex.build(tmp_path / "x", *tables(clustered(40, 1)), "m", kind="auto", settings={"memory": 10})
    assert not list((tmp_path / "x").glob("gen-*"))


@pytest.mark.parametrize("kind", APPROXIMATE)
def test_the_memory_that_auto_counts_is_what_the_file_takes(kind: str, tmp_path: Path) -> None:
    vectors = clustered(4000, 1)
    plug = registry.build("indexes", kind)
    import faiss

    if kind == "hnsw":
        plug.breadth = 8
    built = plug.build(vectors, len(vectors), tmp_path / "index.faiss")
    faiss.write_index(built, str(tmp_path / "x"))
    centroids = 0 if kind == "hnsw" else (built.nlist + 256 * (kind == "ivfpq")) * DIM * 4
    assert plug.resident(4000, DIM) == pytest.approx((tmp_path / "x").stat().st_size - centroids, rel=0.15)


def test_an_unknown_kind_or_setting_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    made = tables(clustered(40, 1))
    for message, arguments in {
        "no setting 'link'": {"kind": "hnsw", "settings": {"link": 8}},
        "pass trust": {"kind": "my.module:Kind"},
        "recall is 0; valid": {"kind": "hnsw", "recall": 0},
        "recall is 1.5; valid": {"recall": 1.5},
    }.items():
        with pytest.raises(InputError, match=message):
            SearchIndex.build(tmp_path / "x", *made, "m", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_settings_and_kind_outlive_a_compaction_and_can_be_changed(tmp_path: Path) -> None:
    made = SearchIndex.build(tmp_path, *tables(clustered(40, 1)), "m", kind="hnsw", settings={"links": 8}, frontend="f")
    made.compact()
    assert {key: made.info[key] for key in ("kind", "settings", "fingerprint", "frontend")} == {
        "kind": "hnsw",
        "settings": {"links": 8},
        "fingerprint": "m",
        "frontend": "f",
    }
    made.compact("flat", recall=0.5)
    assert (made.info["kind"], made.info["settings"], made.info["recall"]["asked"]) == ("flat", {}, 0.5)


def test_a_graph_does_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    import faiss

    vectors, before, made = clustered(1500, 1), faiss.omp_get_max_threads(), set()
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        built = registry.build("indexes", "hnsw", breadth=16).build(vectors, len(vectors), tmp_path / "x")
        made.add(faiss.serialize_index(built).tobytes())
    faiss.omp_set_num_threads(before)
    assert len(made) == 1


def test_a_graph_in_a_file_finds_what_the_one_in_memory_does(tmp_path: Path) -> None:
    import faiss

    kind, path, vectors = registry.build("indexes", "hnsw", breadth=16), tmp_path / "x", clustered(1500, 1)
    built = kind.build(vectors, len(vectors), path)
    faiss.write_index(built, str(path))
    read = kind.read(str(path))
    effort, queries = kind.parameters({"ef": 64}, 1.0, None), clustered(20, 2)
    pairs = zip(read.search(queries, 5, params=effort), built.search(queries, 5, params=effort), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("forgotten", sorted(Approximate.__abstractmethods__))
def test_a_kind_that_forgets_a_part_cannot_be_made(forgotten: str) -> None:
    parts = {name: getattr(registry.find("indexes", "hnsw"), name) for name in Approximate.__abstractmethods__}
    whole: type[Approximate] = type("Whole", (Approximate,), parts)
    assert whole().resident(2, 3) == 24
    parts.pop(forgotten)
    with pytest.raises(TypeError, match=forgotten):
        type("Part", (Approximate,), parts)()
