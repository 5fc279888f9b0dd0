"""The scripts that extract and merge mel spectrograms: faults are told, kills do no harm, bytes are the same."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from crossmodal.audio.decode import decode
from crossmodal.audio.frontends import LogMel
from crossmodal.cli import main, script
from crossmodal.cli.melspecs import extract, merge
from crossmodal.data.store import FeatureStore
from crossmodal.data.work import done

ROOT = Path(__file__).parents[1]
RATE = 8000
SMALL = ["--samplerate", "8000", "--nfft", "256", "--hoplength", "128", "--mels", "16"]
SMALL += ["--offset_sec", "0.2", "--length_sec", "0.5"]
LENGTH = ["--length_frames", "30"]
FAULTS = ["missing", "empty", "text", "cut", "nan", "silent", "short"]
REASONS = {
    "missing": "there is no such file",
    "empty": "is empty",
    "text": "is not audio",
    "cut": "is truncated",
    "nan": "holds NaN",
    "silent": "is silent where it was read",
    "short": "lasts 0.050 s",
}


def sound(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (round(seconds * RATE), 2)).astype(np.float32)


def fault(path: Path, kind: str) -> None:
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("These are words, whatever their name says.\n" * 50)
    elif kind == "cut":
        soundfile.write(path, sound(1.0, 1), RATE)
        path.write_bytes(path.read_bytes()[:9000])
    elif kind == "nan":
        broken = sound(1.0, 2)
        broken[3000] = np.nan
        soundfile.write(path, broken, RATE, subtype="FLOAT")
    elif kind in ("silent", "short"):
        soundfile.write(path, np.zeros((RATE, 2)) if kind == "silent" else sound(0.05, 0), RATE)


def corpus(folder: Path, tracks: int, faults: int) -> Path:
    """A file of track ids and paths: sounds of 0.3 to 1.2 s, the faulty ones evenly among them."""
    folder.mkdir()
    rows = []
    for number in range(tracks):
        bad = number % (tracks // faults) == 3
        kind = FAULTS[number // (tracks // faults) % len(FAULTS)] if bad else ""
        path = folder / f"{number}.wav"
        fault(path, kind) if bad else soundfile.write(path, sound(0.3 + number % 10 / 11, number), RATE)
        rows.append((f"TR{number:04}{kind}", path.name))
    path = folder.with_suffix(".csv")
    path.write_text("".join(f"{track},{name}\n" for track, name in rows))
    return path


def command(name: str, *options: object) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / f"melspecs_{name}.py"), *map(str, options)]


def both(tidfile: Path, dst: Path, workers: int = 1) -> Path:
    """Extract and merge in this process."""
    options = ["--tidfile", str(tidfile), "--src", str(tidfile.with_suffix("")), "--dst", str(dst), "--skip"]
    flags = ["--crop", "--pad", "--precision", "16", "--workers", str(workers), "--log-level", "ERROR"]
    assert script(extract, [*options, *flags, *SMALL, *LENGTH]) == 0
    store = dst.with_suffix(".h5")
    assert script(merge, ["--tidfile", str(tidfile), "--src", str(dst), "--dst", str(store)]) == 0
    return store


def test_faults_are_skipped_with_their_reasons_and_the_rest_is_in_order(tmp_path):
    tidfile = corpus(tmp_path / "music", 28, 7)
    store = FeatureStore(both(tidfile, tmp_path / "shards"))
    wanted = [line.split(",")[0] for line in tidfile.read_text().splitlines()]
    assert store.track_ids == [track for track in wanted if track[6:] == ""]
    assert {row.id[6:]: row.reason for row in store.skipped}.keys() == REASONS.keys()
    assert all(REASONS[row.id[6:]] in row.reason for row in store.skipped)
    assert len(store) + len(store.skipped) == 28
    with (tmp_path / "shards.skipped.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [row.id for row in store.skipped]
    assert {store.length(track) for track in store.track_ids} == {30}


def test_frames_are_the_front_ends_of_the_stretch_in_stereo_and_16_bits(tmp_path):
    tidfile = corpus(tmp_path / "music", 28, 7)
    store = FeatureStore(both(tidfile, tmp_path / "shards"))
    frontend = LogMel(8000, 256, 128, 16, 0.0, norm="slaney", channels=2)
    for track, start in (("TR0009", 0.2), ("TR0000", 0.0)):  # 1.1 s, and 0.3 s: too short to leave something out
        samples = decode(tmp_path / "music" / f"{int(track[2:])}.wav", RATE, 2, start, start + 0.5)
        expected = np.concatenate(list(frontend.stream([samples])))[:30]
        assert store[track].shape == (30, 2, 16)
        assert store[track].dtype == np.float16
        np.testing.assert_allclose(store[track][: len(expected)], expected, atol=0.1)
        assert (store[track][len(expected) :] == store.silence).all()
    with h5py.File(store.path) as file:
        assert file["frames"].dtype == np.float16


def test_mistakes_are_one_line(tmp_path, capsys):
    def fails(function, *options) -> str:
        assert script(function, list(map(str, options))) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    tidfile = corpus(tmp_path / "music", 8, 1)
    options = ["--tidfile", tidfile, "--src", tmp_path / "music", "--dst", tmp_path / "d", "--log-level", "ERROR"]
    assert "--precision is 8" in fails(extract, *options, "--precision", "8")
    assert "no shards" in fails(merge, "--tidfile", tidfile, "--src", tmp_path / "d", "--dst", tmp_path / "s.h5")
    assert script(extract, list(map(str, [*options, *SMALL, "--test", "--workers", 1]))) == 0
    assert len(done(tmp_path / "d")) == 1
    assert "give --skip to go on" in fails(extract, *options, *SMALL)
    assert "begun with" in fails(extract, *options, *SMALL, "--skip", "--mono")
    (tmp_path / "ragged.csv").write_text("a,b\nc\n")
    assert "ragged.csv line 2 holds ['c']" in fails(
        extract, "--tidfile", tmp_path / "ragged.csv", "--dst", tmp_path / "e"
    )
    (tmp_path / "twice.csv").write_text("a,b\na,c\n")
    assert "line 2: track a is there twice" in fails(extract, "--tidfile", tmp_path / "twice.csv", "--dst", "e")
    (tmp_path / "quote.csv").write_text('a,"b\nc,d\n')
    assert "quote.csv line 2: unexpected end of data" in fails(
        extract, "--tidfile", tmp_path / "quote.csv", "--dst", "e"
    )
    assert "--dst is e.npz" in fails(merge, "--tidfile", tidfile, "--src", tmp_path / "d", "--dst", "e.npz")
    assert "cannot be made" in fails(extract, *options[:4], "--dst", tidfile, *SMALL)
    (tmp_path / "other.csv").write_text("x,x.wav\n")
    other = ["--tidfile", tmp_path / "other.csv", "--src", tmp_path / "d", "--dst", tmp_path / "s.h5"]
    assert "has none of the 1 tracks" in fails(merge, *other)


def test_a_partition_holds_the_tracks_of_its_file_alone(tmp_path):
    tidfile = corpus(tmp_path / "music", 28, 7)
    both(tidfile, tmp_path / "shards")
    part = tmp_path / "part.csv"
    part.write_text("TR0009,9.wav\nTR0003missing,3.wav\nTR0001,1.wav\nnew,new.wav\n")
    given = ["--tidfile", str(part), "--src", str(tmp_path / "shards"), "--dst", str(tmp_path / "part.h5")]
    assert script(merge, [*given, "--log-level", "ERROR"]) == 0
    store = FeatureStore(tmp_path / "part.h5")
    assert store.track_ids == ["TR0009", "TR0001"]
    reasons = {row.id: row.reason for row in store.skipped}
    assert reasons["new"] == "was not extracted into shards"
    assert reasons["TR0003missing"] == REASONS["missing"]


@pytest.mark.slow
def test_what_broke_after_it_was_extracted_and_what_another_list_skipped_stays_skipped(tmp_path):
    tidfile = corpus(tmp_path / "music", 28, 7)
    both(tidfile, tmp_path / "shards")
    (tmp_path / "music" / "1.wav").write_bytes(b"no sound any more")
    some = tmp_path / "some.csv"
    some.write_text("TR0001,1.wav\nTR0002,2.wav\n")
    given = ["--tidfile", str(some), "--src", str(tmp_path / "music"), "--dst", str(tmp_path / "shards"), "--skip"]
    flags = ["--crop", "--pad", "--precision", "16", "--log-level", "ERROR"]
    assert script(extract, [*given, *flags, *SMALL, *LENGTH]) == 0
    given = ["--tidfile", str(tidfile), "--src", str(tmp_path / "shards"), "--dst", str(tmp_path / "again.h5")]
    assert script(merge, [*given, "--log-level", "ERROR"]) == 0
    reasons = {row.id: row.reason for row in FeatureStore(tmp_path / "again.h5").skipped}
    assert len(reasons) == 8
    assert "is not audio" in reasons["TR0001"]
    assert reasons["TR0003missing"] == REASONS["missing"]


def killed_when(ready, *words: object) -> None:
    """Start a script, and kill it with all its workers once ``ready``."""
    process = subprocess.Popen(command(*words), stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 100
    while not ready() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_thousand_files_twenty_faults_killed_and_resumed_are_the_same_bytes(tmp_path):
    tidfile = corpus(tmp_path / "music", 1000, 20)
    undisturbed = both(tidfile, tmp_path / "whole", workers=2)
    shards, store = tmp_path / "shards", tmp_path / "shards.h5"
    options = ["--tidfile", tidfile, "--src", tmp_path / "music", "--dst", shards, "--workers", 2, "--crop", "--pad"]
    options += ["--skip", "--precision", 16, "--log-level", "INFO", *SMALL, *LENGTH]
    for least in (100, 500):
        killed_when(lambda least=least: len(done(shards)) >= least, "extract", *options)
    assert len(done(shards)) < 980
    subprocess.run(command("extract", *options), check=True, capture_output=True, timeout=100)
    given = ["--tidfile", tidfile, "--src", shards, "--dst", store]
    killed_when((tmp_path / "shards.h5.merging").exists, "merge", *given)
    assert not store.exists()
    subprocess.run(command("merge", *given), check=True, capture_output=True, timeout=100)
    assert store.read_bytes() == undisturbed.read_bytes()
    found = FeatureStore(store)
    assert (len(found), len(found.skipped)) == (980, 20)
    assert {row.reason for row in found.skipped if not row.reason} == set()
    assert all(REASONS[row.id[6:]] in row.reason for row in found.skipped)


@pytest.mark.slow
def test_the_scripts_are_programs_of_their_own(tmp_path):
    tidfile = corpus(tmp_path / "music", 8, 1)
    given = ["--tidfile", tidfile, "--src", tmp_path / "music", "--dst", tmp_path / "d", *SMALL, "--workers", 1]
    ran = subprocess.run(command("extract", *given), capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "7 tracks" in ran.stderr
    assert "1 skipped (see skipped.csv)" in ran.stderr
    assert main(["--version"]) == 0
