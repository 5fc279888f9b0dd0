"""The base of the encoders of spectrograms: front end, normaliser of its bands, and what is seen of padding."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.audio import frontends
from crossmodal.encoders.audio._layers import reached
from crossmodal.errors import InputError
from crossmodal.types import AudioEncoder


class Spectral(nn.Module, AudioEncoder):
    """An encoder of features ``(batch, frames, bands)``, or ``(batch, frames, channels, bands)``.

    Args:
        frontend: a preset's name, or settings; None for the one that the architecture was published with.
        dim: of the encoder's output.

    Raises:
        InputError: the front end is not known, or gives waveforms.
    """

    published: ClassVar[str | dict[str, Any]]
    mean: Tensor  # of each band in the training frames, a buffer
    deviation: Tensor  # their standard deviation, a buffer

    def __init__(self, frontend: str | dict[str, Any] | None, dim: int) -> None:
        super().__init__()
        name = type(self).__module__.rpartition(".")[2]
        self.frontend = frontends.build(self.published if frontend is None else frontend, f"{name}: frontend")
        if isinstance(self.frontend, frontends.Raw):
            raise InputError(f"{name} sees spectrograms; frontend is 'raw', which gives waveforms")
        self.dim = dim
        self.channels, self.bands = (1, *self.frontend.shape)[-2:]
        self.register_buffer("mean", torch.zeros(self.frontend.shape))
        self.register_buffer("deviation", torch.ones(self.frontend.shape))

    @torch.no_grad()
    def fit(self, features: Tensor, lengths: Tensor | None = None) -> None:
        """Set the normaliser from training clips ``(clips, frames, *shape)``: mean and deviation of each band.

        A band that is always silent is given a deviation of 1 dB: what an augmentation moves there stays a number like
        others.
        """
        frames = features[reached(features, whole(features, lengths))]
        self.mean.copy_(frames.mean(0))
        self.deviation.copy_(frames.std(0).clamp(min=1.0))

    def images(self, features: Tensor, lengths: Tensor | None = None, at_least: int = 1) -> Tensor:
        """Features, normalised, to ``(batch, channels, bands, frames)``: what a convolution in two dimensions takes.

        Frames at and after ``lengths (batch,)`` become silence, whatever they held, and so do those that are missing
        to ``at_least``.
        """
        if lengths is not None:
            beyond = torch.arange(features.shape[1], device=features.device) >= lengths.unsqueeze(1)
            features = features.masked_fill(beyond.view(*beyond.shape, *[1] * self.mean.ndim), self.frontend.silence)
        if (missing := at_least - features.shape[1]) > 0:
            features = F.pad(features, [0, 0] * self.mean.ndim + [0, missing], value=self.frontend.silence)
        normalised = (features - self.mean) / self.deviation
        return (normalised.unsqueeze(2) if self.mean.ndim == 1 else normalised).permute(0, 2, 3, 1)


def whole(features: Tensor, lengths: Tensor | None) -> Tensor:
    """The valid frames of each clip of ``(batch, frames, ...)``, ``(batch,)``: all of them if ``lengths`` is None."""
    return torch.full((len(features),), features.shape[1], device=features.device) if lengths is None else lengths


def rescaled(state: dict[str, Tensor], bands: int, mean: float = 0.0, deviation: float = 1.0) -> dict[str, Tensor]:
    """Weights of a network that was trained on other numbers than our decibels, with the normaliser that makes them so.

    Args:
        state: the weights by our names.
        bands: that the network was trained on.
        mean: our decibels where theirs are 0.
        deviation: our decibels for one of their units.
    """
    return {"mean": torch.full((bands,), mean), "deviation": torch.full((bands,), deviation), **state}
