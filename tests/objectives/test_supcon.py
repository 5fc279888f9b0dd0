from __future__ import annotations

import math

import pytest
import torch
from multiview import FEATURES, SPACE, agree, batch_of, cosine, embedded, make, randn
from torch import Tensor

from crossmodal.errors import InputError
from crossmodal.objectives.ntxent import nt_xent, same_track
from crossmodal.objectives.supcon import SupCon, share_a_tag

# jazz; rock; both; only a mood, of another tagset; jazz, but not annotated with genres
TAGS = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.bool)
ANNOTATED = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 1]], dtype=torch.bool)
GENRES = [{"jazz"}, {"rock"}, {"jazz", "rock"}, set(), set()]


def by_loops(views: Tensor, labels: list[set[str]], temperature: float) -> Tensor:
    rows = [(t, view[t]) for view in views for t in range(len(labels))]
    losses = []
    for i, (track, own) in enumerate(rows):
        others = [(t, torch.exp(cosine(own, x) / temperature)) for j, (t, x) in enumerate(rows) if j != i]
        total = sum(score for _, score in others)
        terms = [-torch.log(score / total) for t, score in others if t == track or labels[t] & labels[track]]
        losses.append(sum(terms) / len(terms))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("views", [2, 3])
@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_equals_loops(views: int, tracks: int) -> None:
    objective = make("supcon", tagset="genre", temperature=0.2, projector={"widths": []})
    batch = batch_of(range(tracks), TAGS[:tracks], ANNOTATED[:tracks])
    rows = randn(views, tracks, FEATURES, seed=tracks)
    if tracks == 1 and views == 2:  # nothing to tell apart, and no gradient
        assert objective(batch, embedded(rows))["supcon"].abs() < 1e-12
        return
    agree(lambda z: objective(batch, embedded(z))["supcon"], lambda z: by_loops(z, GENRES[:tracks], 0.2), rows)


def test_which_rows_are_alike() -> None:
    alike = share_a_tag(TAGS & ANNOTATED & torch.tensor([True, True, False]), 1) | same_track(torch.arange(5), 1)
    assert alike.tolist() == [
        [False, True, False, False],
        [False, True, False, False],
        [True, True, False, False],
        [False] * 4,
        [False] * 4,
    ]


def test_one_label_each_is_closed_form() -> None:
    # Two classes of two tracks, each class one direction: 3 others share it, 4 are orthogonal.
    tags = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0]], dtype=torch.bool)
    rows = torch.eye(FEATURES, dtype=torch.float64)[[0, 0, 1, 1]].repeat(2, 1, 1)
    objective = make("supcon", tagset="genre", temperature=0.5, projector={"widths": []})
    expected = math.log((3 * math.exp(2) + 4) / math.exp(2))
    assert objective(batch_of(range(4), tags), embedded(rows))["supcon"].item() == pytest.approx(expected, rel=1e-12)


def test_tracks_that_nobody_annotated_are_those_of_ntxent() -> None:
    rows, nobody = randn(2, 5, FEATURES, seed=6), torch.zeros_like(ANNOTATED)
    objective = make("supcon", tagset="genre", projector={"widths": []})
    expected = nt_xent(rows.flatten(0, 1), same_track(torch.arange(5), 2), 0.1)
    torch.testing.assert_close(objective(batch_of(range(5), TAGS, nobody), embedded(rows))["supcon"], expected)


def test_a_tagset_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="supcon: the training part has no tagset 'style'; it has genre, mood"):
        make("supcon", tagset="style")
    with pytest.raises(InputError, match="no tagset 'genre'; it has none"):
        SupCon(SPACE.__class__(4, (), 6), tagset="genre")
