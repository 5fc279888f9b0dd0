"""The commands tag and calibrate, on a run that is trained and on models alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import FRONTEND, Answer, Trained

from crossmodal.audio.decode import features_of
from crossmodal.calibration import Calibration
from crossmodal.cli import main
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.model import DualEncoder
from crossmodal.zero_shot import word_vectors

RATE = 8000


@pytest.fixture(scope="module")
def run(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run, calibrated on its part test."""
    folder = tmp_path_factory.mktemp("runs") / "calibrated"
    shutil.copytree(trained.folder, folder)
    assert main(["calibrate", str(folder), "--part", "test"]) == 0  # the part valid has eight tracks only
    return folder


@pytest.fixture(scope="module")
def song(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pieces of 3 s and a bit of a third: 6.4 s."""
    manifest = Manifest.load(trained.folder / "manifest")
    ids = manifest.part("combination", "test").tracks["track_id"].iloc[[0, 5, 9]]
    sound = np.concatenate([soundfile.read(manifest.path(track))[0] for track in ids])
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    soundfile.write(path, sound[: int(6.4 * RATE)], RATE)
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def silent(path: str | Path) -> Path:
    soundfile.write(path, np.zeros(RATE), RATE)
    return Path(path)


def test_without_a_calibration_the_scores_are_cosines_and_it_is_said(
    ask: Answer, trained: Trained, song: Path, tmp_path: Path
) -> None:
    lines = ask("tag", trained.folder, song, "--words", "organ, rain on a roof, ORGAN").splitlines()
    assert lines[0] == f"{song}: 6.4 s in 7 segments; picture song.taggram.png"
    assert len(lines) == 4
    assert all("(cosine; most at " in line for line in lines[1:3])
    assert lines[3].startswith("1 tagged, 0 skipped; no calibration: scores are raw cosines")
    assert [path.name for path in tmp_path.iterdir()] == ["song.taggram.png"]


def test_the_scores_are_those_of_the_segments(ask: Answer, trained: Trained, song: Path) -> None:
    found = json.loads(ask("tag", trained.folder, song, "--words", "organ,Zugposaune", "--language", "de", "--json"))
    model = DualEncoder.load(trained.folder)
    (track,) = model.embed_features([features_of(song, model.audio_encoder.frontend)])
    (file,) = found["files"]
    seconds = [(part["start"], part["end"]) for part in file["segments"]]
    assert seconds == [tuple(bound) for bound in track.bounds.round(3).astype(float).round(3).tolist()]
    assert (len(seconds), seconds[0][0], seconds[-1][1]) == (7, 0, pytest.approx(6.4, abs=0.02))
    for row in file["rows"]:
        (vector,) = word_vectors(model.embed_text, [row["word"]], "de")
        assert row["scores"] == pytest.approx(list(track.vectors @ vector), abs=2e-6)
        assert row["measure"] == "cosine"
        assert row["mean"] == pytest.approx(np.average(row["scores"], weights=track.weights), abs=2e-6)
    assert (found["calibration"], found["language"], found["skipped"]) == (None, "de", [])
    assert found["model"] == model.fingerprint
    assert not list(Path().iterdir())  # no picture


def test_calibrated_in_several_languages(ask: Answer, run: Path, song: Path) -> None:
    made = Calibration.load(run / "model.calibration.npz")
    tag = next(name for name, has in zip(made.tags, made.labels.T, strict=True) if 5 <= has.sum() <= 15)
    for language in ("en", "de", "tr"):
        known = Lexicon.load().words(tag, language)[-1]
        words = f"{known},{tag},rain,尺八"
        found = json.loads(ask("tag", run, song, "--words", words, "--language", language, "--json"))
        rows = {row["word"]: row for row in found["files"][0]["rows"]}
        assert [row["measure"] for row in rows.values()] == ["probability"] * 2 + ["percentile"] * 2
        assert set(list(rows)[:2]) == {known, tag}
        assert all(0 <= score <= 1 for row in rows.values() for score in row["scores"])
        assert found["calibration"] == "part test of split combination"


def test_calibrate_says_what_it_made_and_tag_uses_its_tags(ask: Answer, run: Path, song: Path) -> None:
    said = ask("calibrate", run, "--part", "test")
    made = Calibration.load(run / "model.calibration.npz")
    part = Manifest.load(run / "manifest").part("combination", "test")
    assert len(made.labels) == len(part)
    assert made.fingerprint == DualEncoder.load(run).fingerprint
    assert f"model.calibration.npz: {len(made.vectors)} segments of {len(part)} tracks, part test" in said
    assert set(made.tags) == set(part.tags["tag"])
    rows = json.loads(ask("tag", run, song, "--json"))["files"][0]["rows"]
    assert {row["word"] for row in rows} == set(made.tags)
    sure = int(said.split("; ")[1].split(" of ")[0])
    assert sum(row["measure"] == "probability" for row in rows) == sure > 0
    assert "calibrated on part test of split combination" in ask("tag", run / "model", song, "--words", "organ")


def test_the_reference_is_the_valid_part_unless_told(ask: Answer, run: Path, song: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    said = ask("calibrate", tmp_path / "run")
    assert "8 tracks, part valid of split combination; 0 of " in said  # too few for a probability
    assert "(percentile; " in ask("tag", tmp_path / "run", song, "--words", "organ")


def test_the_same_whatever_else_is_asked(ask: Answer, run: Path, song: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.wav"
    shutil.copy(Manifest.load(run / "manifest").path("album-0000-1"), other)
    alone = json.loads(ask("tag", run, song, "--words", "organ", "--json"))["files"][0]
    many = json.loads(ask("tag", run, other, song, song, "--words", "sad,bells,organ,rain", "--json"))
    assert [file["path"] for file in many["files"]] == [str(other), str(song)]
    assert [row for row in many["files"][1]["rows"] if row["word"] == "organ"] == alone["rows"]


def test_several_files_give_several_pictures_and_bad_ones_are_skipped(
    ask: Answer, run: Path, song: Path, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    shutil.copy(song, "b/song.wav")
    Path("bad.mp3").write_bytes(b"no music")
    wrong = ["bad.mp3", silent("silent.wav"), "missing.flac", tmp_path / "b"]
    said = ask("tag", run, song, *wrong, "b/song.wav", "--words", "organ", "--out", "out").splitlines()
    assert sorted(path.name for path in Path("out").iterdir()) == ["song-2.taggram.png", "song.taggram.png"]
    skipped = [line for line in said if line.startswith("skipped: ")]
    assert [line.split()[1] for line in skipped] == ["bad.mp3", "silent.wav", "missing.flac", "b"]
    assert "is silent" in skipped[1]
    assert "there is no such file" in skipped[2]
    assert said[-1].startswith("2 tagged, 4 skipped; calibrated on part test")
    found = json.loads(ask("tag", run, song, *wrong, "--words", "organ", "--json"))
    assert [skip["path"] for skip in found["skipped"]] == [str(path) for path in wrong]


def test_the_top_words_and_all_of_them_as_data(ask: Answer, run: Path, song: Path) -> None:
    words = ",".join(f"word {number}" for number in range(20))
    rows = [line for line in ask("tag", run, song, "--words", words).splitlines() if "(percentile" in line]
    assert len(rows) == 15
    rows = [line for line in ask("tag", run, song, "--words", words, "--top", 2).splitlines() if "(percentile" in line]
    assert len(rows) == 2
    found = json.loads(ask("tag", run, song, "--words", words, "--json"))["files"][0]["rows"]
    assert len(found) == 20
    assert len(json.loads(ask("tag", run, song, "--words", words, "--json", "--top", 3))["files"][0]["rows"]) == 3
    assert [row["mean"] for row in found] == sorted((row["mean"] for row in found), reverse=True)


def test_words_from_a_file_a_picture_by_name_and_a_language_without_sentences(
    ask: Answer, run: Path, song: Path
) -> None:
    Path("words.txt").write_text("尺八\norgan\n尺八\n", encoding="utf-8")
    said = ask("tag", run, song, "--words", "words.txt", "--language", "ja", "--out", "a/song.pdf")
    assert said.count("尺八  (percentile") == 1
    assert "words stand alone: there are sentences in en, de, fr, es, it, tr, not 'ja'" in said
    assert "no installed font has all letters of 尺八" in said
    assert Path("a/song.pdf").read_bytes().startswith(b"%PDF")


def test_as_json_nothing_else_is_printed(run: Path, song: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["tag", str(run), str(song), "nowhere.wav", "--words", "organ", "--json", "--out", "p.png"]) == 2
    assert main(["tag", str(run), str(song), "nowhere.wav", "--words", "organ", "--json", "--out", "p"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["files"][0]["rows"][0]["word"] == "organ"
    assert "skipped: nowhere.wav" in captured.err
    assert Path("p/song.taggram.png").is_file()


def test_mistakes_are_one_line(fail: Answer, run: Path, trained: Trained, song: Path, tmp_path: Path) -> None:
    assert "there is not one word in ''" in fail("tag", run, song, "--words", "")
    assert "not one word in ', ,'" in fail("tag", run, song, "--words", ", ,")
    assert "none.txt does not exist" in fail("tag", run, song, "--words", "none.txt")
    assert "no calibration whose tags could be the words; give --words" in fail("tag", trained.folder, song)
    assert "there are 2 files; give a folder" in fail("tag", run, song, "b.wav", "--out", "a.png")
    assert "ends in '.jpeg'; valid are .png, .pdf" in fail("tag", run, song, "--out", "a.jpeg")
    assert "nowhere is no run" in fail("tag", "nowhere", song)
    assert "nowhere is no run" in fail("calibrate", "nowhere")
    assert "none of 2 files could be tagged; silent.wav (silent.wav): is silent" in fail(
        "tag", run, silent("silent.wav"), "missing.wav", "--words", "organ"
    )
    assert "Invalid value for '--top'" in fail("tag", run, song, "--top", 0)
    assert "Missing argument" in fail("tag", run)
    assert [path.name for path in tmp_path.iterdir()] == ["silent.wav"]


def test_a_calibration_of_another_model_is_refused(fail: Answer, run: Path, song: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    model = DualEncoder.load(other)
    model.audio_projection.weight.data += 1e-3
    model.save(other / "model")
    assert "the calibration was made with model" in fail("tag", other, song, "--words", "organ")
    (other / "model.calibration.npz").write_bytes(b"")
    assert "is not a calibration; make it again with crossmodal calibrate" in fail("tag", other, song, "--words", "a")


def test_a_model_without_words_is_refused(fail: Answer, run: Path, song: Path, tmp_path: Path) -> None:
    audio = {"name": "mel_cnn", "frontend": FRONTEND, "channels": [4, 8], "dim": 16}
    deaf = DualEncoder(audio, {"name": "none"}, window_s=1.0)
    deaf.save(tmp_path / "deaf")
    assert "it has no text encoder" in fail("tag", tmp_path / "deaf", song, "--words", "organ")
    shutil.copytree(run, tmp_path / "run")
    deaf.save(tmp_path / "run" / "model")
    assert "was trained on audio alone: it has no words to calibrate" in fail("calibrate", tmp_path / "run")
