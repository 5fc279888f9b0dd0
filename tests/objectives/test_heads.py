from __future__ import annotations

from typing import Any

import pytest
import torch
from multiview import agree, cosine, randn
from torch import Tensor, nn

from crossmodal.errors import InputError
from crossmodal.objectives._heads import head, matching_head, mean_cosine

HEADS: list[tuple[dict[str, Any], list[str]]] = [
    ({"widths": [512, 64], "norm": False}, ["512", "ReLU", "64"]),  # CLMR
    ({"widths": [1024, 2048]}, ["1024", "BatchNorm1d", "ReLU", "2048"]),  # Deezer
    ({"widths": [8, 6], "bias": True}, ["8+", "BatchNorm1d", "ReLU", "6+"]),  # SSLISMIR
    ({"widths": [8, 6], "last": "norm"}, ["8", "BatchNorm1d", "ReLU", "6", "BatchNorm1d"]),  # SimSiam's paper
    ({"widths": [8], "last": "relu"}, ["8", "BatchNorm1d", "ReLU"]),  # Deezer's clustering, but for the classes
    ({"widths": [8], "norm": False, "last": "relu"}, ["8", "ReLU"]),
    ({"widths": []}, []),
]


def described(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return f"{layer.out_features}{'' if layer.bias is None else '+'}"
    return type(layer).__name__


@pytest.mark.parametrize(("settings", "layers"), HEADS)
def test_layers(settings: dict[str, Any], layers: list[str]) -> None:
    made = head("here", 5, settings)
    assert [described(layer) for layer in made.layers] == layers
    assert made.dim == [5, *settings["widths"]][-1]
    assert made(torch.zeros(2, 3, 5)).shape == (2, 3, made.dim)


def test_no_layers_give_back_what_they_get() -> None:
    values = randn(2, 3, 5, seed=0)
    assert torch.equal(head("here", 5, {"widths": []})(values), values)


def test_the_norm_is_over_all_views_of_all_tracks() -> None:
    made, values = head("here", 5, {"widths": [4], "last": "norm"}).double(), randn(3, 7, 5, seed=1)
    rows = (values @ made.layers[0].weight.T).flatten(0, 1)
    expected = (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(made(values).flatten(0, 1), expected)


def test_one_track_of_two_views_passes_a_norm() -> None:
    assert torch.isfinite(head("here", 5, {"widths": [4, 4]})(torch.randn(2, 1, 5))).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": [4]}, "byol: projector has no setting 'width'; valid: widths"),
        ({"widths": [0]}, r"byol: projector: widths\[0\] is 0 .* int at least 1"),
        ({"norm": True}, "byol: projector lacks widths"),
    ],
)
def test_wrong_settings_are_told_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        head("byol: projector", 5, settings)


def test_a_predictor_of_another_width_is_refused() -> None:
    assert matching_head("byol: predictor", 5, {"widths": [3, 5]}).dim == 5
    with pytest.raises(InputError, match="byol: predictor: the last of widths is 4, but must be 5"):
        matching_head("byol: predictor", 5, {"widths": [3, 4]})


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_mean_cosine_equals_a_loop_over_ordered_pairs(views: int, tracks: int) -> None:
    def loops(predictions: Tensor, targets: Tensor) -> Tensor:
        found = [
            cosine(predictions[v, t], targets[w, t])
            for v in range(views)
            for w in range(views)
            for t in range(tracks)
            if v != w
        ]
        return sum(found) / len(found)

    agree(mean_cosine, loops, randn(views, tracks, 4, seed=views), randn(views, tracks, 4, seed=tracks + 9))


def test_a_block_counts_even_if_it_is_empty() -> None:
    made = head("a: head", 5, None, 3, 4)
    assert [layer.out_features for layer in made.layers if isinstance(layer, nn.Linear)] == [3, 4]
    with pytest.raises(InputError, match=r"a: head.*widths"):
        head("a: head", 5, {}, 3, 4)
