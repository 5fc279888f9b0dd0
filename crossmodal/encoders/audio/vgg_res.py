"""The residual VGG of the SSL tutorial at ISMIR 2025 (Pliploop/SSLISMIR calls it VGGish; it is not Google's)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Norm, mean, norm_layer, poolings
from crossmodal.encoders.audio._spectral import Spectral, rescaled, whole
from crossmodal.errors import InputError
from crossmodal.settings import Count


class VGGRes(Spectral):
    """Blocks of two convolutions with a skip connection and max pooling of 2, mean over bands and time, a linear layer.

    With the tutorial's settings, the default, there are 5,300,864 parameters.

    Args:
        frontend: a preset's name, or settings; None for the tutorial's, ``sslismir``.
        channels: of each block.
        dim: of the output.
        norm: batch norm, or group norm, with which no clip sees another one of its batch.
    """

    published: ClassVar[str | dict[str, Any]] = "sslismir"

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        channels: list[Count] | None = None,
        dim: Count = 512,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(frontend, dim)
        widths = [128, 128, 256, 512] if channels is None else channels
        if not widths:
            raise InputError("vgg_res: channels is empty; name those of one block at least")
        pairs = list(zip([self.channels, *widths], widths, strict=False))
        self.blocks = nn.ModuleList(self._block(a, b, norm) for a, b in pairs).to(memory_format=torch.channels_last)
        self.res_convs = nn.ModuleList(nn.Identity() if a == b else nn.Conv2d(a, b, 1) for a, b in pairs)
        self.kernels = poolings(self.bands, [2] * len(widths))
        self.stride = 2 ** len(widths)
        self.fc = nn.Linear(widths[-1], dim)

    @staticmethod
    def _block(inputs: int, outputs: int, kind: Norm) -> nn.Sequential:
        first = [nn.Conv2d(inputs, outputs, 3, padding=1), norm_layer(kind, outputs, 2), nn.ReLU()]
        return nn.Sequential(*first, nn.Conv2d(outputs, outputs, 3, padding=1), norm_layer(kind, outputs, 2))

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``, one step for every ``stride`` frames."""
        return self._steps(features)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count.

        Clips of less than ``stride`` frames are padded with silence.
        """
        return mean(self._steps(features, lengths), whole(features, lengths) // self.stride)

    def _steps(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The last layer is linear: it may come before the mean over time as well as after it."""
        maps = self.images(features, lengths, self.stride)
        for block, shortcut, kernel in zip(self.blocks, self.res_convs, self.kernels, strict=True):
            maps = F.max_pool2d(torch.relu(block(maps) + shortcut(maps)), kernel)
        steps: Tensor = self.fc(maps.mean(2).transpose(1, 2))
        return steps

    @staticmethod
    def foreign(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tutorial's weights, for 128 bands; the names are the same.

        They are of natural logarithms, and the front end ``sslismir`` has twice as many bins in a band as theirs.
        """
        return rescaled(state, bands=128, mean=10 * math.log10(2), deviation=10 / math.log(10))
