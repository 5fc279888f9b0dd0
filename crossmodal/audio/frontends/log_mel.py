"""Log-mel features."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from crossmodal.audio.frontends._framing import Framed, decibels
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
        bins = torch.nonzero(filters.sum(1)).flatten().tolist() or [0]  # bands that are all silent have none
        self.low, self.high = bins[0], bins[-1] + 1
        self.register_buffer("filters", filters[self.low : self.high].contiguous(), persistent=False)


class LogMel(Framed):
    """Mel power spectrogram in dB, without any reference to the file's own level.

    A frame is centred on every ``hop``-th sample, with zeros beyond the ends, so ``samples`` give
    ``1 + samples // hop`` frames. With ``mel_scale`` and ``norm`` "slaney", the power below the logarithm is that of
    ``librosa.feature.melspectrogram``, but for bands ``range_db`` below their frame's loudest: there float32 transforms
    hear their own rounding, which differs from library to library and from processor to processor.

    Args:
        sample_rate: Hz.
        n_fft: points of the Fourier transform, even.
        hop: samples from one frame to the next.
        bands: number of mel bands.
        f_min: lowest frequency in Hz.
        f_max: highest frequency in Hz; half the sample rate if None, and at most that without ``silent_bands``.
        mel_scale: formula of the mel scale.
        norm: "slaney" gives every filter the same area, None the same height.
        floor_db: what lies below, digital silence included, becomes this value; in dB of power.
        range_db: what lies this far below the loudest band of its frame, or farther, becomes what lies this far below;
            16 bits hold less.
        channels: 1 for the mean of a file's channels, 2 for left and right.
        window: samples of the Hann window, even, which zeros fill up to ``n_fft``; ``n_fft`` if None. Where bands are
            narrower than the bins of a short window, the zeros put a bin into each, between those of the window.
        silent_bands: let bands lie above half the sample rate, where nothing ever sounds: some published networks were
            trained on such.

    Raises:
        InputError: a setting is impossible: ``f_max`` above half the sample rate, or a band without a bin, unless they
            are asked for.
    """

    hann: Tensor
    least: Tensor  # (bands,), of the loudest band of a frame; silent ones have none

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
        range_db: float = 120.0,
        channels: Literal[1, 2] = 1,
        window: int | None = None,
        silent_bands: bool = False,
    ) -> None:
        settings: dict[str, Any] = {
            "sample_rate": sample_rate,
            "n_fft": n_fft,
            "hop": hop,
            "bands": bands,
            "f_min": float(f_min),
            "f_max": sample_rate / 2 if f_max is None else float(f_max),
            "mel_scale": mel_scale,
            "norm": norm,
            "floor_db": float(floor_db),
            "range_db": float(range_db),
            "channels": channels,
            "window": n_fft if window is None else window,
            **({"silent_bands": True} if silent_bands else {}),  # so that all others keep their fingerprint
        }
        super().__init__(sample_rate, channels, settings, hop, settings["window"], bands, FRAMES)
        self.n_fft, self.floor_db, self.silent_bands = n_fft, floor_db, silent_bands
        self._check(settings["f_min"], settings["f_max"])
        self.register_buffer("hann", torch.hann_window(self.span), persistent=False)
        filters = self._filters()
        self.register_buffer("least", 10 ** (-range_db / 10) * (filters.sum(0) > 0), persistent=False)
        self.centres = self._centres(filters)
        self.groups = nn.ModuleList(_Bands(group) for group in torch.split(filters, GROUP, dim=1))
        self.silence = float(decibels(torch.zeros(1), floor_db))

    def _check(self, f_min: float, f_max: float) -> None:
        highest = self.sample_rate / 2
        if not (0 <= f_min < f_max and f_min < highest and (f_max <= highest or self.silent_bands)):
            raise InputError(
                f"f_min is {f_min:g} Hz and f_max {f_max:g} Hz; at a sample rate of {self.sample_rate} Hz they are"
                f" 0 <= f_min < f_max <= {highest:g}; with silent_bands f_max may be above"
            )
        if self.n_fft < 2 or self.n_fft % 2:
            raise InputError(f"n_fft is {self.n_fft}; it is even, and at least 2")
        if self.span % 2 or not 2 <= self.span <= self.n_fft:
            raise InputError(f"window is {self.span}; it is even, and from 2 to n_fft, {self.n_fft}")
        if not 1 <= self.hop <= self.span:
            raise InputError(f"hop is {self.hop}; it is from 1 to the window, {self.span}")
        if self.bands < 1:
            raise InputError(f"bands is {self.bands}; it is at least 1")
        if (range_db := self.settings["range_db"]) <= 0:
            raise InputError(f"range_db is {range_db:g}; it is above 0")

    def _filters(self) -> Tensor:
        """``(bins, bands)``."""
        told = self.settings
        scale = told["f_min"], told["f_max"], self.bands, self.sample_rate, told["norm"], told["mel_scale"]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "At least one mel filterbank")  # the next lines refuse it
            filters: Tensor = melscale_fbanks(self.n_fft // 2 + 1, *scale)
        heard = torch.nonzero(filters.sum(0)).flatten().tolist()
        highest = max(heard, default=self.bands) if self.silent_bands else self.bands
        empty = sorted(set(range(highest)) - set(heard))
        if empty:
            raise InputError(
                f"mel bands {listed(empty, 5)} of {self.bands} hold no bin;"
                f" take a larger n_fft than {self.n_fft}, or fewer"
            )
        return filters

    def _centres(self, filters: Tensor) -> tuple[float, ...]:
        """The centre of gravity of each filter in Hz; half the sample rate for those that are silent."""
        bins = torch.linspace(0, self.sample_rate / 2, len(filters)).unsqueeze(1)
        weight = filters.sum(0)
        return tuple(torch.where(weight > 0, (filters * bins).sum(0) / weight, self.sample_rate / 2).tolist())

    def features(self, padded: Tensor) -> Tensor:
        """Samples ``(..., samples)`` to ``(..., frames, bands)``: the frames that lie wholly within."""
        spectrum = torch.fft.rfft(padded.unfold(-1, self.span, self.hop) * self.hann, self.n_fft)
        squares = torch.view_as_real(spectrum).square_()
        power = (squares[..., 0] + squares[..., 1]).flatten(0, -2)  # one matrix: (frames of all, bins)
        groups = cast("Iterable[_Bands]", self.groups)
        mel = torch.cat([power[:, group.low : group.high] @ group.filters for group in groups], dim=-1)
        mel = torch.maximum(mel, mel.amax(dim=-1, keepdim=True) * self.least)
        return decibels(mel, self.floor_db).view(*squares.shape[:-2], self.bands)
