from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import Answer, Trained

import crossmodal
from crossmodal import cli
from crossmodal.cli import main
from crossmodal.data.manifest import Manifest
from crossmodal.data.store import FeatureStore
from crossmodal.errors import Interrupted
from crossmodal.model import DualEncoder
from crossmodal.search import SearchIndex

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def song(trained: Trained) -> Path:
    manifest = Manifest.load(trained.folder / "manifest")
    return manifest.path(manifest.part("combination", "test").tracks["track_id"][4])


def test_search_with_words(ask: Answer, trained: Trained) -> None:
    lines = ask("search", trained.folder, "a slow organ", "-k", 3).splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert all("No. " in line and " s " in line and line.endswith(".wav") for line in lines)


def test_search_with_a_song(ask: Answer, trained: Trained, song: Path) -> None:
    hits = json.loads(ask("search", trained.folder, song, "--json", "--copies"))
    model, index = DualEncoder.load(trained.folder), SearchIndex.open(trained.folder / "index")
    expected = index.search(model.embed_audio([song]), 10)[0]
    assert [(hit["track_id"], hit["score"]) for hit in hits] == [(hit.track_id, hit.score) for hit in expected]
    assert str(song) in {hit["path"] for hit in hits}
    assert str(song) not in {hit["path"] for hit in json.loads(ask("search", trained.folder, song, "--json", "-k", 60))}
    assert hits[0].keys() >= {"rank", "track_id", "score", "start", "end", "title", "artist", "album", "path"}
    assert 0 <= hits[0]["start"] < hits[0]["end"] <= 3.1


def test_an_experiment_s_folder_means_its_newest_run(ask: Answer, trained: Trained) -> None:
    words = "çok yavaş bir org"
    assert ask("search", trained.folder.parent, words) == ask("search", trained.folder, words)


def test_a_missing_song_is_an_error_unless_it_is_said_to_be_words(ask: Answer, fail: Answer, trained: Trained) -> None:
    assert fail("search", trained.folder, "no such.MP3") == (
        "no such.MP3 does not exist; to search for these words, add --text"
    )
    assert ask("search", trained.folder, "no such.MP3", "--text")


def test_the_words_may_be_those_of_a_file(ask: Answer, trained: Trained, song: Path) -> None:
    assert ask("search", trained.folder, song, "--text") != ask("search", trained.folder, song)


@pytest.mark.parametrize("query", ["🎻🎻", "موسيقى بطيئة", "slow " * 10_000, "no. 5", "/"])
def test_any_words_are_answered(ask: Answer, trained: Trained, query: str) -> None:
    assert len(json.loads(ask("search", trained.folder, query, "--json", "-k", 2))) == 2


@pytest.mark.parametrize("query", ["", "  \n"])
def test_no_words_are_refused(fail: Answer, trained: Trained, query: str) -> None:
    assert fail("search", trained.folder, query) == "the query is empty; give at least one word"


def test_evaluate_by_the_experiment_s_tasks(ask: Answer, trained: Trained) -> None:
    results = json.loads(ask("evaluate", trained.folder, "--json"))
    kept = json.loads((trained.folder / "results.json").read_text())
    assert results["tasks"] == kept["tasks"]
    lines = ask("evaluate", trained.folder, "--part", "valid").splitlines()
    assert any(line.startswith("retrieval text_to_audio/recall@10: ") and "chance" in line for line in lines)
    assert "part valid, 8 tracks" in lines[-1]


def test_evaluate_by_named_tasks(ask: Answer, fail: Answer, trained: Trained) -> None:
    chosen = ("--task", "probe.tagsets=[register]", "--task", "probe.draws=10", "--task", "retrieval.draws=0")
    results = json.loads(ask("evaluate", trained.folder, *chosen, "--json"))
    assert results["tasks"].keys() == {"probe", "retrieval"}
    assert results["tasks"]["probe"]["settings"] == {"tagsets": ["register"], "draws": 10}
    measures = ("balanced_accuracy", "accuracy", "macro_f1")
    assert results["tasks"]["probe"]["metrics"].keys() == {f"register/{measure}" for measure in measures}
    assert "has no 'prob'" in fail("evaluate", trained.folder, "--task", "prob")
    assert "tagsets is 3" in fail("evaluate", trained.folder, "--task", "probe.tagsets=3")
    assert "no setting 'tagset'" in fail("evaluate", trained.folder, "--task", "probe.tagset=key")
    assert "--task: probe is 3 (int), but must be mapping" in fail("evaluate", trained.folder, "--task", "probe=3")
    assert "tasks.probe has no setting 'name'" in fail("evaluate", trained.folder, "--task", "probe.name=x")


def test_embed_index_and_features_by_a_manifest(ask: Answer, fail: Answer, trained: Trained, tmp_path: Path) -> None:
    manifest = Manifest.load(trained.folder / "manifest").part("combination", "valid")
    manifest.save(tmp_path / "valid")
    assert "8 tracks; 0 skipped" in ask("embed", trained.folder, tmp_path / "valid", "--out", tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as saved:
        assert saved["vectors"].shape == (8, 16)
    more = ("--out", tmp_path / "v.parquet", "--segments", "--workers", 1)
    assert "24 segments of 8 tracks; 0 skipped" in ask("embed", trained.folder, tmp_path / "valid", *more)
    assert len(pd.read_parquet(tmp_path / "v.parquet")) == 24
    said = ask("index", trained.folder, tmp_path / "valid", "--out", tmp_path / "index", "--workers", 1)
    assert said.endswith("8 tracks in 24 segments; 0 skipped\n")
    assert len(SearchIndex.open(tmp_path / "index")) == 8
    hits = json.loads(ask("search", trained.folder, "organ", "--index", tmp_path / "index", "--json"))
    assert {hit["track_id"] for hit in hits} == set(manifest.tracks["track_id"])
    frontend = ("--frontend", "bands=8", "--frontend", "n_fft=512", "--workers", 1)
    ask("features", tmp_path / "valid", "--out", tmp_path / "s.h5", *frontend)
    store = FeatureStore(tmp_path / "s.h5")
    assert (len(store), store.frontend_settings["bands"]) == (8, 8)
    preset = ("--frontend", "schindler", "--frontend", "hop=1024", "--workers", 1)
    ask("features", tmp_path / "valid", "--out", tmp_path / "stereo.h5", *preset)
    settings = FeatureStore(tmp_path / "stereo.h5").frontend_settings
    assert (settings["name"], settings["hop"], settings["channels"]) == ("log_mel", 1024, 2)
    refused = ("features", tmp_path / "valid", "--out", tmp_path / "no.h5", "--frontend")
    assert "--frontend is 'mel'; there are log_mel, cqt, raw" in fail(*refused, "mel")
    assert "--frontend has no setting 'hopp'" in fail(*refused, "hopp=3")


def test_data_writes_a_manifest(ask: Answer, fail: Answer, tmp_path: Path) -> None:
    settings = (f"root={tmp_path}/audio", "tracks=12", "duration_s=1.0", "sample_rate=8000", "workers=1")
    said = ask("data", "synthetic", *settings, "--out", tmp_path / "m", "--read-audio")
    assert "12 tracks" in said
    assert "0 skipped (see skipped.csv), 0 problems" in said
    assert len(Manifest.load(tmp_path / "m")) == 12
    assert "no setting 'trakcs'" in fail("data", "synthetic", "root=x", "trakcs=3")
    assert "has no 'sintetic'" in fail("data", "sintetic")
    assert "is not an override" in fail("data", "synthetic", "root")


def test_train_names_what_is_wrong(fail: Answer, trained: Trained, tmp_path: Path) -> None:
    def wrong(*overrides: str) -> str:
        return fail("train", trained.experiment, f"run.folder={tmp_path}", *overrides)

    assert "no setting 'epocs'" in wrong("train.epocs=3")
    assert "no setting 'trian'" in wrong("trian=3")
    assert "epochs is -1" in wrong("train.epochs=-1")
    assert "no setting 'depth'" in wrong("audio_encoder.depth=3")
    assert "there is no train.patience" in wrong("~train.patience")
    assert "No such file" in fail("train", tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["search"], "Missing argument"),
        (["serach", "x"], "No such command 'serach'"),
        (["search", "a", "b", "--jsno"], "No such option: --jsno"),
        (["search", "a", "b", "-k", "0"], "Invalid value for '-k'"),
        (["search", "a", "b", "-k", "many"], "Invalid value for '-k'"),
        (["features", "m", "--out", "o", "--precision", "8"], "--precision is 8; it is 16 or 32"),
        (["search", "nowhere", "b"], "nowhere is no run"),
        (["embed", "nowhere", "m"], "nowhere is no run"),
        (["embed", "nowhere", "m", "--out", "v.csv"], "v.csv: vectors are written as .npz, .pt, .parquet, not as .csv"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(fail: Answer, arguments: list[str], match: str) -> None:
    assert match in fail(*arguments)


def test_nothing_asked_shows_the_help(ask: Answer) -> None:
    assert "search" in ask()
    assert ask() == ask("--help")


def test_version(ask: Answer) -> None:
    assert ask("--version") == f"{crossmodal.__version__}\n"


def test_a_stop_is_a_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    def stops(*_arguments: object, **_settings: object) -> None:
        raise Interrupted("stopped after step 3")

    assert main([], stops) == 130
    assert capsys.readouterr().err == "crossmodal: stopped after step 3\n"


def test_an_error_of_the_program_is_not_hidden() -> None:
    def breaks(*_arguments: object, **_settings: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        main([], breaks)


def test_train_without_arguments_means_the_quickstart(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr("crossmodal.config.load", lambda path, given: asked.append((Path(path), list(given))))
    monkeypatch.setattr("crossmodal.config.budget", lambda path, given: {})
    monkeypatch.setattr("crossmodal.training.train", lambda config, say: None)
    script = ROOT / "scripts" / "train_crossmodal.py"
    monkeypatch.setattr(sys, "argv", [str(script), "train.epochs=1"])
    with pytest.raises(SystemExit) as stop:
        exec(compile(script.read_text(), script, "exec"), {"__name__": "__main__"})
    assert stop.value.code == 0
    assert main(["train"]) == 0
    assert main(["train", "mine.yaml", "~optimizer.lr"]) == 0
    quickstart = ROOT / "experiments" / "quickstart.yaml"
    assert asked == [(quickstart, ["train.epochs=1"]), (quickstart, []), (Path("mine.yaml"), ["~optimizer.lr"])]
    assert cli.QUICKSTART.samefile(quickstart)


def test_help_loads_no_torch() -> None:
    code = (
        "import sys; from crossmodal.cli import main; code = main(['--help']); "
        "heavy = {'torch', 'pandas', 'transformers', 'sklearn', 'faiss'} & set(sys.modules); "
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert all(verb in done.stdout for verb in ("train", "data", "features", "embed", "index", "search", "evaluate"))
