"""A teacher: a network that is not trained but follows the trained one, its student, as a moving average of it."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Literal, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from crossmodal.norms import frozen_norms
from crossmodal.types import AudioEncoder

Schedule = Literal["cosine", "constant"]
M = TypeVar("M", bound=nn.Module)


def momentum_at(done: float, start: float, schedule: Schedule) -> float:
    """The share of itself that a teacher keeps in a step, with the share ``done`` of training behind it.

    ``cosine``, by which it rises from ``start`` to 1, is 1 - (1 - start) (cos(pi done) + 1) / 2: Grill et al. 2020,
    section 3.2.
    """
    return start if schedule == "constant" else 1 - (1 - start) * (math.cos(math.pi * done) + 1) / 2


def untrained(module: M) -> M:
    """The module, which no optimiser trains any more, and which drops nothing out."""
    for part in module.modules():
        if isinstance(part, _DropoutNd):
            part.p = 0.0
    return module.requires_grad_(False).train()


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters: t = momentum t + (1 - momentum) s. Its buffers stay its own."""
    for own, given in zip(teacher.parameters(), student.parameters(), strict=True):
        own.lerp_(given.to(own.dtype), 1 - momentum)


class Teacher(nn.Module):
    """Encoder and head that follow a student's. As parts of an objective they are saved and restored with it.

    Batch norm takes the statistics of the batch that the teacher is given, and gathers its own running ones, but where
    the student's is frozen: there it stays what it is. The normaliser of features is the one the encoder had at the
    start.

    Args:
        head: the student's head.
        momentum: the share of itself that the teacher keeps in a step, or the one to start with.
        schedule: how it goes on, see `momentum_at`.
    """

    def __init__(self, head: nn.Module, momentum: float, schedule: Schedule) -> None:
        super().__init__()
        self.momentum, self.schedule = momentum, schedule
        self.head = untrained(deepcopy(head))
        self.encoder: nn.Module | None = None
        self.frozen: list[nn.modules.batchnorm._BatchNorm] = []  # norms of the encoder

    def start(self, encoder: AudioEncoder) -> None:
        """Copy the encoder."""
        copied = deepcopy(cast(nn.Module, encoder))
        self.frozen = frozen_norms(copied)
        self.encoder = untrained(copied)

    @torch.no_grad()
    def encode(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features ``(n, frames, *shape)`` to the teacher encoder's ``(n, features)``.

        One row by itself has no statistics: batch norm then uses the running ones.
        """
        if self.encoder is None:
            raise RuntimeError("the teacher has no encoder yet: call start(encoder) before the first step")
        self.encoder.train(self.training and len(features) > 1)
        for norm in self.frozen:
            norm.eval()
        encoded: Tensor = self.encoder(features, lengths)
        return encoded

    @torch.no_grad()
    def forward(self, targets: Tensor | None) -> Tensor:
        """What `encode` gave for a batch, ``(views, batch, features)``, through the teacher's head."""
        if targets is None:
            raise ValueError("embeddings.targets is None: it must hold what the objective's targets() gave")
        made: Tensor = self.head(targets)
        return made

    def follow(self, encoder: AudioEncoder, head: nn.Module, done: float) -> None:
        """Follow the student after its step, with the share of training done."""
        if self.encoder is None:
            raise RuntimeError("the teacher has no encoder yet: call start(encoder) before the first step")
        momentum = momentum_at(done, self.momentum, self.schedule)
        follow(self.encoder, cast(nn.Module, encoder), momentum)
        follow(self.head, head, momentum)
