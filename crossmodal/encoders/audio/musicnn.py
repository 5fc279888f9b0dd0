"""musicnn of Pons et al., ISMIR 2018 and 2019, as Won et al., SMC 2020, train it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Norm, input_norm, maximum, mean, norm_layer
from crossmodal.encoders.audio._spectral import Spectral, rescaled, whole
from crossmodal.settings import Count, Share


class Timbral(nn.Module):
    """Filters of 7 frames and many bands, and the maximum over where they lie: what sounds, at whatever pitch."""

    def __init__(self, inputs: int, outputs: int, height: int, kind: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, (height, 7), padding=(0, 3))
        self.bn = norm_layer(kind, outputs, 2)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, bands, time)`` to ``(batch, outputs, time)``."""
        return torch.relu(self.bn(self._convolved(x))).amax(2)

    def _convolved(self, x: Tensor) -> Tensor:
        """What ``conv`` makes of it, place by place over time alone: on a CPU the gradient is five times faster."""
        places = x.unfold(2, self.conv.kernel_size[0], 1).permute(0, 2, 1, 4, 3)  # batch, places, inputs, height, time
        waves = places.flatten(0, 1).flatten(1, 2)
        maps = F.conv1d(waves, self.conv.weight.flatten(1, 2), self.conv.bias, padding=3)
        return maps.reshape(x.shape[0], -1, *maps.shape[1:]).transpose(1, 2)


class Temporal(nn.Module):
    """Long filters over the mean of the bands: rhythm and envelope."""

    def __init__(self, inputs: int, outputs: int, length: int, kind: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, length, padding=length // 2)
        self.bn = norm_layer(kind, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, bands, time)`` to ``(batch, outputs, time)``."""
        return torch.relu(self.bn(self.conv(x.mean(2))))


class Step(nn.Module):
    """Convolution of 7 frames, norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kind: Norm) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 7, padding=3)
        self.bn = norm_layer(kind, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, time)`` to ``(batch, outputs, time)``."""
        return torch.relu(self.bn(self.conv(x)))


class MusiCNN(Spectral):
    """Timbral and temporal filters, three convolutions of their outputs, maximum and mean over time, a dense layer.

    With the default settings, those of MagnaTagATune, there are 774,250 parameters and 10,050 of the classifier; with
    ``backend`` 512 and ``dim`` 500, those for the Million Song Dataset.

    Args:
        frontend: a preset's name, or settings; None for Won's, 96 bands at 16 kHz, with frames of 16 ms.
        timbral: filters of each of the two heights, 0.7 and 0.4 of the bands.
        temporal: filters of each of the three lengths, 129, 65 and 33 frames.
        backend: channels of the three convolutions.
        dim: of the output.
        dropout: of the output.
        norm: batch norm, or group norm, with which no clip sees another one of its batch.
    """

    published: ClassVar[str | dict[str, Any]] = {
        "sample_rate": 16_000, "n_fft": 512, "hop": 256, "bands": 96, "f_min": 0.0, "mel_scale": "htk"
    }  # fmt: skip

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        timbral: Count = 204,
        temporal: Count = 51,
        backend: Count = 64,
        dim: Count = 200,
        dropout: Share = 0.5,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(frontend, dim)
        self.spec_bn = input_norm(norm, self.channels)
        heights = [max(1, int(share * self.bands)) for share in (0.7, 0.4)]
        tall = [Timbral(self.channels, timbral, height, norm) for height in heights]
        long = [Temporal(self.channels, temporal, length, norm) for length in (129, 65, 33)]
        self.layers = nn.ModuleList([*tall, *long])
        filters = 2 * timbral + 3 * temporal
        self.layer1 = Step(filters, backend, norm)
        self.layer2 = Step(backend, backend, norm)
        self.layer3 = Step(backend, backend, norm)
        self.dense1 = nn.Linear(2 * (filters + 3 * backend), dim)
        self.bn = norm_layer(norm, dim, 1)
        self.dropout = nn.Dropout(dropout)

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, frames, dim)``.

        Each frame goes through the dense layer as if it were the clip: its own maximum and its own mean. The norm after
        it is left out, whose statistics are those of clips.
        """
        maps = self._maps(features)
        steps: Tensor = self.dense1(torch.cat([maps, maps], dim=2))
        return steps

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count."""
        maps, lengths = self._maps(features, lengths), whole(features, lengths)
        pooled = torch.cat([maximum(maps, lengths), mean(maps, lengths)], dim=1)
        found: Tensor = self.dropout(torch.relu(self.bn(self.dense1(pooled))))
        return found

    def _maps(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        images = self.spec_bn(self.images(features, lengths))
        filters = torch.cat([layer(images) for layer in self.layers], dim=1)
        first = self.layer1(filters)
        second = self.layer2(first) + first
        third = self.layer3(second) + second
        return torch.cat([filters, first, second, third], dim=1).transpose(1, 2)

    @staticmethod
    def foreign(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Won's weights by our names, for 96 bands; the classifier ``dense2`` and the front end are left."""
        kept = {name: value for name, value in state.items() if not name.startswith(("dense2.", "spec."))}
        return rescaled(kept, bands=96)
