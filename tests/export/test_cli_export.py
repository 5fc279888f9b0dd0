"""The command, and the folder it writes; the graphs run in torch here."""

from __future__ import annotations

from pathlib import Path

import exports
import pytest
from tiny import Answer

from crossmodal.export import graphs, hub
from crossmodal.export.onnx_runtime import OnnxEncoder
from crossmodal.model import DualEncoder


@pytest.fixture(scope="module")
def run(made: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exports.a_run(tmp_path_factory.mktemp("runs") / "one", made).folder


def test_a_run_becomes_a_folder(
    run: Path, made: DualEncoder, tmp_path: Path, ask: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = []
    monkeypatch.setattr(hub, "push", lambda *given: uploads.append(given) or "https://hub/me/it")
    out = tmp_path / "out"
    with exports.torch_in_its_place(monkeypatch):
        command = (
            "export",
            run,
            "--out",
            out,
            "--format",
            "onnx",
            "--licence",
            "mit",
            "--push-to",
            "me/it",
            "--private",
        )
        said = ask(*command).splitlines()
        assert OnnxEncoder(out).fingerprint == made.fingerprint
        ask("export", run, "--out", out, "--format", "onnx")  # again, over what it wrote itself
    assert [line.partition(" differ")[0] for line in said[:2]] == [
        "onnx: the audio encoder's vectors",
        "onnx: the text encoder's vectors",
    ]
    assert said[2:] == [f"{out}: onnx; the card is README.md", "uploaded to https://hub/me/it"]
    assert uploads == [(out, "me/it", True)]
    names = {"README.md", "onnx", "onnx.json", "audio_encoder.onnx", "text_encoder.onnx", "tokenizer.json"}
    assert {path.name for path in out.rglob("*")} == names | {"frontend.npz"}


def test_the_card_loads_the_model_by_its_name_on_the_hub(
    run: Path, tmp_path: Path, ask: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "push", lambda *_: "https://hub/me/it")
    with exports.torch_in_its_place(monkeypatch):
        ask("export", run, "--out", tmp_path / "out", "--format", "onnx", "--push-to", "me/it", "--licence", "mit")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert 'OnnxEncoder(snapshot_download("me/it"))' in text
    assert "license: mit\n" in text


def test_mistakes_are_told_in_a_line(run: Path, tmp_path: Path, fail: Answer) -> None:
    out = ("--out", tmp_path / "out")
    assert fail("export", run, *out, "--format", "tflite") == (
        "--format tflite is not known; there are sentence-transformers, onnx"
    )
    assert "--private is of an upload" in fail("export", run, *out, "--private")
    assert "'a b' is no name on the hub" in fail("export", run, *out, "--push-to", "a b")
    assert "is no run" in fail("export", tmp_path, *out)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_replaced(
    run: Path, tmp_path: Path, fail: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "song.mp3").touch()
    with exports.torch_in_its_place(monkeypatch):
        assert "holds song.mp3, which would be lost" in fail("export", run, "--out", tmp_path, "--format", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["song.mp3"]


def test_vectors_that_differ_leave_nothing(
    run: Path, tmp_path: Path, fail: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with exports.torch_in_its_place(monkeypatch, 2 * graphs.TOLERANCE):
        assert "nothing was written" in fail("export", run, "--out", tmp_path / "out", "--format", "onnx")
    assert list(tmp_path.iterdir()) == []
