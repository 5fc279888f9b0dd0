from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from crossmodal.errors import InputError
from crossmodal.objectives.tag_classification import TagClassification, masked_bce
from crossmodal.types import Batch, Embeddings, Space

SPACE = Space(dim=4, tags=(("mood", "calm"), ("mood", "wild"), ("tempo", "slow")), features=6)
TAGS = torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
KNOWN = torch.tensor([[True, True, True], [False, False, False], [True, True, False]])


def batch() -> Batch:
    none = torch.zeros(0)
    return Batch(none, none, none, {}, none, tags=TAGS, annotated=KNOWN)


def embeddings(audio: Tensor) -> Embeddings:
    return Embeddings(audio, torch.zeros(0, 4), features=audio)


def test_masked_bce_equals_a_loop_over_known_pairs():
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sums = []
    for row in range(3):
        terms = [
            -math.log(p if TAGS[row, tag] else 1 - p)
            for tag in range(3)
            if KNOWN[row, tag]
            for p in [1 / (1 + math.exp(-logits[row, tag].item()))]
        ]
        if terms:
            sums.append(sum(terms))
    assert masked_bce(logits, TAGS, KNOWN).item() == pytest.approx(sum(sums) / len(sums), abs=1e-12)


def test_what_is_not_annotated_has_no_gradient():
    audio = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    TagClassification(SPACE)(batch(), embeddings(audio))["tag_classification"].backward()
    assert audio.grad is not None
    assert audio.grad[0, 1].abs().max() == 0
    assert audio.grad[0, 0].abs().max() > 0


def test_a_batch_that_nobody_annotated_costs_nothing():
    logits = torch.randn(3, 3, requires_grad=True)
    loss = masked_bce(logits, TAGS, torch.zeros_like(KNOWN))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_views_are_averaged():
    objective = TagClassification(SPACE)
    views = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(2))
    each = [objective(batch(), embeddings(view[None]))["tag_classification"] for view in views]
    both = objective(batch(), embeddings(views))["tag_classification"]
    torch.testing.assert_close(both, torch.stack(each).mean())


def test_without_tags_it_says_so():
    with pytest.raises(InputError, match="needs tags"):
        TagClassification(Space(dim=4, tags=(), features=6))
