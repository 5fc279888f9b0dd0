"""Everything of an ONNX export but the format: tokens, segments, averages, refusals. The graphs run in torch here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import exports
import numpy as np
import pytest
import soundfile

from crossmodal.encoders.text.mini_transformer import MiniTransformer
from crossmodal.errors import InputError
from crossmodal.export import graphs
from crossmodal.export.onnx_runtime import OnnxEncoder
from crossmodal.model import DualEncoder


@pytest.fixture
def exported(made: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnnxEncoder:
    with exports.torch_in_its_place(monkeypatch):
        graphs.write(made, tmp_path / "export" / "onnx")
        return OnnxEncoder(tmp_path / "export")


def test_texts_and_whole_tracks_have_the_models_vectors(
    exported: OnnxEncoder, made: DualEncoder, sounds: list[Path]
) -> None:
    np.testing.assert_allclose(exported.embed_text(exports.TEXTS), made.embed_text(exports.TEXTS), atol=1e-5)
    np.testing.assert_allclose(exported.embed_text(exports.TEXTS, 1), made.embed_text(exports.TEXTS), atol=1e-5)
    vectors = made.embed_audio(sounds)
    np.testing.assert_allclose(exported.embed_audio(sounds), vectors, atol=1e-5)
    np.testing.assert_allclose(exported.embed_audio(sounds, batch_size=2), vectors, atol=1e-5)
    assert np.ptp(vectors, axis=0).max() > 0.01  # they are not all one
    told = (exported.dim, exported.fingerprint, exported.sample_rate, exported.reads)
    assert told == (made.dim, made.fingerprint, made.sample_rate, True)


def test_samples_in_memory_are_a_track(exported: OnnxEncoder, sounds: list[Path]) -> None:
    samples, rate = soundfile.read(sounds[2], dtype="float32")
    found = exported.embed_samples(samples.T, rate)
    np.testing.assert_allclose(found, exported.embed_audio([sounds[2]])[0], atol=1e-6)


def test_nothing_gives_no_vectors(exported: OnnxEncoder) -> None:
    assert exported.embed_text([]).shape == exported.embed_audio([]).shape == (0, 12)
    with pytest.raises(InputError, match="text 1 is empty"):
        exported.embed_text(["a", " \n"])


def test_a_model_of_audio_alone_has_no_text_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with exports.torch_in_its_place(monkeypatch) as opened:
        assert graphs.write(exports.model(text={"name": "none"}), tmp_path / "onnx").keys() == {"audio"}
        alone = OnnxEncoder(tmp_path)
    assert set(opened) == {"audio_encoder.onnx"}
    assert not alone.reads
    with pytest.raises(InputError, match="no text encoder"):
        alone.embed_text(["a"])


@pytest.mark.parametrize("error", [3e-4, np.nan])
def test_vectors_that_differ_are_not_written(
    made: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: float
) -> None:
    with (
        exports.torch_in_its_place(monkeypatch, error),
        pytest.raises(InputError, match=r"the audio encoder's vectors differ by up to .*, more than 0\.0001; nothing"),
    ):
        graphs.write(made, tmp_path / "onnx")


def test_what_has_no_such_form_is_refused(made: DualEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as other:
        other.delattr(MiniTransformer, "dense")
        with pytest.raises(InputError, match="the text encoder mini_transformer is no network that ONNX can hold"):
            graphs.write(made, tmp_path / "none")
    monkeypatch.setattr(graphs, "find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(InputError, match=r'^onnxscript cannot be imported; .* pip install "crossmodal\[export\]"$'):
        graphs.write(made, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


def test_a_folder_without_graphs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"onnx\.json does not exist"):
        OnnxEncoder(tmp_path)
    (tmp_path / "onnx.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="of an export of format 1"):
        OnnxEncoder(tmp_path)


def test_it_runs_without_torch() -> None:
    code = (
        "import sys, crossmodal.export.onnx_runtime; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"
