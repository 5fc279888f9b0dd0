"""Heads that are trained equal plain loops of PyTorch, and their losses what their papers' code computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from head_parts import parts, segmented
from torch import nn

from crossmodal.heads import Examples
from crossmodal.heads._training import Recipe, exclusive_losses, linear, losses, trained
from crossmodal.heads.clmr import CLMR
from crossmodal.heads.deezer import Deezer
from crossmodal.heads.mlp import MLP


def test_first_weights_are_pytorchs_distribution() -> None:
    ours, theirs = linear(64, 500, torch.Generator().manual_seed(0)), nn.Linear(64, 500)
    for name in ("weight", "bias"):
        mine, other = (getattr(layer, name).detach() for layer in (ours, theirs))
        assert mine.abs().max() <= 1 / 8
        assert float(mine.std()) == pytest.approx(float(other.std()), rel=0.1)
        assert float(mine.mean()) == pytest.approx(0, abs=0.02)


def test_losses_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(20, 5)), rng.integers(-1, 2, size=(20, 5))
    truth[3] = -1
    for row, found in enumerate(losses(torch.from_numpy(logits), torch.from_numpy(truth))):
        pairs = [(x, t) for x, t in zip(logits[row], truth[row], strict=True) if t >= 0]
        wanted = [math.log1p(math.exp(-x if t else x)) for x, t in pairs]
        assert float(found) == pytest.approx(sum(wanted) / len(wanted) if wanted else 0.0)
    one = np.eye(5, dtype=np.int8)[rng.integers(5, size=20)]
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64)
    wanted = -(F.log_softmax(torch.from_numpy(logits), 1) * torch.from_numpy(one) * weight).sum(1)
    assert exclusive_losses(torch.from_numpy(logits), torch.from_numpy(one), weight).numpy() == pytest.approx(wanted)


def test_training_is_a_plain_loop_of_adam_over_shuffled_rows() -> None:
    train = segmented(parts(False)[0])
    network = linear(6, 3, torch.Generator().manual_seed(1))
    plain = nn.Linear(6, 3)
    plain.load_state_dict(network.state_dict())
    found = trained(network, losses, train, lambda _: 0.0, Recipe(0.01, 0.1, 32, 3), torch.Generator().manual_seed(2))
    assert found.epochs == 1  # the loss did not fall again
    trained(
        plain, losses, train, lambda _: 0.0, Recipe(0.01, 0.1, 32, 1), generator := torch.Generator().manual_seed(2)
    )
    assert torch.equal(plain.weight, found.network.weight)
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01, weight_decay=0.1)
    other = linear(6, 3, torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01, weight_decay=0.1)
    rows, truth = torch.from_numpy(train.features), torch.from_numpy(train.truth[train.track])
    weights = torch.from_numpy(train.weights).float()
    generator = torch.Generator().manual_seed(2)
    order = torch.randperm(len(rows), generator=generator)
    for start in range(0, len(rows), 32):
        some = order[start : start + 32]
        optimizer.zero_grad()
        each = F.binary_cross_entropy_with_logits(other(rows[some]), truth[some].float(), reduction="none").mean(1)
        (weights[some] @ each / weights[some].sum()).backward()
        optimizer.step()
    assert other.weight.detach().numpy() == pytest.approx(plain.weight.detach().numpy(), abs=1e-6)


@pytest.mark.parametrize("restore", [True, False])
def test_training_stops_when_valid_says_so(restore: bool) -> None:
    falling = iter([3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1, 0.1])
    seen: list[torch.Tensor] = []

    def validate(network: nn.Module) -> float:
        seen.append(network.weight.detach().clone())
        return next(falling)

    generator = torch.Generator().manual_seed(0)
    recipe = Recipe(0.01, patience=3, restore=restore)
    found = trained(linear(6, 3, generator), losses, parts(False)[0], validate, recipe, generator)
    assert len(seen) == 7
    assert found.epochs == (4 if restore else 7)
    assert torch.equal(found.network.weight, seen[found.epochs - 1])


def clmr_by_its_code(train: Examples, valid: Examples, seed: int, epochs: int) -> nn.Linear:
    """Its training and validation steps, in one function, over the same first weights and order of rows."""
    generator = torch.Generator().manual_seed(seed)
    model = linear(train.features.shape[1], 3, generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-6)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="min", factor=0.1, patience=5, threshold=0.0001, threshold_mode="rel", cooldown=0, eps=1e-08
    )
    exclusive = train.exclusive
    x, v = torch.from_numpy(train.features), torch.from_numpy(valid.features)
    y, w = (torch.tensor(e.labels) if exclusive else torch.from_numpy(e.truth).float() for e in (train, valid))
    criterion = nn.CrossEntropyLoss() if exclusive else nn.BCEWithLogitsLoss()
    lowest, waited = math.inf, 0
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(48):
            loss = criterion(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            found = float(criterion(model(v), w))
        lowest, waited = (found, 0) if found < lowest else (lowest, waited + 1)
        if waited >= 10:
            break
        scheduler.step(found)
    return model


@pytest.mark.parametrize("exclusive", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_clmr_is_trained_as_by_its_code(exclusive: bool) -> None:
    train, valid, judged = parts(exclusive, distance=0.8)
    fitted = CLMR(lr=0.01, epochs=120).fit(train, valid, seed=5)
    wanted = clmr_by_its_code(train, valid, 5, 120)(torch.from_numpy(judged.features)).detach().numpy()
    assert fitted.logits(judged.features) == pytest.approx(wanted, abs=1e-4)
    assert CLMR().recipe == Recipe(1e-3, 1e-6, 48, 200, 10, 5, False, False)
    assert CLMR.reading == ("crop", "probabilities", "train", True, -math.inf, None)


@pytest.mark.slow
def test_clmrs_mlp_has_a_hidden_layer_as_wide_as_the_features() -> None:
    train, valid, judged = parts(True)
    fitted = CLMR(mlp=True, epochs=2).fit(train, valid)
    assert fitted.logits(judged.features).shape == (40, 3)
    generator = torch.Generator().manual_seed(0)
    assert not np.allclose(fitted.logits(judged.features), CLMR(epochs=2).fit(train, valid).logits(judged.features))
    assert linear(6, 6, generator).out_features == 6


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_deezers_loss_is_that_of_its_code(activation: str) -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(9, 4)) * 20, rng.integers(0, 2, size=(9, 4))
    head = Deezer(activation=activation)
    found = head._losses(torch.from_numpy(logits), torch.from_numpy(truth)).numpy()
    for row in range(9):
        if activation == "softmax":
            v = np.exp(logits[row] - logits[row].max()) / np.exp(logits[row] - logits[row].max()).sum()
        else:
            v = 1 / (1 + np.exp(-np.maximum(logits[row], -10)))
        with np.errstate(divide="ignore"):
            low, high = np.maximum(np.log(v), -100), np.maximum(np.log(1 - v), -100)
        assert found[row] == pytest.approx(-np.mean(truth[row] * low + (1 - truth[row]) * high), abs=1e-9)


@pytest.mark.slow
def test_deezers_head_has_no_bias_and_keeps_the_rate_with_the_lowest_loss_on_valid() -> None:
    train, valid, judged = parts(False, distance=0.8)
    head = Deezer("sigmoid", lr=[1e-5, 1e-2], epochs=20)
    fitted = head.fit(segmented(train), segmented(valid))
    assert fitted.chosen["lr"] == 1e-2
    assert fitted.logits(np.zeros((1, 6), np.float32)) == pytest.approx(np.zeros((1, 3)), abs=1e-6)
    assert 20 * math.log10(math.exp(-0.75)) == pytest.approx(Deezer.reading.quietest_db)
    sizes = [parameter.shape for parameter in Deezer(hidden=[5])._network(6, 3, torch.Generator()).parameters()]
    assert sizes == [(5, 6), (5,), (5,), (3, 5)]  # the norm has two
    softmax = Deezer(lr=[1e-2], epochs=2).fit(train, valid)
    scores = judged.scores(softmax.logits(judged.features))
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(scores)))  # a softmax over independent tags, as published


@pytest.mark.slow
def test_the_mlp_keeps_the_pair_that_is_best_on_valid_where_its_loss_was_lowest() -> None:
    train, valid, judged = parts(True, distance=0.7)
    single = [MLP(8, [lr], [0.01], epochs=15).fit(train, valid) for lr in (1e-6, 1e-2)]
    both = MLP(8, [1e-6, 1e-2], [0.01], epochs=15).fit(train, valid)
    assert both.chosen == single[1].chosen
    assert np.array_equal(both.logits(judged.features), single[1].logits(judged.features))
    shorter = MLP(8, [1e-2], [0.01], epochs=both.chosen["epochs"]).fit(train, valid)
    assert np.array_equal(shorter.logits(judged.features), both.logits(judged.features))


@pytest.mark.slow
def test_the_mlp_reads_off_what_no_line_can() -> None:
    rng = np.random.default_rng(0)

    def part(size: int) -> Examples:
        features = rng.uniform(-1, 1, size=(size, 2)).astype(np.float32)
        return Examples.of_tracks(features, (features.prod(axis=1) > 0).astype(np.int8)[:, None], False)

    train, valid, judged = part(400), part(100), part(200)
    fitted = MLP(32, [0.03], [0.0], epochs=40).fit(train, valid)
    assert ((fitted.logits(judged.features) > 0) == (judged.truth == 1)).mean() > 0.9
