"""Tags as vectors to be told from audio, against plain loops; tracks without tags of a set do not count."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossmodal.data.corpus import Corpus
from crossmodal.data.manifest import Manifest
from crossmodal.data.topics import TopicModel
from crossmodal.errors import InputError
from crossmodal.objectives._content import Content
from crossmodal.objectives.tag_embedding import TagEmbedding, cosine_loss
from crossmodal.types import Batch, Embeddings, Space

GENRES = {"a": ["rock", "metal"], "b": ["folk"], "c": ["rock"], "d": ["rock", "metal"], "e": []}
MOODS = {"a": ["calm"], "b": [], "c": [], "d": ["sad", "calm"], "e": ["sad"]}
TAGSETS = {"genres": GENRES, "moods": MOODS}
SPACE = Space(dim=6, tags=(), features=9)


def corpus(tracks: str = "abcde") -> Corpus:
    rows = [(track, name, tag) for name, tagged in TAGSETS.items() for track, tags in tagged.items() for tag in tags]
    tags = pd.DataFrame(rows, columns=["track_id", "tagset", "tag"])
    return Corpus(Manifest.build(pd.DataFrame({"track_id": list("abcdef")}), tags=tags), list(tracks))


def batch(rows: list[int], views: int = 1) -> Batch:
    tracks = len(rows)
    nothing = torch.zeros(tracks, 0, dtype=torch.bool)
    lengths = torch.ones(views, tracks, dtype=torch.int64)
    positives = torch.zeros(0, tracks, dtype=torch.bool)
    return Batch(torch.tensor(rows), torch.zeros(views, tracks, 1), lengths, {}, positives, nothing, nothing)


def embeddings(seed: int, views: int, tracks: int, dtype: torch.dtype = torch.float64) -> Embeddings:
    audio = torch.randn(views, tracks, 6, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return Embeddings(F.normalize(audio, dim=-1), audio.new_zeros(0, 6), audio)


def made(seed: int = 0, **settings: object) -> TagEmbedding:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TagEmbedding(SPACE, corpus(), **settings).double()


def by_loops(objective: TagEmbedding, tagset: str, audio: Tensor, rows: list[int]) -> Tensor:
    """The definition: topics of a track's tags, a linear head, a cosine, one track at a time."""
    tagged = TAGSETS[tagset]
    model = TopicModel.fit([tags for tags in tagged.values() if tags])
    head = objective.heads[list(objective.weights).index(tagset)]
    terms = []
    for view in audio:
        for track, row in zip(view, rows, strict=True):
            if tags := tagged["abcde"[row]]:
                target = torch.from_numpy(model.transform([tags])[0]).double()
                told = [sum(w * x for w, x in zip(line, track, strict=True)) for line in head.weight]
                told = [value + bias for value, bias in zip(told, head.bias, strict=True)]
                product = sum(value * wanted for value, wanted in zip(told[: len(target)], target, strict=True))
                lengths = torch.sqrt(sum(value**2 for value in told)) * target.square().sum().sqrt()
                terms.append(1 - product / lengths)
    return sum(terms) / len(terms) if terms else audio.sum() * 0


@pytest.mark.parametrize(
    ("seed", "views", "rows"), [(0, 1, [0, 1, 2, 3, 4]), (1, 3, [4, 0, 0, 2]), (2, 2, [3]), (3, 1, [1, 2])]
)
def test_equals_loops_in_value_and_gradient(seed: int, views: int, rows: list[int]) -> None:
    objective = made(seed, encoder={"name": "lsi", "kind": "tags", "topics": 5})
    given = embeddings(seed, views, len(rows))
    given.audio.requires_grad_()
    terms = objective(batch(rows, views), given)
    assert list(terms) == ["tag_embedding/genres", "tag_embedding/moods"]
    for tagset, head in zip(TAGSETS, objective.heads, strict=True):
        found, expected = terms[f"tag_embedding/{tagset}"], by_loops(objective, tagset, given.audio, rows)
        # topics are computed in float32, and alone or among others they differ in its last digits
        assert found.item() == pytest.approx(expected.item(), abs=1e-6)
        inputs = (given.audio, head.weight, head.bias)
        gradients = [torch.autograd.grad(loss, inputs, allow_unused=True) for loss in (found, expected)]
        for one, other in zip(*gradients, strict=True):
            wanted = torch.zeros_like(one) if other is None else other
            torch.testing.assert_close(one, wanted, atol=1e-6, rtol=0)


def test_cosine_loss_by_loops() -> None:
    generator = torch.Generator().manual_seed(4)
    predicted = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    known = torch.tensor([True, False, True, True, False])
    terms = [
        1 - (row @ target) / row.norm() / target.norm()
        for view in predicted
        for row, target, counts in zip(view, targets, known, strict=True)
        if counts
    ]
    found, expected = cosine_loss(predicted, targets, known), sum(terms) / 6
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)
    gradients = [torch.autograd.grad(loss, predicted)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=0)


def test_closed_forms() -> None:
    targets, known = torch.eye(3), torch.ones(3, dtype=torch.bool)
    for predicted, expected in ((targets, 0.0), (5 * targets, 0.0), (-targets, 2.0), (targets.roll(1, 0), 1.0)):
        assert cosine_loss(predicted[None], targets, known).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("views", [1, 2])
def test_a_batch_without_tags_of_a_set_gives_zero_with_a_gradient_of_zero(views: int) -> None:
    objective, given = made(), embeddings(5, views, 2)
    given.audio.requires_grad_()
    terms = objective(batch([1, 2], views), given)
    assert terms["tag_embedding/moods"].item() == 0 < terms["tag_embedding/genres"].item()
    terms["tag_embedding/moods"].backward()
    assert torch.equal(given.audio.grad, torch.zeros_like(given.audio))
    assert not objective.heads[1].weight.grad.any()


def test_tagsets_and_weights_are_chosen() -> None:
    every, some = made(tagsets=None), made(tagsets={"moods": 0.25})
    some.load_state_dict({f"heads.0.{name}": value for name, value in every.heads[1].state_dict().items()})
    given = embeddings(6, 1, 5)
    both, one = (objective(batch([0, 1, 2, 3, 4]), given) for objective in (every, some))
    assert list(one) == ["tag_embedding/moods"]
    torch.testing.assert_close(one["tag_embedding/moods"], 0.25 * both["tag_embedding/moods"])


def test_heads_alone_are_trained_and_saved() -> None:
    objective = made()
    names = {f"heads.{number}.{part}" for number in (0, 1) for part in ("weight", "bias")}
    assert {name for name, _ in objective.named_parameters()} == names == set(objective.state_dict())
    assert [head.in_features for head in objective.heads] == [6, 6]


def test_training_on_it_tells_tags_apart() -> None:
    """The head learns, and so does what is below it."""
    objective = made(1, encoder={"name": "lsi", "kind": "tags", "topics": 3})
    audio = torch.nn.Parameter(embeddings(7, 1, 5).audio)
    optimizer = torch.optim.Adam([audio, *objective.parameters()], lr=0.05)
    for _ in range(150):
        terms = objective(batch([0, 1, 2, 3, 4]), Embeddings(F.normalize(audio, dim=-1), audio[0, :0], audio))
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert sum(terms.values()).item() < 0.01


def test_bf16_autocast_and_bf16_inputs_are_computed_in_float32() -> None:
    objective, given = made().float(), embeddings(8, 2, 5, torch.float32)
    plain = objective(batch([0, 1, 2, 3, 4], 2), given)
    half = Embeddings(given.audio.bfloat16(), given.text, given.features)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for name, term in objective(batch([0, 1, 2, 3, 4], 2), given).items():
            assert torch.equal(term, plain[name])
        for term in objective(batch([0, 1, 2, 3, 4], 2), half).values():
            assert term.dtype == torch.float32
            assert torch.isfinite(term)


def test_a_text_model_reads_tags_as_words(tmp_path: Path) -> None:
    """Any plug-in of encoders/text will do: here one that counts letters, and notes what it was given."""
    (tmp_path / "letters.py").write_text(LETTERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        content = TagEmbedding(SPACE, corpus("eadc"), {"genres": 1.0}, {"name": "letters:Letters"}).contents[0]
        import letters
    assert letters.FITTED == ["metal, rock", "metal, rock", "rock"]
    assert letters.READ == ["metal, rock", "rock"]  # each once
    vectors, known = content(torch.tensor([0, 1, 2, 3]))
    assert known.tolist() == [False, True, True, True]
    counted = torch.tensor([[text.count(letter) for letter in "mor"] for text in letters.READ]).float()
    torch.testing.assert_close(vectors[1:], F.normalize(counted[[0, 0, 1]], dim=-1))


LETTERS = """
import torch
from crossmodal.types import TextEncoder

FITTED, READ = [], []

class Letters(torch.nn.Module, TextEncoder):
    def __init__(self):
        super().__init__()
        self.dim = 3

    def fit(self, texts):
        FITTED.extend(texts)

    def tokenize(self, texts):
        READ.extend(texts)
        return {"counts": torch.tensor([[text.count(letter) for letter in "mor"] for text in texts])}

    def forward(self, tokens):
        return tokens["counts"].double()
"""


def test_a_document_that_says_nothing_to_the_encoder_is_unknown() -> None:
    content = Content({"name": "lsi", "kind": "tags", "max_terms": 1}, ["rock", "rock", "folk", " "], "here")
    vectors, known = content(torch.arange(4))
    assert known.tolist() == [True, True, False, False]
    torch.testing.assert_close(vectors[:2].norm(dim=1), torch.ones(2))


def test_wrong_settings_are_told() -> None:
    with pytest.raises(InputError, match="no tagset 'themes'; there are: genres, moods"):
        made(tagsets={"themes": 1.0})
    with pytest.raises(InputError, match="needs tags, but the training part has none"):
        TagEmbedding(SPACE, corpus("f"))
    with pytest.raises(InputError, match=r"tag_embedding\.encoder: not one of 2 training tracks has a document"):
        TagEmbedding(SPACE, corpus("bc"), {"moods": 1.0})
    with pytest.raises(InputError, match=r"tag_embedding\.encoder \(lsi\): topics is 0"):
        made(encoder={"name": "lsi", "topics": 0})
    with pytest.raises(InputError, match="trained on audio alone"):
        made(encoder={"name": "none"})


def test_weights_are_checked_before_anything_is_built() -> None:
    from crossmodal import registry

    for wrong in ({"genres": -1.0}, {"genres": math.nan}, {"genres": "1"}, ["genres"]):
        with pytest.raises(InputError, match="tagsets is"):
            registry.check("objectives", {"name": "tag_embedding", "tagsets": wrong})
    registry.check("objectives", {"name": "tag_embedding", "tagsets": {"genres": 1}, "encoder": {"name": "lsi"}})
