from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from multiview import FEATURES, Encoder, agree, batch_of, embedded, make, randn
from torch import Tensor

from crossmodal.objectives.dino import dino_loss, warmed

SETTINGS: dict[str, Any] = {"classes": 7, "projector": {"widths": [8, 5]}}


def by_loops(student: Tensor, teacher: Tensor) -> Tensor:
    """Cross-entropies of each teacher's view with each other view of the student, class by class."""
    views, tracks, classes = student.shape
    losses = []
    for v in range(views):
        for w in range(views):
            for t in range(tracks):
                if v != w:
                    total = sum(torch.exp(student[w, t, k]) for k in range(classes))
                    logs = [torch.log(torch.exp(student[w, t, k]) / total) for k in range(classes)]
                    losses.append(-sum(teacher[v, t, k] * logs[k] for k in range(classes)))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_equals_loops(views: int, tracks: int) -> None:
    teacher = randn(views, tracks, 4, seed=tracks).softmax(-1)
    agree(lambda s: dino_loss(s, teacher), lambda s: by_loops(s, teacher), 3 * randn(views, tracks, 4, seed=views))


def test_closed_forms() -> None:
    uniform = torch.full((2, 5, 8), 1 / 8, dtype=torch.float64)
    assert dino_loss(torch.zeros(2, 5, 8, dtype=torch.float64), uniform).item() == pytest.approx(math.log(8))
    sure = torch.eye(8, dtype=torch.float64)[:5].expand(2, 5, 8)
    assert dino_loss(1000 * sure, sure).item() == pytest.approx(0, abs=1e-12)
    assert dino_loss(sure + 5, sure).item() == pytest.approx(dino_loss(sure, sure).item())  # logits may shift


@pytest.mark.parametrize("last_layer", ["weight_norm", "plain"])
def test_objective_by_hand(last_layer: str) -> None:
    objective = make("dino", last_layer=last_layer, temperature=0.2, **SETTINGS).double()
    objective.centre.copy_(randn(7, seed=3))
    features, targets = randn(2, 5, FEATURES, seed=4), randn(2, 5, FEATURES, seed=5)

    def logits(head: Any, values: Tensor) -> Tensor:
        rows, weight = head.projector(values), head.classes.weight
        if last_layer == "weight_norm":
            rows, weight = rows / rows.norm(dim=-1, keepdim=True), weight / weight.norm(dim=-1, keepdim=True)
        return rows @ weight.T

    teacher = ((logits(objective.teacher.head, targets) - objective.centre) / 0.04).softmax(-1)
    expected = by_loops(logits(objective.head, features) / 0.2, teacher)
    found = objective(batch_of(range(5)), embedded(features, targets))["dino"]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # the temperature is a float32


def test_no_gradient_reaches_the_teacher() -> None:
    objective = make("dino", **SETTINGS)
    targets = randn(2, 5, FEATURES, seed=5, dtype=torch.float32).requires_grad_()
    features = randn(2, 5, FEATURES, seed=4, dtype=torch.float32)
    objective(batch_of(range(5)), embedded(features, targets))["dino"].backward()
    assert targets.grad is None
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())
    assert all(parameter.grad is not None for parameter in objective.head.parameters())


def test_the_centre_follows_the_last_batch_once_a_step() -> None:
    objective, encoder = make("dino", centre_momentum=0.75, **SETTINGS), Encoder()
    objective.start(encoder)
    features = randn(2, 5, FEATURES, seed=4, dtype=torch.float32)
    for seed in (1, 2, 2):  # a batch before, and the last one seen twice
        targets = randn(2, 5, FEATURES, seed=seed, dtype=torch.float32)
        objective(batch_of(range(5)), embedded(features, targets))
    assert objective.centre.abs().max() == 0
    mean = objective.teacher.head(targets).mean((0, 1))
    objective.after_step(encoder, 0.0)
    torch.testing.assert_close(objective.centre, 0.25 * mean)
    first = objective.centre.clone()
    mean = objective.teacher.head(targets).mean((0, 1))  # of the teacher that has moved
    objective(batch_of(range(5)), embedded(features, targets))
    objective.after_step(encoder, 0.0)
    torch.testing.assert_close(objective.centre, 0.75 * first + 0.25 * mean)


def test_temperatures() -> None:
    paper = [warmed(done, 0.04, 0.07, 0.3, "linear") for done in (0.0, 0.15, 0.3, 1.0)]
    assert paper == pytest.approx([0.04, 0.055, 0.07, 0.07])
    deezer = [warmed(done, 0.02, 0.04, 0.5, "cosine") for done in (0.0, 0.125, 0.25, 0.5, 1.0)]
    quarter = 0.04 + 0.5 * (0.02 - 0.04) * (1 + math.cos(math.pi / 4))
    assert deezer == pytest.approx([0.02, quarter, 0.03, 0.04, 0.04])
    assert warmed(0.0, 0.04, 0.07, 0.0, "linear") == 0.07


def test_teacher_and_temperature_move_after_a_step_and_are_saved() -> None:
    objective, encoder = make("dino", momentum=0.9, schedule="constant", warmup=0.5, **SETTINGS), Encoder(1)
    objective.start(encoder)
    assert objective.teacher_temperature.item() == pytest.approx(0.04)
    before = [parameter.clone() for parameter in objective.teacher.parameters()]
    with torch.no_grad():
        for part in (encoder, objective.head):
            for parameter in part.parameters():
                parameter.add_(1.0)
    objective.after_step(encoder, 0.25)
    assert objective.teacher_temperature.item() == pytest.approx(0.055)
    for parameter, old in zip(objective.teacher.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.data, old + 0.1)
    assert {"centre", "teacher_temperature", "teacher.encoder.linear.weight"} <= objective.state_dict().keys()


def test_weight_norm_takes_cosines() -> None:
    head = make("dino", **SETTINGS).head
    values = randn(2, 5, FEATURES, seed=6, dtype=torch.float32)
    before = head(values)
    with torch.no_grad():
        head.classes.weight.mul_(torch.linspace(0.1, 9, 7)[:, None])
    torch.testing.assert_close(head(values), before)
    assert before.abs().max() <= 1 + 1e-6
