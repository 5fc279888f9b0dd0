"""The CNN on stereo spectrograms of A. Schindler's experiments, which they name after Kim et al., 2019."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import maximum, mean, poolings
from crossmodal.encoders.audio._spectral import Spectral, whole
from crossmodal.settings import Count, Share

CHANNELS = (16, 32, 64, 64, 128)  # of the layers that pool


class Kim2019(Spectral):
    """Seven convolutions without norms, five of them pooled by 2, and two dense layers: 676,176 parameters.

    There are two published variants. ``pytorch`` ends in a maximum over time and bands, and a sigmoid: its outputs lie
    in [0, 1]. ``keras`` has a last convolution of 1x1, a mean instead of the maximum, and an ELU: 414,032 parameters.
    Both were trained on crops of 216 frames (2.5 s), normalised by band and channel, as `fit` does.

    Args:
        frontend: a preset's name, or settings; None for the published one, ``schindler``: 22,050 Hz, two channels.
        dim: of the output.
        dropout: between the dense layers.
        variant: of the two published.
    """

    published: ClassVar[str | dict[str, Any]] = "schindler"

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        dim: Count = 128,
        dropout: Share = 0.5,
        variant: Literal["pytorch", "keras"] = "pytorch",
    ) -> None:
        super().__init__(frontend, dim)
        self.keras = variant == "keras"
        self.conv1 = nn.Conv2d(self.channels, CHANNELS[0], 5, stride=(1, 2), padding=2)
        for number, (inputs, outputs) in enumerate(pairwise(CHANNELS), 2):
            self.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv6a = nn.Conv2d(CHANNELS[-1], 128, 3, padding=1)
        self.conv6b = nn.Conv2d(128, 256, 1) if self.keras else nn.Conv2d(128, 256, 3, padding=1)
        self.kernels = poolings(self.bands, [2] * len(CHANNELS))
        self.fc_feature = nn.Linear(256, 256)
        self.dropout = nn.Dropout(dropout)
        self.fc_output = nn.Linear(256, dim)
        self.to(memory_format=torch.channels_last)

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``, one step for every 64 frames.

        Each step goes through the dense layers as if it were the clip.
        """
        return self._dense(self._maps(features))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count.

        Clips of less than 64 frames are padded with silence.
        """
        maps, steps = self._maps(features, lengths), (whole(features, lengths) + 1) // 64
        return self._dense(mean(maps, steps) if self.keras else maximum(maps, steps))

    def _maps(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, 256)``, bands pooled."""
        maps = self.images(features, lengths, 64)
        for number, kernel in enumerate(self.kernels, 1):
            maps = F.max_pool2d(torch.relu(self.get_submodule(f"conv{number}")(maps)), kernel)
        maps = torch.relu(self.conv6b(torch.relu(self.conv6a(maps))))
        return (maps.mean(2) if self.keras else maps.amax(2)).transpose(1, 2)

    def _dense(self, pooled: Tensor) -> Tensor:
        found = self.fc_output(self.dropout(torch.relu(self.fc_feature(pooled))))
        return F.elu(found) if self.keras else torch.sigmoid(found)
