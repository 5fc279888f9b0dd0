"""DINO, or clustering: a student tells the class that its teacher gives another view, of classes that nobody named.

With g_s and g_t the outputs of student and teacher, one a class, P_s = softmax(g_s / student temperature) and
P_t = softmax((g_t - centre) / teacher temperature):

    loss = mean over tracks and ordered pairs of different views of  - sum over classes of P_t(view) log P_s(other view)

Eqs. 1 and 3 of Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, with all views of
one size, and the mean in place of the sum, as in the authors' code. After each step the centre follows the mean output
of the teacher, eq. 4, and the teacher its student. Centring alone spreads the classes, a low temperature of the teacher
alone makes one win: together neither collapse happens.

Differs from the seeds: SSLISMIR's cannot be imported, is given settings that it does not have, and centres only within
a process group; Deezer's moves the centre within the loss, its temperatures fail below ten epochs, and its momentum is
planned for 999 of them. Here centre and temperature are saved, so that training goes on as it would have.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.objectives._heads import Head, head
from crossmodal.objectives._teacher import Schedule, Teacher
from crossmodal.objectives.ntxent import Temperature
from crossmodal.settings import Count, Share
from crossmodal.types import AudioEncoder, Batch, Embeddings, Objective, Space


def dino_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """The mean over tracks and ordered pairs of different views of the cross-entropy.

    Args:
        student: logits over classes, already over the temperature, ``(views, batch, classes)``, two views or more.
        teacher: probabilities of classes, ``(views, batch, classes)``.
    """
    views, tracks = student.shape[:2]
    logs = student.log_softmax(-1)
    same = (teacher * logs).sum()
    return (same - (teacher.sum(0) * logs.sum(0)).sum()) / (views * (views - 1) * tracks)


def warmed(done: float, start: float, end: float, warmup: float, schedule: Literal["linear", "cosine"]) -> float:
    """A value that goes from ``start`` to ``end`` in the share ``warmup`` of training, and stays there."""
    share = min(1.0, done / warmup) if warmup else 1.0
    share = share if schedule == "linear" else (1 - math.cos(math.pi * share)) / 2
    return start + (end - start) * share


class ClassHead(nn.Module):
    """A projector and one vector a class.

    Args:
        projector: what comes before.
        classes: how many.
        last_layer: ``weight_norm`` takes cosines, as the authors' code with its norm fixed at 1; ``plain`` does not.
    """

    def __init__(self, projector: Head, classes: int, last_layer: Literal["weight_norm", "plain"]) -> None:
        super().__init__()
        self.projector = projector
        self.classes = nn.Linear(projector.dim, classes, bias=False)
        self.cosines = last_layer == "weight_norm"

    def forward(self, values: Tensor) -> Tensor:
        """``(views, batch, features)`` to logits ``(views, batch, classes)``."""
        values, weight = self.projector(values), self.classes.weight
        if self.cosines:
            values, weight = F.normalize(values, dim=-1), F.normalize(weight, dim=-1)
        return F.linear(values, weight)


class DINO(nn.Module, Objective):
    """A student that tells the classes of its teacher; one term, ``dino``. Works with batches of any size.

    Deezer's clustering is ``projector: {widths: [1024, 256], last: relu}, last_layer: plain, start_temperature: 0.02,
    teacher_temperature: 0.04, temperature_schedule: cosine``.

    Args:
        space: for the dimensions of the encoder's output.
        classes: how many the student may tell.
        projector: settings of the head before the classes, see `Layers`; the teacher's follows it.
        last_layer: whether classes are told by cosines, as in the paper, or by a plain linear layer.
        temperature: of the student.
        start_temperature: of the teacher at the start.
        teacher_temperature: of the teacher after its warm-up.
        warmup: share of training in which the teacher's temperature rises.
        temperature_schedule: how it does.
        centre_momentum: the share of itself that the centre keeps in a step.
        momentum: the share of itself that the teacher keeps in a step, to begin with.
        schedule: whether it rises to 1 by a cosine, or stays.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"views"})
    centre: Tensor  # (classes,), a buffer
    teacher_temperature: Tensor  # of the next step, a buffer

    def __init__(
        self,
        space: Space,
        classes: Count = 4096,
        projector: dict[str, Any] | None = None,
        last_layer: Literal["weight_norm", "plain"] = "weight_norm",
        temperature: Temperature = 0.1,
        start_temperature: Temperature = 0.04,
        teacher_temperature: Temperature = 0.07,
        warmup: Share = 0.3,
        temperature_schedule: Literal["linear", "cosine"] = "linear",
        centre_momentum: Share = 0.9,
        momentum: Share = 0.996,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__()
        layers = head("dino: projector", space.features, projector, 512, 256)
        self.head = ClassHead(layers, classes, last_layer)
        self.teacher = Teacher(self.head, momentum, schedule)
        self.temperature, self.centre_momentum = temperature, centre_momentum
        self.rise = (start_temperature, teacher_temperature, warmup, temperature_schedule)
        self.register_buffer("centre", torch.zeros(classes))
        self.register_buffer("teacher_temperature", torch.tensor(warmed(0.0, *self.rise)))
        self._mean: Tensor | None = None  # the teacher's output in the last batch

    def start(self, encoder: AudioEncoder) -> None:
        """Copy the encoder for the teacher."""
        self.teacher.start(encoder)

    def targets(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features ``(n, frames, *shape)`` to the teacher encoder's ``(n, features)``."""
        return self.teacher.encode(features, lengths)

    def forward(self, batch: Batch, embeddings: Embeddings) -> dict[str, Tensor]:
        """The term ``dino`` of ``features`` and ``targets``, both ``(views, batch, features)``."""
        with torch.autocast(embeddings.features.device.type, enabled=False):
            given = self.teacher(embeddings.targets)
            self._mean = given.mean((0, 1))
            classes = ((given - self.centre) / self.teacher_temperature).softmax(-1)
            return {"dino": dino_loss(self.head(embeddings.features) / self.temperature, classes)}

    @torch.no_grad()
    def after_step(self, encoder: AudioEncoder, done: float) -> None:
        """Move the teacher towards the student, the centre towards the last batch's mean, and the temperature."""
        self.teacher.follow(encoder, self.head, done)
        if self._mean is not None:
            self.centre.lerp_(self._mean, 1 - self.centre_momentum)
        self.teacher_temperature.fill_(warmed(done, *self.rise))
