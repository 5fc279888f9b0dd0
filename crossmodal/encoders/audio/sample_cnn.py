"""The CNN on waveforms of CLMR (Spijkervet and Burgoyne, ISMIR 2021), after Lee et al., SMC 2017."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.audio import frontends
from crossmodal.encoders.audio._layers import Norm, mean, norm_layer
from crossmodal.encoders.audio._spectral import whole
from crossmodal.errors import InputError, listed
from crossmodal.settings import Count
from crossmodal.types import AudioEncoder

Samples = TypeVar("Samples", int, Tensor)


class SampleCNN(nn.Module, AudioEncoder):
    """Samples to one vector: a strided convolution, convolutions that each pool time by their stride, and one more.

    A window of three times the product of the strides becomes a single step: 59,049 samples at 22,050 Hz. There this is
    CLMR's encoder, of 2,368,512 parameters (2,394,162 with the Linear(512, 50) of its supervised form). Shorter clips
    are padded with silence to a window; of longer ones, which CLMR does not know, the steps are averaged, and what is
    left after the last whole window is not heard. So crops are best a window long, or some of them.

    Args:
        frontend: ``raw``, by default at 22,050 Hz.
        strides: of the pooling layers, and the sizes of their filters; None for CLMR's at the front end's sample rate,
            `STRIDES`.
        channels: of the first layer and of each pooling one; the last is ``dim``, 512 by default.
        norm: batch norm, or group norm, with which no clip sees another one of its batch.

    Raises:
        InputError: there are no strides for the sample rate, or they do not fit the channels or the front end.
    """

    STRIDES: ClassVar[dict[int, list[int]]] = {
        22_050: [3, 3, 3, 3, 3, 3, 3, 3, 3],
        16_000: [3, 3, 3, 3, 3, 3, 5, 2, 2],
        8_000: [3, 3, 3, 2, 2, 4, 4, 2, 2],
    }
    published: ClassVar[dict[str, Any]] = {"name": "raw", "sample_rate": 22_050}

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        strides: list[Count] | None = None,
        channels: list[Count] | None = None,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.frontend = frontends.build(self.published if frontend is None else frontend, "sample_cnn: frontend")
        self.strides = self._strides(self.frontend.sample_rate) if strides is None else strides
        widths = [128, 128, 128, *[256] * 6, 512] if channels is None else channels
        self._check(widths)
        self.dim, self.window = widths[-1], 3 * math.prod(self.strides)
        layers = [self._layer(self.frontend.channels, widths[0], norm, 3, 3, 0)]
        for stride, inputs, outputs in zip(self.strides, widths, widths[1:], strict=False):
            layers.append(self._layer(inputs, outputs, norm, stride, 1, 1).append(nn.MaxPool1d(stride)))
        self.sequential = nn.Sequential(*layers, self._layer(self.dim, self.dim, norm, 3, 1, 1))

    def _strides(self, sample_rate: int) -> list[int]:
        if sample_rate not in self.STRIDES:
            rates = listed(self.STRIDES)
            raise InputError(f"sample_cnn has no strides for {sample_rate} Hz, only for {rates}; set strides")
        return self.STRIDES[sample_rate]

    def _check(self, widths: list[int]) -> None:
        if not isinstance(self.frontend, frontends.Raw):
            raise InputError("sample_cnn sees waveforms: its front end is named 'raw'")
        if len(widths) != len(self.strides) + 1:
            raise InputError(f"sample_cnn: {len(self.strides)} strides take one more of channels, not {len(widths)}")
        if min(self.strides, default=0) < 2 or self.steps(3 * math.prod(self.strides)) < 1:
            raise InputError(f"sample_cnn: strides {self.strides} leave no step; all are 2 or more, the last 2 or 3")

    @staticmethod
    def _layer(inputs: int, outputs: int, kind: Norm, size: int, stride: int, padding: int) -> nn.Sequential:
        convolution = nn.Conv1d(inputs, outputs, size, stride=stride, padding=padding)
        return nn.Sequential(convolution, norm_layer(kind, outputs, 1), nn.ReLU())

    def steps(self, samples: Samples) -> Samples:
        """The steps that so many samples become: padding of one, and pooling that rounds down."""
        steps = samples // 3
        for stride in self.strides:
            steps = (steps + 3 - stride) // stride
        return steps

    def sequence(self, features: Tensor) -> Tensor:
        """Samples ``(batch, samples, channels)`` to ``(batch, time, dim)``, about one step for every window."""
        return self._maps(features, whole(features, None))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Samples ``(batch, samples, channels)`` to ``(batch, dim)``; samples at and after ``lengths`` are silence."""
        lengths = whole(features, lengths)
        return mean(self._maps(features, lengths), self.steps(lengths))

    def _maps(self, samples: Tensor, lengths: Tensor) -> Tensor:
        beyond = torch.arange(samples.shape[1], device=samples.device) >= lengths.unsqueeze(1)
        waves = samples.masked_fill(beyond.unsqueeze(2), 0.0).transpose(1, 2)
        maps: Tensor = self.sequential(F.pad(waves, (0, max(0, self.window - waves.shape[2]))))
        return maps.transpose(1, 2)

    @staticmethod
    def foreign(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """CLMR's weights by our names: v1 calls its layers ``conv1`` to ``conv11``; the classifier ``fc`` is left."""
        layers = {name: value for name, value in state.items() if not name.startswith("fc.")}
        return {re.sub(r"^conv(\d+)", lambda m: f"sequential.{int(m[1]) - 1}", name): layers[name] for name in layers}
