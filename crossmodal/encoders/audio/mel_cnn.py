"""A small residual CNN on log-mel features, made to be trained on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from crossmodal import registry
from crossmodal.audio.frontends import LogMel
from crossmodal.types import AudioEncoder


class Stage(nn.Module):
    """Halve time and bands, then refine: conv 3x3 stride 2, and a residual conv 3x3, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
        self.refine = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, time, bands)`` to ``(batch, outputs, time / 2, bands / 2)``, rounded up."""
        x = self.down(x)
        return torch.relu(x + self.refine(x))


class MelCNN(nn.Module, AudioEncoder):
    """Log-mel frames to one vector: strided residual stages, bands kept in place, mean and deviation over time.

    Unlike a CNN with global pooling, the last feature map keeps its position in frequency (it is flattened, not
    averaged, over bands), since register and pitch are part of what words say about music. For the same reason mean and
    deviation of the bands themselves go to the last layer too: the long-term spectrum tells modes that stages of
    stride 2 blur.
    """

    mean: Tensor  # of each band in the training frames, a buffer
    deviation: Tensor  # their standard deviation, a buffer

    def __init__(
        self,
        frontend: dict[str, Any] | None = None,
        channels: list[int] | None = None,
        dim: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        registry.check_settings(LogMel, frontend or {}, "mel_cnn: frontend")
        self.frontend = LogMel(**(frontend or {}))
        self.sample_rate = self.frontend.sample_rate
        self.dim = dim
        widths = channels or [24, 48, 96, 192]
        bands = self.frontend.bands
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))
        pairs = zip([1, *widths], widths, strict=False)
        self.stages = nn.Sequential(*(Stage(a, b) for a, b in pairs)).to(memory_format=torch.channels_last)
        self.stride = 2 ** len(widths)
        self.mix = nn.Sequential(nn.Linear(widths[-1] * -(-bands // self.stride), dim), nn.ReLU(), nn.Dropout(dropout))
        # the batch norm takes away what all tracks have in common: without it they begin at a cosine of 0.99, where a
        # contrastive loss stays for hundreds of steps
        self.pool = nn.Sequential(nn.Linear(2 * (dim + bands), dim), nn.BatchNorm1d(dim))

    @torch.no_grad()
    def fit(self, frames: Tensor) -> None:
        """Set the normaliser from training frames ``(frames, bands)``: mean and deviation of each band."""
        self.mean.copy_(frames.mean(0))
        self.deviation.copy_(frames.std(0).clamp(min=1e-3))

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, bands)`` to ``(batch, time, dim)``, one step for every ``stride`` frames."""
        return self._steps(self._normalised(features))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, bands)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count."""
        if lengths is None:
            lengths = torch.full((len(features),), features.shape[1], device=features.device)
        frames = self._normalised(features)
        steps = self._steps(frames)
        reached = (lengths + self.stride - 1) // self.stride
        both = [moments(steps, reached), moments(frames, lengths).to(steps.dtype)]
        pooled: Tensor = self.pool(torch.cat(both, dim=1))
        return pooled

    def _normalised(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.deviation

    def _steps(self, frames: Tensor) -> Tensor:
        maps = self.stages(frames.unsqueeze(1).to(memory_format=torch.channels_last))
        steps: Tensor = self.mix(maps.permute(0, 2, 1, 3).flatten(2))
        return steps


def moments(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean and deviation over the first ``lengths (batch,)`` steps of ``(batch, time, dim)``: ``(batch, 2 dim)``."""
    within = torch.arange(values.shape[1], device=values.device) < lengths.clamp(min=1).unsqueeze(1)
    weights = (within / within.sum(1, keepdim=True)).unsqueeze(2).to(values.dtype)
    mean = (values * weights).sum(1)
    # the small constant keeps the gradient of the root finite where a clip is one step long
    deviation = ((values - mean.unsqueeze(1)).square() * weights).sum(1).add(1e-6).sqrt()
    return torch.cat([mean, deviation], dim=1)
