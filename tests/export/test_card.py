from __future__ import annotations

from pathlib import Path

import exports
import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard

from crossmodal.data.splits import split_hash
from crossmodal.datasets.magnatagatune import MagnaTagATune
from crossmodal.export.card import Export, card, table
from crossmodal.files import read_json, write_json
from crossmodal.model import DualEncoder
from crossmodal.runs import Run

EXPORT = Export(("sentence-transformers", "onnx"), None, "me/name", {"audio": 2e-7, "text": 3e-6})


@pytest.fixture(scope="module")
def run(made: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return exports.a_run(tmp_path_factory.mktemp("runs") / "one", made)


def front(text: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_the_front_matter_is_of_the_run(run: Run, made: DualEncoder) -> None:
    found = front(card(run, made, EXPORT))
    assert found["language"] == ["de", "en", "es", "fr", "it", "tr"]  # de of a text, the others of sentences of tags
    assert (found["license"], found["library_name"]) == ("unknown", "sentence-transformers")
    assert "text-to-audio-retrieval" in found["tags"]  # type: ignore[operator]
    assert front(card(run, made, EXPORT._replace(licence="cc-by-nc-4.0")))["license"] == "cc-by-nc-4.0"


def test_the_hub_reads_the_figures(made: DualEncoder, tmp_path: Path) -> None:
    run = exports.a_run(tmp_path / "run", made)
    path = run.folder / "protocols" / "mtat" / "results.json"
    found = read_json(path)
    found["tasks"]["probe"]["metrics"] |= {"a/map": {"value": 0.1 + 0.2}, "b/map": {"value": None}}
    found["tasks"]["probe"]["metrics"] |= {"c/map": {"value": 1e-17}, "c/accuracy": {"value": 1.0}}
    write_json(path, found)
    (tmp_path / "README.md").write_text(card(run, made, EXPORT), encoding="utf-8")
    data = ModelCard.load(tmp_path / "README.md").data
    about = {"dataset_type": "elsewhere-fma", "dataset_name": "elsewhere, fma", "dataset_config": "combination"}
    about |= {"dataset_split": "test", "dataset_revision": "abcd"}
    shown = [("retrieval", "text_to_audio/recall@10", "The experiment tiny", 0.12345)]
    for name, value in (("top50/map", 0.77777), ("a/map", 0.1 + 0.2), ("c/map", 1e-17)):
        shown.append(("probe", name, "Protocol mtat", value))
    assert data.model_name == "me/name"
    assert data.eval_results == [
        EvalResult(task_type=task, metric_type=name, metric_name=f"{name} ({title})", metric_value=value, **about)
        for task, name, title, value in shown
    ]
    assert data.training_sources == ["elsewhere", "magnatagatune"]


def test_what_began_with_the_weights_of_others_has_unknown_sources(made: DualEncoder, tmp_path: Path) -> None:
    run = exports.a_run(tmp_path / "run", made, weights={"path": "others.pt"})
    assert front(card(run, made, EXPORT))["training_sources"] == ["elsewhere", "magnatagatune", "unknown"]


def test_data_are_those_it_was_trained_on(run: Run, made: DualEncoder) -> None:
    text = card(run, made, EXPORT)
    manifest = exports.manifest()
    assert (
        f"3 of 6 tracks: the part train of the split combination (hash {split_hash(manifest, 'combination')})" in text
    )
    source = MagnaTagATune
    assert f"| magnatagatune | 2 | 2.00 | {source.licence} | {source.citation} |" in text
    assert "| elsewhere | 1 | 1.00 | CC0-1.0 |" in text  # not a data set of the package: of the one that read it
    assert "| CC BY-NC-SA 1.0 | 2 |\n| none stated | 1 |" in text
    assert "2 of 3 tracks forbid commercial use of a model" in text
    assert "| not stated | title | 1 |\n| de | review | 1 |" in text
    assert "gtzan" not in text
    assert "| ja |" not in text


def test_figures_are_those_that_were_recorded(run: Run, made: DualEncoder) -> None:
    text = card(run, made, EXPORT)
    assert "| text_to_audio/recall@10 | 0.123 | 0.100 to 0.200 | 0.010 | 1,234 |" in text
    assert "| text_to_audio/review/de/map | undefined |" in text.partition("<details>")[2]
    assert "### Protocol mtat\n\nFifty tags. Split combination (hash abcd), part test, 2 tracks.\n" in text
    assert "| top50/map | 0.778 |" in text
    assert f"Model {made.fingerprint}" in text
    assert "Trained with torch 9.9." in text
    assert "2e-07 (audio), 3e-06 (text)" in text
    assert "No licence has been chosen" in text
    assert str(run.folder) not in text  # nor any other path of the machine


def test_what_is_synthetic_is_called_so(made: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = exports.manifest()
    monkeypatch.setattr(exports, "manifest", lambda: whole)
    whole.tracks["source"] = "synthetic"
    assert "**Every track of its training is synthetic**" in card(exports.a_run(tmp_path / "a", made), made, EXPORT)
    whole.tracks.loc[0, "source"] = "gtzan"
    assert "synthetic**" not in card(exports.a_run(tmp_path / "b", made), made, EXPORT)


def test_a_run_of_audio_alone_that_was_not_judged(tmp_path: Path) -> None:
    made = exports.model(text={"name": "none"})
    run = exports.a_run(tmp_path / "run", made)
    (run.folder / "results.json").unlink()
    (run.folder / "protocols" / "mtat" / "results.json").unlink()
    text = card(run, made, EXPORT._replace(formats=("onnx",)))
    assert "language" not in front(text)
    assert front(text)["library_name"] == "onnx"
    assert not {"model-index", "model_name"} & front(text).keys()
    assert "the model reads no text" in text
    assert "It was not judged." in text
    assert "language of the texts" not in text
    assert "text encoder" in text
    assert "sentence_transformers" not in text


def test_languages_that_were_left_out_are_not_told(made: DualEncoder, tmp_path: Path) -> None:
    run = exports.a_run(tmp_path / "run", made, text={"languages": ["tr"], "tag_sentences": 0.0})
    assert "language" not in front(card(run, made, EXPORT))


def test_a_cell_stays_a_cell() -> None:
    assert table(("a", "b"), [("x|y", "two\nlines")]) == ["| a | b |", "| --- | --- |", "| x\\|y | two lines |"]
