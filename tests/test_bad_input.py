"""What users bring that cannot be used: one clear line and exit code 2, or a recorded skip; nothing is half written."""

from __future__ import annotations

import csv
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from test_files import no_file_larger_than
from tiny import TINY, Configure, Trained

from crossmodal.audio.frontends import LogMel
from crossmodal.cli import main
from crossmodal.data.extraction import extract
from crossmodal.data.manifest import Manifest
from crossmodal.errors import InputError
from crossmodal.evaluation import build_index, open_run
from crossmodal.model import DualEncoder
from crossmodal.prepare import open_store, read_manifest, store_path
from crossmodal.runs import open_run as start
from crossmodal.search import SearchIndex
from crossmodal.training import fit

RATE = 8000
PARTS = {
    **dict.fromkeys(range(24), "train"),
    **dict.fromkeys(range(24, 32), "valid"),
    **dict.fromkeys(range(32, 40), "test"),
}
BAD = {"missing": "train", "empty": "test", "text": "train", "short": "valid"}  # and their parts
DAMAGED = {"cut": "train", "nan": "train", "silent": "train"}  # what only decoding finds
REASONS = {
    "missing": "the file does not exist",
    "empty": "is empty: 0 bytes",
    "text": "is not audio",
    "short": "lasts 0.050 s",
    "cut": "is truncated",
    "nan": "NaN",
    "silent": "is silent",
}


def sound(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * RATE)).astype(np.float32)


def spoil(folder: Path) -> None:
    """The bad files."""
    (folder / "empty.wav").touch()
    (folder / "text.mp3").write_text("These are words, whatever their name says.\n" * 50)
    soundfile.write(folder / "short.wav", sound(0.05, 0), RATE)
    soundfile.write(folder / "cut.wav", sound(1.2, 1), RATE)
    (folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:9000])
    broken = sound(1.2, 2)
    broken[5000] = np.nan
    soundfile.write(folder / "nan.wav", broken, RATE, subtype="FLOAT")
    soundfile.write(folder / "silent.wav", np.zeros(RATE, np.float32), RATE)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """An experiment on a folder with 40 good files and some bad ones, as a table names them."""
    folder = tmp_path / "music"
    folder.mkdir()
    spoil(folder)
    for number in PARTS:
        soundfile.write(folder / f"{number}.wav", sound(1.2, number), RATE)

    def make(bad: dict[str, str]) -> Path:
        tracks = {str(number): part for number, part in PARTS.items()} | bad
        rows = [
            f"{name},{name}.{'mp3' if name == 'text' else 'wav'},Words about {name}.,{part}"
            for name, part in tracks.items()
        ]
        (folder / "table.csv").write_text("\n".join(["track_id,path,caption,part", *rows]))
        data = {"name": "table", "root": str(folder), "file": "table.csv", "texts": [{"column": "caption"}]}
        content = {**TINY, "data": {**data, "splits": {"mine": "table.csv"}}, "split": "mine"}
        content |= {"features": {"workers": 1, "folder": str(tmp_path / "features")}}
        content |= {"run": {"folder": str(tmp_path / "runs")}, "train": {**TINY["train"], "epochs": 1}}
        (tmp_path / "table.yaml").write_text(yaml.safe_dump(content))
        return tmp_path / "table.yaml"

    return make


def skipped(folder: Path) -> dict[str, str]:
    (path,) = folder.glob("runs/tiny/*/skipped.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["id"] for row in rows})
    return {row["id"]: row["reason"] for row in rows}


def test_files_that_cannot_be_used_are_skipped_recorded_and_counted(
    table: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(table(BAD | DAMAGED))]) == 0
    said = capsys.readouterr().out
    found = skipped(tmp_path)
    assert found.keys() == REASONS.keys()
    wrong = {name: reason for name, reason in found.items() if REASONS[name] not in reason}
    assert not wrong
    assert "7 skipped (see skipped.csv)" in said
    assert "5 tracks have no features" in said  # the other two have no file, or an empty one


def test_waveforms_skip_what_the_header_tells_and_stop_by_name_at_what_decoding_tells(
    table: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(table(BAD)), "features.source=audio"]) == 0
    assert skipped(tmp_path).keys() == BAD.keys()
    assert "4 skipped (see skipped.csv)" in capsys.readouterr().out
    assert main(["train", str(table({"nan": "train"})), "features.source=audio", "train.workers=1"]) == 2
    assert "nan.wav: holds NaN" in capsys.readouterr().err.strip().splitlines()[-1]


def test_nothing_but_bad_files_is_one_line(
    table: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = table(BAD)
    for number in range(40):
        (tmp_path / "music" / f"{number}.wav").write_bytes(b"")
    assert main(["train", str(path)]) == 2
    assert "tracks cannot be used; the first: " in capsys.readouterr().err.strip().splitlines()[-1]


class Evil:
    """A pickle that leaves a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.mark),)


def quiet(_line: str) -> None:
    """Where lines for the screen go."""


@pytest.mark.parametrize("content", ["pickle", "torch", "empty", "words", "other"])
def test_a_state_that_is_none_is_refused_and_never_run(configure: Configure, tmp_path: Path, content: str) -> None:
    with start(configure()) as (run, _):
        run.state.mkdir()
        path, mark = run.state / "last.pt", tmp_path / "executed"
        if content == "pickle":
            path.write_bytes(pickle.dumps(Evil(mark)))
        elif content == "torch":
            torch.save({"progress": Evil(mark)}, path)
        elif content == "other":
            torch.save({"weights": torch.zeros(2)}, path)
        else:
            path.write_bytes(b"" if content == "empty" else b"some words")
        before = path.read_bytes()
        with pytest.raises(InputError, match=r"last\.pt is no saved state") as error:
            fit(run, quiet)
        assert "\n" not in str(error.value)
        assert not mark.exists()
        assert path.read_bytes() == before


def test_a_store_of_another_front_end_is_refused(configure: Configure, tmp_path: Path) -> None:
    config = configure(f"features.folder={tmp_path}/stores")
    manifest = read_manifest(config, quiet)
    mine = LogMel(**config.audio_encoder["frontend"])
    path = store_path(config, manifest, mine)
    extract(manifest.part("combination", "valid"), LogMel(sample_rate=8000, n_fft=256, hop=64, bands=16), path)
    with pytest.raises(InputError, match="was made by another front end: hop 64, not 128"):
        open_store(config, manifest, mine, quiet)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"is not a feature store, or a broken one"):
        open_store(config, manifest, mine, quiet)


def test_an_index_of_another_model_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.folder, tmp_path / "run")
    model = DualEncoder.load(tmp_path / "run")
    with torch.no_grad():
        model.audio_projection.weight.mul_(-1)
    model.save(tmp_path / "run" / "model")
    assert main(["search", str(tmp_path / "run"), "a slow organ"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "the index was built with model" in line


def test_a_run_without_a_model_or_an_index_is_one_line(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained.folder, tmp_path / "run")
    for name in ("index", "model"):
        shutil.rmtree(tmp_path / "run" / name)
        assert main(["search", str(tmp_path / "run"), "a slow organ"]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert str(tmp_path / "run" / name) in line


def test_a_full_disk_stops_training_in_one_line_and_it_goes_on_later(
    configure: Configure, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", str(trained.experiment), f"run.folder={tmp_path}/runs", "tasks={}", "queries=[]"]
    size = (trained.folder / "state" / "last.pt").stat().st_size
    with no_file_larger_than(size - 1000):
        assert main(arguments) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "could not write " in line
    assert "last.pt: " in line
    assert main(arguments) == 0
    assert "continuing" in capsys.readouterr().out


def test_a_full_disk_leaves_the_former_model_and_index_whole(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.folder, tmp_path / "run")
    _, embedded = open_run(tmp_path / "run")
    before = embedded.model.fingerprint
    with torch.no_grad():
        embedded.model.audio_projection.weight.mul_(-1)
    with no_file_larger_than(2000), pytest.raises(InputError, match=r"could not write .*model: "):
        embedded.model.save(tmp_path / "run" / "model")
    assert DualEncoder.load(tmp_path / "run").fingerprint == before
    vectors, part = embedded.vectors("test"), embedded.part("test")
    with no_file_larger_than(2000), pytest.raises(InputError, match="could not write"):
        build_index(tmp_path / "run" / "index", part, vectors)
    assert SearchIndex.open(tmp_path / "run" / "index").fingerprint == before
    with no_file_larger_than(100), pytest.raises(InputError, match=r"could not write .*v\.npz"):
        vectors.save(tmp_path / "v.npz")
    assert not list(tmp_path.glob("*.npz*"))


def test_a_full_disk_while_logging_is_named(configure: Configure) -> None:
    with start(configure()) as (run, _):
        run.log({"step": 1, "loss": 0.5})
        with no_file_larger_than(60), pytest.raises(InputError, match=r"could not write .*metrics\.jsonl"):
            run.log({"step": 2, "words": "x" * 100})
        run.rewind(1)
        run.log({"step": 2, "loss": 0.4})
        assert [row["step"] for row in run.metrics()] == [1, 2]


def test_any_text_has_a_vector(trained: Trained) -> None:
    model = DualEncoder.load(trained.folder)
    texts = [
        "x" * 50_000,
        "words " * 10_000,
        "🎻🎹🥁",
        "موسيقى حزينة",
        "a\x00b",
        "\u202ereversed\u202c",
        "ẞß",
        "\u0301",
    ]
    np.testing.assert_allclose(np.linalg.norm(model.embed_text(texts), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["empty.wav", "text.mp3", "short.wav", "cut.wav", "nan.wav", "silent.wav", "gone.wav"])
def test_a_song_that_cannot_be_used_is_named(
    trained: Trained, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(tmp_path)
    assert main(["search", str(trained.folder), str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(tmp_path / name) in line


def test_a_manifest_that_is_none_is_one_line(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["embed", str(trained.folder), str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert str(tmp_path) in line
    assert len(Manifest.load(trained.folder / "manifest")) == 96
