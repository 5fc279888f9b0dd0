from __future__ import annotations

import pytest
import torch
from multiview import FEATURES, Encoder, agree, batch_of, cosine, embedded, make, randn
from torch import Tensor
from torch.nn import functional as F

from crossmodal.objectives.byol import byol_loss

SETTINGS = {"projector": {"widths": [8, 4]}, "predictor": {"widths": [8, 4]}}


def by_loops(predictions: Tensor, targets: Tensor) -> Tensor:
    """Eq. 2 as squared distances of unit vectors, both directions of a pair added."""
    views, tracks = predictions.shape[:2]
    pairs = []
    for v in range(views):
        for w in range(v + 1, views):
            for t in range(tracks):
                forth = 2 - 2 * cosine(predictions[v, t], targets[w, t])
                back = 2 - 2 * cosine(predictions[w, t], targets[v, t])
                pairs.append(forth + back)
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_equals_loops(views: int, tracks: int) -> None:
    agree(byol_loss, by_loops, randn(views, tracks, 4, seed=views), randn(views, tracks, 4, seed=tracks + 5))


def test_is_the_squared_distance_of_unit_vectors() -> None:
    q, z = F.normalize(randn(2, 5, 4, seed=1), dim=-1), F.normalize(randn(2, 5, 4, seed=2), dim=-1)
    expected = ((q[0] - z[1]).square().sum(-1) + (q[1] - z[0]).square().sum(-1)).mean()
    torch.testing.assert_close(byol_loss(q, z), expected)


@pytest.mark.parametrize("views", [2, 3])
def test_closed_forms_at_any_length(views: int) -> None:
    z = randn(1, 5, 4, seed=3).expand(views, 5, 4)
    assert byol_loss(7 * z, z).item() == pytest.approx(0, abs=1e-12)
    assert byol_loss(-0.1 * z, z).item() == pytest.approx(8, rel=1e-12)
    orthogonal = torch.eye(4, dtype=torch.float64)
    assert byol_loss(orthogonal.expand(views, 4, 4), orthogonal.roll(1, 0).expand(views, 4, 4)).item() == 4


def test_objective_compares_predictions_with_the_teachers_projections() -> None:
    objective = make("byol", **SETTINGS).double()
    features, targets = randn(2, 5, FEATURES, seed=4), randn(2, 5, FEATURES, seed=5)
    expected = by_loops(objective.predictor(objective.projector(features)), objective.teacher.head(targets))
    torch.testing.assert_close(objective(batch_of(range(5)), embedded(features, targets)), {"byol": expected})


def test_no_gradient_reaches_the_teacher() -> None:
    objective = make("byol", **SETTINGS)
    features = randn(2, 5, FEATURES, seed=4, dtype=torch.float32).requires_grad_()
    targets = randn(2, 5, FEATURES, seed=5, dtype=torch.float32).requires_grad_()
    objective(batch_of(range(5)), embedded(features, targets))["byol"].backward()
    assert targets.grad is None
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())
    assert features.grad is not None
    assert features.grad.abs().max() > 0


def test_teacher_follows_encoder_and_projector_by_the_schedule() -> None:
    objective, encoder = make("byol", momentum=0.9, **SETTINGS), Encoder(1)
    objective.start(encoder)
    before = [parameter.clone() for parameter in objective.teacher.parameters()]
    with torch.no_grad():
        for part in (encoder, objective.projector):
            for parameter in part.parameters():
                parameter.add_(1.0)
    objective.after_step(encoder, 0.5)  # 1 - 0.1 (cos(pi / 2) + 1) / 2 = 0.95
    for parameter, old in zip(objective.teacher.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.data, old + 0.05)


def test_targets_are_the_teachers() -> None:
    objective, encoder = make("byol", **SETTINGS), Encoder(1)
    objective.start(encoder)
    audio, lengths = randn(4, 5, 3, seed=6, dtype=torch.float32), torch.full((4,), 5)
    made = objective.targets(audio, lengths)
    encoder.dropout.p = 0.0
    torch.testing.assert_close(made, encoder(audio, lengths).detach())
    assert not made.requires_grad
