"""The ledger of a folder in which everything is wrong that can be, and of one where nothing is."""

from __future__ import annotations

import hashlib
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from sounds import music

from crossmodal.data import listening
from crossmodal.data.engine import Processes
from crossmodal.data.ledger import Ledger, check
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError

RATE = 22_050


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files with every fault."""
    home = tmp_path_factory.mktemp("audio")
    tune = music(3, 1, RATE)
    soundfile.write(home / "tune.wav", tune, RATE)
    soundfile.write(home / "tune.ogg", np.pad(tune, (6_626, 0)) / 2, RATE)
    shutil.copy(home / "tune.wav", home / "copy.wav")
    soundfile.write(home / "stereo.flac", np.stack([music(2, 2, RATE), music(2, 3, RATE)], axis=1), RATE)
    soundfile.write(home / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(home / "short.wav", tune[:1_000], RATE)
    soundfile.write(home / "cut.wav", music(2, 4, RATE), RATE)
    (home / "cut.wav").write_bytes((home / "cut.wav").read_bytes()[:30_000])
    soundfile.write(home / "really_a_wav.mp3", music(2, 5, RATE), RATE, format="WAV")
    soundfile.write(home / "rate.wav", music(2, 6, RATE), RATE)
    soundfile.write(home / "long.wav", music(4, 7, RATE), RATE)
    (home / "empty.wav").touch()
    (home / "text.wav").write_text("no music")
    return home


NAMES = ["tune.wav", "tune.ogg", "copy.wav", "stereo.flac", "silent.wav", "short.wav", "cut.wav", "really_a_wav.mp3"]
NAMES += ["rate.wav", "long.wav", "empty.wav", "text.wav", "gone.wav"]


def manifest(folder, names=NAMES):
    tracks = pd.DataFrame({"track_id": [name.replace(".", "_") for name in names], "path": names})
    tracks["sample_rate"] = tracks["path"].map({"rate.wav": 44_100, "tune.wav": RATE}).fillna(0)
    tracks["duration"] = tracks["path"].map({"long.wav": 2.0, "tune.wav": 3.0})
    tracks["licence"] = tracks["path"].map({"long.wav": "CC BY-NC 4.0", "rate.wav": ""}).fillna("CC BY 4.0")
    parts = [("tune_wav", "train"), ("tune_ogg", "test"), ("copy_wav", "train"), ("long_wav", "valid")]
    splits = pd.DataFrame([(track, "mine", part) for track, part in parts], columns=["track_id", "name", "part"])
    splits = pd.concat([splits, splits.assign(name="all in one", part="train")])
    return Manifest.build(tracks, splits=splits[splits["track_id"].isin(tracks["track_id"])], root=folder)


@pytest.fixture(scope="module")
def ledger(folder, tmp_path_factory):
    return check(manifest(folder), tmp_path_factory.mktemp("work"))


def test_a_row_a_track_in_order(ledger):
    table = ledger.table.set_index("path")
    assert list(table.index) == NAMES
    kinds = table["kind"].to_dict()
    assert {name: kind for name, kind in kinds.items() if kind != "ok"} == {
        "silent.wav": "silent",
        "short.wav": "too short",
        "cut.wav": "corrupt",
        "empty.wav": "missing",
        "text.wav": "corrupt",
        "gone.wav": "missing",
    }
    assert ((table["status"] == "ok") == (table["kind"] == "ok")).all()
    assert table.loc["cut.wav", "status"].startswith("is truncated")


def test_what_a_file_is(ledger, folder):
    table = ledger.table.set_index("path")
    stereo = table.loc["stereo.flac"]
    assert (stereo["channels"], stereo["sample_rate"], stereo["format"], stereo["subtype"]) == (
        2,
        RATE,
        "FLAC",
        "PCM_16",
    )
    assert stereo["duration_s"] == stereo["header_duration_s"] == pytest.approx(2)
    tune = table.loc["tune.wav"]
    assert (tune["declared_sample_rate"], tune["declared_duration_s"]) == (RATE, 3.0)
    assert tune["sha256"] == hashlib.sha256((folder / "tune.wav").read_bytes()).hexdigest()
    assert tune["peak_dbfs"] == pytest.approx(20 * math.log10(np.abs(soundfile.read(folder / "tune.wav")[0]).max()))
    assert table.loc["tune.ogg", "loudness_lufs"] == pytest.approx(tune["loudness_lufs"] - 6.02, abs=0.3)
    assert math.isnan(table.loc["gone.wav", "duration_s"])
    assert table.loc["gone.wav", "sha256"] == table.loc["empty.wav", "sha256"] == ""
    assert 0 < table.loc["cut.wav", "duration_s"] < 1
    assert table.loc["cut.wav", "sha256"] != ""


def test_licences(ledger):
    permits = ledger.table.set_index("path")["commercial"]
    assert permits["tune.wav"]
    assert not permits["long.wav"]
    assert permits["rate.wav"] is pd.NA


def test_duplicates_and_clusters(ledger):
    pairs = ledger.duplicates.set_index(["track_a", "track_b"])
    assert pairs["kind"].to_dict() == {("tune_wav", "copy_wav"): "exact", ("tune_wav", "tune_ogg"): "near"}
    assert pairs["splits"].to_dict() == {("tune_wav", "copy_wav"): "", ("tune_wav", "tune_ogg"): "mine train/test"}
    assert pairs.loc[("tune_wav", "tune_ogg"), "offset_s"] == pytest.approx(-6_626 / RATE, abs=2e-3)
    assert ledger.clusters.to_dict() == dict.fromkeys(["tune_wav", "tune_ogg", "copy_wav"], "tune_wav")


def test_problems_are_told_by_kind(ledger):
    assert ledger.problems() == [
        "2 files are missing or empty: empty_wav (is empty (0 bytes)), gone_wav (there is no such file)",
        f"2 files are corrupt: cut_wav ({reason(ledger, 'cut_wav')}), text_wav ({reason(ledger, 'text_wav')})",
        f"1 files are silent: silent_wav ({reason(ledger, 'silent_wav')})",
        f"1 files are too short: short_wav ({reason(ledger, 'short_wav')})",
        "1 files have another sample rate than their table says: rate_wav (22050 Hz)",
        "1 files last longer or shorter than their table says: long_wav (4 s)",
        "1 files are of another format than their suffix says: really_a_wav_mp3 (WAV)",
        "1 pairs of files are the same: tune_wav and copy_wav",
        "1 pairs of files sound the same: tune_wav and tune_ogg",
        "1 duplicates lie in different parts of split 'mine': tune_wav and tune_ogg",
    ]
    assert ledger.terms() == [
        "1 of 13 tracks forbid commercial use of a model: CC BY-NC 4.0 1",
        "1 of 13 tracks do not say in known words if they allow it: no licence 1",
    ]


def reason(ledger, track):
    return ledger.table.set_index("track_id").loc[track, "status"]


def test_saved_and_loaded(ledger, tmp_path):
    ledger.save(tmp_path / "ledger")
    assert sorted(path.name for path in (tmp_path / "ledger").iterdir()) == ["duplicates.csv", "ledger.parquet"]
    loaded = Ledger.load(tmp_path / "ledger")
    pd.testing.assert_frame_equal(loaded.table, ledger.table)
    pd.testing.assert_frame_equal(loaded.duplicates, ledger.duplicates)
    assert loaded.problems() == ledger.problems()


def test_a_broken_ledger_is_told_in_one_line(ledger, tmp_path):
    with pytest.raises(InputError, match="is not a ledger"):
        Ledger.load(tmp_path / "none")
    ledger.save(tmp_path / "ledger")
    (tmp_path / "ledger" / "duplicates.csv").unlink()
    with pytest.raises(InputError, match="is not a ledger"):
        Ledger.load(tmp_path / "ledger")


def test_nothing_is_wrong(folder, tmp_path):
    ledger = check(manifest(folder, ["stereo.flac", "tune.wav"]), tmp_path / "work")
    assert ledger.problems() == []
    assert len(ledger.duplicates) == len(ledger.clusters) == 0
    ledger.save(tmp_path / "ledger")
    assert Ledger.load(tmp_path / "ledger").problems() == []


def test_no_tracks_and_none_that_can_be_used(folder, tmp_path):
    assert check(manifest(folder, []), tmp_path / "none").problems() == []
    ledger = check(manifest(folder, ["gone.wav", "text.wav"]), tmp_path / "bad")
    assert [line.split(":")[0] for line in ledger.problems()] == ["1 files are missing or empty", "1 files are corrupt"]


def test_it_resumes_and_only_hears_what_is_new(folder, tmp_path, monkeypatch):
    some = manifest(folder, ["tune.wav", "stereo.flac", "text.wav"])
    first = check(some, tmp_path / "work")
    heard = []
    listen = listening.listen
    monkeypatch.setattr(listening, "listen", lambda job, write: heard.append(job.track_id) or listen(job, write))
    pd.testing.assert_frame_equal(check(some, tmp_path / "work").table, first.table)
    assert heard == []
    more = check(manifest(folder, ["tune.wav", "rate.wav", "stereo.flac", "tune.ogg"]), tmp_path / "work")
    assert heard == ["rate_wav", "tune_ogg"]
    assert len(more.duplicates) == 1


@pytest.mark.slow
def test_processes_write_the_same_ledger(folder, tmp_path, ledger):
    other = check(manifest(folder), tmp_path / "work", Processes(2))
    pd.testing.assert_frame_equal(other.table, ledger.table)
    pd.testing.assert_frame_equal(other.duplicates, ledger.duplicates)
