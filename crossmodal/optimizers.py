"""The optimiser of an experiment, its groups of weights, and the schedules of its learning rate and weight decay."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from crossmodal import config, settings
from crossmodal.errors import InputError, listed
from crossmodal.settings import Amount, Setting

Named = dict[str, nn.Parameter]
_GROUP = {"match": Setting(str, True), "lr": Setting(Amount, False), "weight_decay": Setting(Amount, False)}


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling: SGD whose every weight matrix moves by a like share of its own length.

    For a matrix w with gradient g, learning rate lr, momentum m and decay b (You, Gitman and Ginsburg, "Large batch
    training of convolutional networks", 2017, algorithm 1):

        v = m v + lr * trust * |w| / (|g| + b |w|) * (g + b w);    w = w - v

    The factor is 1 where w or g is 0. Biases, norms and scales (one dimension or none) get plain momentum, without
    decay, as in BYOL and Barlow Twins. As in the paper the learning rate is in the velocity: when it falls, what is
    under way does not fall with it, unlike in torch's SGD.

    Args:
        params: weights, or groups of them.
        lr: learning rate, of which a matrix's is a multiple.
        momentum: share of the velocity that stays.
        weight_decay: of matrices.
        trust: the trust coefficient, share of its length by which a matrix moves at a learning rate of 1.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; ``closure``, if given, computes the loss and its gradients anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)
        return loss

    def _move(self, weight: Tensor, group: dict[str, Any]) -> None:
        change = weight.grad * group["lr"] if weight.ndim <= 1 else group["lr"] * _adapted(weight, group)
        state = self.state[weight]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(weight)
        weight.sub_(state["velocity"].mul_(group["momentum"]).add_(change))


def _adapted(weight: Tensor, group: dict[str, Any]) -> Tensor:
    """A matrix's gradient with decay, at the length that the trust coefficient gives it; without a wait for a GPU."""
    assert weight.grad is not None
    decay, length, slope = group["weight_decay"], weight.norm(), weight.grad.norm()
    ratio = group["trust"] * length / (slope + decay * length)
    adapted: Tensor = (weight.grad + decay * weight) * torch.where((length > 0) & (slope > 0), ratio, 1.0)
    return adapted


def build(plan: config.Optimizer, named: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
    """The optimiser that ``plan`` names, over the weights that are trained.

    Matrices and kernels decay; what has one dimension or none (biases, norms, temperatures) does not. AdamW's decay is
    apart from the gradient (Loshchilov and Hutter 2019), that of Adam, SGD and LARS is part of it. A group of
    ``plan.groups`` takes the weights that its pattern ``match`` finds and that no earlier group took; its ``lr`` is a
    factor of the learning rate, its ``weight_decay`` stays as it is where the others' follows a schedule.

    Args:
        plan: of the experiment.
        named: weights by name; those without a gradient are left out; there may be none.

    Raises:
        InputError: a group with an unknown key or a value of the wrong type, or that takes no weight.
    """
    groups = _groups(plan, _trained(named)) or [{"params": [], "factor": 1.0, "scheduled": False}]
    if plan.name == "lars":
        return LARS(groups, plan.lr, plan.momentum)
    if plan.name == "sgd":
        return torch.optim.SGD(groups, plan.lr, plan.momentum, nesterov=plan.momentum > 0)
    return (torch.optim.AdamW if plan.name == "adamw" else torch.optim.Adam)(groups, plan.lr)


def check(plan: config.Optimizer, named: Iterable[tuple[str, nn.Parameter]], others: Iterable[str]) -> None:
    """Refuse groups that `build` would refuse, before all weights are there.

    Args:
        plan: of the experiment.
        named: the weights that are there, by name.
        others: what the names of the rest begin with, and a dot; a pattern that may match one of those is let pass.
    """
    left = _trained(named)
    known = [*(f"{name}.*" for name in others), *left]
    for block in plan.groups:
        taken, pattern = _taken(block, left), block["match"]
        if not taken and not any(_may_match(pattern, f"{name}.") for name in others):
            raise _nothing_left(pattern, known)


def _may_match(pattern: str, start: str) -> bool:
    """Whether a pattern may match a name that begins with ``start``; by what stands before its first wildcard."""
    plain = re.split(r"[*?[]", pattern)[0]
    return plain.startswith(start) or (plain != pattern and start.startswith(plain))


def _groups(plan: config.Optimizer, left: Named) -> list[dict[str, Any]]:
    """Groups of the optimiser: for each pattern, and for what is left, matrices and the others."""
    names, groups = list(left), []
    for block in plan.groups:
        taken = _taken(block, left)
        if not taken:
            raise _nothing_left(block["match"], names)
        groups += _halves(plan, taken, block.get("lr", 1.0), block.get("weight_decay"))
    return groups + _halves(plan, left)


def _trained(named: Iterable[tuple[str, nn.Parameter]]) -> Named:
    return {name: weight for name, weight in named if weight.requires_grad}


def _taken(block: dict[str, Any], left: Named) -> Named:
    """The weights that a group takes out of those that are ``left``."""
    settings.check("optimizer.groups", block, _GROUP)
    return {name: left.pop(name) for name in list(left) if fnmatchcase(name, block["match"])}


def _nothing_left(pattern: str, names: Iterable[str]) -> InputError:
    return InputError(f"optimizer.groups: no trained weight is left for match {pattern!r}; weights are {listed(names)}")


def _halves(
    plan: config.Optimizer, weights: Named, factor: float = 1.0, own_decay: float | None = None
) -> list[dict[str, Any]]:
    """Matrices and the others as two groups, or one; their ``factor`` and ``scheduled`` are for `Schedule`."""
    decay, common = plan.weight_decay if own_decay is None else own_decay, {"lr": plan.lr * factor, "factor": factor}
    halves = [
        {"params": [w for w in weights.values() if w.ndim > 1], "weight_decay": decay, "scheduled": own_decay is None},
        {"params": [w for w in weights.values() if w.ndim <= 1], "weight_decay": 0.0, "scheduled": False},
    ]
    return [half | common for half in halves if half["params"]]


class Schedule:
    """Learning rate and weight decay of every step, set in the optimiser's groups, each with its own factor.

    The rate rises in a straight line over the first ``warmup`` share of the steps. Then it falls in a half cosine to
    ``final_lr`` of itself at the last step, or stays, or (plateau) is multiplied by ``factor`` whenever ``plateau``
    validations in a row bring no better score. The decay goes from ``weight_decay`` to ``final_weight_decay`` in a half
    cosine over all steps.

    By hand, since torch's schedulers know of the learning rate alone, its `LambdaLR` does not save its functions,
    warm-up and plateau are two classes with two interfaces that overwrite each other's rates, and ours has to be one
    set of plain values that a killed run goes on from.

    Args:
        plan: of the experiment.
        optimizer: as `build` made it, or wrapped by accelerate.
        steps: of the whole training.
    """

    def __init__(self, plan: config.Optimizer, optimizer: torch.optim.Optimizer, steps: int) -> None:
        self.plan, self.optimizer, self.steps = plan, optimizer, steps
        self.done, self.falls, self.best, self.waits = 0, 0, -math.inf, 0
        self._set()

    @property
    def lr(self) -> float:
        """The learning rate of the step to come; a group's is this times its factor."""
        rise = max(1, round(self.plan.warmup * self.steps))
        if self.done < rise:
            share = (self.done + 1) / rise
        elif self.plan.schedule == "cosine":
            share = _cosine(1.0, self.plan.final_lr, self.done - rise, self.steps - rise)
        else:
            share = 1.0
        return self.plan.lr * (share * self.plan.factor**self.falls)

    @property
    def weight_decay(self) -> float:
        """The weight decay of the step to come, of the groups that follow the schedule."""
        start, final = self.plan.weight_decay, self.plan.final_weight_decay
        return start if final is None else _cosine(start, final, self.done, self.steps)

    def step(self) -> None:
        """After a step of the optimiser."""
        self.done += 1
        self._set()

    def validated(self, score: float) -> None:
        """After a validation, greater scores being better; does something for a plateau alone."""
        if self.plan.schedule != "plateau":
            return
        self.waits = 0 if score > self.best else self.waits + 1
        self.best = max(self.best, score)
        if self.waits >= self.plan.plateau:
            self.falls, self.waits = self.falls + 1, 0
            self._set()

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands, in plain values."""
        return {"done": self.done, "falls": self.falls, "best": self.best, "waits": self.waits}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.done, self.falls, self.best, self.waits = (state[key] for key in ("done", "falls", "best", "waits"))
        self._set()

    def _set(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * group["factor"]
            if group["scheduled"]:
                group["weight_decay"] = self.weight_decay


def _cosine(start: float, final: float, done: int, steps: int) -> float:
    """From ``start`` to ``final`` in a half cosine, after ``done`` of ``steps``."""
    return final + (start - final) * (0.5 * (1 + math.cos(math.pi * done / max(1, steps))))
