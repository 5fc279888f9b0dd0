"""The commands of ``crossmodal data``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from tiny import Answer

from crossmodal.cli import main
from crossmodal.data.ledger import Ledger
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_hash

RATE = 8000


def sound(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


@pytest.fixture
def saved(tmp_path: Path, ask: Answer) -> Path:
    """Twenty tracks of ten artists with genres, half of them reviewed; one file is missing."""
    rows = ["track_id,path,artist,genre,review"]
    for number in range(20):
        name = f"{number:02}.wav"
        soundfile.write(tmp_path / name, sound(1.0, number), RATE)
        review = f"Number {number} is fine." if number % 4 < 2 else ""
        rows.append(f"t{number:02},{name},artist {number // 2},{'rock' if number % 5 else 'folk'},{review}")
    (tmp_path / "07.wav").unlink()
    (tmp_path / "t.csv").write_text("\n".join(rows))
    texts = "texts=[{column: review, kind: review, language: en}]"
    settings = ("file=t.csv", "columns={group: artist}", "tagsets={genre: genre}", texts)
    ask("data", "table", *settings, "--root", tmp_path, "--out", tmp_path / "m")
    return tmp_path / "m"


def test_steps_counts_and_splits_are_told(saved: Path, ask: Answer, tmp_path: Path) -> None:
    said = ask("data", "folder", "--root", tmp_path, "--out", tmp_path / "f")
    assert "not audio" not in said
    assert "files: 27 read, 19 kept, 8 skipped" in said  # the table, and the seven files of the manifest
    split = Manifest.load(tmp_path / "f")
    assert f"split group ({split_hash(split, 'group')}): train " in said
    assert "audio files: 20 read, 19 kept, 1 skipped" in ask("data", "show", saved)
    said = ask("data", "show", saved)
    assert "tagset genre: 2 tags, 19 tracks annotated, most: rock" in said
    assert "texts of kind review in en: 10" in said


def test_limit_and_labels_only(saved: Path, ask: Answer, fail: Answer, tmp_path: Path) -> None:
    given = ("data", "table", "file=t.csv", "--root", tmp_path, "--out", tmp_path / "n")
    ask(*given, "--limit", 3)
    assert Manifest.load(tmp_path / "n").tracks["track_id"].tolist() == ["t00", "t01", "t02"]
    ask(*given, "--labels-only")
    assert len(Manifest.load(tmp_path / "n")) == 20
    assert "the root is given twice" in fail(*given, "root=x")
    assert "lacks root" in fail("data", "table", "file=t.csv")


def test_about_says_what_a_source_needs(ask: Answer, fail: Answer) -> None:
    said = ask("data", "about", "folder")
    assert "layout: audio files" in said
    assert "settings: root (str), group ('track' or 'folder')" in said
    assert "has no 'fold'" in fail("data", "about", "fold")


def test_splits_are_added_and_cut_no_group(saved: Path, ask: Answer, fail: Answer) -> None:
    said = ask("data", "split", saved, "--name", "artists", "--by", "artist", "--valid", 0.2, "--test", 0.3)
    manifest = Manifest.load(saved)
    assert f"split artists ({split_hash(manifest, 'artists')}):" in said
    ask("data", "split", saved, "--name", "tags", "--tagset", "genre")
    assert "tracks are in no part" not in ask("data", "split", saved, "--name", "reviews", "--text", "review")
    manifest = Manifest.load(saved)
    assert manifest.validate() == []
    assert set(manifest.splits["name"]) == {"artists", "tags", "reviews"}
    assert set(manifest.part("reviews", "test").texts["kind"]) == set()
    assert "there is a split 'tags' already" in fail("data", "split", saved, "--name", "tags")
    assert "has no column 'band'" in fail("data", "split", saved, "--name", "x", "--by", "band")
    assert "give one of them" in fail("data", "split", saved, "--name", "x", "--tagset", "genre", "--text", "review")
    said = ask("data", "split", saved, "--name", "tracks", "--by", "track_id")
    assert "10 groups, none of them cut, the largest of 2 tracks" in said  # the artists, which are the groups here
    assert "there is no tagset 'mood'" in fail("data", "split", saved, "--name", "x", "--tagset", "mood")
    assert "fractions must be" in fail("data", "split", saved, "--name", "x", "--valid", 0.9, "--test", 0.9)
    assert set(Manifest.load(saved).splits["name"]) == {"artists", "tags", "reviews", "tracks"}
    again = ask("data", "table", "file=t.csv", "--root", saved.parent, "--out", saved)
    assert "had splits which this one has not: artists, reviews, tags, tracks" in again


def test_check_tells_what_it_heard_and_a_split_after_it_keeps_duplicates_together(
    saved: Path, ask: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    root = saved.parent
    for copy in ("02", "11", "19"):  # of three artists, all the same as the first track
        (root / f"{copy}.wav").write_bytes((root / "00.wav").read_bytes())
    soundfile.write(root / "05.wav", np.zeros(RATE), RATE)
    assert main(["data", "check", str(saved), "--workers", "1"]) == 2
    said = capsys.readouterr().out
    assert "1 files are silent: t05" in said
    assert "3 pairs of files are the same: t00 and t02, t00 and t11, t00 and t19" in said
    assert "ledger.parquet, duplicates.csv; 19 tracks, 2 kinds of problems" in said
    ask("data", "split", saved, "--name", "whole", "--by", "artist", "--valid", 0.3, "--test", 0.3)
    parts = Manifest.load(saved).splits.set_index("track_id")["part"]
    assert parts[["t00", "t02", "t11", "t19"]].nunique() == 1


def test_a_ledger_of_other_tracks_is_not_leant_on(saved: Path, fail: Answer, tmp_path: Path) -> None:
    tracks = Manifest.load(saved).tracks[["track_id"]]
    pairs = pd.DataFrame(columns=["track_a", "track_b", "kind", "offset_s", "similarity", "splits"])
    Ledger(tracks.head(5), pairs).save(saved.with_name("m.ledger"))
    assert "14 of 19 tracks are not in" in fail("data", "split", saved, "--name", "x")


def test_someones_music_is_never_replaced(saved: Path, tmp_path: Path) -> None:
    song = tmp_path / "01.wav"
    before = song.read_bytes()
    assert main(["data", "folder", "--root", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert main(["data", "check", str(saved), "--out", str(tmp_path), "--workers", "1"]) == 2
    assert song.read_bytes() == before


def test_a_source_without_a_track_is_an_error(fail: Answer, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("track_id,path\n")
    assert "has no rows" in fail("data", "table", "file=x.csv", "--root", tmp_path, "--out", tmp_path / "n")
    for part in ("train", "valid", "test"):
        (tmp_path / f"gtzan_{part}_filtered.txt").write_text("")
    said = fail("data", "gtzan", "--root", tmp_path, "--labels-only", "--out", tmp_path / "n")
    assert "gtzan finds no track in" in said
