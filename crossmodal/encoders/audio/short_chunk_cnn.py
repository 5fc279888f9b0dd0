"""The short-chunk CNN of Won et al., SMC 2020: plain blocks."""

from __future__ import annotations

from torch import Tensor, nn

from crossmodal.encoders.audio._layers import Block, Norm, poolings
from crossmodal.encoders.audio._short_chunk import BLOCKS, ShortChunk


class ShortChunkCNN(ShortChunk):
    """Seven blocks of a convolution and max pooling of 2: 3,661,698 parameters, and 25,650 of a Linear(512, 50)."""

    def blocks(self, widths: list[int], kind: Norm) -> list[nn.Module]:
        """The seven blocks, from each of ``widths`` to the next."""
        kernels = poolings(self.bands, [2] * BLOCKS)
        return [Block(a, b, kernel, kind) for a, b, kernel in zip(widths, widths[1:], kernels, strict=False)]

    def steps(self, lengths: Tensor) -> Tensor:
        """The steps that so many frames become: whole ones of 128."""
        steps: Tensor = lengths // 2**BLOCKS
        return steps
