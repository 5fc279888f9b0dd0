"""What front ends of centred frames have in common: frames of whole signals, and of signals that come in blocks."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from crossmodal.errors import InputError
from crossmodal.types import FrontEnd

FLOOR_DB = 0.1  # above silence, which 16 bits round


class Base(nn.Module, FrontEnd):
    """Identity of a front end, and the order of its axes.

    Args:
        sample_rate: Hz.
        channels: of the samples.
        settings: all of the constructor's arguments, as they are used.
    """

    def __init__(self, sample_rate: int, channels: Literal[1, 2], settings: dict[str, Any]) -> None:
        super().__init__()
        if sample_rate < 1:
            raise InputError(f"sample_rate is {sample_rate}; it is at least 1 Hz")
        if channels not in (1, 2):
            raise InputError(f"channels is {channels}; it is 1 or 2")
        self.sample_rate, self.channels, self.settings = sample_rate, channels, settings

    @property
    def fingerprint(self) -> str:
        """A hash of the class and its settings: features of equal fingerprints can be mixed."""
        told = json.dumps([type(self).__name__, self.settings], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def check(self, shape: Sequence[int]) -> None:
        """Raise `InputError` unless samples of this shape have as many channels as the front end takes."""
        if len(shape) < 2 or shape[-2] != self.channels:
            raise InputError(f"samples are (..., {self.channels}, samples), not {tuple(shape)}")


class Framed(Base):
    """A front end whose frames are centred on every ``hop``-th sample, with zeros beyond the ends.

    So ``samples`` give ``1 + samples // hop`` frames.

    Args:
        sample_rate: Hz.
        channels: of the samples.
        settings: all of the constructor's arguments, as they are used.
        hop: samples from one frame to the next.
        span: samples that a frame is made of, even.
        bands: numbers of a frame and channel.
        at_once: frames of a file that are made at a time.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: Literal[1, 2],
        settings: dict[str, Any],
        hop: int,
        span: int,
        bands: int,
        at_once: int,
    ) -> None:
        super().__init__(sample_rate, channels, settings)
        self.hop, self.span, self.bands, self.at_once = hop, span, bands, at_once

    @abstractmethod
    def features(self, padded: Tensor) -> Tensor:
        """Samples ``(..., samples)`` to ``(..., frames, bands)``: the frames that lie wholly within."""

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one frame: ``(bands,)``, or ``(2, bands)`` for two channels."""
        return (self.bands,) if self.channels == 1 else (self.channels, self.bands)

    def frames(self, samples: int) -> int:
        """The number of frames that so many samples give."""
        return 1 + samples // self.hop

    def hops(self, frames: int) -> int:
        """The whole steps from frame to frame: one less than the frames, the first and last of which are centred."""
        return frames - 1

    def power(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The power of frames, ``(frames,)``: the sum of their bands', in decibels; nothing is in one at the floor."""
        decibels = features.reshape(len(features), -1).astype(np.float64)
        return np.asarray(np.where(decibels > self.silence + FLOOR_DB, 10 ** (decibels / 10), 0).sum(axis=1))

    def forward(self, samples: Tensor) -> Tensor:
        """Samples ``(..., channels, samples)`` in [-1, 1] to features ``(..., frames, *shape)``, float32."""
        self.check(samples.shape)
        return self._ordered(F.pad(samples.float(), (self.span // 2, self.span // 2)))

    @torch.inference_mode()
    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Blocks ``(channels, samples)`` of one file to blocks ``(frames, *shape)`` that join to those of the file."""
        half, held = self.span // 2, None
        for block in blocks:
            self.check(block.shape)
            held = np.zeros((len(block), half), np.float32) if held is None else held
            held = np.concatenate([held, block], axis=1)
            yield from self._arrays(held)
            held = held[:, self._whole(held) * self.hop :]
        if held is not None:
            yield from self._arrays(np.pad(held, ((0, 0), (0, half))))

    def _whole(self, padded: NDArray[np.float32]) -> int:
        return max(0, 1 + (int(padded.shape[1]) - self.span) // self.hop)

    def _arrays(self, padded: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The frames that lie wholly within, a few at a time."""
        whole = self._whole(padded)
        samples = torch.from_numpy(padded).to(next(self.buffers()).device)
        for start in range(0, whole, self.at_once):
            last = min(start + self.at_once, whole) - 1
            yield self._ordered(samples[:, start * self.hop : last * self.hop + self.span]).cpu().numpy()

    def _ordered(self, padded: Tensor) -> Tensor:
        """``(..., channels, samples)`` to ``(..., frames, *shape)``."""
        with torch.autocast(padded.device.type, enabled=False):  # bf16 would round the quiet bands away
            found = self.features(padded)
        return found.squeeze(-3) if self.channels == 1 else found.transpose(-3, -2)


def decibels(power: Tensor, floor_db: float) -> Tensor:
    """Power in dB, in place; what lies below the floor becomes the floor."""
    return power.clamp_(min=10 ** (floor_db / 10)).log10_().mul_(10)
