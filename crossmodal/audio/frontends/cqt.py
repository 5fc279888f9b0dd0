"""Constant-Q features: bands as narrow as their pitch is low, at equal steps of the octave."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from crossmodal.audio.frontends._framing import Framed, decibels
from crossmodal.errors import InputError

REACH = 16  # bins of its own window, either side, that a kernel reaches: beyond, Hann's lobes are below -82 dB
BLOCK = 4  # a block's length, at least, in halves of the longest window: two of these are at its ends and lost
GROUP = 12  # bands whose kernels have as many points as the widest of them


class _Group(nn.Module):
    """The kernels of neighbouring bands in the frequency domain, and where in a block's spectrum they lie.

    A kernel is the transform of a window about 0, moved to the frequency of its band. The window is even, so the
    transform is real.

    Args:
        frequencies: of the bands, as a share of the sample rate.
        halves: samples of their windows on either side of the centre.
        frames: that a block of samples is long.
        hop: samples from frame to frame.
    """

    kernels: Tensor  # (bands, points), float
    places: Tensor  # (bands, points), the numbers of the points in the spectrum

    def __init__(self, frequencies: Tensor, halves: Tensor, frames: int, hop: int) -> None:
        super().__init__()
        block = frames * hop
        widest = 2 * REACH * block / (2 * float(halves.min()) + 1)
        points = math.ceil(widest / frames) * frames
        first = (frequencies * block).round().long() - points // 2
        places = first.unsqueeze(1) + torch.arange(points)
        away = places / block - frequencies.unsqueeze(1)
        within = (places >= 0) & (places <= block // 2)
        kernels = _hann(away, halves.unsqueeze(1)) * within * (2 / hop)
        self.register_buffer("places", places.clamp(0, block // 2), persistent=False)
        self.register_buffer("kernels", kernels.float(), persistent=False)

    def forward(self, spectrum: Tensor, frames: int) -> Tensor:
        """The spectrum ``(..., points)`` of a block to power at each frame of it, ``(..., bands, frames)``."""
        found = spectrum.index_select(-1, self.places.flatten())  # five times as fast as brackets
        product = found.view(*spectrum.shape[:-1], *self.places.shape) * self.kernels
        # sampling at the frame rate adds up what is one of its periods apart
        wrapped = product.view(*product.shape[:-1], -1, frames).sum(-2)
        transform: Tensor = torch.fft.ifft(wrapped)
        return transform.real.square() + transform.imag.square()


def _check(sample_rate: int, hop: int, bins_per_octave: int, f_min: float, octaves: int) -> float:
    """Refuse impossible settings; return a band's frequency as a multiple of its window's resolution."""
    if hop < 1 or octaves < 1 or f_min <= 0:
        raise InputError(
            f"hop is {hop}, octaves {octaves} and f_min {f_min:g} Hz; hop and octaves are at least 1, f_min above 0"
        )
    if bins_per_octave < 12:
        raise InputError(f"bins_per_octave is {bins_per_octave}; it is at least 12")
    q = 1 / (2 ** (1 / bins_per_octave) - 1)
    highest = f_min * 2 ** (octaves - 1 / bins_per_octave)
    if (reach := highest * (1 + 2 / q)) > sample_rate / 2:
        raise InputError(
            f"the highest band, at {highest:.0f} Hz, reaches up to {reach:.0f} Hz; at a sample rate of {sample_rate} Hz"
            f" that is at most {sample_rate / 2:g}: take fewer octaves than {octaves}, or a lower f_min than {f_min:g}"
        )
    return q


def _hann(frequency: Tensor, half: Tensor) -> Tensor:
    """The transform of the Hann window of ``2 half + 1`` samples about 0, scaled to 1 at frequency 0."""
    step = 1 / (2 * half + 2)
    sides = _flat(frequency - step, half) + _flat(frequency + step, half)
    return (_flat(frequency, half) / 2 + sides / 4) / (half + 1)


def _flat(frequency: Tensor, half: Tensor) -> Tensor:
    """The sum of ``exp(-2 pi i n frequency)`` over ``n = -half..half``: Dirichlet's kernel."""
    angle = math.pi * frequency
    return torch.where(angle == 0, 2.0 * half + 1, torch.sin((2 * half + 1) * angle) / torch.sin(angle))


class CQT(Framed):
    """Power of a constant-Q transform in dB: 0 dB is a sine of full scale at a band's own frequency.

    Band ``k`` lies at ``f_k = f_min 2^(k / bins_per_octave)`` and sees a Hann window of ``Q / f_k`` seconds,
    ``Q = 1 / (2^(1 / bins_per_octave) - 1)``, about the centre of the frame: with ``h = floor(Q sample_rate / 2 f_k)``,

        X_k(t) = 2 / sum(w_k) sum_{n = -h..h} w_k(n) x(t + n) exp(-2 pi i n f_k / sample_rate),
        w_k(n) = 1/2 + 1/2 cos(pi n / (h + 1))

    (Brown, "Calculation of a constant Q spectral transform", JASA 1991, equation 5). It is computed in the frequency
    domain, where a kernel is a narrow band (Brown and Puckette, "An efficient algorithm for the calculation of a
    constant Q transform", JASA 1992); here for all frames of a block at once: kernels times spectrum of the block, an
    inverse transform of each product, and only as many points of it as there are frames, that is, with the product
    wrapped round at the frame rate.

    Args:
        sample_rate: Hz.
        hop: samples from one frame to the next.
        bins_per_octave: bands of an octave, at least 12; 60 are five in a semitone.
        f_min: frequency of the lowest band in Hz.
        octaves: how many octaves of bands.
        floor_db: what lies below, digital silence included, becomes this value.
        channels: 1 for the mean of a file's channels, 2 for left and right.

    Raises:
        InputError: a setting is impossible, such as a band above half the sample rate.
    """

    def __init__(
        self,
        sample_rate: int = 16_000,
        hop: int = 512,
        bins_per_octave: int = 60,
        f_min: float = 55.0,
        octaves: int = 7,
        floor_db: float = -80.0,
        channels: Literal[1, 2] = 1,
    ) -> None:
        settings: dict[str, Any] = {
            "sample_rate": sample_rate,
            "hop": hop,
            "bins_per_octave": bins_per_octave,
            "f_min": float(f_min),
            "octaves": octaves,
            "floor_db": float(floor_db),
            "channels": channels,
        }
        q = _check(sample_rate, hop, bins_per_octave, f_min, octaves)
        steps = torch.arange(bins_per_octave * octaves, dtype=torch.float64) / bins_per_octave
        frequencies = f_min / sample_rate * 2**steps
        halves = (q / frequencies / 2).long()
        # in frames: what either end of a block is short of, and a block
        lost = math.ceil((int(halves[0]) + 1) / hop)
        block = 2 ** math.ceil(math.log2(BLOCK * lost))
        super().__init__(sample_rate, channels, settings, hop, 2 * lost * hop, len(steps), block - 2 * lost + 1)
        parts = zip(torch.split(frequencies, GROUP), torch.split(halves, GROUP), strict=True)
        self.groups = nn.ModuleList(_Group(*part, block, hop) for part in parts)
        self.lost, self.block = lost, block
        self.centres = tuple((frequencies * sample_rate).tolist())
        self.floor_db = floor_db
        self.silence = float(decibels(torch.zeros(1), floor_db))

    def features(self, padded: Tensor) -> Tensor:
        """Samples ``(..., samples)`` to ``(..., frames, bands)``: the frames that lie wholly within."""
        whole = 1 + (padded.shape[-1] - self.span) // self.hop
        starts = range(0, whole, self.at_once)
        return torch.cat([self._block(padded, start, min(self.at_once, whole - start)) for start in starts], dim=-2)

    def _block(self, padded: Tensor, start: int, frames: int) -> Tensor:
        """So many frames from the frame ``start`` on; fewer samples than a block's are followed by zeros."""
        first, size = start * self.hop, self.block * self.hop
        spectrum = torch.fft.rfft(padded[..., first : first + size], size)
        groups = cast("Iterable[_Group]", self.groups)
        power = torch.cat([group(spectrum, self.block) for group in groups], dim=-2)
        return decibels(power[..., self.lost : self.lost + frames].transpose(-2, -1).contiguous(), self.floor_db)
