"""Classic descriptors of decibels ``(clips, frames, bands)``, of the first ``lengths (clips,)`` frames of each clip.

What lies behind a clip's length is any finite number and does not count. All gradients are finite, so that they
may stand below a layer that is trained.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from crossmodal.encoders.audio._layers import mean, moments, reached

LOUDEST, QUIETEST = 0.2, 0.2  # shares of a group's bands that are its peak and its valley
ROLLOFF = 0.85  # share of the power that lies below


def steps(x: Tensor) -> Tensor:
    """What changes from frame to frame, ``(clips, frames, bands)``; nothing at the first."""
    return x.diff(dim=1, prepend=x[:, :1])


def deviations(x: Tensor, lengths: Tensor) -> Tensor:
    """The deviation of each band, ``(clips, bands)``."""
    return moments(x, lengths)[:, x.shape[2] :]


def centred(x: Tensor, lengths: Tensor) -> Tensor:
    """Each band less its mean, and zero where nothing counts."""
    return (x - mean(x, lengths).unsqueeze(1)).masked_fill(~reached(x, lengths).unsqueeze(2), 0.0)


def grouped(x: Tensor, groups: int) -> Tensor:
    """The means of about equally many neighbouring bands each, ``(clips, frames, groups)``, or x if it has no more."""
    return x if x.shape[2] <= groups else torch.stack([part.mean(2) for part in x.tensor_split(groups, 2)], 2)


def seven_moments(x: Tensor, lengths: Tensor) -> Tensor:
    """Mean, median, deviation, skewness, kurtosis, minimum and maximum of each band, ``(clips, 7 bands)``."""
    count = lengths.clamp(min=1).unsqueeze(1)
    away = centred(x, lengths)
    variance = away.square().sum(1) / count + 1e-6
    skewness = away.pow(3).sum(1) / count / variance.pow(1.5)
    kurtosis = away.pow(4).sum(1) / count / variance.square()
    ordered = x.masked_fill(~reached(x, lengths).unsqueeze(2), math.inf).sort(1).values

    def place(rows: Tensor) -> Tensor:
        return ordered.gather(1, rows.unsqueeze(2).expand(-1, 1, x.shape[2])).squeeze(1)

    median = (place((count - 1) // 2) + place(count // 2)) / 2
    shape = [median, variance.sqrt(), skewness, kurtosis, place(0 * count), place(count - 1)]
    return torch.cat([mean(x, lengths), *shape], 1)


def modulations(x: Tensor, lengths: Tensor, frame_rate: float, frequencies: Tensor) -> Tensor:
    """How much each band swings at each of some frequencies (Hz): ``(clips, frequencies, bands)``, amplitudes in dB."""
    seconds = torch.arange(x.shape[1], device=x.device) / frame_rate
    angles = 2 * math.pi * frequencies.to(x.device).unsqueeze(1) * seconds
    away, count = centred(x, lengths), lengths.clamp(min=1).view(-1, 1, 1)
    cosine, sine = (wave.to(x.dtype) @ away for wave in (angles.cos(), angles.sin()))
    return (cosine.square() + sine.square() + 1e-6).sqrt() * 2 / count


def spectral_shape(x: Tensor, octaves: Tensor) -> Tensor:
    """Of each frame, ``(clips, frames, 5)``: centroid, spread, roll-off, flatness and level.

    Centroid and spread in octaves, weighed by power; roll-off as the number of bands that hold `ROLLOFF` of the power;
    flatness as mean decibels less the decibels of mean power; the level in decibels.

    Args:
        x: decibels.
        octaves: of each band, ``(bands,)``: the binary logarithm of its frequency.
    """
    power = 10 ** (x / 10)
    total = power.sum(2, keepdim=True)
    share = power / total
    centroid = (share * octaves).sum(2, keepdim=True)
    spread = (share * (octaves - centroid).square()).sum(2, keepdim=True).add(1e-6).sqrt()
    rolloff = (share.cumsum(2) < ROLLOFF).to(x.dtype).sum(2, keepdim=True)
    level = 10 * total.log10()
    flatness = x.mean(2, keepdim=True) - (level - 10 * math.log10(x.shape[2]))
    return torch.cat([centroid, spread, rolloff, flatness, level], 2)


def contrast(x: Tensor, groups: int) -> Tensor:
    """Of each frame and group of bands, its peak above its valley, and the valley: ``(clips, frames, 2 groups)``.

    They are the means of the loudest and the quietest of the group's bands.
    """
    peaks, valleys = [], []
    for part in x.tensor_split(min(groups, x.shape[2]), 2):
        ordered, size = part.sort(2).values, part.shape[2]
        peaks.append(ordered[..., -max(1, round(LOUDEST * size)) :].mean(2))
        valleys.append(ordered[..., : max(1, round(QUIETEST * size))].mean(2))
    return torch.cat([torch.stack(peaks, 2) - torch.stack(valleys, 2), torch.stack(valleys, 2)], 2)


def pitch_classes(centres: Tensor, bins: int) -> Tensor:
    """How much of each band belongs to each of ``bins`` classes of pitch, the first of them A: ``(bands, bins)``.

    A band that lies further than a semitone above the one below, or is the lowest, tells no pitch, and belongs to none.

    Args:
        centres: of the bands in Hz, ``(bands,)``, rising.
        bins: of an octave.
    """
    octaves = torch.log2(centres / 440)
    width = octaves.diff(prepend=torch.tensor([-math.inf]))
    away = (octaves.unsqueeze(1) - torch.arange(bins) / bins + 0.5) % 1 - 0.5
    near = (1 - bins * away.abs()).clamp(min=0)
    found: Tensor = near * (width < 1.01 / 12).unsqueeze(1)
    return found


def cosines(bands: int, count: int) -> Tensor:
    """The first ``count`` vectors of the orthonormal cosine transform (DCT-II), ``(bands, count)``."""
    places = (torch.arange(bands) + 0.5) / bands
    waves: Tensor = torch.cos(math.pi * places.unsqueeze(1) * torch.arange(count)) * (2 / bands) ** 0.5
    waves[:, 0] /= 2**0.5
    return waves
