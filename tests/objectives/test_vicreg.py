from __future__ import annotations

from itertools import combinations

import pytest
import torch
from multiview import FEATURES, agree, batch_of, embedded, make, randn
from torch import Tensor
from torch.nn import functional as F

from crossmodal.objectives.vicreg import covariance, invariance, redundancy, variance


def moments(view: Tensor) -> list[list[Tensor]]:
    """Unbiased covariances by loops."""
    tracks, dims = view.shape
    means = [sum(view[t, i] for t in range(tracks)) / tracks for i in range(dims)]
    return [
        [
            sum((view[t, i] - means[i]) * (view[t, j] - means[j]) for t in range(tracks)) / (tracks - 1)
            for j in range(dims)
        ]
        for i in range(dims)
    ]


def by_loops(views: Tensor, scaling: str, weights: tuple[float, float, float]) -> Tensor:
    tracks, dims = views.shape[1:]
    epsilon, losses = {"paper": 1e-4, "mean": 1e-5}[scaling], []
    for a, b in combinations(views, 2):
        near = sum((a[t, i] - b[t, i]) ** 2 for t in range(tracks) for i in range(dims)) / (tracks * dims)
        spread, shared = [], []
        for view in (a, b):
            c = moments(view)
            spread.append(sum(torch.clamp(1 - torch.sqrt(c[i][i] + epsilon), min=0) for i in range(dims)) / dims)
            if scaling == "paper":
                shared.append(sum(c[i][j] ** 2 for i in range(dims) for j in range(dims) if i != j) / dims)
            else:
                biased = (tracks - 1) / tracks
                deviations = [torch.sqrt(c[i][i] * biased + 1e-5) for i in range(dims)]
                r = [[c[i][j] * biased / deviations[i] / deviations[j] for j in range(dims)] for i in range(dims)]
                total = sum(r[i][j] ** 2 for i in range(dims) for j in range(dims) if i != j)
                shared.append(total / (dims * (dims - 1)))
        over = 1 if scaling == "paper" else 2
        losses.append(weights[0] * near + weights[1] * sum(spread) / over + weights[2] * sum(shared) / over)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [2, 5])
@pytest.mark.parametrize(("scaling", "weights"), [("paper", (25.0, 25.0, 1.0)), ("mean", (1.0, 1.0, 1.0))])
def test_equals_loops(views: int, tracks: int, scaling: str, weights: tuple[float, float, float]) -> None:
    objective = make("vicreg", scaling=scaling, projector={"widths": []})
    rows = 0.8 * randn(views, tracks, FEATURES, seed=views + tracks)
    agree(
        lambda z: torch.stack(list(objective(batch_of(range(tracks)), embedded(z)).values())).sum(),
        lambda z: by_loops(z, scaling, weights),
        rows,
    )


def off_diagonal(square: Tensor) -> Tensor:
    return square - torch.diag(square.diagonal())


def test_settings_give_the_authors_repository_and_the_seeds() -> None:
    x, y = 0.7 * randn(2, 9, FEATURES, seed=1)

    def terms(**settings: object) -> list[float]:
        objective = make("vicreg", projector={"widths": []}, **settings)
        return [t.item() for t in objective(batch_of(range(9)), embedded(torch.stack([x, y]))).values()]

    spread = [F.relu(1 - torch.sqrt(z.var(0) + 1e-4)).mean().item() for z in (x, y)]
    shared = [off_diagonal(torch.cov(z.T)).square().sum().item() / FEATURES for z in (x, y)]
    near = F.mse_loss(x, y).item()
    # facebookresearch/vicreg: the variance is halved, the covariance is not
    assert terms(variance=12.5) == pytest.approx([25 * near, 25 * (spread[0] + spread[1]) / 2, sum(shared)])
    # SSLISMIR: 25, 15 and 1 of the means over both views
    settings = {"invariance": 25.0, "variance": 7.5, "covariance": 0.5}
    assert terms(**settings) == pytest.approx([25 * near, 15 * sum(spread) / 2, sum(shared) / 2])
    # Deezer: means, and the correlation
    spread = [F.relu(1 - torch.sqrt(z.var(0) + 1e-5)).mean().item() for z in (x, y)]
    shared = [off_diagonal(torch.corrcoef(z.T)).square().sum().item() / (FEATURES * (FEATURES - 1)) for z in (x, y)]
    assert terms(scaling="mean") == pytest.approx([near, sum(spread) / 2, sum(shared) / 2], rel=1e-3)


def test_closed_forms() -> None:
    # centred, uncorrelated, of variance 4 / 3
    white = torch.tensor([[1, 1, 1], [-1, 1, -1], [1, -1, -1], [-1, -1, 1]], dtype=torch.float64)
    torch.testing.assert_close(covariance(white), 4 / 3 * torch.eye(3, dtype=torch.float64))
    for scaling in ("paper", "mean"):
        assert invariance(torch.stack([white] * 3)).item() == 0
        assert variance(white, scaling).item() == 0
        assert redundancy(white, scaling).item() == pytest.approx(0, abs=1e-15)
        assert variance(torch.ones(4, 3), scaling).item() == pytest.approx(1, abs=0.02)  # collapsed
    twins = white[:, [0, 0, 0]]
    assert redundancy(twins, "paper").item() == pytest.approx(6 * (4 / 3) ** 2 / 3)
    assert redundancy(twins, "mean").item() == pytest.approx(1, rel=1e-4)


def test_a_batch_of_one_has_no_variance_and_no_covariance() -> None:
    one = randn(1, 4, seed=2).requires_grad_()
    assert variance(one, "paper").item() == pytest.approx(1 - 0.01)
    assert redundancy(one, "paper").item() == redundancy(one, "mean").item() == 0
    (variance(one, "paper") + redundancy(one, "paper") + redundancy(one, "mean")).backward()
    assert one.grad is not None
    assert one.grad.abs().max() == 0


def test_terms_are_named() -> None:
    terms = make("vicreg")(batch_of(range(4)), embedded(randn(2, 4, FEATURES, seed=3, dtype=torch.float32)))
    assert list(terms) == ["vicreg/invariance", "vicreg/variance", "vicreg/covariance"]
