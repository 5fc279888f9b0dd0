from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from crossmodal.errors import InputError
from crossmodal.objectives.clip import Clip, set_info_nce
from crossmodal.types import Batch, Embeddings


def batch(positives: Tensor, views: int = 1) -> Batch:
    tracks = positives.shape[1]
    lengths = torch.ones(views, tracks, dtype=torch.int64)
    return Batch(
        torch.arange(tracks),
        torch.zeros(views, tracks, 1),
        lengths,
        {},
        positives,
        *[torch.zeros(tracks, 0, dtype=torch.bool)] * 2,
    )


def embeddings(views: int, tracks: int, texts: int, dim: int = 8, dtype: torch.dtype = torch.float64) -> Embeddings:
    generator = torch.Generator().manual_seed(7)
    audio = torch.randn(views, tracks, dim, generator=generator, dtype=dtype)
    text = torch.randn(texts, dim, generator=generator, dtype=dtype)
    return given_as(F.normalize(audio, dim=-1), F.normalize(text, dim=-1))


def given_as(audio: Tensor, text: Tensor) -> Embeddings:
    return Embeddings(audio, text, features=audio)


def by_loops(similarity: Tensor, positives: Tensor) -> float:
    """The formula as it is written, one pair at a time; A are the tracks that have a text."""
    columns = [column for column in range(similarity.shape[1]) if any(positives[:, column].tolist())]

    def direction(scores: list[list[float]], sets: list[list[bool]]) -> float:
        rows = []
        for row, positive in zip(scores, sets, strict=True):
            total = sum(math.exp(score) for score in row)
            terms = [-math.log(math.exp(score) / total) for score, is_in in zip(row, positive, strict=True) if is_in]
            if terms:
                rows.append(sum(terms) / len(terms))
        return sum(rows) / len(rows)

    rows = [[row[column] for column in columns] for row in similarity.tolist()]
    sets = [[row[column] for column in columns] for row in positives.tolist()]
    forth = direction(rows, sets)
    back = direction([list(row) for row in zip(*rows, strict=True)], [list(row) for row in zip(*sets, strict=True)])
    return (forth + back) / 2


# Reviews shared by an album's tracks (rows 0, 1), captions of one track (2, 3), a text without a track (4),
# and a track without a text (the last column).
SHARED = torch.tensor(
    [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
    dtype=torch.bool,
)


def test_equals_a_double_loop_with_shared_reviews_and_several_captions() -> None:
    similarity = 4 * torch.randn(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert set_info_nce(similarity, SHARED).item() == pytest.approx(by_loops(similarity, SHARED), rel=1e-12)


def test_by_hand() -> None:
    # Text 0 is about both tracks; its softmax is (3/4, 1/4). Each track has that text alone as its candidate: log 1.
    similarity = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    expected = -(math.log(3 / 4) + math.log(1 / 4)) / 2 / 2
    assert set_info_nce(similarity, torch.ones(1, 2, dtype=torch.bool)).item() == pytest.approx(expected, rel=1e-12)


def test_one_positive_each_is_clip() -> None:
    similarity = 5 * torch.randn(9, 9, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(9)
    expected = (F.cross_entropy(similarity, labels) + F.cross_entropy(similarity.T, labels)) / 2
    torch.testing.assert_close(set_info_nce(similarity, torch.eye(9, dtype=torch.bool)), expected)


def test_gradient() -> None:
    similarity = torch.randn(5, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: set_info_nce(s, SHARED), (similarity,))


def test_gradient_of_the_objective_reaches_audio_text_and_scale() -> None:
    objective, given = Clip().double(), embeddings(2, 6, 5)
    inputs = (given.audio.requires_grad_(), given.text.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda audio, text: objective(batch(SHARED, 2), given_as(audio, text))["clip"], inputs
    )
    objective(batch(SHARED, 2), given)["clip"].backward()
    assert objective.log_scale.grad is not None
    assert objective.log_scale.grad.item() != 0


@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (4, 0), (1, 1)])
def test_without_positives_it_is_zero_with_a_gradient_of_zero(shape: tuple[int, int]) -> None:
    similarity = torch.ones(shape, requires_grad=True)
    loss = set_info_nce(similarity, torch.zeros(shape, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert similarity.grad is not None
    assert torch.equal(similarity.grad, torch.zeros(shape))


def test_order_of_texts_and_tracks_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(4)
    similarity = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    rows, columns = torch.randperm(5, generator=generator), torch.randperm(6, generator=generator)
    moved = set_info_nce(similarity[rows][:, columns], SHARED[rows][:, columns])
    torch.testing.assert_close(moved, set_info_nce(similarity, SHARED))


def test_text_of_no_track_is_still_a_negative() -> None:
    similarity = torch.zeros(5, 6)
    closer = similarity.clone()
    closer[4] = 3  # the text without a track comes close to every track
    assert set_info_nce(closer, SHARED) > set_info_nce(similarity, SHARED)


def test_a_track_that_nobody_described_changes_nothing() -> None:
    similarity = torch.randn(5, 6, generator=torch.Generator().manual_seed(5), requires_grad=True)
    loss = set_info_nce(similarity, SHARED)
    loss.backward()
    assert loss.item() == set_info_nce(similarity[:, :5], SHARED[:, :5]).item()
    assert similarity.grad is not None
    assert similarity.grad[:, 5].abs().max() == 0
    assert similarity.grad[:, :5].abs().min() > 0


def test_views_are_scored_each_and_averaged() -> None:
    given, objective = embeddings(3, 6, 5), Clip().double()
    each = [by_loops(given.text @ view.T / 0.07, SHARED) for view in given.audio]
    # The scale is stored as a float32 logarithm, hence no more than 1e-6.
    assert objective(batch(SHARED, 3), given)["clip"].item() == pytest.approx(sum(each) / 3, rel=1e-6)


def test_bf16_autocast_and_bf16_inputs_are_computed_in_float32() -> None:
    objective, given = Clip(temperature=0.01), embeddings(1, 6, 5, dim=64, dtype=torch.float32)
    plain = objective(batch(SHARED), given)["clip"]
    exact = by_loops(given.text.double() @ given.audio[0].double().T / 0.01, SHARED)
    assert plain.item() == pytest.approx(exact, rel=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(objective(batch(SHARED), given)["clip"], plain)
    half = given_as(given.audio.bfloat16(), given.text.bfloat16())
    same = given_as(half.audio.float(), half.text.float())
    assert objective(batch(SHARED), half)["clip"].dtype == torch.float32
    assert torch.equal(objective(batch(SHARED), half)["clip"], objective(batch(SHARED), same)["clip"])


def test_scale_starts_at_the_inverse_temperature_and_can_be_fixed() -> None:
    assert Clip(temperature=0.05).scale.item() == pytest.approx(20)
    assert not any(parameter.requires_grad for parameter in Clip(learned=False).parameters())


def test_scale_is_bounded_and_comes_back_from_its_bound() -> None:
    objective = Clip(temperature=0.1, max_scale=20.0)
    with torch.no_grad():
        objective.log_scale.fill_(9.0)
    assert objective.scale.item() == pytest.approx(20)
    wrong = given_as(torch.eye(2)[None], torch.eye(2).flip(0))  # every text is closest to the other's track
    objective(batch(torch.eye(2, dtype=torch.bool)), wrong)["clip"].backward()
    assert objective.log_scale.grad is not None
    assert objective.log_scale.grad.item() > 1  # descent lowers the scale


@pytest.mark.parametrize(
    ("temperature", "bound"), [(0.0, 100.0), (-1.0, 100.0), (0.001, 100.0), (math.nan, 100.0), (1.0, 0.0)]
)
def test_temperature_outside_its_bound_is_refused(temperature: float, bound: float) -> None:
    with pytest.raises(InputError, match=r"temperature is .* valid is"):
        Clip(temperature=temperature, max_scale=bound)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"similarity is \(3, 4\), but positives are \(1, 4\)"):
        set_info_nce(torch.zeros(3, 4), torch.zeros(1, 4, dtype=torch.bool))


def test_needs_text() -> None:
    assert Clip.needs == {"text"}
