"""A review's decisive sentence is found wherever it stands; a text cut at its first 128 tokens is at chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.encoders.text.mini_transformer import MiniTransformer
from crossmodal.metrics.bootstrap import bootstrap
from crossmodal.objectives.clip import Clip
from crossmodal.types import Batch, Embeddings

WORDS = ("guitar", "organ", "bells", "trumpet", "flute", "violin", "clarinet", "cello")
DECISIVE = "It is played on a {} throughout."
FILLER = [
    f"{who} {did} {what}."
    for who in ("The critic", "Our neighbour", "The pianist's aunt", "A student of law", "The hall's owner")
    for did in ("came home late to", "wrote a letter about", "never spoke again of", "laughed for a week at")
    for what in ("the evening", "the weather", "that old record shop", "its cover", "the long queue")
]


def review(word: str, rng: np.random.Generator, length: int, first: int) -> str:
    """Sentences that say nothing, and one that decides, at ``first`` or later."""
    sentences = list(rng.choice(FILLER, size=length))
    sentences.insert(int(rng.integers(first, length + 1)), DECISIVE.format(word))
    return " ".join(sentences)


class Reader(nn.Module):
    """The text side of a model; each word stands for a track, whose vector is given."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MiniTransformer(vocabulary=600, dim=32, layers=1, heads=2, dropout=0.0)
        self.encoder.fit([*FILLER, *(DECISIVE.format(word) for word in WORDS)])
        self.projection = nn.Linear(32, len(WORDS))
        self.tracks = torch.eye(len(WORDS))

    def forward(self, texts: list[str]) -> Tensor:
        return F.normalize(self.projection(self.encoder(self.encoder.tokenize(texts))), dim=-1)


def trained(steps: int = 100, texts: int = 24) -> Reader:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    reader, clip = Reader(), Clip()
    optimizer = torch.optim.AdamW([*reader.parameters(), *clip.parameters()], lr=1e-2)
    none = torch.zeros(0)
    for _ in range(steps):
        about = rng.integers(len(WORDS), size=texts)
        read = reader([review(WORDS[word], rng, int(rng.integers(1, 14)), 0) for word in about])
        positives = torch.from_numpy(about)[:, None] == torch.arange(len(WORDS))
        batch = Batch(torch.arange(len(WORDS)), none, none, {}, positives, none, none)
        loss = clip(batch, Embeddings(reader.tracks[None], read, reader.tracks[None]))["clip"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return reader.eval()


@pytest.fixture(scope="module")
def reader() -> Reader:
    return trained()


@pytest.fixture(scope="module")
def reviews(reader: Reader) -> list[str]:
    """Six reviews a track, whose decisive sentence begins after token 512."""
    rng = np.random.default_rng(1)
    made = [review(word, rng, 100, 85) for word in WORDS for _ in range(6)]
    assert reader.encoder.tokenizer is not None
    for number, text in enumerate(made):
        before = text[: text.index(DECISIVE.format(WORDS[number // 6]))]
        assert len(reader.encoder.tokenizer.encode(before).ids) > 512
    return made


def hits(reader: Reader, texts: list[str]) -> np.ndarray:
    """Which of the texts, six a track, find their track first."""
    with torch.no_grad():
        found = (reader(texts) @ reader.tracks.T).argmax(1).numpy()
    return (found == np.repeat(np.arange(len(WORDS)), 6)).astype(float)


@pytest.mark.slow
def test_a_decisive_sentence_after_token_512_is_found(reader: Reader, reviews: list[str]) -> None:
    assert hits(reader, reviews).mean() > 0.8


@pytest.mark.slow
def test_the_same_texts_cut_at_128_tokens_are_at_chance(reader: Reader, reviews: list[str]) -> None:
    assert reader.encoder.tokenizer is not None
    encoded = reader.encoder.tokenizer.encode_batch(reviews)
    cut = [text[: tokens.offsets[127][1]] for text, tokens in zip(reviews, encoded, strict=True)]
    found = bootstrap(hits(reader, cut), [str(number) for number in range(len(cut))], 1000, 0)
    assert found.low <= 1 / len(WORDS) <= found.high
    assert found.high < 0.3


@pytest.mark.slow
def test_it_is_found_as_well_at_the_front(reader: Reader, reviews: list[str]) -> None:
    sentences = [text.replace(". ", ".\n").split("\n") for text in reviews]
    turned = [" ".join(sorted(parts, key=lambda part: "is played on" not in part)) for parts in sentences]
    assert all(text.startswith("It is played on") for text in turned)
    assert hits(reader, turned).mean() > 0.8
