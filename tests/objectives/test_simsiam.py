from __future__ import annotations

import pytest
import torch
from multiview import FEATURES, agree, batch_of, cosine, embedded, make, randn
from torch import Tensor

from crossmodal.objectives.simsiam import simsiam_loss


def by_loops(predictions: Tensor, projections: Tensor) -> Tensor:
    views, tracks = predictions.shape[:2]
    pairs = []
    for v in range(views):
        for w in range(v + 1, views):
            for t in range(tracks):
                forth = -cosine(predictions[v, t], projections[w, t].detach())
                back = -cosine(predictions[w, t], projections[v, t].detach())
                pairs.append(forth / 2 + back / 2)
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_equals_loops(views: int, tracks: int) -> None:
    z = randn(views, tracks, 4, seed=tracks + 5)
    agree(lambda p: simsiam_loss(p, z), lambda p: by_loops(p, z), randn(views, tracks, 4, seed=views))


@pytest.mark.parametrize("views", [2, 3])
def test_closed_forms_at_any_length(views: int) -> None:
    z = randn(1, 5, 4, seed=3).expand(views, 5, 4)
    assert simsiam_loss(7 * z, z).item() == pytest.approx(-1, rel=1e-12)
    assert simsiam_loss(-0.1 * z, z).item() == pytest.approx(1, rel=1e-12)


def test_a_track_is_not_pulled_towards_another() -> None:
    p, z = randn(2, 5, 4, seed=1), randn(2, 5, 4, seed=2)
    other = z.clone()
    other[:, 3] = randn(2, 4, seed=8)
    first = [p.clone().requires_grad_() for _ in range(2)]
    for values, targets in zip(first, (z, other), strict=True):
        simsiam_loss(values, targets).backward()
    kept = [0, 1, 2, 4]
    assert torch.equal(first[0].grad[:, kept], first[1].grad[:, kept])
    assert not torch.equal(first[0].grad[:, 3], first[1].grad[:, 3])


def test_no_gradient_flows_through_projections() -> None:
    p, z = randn(2, 5, 4, seed=1).requires_grad_(), randn(2, 5, 4, seed=2).requires_grad_()
    simsiam_loss(p, z).backward()
    assert z.grad is None


def test_objective_by_hand_stops_the_gradient_at_projections_alone() -> None:
    layers = {"projector": {"widths": [8, 4]}, "predictor": {"widths": [8, 4]}}
    objective = make("simsiam", **layers).double()

    def by_hand(features: Tensor) -> Tensor:
        projections = objective.projector(features)
        return by_loops(objective.predictor(projections), projections)

    features = randn(2, 5, FEATURES, seed=4)
    agree(lambda x: objective(batch_of(range(5)), embedded(x))["simsiam"], by_hand, features)


def test_without_a_predictor_views_are_compared_as_they_are() -> None:
    objective = make("simsiam", projector={"widths": []}, predictor={"widths": []})
    features = randn(2, 5, FEATURES, seed=4)
    expected = by_loops(features, features)
    torch.testing.assert_close(objective(batch_of(range(5)), embedded(features))["simsiam"], expected)
