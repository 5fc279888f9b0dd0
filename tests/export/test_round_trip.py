"""The same vectors from the package, sentence-transformers and ONNX Runtime, and from every encoder there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import exports
import numpy as np
import pytest
import soundfile
import torch
from exports import TEXTS

from crossmodal import registry
from crossmodal.encoders.text.hf_text import HfText
from crossmodal.errors import InputError
from crossmodal.export import graphs
from crossmodal.export.folder import export
from crossmodal.export.onnx_runtime import OnnxEncoder
from crossmodal.model import DualEncoder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning"),  # of the libraries
]
ATOL = 1e-4
LOG_MEL = {"sample_rate": 8000, "n_fft": 512, "hop": 128, "bands": 32}
CQT = {"name": "cqt", "sample_rate": 8000, "f_min": 200.0, "octaves": 3, "bins_per_octave": 12, "hop": 256}
AUDIO: dict[str, dict[str, Any]] = {
    "clip_resnet": {"frontend": LOG_MEL, "width": 4, "layers": [1, 1, 1, 1], "heads": 2, "dim": 10},
    "crnn": {"frontend": LOG_MEL, "channels": [8, 8, 8, 8], "dim": 6},
    "handcrafted": {"frontend": LOG_MEL},
    "kim2019": {"frontend": {**LOG_MEL, "channels": 2}, "dim": 6},
    "mel_cnn": {"frontend": CQT, "channels": [4, 8], "dim": 6, "norm": "group"},
    "musicnn": {"frontend": LOG_MEL, "timbral": 4, "temporal": 2, "backend": 4, "dim": 6},
    "sample_cnn": {"frontend": {"name": "raw", "sample_rate": 8000}, "strides": [3, 4, 2], "channels": [4, 4, 8, 8]},
    "short_chunk_cnn": {"frontend": LOG_MEL, "channels": 4},
    "short_chunk_cnn_res": {"frontend": LOG_MEL, "channels": 4},
    "vgg_res": {"frontend": LOG_MEL, "channels": [4, 8], "dim": 6},
}
TEXT = {"lsi", "mini_transformer", "none", "hf_text", "sentence_transformer"}


@pytest.fixture(scope="module")
def folder(made: DualEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("exports")
    return export(exports.a_run(home / "run", made), home / "out", ("sentence-transformers", "onnx")).folder


def loaded(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), trust_remote_code=True, local_files_only=True, device="cpu")


def test_all_three_give_the_same_vectors(folder: Path, made: DualEncoder, sounds: list[Path]) -> None:
    texts, audio = made.embed_text(TEXTS), made.embed_audio(sounds)
    package, outside, graph = DualEncoder.load(folder), loaded(folder), OnnxEncoder(folder)
    assert np.array_equal(package.embed_text(TEXTS), texts)
    assert np.array_equal(package.embed_audio(sounds), audio)
    np.testing.assert_allclose(outside.encode(TEXTS), texts, rtol=0, atol=ATOL)
    np.testing.assert_allclose(outside.encode([str(path) for path in sounds]), audio, rtol=0, atol=ATOL)
    np.testing.assert_allclose(outside.encode(sounds, batch_size=2), audio, rtol=0, atol=ATOL)
    np.testing.assert_allclose(graph.embed_text(TEXTS), texts, rtol=0, atol=ATOL)
    np.testing.assert_allclose(graph.embed_audio(sounds), audio, rtol=0, atol=ATOL)
    assert np.ptp(texts, axis=0).max() > 0.1
    assert np.ptp(audio, axis=0).max() > 0.1


def test_sentence_transformers_knows_what_it_has(folder: Path, made: DualEncoder, sounds: list[Path]) -> None:
    outside = loaded(folder)
    assert outside.get_embedding_dimension() == 12
    assert outside.modalities == ["text", "audio"]
    assert outside.similarity_fn_name == "cosine"
    texts, audio = outside.encode_query(TEXTS), outside.encode_document([str(path) for path in sounds])
    np.testing.assert_allclose(outside.similarity(texts, audio), texts @ audio.T, atol=1e-6)
    np.testing.assert_allclose(outside.encode("piano"), texts[0], atol=1e-6)
    np.testing.assert_allclose(outside.encode([{"text": "piano"}]), texts[:1], atol=1e-6)
    np.testing.assert_allclose(outside.encode(["no"], prompt="pia"), made.embed_text(["piano"]), atol=1e-6)


def test_waveforms_are_heard_as_their_files_are(folder: Path, sounds: list[Path]) -> None:
    outside, expected = loaded(folder), loaded(folder).encode(sounds)
    read = [soundfile.read(path, dtype="float32") for path in sounds]
    dicts = [{"array": samples.T, "sampling_rate": rate} for samples, rate in read]
    tensors = [{"audio": {**one, "array": torch.from_numpy(one["array"])}} for one in dicts]
    np.testing.assert_allclose(outside.encode(dicts), expected, atol=1e-6)
    np.testing.assert_allclose(outside.encode(tensors), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["missing.wav"], "missing.wav: there is no such file"),
        ([np.ones(8000)], "an input is samples without their rate; give texts, paths of audio files, or"),
        ([3], "an input is int"),
        (["words", Path("a.wav")], "texts and audio are in one batch; encode each kind by itself"),
        ([{"array": np.zeros(8000), "sampling_rate": 8000}], "a waveform (8000,): is silent"),
        ([" "], "text 0 is empty"),
    ],
)
def test_inputs_that_are_none_are_refused(folder: Path, given: list[Any], reason: str) -> None:
    with pytest.raises(InputError, match=re.escape(reason)):
        loaded(folder).encode(given)


def test_a_folder_is_saved_again_by_sentence_transformers(folder: Path, made: DualEncoder, tmp_path: Path) -> None:
    loaded(folder).save_pretrained(str(tmp_path / "again"), create_model_card=False)
    np.testing.assert_allclose(loaded(tmp_path / "again").encode(TEXTS), made.embed_text(TEXTS), atol=1e-6)
    assert DualEncoder.load(tmp_path / "again").fingerprint == made.fingerprint


def test_without_the_package_a_line_says_what_to_install(folder: Path) -> None:
    """And the folder's code is that line and the import alone."""
    code = f"""
import sys
sys.modules["crossmodal"] = None  # importing it fails
from sentence_transformers import SentenceTransformer
SentenceTransformer({str(folder)!r}, trust_remote_code=True, local_files_only=True)
"""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=300)
    assert ran.returncode != 0
    assert "ImportError: this model runs by the package crossmodal: pip install crossmodal" in ran.stderr


def test_without_trust_nothing_is_run(folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    with pytest.raises(ValueError, match="trust_remote_code=True"):
        SentenceTransformer(str(folder), local_files_only=True, device="cpu")


def test_graphs_are_the_same_bytes_and_name_no_machine(folder: Path, made: DualEncoder, tmp_path: Path) -> None:
    import onnx

    graphs.write(made, tmp_path / "onnx")
    for path in sorted((folder / "onnx").iterdir()):
        assert path.read_bytes() == (tmp_path / "onnx" / path.name).read_bytes()
    for name in ("audio_encoder.onnx", "text_encoder.onnx"):
        content = onnx.load(folder / "onnx" / name)
        onnx.checker.check_model(content)
        assert {found.version for found in content.opset_import if not found.domain} == {graphs.OPSET}
        assert b".py" not in content.SerializeToString()


def test_there_is_one_copy_of_the_weights(folder: Path) -> None:
    assert [path.name for path in folder.rglob("*.safetensors")] == ["model.safetensors"]


def test_all_encoders_are_here() -> None:
    assert sorted(AUDIO) == registry.names("encoders.audio")
    assert sorted(TEXT) == registry.names("encoders.text")


@pytest.mark.parametrize("name", [name for name in AUDIO if name != "handcrafted"])
def test_every_audio_encoder_with_weights_becomes_onnx(name: str, sounds: list[Path], tmp_path: Path) -> None:
    made = exports.model(audio={"name": name, **AUDIO[name]}, text={"name": "none"})
    assert graphs.write(made, tmp_path / "onnx")["audio"] <= ATOL
    graph = OnnxEncoder(tmp_path / "onnx")
    np.testing.assert_allclose(graph.embed_audio(sounds), made.embed_audio(sounds), rtol=0, atol=ATOL)
    np.testing.assert_allclose(graph.embed_audio(sounds, batch_size=3), made.embed_audio(sounds), rtol=0, atol=ATOL)


def test_descriptors_without_weights_are_refused(tmp_path: Path) -> None:
    made = exports.model(audio={"name": "handcrafted", **AUDIO["handcrafted"]}, text={"name": "none"})
    with pytest.raises(InputError, match="handcrafted would take features, lengths of one size alone in ONNX"):
        export(exports.a_run(tmp_path / "run", made), tmp_path / "out", ["onnx"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tune", [True, False])
@pytest.mark.parametrize("name", ["hf_text", "sentence_transformer"])
def test_checkpoints_become_onnx(name: str, tune: bool, tmp_path: Path, sounds: list[Path]) -> None:
    checkpoint = tmp_path / "bert"
    a_bert(checkpoint)
    made = exports.model(text={"name": name, "model": str(checkpoint), "tune": tune})
    found = export(exports.a_run(tmp_path / "run", made), tmp_path / "out", ("sentence-transformers", "onnx"))
    assert found.differences["text"] <= ATOL
    expected = made.embed_text(TEXTS)
    np.testing.assert_allclose(OnnxEncoder(found.folder).embed_text(TEXTS), expected, rtol=0, atol=ATOL)
    np.testing.assert_allclose(loaded(found.folder).encode(TEXTS), expected, rtol=0, atol=ATOL)
    np.testing.assert_allclose(loaded(found.folder).encode(sounds), made.embed_audio(sounds), rtol=0, atol=ATOL)


def test_topics_are_for_sentence_transformers_alone(tmp_path: Path) -> None:
    made = exports.model(text={"name": "lsi", "topics": 4})
    run = exports.a_run(tmp_path / "run", made)
    with pytest.raises(InputError, match="the text encoder lsi is no network that ONNX can hold"):
        export(run, tmp_path / "out", ["onnx"])
    assert not (tmp_path / "out").exists()
    np.testing.assert_allclose(loaded(export(run, tmp_path / "out").folder).encode(TEXTS), made.embed_text(TEXTS))


def test_audio_alone_is_exported(tmp_path: Path, sounds: list[Path]) -> None:
    made = exports.model(text={"name": "none"})
    outside = loaded(export(exports.a_run(tmp_path / "run", made), tmp_path / "out").folder)
    assert outside.modalities == ["audio"]
    np.testing.assert_allclose(outside.encode(sounds), made.embed_audio(sounds), atol=1e-6)
    with pytest.raises(ValueError, match="text"):
        outside.encode(["words"])


def test_a_slow_tokenizer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_bert(tmp_path / "bert")
    made = exports.model(text={"name": "hf_text", "model": str(tmp_path / "bert")})
    assert isinstance(made.text_encoder, HfText)
    monkeypatch.setattr(made.text_encoder, "tokenizer", object())
    with pytest.raises(InputError, match=r"object has no tokenizer\.json"):
        made.text_encoder.dense_tokens()


def a_bert(folder: Path) -> None:
    """A tiny network and tokenizer as a checkpoint of transformers, which sentence-transformers loads too."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    numbered = {piece: number for number, piece in enumerate(pieces)}
    BertTokenizerFast(vocab=numbered, model_max_length=64).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(vocab_size=len(pieces), max_position_embeddings=64, **sizes)
        BertModel(config).save_pretrained(folder)
