"""Normalising: the moments are those of numpy, of the training tracks alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from crossmodal.audio.frontends import LogMel
from crossmodal.cli import script
from crossmodal.cli.normalise import normalise as command
from crossmodal.config import Text, Views
from crossmodal.data import normalise as normalising
from crossmodal.data.extraction import extract
from crossmodal.data.loader import Batches, Tags, Texts
from crossmodal.data.manifest import Manifest
from crossmodal.data.normalise import Normaliser, normalise
from crossmodal.data.store import FeatureStore
from crossmodal.errors import InputError

FRONTEND = LogMel(8000, n_fft=512, hop=128, bands=32)
STEREO = LogMel(8000, n_fft=512, hop=128, bands=32, channels=2)
PARTS = {"train": ["t0", "t1", "t2"], "valid": ["t3"], "test": ["t4"]}


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Five tracks in stereo, louder and darker from one to the next, in a split of three parts."""
    rng = np.random.default_rng(0)
    tracks = [track for part in PARTS.values() for track in part]
    for number, track in enumerate(tracks):
        noise = rng.standard_normal((4000 + 1111 * number, 2)) * 0.02 * (number + 1) * [1, 0.2]
        noise[1:] += noise[:-1] * number / 5
        soundfile.write(tmp_path / f"{track}.wav", noise, 8000)
    parts = [{"track_id": track, "name": "s", "part": part} for part, tracks in PARTS.items() for track in tracks]
    table = pd.DataFrame({"track_id": tracks, "path": [f"{track}.wav" for track in tracks]})
    return Manifest.build(table, splits=pd.DataFrame(parts), root=tmp_path)


Stored = Callable[..., FeatureStore]


@pytest.fixture
def stored(manifest: Manifest, tmp_path: Path) -> Stored:
    """Extracts the store of a part."""

    def make(part: str, name: str = "", frontend: LogMel = FRONTEND, **settings: object) -> FeatureStore:
        return extract(manifest.part("s", part), frontend, tmp_path / f"{name or part}.h5", **settings)

    return make


def frames(store: FeatureStore, tracks: list[str]) -> np.ndarray:
    return np.concatenate([store[track] for track in tracks]).astype(np.float64)


@pytest.mark.parametrize("chunk", [7, 1 << 14])
@pytest.mark.parametrize(("frontend", "precision"), [(FRONTEND, 16), (STEREO, 32)], ids=["mono", "stereo"])
def test_moments_are_those_of_numpy(
    stored: Stored, monkeypatch: pytest.MonkeyPatch, chunk: int, frontend: LogMel, precision: int
) -> None:
    monkeypatch.setattr(normalising, "CHUNK", chunk)
    store = stored("train", frontend=frontend, precision=precision)
    found = Normaliser.fit(store)
    every = frames(store, PARTS["train"])
    assert found.mean.shape == frontend.shape
    np.testing.assert_allclose(found.mean, every.mean(0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.std, every.std(0), rtol=0, atol=1e-9)
    assert (found.tracks, found.frames, found.frontend) == (3, len(every), frontend.fingerprint)


def test_no_digits_are_lost_where_the_mean_is_large() -> None:
    values = np.random.default_rng(0).standard_normal((1000, 3)) + 1e8
    _, mean, squares = normalising._moments(np.array_split(values, 13))
    np.testing.assert_allclose(mean, [math.fsum(column) / 1000 for column in values.T], rtol=1e-14)
    np.testing.assert_allclose(np.sqrt(squares / 1000), values.std(0), rtol=1e-7)


def test_fitted_on_train_and_applied_to_all(stored: Stored, tmp_path: Path) -> None:
    raw = {part: stored(part, frontend=STEREO, precision=32) for part in PARTS}
    found = normalise(raw["train"], [raw["valid"], raw["test"]], tmp_path / "out")
    every = frames(raw["train"], PARTS["train"])
    for part, store in zip(PARTS, found, strict=True):
        assert store.path == tmp_path / "out" / f"{part}.h5"
        assert store.track_ids == PARTS[part]
        for track in store.track_ids:
            expected = (raw[part][track] - every.mean(0)) / every.std(0)
            np.testing.assert_allclose(store[track], expected, atol=1e-4)
    train = frames(found[0], PARTS["train"])
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-5)
    assert abs(frames(found[1], PARTS["valid"]).mean()) > 0.1  # the others keep what sets them apart
    assert (tmp_path / "out" / "valid.skipped.csv").exists()


def test_what_is_saved_is_loaded_and_nothing_else(stored: Stored, tmp_path: Path) -> None:
    store = stored("train")
    made = Normaliser.fit(store)
    made.save(tmp_path / "n.json")
    again = Normaliser.load(tmp_path / "n.json")
    assert again.fingerprint == made.fingerprint
    np.testing.assert_array_equal(again.mean, made.mean)
    np.testing.assert_array_equal(again.std, made.std)
    content = json.loads((tmp_path / "n.json").read_text())
    assert content["tracks"] == 3
    assert content["track_hash"] == Normaliser.fit(store, ["t2", "t0", "t1"]).track_hash
    assert content["track_hash"] != Normaliser.fit(store, ["t2", "t0"]).track_hash
    for key, value in (("mean", [0.0] * 32), ("version", 9), ("std", "text")):
        (tmp_path / "other.json").write_text(json.dumps(content | {key: value}))
        with pytest.raises(InputError, match=r"other\.json"):
            Normaliser.load(tmp_path / "other.json")


def test_a_band_of_one_value_becomes_zero_and_stays_finite(manifest: Manifest, stored: Stored, tmp_path: Path) -> None:
    """Tones below 500 Hz, and the floor above."""
    times = np.arange(8000) / 8000
    for number in range(5):
        soundfile.write(tmp_path / f"t{number}.wav", np.sin(600 * times * (number + 1)) * np.hanning(8000), 8000)
    frontend = LogMel(8000, n_fft=512, hop=128, bands=32, floor_db=-20.0)
    train, valid = (stored(part, frontend=frontend) for part in ("train", "valid"))
    found, other = normalise(train, [valid], tmp_path / "out")
    flat = Normaliser.load(tmp_path / "out" / "normaliser.json").std == 0
    assert 0 < flat.sum() < 32
    assert (frames(found, PARTS["train"])[:, flat] == 0).all()
    assert np.isfinite(frames(found, PARTS["train"])).all()
    assert np.isfinite(frames(other, PARTS["valid"])).all()


def test_silence_is_normalised_and_pads_a_batch(manifest: Manifest, stored: Stored, tmp_path: Path) -> None:
    raw = stored("train", precision=32)
    (store,) = normalise(raw, [], tmp_path / "out")
    every = frames(raw, PARTS["train"])
    silence = (FRONTEND.silence - every.mean(0)) / every.std(0)
    np.testing.assert_allclose(store.silence, silence, rtol=1e-5)
    texts, tags = Texts(manifest, Text()), Tags(manifest)
    (batch,) = Batches(["t0", "t1"], store, texts, tags, lambda texts: {}, 2, Views(), 60, 0, 0)[0]
    for row, track in enumerate(batch.tracks):
        length = int(batch.lengths[0, row])
        np.testing.assert_array_equal(batch.audio[0, row, :length], store[f"t{int(track)}"])
        np.testing.assert_allclose(batch.audio[0, row, length:], np.tile(silence, (60 - length, 1)), rtol=1e-5)


def test_no_encoder_takes_it_for_raw(stored: Stored, tmp_path: Path) -> None:
    raw = stored("train")
    (store,) = normalise(raw, [], tmp_path / "out")
    assert store.fingerprint != raw.fingerprint
    assert (raw.normalised, len(store.normalised)) == ("", 16)
    with pytest.raises(InputError, match=r"out/train\.h5 is normalised, and encoders expect"):
        store.check(FRONTEND)
    raw.check(FRONTEND)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the script; what it says of a mistake, or nothing."""

    def run(*arguments: object) -> str:
        code = script(command, [str(argument) for argument in arguments])
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("crossmodal: ")]
        assert (code, len(said)) in {(0, 0), (2, 1)}
        return "".join(said)

    return run


def test_the_script_with_a_store_a_part(stored: Stored, tmp_path: Path, run: Callable[..., str]) -> None:
    train, valid, test = (stored(part).path for part in PARTS)
    assert run("--train", train, "--apply", valid, test, "--dst", tmp_path / "out") == ""
    assert [FeatureStore(tmp_path / "out" / f"{part}.h5").track_ids for part in PARTS] == list(PARTS.values())
    expected = Normaliser.fit(FeatureStore(train))
    assert Normaliser.load(tmp_path / "out" / "normaliser.json").fingerprint == expected.fingerprint


def test_the_script_with_a_store_of_all_and_a_split(
    manifest: Manifest, stored: Stored, tmp_path: Path, run: Callable[..., str]
) -> None:
    manifest.save(tmp_path / "m")
    extract(manifest.select(["t0", "t2", "t3", "t4"]), FRONTEND, tmp_path / "all.h5")  # t1 could not be used
    given = ("--train", tmp_path / "all.h5", "--dst", tmp_path / "out")
    assert run(*given, "--manifest", tmp_path / "m", "--split", "s") == ""
    store = FeatureStore(tmp_path / "all.h5")
    mean = frames(store, ["t0", "t2"]).mean(0)
    np.testing.assert_allclose(Normaliser.load(tmp_path / "out" / "normaliser.json").mean, mean, atol=1e-9)
    assert FeatureStore(tmp_path / "out" / "all.h5").track_ids == ["t0", "t2", "t3", "t4"]
    assert "--manifest and --split go together" in run(*given, "--split", "s")
    assert "there is no split 'x'" in run(*given, "--manifest", tmp_path / "m", "--split", "x")
    leak = run(*given, "--apply", stored("train").path, "--manifest", tmp_path / "m", "--split", "s")
    assert "has 2 tracks of the training part: t0, t2" in leak


def test_the_script_refuses_what_would_mislead(stored: Stored, tmp_path: Path, run: Callable[..., str]) -> None:
    train, valid = stored("train").path, stored("valid").path
    other = stored("valid", "other", LogMel(8000, n_fft=512, hop=64, bands=32)).path
    stereo = stored("valid", "stereo", STEREO).path
    assert run("--train", train, "--dst", tmp_path / "done") == ""
    done = tmp_path / "done" / "train.h5"

    def refusal(*apply: Path, train: Path = train, dst: Path = tmp_path / "out") -> str:
        said = run("--train", train, *(["--apply", *apply] if apply else []), "--dst", dst)
        assert not (tmp_path / "out").exists()
        return said

    assert "other.h5 is of another front end" in refusal(valid, other)
    assert "is of another front end" in refusal(stereo)
    assert "train.h5 is normalised already" in refusal(done)
    assert "train.h5 is normalised already" in refusal(train=done)
    assert "train.h5 has 3 tracks of the training part: t0, t1, t2" in refusal(train)
    assert "two stores have one name" in refusal(valid, valid)
    assert "there is no feature store" in refusal(tmp_path / "gone.h5")
    assert "would be overwritten" in refusal(dst=tmp_path)
