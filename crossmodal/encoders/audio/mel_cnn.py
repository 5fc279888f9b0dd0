"""A small residual CNN on log-mel features, made to be trained on a CPU."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Norm, moments, norm_layer
from crossmodal.encoders.audio._spectral import Spectral, whole
from crossmodal.errors import InputError
from crossmodal.settings import Count, Share


class Stage(nn.Module):
    """Halve time and bands, then refine: conv 3x3 stride 2, and a residual conv 3x3, each with a norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kind: Norm) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), norm_layer(kind, outputs, 2), nn.ReLU()
        )
        self.refine = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), norm_layer(kind, outputs, 2))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, time, bands)`` to ``(batch, outputs, time / 2, bands / 2)``, rounded up."""
        x = self.down(x)
        return torch.relu(x + self.refine(x))


class MelCNN(Spectral):
    """Log-mel frames to one vector: strided residual stages, bands kept in place, mean and deviation over time.

    Unlike a CNN with global pooling, the last feature map keeps its position in frequency (it is flattened, not
    averaged, over bands), since register and pitch are part of what words say about music. For the same reason mean and
    deviation of the bands themselves go to the last layer too: the long-term spectrum tells modes that stages of
    stride 2 blur.

    Args:
        frontend: a preset's name, or settings; None for log-mel features as they are by default.
        channels: of each stage.
        dim: of the output.
        dropout: after the layer that mixes the bands of a step.
        norm: batch norm, or group norm, with which no clip sees another one of its batch.
    """

    published: ClassVar[str | dict[str, Any]] = {}

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        channels: list[Count] | None = None,
        dim: Count = 256,
        dropout: Share = 0.1,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(frontend, dim)
        widths = [24, 48, 96, 192] if channels is None else channels
        if not widths:
            raise InputError("mel_cnn: channels is empty; name those of one block at least")
        pairs = zip([self.channels, *widths], widths, strict=False)
        self.stages = nn.Sequential(*(Stage(a, b, norm) for a, b in pairs)).to(memory_format=torch.channels_last)
        self.stride = 2 ** len(widths)
        left = -(-self.bands // self.stride)
        self.mix = nn.Sequential(nn.Linear(widths[-1] * left, dim), nn.ReLU(), nn.Dropout(dropout))
        # the batch norm takes away what all tracks have in common: without it they begin at a cosine of 0.99, where a
        # contrastive loss stays for hundreds of steps
        self.pool = nn.Sequential(nn.Linear(2 * (dim + self.mean.numel()), dim), norm_layer(norm, dim, 1))

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``, one step for every ``stride`` frames."""
        return self._steps(self.images(features))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count."""
        images, lengths = self.images(features, lengths), whole(features, lengths)
        steps, frames = self._steps(images), images.permute(0, 3, 1, 2).flatten(2)
        both = [moments(steps, (lengths + self.stride - 1) // self.stride), moments(frames, lengths).to(steps.dtype)]
        pooled: Tensor = self.pool(torch.cat(both, dim=1))
        return pooled

    def _steps(self, images: Tensor) -> Tensor:
        maps = self.stages(images.transpose(2, 3))
        steps: Tensor = self.mix(maps.permute(0, 2, 1, 3).flatten(2))
        return steps
