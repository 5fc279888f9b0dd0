"""Augmentations of features ``(batch, frames, *shape)``, batched: decibels of power, with the bands as the last axis.

Every item of a batch draws its own parameters, its channels share them. Shape and type stay. ``silence`` is the front
end's value for digital silence: masks fill with it (zero, in decibels, would be a loud sound), and nothing falls below
it. What follows an item's ``lengths`` is padding, which the chain silences after each function.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from crossmodal.audio.augment._draws import beside, changes, positions, uniform, valid
from crossmodal.settings import Amount, Count, Range, Share

NEPER = 10 / math.log(10)  # decibels of power in one of its natural logarithm


@changes()
def time_mask(
    features: Tensor, generator: torch.Generator, silence: float, lengths: Tensor | None = None, frames: Count = 100
) -> Tensor:
    """Silence a stretch of 0 to ``frames`` frames anywhere in the clip, or of at most the whole clip.

    Park et al., "SpecAugment", Interspeech 2019, section 2. The level of what is left stays.
    """
    whole = valid(features, features.shape[1], lengths)
    masked = _stretch(features, whole.clamp(max=frames), whole, features.shape[1], generator)
    return features.masked_fill(masked.view(*masked.shape, *[1] * (features.ndim - 2)), silence)


@changes("timbre")
def frequency_mask(features: Tensor, generator: torch.Generator, silence: float, bands: Count = 27) -> Tensor:
    """Silence 0 to ``bands`` neighbouring bands, or at most all of them; as `time_mask`."""
    whole = torch.full((len(features),), features.shape[-1], device=features.device)
    masked = _stretch(features, whole.clamp(max=bands), whole, features.shape[-1], generator)
    return features.masked_fill(masked.view(len(features), *[1] * (features.ndim - 2), -1), silence)


@changes("timbre", "level")
def mixup(
    features: Tensor,
    generator: torch.Generator,
    silence: float,
    rows: Tensor | None = None,
    ratio: Share = 0.4,
) -> Tensor:
    """Mix another item of the batch into each as background, in power: log((1 - r) exp(x) + r exp(background)).

    BYOL-A's log-mixup-exp (Niizumi et al., "BYOL for Audio", IJCNN 2021), with r from 0 to ``ratio``, theirs being 0.4.
    The background is another track of the batch, where theirs comes from a queue of past ones; without another it is
    the item itself, which changes nothing. A background has a pitch of its own, but leaves the foreground's: it counts
    as timbre.

    Args:
        features: the whole batch.
        generator: of what is drawn.
        silence: of the front end.
        rows: of the batch, those to be mixed and returned; all if None.
        ratio: largest share of the background.
    """
    rows = positions(features, len(features)) if rows is None else rows
    front = features[rows]
    steps = 1 + uniform(front, 0.0, max(1.0, len(features) - 1.0), generator).long()
    back = features[(rows + steps) % len(features)]
    share = beside(ratio * uniform(front, 0.0, 1.0, generator), front)
    mixed = torch.logaddexp(front / NEPER + (-share).log1p(), back / NEPER + share.log())
    return (NEPER * mixed).clamp(min=silence)


@changes("pitch", "tempo", "timbre")
def random_resized_crop(
    features: Tensor,
    generator: torch.Generator,
    silence: float,
    lengths: Tensor | None = None,
    low_frequency: Amount = 0.6,
    high_frequency: Amount = 1.5,
    low_time: Amount = 0.6,
    high_time: Amount = 1.5,
    canvas: Annotated[float, Range(1)] = 1.5,
) -> Tensor:
    """Cut a rectangle of time and frequency and stretch it, bicubically, to the clip's size.

    BYOL-A's random resize crop (Niizumi et al., IJCNN 2021): the clip lies in the middle of a silent canvas,
    ``canvas`` times as long and just as high, and the rectangle anywhere on it. The rectangle's sides are random shares
    of the clip's, cut to the canvas: with BYOL-A's, the default, more than half of all clips keep all their bands.
    """
    image = features.flatten(2, -2) if features.ndim > 3 else features[:, :, None]
    image = image.transpose(1, 2) - silence  # (batch, channels, frames, bands); 0 is silence, as beyond the edges
    frames, bands = image.shape[2:]
    whole = valid(features, frames, lengths)
    time = _cut(features, whole, frames, low_time, high_time, canvas, generator)
    band = _cut(features, torch.full_like(whole, bands), bands, low_frequency, high_frequency, 1.0, generator)
    grid = torch.stack([band[:, None, :].expand(-1, frames, -1), time[:, :, None].expand(-1, -1, bands)], dim=-1)
    found = F.grid_sample(image, grid.to(image.dtype), mode="bicubic", padding_mode="zeros", align_corners=True)
    return found.transpose(1, 2).reshape(features.shape).clamp(min=0) + silence


@changes("timbre", "level")
def eq(
    features: Tensor,
    generator: torch.Generator,
    silence: float,
    low_db: float = -6.0,
    high_db: float = 6.0,
    points: Count = 4,
) -> Tensor:
    """Add a random smooth curve over the bands: gains drawn at ``points`` evenly spaced bands, and lines in between.

    One point changes the level alone, two tilt the spectrum. What is silent stays so.
    """
    gains = uniform(features, low_db, high_db, generator, 1, points)
    curve = F.interpolate(gains, features.shape[-1], mode="linear", align_corners=True)
    changed = features + curve.to(features.dtype).view(len(features), *[1] * (features.ndim - 2), -1)
    return torch.where(features <= silence, features, changed.clamp(min=silence))


def _stretch(batch: Tensor, longest: Tensor, whole: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A stretch of up to ``longest`` anywhere in the first ``whole``, for each item: ``(batch, size)`` bool."""
    width = (uniform(batch, 0.0, 1.0, generator) * (longest + 1)).long().clamp(max=longest)
    first = (uniform(batch, 0.0, 1.0, generator) * (whole - width + 1)).long()
    places = positions(batch, size)
    return (places >= first[:, None]) & (places < (first + width)[:, None])


def _cut(
    batch: Tensor, whole: Tensor, size: int, low: float, high: float, canvas: float, generator: torch.Generator
) -> Tensor:
    """Where each of ``size`` places of the result is read, -1 the clip's first, 1 its last: ``(batch, size)``."""
    room = whole * canvas
    width = (whole * uniform(batch, low, high, generator)).clamp(min=1).minimum(room)
    first = uniform(batch, 0.0, 1.0, generator) * (room - width) - (room - whole) / 2
    share = positions(batch, size) / (whole - 1).clamp(min=1)[:, None]
    return (first[:, None] + share * (width - 1)[:, None]) * (2 / max(1, size - 1)) - 1
