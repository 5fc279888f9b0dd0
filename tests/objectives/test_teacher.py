from __future__ import annotations

import math

import pytest
import torch
from multiview import Encoder, randn
from torch import nn

from crossmodal.objectives._heads import head
from crossmodal.objectives._teacher import Teacher, follow, momentum_at


def teacher(momentum: float = 0.9) -> Teacher:
    return Teacher(head("here", 6, {"widths": [4, 2]}), momentum, "constant")


def test_momentum() -> None:
    assert [momentum_at(done, 0.9, "constant") for done in (0.0, 0.5, 1.0)] == [0.9, 0.9, 0.9]
    for done in (0.0, 0.3, 1.0):
        by_hand = 1 - 0.1 * (math.cos(math.pi * done) + 1) / 2
        assert momentum_at(done, 0.9, "cosine") == pytest.approx(by_hand, abs=1e-15)
    assert [momentum_at(done, 0.9, "cosine") for done in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])


def test_average_by_hand() -> None:
    own, student = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        own.weight.copy_(torch.tensor([[1.0, 2.0]]))
        student.weight.copy_(torch.tensor([[3.0, -2.0]]))
    follow(own, student, 0.75)
    assert own.weight.tolist() == [[0.75 * 1 + 0.25 * 3, 0.75 * 2 - 0.25 * 2]]
    follow(own, student, 0.75)
    assert own.weight.tolist() == [[0.75 * 1.5 + 0.25 * 3, 0.75 * 1.0 - 0.25 * 2]]


def test_momentum_of_one_keeps_and_of_zero_copies() -> None:
    own, student = Encoder(1), Encoder(2)
    before = own.linear.weight.clone()
    follow(own, student, 1.0)
    assert torch.equal(own.linear.weight, before)
    follow(own, student, 0.0)
    assert all(map(torch.equal, own.parameters(), student.parameters()))


def test_the_normaliser_is_copied_and_running_statistics_are_its_own() -> None:
    made, encoder = teacher(0.0), Encoder(5)
    made.start(encoder)
    assert made.encoder is not None
    assert made.encoder.mean.tolist() == [5.0, 5.0, 5.0]
    encoder(randn(8, 4, 3, seed=0, dtype=torch.float32))  # moves the student's statistics
    made.follow(encoder, made.head, 0.5)
    assert made.encoder.norm.running_mean.abs().max() == 0
    made.encode(randn(8, 4, 3, seed=0, dtype=torch.float32), torch.full((8,), 4))
    assert made.encoder.norm.running_mean.abs().max() > 0


@pytest.mark.parametrize("affine", [True, False])
def test_a_frozen_norm_of_the_student_is_frozen_in_the_teacher(affine: bool) -> None:
    made, encoder, audio = teacher(), Encoder(), randn(8, 5, 3, seed=4, dtype=torch.float32)
    encoder.norm = nn.BatchNorm1d(6, affine=affine)
    encoder.norm(randn(8, 6, seed=5, dtype=torch.float32))  # statistics of its own
    made.start(encoder.requires_grad_(False))
    encoder.eval()
    for rows in (8, 1):
        assert torch.equal(made.train().encode(audio[:rows], torch.ones(rows)), encoder(audio[:rows]))
    assert made.encoder is not None
    assert torch.equal(made.encoder.norm.running_mean, encoder.norm.running_mean)


def test_a_norm_that_is_trained_moves_beside_a_frozen_layer() -> None:
    made, encoder = teacher(), Encoder()
    encoder.linear.requires_grad_(False)
    made.start(encoder)
    made.encode(randn(8, 5, 3, seed=4, dtype=torch.float32), torch.ones(8))
    assert made.encoder is not None
    assert made.encoder.norm.running_mean.abs().max() > 0


def test_nothing_of_it_is_trained_and_the_student_stays_as_it_was() -> None:
    made, encoder = teacher(), Encoder()
    made.start(encoder)
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder.dropout.p == 0.5
    assert not made(made.encode(randn(4, 5, 3, seed=1, dtype=torch.float32), torch.ones(4))[None]).requires_grad


def test_it_drops_nothing_out() -> None:
    made, audio = teacher(), randn(8, 5, 3, seed=2, dtype=torch.float32)
    made.start(Encoder())
    before = torch.get_rng_state()
    assert torch.equal(made.encode(audio, torch.ones(8)), made.encode(audio, torch.ones(8)))
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_norm_is_that_of_the_batch_and_of_one_row_the_running_one() -> None:
    made, audio = teacher(), randn(8, 5, 3, seed=3, dtype=torch.float32)
    made.start(Encoder())
    torch.testing.assert_close(made.encode(audio, torch.ones(8)).mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    assert torch.isfinite(made.encode(audio[:1], torch.ones(1))).all()


def test_it_is_saved_with_its_encoder() -> None:
    made = teacher()
    made.start(Encoder(1))
    state = made.state_dict()
    assert {"encoder.linear.weight", "encoder.norm.running_mean", "head.layers.0.weight"} <= state.keys()
    other = teacher()
    other.start(Encoder(2))
    other.load_state_dict(state)
    assert all(map(torch.equal, other.state_dict().values(), state.values()))


def test_what_was_forgotten_is_told() -> None:
    with pytest.raises(RuntimeError, match="call start"):
        teacher().encode(torch.zeros(2, 4, 3), torch.ones(2))
    with pytest.raises(RuntimeError, match="call start"):
        teacher().follow(Encoder(), teacher().head, 0.0)
    with pytest.raises(ValueError, match="targets is None"):
        teacher()(None)
