"""What audio encoders share: norms, convolution blocks, and pooling over the steps that a clip reaches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from crossmodal.errors import InputError

Norm = Literal["batch", "group"]


def norm_layer(kind: Norm, channels: int, dims: Literal[1, 2]) -> nn.Module:
    """Batch norm over ``dims`` dimensions, or group norm, with which clips of a batch do not see each other.

    Groups have 16 channels or a little more, as in Wu and He, "Group Normalization", ECCV 2018, table 3; fewer
    channels than 32 are one group.
    """
    if kind == "group":
        return nn.GroupNorm(math.gcd(channels, max(1, channels // 16)), channels)
    norm = nn.BatchNorm1d(channels) if dims == 1 else nn.BatchNorm2d(channels)
    norm.register_forward_pre_hook(_check_rows)
    return norm


def _check_rows(norm: nn.Module, given: tuple[Tensor]) -> None:
    """Refuse to train a batch norm on one value a channel, of which there are no statistics, in plain words."""
    if norm.training and given[0].numel() == given[0].shape[1]:
        raise InputError(
            "batch norm cannot be trained on a single clip, and a batch, or a part of it, has no more: raise"
            " train.batch_size, take a train.micro_batch that leaves no single one, or set norm: group"
        )


def input_norm(kind: Norm, channels: int) -> nn.Module:
    """The batch norm of the spectrogram that some published networks begin with.

    With group norm there is none: it would take the level away, and the normaliser that `fit` sets does its work.
    """
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.Identity()


def poolings(bands: int, sizes: Iterable[int]) -> list[tuple[int, int]]:
    """Kernels of max pooling, ``(bands, time)``, one for each published size: bands are pooled while there are any.

    For the number of bands that the network was published with, both are the published size.
    """
    kernels = []
    for size in sizes:
        kernels.append((min(size, bands), size))
        bands //= kernels[-1][0]
    return kernels


class Block(nn.Module):
    """Convolution 3x3, norm, ReLU and max pooling, as Won's taggers name them.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        pooling: kernel of the pooling, ``(bands, time)``.
        kind: of the norm.
    """

    def __init__(self, inputs: int, outputs: int, pooling: tuple[int, int], kind: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = norm_layer(kind, outputs, 2)
        self.pooling = nn.MaxPool2d(pooling)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, bands, time)`` to ``(batch, outputs, bands / pooling, time / pooling)``, rounded down."""
        pooled: Tensor = self.pooling(torch.relu(self.bn(self.conv(x))))
        return pooled


def reached(values: Tensor, lengths: Tensor) -> Tensor:
    """Which steps of ``(batch, time, dim)`` are among the first ``lengths (batch,)``, at least one: bool."""
    return torch.arange(values.shape[1], device=values.device) < lengths.clamp(min=1).unsqueeze(1)


def weights(values: Tensor, lengths: Tensor) -> Tensor:
    """Equal weights of the steps that are reached, zero for the others: ``(batch, time, 1)``, of sum one."""
    within = reached(values, lengths)
    return (within / within.sum(1, keepdim=True)).unsqueeze(2).to(values.dtype)


def mean(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the first ``lengths (batch,)`` steps of ``(batch, time, dim)``: ``(batch, dim)``."""
    return (values * weights(values, lengths)).sum(1)


def maximum(values: Tensor, lengths: Tensor) -> Tensor:
    """Maximum over the first ``lengths (batch,)`` steps of ``(batch, time, dim)``: ``(batch, dim)``."""
    return values.masked_fill(~reached(values, lengths).unsqueeze(2), -torch.inf).amax(1)


def moments(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean and deviation over the first ``lengths (batch,)`` steps of ``(batch, time, dim)``: ``(batch, 2 dim)``."""
    centre = mean(values, lengths)
    squares = (values - centre.unsqueeze(1)).square() * weights(values, lengths)
    # the small constant keeps the gradient of the root finite where a clip is one step long
    return torch.cat([centre, squares.sum(1).add(1e-6).sqrt()], dim=1)
