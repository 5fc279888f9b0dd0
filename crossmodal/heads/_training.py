"""Small networks on frozen features: their first weights, their losses, and how they are trained until valid says stop.

Everything is drawn from a generator that is passed on, never from the global one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from crossmodal.heads import Examples, Floats, Scores
from crossmodal.heads._standard import Standard

Loss = Callable[[Tensor, Tensor], Tensor]


class Recipe(NamedTuple):
    """How a network is trained.

    Attributes:
        lr: learning rate, of Adam.
        weight_decay: added to the gradient; with ``decoupled`` taken off the weights, as AdamW does.
        batch_size: rows of a step.
        epochs: at most.
        patience: epochs without a lower loss on valid after which training ends.
        plateau: such epochs after which the learning rate falls to a tenth; None for never.
        decoupled: see ``weight_decay``.
        restore: whether the weights of the epoch with the lowest loss on valid are kept, not the last ones.
    """

    lr: float
    weight_decay: float = 0.0
    batch_size: int = 256
    epochs: int = 200
    patience: int = 10
    plateau: int | None = None
    decoupled: bool = False
    restore: bool = True


class Trained(NamedTuple):
    """A network after training, its loss on valid, and the epochs it took to get there."""

    network: nn.Module
    loss: float
    epochs: int


class Standardised(nn.Module):
    """A layer without weights: features in units of their deviation over the rows ``(rows, dim)`` that are given."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: Floats) -> None:
        super().__init__()
        for name, value in Standard.of(features)._asdict().items():
            self.register_buffer(name, torch.from_numpy(value))

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, dim)``, on that scale."""
        return (features - self.mean) / self.deviation


def linear(inputs: int, outputs: int, generator: torch.Generator, bias: bool = True) -> nn.Linear:
    """A linear layer with PyTorch's own first weights, U(-1, 1) / sqrt(inputs), from a generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)
    return layer


def network_logits(network: nn.Module, features: Floats) -> Scores:
    """What a network gives for rows, ``(rows, tags)``."""
    network.eval()
    with torch.inference_mode():
        return np.asarray(network(torch.from_numpy(np.ascontiguousarray(features))).numpy(), dtype=np.float64)


def losses(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of independent tags, their mean over those known of a row: ``(rows,)``."""
    known = truth >= 0
    each = F.binary_cross_entropy_with_logits(logits, truth.clamp(min=0).to(logits.dtype), reduction="none")
    return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def exclusive_losses(logits: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of exclusive tags, ``(rows,)``, each times its tag's ``weight (tags,)``."""
    return F.cross_entropy(logits, truth.argmax(dim=1), weight, reduction="none")


def row_loss(exclusive: bool) -> Loss:
    """The loss of each row that suits the tags."""
    return exclusive_losses if exclusive else losses


def trained(
    network: nn.Module,
    loss: Loss,
    train: Examples,
    validate: Callable[[nn.Module], float],
    recipe: Recipe,
    generator: torch.Generator,
) -> Trained:
    """Train a network in place.

    Args:
        network: features to logits.
        loss: of logits ``(rows, tags)`` and truth ``(rows, tags)``, as many as rows.
        train: rows count by their share of their track.
        validate: the loss on valid.
        recipe: how.
        generator: of the order of rows.
    """
    features = torch.from_numpy(np.ascontiguousarray(train.features))
    truth, weights = torch.from_numpy(train.truth[train.track]), torch.from_numpy(train.weights).float()
    optimizer = (AdamW if recipe.decoupled else Adam)(network.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    plateau = None if recipe.plateau is None else ReduceLROnPlateau(optimizer, patience=recipe.plateau)
    best = Trained(network, math.inf, 0)
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        for rows in torch.split(torch.randperm(len(features), generator=generator), recipe.batch_size):
            _step(optimizer, loss(network(features[rows]), truth[rows]), weights[rows])
        found = validate(network)
        if found < best.loss:
            best = Trained(deepcopy(network) if recipe.restore else network, found, epoch)
        if epoch - best.epochs >= recipe.patience:
            break
        if plateau is not None:
            plateau.step(found)
    return best if recipe.restore else Trained(network, found, epoch)


def _step(optimizer: Optimizer, losses: Tensor, weights: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward((losses * weights).sum() / weights.sum())
    optimizer.step()
