"""Samples to log-mel features, in one code path for files, blocks of files, and batches on the device."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from crossmodal.errors import InputError, listed

FRAMES = 256  # of a file at a time: what a step makes is in the cache at the next, in memory that malloc keeps
GROUP = 16  # bands that are multiplied at once


class _Bands(nn.Module):
    """Neighbouring bands: their filters, and the stretch of bins, ``low`` to ``high``, beyond which these are zero.

    Multiplying group by group does an eighth of the work of the whole matrix ``(bins, bands)``, almost all of it zero.
    """

    filters: Tensor

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        bins = torch.nonzero(filters.sum(1)).flatten().tolist()
        self.low, self.high = bins[0], bins[-1] + 1
        self.register_buffer("filters", filters[self.low : self.high].contiguous(), persistent=False)


class LogMel(nn.Module):
    """Mel power spectrogram in dB, without any reference to the file's own level.

    A frame is centred on every ``hop``-th sample, with zeros beyond the ends, so ``samples`` give
    ``1 + samples // hop`` frames. With ``mel_scale`` and ``norm`` "slaney", the power below the logarithm is that of
    ``librosa.feature.melspectrogram``.

    Args:
        sample_rate: Hz.
        n_fft: samples of the Hann window, even.
        hop: samples from one frame to the next.
        bands: number of mel bands.
        f_min: lowest frequency in Hz.
        f_max: highest frequency in Hz; half the sample rate if None.
        mel_scale: formula of the mel scale.
        norm: "slaney" gives every filter the same area, None the same height.
        floor_db: what lies below, digital silence included, becomes this value; in dB of power.

    Raises:
        InputError: a setting is impossible: ``f_max`` above half the sample rate, or a band without a bin.
    """

    window: Tensor

    def __init__(
        self,
        sample_rate: int = 16_000,
        n_fft: int = 1024,
        hop: int = 256,
        bands: int = 64,
        f_min: float = 20.0,
        f_max: float | None = None,
        mel_scale: Literal["htk", "slaney"] = "slaney",
        norm: Literal["slaney"] | None = None,
        floor_db: float = -100.0,
    ) -> None:
        super().__init__()
        self.sample_rate, self.n_fft, self.hop, self.bands = sample_rate, n_fft, hop, bands
        self.floor_db = floor_db
        f_max = sample_rate / 2 if f_max is None else float(f_max)
        self._check(float(f_min), f_max)
        self.settings: dict[str, Any] = {
            "sample_rate": sample_rate,
            "n_fft": n_fft,
            "hop": hop,
            "bands": bands,
            "f_min": float(f_min),
            "f_max": f_max,
            "mel_scale": mel_scale,
            "norm": norm,
            "floor_db": float(floor_db),
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "At least one mel filterbank")  # the next lines refuse it
            filters = melscale_fbanks(n_fft // 2 + 1, f_min, f_max, bands, sample_rate, norm, mel_scale)
        if (empty := torch.nonzero(filters.sum(0) == 0).flatten()).numel():
            numbers = listed(empty.tolist(), 5)
            raise InputError(f"mel bands {numbers} of {bands} hold no bin; take a larger n_fft than {n_fft}, or fewer")
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.groups = nn.ModuleList(_Bands(group) for group in filters.split(GROUP, dim=1))
        self.silence = float(self._decibels(torch.zeros(1)))

    def _check(self, f_min: float, f_max: float) -> None:
        if not 0 <= f_min < f_max <= self.sample_rate / 2:
            raise InputError(
                f"f_min is {f_min:g} Hz and f_max {f_max:g} Hz; at a sample rate of {self.sample_rate} Hz they are"
                f" 0 <= f_min < f_max <= {self.sample_rate / 2:g}"
            )
        if self.n_fft < 2 or self.n_fft % 2 or not 1 <= self.hop <= self.n_fft:
            raise InputError(f"n_fft is {self.n_fft} and hop {self.hop}; n_fft is even, and hop from 1 to n_fft")
        if self.bands < 1:
            raise InputError(f"bands is {self.bands}; it is at least 1")

    @property
    def fingerprint(self) -> str:
        """A hash of the class and its settings: features of equal fingerprints can be mixed."""
        told = json.dumps([type(self).__name__, self.settings], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one frame."""
        return (self.bands,)

    def frames(self, samples: int) -> int:
        """The number of frames that so many samples give."""
        return 1 + samples // self.hop

    def forward(self, samples: Tensor) -> Tensor:
        """Samples ``(..., samples)`` in [-1, 1] to decibels ``(..., frames, bands)``, float32."""
        return self._framed(F.pad(samples.float(), (self.n_fft // 2, self.n_fft // 2)))

    @torch.inference_mode()
    def stream(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Blocks ``(channels, samples)`` of one file to blocks of its features, which join to those of the whole file.

        They are ``(frames, bands)`` for one channel, ``(frames, channels, bands)`` for more.
        """
        half, held = self.n_fft // 2, None
        for block in blocks:
            held = np.zeros((len(block), half), np.float32) if held is None else held
            held = np.concatenate([held, block], axis=1)
            yield from self._arrays(held)
            held = held[:, self._whole(held) * self.hop :]
        if held is not None:
            yield from self._arrays(np.pad(held, ((0, 0), (0, half))))

    def _whole(self, padded: NDArray[np.float32]) -> int:
        return max(0, 1 + (int(padded.shape[1]) - self.n_fft) // self.hop)

    def _arrays(self, padded: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The frames that lie wholly within, a few at a time."""
        whole = self._whole(padded)
        samples = torch.from_numpy(padded).to(self.window.device)
        for start in range(0, whole, FRAMES):
            last = min(start + FRAMES, whole) - 1
            found = self._framed(samples[:, start * self.hop : last * self.hop + self.n_fft])
            yield (found[0] if len(found) == 1 else found.transpose(0, 1)).cpu().numpy()

    def _framed(self, padded: Tensor) -> Tensor:
        with torch.autocast(padded.device.type, enabled=False):  # bf16 would round the quiet bands away
            spectrum = torch.fft.rfft(padded.unfold(-1, self.n_fft, self.hop) * self.window)
            squares = torch.view_as_real(spectrum).square_()
            power = (squares[..., 0] + squares[..., 1]).flatten(0, -2)  # one matrix: (frames of all, bins)
            groups = cast("Iterable[_Bands]", self.groups)
            mel = torch.cat([power[:, group.low : group.high] @ group.filters for group in groups], dim=-1)
            return self._decibels(mel).view(*squares.shape[:-2], self.bands)

    def _decibels(self, power: Tensor) -> Tensor:
        return power.clamp_(min=10 ** (self.floor_db / 10)).log10_().mul_(10)
