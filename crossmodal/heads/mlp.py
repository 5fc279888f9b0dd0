"""A network of one hidden layer: what is there, but in no straight line."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from crossmodal.errors import InputError
from crossmodal.heads import Examples, Fitted, Head
from crossmodal.heads._choice import best, quality
from crossmodal.heads._training import (
    Loss,
    Recipe,
    Standardised,
    exclusive_losses,
    linear,
    losses,
    network_logits,
    trained,
)
from crossmodal.settings import Amount, Count, Positive


class _Option(NamedTuple):
    fitted: Fitted
    quality: float


class MLP(Head):
    """Standardised features, a hidden layer with ReLU, AdamW; cross-entropy, of independent tags over known ones.

    Every pair of learning rate and weight decay is trained until the loss on valid has not fallen for ``patience``
    epochs, and goes back to where it was lowest; of the pairs, the first with the greatest balanced accuracy, or macro
    average precision, on valid is kept.

    Args:
        hidden: units of the hidden layer.
        lr: the learning rates to choose from; 0.001 and 0.0003 if None.
        weight_decay: likewise; 0.01 and 1 if None.
        batch_size: rows of a step.
        epochs: at most.
        patience: see above.
        balanced: whether all exclusive tags weigh the same, however frequent.
    """

    draws = True

    def __init__(
        self,
        hidden: Count = 512,
        lr: list[Positive] | None = None,
        weight_decay: list[Amount] | None = None,
        batch_size: Count = 256,
        epochs: Count = 200,
        patience: Count = 10,
        balanced: bool = True,
    ) -> None:
        self.hidden, self.balanced = hidden, balanced
        self.batch_size, self.epochs, self.patience = batch_size, epochs, patience
        self.lr = [1e-3, 3e-4] if lr is None else lr
        self.weight_decay = [0.01, 1.0] if weight_decay is None else weight_decay
        if not (self.lr and self.weight_decay):
            raise InputError(f"head mlp: {'weight_decay' if self.lr else 'lr'} is empty; give one at least")

    def fit(self, train: Examples, valid: Examples, seed: int = 0, refit: bool = True) -> Fitted:
        """The seed is that of the first weights, the same for every pair, and of the order of rows."""
        options = [self._option(train, valid, seed, *pair) for pair in product(self.lr, self.weight_decay)]
        return best(options, lambda option: option.quality).fitted

    def _option(self, train: Examples, valid: Examples, seed: int, lr: float, weight_decay: float) -> _Option:
        generator = torch.Generator().manual_seed(seed)
        network = nn.Sequential(
            Standardised(train.features),
            linear(train.features.shape[1], self.hidden, generator),
            nn.ReLU(),
            linear(self.hidden, train.truth.shape[1], generator),
        )
        recipe = Recipe(lr, weight_decay, self.batch_size, self.epochs, self.patience, decoupled=True)

        def validate(network: nn.Module) -> float:
            return valid.log_loss(valid.scores(network_logits(network, valid.features)))

        found = trained(network, self._loss(train), train, validate, recipe, generator)
        chosen = {"lr": lr, "weight_decay": weight_decay, "epochs": found.epochs}
        scores = valid.scores(network_logits(found.network, valid.features))
        fitted = Fitted(lambda features: network_logits(found.network, features), chosen)
        return _Option(fitted, quality(valid, scores))

    def _loss(self, train: Examples) -> Loss:
        if not train.exclusive:
            return losses
        counts = np.bincount(train.labels, minlength=train.truth.shape[1])
        even = torch.tensor(counts.sum() / np.maximum(counts, 1) / len(counts), dtype=torch.float32)
        weight = even if self.balanced else None
        return lambda logits, truth: exclusive_losses(logits, truth, weight)
