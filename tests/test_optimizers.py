from __future__ import annotations

import io
import itertools
import math
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crossmodal.config import Optimizer
from crossmodal.errors import InputError
from crossmodal.optimizers import LARS, Schedule, build


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).double()


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, steps: Iterable[int], schedule: Any = None) -> None:
    """Steps on input of their own, so that a resumed run sees what the whole one saw."""
    for step in steps:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        if schedule:
            schedule.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def rates(plan: Optimizer, steps: int) -> list[float]:
    schedule = Schedule(plan, build(plan, [("w", nn.Parameter(torch.ones(2, 2)))]), steps)
    return [(schedule.lr, schedule.step())[0] for _ in range(steps + 1)]  # type: ignore[func-returns-value]


def of_the_first_loop(step: int, steps: int, warmup: float) -> float:
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 1.0), (10, 0.2), (97, 0.05), (400, 0.0), (7, 1.0)])
def test_default_rates_are_exactly_a_rise_and_a_cosine_to_zero(steps: int, warmup: float) -> None:
    expected = [1e-3 * of_the_first_loop(step, steps, warmup) for step in range(steps + 1)]
    assert rates(Optimizer(warmup=warmup), steps) == expected


def test_default_steps_are_exactly_adamw_that_decays_matrices_under_lambda_lr() -> None:
    ours, theirs = network(), network()
    plan = Optimizer(lr=0.02, weight_decay=0.3, warmup=0.2)
    optimizer = build(plan, ours.named_parameters())
    descend(ours, optimizer, range(20), Schedule(plan, optimizer, 20))
    matrices, others = ([p for p in theirs.parameters() if (p.ndim > 1) is wanted] for wanted in (True, False))
    reference = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.3}, {"params": others, "weight_decay": 0.0}], lr=0.02
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(reference, lambda step: of_the_first_loop(step, 20, 0.2))
    descend(theirs, reference, range(20), scheduler)
    assert same(ours, theirs)
    assert not same(ours, network())


def test_rate_ends_where_it_is_told_to() -> None:
    found = rates(Optimizer(lr=2.0, warmup=0.1, final_lr=0.25), 20)
    assert found[:2] == [1.0, 2.0]
    middle = 2 + (20 - 2) // 2
    assert found[middle] == pytest.approx((2.0 + 0.5) / 2)
    assert found[20] == pytest.approx(0.5)
    assert all(a >= b for a, b in itertools.pairwise(found[2:]))


def test_constant_rate_stays_after_the_rise() -> None:
    assert rates(Optimizer(lr=0.4, warmup=0.5, schedule="constant"), 8) == pytest.approx([0.1, 0.2, 0.3, *[0.4] * 6])


def test_plateau_falls_after_so_many_validations_without_a_better_score() -> None:
    plan = Optimizer(lr=1.0, warmup=0.0, schedule="plateau", factor=0.1, plateau=2)
    optimizer = build(plan, network().named_parameters())
    schedule, found = Schedule(plan, optimizer, 100), []
    for score in (0.1, 0.2, 0.2, 0.3, 0.3, 0.1, math.nan, 0.2, 0.4):
        schedule.step()
        schedule.validated(score)
        found.append(schedule.lr)
        assert {group["lr"] for group in optimizer.param_groups} == {schedule.lr}
    assert found == pytest.approx([1, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_other_schedules_do_not_heed_validations() -> None:
    plan = Optimizer(plateau=1)
    schedule = Schedule(plan, build(plan, network().named_parameters()), 10)
    before = schedule.lr
    schedule.validated(0.0)
    schedule.validated(0.0)
    assert schedule.lr == before


def test_weight_decay_follows_a_cosine_where_it_decays_and_is_no_groups_own() -> None:
    own: list[dict[str, Any]] = [{"match": "2.*", "weight_decay": 0.5}]
    plan = Optimizer(weight_decay=0.04, final_weight_decay=0.4, groups=own)
    optimizer = build(plan, network().named_parameters())
    schedule, found = Schedule(plan, optimizer, 4), []
    for _ in range(5):
        found.append([group["weight_decay"] for group in optimizer.param_groups])
        schedule.step()
    by_hand = [0.4 - 0.36 * 0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(5)]
    kept, none, cosine, nothing = zip(*found, strict=True)
    assert (set(kept), set(none), set(nothing)) == ({0.5}, {0.0}, {0.0})
    assert cosine == pytest.approx(by_hand)


def test_groups_take_what_they_match_first_and_keep_their_factors() -> None:
    model = network()
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups: list[dict[str, Any]] = [{"match": "0.*", "lr": 0.1, "weight_decay": 0.0}, {"match": "*.bias", "lr": 3}]
    plan = Optimizer(lr=0.01, weight_decay=0.2, warmup=0.0, groups=groups)
    optimizer = build(plan, model.named_parameters())
    schedule = Schedule(plan, optimizer, 2)
    schedule.step()
    found = [([names[p] for p in g["params"]], g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    assert found == [
        (["0.weight"], pytest.approx(0.001), 0.0),
        (["0.bias"], pytest.approx(0.001), 0.0),
        (["1.bias", "2.bias"], pytest.approx(0.03), 0.0),
        (["2.weight"], pytest.approx(0.01), 0.2),
        (["1.weight"], pytest.approx(0.01), 0.0),
    ]
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.0] * 5)


def test_frozen_weights_are_left_out() -> None:
    model = network()
    model[0].requires_grad_(False)
    groups = build(Optimizer(), model.named_parameters()).param_groups
    assert sum(len(group["params"]) for group in groups) == 4
    with pytest.raises(InputError, match=r"match '0\.\*'"):
        build(Optimizer(groups=[{"match": "0.*"}]), model.named_parameters())


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([{"match": "audio.*"}], r"no trained weight is left for match 'audio\.\*'; weights are 0\.weight, 0\.bias"),
        ([{"match": "*"}, {"match": "0.*"}], r"no trained weight is left for match '0\.\*'"),
        ([{"match": "0.*", "rate": 1.0}], r"optimizer.groups has no setting 'rate'; valid: match .*weight_decay"),
        ([{"lr": 1.0}], r"optimizer.groups lacks match"),
        ([{"match": "0.*", "lr": "fast"}], r"lr is 'fast' .*at least 0"),
        ([{"match": "0.*", "weight_decay": -1.0}], r"weight_decay is -1\.0 .*at least 0"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(Optimizer(groups=groups), network().named_parameters())


def lars_by_loops(
    weight: list[float], grads: list[list[float]], lrs: list[float], decay: float, matrix: bool
) -> list[float]:
    """Algorithm 1 of You et al. for one weight, number by number; momentum 0.9, trust 0.001."""
    velocity = [0.0] * len(weight)
    for grad, lr in zip(grads, lrs, strict=True):
        length, slope = math.sqrt(sum(w * w for w in weight)), math.sqrt(sum(g * g for g in grad))
        local = 0.001 * length / (slope + decay * length) if matrix and length > 0 and slope > 0 else 1.0
        beta = decay if matrix else 0.0
        velocity = [0.9 * v + lr * local * (g + beta * w) for v, g, w in zip(velocity, grad, weight, strict=True)]
        weight = [w - v for w, v in zip(weight, velocity, strict=True)]
    return weight


@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("shape", [(3, 4), (2, 1, 3), (5,), ()], ids=str)
def test_lars_equals_a_plain_loop(shape: tuple[int, ...], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    grads = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(6)]
    lrs = [0.5, 1.0, 2.0, 1.0, 0.25, 0.0]
    weight = nn.Parameter(start.clone())
    optimizer = build(Optimizer(name="lars", weight_decay=0.07), [("w", weight)])
    for grad, lr in zip(grads, lrs, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        weight.grad = grad.clone()
        optimizer.step()
    flat = [grad.flatten().tolist() for grad in grads]
    expected = lars_by_loops(start.flatten().tolist(), flat, lrs, 0.07, matrix=len(shape) > 1)
    assert weight.flatten().tolist() == pytest.approx(expected, rel=1e-12)
    assert weight.flatten().tolist() != pytest.approx(start.flatten().tolist(), rel=1e-6)


@pytest.mark.parametrize(("start", "slope"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_lars_is_plain_where_a_weight_or_its_gradient_is_zero(start: float, slope: float) -> None:
    weight = nn.Parameter(torch.full((2, 2), start))
    weight.grad = torch.full((2, 2), slope)
    LARS([weight], lr=0.5, weight_decay=0.1).step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), start - 0.5 * (slope + 0.1 * start)))


def test_lars_leaves_weights_without_a_gradient_and_takes_a_closure() -> None:
    used, unused = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = LARS([used, unused], lr=1.0)

    def closure() -> Tensor:
        loss = used.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 4.0
    assert torch.equal(unused, torch.ones(2, 2))
    # |w| is 2, |g| 4, so that the step is 0.001 * 2 / 4 of g, which is 2
    torch.testing.assert_close(used.detach(), torch.full((2, 2), 0.999))


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lars"])
@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_resumes_to_the_same_bits(name: Any, schedule: Any) -> None:
    groups: list[dict[str, Any]] = [{"match": "0.*", "lr": 0.5}]
    plan = Optimizer(
        name=name, lr=0.1, final_weight_decay=0.2, schedule=schedule, plateau=1, final_lr=0.1, groups=groups
    )

    def made() -> tuple[nn.Module, torch.optim.Optimizer, Schedule]:
        model = network()
        optimizer = build(plan, model.named_parameters())
        return model, optimizer, Schedule(plan, optimizer, 12)

    whole, optimizer, planned = made()
    descend(whole, optimizer, range(5), planned)
    planned.validated(0.5)
    planned.validated(0.4)
    file = io.BytesIO()
    torch.save([part.state_dict() for part in (whole, optimizer, planned)], file)
    descend(whole, optimizer, range(5, 12), planned)
    resumed = made()
    file.seek(0)
    for part, state in zip(resumed, torch.load(file, weights_only=True), strict=True):
        part.load_state_dict(state)
    descend(resumed[0], resumed[1], range(5, 12), resumed[2])
    assert same(resumed[0], whole)
    assert [g["lr"] for g in resumed[1].param_groups] == [g["lr"] for g in optimizer.param_groups]
    assert resumed[2].state_dict() == planned.state_dict()
    if schedule == "plateau":
        assert planned.lr == pytest.approx(0.1 * 0.2)


def test_sgd_is_nesterovs_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([[2.0]], dtype=torch.float64))
    optimizer = build(Optimizer(name="sgd", lr=0.1, momentum=0.5, weight_decay=0.1), [("w", weight)])
    velocity, value = 0.0, 2.0
    for slope in (1.0, -3.0):
        weight.grad = torch.tensor([[slope]], dtype=torch.float64)
        optimizer.step()
        slope += 0.1 * value
        velocity = 0.5 * velocity + slope
        value -= 0.1 * (slope + 0.5 * velocity)
    assert weight.item() == pytest.approx(value, rel=1e-12)
    assert isinstance(build(Optimizer(name="sgd", momentum=0.0), [("w", weight)]), torch.optim.SGD)


def test_adam_moves_by_the_learning_rate_at_first() -> None:
    weight = nn.Parameter(torch.tensor([[2.0]], dtype=torch.float64))
    optimizer = build(Optimizer(name="adam", lr=0.1, weight_decay=0.0), [("w", weight)])
    weight.grad = torch.tensor([[-7.0]], dtype=torch.float64)
    optimizer.step()
    assert type(optimizer) is torch.optim.Adam
    assert weight.item() == pytest.approx(2.1, rel=1e-6)
