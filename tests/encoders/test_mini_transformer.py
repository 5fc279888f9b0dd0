from __future__ import annotations

import pytest
import torch

from crossmodal.encoders.text.mini_transformer import MiniTransformer, pool
from crossmodal.errors import InputError

CORPUS = [
    "A slow organ in a large church, recorded in the rain.",
    "Eine schnelle Harfe mit Schlagzeug.",
    "Une flûte triste et lente.",
    "Parlak bir org ve davul.",
]


@pytest.fixture(scope="module")
def encoder() -> MiniTransformer:
    torch.manual_seed(0)
    made = MiniTransformer(vocabulary=400, dim=32, layers=2, heads=4, chunk_tokens=16)
    made.fit(CORPUS)
    return made.eval()


def test_pool_equals_a_loop_over_owners():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(11, 5, generator=generator, dtype=torch.float64)
    scores = torch.randn(11, generator=generator) * 30
    owner = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3])
    expected = [(scores[owner == i].softmax(0)[:, None] * values[owner == i]).sum(0) for i in range(4)]
    torch.testing.assert_close(pool(values, scores, owner), torch.stack(expected), atol=1e-5, rtol=1e-5)


def test_a_text_gives_the_same_vector_alone_and_among_others(encoder: MiniTransformer):
    texts = [*CORPUS, " ".join(CORPUS * 20), "org"]
    with torch.no_grad():
        together = encoder(encoder.tokenize(texts))
        alone = torch.cat([encoder(encoder.tokenize([text])) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_every_token_of_a_long_text_is_read(encoder: MiniTransformer):
    filler = "Recorded in the rain. " * 200
    with torch.no_grad():
        before, after = encoder(encoder.tokenize([filler, filler + "Eine schnelle Harfe."]))
    assert (before - after).abs().max() > 1e-4


@pytest.mark.parametrize("text", ["", "   ", "🎻🎹🥁", "موسيقى بطيئة", "x" * 50_000, "a\n\nb", "\x00\x01"])
def test_any_text_becomes_finite_vectors(encoder: MiniTransformer, text: str):
    with torch.no_grad():
        vectors = encoder(encoder.tokenize([text, CORPUS[0]]))
    assert vectors.shape == (2, 32)
    assert torch.isfinite(vectors).all()


def test_no_chunk_is_longer_than_its_limit_and_no_text_lacks_one(encoder: MiniTransformer):
    tokens = encoder.tokenize(["", " ".join(CORPUS * 3), "y" * 500])
    assert tokens["ids"].shape[1] <= 16
    assert tokens["text"].unique().tolist() == [0, 1, 2]


def test_the_tokenizer_is_the_same_whatever_the_order_of_its_texts(tmp_path):
    made = [MiniTransformer(vocabulary=400, dim=32) for _ in range(2)]
    for encoder, corpus in zip(made, (CORPUS * 30, CORPUS[::-1]), strict=True):
        encoder.fit(corpus)
    assert made[0].tokenize(CORPUS)["ids"].equal(made[1].tokenize(CORPUS)["ids"])


def test_what_is_saved_is_restored(encoder: MiniTransformer, tmp_path):
    encoder.save(tmp_path)
    other = MiniTransformer(vocabulary=400, dim=32, chunk_tokens=16)
    other.restore(tmp_path)
    assert other.tokenize(CORPUS)["ids"].equal(encoder.tokenize(CORPUS)["ids"])


def test_an_encoder_that_was_not_fitted_says_so(tmp_path):
    with pytest.raises(InputError, match="fit"):
        MiniTransformer().tokenize(["a"])
    with pytest.raises(InputError, match=r"tokenizer\.json"):
        MiniTransformer().restore(tmp_path)


def test_dim_must_be_a_multiple_of_heads():
    with pytest.raises(InputError, match="multiple"):
        MiniTransformer(dim=30, heads=4)
