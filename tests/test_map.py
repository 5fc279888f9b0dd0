"""The page of a catalogue: what it holds is what the index says."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
from tiny import Answer

from crossmodal.errors import InputError
from crossmodal.report import catalogue
from crossmodal.report.plane import plane
from crossmodal.search import SearchIndex

DIM = 8
EVIL = "</script><script>alert('x')</script> & \"Sonate\""
TITLES = {0: EVIL, 1: "سماعي نهاوند", 2: "Kaçış 🎻🎶", 3: ""}
MOODS = (["calm"], ["calm", "dark"], [], None)
MISSING = 7  # the track whose file is not there


def make_index(folder: Path, tracks: int = 40) -> SearchIndex:
    """Tracks of one to three seconds, a segment a second, that lie around the centre of their instrument."""
    rng = np.random.default_rng(0)
    (folder / "my music #1 100%").mkdir(parents=True)
    centres, rows, vectors, segments = rng.normal(size=(4, DIM)), [], [], []
    for n in range(tracks):
        path, seconds = folder / "my music #1 100%" / f"{n}.wav", 1 + n % 3
        if n != MISSING:
            wave = 0.4 * np.sin(2 * np.pi * 220 * 2 ** (n / 12) * np.arange(8000 * seconds) / 8000)
            soundfile.write(path, wave, 8000)
        rows.append({"track_id": f"t/{n}", "path": str(path), "title": TITLES.get(n, f"Étude {n}")})
        rows[-1] |= {
            "artist": "Łukasz & Co",
            "duration": float(seconds) if n else np.nan,
            "folder": str(folder / f"{n % 2}"),
        }
        rows[-1] |= {
            "year": 1990 + n % 5,
            "tags.mood": MOODS[n % 4],
            "tags.instrument": [("cello", "oud", "ney", "saz")[n % 4]],
        }
        vectors.append(centres[n % 4] + 0.7 * rng.normal(size=(seconds, DIM)))
        segments += [(f"t/{n}", float(s), s + 1.0 if s < 2 else s + 0.5) for s in range(seconds)]
    table = pd.DataFrame(segments, columns=["track_id", "start", "end"])
    every = np.concatenate(vectors).astype(np.float32)
    return SearchIndex.build(folder / "index", every, table, pd.DataFrame(rows), "0ff1ce")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    return make_index(tmp_path_factory.mktemp("map"))


@pytest.fixture(scope="module")
def html(index: SearchIndex) -> str:
    out = index.folder.parent / "pages" / "map.html"
    catalogue.write(index, out, "my <b>music</b>", neighbours=5)
    return out.read_text(encoding="utf-8")


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places that cost nothing, for what is not about places."""
    monkeypatch.setattr(catalogue, "plane", lambda vectors, seed: vectors[:, :2].astype(float))


def content(html: str) -> dict:
    return json.loads(html.split('id="content">')[1].split("</script>")[0], parse_constant=pytest.fail)


def means(index: SearchIndex) -> dict[str, np.ndarray]:
    found = {}
    for track in index.tracks:
        bounds, vectors = index.segments(track["track_id"])
        whole = sum((end - start) * vector for (start, end), vector in zip(bounds, vectors, strict=True))
        found[track["track_id"]] = whole / np.linalg.norm(whole)
    return found


def by_hand(index: SearchIndex, ids: list[str], count: int) -> list[list[tuple[str, float, float, float]]]:
    """The neighbours by loops over tracks and segments."""
    found, wholes = [], means(index)
    for own in ids:
        others = []
        for other in ids:
            if other == own:
                continue
            bounds, vectors = index.segments(other)
            scores = [float(vector @ wholes[own]) for vector in vectors]
            best = int(np.argmax(scores))
            others.append((other, scores[best], *bounds[best].tolist()))
        found.append(sorted(others, key=lambda one: -one[1])[:count])
    return found


def test_neighbours_are_those_of_a_loop_over_all_segments(index: SearchIndex, html: str) -> None:
    data = content(html)
    ids = [track["id"] for track in data["tracks"]]
    assert sorted(ids) == sorted(f"t/{n}" for n in range(40))
    for found, wanted in zip(data["neighbours"], by_hand(index, ids, 5), strict=True):
        assert [ids[row] for row, *_ in found] == [other for other, *_ in wanted]
        np.testing.assert_allclose([one[1:] for one in found], [one[1:] for one in wanted], atol=2e-6)


def test_tracks_of_a_kind_lie_together(html: str) -> None:
    tracks = content(html)["tracks"]
    places = np.array([[track["x"], track["y"]] for track in tracks])
    kinds = np.array([int(track["id"][2:]) % 4 for track in tracks])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
    assert (kinds[apart.argmin(axis=1)] == kinds).mean() > 0.6  # by chance 0.23
    assert places.min() >= 0
    assert places.max() <= 1


def test_the_page_repeats_itself_and_names_no_folder_of_this_machine(
    index: SearchIndex, html: str, tmp_path: Path
) -> None:
    catalogue.write(index, tmp_path / "again.html", "my <b>music</b>", neighbours=5)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == html
    assert str(index.folder.parent) not in html
    assert index.folder.parent.name not in html


def test_words_are_escaped_and_nothing_is_loaded_from_elsewhere(html: str) -> None:
    assert "alert('x')</script>" not in html
    assert len(re.findall("<script", html)) == 3
    assert "<h1><bdi>my &lt;b&gt;music&lt;/b&gt;</bdi></h1>" in html
    track = next(track for track in content(html)["tracks"] if track["id"] == "t/0")
    assert (track["title"], track["artist"], track["duration"]) == (EVIL, "Łukasz & Co", None)
    assert not re.search(r"https?://|url\(", html)
    assert "default-src 'none'" in html
    assert not re.search(r"""\sstyle=|\son\w+="|{{|{%""", html)


def test_sound_is_the_most_typical_second_of_a_track(index: SearchIndex, html: str) -> None:
    tracks = {track["id"]: track for track in content(html)["tracks"]}
    for track_id, whole in means(index).items():
        bounds, vectors = index.segments(track_id)
        best = max(range(len(vectors)), key=lambda row: round(float(vectors[row] @ whole), 6))
        assert [tracks[track_id]["from"], tracks[track_id]["to"]] == bounds[best].tolist()
    audio, rate = soundfile.read(io.BytesIO(base64.b64decode(tracks["t/1"]["sound"].split("base64,")[1])))
    assert len(audio) / rate == pytest.approx(1.0, abs=0.1)
    assert np.abs(audio).max() > 0.2
    assert tracks[f"t/{MISSING}"]["sound"] is None
    assert tracks[f"t/{MISSING}"]["silence"] == "there is no such file"
    assert "39 tracks have sound" in html


@pytest.mark.usefixtures("flat")
def test_sound_stops_at_the_limit(index: SearchIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SOUND", 40_000)
    page = catalogue.write(index, tmp_path / "map.html", "m")
    found = content((tmp_path / "map.html").read_text(encoding="utf-8"))["tracks"]
    kept = [len(track["sound"]) for track in found if track["sound"]]
    assert page.sounds == len(kept) < 39
    assert sum(kept[:-1]) < 40_000 <= sum(kept)
    assert found[-1]["silence"] == "left out to keep this page small"


@pytest.mark.usefixtures("flat")
def test_links_lead_from_the_page_to_the_files(index: SearchIndex, tmp_path: Path) -> None:
    page = catalogue.write(index, tmp_path / "a" / "map.html", "m", audio="link")
    html = (tmp_path / "a" / "map.html").read_text(encoding="utf-8")
    found = {track["id"]: track for track in content(html)["tracks"]}
    assert page.sounds == 39
    for track in index.tracks:
        link = found[track["track_id"]]["sound"]
        if track["track_id"] == f"t/{MISSING}":
            assert (link, found[track["track_id"]]["silence"]) == (None, "there is no such file")
            continue
        assert "%23" in link
        assert "#" not in link
        assert (tmp_path / "a" / unquote(link)).resolve() == Path(track["path"]).resolve()
    assert str(index.folder.parent) not in html.replace("../", "/") or "../" in html


@pytest.mark.usefixtures("flat")
def test_without_sound_the_page_says_so(index: SearchIndex, tmp_path: Path) -> None:
    assert catalogue.write(index, tmp_path / "map.html", "m", audio="none").sounds == 0
    tracks = content((tmp_path / "map.html").read_text(encoding="utf-8"))["tracks"]
    assert {track["silence"] for track in tracks} == {"it is not part of this page"}


@pytest.mark.usefixtures("flat")
def test_of_many_tracks_some_are_drawn_and_neighbours_are_of_these(
    index: SearchIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "TRACKS", 15)
    page = catalogue.write(index, tmp_path / "map.html", "m", audio="none", neighbours=50)
    html = (tmp_path / "map.html").read_text(encoding="utf-8")
    data = content(html)
    ids = [track["id"] for track in data["tracks"]]
    assert page == (15, 40, 0)
    assert "15 of 40 tracks, drawn at random" in html
    for row, (found, wanted) in enumerate(zip(data["neighbours"], by_hand(index, ids, 50), strict=True)):
        assert sorted([row, *(one[0] for one in found)]) == list(range(15))
        np.testing.assert_allclose([one[1] for one in found], [one[1] for one in wanted], atol=2e-6)


def test_columns_that_make_groups_are_offered_tags_first(html: str) -> None:
    data = content(html)
    assert [column["name"] for column in data["colours"]] == ["instrument", "mood", "year"]  # no paths, no one artist
    assert [column["tags"] for column in data["colours"]] == [True, True, False]
    for track, (value,) in zip(data["tracks"], data["colours"][0]["of"], strict=True):
        assert data["colours"][0]["values"][value] == ("cello", "oud", "ney", "saz")[int(track["id"][2:]) % 4]
    moods = data["colours"][1]
    named = [[moods["values"][value] for value in values] for values in moods["of"]]
    assert named == [MOODS[int(track["id"][2:]) % 4] or [] for track in data["tracks"]]


def test_the_column_that_is_asked_for_comes_first(index: SearchIndex) -> None:
    table, near = index.tracks.table, [[]] * 40
    for name in ("mood", "tags.mood", "year"):
        assert catalogue.groupings(table, near, name)[0]["name"] == name.removeprefix("tags.")
    with pytest.raises(InputError, match="--colour is 'artist'; columns that make groups are year, mood, instrument"):
        catalogue.groupings(table, near, "artist")
    with pytest.raises(InputError, match="make groups are none"):
        catalogue.groupings(pa.table({"artist": ["a", "b"], "x": [0.1, 0.2]}).drop_columns("artist"), [[]] * 2, "x")


def test_what_neighbours_share_by_hand() -> None:
    near = [[(1, 0.9, 0.0, 1.0)], [(0, 0.9, 0.0, 1.0)], [(3, 0.5, 0.0, 1.0)], [(0, 0.1, 0.0, 1.0)]]
    assert catalogue.shared([[0], [0], [1], [1]], near) == pytest.approx(0.75 * np.log(0.75 / 0.5))
    assert catalogue.shared([[0], [1], [0], [1]], near) == pytest.approx(0.0)
    assert catalogue.shared([[0], [0], [0], [0]], near) == 0.0


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9])
def test_few_vectors_and_equal_ones_have_places(count: int) -> None:
    different = np.random.default_rng(0).normal(size=(count, DIM)).astype(np.float32)
    for vectors in (different, np.ones((count, DIM), np.float32)):
        places = plane(vectors, 0)
        assert places.shape == (count, 2)
        assert ((places >= 0) & (places <= 1)).all()
    assert len(np.unique(plane(different, 0).round(6), axis=0)) == count


@pytest.mark.usefixtures("flat")
def test_the_command_takes_an_index_and_tells_what_it_wrote(
    ask: Answer, fail: Answer, index: SearchIndex, tmp_path: Path
) -> None:
    out = tmp_path / "map.html"
    said = ask("map", index.folder, "--out", out, "--audio", "none", "--colour", "year", "--neighbours", 3)
    assert said == f"{out}: 40 tracks, 0 with sound; {out.stat().st_size:,} bytes\n"
    data = content(out.read_text(encoding="utf-8"))
    assert data["colours"][0]["name"] == "year"
    assert {len(found) for found in data["neighbours"]} == {3}
    assert "must end in .html" in fail("map", index.folder, "--out", tmp_path / "map.pdf")
    assert "columns that make groups are" in fail(
        "map", index.folder, "--out", out, "--colour", "genre", "--audio", "none"
    )
    assert "is no run" in fail("map", tmp_path, "--out", out)


@pytest.mark.usefixtures("flat")
def test_a_catalogue_of_nothing_is_refused(tmp_path: Path) -> None:
    index = make_index(tmp_path, tracks=1)
    assert catalogue.write(index, tmp_path / "one.html", "m", audio="none") == (1, 1, 0)
    index.delete(["t/0"])
    with pytest.raises(InputError, match="holds no tracks to map"):
        catalogue.write(index, tmp_path / "map.html", "m")
