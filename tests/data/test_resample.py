"""Resampling a tree of files: nothing lost, nothing half, nothing silent."""

from __future__ import annotations

import csv
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from crossmodal.audio.decode import decode, probe
from crossmodal.cli import script
from crossmodal.cli.resample import resample as command
from crossmodal.data import resample as resampling
from crossmodal.data.engine import Processes
from crossmodal.data.manifest import Manifest
from crossmodal.data.resample import FOLDER, Resampling, resample
from crossmodal.errors import InputError


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Four files that can be used, at 44.1 and 8 kHz, and three that cannot; a picture and a hidden file."""
    folder = tmp_path / "src"
    (folder / "a" / "b").mkdir(parents=True)
    times = np.arange(22050) / 44100
    tones = np.stack([np.sin(2 * np.pi * 440 * times), 0.3 * np.sin(2 * np.pi * 1000 * times)], axis=1)
    soundfile.write(folder / "tones.wav", tones * 0.5, 44100, "FLOAT")
    soundfile.write(folder / "a" / "one.mp3", tones[:, 0] * 0.5, 44100)
    soundfile.write(folder / "a" / "b" / "as it is.flac", np.sin(np.arange(8000) / 9) * 0.5, 8000)
    rng = np.random.default_rng(0)
    soundfile.write(folder / "loud.wav", np.sign(rng.standard_normal(22050)) * 0.99, 44100)
    soundfile.write(folder / "a" / "one.wav", tones, 44100)  # one.mp3 gives the same new file
    (folder / "a" / "text.mp3").write_text("no music")
    (folder / "empty.wav").touch()
    (folder / "cover.jpg").write_bytes(b"jpg")
    (folder / ".hidden.wav").write_bytes(b"x")
    return folder


WRITTEN = {"tones.wav", "loud.wav", "a/one.wav", "a/b/as it is.wav"}
SKIPPED = {"a/one.wav", "a/text.mp3", "empty.wav", "cover.jpg"}


@pytest.fixture
def run(src: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]):
    """Runs the script to 8 kHz; its exit code, and all that it said."""

    def run(*flags: str, dst: Path = tmp_path / "dst", rate: int = 8000) -> tuple[int, str]:
        caplog.clear()
        caplog.set_level(logging.INFO)
        given = ["--src", str(src), "--dst", str(dst), "--sample-rate", str(rate), "--workers", "1", *flags]
        code = script(command, given)
        return code, caplog.text + capsys.readouterr().err

    return run


Run = Callable[..., tuple[int, str]]


def tree(folder: Path) -> dict[str, bytes]:
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if FOLDER not in name and name != "skipped.csv"}


def test_the_same_tree_and_every_file_counted(run: Run, tmp_path: Path) -> None:
    code, said = run()
    assert code == 0
    assert set(tree(tmp_path / "dst")) == WRITTEN
    with (tmp_path / "dst" / "skipped.csv").open(newline="") as file:
        rows = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert set(rows) == SKIPPED
    assert rows["a/one.wav"] == "one.wav is made of one.mp3"
    assert rows["cover.jpg"] == "not audio by its name"
    assert "is empty" in rows["empty.wav"]
    assert "of 8 files 4 are resampled; 4 skipped" in said
    for name in WRITTEN:
        info = soundfile.info(tmp_path / "dst" / name)
        assert (info.samplerate, info.subtype) == (8000, "PCM_16")


@pytest.mark.parametrize(("mono", "channels"), [(False, 2), (True, 1)])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_the_samples_are_those_that_decoding_gives(
    run: Run, src: Path, tmp_path: Path, mono: bool, channels: int, suffix: str
) -> None:
    assert run(*(["--mono"] if mono else []), "--format", suffix)[0] == 0
    path = tmp_path / "dst" / f"tones.{suffix}"
    assert probe(path).channels == channels
    found, rate = soundfile.read(path, always_2d=True)
    assert rate == 8000
    expected = decode(src / "tones.wav", 8000, channels).T
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.51 / 32768)  # half a step of 16 bits
    assert probe(tmp_path / "dst" / "a" / f"one.{suffix}").channels == 1
    spectrum = np.abs(np.fft.rfft(found[:, 0]))
    assert abs(spectrum.argmax() * 8000 / len(found) - 440) < 2.1


def test_what_needs_no_change_keeps_its_bits(run: Run, src: Path, tmp_path: Path) -> None:
    run()
    before, _ = soundfile.read(src / "a/b/as it is.flac", dtype="int16")
    after, _ = soundfile.read(tmp_path / "dst/a/b/as it is.wav", dtype="int16")
    np.testing.assert_array_equal(before, after)


def test_what_is_clipped_is_counted_and_does_not_wrap(run: Run, src: Path, tmp_path: Path) -> None:
    _, said = run(rate=22050)
    expected = decode(src / "loud.wav", 22050)[0]
    found, _ = soundfile.read(tmp_path / "dst" / "loud.wav")
    above = int(((expected > 32767.5 / 32768) | (expected < -32768.5 / 32768)).sum())
    assert above > 10
    assert f"1 files reach beyond full scale: {above} samples were clipped, most in loud.wav" in said
    np.testing.assert_allclose(found, expected.clip(-1, 32767 / 32768), rtol=0, atol=0.51 / 32768)


def test_a_long_file_is_streamed_without_a_seam(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    sine = np.sin(np.arange(44100 * 30) / 40)
    soundfile.write(tmp_path / "src" / "long.wav", sine * 0.5, 44100)
    manifest = Manifest.build(pd.DataFrame({"track_id": ["x"], "path": ["long.wav"]}), root=tmp_path / "src")
    resample(manifest, tmp_path / "dst", 22050)
    found, _ = soundfile.read(tmp_path / "dst" / "long.wav")
    assert len(found) == 22050 * 30
    np.testing.assert_allclose(found[100:-100], 0.5 * np.sin(np.arange(22050 * 30) / 20)[100:-100], atol=1e-3)


def stops(monkeypatch: pytest.MonkeyPatch, at: str) -> list[str]:
    """Let the disk be full at one file; what was asked for, as it comes."""
    asked, whole = [], Resampling._write

    def write(self: Resampling, path: str, out: Path) -> int:
        asked.append(Path(path).name)
        if Path(path).name == at:
            out.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        return whole(self, path, out)

    monkeypatch.setattr(Resampling, "_write", write)
    return asked


def test_a_run_that_stopped_goes_on_with_skip(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(dst=tmp_path / "whole")
    with monkeypatch.context() as patch:
        stops(patch, "loud.wav")
        code, said = run()
        assert (code, "No space left on device; what is done is kept there" in said) == (2, True)
    assert set(tree(tmp_path / "dst")) == {"a/one.wav", "a/b/as it is.wav"}  # nothing half
    assert "give --skip to go on" in run()[1]
    asked = stops(monkeypatch, "none")
    assert "of 8 files 4 are resampled" in run("--skip")[1]
    assert asked == ["text.mp3", "empty.wav", "loud.wav", "tones.wav"]
    assert tree(tmp_path / "dst") == tree(tmp_path / "whole")


def test_what_was_removed_or_has_changed_is_done_again(
    run: Run, src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    (tmp_path / "dst" / "tones.wav").unlink()
    for journal in (tmp_path / "dst" / ".resampling").glob("*.jsonl"):
        journal.write_text(journal.read_text() + "\0\0\n")  # what a power cut may leave
    soundfile.write(src / "loud.wav", np.sin(np.arange(9000) / 9) * 0.1, 8000)
    asked = stops(monkeypatch, "none")
    run("--skip")
    assert asked == ["text.mp3", "empty.wav", "loud.wav", "tones.wav"]
    assert probe(tmp_path / "dst" / "loud.wav").frames == 9000
    assert set(tree(tmp_path / "dst")) == WRITTEN


def test_a_disk_that_takes_no_more_stops_the_work(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(soundfile.SoundFile):
        def write(self, data: np.ndarray) -> None:
            raise soundfile.LibsndfileError(2)

    whole = soundfile.SoundFile
    monkeypatch.setattr(
        resampling.soundfile, "SoundFile", lambda *given, **more: (Full if "w" in given else whole)(*given, **more)
    )
    code, said = run()
    assert code == 2
    assert re.search(r"could not write into .*Is the disk full\?; what is done is kept there", said)
    assert tree(tmp_path / "dst") == {}


def test_what_would_mix_or_overwrite_is_refused(run: Run, src: Path, tmp_path: Path) -> None:
    run()
    for flags, rate, why in (((), 16000, "sample_rate 8000, not 16000"), (("--mono",), 8000, "mono False, not True")):
        assert why in run("--skip", *flags, rate=rate)[1]
    for dst in (src, src / "new", tmp_path):
        assert "lie one in the other" in run("--skip", dst=dst)[1]
    assert "the sample rate is 10 Hz" in run(dst=tmp_path / "other", rate=10)[1]
    outside = Manifest.build(pd.DataFrame({"track_id": ["x"], "path": ["../x.wav"]}), root=src)
    with pytest.raises(InputError, match="does not lie below"):
        resample(outside, tmp_path / "other", 8000)


def test_where_nothing_can_be_resampled_it_says_so(run: Run, src: Path, tmp_path: Path) -> None:
    for name in ("tones.wav", "loud.wav", "a/one.wav", "a/one.mp3", "a/b/as it is.flac"):
        os.remove(src / name)
    code, said = run()
    assert code == 2
    assert "none of the files of" in said


@pytest.mark.slow
def test_two_processes_write_the_same_as_one(run: Run, src: Path, tmp_path: Path) -> None:
    run()
    given = [path.relative_to(src).as_posix() for path in sorted(src.rglob("*.*")) if path.suffix in (".wav", ".flac")]
    manifest = Manifest.build(pd.DataFrame({"track_id": given, "path": given}), root=src).select(
        ["tones.wav", "loud.wav", "a/b/as it is.flac"]
    )
    made = resample(manifest, tmp_path / "two", 8000, engine=Processes(2))
    assert made.written == 3
    found = tree(tmp_path / "two")
    assert found == {name: content for name, content in tree(tmp_path / "dst").items() if name in found}
