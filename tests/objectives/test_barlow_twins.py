from __future__ import annotations

from itertools import combinations
from typing import Literal

import pytest
import torch
from multiview import FEATURES, agree, batch_of, embedded, make, randn
from torch import Tensor

from crossmodal.objectives.barlow_twins import barlow_twins_terms, correlation

Scaling = Literal["paper", "mean"]


def correlation_by_loops(a: Tensor, b: Tensor) -> list[list[Tensor]]:
    tracks, dims = a.shape

    def column(values: Tensor, i: int) -> list[Tensor]:
        mean = sum(values[t, i] for t in range(tracks)) / tracks
        return [values[t, i] - mean for t in range(tracks)]

    def entry(x: list[Tensor], y: list[Tensor]) -> Tensor:
        spreads = [torch.sqrt(sum(v * v for v in values) / tracks + 1e-5) for values in (x, y)]
        return sum(p * q for p, q in zip(x, y, strict=True)) / tracks / (spreads[0] * spreads[1])

    return [[entry(column(a, i), column(b, j)) for j in range(dims)] for i in range(dims)]


def by_loops(views: Tensor, scaling: Scaling, weight: float) -> Tensor:
    losses = []
    for a, b in combinations(views, 2):
        c = correlation_by_loops(a, b)
        dims = len(c)
        on = sum((1 - c[i][i]) ** 2 for i in range(dims))
        off = sum(c[i][j] ** 2 for i in range(dims) for j in range(dims) if i != j)
        losses.append(on + weight * off if scaling == "paper" else on / dims + weight * off / (dims * (dims - 1)))
    return sum(losses) / len(losses)


def summed(views: Tensor, scaling: Scaling, weight: float) -> Tensor:
    invariance, redundancy = barlow_twins_terms(views, scaling)
    return invariance + weight * redundancy


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [3, 5])
@pytest.mark.parametrize("scaling", ["paper", "mean"])
def test_equals_loops(views: int, tracks: int, scaling: Scaling) -> None:
    rows = randn(views, tracks, 3, seed=views + tracks)
    agree(lambda z: summed(z, scaling, 0.3), lambda z: by_loops(z, scaling, 0.3), rows)


@pytest.mark.parametrize("tracks", [2, 5, 8])
def test_identical_views_correlate_by_one_at_any_batch_size(tracks: int) -> None:
    z = 100 * randn(tracks, 4, seed=1)
    torch.testing.assert_close(correlation(z, z).diagonal(), torch.ones(4, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(correlation(z, z), torch.corrcoef(z.T), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scaling", ["paper", "mean"])
def test_closed_forms(scaling: Scaling) -> None:
    # Columns of a Hadamard matrix are centred and uncorrelated.
    white = torch.tensor([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.float64)
    same, turned = torch.stack([white, white]), torch.stack([white, -white])
    twins = torch.stack([white[:, [0, 0, 0]]] * 2)
    over = 3 if scaling == "mean" else 1
    pairs = 6 if scaling == "mean" else 1
    assert [term.item() for term in barlow_twins_terms(same, scaling)] == pytest.approx([0, 0], abs=1e-9)
    assert [term.item() for term in barlow_twins_terms(turned, scaling)] == pytest.approx([12 / over, 0], abs=1e-3)
    assert [term.item() for term in barlow_twins_terms(twins, scaling)] == pytest.approx([0, 6 / pairs], abs=1e-3)


def test_scale_and_offset_of_a_dimension_do_not_matter() -> None:
    rows = 10 * randn(2, 6, 4, seed=2)
    moved = rows * torch.tensor([1.0, 5.0, 20.0, 300.0]) + torch.tensor([0.0, -7.0, 3.0, 90.0])
    for scaling in ("paper", "mean"):
        torch.testing.assert_close(summed(moved, scaling, 0.3), summed(rows, scaling, 0.3), rtol=1e-5, atol=0)


def test_a_batch_of_one_costs_a_constant() -> None:
    rows = randn(2, 1, 4, seed=3).requires_grad_()
    invariance, redundancy = barlow_twins_terms(rows, "paper")
    assert (invariance.item(), redundancy.item()) == (4, 0)
    (invariance + redundancy).backward()
    assert rows.grad is not None
    assert rows.grad.abs().max() == 0


def test_one_dimension_has_no_redundancy() -> None:
    assert barlow_twins_terms(randn(2, 5, 1, seed=4), "mean")[1].item() == 0


@pytest.mark.parametrize(
    ("settings", "scaling", "weight"),
    [({}, "paper", 5e-3), ({"scaling": "mean"}, "mean", 1.0), ({"redundancy": 0.2}, "paper", 0.2)],
)
def test_objective_weighs_as_published_or_as_told(settings: dict[str, object], scaling: Scaling, weight: float) -> None:
    objective = make("barlow_twins", projector={"widths": []}, **settings)
    features = randn(2, 5, FEATURES, seed=5)
    terms = objective(batch_of(range(5)), embedded(features))
    invariance, redundancy = barlow_twins_terms(features, scaling)
    expected = {"barlow_twins/invariance": invariance, "barlow_twins/redundancy": weight * redundancy}
    torch.testing.assert_close(terms, expected)
