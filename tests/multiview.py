"""What the tests of multi-view objectives share: a small encoder, a batch, and losses compared with plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from crossmodal import registry
from crossmodal.types import Batch, Embeddings, Space

FEATURES = 6
SPACE = Space(dim=4, tags=(("genre", "jazz"), ("genre", "rock"), ("mood", "calm")), features=FEATURES)


class Encoder(nn.Module):
    """Features ``(n, frames, 3)`` to ``(n, 6)``, with what a teacher must copy, keep and silence."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.linear = nn.Linear(3, FEATURES)
        self.norm = nn.BatchNorm1d(FEATURES)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("mean", torch.full((3,), float(seed)))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.dropout(self.norm(self.linear(features.mean(1) - self.mean)))


def randn(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def batch_of(tracks: Sequence[int], tags: Tensor | None = None, annotated: Tensor | None = None) -> Batch:
    none = torch.zeros(0)
    tags = torch.zeros(len(tracks), len(SPACE.tags), dtype=torch.bool) if tags is None else tags
    annotated = torch.ones_like(tags) if annotated is None else annotated
    return Batch(torch.tensor(tracks), none, none, {}, none, tags, annotated)


def embedded(
    features: Tensor, targets: Tensor | None = None, sequence: Tensor | None = None, steps: Tensor | None = None
) -> Embeddings:
    if sequence is not None and steps is None:
        steps = torch.full(sequence.shape[:2], sequence.shape[2])
    return Embeddings(torch.zeros(0), torch.zeros(0), features, sequence, targets, steps)


def make(name: str, **settings: Any) -> Any:
    torch.manual_seed(3)
    return registry.build("objectives", name, space=SPACE, **settings)


def agree(ours: Callable[..., Tensor], loops: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Both give one value and one gradient, to 1e-9 in float64."""
    found = []
    for function in (ours, loops):
        own = [value.detach().clone().requires_grad_() for value in inputs]
        value = function(*own)
        found.append((value.detach(), *torch.autograd.grad(value, own)))
    assert all(value.dtype == torch.float64 for value in found[0])
    assert all(gradient.abs().max() > 1e-6 for gradient in found[1][1:])  # a loop without gradient would prove nothing
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Written out, one product at a time."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    lengths = [torch.sqrt(sum(x * x for x in vector)) for vector in (a, b)]
    return dot / (lengths[0] * lengths[1])
