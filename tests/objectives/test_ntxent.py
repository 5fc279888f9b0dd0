from __future__ import annotations

import math

import pytest
import torch
from multiview import FEATURES, agree, batch_of, cosine, embedded, make, randn
from torch import Tensor

from crossmodal.objectives.ntxent import decoupled_nt_xent, nt_xent, same_track, without_diagonal

TRACKS = [0, 1, 2, 1, 4]  # one comes twice


def by_loops(views: Tensor, tracks: list[int], temperature: float, decoupled: bool = False) -> Tensor:
    """The formula as it is written, one pair at a time."""
    rows = [(view[t], tracks[t]) for view in views for t in range(len(tracks))]
    losses = []
    for i, (own, track) in enumerate(rows):
        others = [(torch.exp(cosine(own, x) / temperature), y == track) for j, (x, y) in enumerate(rows) if j != i]
        total = sum(score for score, positive in others if not (decoupled and positive))
        terms = [-torch.log(score / total) for score, positive in others if positive]
        losses.append(sum(terms) / len(terms))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [[0, 1], [0, 1, 2, 3, 4], TRACKS], ids=["2", "5", "repeated"])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_equals_loops(views: int, tracks: list[int], temperature: float) -> None:
    positives = same_track(torch.tensor(tracks), views)
    rows = 3 * randn(views, len(tracks), 4, seed=views)
    agree(lambda z: nt_xent(z.flatten(0, 1), positives, temperature), lambda z: by_loops(z, tracks, temperature), rows)
    agree(
        lambda z: decoupled_nt_xent(z.flatten(0, 1), positives, temperature),
        lambda z: by_loops(z, tracks, temperature, decoupled=True),
        rows,
    )


def test_two_views_are_the_cross_entropy_of_simclr() -> None:
    z = torch.nn.functional.normalize(randn(2, 6, 4, seed=1), dim=-1).flatten(0, 1)
    similarity = (z @ z.T / 0.2).fill_diagonal_(-math.inf)
    expected = torch.nn.functional.cross_entropy(similarity, torch.arange(12).roll(6))
    torch.testing.assert_close(nt_xent(z, same_track(torch.arange(6), 2), 0.2), expected)


@pytest.mark.parametrize("views", [2, 3])
def test_perfect_pairs(views: int) -> None:
    rows, positives = torch.eye(5, dtype=torch.float64).repeat(views, 1), same_track(torch.arange(5), views)
    good, negatives = math.exp(1 / 0.1), 4 * views
    total = (views - 1) * good + negatives
    assert nt_xent(rows, positives, 0.1).item() == pytest.approx(math.log(total / good), rel=1e-12)
    assert decoupled_nt_xent(rows, positives, 0.1).item() == pytest.approx(math.log(negatives) - 10, rel=1e-12)


def test_decoupled_falls_below_zero_as_in_the_seed() -> None:
    rows = torch.eye(16, dtype=torch.float64).repeat(2, 1)
    assert decoupled_nt_xent(rows, same_track(torch.arange(16), 2), 0.07).item() == pytest.approx(-10.9, abs=0.05)


def test_identical_rows_cost_the_logarithm_of_their_number() -> None:
    rows, positives = torch.ones(10, 4, dtype=torch.float64), same_track(torch.arange(5), 2)
    assert nt_xent(rows, positives, 0.1).item() == pytest.approx(math.log(9), rel=1e-12)
    assert decoupled_nt_xent(rows, positives, 0.1).item() == pytest.approx(math.log(8), rel=1e-12)


def test_lengths_of_rows_do_not_matter() -> None:
    rows, positives = randn(10, 4, seed=2), same_track(torch.arange(5), 2)
    scaled = rows * torch.linspace(0.1, 50, 10)[:, None]
    torch.testing.assert_close(nt_xent(scaled, positives, 0.1), nt_xent(rows, positives, 0.1))


@pytest.mark.parametrize("views", [2, 3])
def test_one_track_has_no_negatives(views: int) -> None:
    rows, positives = randn(views, 4, seed=3).requires_grad_(), same_track(torch.arange(1), views)
    loss = decoupled_nt_xent(rows, positives, 0.1)
    loss.backward()
    assert loss.item() == 0
    assert rows.grad is not None
    assert rows.grad.abs().max() == 0
    assert nt_xent(torch.ones(views, 4), positives, 0.1).item() == pytest.approx(math.log(views - 1), abs=1e-6)


def test_without_diagonal() -> None:
    assert without_diagonal(torch.arange(9).view(3, 3)).tolist() == [[1, 2], [3, 5], [6, 7]]
    assert without_diagonal(torch.ones(1, 1)).shape == (1, 0)


@pytest.mark.parametrize("variant", ["simclr", "decoupled"])
def test_objective_is_the_loss_of_the_projections(variant: str) -> None:
    layers = {"widths": [5, 3], "norm": False}
    objective = make("ntxent", temperature=0.3, variant=variant, projector=layers).double()
    features = randn(2, 5, FEATURES, seed=4)
    expected = by_loops(objective.projector(features), TRACKS, 0.3, variant == "decoupled")
    torch.testing.assert_close(objective(batch_of(TRACKS), embedded(features)), {"ntxent": expected})
