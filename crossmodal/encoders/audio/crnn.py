"""The convolutional recurrent network of Choi et al., ICASSP 2017, as Won et al., SMC 2020, train it.

Schindler et al., "Unsupervised Cross-Modal Audio Representation Learning from Unstructured Multilingual Text" (SAC
2020), say CRNN; which layers theirs has is not known here, and this is the network that the field means by the name.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Block, Norm, input_norm, poolings
from crossmodal.encoders.audio._spectral import Spectral, rescaled, whole
from crossmodal.settings import Count, Share

POOLING = (2, 3, 4, 4)  # of time and of bands


class CRNN(Spectral):
    """Four convolutions that pool 96 frames and 96 bands to one step, and a GRU of two layers whose last state counts.

    It was made for clips of 29 s: one of 4 s has two or three steps. Choi's own has ELU where Won's has ReLU, which is
    taken here, since its weights are public: 392,450 parameters, and 1,650 of the classifier.

    Args:
        frontend: a preset's name, or settings; None for Won's, 96 bands at 16 kHz, with frames of 16 ms.
        channels: of each convolution.
        dim: of the output, the state of the GRU.
        dropout: of the output.
        norm: batch norm, or group norm, with which no clip sees another one of its batch.
    """

    published: ClassVar[str | dict[str, Any]] = {
        "sample_rate": 16_000, "n_fft": 512, "hop": 256, "bands": 96, "f_min": 0.0, "mel_scale": "htk"
    }  # fmt: skip

    def __init__(
        self,
        frontend: str | dict[str, Any] | None = None,
        channels: tuple[Count, Count, Count, Count] = (64, 128, 128, 128),
        dim: Count = 32,
        dropout: Share = 0.5,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(frontend, dim)
        self.spec_bn = input_norm(norm, self.channels)
        layers = zip([self.channels, *channels], channels, poolings(self.bands, POOLING), strict=False)
        for number, (inputs, outputs, kernel) in enumerate(layers, 1):
            block = Block(inputs, outputs, kernel, norm)
            self.add_module(f"layer{number}", block.to(memory_format=torch.channels_last))
        self.layer5 = nn.GRU(channels[-1], dim, 2, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``, one state of the GRU for every 96 frames."""
        return self._states(features)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count.

        Clips of less than 96 frames are padded with silence.
        """
        last = (whole(features, lengths) // 96).clamp(min=1) - 1
        states = self._states(features, lengths)
        found: Tensor = self.dropout(states[torch.arange(states.shape[0], device=states.device), last])
        return found

    def _states(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        maps = self.spec_bn(self.images(features, lengths, 96))
        for number in range(1, len(POOLING) + 1):
            maps = self.get_submodule(f"layer{number}")(maps)
        states: Tensor = self.layer5(maps.amax(2).transpose(1, 2))[0]
        return states

    @staticmethod
    def foreign(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Won's weights by our names, for 96 bands; the classifier ``dense`` and the front end are left."""
        kept = {name: value for name, value in state.items() if not name.startswith(("dense.", "spec."))}
        return rescaled(kept, bands=96)
