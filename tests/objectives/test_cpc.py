from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from multiview import FEATURES, agree, batch_of, embedded, make, randn
from torch import Tensor

from crossmodal.errors import InputError
from crossmodal.objectives.cpc import CPC, draw, info_nce_ahead

NONE = torch.zeros(0)


def cpc(**settings: int) -> CPC:
    made: CPC = make("cpc", **{"steps": 2, "context": 5, "negatives": 7, **settings}).double()
    return made


def by_loops(objective: CPC, sequence: Tensor, steps: Tensor, drawn: Tensor, when: Tensor) -> Tensor:
    """The formula as it is written, one prediction and one negative at a time, in clips cut to their steps."""
    clips = [clip[:own] for clip, own in zip(sequence.flatten(0, 1), steps.flatten(), strict=True)]
    context = [objective.context(clip[None])[0][0] for clip in clips]
    of_steps = []
    for k, predict in enumerate(objective.ahead, start=1):
        losses = []
        for clip in range(len(clips)):
            for t in range(len(clips[clip]) - k):
                told = predict.weight @ context[clip][t]
                right = torch.exp(clips[clip][t + k] @ told)
                total = right
                for other, time in zip(drawn[clip].tolist(), when[clip].tolist(), strict=True):
                    if (other, time) != (clip, t + k):
                        total = total + torch.exp(clips[other][time] @ told)
                losses.append(-torch.log(right / total))
        of_steps.append(sum(losses) / len(losses))
    return sum(of_steps) / len(of_steps)


FULL = [[[5]], [[5, 5, 5]], [[5, 5], [5, 5]], [[5, 5]] * 3]
PADDED = [[[4]], [[5, 3, 1]], [[5, 4], [2, 3]], [[1, 2], [5, 5], [3, 4]]]  # of steps of each view of each track


@pytest.mark.parametrize("steps", [*FULL, *PADDED], ids=str)
def test_equals_loops(steps: list[list[int]]) -> None:
    views, tracks = len(steps), len(steps[0])
    objective, batch, told = cpc(), batch_of(range(tracks)), torch.tensor(steps)
    generator = torch.Generator().manual_seed(0)
    drawn, when = draw(batch.tracks.repeat(views), told.flatten(), 7, generator)
    sequence = 3 * randn(views, tracks, 5, FEATURES, seed=views + tracks)
    agree(
        lambda z: objective(batch, embedded(NONE, sequence=z, steps=told))["cpc"],
        lambda z: by_loops(objective, z, told, drawn, when),
        sequence,
    )


def test_padding_is_never_read_nor_told_nor_a_negative() -> None:
    objective, steps = cpc(), torch.tensor([[5, 3, 1], [2, 4, 5]])
    sequence = randn(2, 3, 5, FEATURES, seed=4)
    padding = torch.arange(5) >= steps[:, :, None]
    found = []
    for filler in (0.0, 1e3):
        leaf = sequence.masked_fill(padding[..., None], filler).requires_grad_()
        loss = objective(batch_of(range(3)), embedded(NONE, sequence=leaf, steps=steps))["cpc"]
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert gradient[padding].abs().max() == 0
        found.append((loss, gradient))
    torch.testing.assert_close(*found)


def test_clips_too_short_for_any_prediction_cost_nothing() -> None:
    leaf = randn(1, 2, 5, FEATURES, seed=5).requires_grad_()
    loss = cpc()(batch_of(range(2)), embedded(NONE, sequence=leaf, steps=torch.ones(1, 2, dtype=torch.long)))["cpc"]
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert (loss.item(), gradient.abs().max().item()) == (0, 0)


def test_gradient_reaches_context_and_predictions() -> None:
    objective = cpc()
    objective(batch_of(range(3)), embedded(NONE, sequence=randn(1, 3, 5, FEATURES, seed=1)))["cpc"].backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in objective.parameters())


def test_nothing_predicted_costs_the_logarithm_of_the_candidates() -> None:
    objective = cpc(negatives=9)
    with torch.no_grad():
        for predict in objective.ahead:
            predict.weight.zero_()
    # Of two clips of two tracks, times of one's own are left out where they are told: between 1 and 9 are left.
    loss = objective(batch_of(range(2)), embedded(NONE, sequence=randn(1, 2, 6, FEATURES, seed=2)))["cpc"].item()
    assert math.log(5) < loss <= math.log(10)
    zeros = torch.zeros(2, 4, 3)
    all_usable = info_nce_ahead(zeros, zeros, torch.zeros(2, 9, 3), torch.ones(2, 4, 9, dtype=torch.bool))
    torch.testing.assert_close(all_usable, torch.full((2, 4), math.log(10)))


def test_a_sure_prediction_costs_nothing_and_a_wrong_one_its_margin() -> None:
    predicted = torch.tensor([[[50.0, 0.0]]])
    usable = torch.ones(1, 1, 1, dtype=torch.bool)
    came, other = torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 1.0]]])
    assert info_nce_ahead(predicted, came, other, usable).item() == pytest.approx(0, abs=1e-6)
    assert info_nce_ahead(predicted, other, came, usable).item() == pytest.approx(50)
    assert info_nce_ahead(predicted, other, came, ~usable).item() == 0  # without negatives


def test_negatives_are_of_the_clip_itself_or_of_other_tracks_at_all_times() -> None:
    tracks = torch.tensor([0, 1, 1, 2] * 2)  # track 1 comes twice, and all have two views
    steps = torch.tensor([5, 5, 3, 5, 1, 5, 5, 4])
    drawn, when = draw(tracks, steps, 4000, torch.Generator().manual_seed(1))
    for clip, row in enumerate(drawn.tolist()):
        allowed = [other for other in range(8) if other == clip or tracks[other] != tracks[clip]]
        counts = Counter(row)
        assert sorted(counts) == allowed
        assert max(counts.values()) < 1.3 * 4000 / len(allowed)
    for clip, own in enumerate(steps.tolist()):
        assert sorted(set(when[drawn == clip].tolist())) == list(range(own))


def test_the_draw_follows_the_step_and_never_the_global_generator() -> None:
    objective, batch = cpc(), batch_of(range(3))
    given = embedded(NONE, sequence=randn(1, 3, 5, FEATURES, seed=3))
    first = objective(batch, given)["cpc"]
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert torch.equal(objective(batch, given)["cpc"], first)
    assert torch.equal(torch.get_rng_state(), state)
    objective.after_step(None, 0.1)  # type: ignore[arg-type]
    assert not torch.equal(objective(batch, given)["cpc"], first)
    other = cpc()
    other.load_state_dict(objective.state_dict())
    assert torch.equal(other(batch, given)["cpc"], objective(batch, given)["cpc"])


def test_a_sequence_too_short_is_told() -> None:
    with pytest.raises(InputError, match="encoder gives 2 steps for a crop, too few to predict 2 ahead"):
        cpc()(batch_of(range(2)), embedded(NONE, sequence=torch.zeros(1, 2, 2, FEATURES)))
    with pytest.raises(ValueError, match="sequence or its steps are None"):
        cpc()(batch_of(range(2)), embedded(NONE))
