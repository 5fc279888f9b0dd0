"""The downstream head of Deezer's benchmark, as far as what was published tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.errors import InputError
from crossmodal.heads import Examples, Fitted, Floats, Head, Reading, Scores, logits_of
from crossmodal.heads._choice import best
from crossmodal.heads._training import Recipe, Trained, linear, network_logits, trained
from crossmodal.settings import Count, Positive

NEPERS_DB = 8.685889638065036  # 20 / ln(10)
LEAST_LOG = -100.0  # below which their logarithms are cut off


class _Option(NamedTuple):
    lr: float
    found: Trained


class Deezer(Head):
    """One layer without bias on segments that are not silent; in the test on the mean embedding of a track.

    After Meseguer-Brocal, Desblancs and Hennequin, "An Experimental Comparison of Multi-View Self-Supervised Methods
    for Music Tagging" (ICASSP 2024), and their code (``downstream_tasks`` of deezer/multi-view-ssl-benchmark): layers
    ``[] + [tags]``, or hidden ones with batch norm and ReLU, none with a bias; binary cross-entropy of a softmax over
    the tags, which is their default, or of sigmoids; train and valid are whole segments of 4 s, at most 25 of a track
    drawn at random, of those with 10 ln(rms of segment / rms of track) > -7.5, a natural logarithm, which are 6.5 dB;
    in the test the mean of the embeddings of all whole segments.

    Optimiser, learning rate, batch and epochs were never released. Here they are Adam without decay, the learning rate
    of those given whose loss on valid is lowest, batches of 256 (the default of their loader) and training until that
    loss has not fallen for 10 epochs. Their buffer of 4,999 shuffled segments is all of them here, and a track shorter
    than a segment keeps its only one, padded.

    Args:
        activation: what their loss is taken of, and what a track is judged by.
        hidden: units of the hidden layers.
        lr: the learning rates to choose from; 0.01, 0.001 and 0.0001 if None.
        batch_size: segments of a step.
        epochs: at most.
    """

    reading = Reading("segments", "embeddings", "train", whole=True, quietest_db=-0.75 * NEPERS_DB, most=25)
    draws = True

    def __init__(
        self,
        activation: Literal["softmax", "sigmoid"] = "softmax",
        hidden: list[Count] | None = None,
        lr: list[Positive] | None = None,
        batch_size: Count = 256,
        epochs: Count = 100,
    ) -> None:
        self.activation, self.hidden = activation, [] if hidden is None else hidden
        self.lr = [1e-2, 1e-3, 1e-4] if lr is None else lr
        self.batch_size, self.epochs = batch_size, epochs
        if not self.lr:
            raise InputError("head deezer: lr is empty; give one at least")

    def fit(self, train: Examples, valid: Examples, seed: int = 0, refit: bool = True) -> Fitted:
        """The seed is that of the first weights and of the order of rows; every segment counts the same."""
        train = replace(train, weights=np.ones(len(train.features)))
        kept = best([self._option(train, valid, seed, lr) for lr in self.lr], lambda option: -option.found.loss)

        def logits(features: Floats) -> Scores:
            raw = network_logits(kept.found.network, features)
            return logits_of(self._activated(torch.from_numpy(raw)).numpy(), train.exclusive)

        return Fitted(logits, {"lr": kept.lr, "epochs": kept.found.epochs})

    def _option(self, train: Examples, valid: Examples, seed: int, lr: float) -> _Option:
        generator = torch.Generator().manual_seed(seed)
        network = self._network(train.features.shape[1], train.truth.shape[1], generator)
        truth = torch.from_numpy(valid.truth[valid.track])

        def validate(network: nn.Module) -> float:
            return float(self._losses(torch.from_numpy(network_logits(network, valid.features)), truth).mean())

        recipe = Recipe(lr, 0.0, self.batch_size, self.epochs)
        return _Option(lr, trained(network, self._losses, train, validate, recipe, generator))

    def _network(self, dim: int, tags: int, generator: torch.Generator) -> nn.Module:
        layers: list[nn.Module] = []
        for width in self.hidden:
            layers += [linear(dim, width, generator, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
            dim = width
        return nn.Sequential(*layers, linear(dim, tags, generator, bias=False))

    def _activated(self, logits: Tensor) -> Tensor:
        return F.softmax(logits, dim=-1) if self.activation == "softmax" else torch.sigmoid(logits.clamp(min=-10))

    def _losses(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Their loss of each row, ``(rows,)``; tags that are unknown do not count."""
        given, known = self._activated(logits), truth >= 0
        target = truth.clamp(min=0).to(given.dtype)
        each = -(target * _log(given) + (1 - target) * _log(1 - given))
        return (each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def _log(values: Tensor) -> Tensor:
    """Their logarithm. It is cut off below too before it is taken: the gradient at 0 would be NaN."""
    return values.clamp(min=torch.finfo(values.dtype).tiny).log().clamp(min=LEAST_LOG)
