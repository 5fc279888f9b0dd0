from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossmodal.errors import InputError
from crossmodal.objectives.siglip import SigLip, sigmoid_loss
from crossmodal.types import Batch, Embeddings


def batch(positives: Tensor, views: int = 1) -> Batch:
    tracks = positives.shape[1]
    nothing = [torch.zeros(tracks, 0, dtype=torch.bool)] * 2
    lengths = torch.ones(views, tracks, dtype=torch.int64)
    return Batch(torch.arange(tracks), torch.zeros(views, tracks, 1), lengths, {}, positives, *nothing)


def random_embeddings(seed: int, views: int, tracks: int, texts: int, dtype: torch.dtype = torch.float64) -> Embeddings:
    generator = torch.Generator().manual_seed(seed)
    audio = F.normalize(torch.randn(views, tracks, 8, generator=generator, dtype=dtype), dim=-1)
    text = F.normalize(torch.randn(texts, 8, generator=generator, dtype=dtype), dim=-1)
    return Embeddings(audio, text, audio)


def random_positives(seed: int, texts: int, tracks: int) -> Tensor:
    return torch.rand(texts, tracks, generator=torch.Generator().manual_seed(seed)) < 0.3


def by_loops(given: Embeddings, positives: Tensor, scale: float, bias: float) -> Tensor:
    """The formula as it is written, one pair at a time, the mean over views; A are the tracks that have a text."""
    described = positives.any(dim=0).tolist()
    total = torch.zeros((), dtype=torch.float64)
    for view in given.audio:
        for text, row in zip(given.text, positives.tolist(), strict=True):
            for track, positive, told in zip(view, row, described, strict=True):
                if not told:
                    continue
                logit = scale * sum(x * y for x, y in zip(text, track, strict=True)) + bias
                probability = 1 / (1 + torch.exp(-logit)) if positive else 1 - 1 / (1 + torch.exp(-logit))
                total = total - torch.log(probability) / len(given.text) / len(given.audio)
    return total


@pytest.mark.parametrize(("seed", "views", "texts", "tracks"), [(0, 1, 5, 6), (1, 3, 4, 4), (5, 2, 7, 1), (3, 1, 1, 1)])
def test_equals_loops_in_value_and_gradient(seed: int, views: int, texts: int, tracks: int) -> None:
    positives = random_positives(seed, texts, tracks)
    given = random_embeddings(seed, views, tracks, texts)
    objective = SigLip(scale=4.0, bias=-1.5).double()
    inputs = (given.audio.requires_grad_(), given.text.requires_grad_())
    loss = objective(batch(positives, views), given)["siglip"]
    expected = by_loops(given, positives, objective.log_scale.exp().item(), -1.5)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-9)
    for found, wanted in zip(
        torch.autograd.grad(loss, inputs, retain_graph=True), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(found, wanted, atol=1e-9, rtol=0)
    loss.backward()
    for parameter, step in ((objective.log_scale, 4.0), (objective.bias, 1.0)):
        shift = 1e-5
        scale, bias = objective.log_scale.exp().item(), -1.5
        if parameter is objective.bias:
            ends = [by_loops(given, positives, scale, bias + sign * shift) for sign in (1, -1)]
        else:
            ends = [by_loops(given, positives, scale * math.exp(sign * shift), bias) for sign in (1, -1)]
        assert parameter.grad.item() == pytest.approx((ends[0] - ends[1]).item() / 2 / shift, abs=1e-6 * step)


def test_one_positive_each_is_the_published_algorithm() -> None:
    given = random_embeddings(4, 1, 6, 6)
    objective = SigLip().double()
    logits = objective.log_scale.exp() * given.audio[0] @ given.text.T - 10
    expected = -F.logsigmoid((2 * torch.eye(6) - 1) * logits).sum() / 6  # algorithm 1
    assert objective(batch(torch.eye(6, dtype=torch.bool)), given)["siglip"].item() == pytest.approx(expected.item())


def test_starts_as_published() -> None:
    objective = SigLip()
    assert objective.log_scale.item() == pytest.approx(math.log(10))
    assert objective.bias.item() == -10
    assert all(parameter.requires_grad for parameter in objective.parameters())


def test_closed_forms() -> None:
    one = Embeddings(torch.ones(1, 1, 1), torch.ones(1, 1), torch.ones(1, 1, 1))
    yes, no = (SigLip(2.0, -1.0)(batch(torch.tensor([[about]])), one)["siglip"].item() for about in (True, False))
    assert yes == pytest.approx(math.log(1 + math.exp(-1)))  # the logit is 2 * 1 - 1
    assert no == 0  # nobody described the track
    two = Embeddings(torch.ones(1, 1, 1), torch.ones(2, 1), torch.ones(1, 1, 1))  # the second text is about another
    apart = SigLip(2.0, -1.0)(batch(torch.tensor([[True], [False]])), two)["siglip"].item()
    assert apart == pytest.approx((yes + math.log(1 + math.exp(1))) / 2)
    orthogonal = sigmoid_loss(torch.zeros(4, 4), torch.eye(4, dtype=torch.bool))
    assert orthogonal.item() == pytest.approx(4 * math.log(2))


def test_a_text_without_a_track_counts_and_is_a_negative() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, -1.0]])
    about = torch.tensor([[True, False], [False, False]])
    both = math.log(1 + math.exp(-2)) + math.log(1 + math.e)
    assert sigmoid_loss(logits, about).item() == pytest.approx(both / 2)


def test_a_track_that_nobody_described_changes_nothing() -> None:
    logits = torch.tensor([[2.0, 0.0], [1.0, -1.0]], requires_grad=True)
    about = torch.tensor([[True, False], [False, False]])
    loss = sigmoid_loss(logits, about)
    loss.backward()
    assert loss.item() == sigmoid_loss(logits[:, :1], about[:, :1]).item()
    assert logits.grad is not None
    assert torch.equal(logits.grad[:, 1], torch.zeros(2))
    assert logits.grad[:, 0].abs().min() > 0


def test_without_texts_it_is_zero_with_a_gradient_of_zero() -> None:
    given = random_embeddings(5, 2, 3, 0, torch.float32)
    objective = SigLip()
    loss = objective(batch(torch.zeros(0, 3, dtype=torch.bool), 2), given)["siglip"]
    loss.backward()
    assert loss.item() == 0
    assert objective.bias.grad.item() == 0


def test_order_does_not_matter() -> None:
    given, positives = random_embeddings(6, 1, 6, 5), random_positives(6, 5, 6)
    rows, columns = torch.randperm(5, generator=torch.Generator().manual_seed(0)), torch.arange(5, -1, -1)
    moved = Embeddings(given.audio[:, columns], given.text[rows], given.features)
    objective = SigLip().double()
    found = objective(batch(positives[rows][:, columns]), moved)["siglip"]
    torch.testing.assert_close(found, objective(batch(positives), given)["siglip"])


def test_bf16_autocast_and_bf16_inputs_are_computed_in_float32() -> None:
    given, positives = random_embeddings(7, 2, 6, 5, torch.float32), random_positives(7, 5, 6)
    objective = SigLip(scale=100.0)
    plain = objective(batch(positives, 2), given)["siglip"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(objective(batch(positives, 2), given)["siglip"], plain)
    half = Embeddings(given.audio.bfloat16(), given.text.bfloat16(), given.features)
    loss = objective(batch(positives, 2), half)["siglip"]
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)


@pytest.mark.parametrize(("scale", "bias"), [(0.0, 0.0), (-1.0, 0.0), (math.inf, 0.0), (10.0, math.nan)])
def test_other_starts_are_refused(scale: float, bias: float) -> None:
    with pytest.raises(InputError, match="valid is a positive scale and a finite bias"):
        SigLip(scale, bias)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"logits are \(3, 4\), but positives are \(4, 3\)"):
        sigmoid_loss(torch.zeros(3, 4), torch.zeros(4, 3, dtype=torch.bool))
