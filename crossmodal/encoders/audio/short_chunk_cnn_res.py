"""The short-chunk CNN of Won et al., SMC 2020, with residual connections; CLMR offers it as an encoder too."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Norm, norm_layer
from crossmodal.encoders.audio._short_chunk import BLOCKS, ShortChunk


class ResidualBlock(nn.Module):
    """Two convolutions 3x3, the first of stride 2, and beside them a third; ReLU of the sum."""

    def __init__(self, inputs: int, outputs: int, kind: Norm) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.bn_1 = norm_layer(kind, outputs, 2)
        self.conv_2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn_2 = norm_layer(kind, outputs, 2)
        self.conv_3 = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.bn_3 = norm_layer(kind, outputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, bands, time)`` to ``(batch, outputs, bands / 2, time / 2)``, rounded up."""
        refined = self.bn_2(self.conv_2(torch.relu(self.bn_1(self.conv_1(x)))))
        return torch.relu(refined + self.bn_3(self.conv_3(x)))


class ShortChunkCNNRes(ShortChunk):
    """Seven residual blocks of stride 2: 12,078,594 parameters, and 25,650 of a Linear(512, 50)."""

    def blocks(self, widths: list[int], kind: Norm) -> list[nn.Module]:
        """The seven blocks, from each of ``widths`` to the next."""
        return [ResidualBlock(a, b, kind) for a, b in pairwise(widths)]

    def steps(self, lengths: Tensor) -> Tensor:
        """The steps that so many frames become: begun ones of 128."""
        steps: Tensor = (lengths + 2**BLOCKS - 1) // 2**BLOCKS
        return steps
