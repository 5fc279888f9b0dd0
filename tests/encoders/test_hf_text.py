"""Tiny networks, made and saved here, stand for any checkpoint; no hub is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from crossmodal import registry
from crossmodal.encoders.text.hf_text import AT_ONCE, HfText
from crossmodal.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")  # of the library
WORDS = ["slow", "fast", "organ", "harp", "sad", "bright", "a", "the", "with", "drums", ".", ",", "and"]
TEXTS = ["a slow organ.", "the fast harp with drums", "sad, bright and slow. " * 60, "🎻 çalgı"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def saved_tokenizer(folder: Path, **special: str) -> int:
    """Word pieces of a few words and all letters; returns how many there are."""
    from transformers import BertTokenizerFast

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS, *letters])]
    vocabulary += [f"##{letter}" for letter in letters]
    numbered = {piece: number for number, piece in enumerate(vocabulary)}
    BertTokenizerFast(vocab=numbered, model_max_length=64, **special).save_pretrained(folder)
    return len(vocabulary)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertModel

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bert")
    size = saved_tokenizer(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=size, max_position_embeddings=64, **SIZES)).save_pretrained(folder)
    return folder


def embedded(encoder: HfText, texts: list[str]) -> torch.Tensor:
    encoder.eval()
    with torch.no_grad():
        return encoder(encoder.tokenize(texts))


def by_loop(folder: Path, text: str) -> torch.Tensor:
    """The mean of the last hidden states of one text's tokens, alone and without padding."""
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0].mean(0)


@pytest.mark.parametrize("tune", [False, True])
def test_vectors_are_means_over_tokens(checkpoint: Path, tune: bool) -> None:
    encoder = HfText(str(checkpoint), tune)
    found = embedded(encoder, TEXTS)
    assert (found.shape, encoder.dim) == ((4, 16), 16)
    for row in (0, 1, 3):
        torch.testing.assert_close(found[row], by_loop(checkpoint, TEXTS[row]), atol=1e-5, rtol=0)


def test_a_long_text_is_the_mean_of_its_chunks_to_its_end(checkpoint: Path) -> None:
    encoder = HfText(str(checkpoint))
    tokens = encoder.tokenize([TEXTS[0], TEXTS[2]])
    assert (tokens["text"] == 1).sum() > 5
    torch.testing.assert_close(encoder(tokens)[1], tokens["vectors"][tokens["text"] == 1].mean(0))
    before, after = embedded(encoder, [TEXTS[2], TEXTS[2] + "organ harp drums."])
    assert (before - after).abs().max() > 1e-4


def test_frozen_it_has_no_weights_and_reads_a_chunk_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = HfText(str(checkpoint))
    assert (encoder.state_dict(), list(encoder.parameters())) == ({}, [])
    asked: list[str] = []
    inputs = encoder._inputs
    monkeypatch.setattr(encoder, "_inputs", lambda pieces: asked.extend(pieces) or inputs(pieces))
    many = [f"a {word} {other}" for word in WORDS for other in WORDS] + TEXTS
    assert len(many) > 2 * AT_ONCE
    first = embedded(encoder, many)
    count = len(asked)
    assert torch.equal(embedded(encoder, many[::-1]).flip(0), first)
    assert len(asked) == count == len(set(asked))
    torch.testing.assert_close(first[5], by_loop(checkpoint, many[5]), atol=1e-5, rtol=0)


def test_tuned_every_weight_is_trained(checkpoint: Path) -> None:
    encoder = HfText(str(checkpoint), tune=True).train()
    encoder(encoder.tokenize(TEXTS)).square().sum().backward()
    assert {name.split(".")[0] for name in encoder.state_dict()} == {"transformer"}
    assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize("tune", [False, True])
def test_saved_it_needs_the_first_checkpoint_no_more(checkpoint: Path, tmp_path: Path, tune: bool) -> None:
    shutil.copytree(checkpoint, tmp_path / "first")
    encoder = HfText(str(tmp_path / "first"), tune)
    expected = embedded(encoder, TEXTS)
    (tmp_path / "saved").mkdir()
    encoder.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "first")
    settings = HfText.located({"model": "first", "tune": tune}, tmp_path / "saved")
    again = registry.build("encoders.text", "hf_text", **settings)
    torch.testing.assert_close(embedded(again, TEXTS), expected)
    assert again.identity() == encoder.identity()


def test_identity_changes_with_frozen_weights(checkpoint: Path) -> None:
    one, other = HfText(str(checkpoint)), HfText(str(checkpoint))
    assert one.identity() == other.identity()
    next(other._loaded.parameters()).data.add_(1)
    assert one.identity() != other.identity()


def test_a_decoder_without_a_token_for_padding(tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer, GPT2Config, GPT2Model

    size = saved_tokenizer(tmp_path, pad_token=None, eos_token="[SEP]")
    sizes = {"n_positions": 48, "n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 2, "eos_token_id": 3}
    GPT2Model(GPT2Config(vocab_size=size, **sizes)).save_pretrained(tmp_path)
    encoder = HfText(str(tmp_path), tune=True)
    found = embedded(encoder, [*TEXTS, ""])
    assert encoder.longest == 48
    assert torch.isfinite(found).all()
    tokens = AutoTokenizer.from_pretrained(tmp_path)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(tmp_path).eval()(**tokens).last_hidden_state
    torch.testing.assert_close(found[0], states[0].mean(0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("text", ["", "   ", "🎻🎹🥁", "x" * 2000, "a\n\nb", "\x00\x01"])
def test_any_text_becomes_finite_vectors(checkpoint: Path, text: str) -> None:
    found = embedded(HfText(str(checkpoint)), [text, TEXTS[0]])
    assert found.shape == (2, 16)
    assert torch.isfinite(found).all()


def test_code_that_a_checkpoint_brings_is_never_run(checkpoint: Path, tmp_path: Path) -> None:
    """Neither for a type that the library lacks, which cannot load, nor for one it has, which loads its own class."""
    code = f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Evil: ...\n"
    classes = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    for kind in ("evil", "bert"):
        shutil.copytree(checkpoint, tmp_path / kind)
        (tmp_path / kind / "evil.py").write_text(code)
        for name in ("config.json", "tokenizer_config.json"):
            config = json.loads((tmp_path / kind / name).read_text()) | {"auto_map": classes, "model_type": kind}
            (tmp_path / kind / name).write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"text_encoder\.model .* could not be loaded"):
        HfText(str(tmp_path / "evil"))
    assert torch.equal(embedded(HfText(str(tmp_path / "bert")), TEXTS), embedded(HfText(str(checkpoint)), TEXTS))
    assert not (tmp_path / "executed").exists()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"text_encoder\.model .* could not be loaded") as error:
        HfText(str(tmp_path / "nothing"))
    assert "\n" not in str(error.value)


def test_a_model_that_decodes_is_refused(tmp_path: Path) -> None:
    from transformers import T5Config, T5Model

    size = saved_tokenizer(tmp_path)
    T5Model(T5Config(vocab_size=size, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="is of type t5, not a model of text alone"):
        HfText(str(tmp_path))
