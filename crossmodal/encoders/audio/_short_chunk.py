"""What the short-chunk CNNs share: seven blocks that halve time and bands, global maximum, and one dense layer."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Norm, input_norm, maximum, norm_layer
from crossmodal.encoders.audio._spectral import Spectral, rescaled, whole
from crossmodal.settings import Count, Share

BLOCKS = 7


class ShortChunk(Spectral):
    """Won et al., "Evaluation of CNN-based automatic music tagging models", SMC 2020, without the classifier.

    Args:
        frontend: a preset's name, or settings; None for Won's, 128 bands at 16 kHz, with frames of 16 ms.
        channels: of the first two blocks; the next four have twice, the last, and ``dim``, four times as many.
        dropout: of the output.
        norm: batch norm, or group norm, with which no clip sees another one of its batch.
    """

    published: ClassVar[str | dict[str, Any]] = "clmr_tf"

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        channels: Count = 128,
        dropout: Share = 0.5,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(frontend, 4 * channels)
        self.spec_bn = input_norm(norm, self.channels)
        widths = [channels] * 2 + [2 * channels] * 4 + [4 * channels]
        for number, block in enumerate(self.blocks([self.channels, *widths], norm), 1):
            self.add_module(f"layer{number}", block.to(memory_format=torch.channels_last))
        self.dense1 = nn.Linear(self.dim, self.dim)
        self.bn = norm_layer(norm, self.dim, 1)
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def blocks(self, widths: list[int], kind: Norm) -> list[nn.Module]:
        """The seven blocks, from each of ``widths`` to the next."""

    @abstractmethod
    def steps(self, lengths: Tensor) -> Tensor:
        """The steps that so many frames become."""

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``, one step for every 128 frames."""
        return self._maps(features)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count.

        Clips of less than 128 frames are padded with silence.
        """
        pooled = maximum(self._maps(features, lengths), self.steps(whole(features, lengths)))
        found: Tensor = self.dropout(torch.relu(self.bn(self.dense1(pooled))))
        return found

    def _maps(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        maps = self.spec_bn(self.images(features, lengths, 2**BLOCKS))
        for number in range(1, BLOCKS + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
        return maps.amax(2).transpose(1, 2)  # type: ignore[no-any-return]

    @staticmethod
    def foreign(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Won's weights by our names, for 128 bands; the classifier ``dense2`` and the front end are left.

        The front end ``clmr_tf`` has twice as many bins in a band, and so 3 dB more than theirs.
        """
        kept = {name: value for name, value in state.items() if not name.startswith(("dense2.", "fc.", "spec."))}
        return rescaled(kept, bands=128, mean=10 * math.log10(2))
