"""CLIP's ResNet (Radford et al., ICML 2021) at width 16, with which Deezer compare five objectives.

Meseguer-Brocal et al., "An Experimental Comparison of Multi-view Self-supervised Methods for Music Tagging" (ICASSP
2024).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Norm, norm_layer
from crossmodal.encoders.audio._spectral import Spectral, rescaled
from crossmodal.errors import InputError
from crossmodal.settings import Count

POSITIONS = 3  # of the published window of 4 s in time
LEAST = 32 * POSITIONS  # frames that have so many


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1, four times as wide at the end, beside a shortcut; strides are mean pooling."""

    def __init__(self, inputs: int, width: int, stride: int, kind: Norm) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), norm_layer(kind, width, 2)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), norm_layer(kind, width, 2)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), norm_layer(kind, outputs, 2)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        straight = stride == 1 and inputs == outputs
        convolved = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), norm_layer(kind, outputs, 2))
        self.downsample = nn.Identity() if straight else convolved

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, bands, time)`` to ``(batch, 4 width, bands / stride, time / stride)``, rounded down."""
        refined = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        refined = self.bn3(self.conv3(self.avgpool(refined)))
        return torch.relu(refined + self.downsample(self.avgpool(x)))


class AttentionPool(nn.Module):
    """One vector of a map: its mean, as a query, attends to all its places and to itself.

    Args:
        bands: height of the map.
        width: channels of the map.
        heads: of the attention.
        dim: of the output.
    """

    def __init__(self, bands: int, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.bands, self.heads = bands, heads
        self.positional_embedding = nn.Parameter(torch.randn(bands * POSITIONS + 1, width) / width**0.5)
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(width, width) for _ in range(3))
        self.c_proj = nn.Linear(width, dim)

    def forward(self, maps: Tensor) -> Tensor:
        """``(batch, width, bands, time)`` to ``(batch, dim)``."""
        places = maps.flatten(2).transpose(1, 2)
        tokens = torch.cat([places.mean(1, keepdim=True), places], dim=1) + self._positions(maps.shape[3])
        query, keys, values = self.q_proj(tokens[:, :1]), self.k_proj(tokens), self.v_proj(tokens)
        query, keys, values = (x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (query, keys, values))
        attended = F.scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(1)
        pooled: Tensor = self.c_proj(attended)
        return pooled

    def _positions(self, time: int) -> Tensor:
        """Embeddings of the mean and of the places, ``(1 + bands * time, width)``, interpolated in time."""
        if time == POSITIONS:
            return self.positional_embedding
        grid = self.positional_embedding[1:].T.reshape(1, -1, self.bands, POSITIONS)
        mixed = F.interpolate(grid, size=(self.bands, time), mode="bilinear", align_corners=False)
        return torch.cat([self.positional_embedding[:1], mixed[0].flatten(1).T])


class ClipResNet(Spectral):
    """A stem of three convolutions, four layers of bottlenecks, attention pooling: 2,800,392 parameters, 1024 values.

    A window of 4 s, 125 or 126 frames, has 4 x 3 places. Shorter clips are padded with silence to three steps of time;
    the embeddings of the places of longer ones are interpolated. The attention sees silence as it sees sound, as in
    the published network: clips of one batch that are padded differently are better cut to segments.

    Args:
        frontend: a preset's name, or settings; None for Deezer's, ``deezer``; at least 31 bands.
        width: channels after the stem; the last layer has 32 times as many.
        layers: bottlenecks in each layer.
        heads: of the attention.
        dim: of the output.
        norm: batch norm, or group norm, with which no clip sees another one of its batch.

    Raises:
        InputError: the front end has too few bands.
    """

    published: ClassVar[str | dict[str, Any]] = "deezer"

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        width: Count = 16,
        layers: tuple[Count, Count, Count, Count] = (3, 4, 6, 3),
        heads: Count = 8,
        dim: Count = 1024,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(frontend, dim)
        if not (places := (self.bands + 1) // 32):
            raise InputError(f"clip_resnet halves bands five times: it takes 31 or more, not {self.bands}")
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(self.channels, half, 3, 2, 1, bias=False), norm_layer(norm, half, 2)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, padding=1, bias=False), norm_layer(norm, half, 2)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, padding=1, bias=False), norm_layer(norm, width, 2)
        inputs = [width, *(4 * width * 2**number for number in range(4))]
        for number, count in enumerate(layers):
            stride, planes = min(number + 1, 2), width * 2**number
            first = Bottleneck(inputs[number], planes, stride, norm)
            rest = (Bottleneck(inputs[number + 1], planes, 1, norm) for _ in range(1, count))
            self.add_module(f"layer{number + 1}", nn.Sequential(first, *rest))
        self.to(memory_format=torch.channels_last)
        self.attnpool = AttentionPool(places, inputs[-1], heads, dim)

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``, one step for every 32 frames.

        A step is what the pooling would make of it if all attention were on it, without positions: value and output
        projection of its mean over bands, as in Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022.
        """
        steps: Tensor = self.attnpool.c_proj(self.attnpool.v_proj(self._maps(features).mean(2).transpose(1, 2)))
        return steps

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` are silence."""
        pooled: Tensor = self.attnpool(self._maps(features, lengths))
        return pooled

    def _maps(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        maps = self.images(features, lengths, LEAST)
        for conv, bn in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            maps = torch.relu(bn(conv(maps)))
        maps = F.avg_pool2d(maps, 2)
        for number in range(1, 5):
            maps = self.get_submodule(f"layer{number}")(maps)
        return maps

    @staticmethod
    def foreign(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Deezer's weights by our names, for 128 bands; the front end is left.

        Theirs divides power by the window's energy, the 384 of a Hann window of 1024 samples.
        """
        kept = {name.removeprefix("embedding."): state[name] for name in state if not name.startswith("spec.")}
        return rescaled(kept, bands=128, mean=10 * math.log10(384))
