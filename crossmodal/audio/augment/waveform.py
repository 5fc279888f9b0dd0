"""Augmentations of waveforms ``(batch, channels, samples)``, batched: the nine of CLMR, one function each.

Spijkervet and Burgoyne, "Contrastive Learning of Musical Representations", ISMIR 2021, section 3; where their code
differs from the paper, `crossmodal.audio.augment.chain` names both as presets. Defaults here are those of the code.

Every item of a batch draws its own parameters, its channels share them. Shape and type stay, silence makes no NaN, a
clip may be a single sample. Nothing is clipped to [-1, 1]. What follows an item's ``lengths`` is padding: it is never
moved into the music, and the chain silences it after each function. ``generator`` may be of the CPU for data elsewhere.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from crossmodal.audio.augment._draws import beside, changes, normal, positions, uniform, valid
from crossmodal.audio.augment._vocoder import shifted
from crossmodal.settings import Amount, Range, Share

Hertz = Annotated[float, Range(1)]
Cents = Annotated[float, Range(-1200, 1200)]
Percent = Annotated[float, Range(0, 100)]

COMB_S = 0.03125  # mean delay of the eight comb filters of Freeverb, 1116 to 1617 samples at 44.1 kHz
DECAY = math.log(1000)  # 60 dB


@changes()
def crop(waveforms: Tensor, generator: torch.Generator, lengths: Tensor | None = None, shortest: Share = 0.5) -> Tensor:
    """Keep a random stretch of each clip, moved to its beginning; silence follows.

    CLMR's crop, a random window of the track, is the loader's, which cuts a view where the pair policy says; this one
    crops the view once more. The stretch is a share of the clip from ``shortest`` to 1.
    """
    whole = valid(waveforms, waveforms.shape[-1], lengths)
    kept = (whole * uniform(waveforms, shortest, 1.0, generator)).ceil().clamp(min=1).long()
    first = (uniform(waveforms, 0.0, 1.0, generator) * (whole - kept + 1)).long()
    places = positions(waveforms, waveforms.shape[-1])
    return _taken(waveforms, first[:, None] + places, places < kept[:, None])


@changes()
def polarity(waveforms: Tensor, generator: torch.Generator) -> Tensor:
    """Turn the waveform upside down: nothing that can be heard."""
    return -waveforms


@changes("timbre")
def noise(
    waveforms: Tensor,
    generator: torch.Generator,
    lengths: Tensor | None = None,
    low_snr_db: float = 40.0,
    high_snr_db: float = 80.0,
) -> Tensor:
    """Add white Gaussian noise, its amplitude relative to the clip's RMS drawn evenly between those of two SNRs.

    CLMR's code draws the noise's deviation from 1e-4 to 1e-2 of the clip's, which is 80 to 40 dB. Its first version
    meant 80 dB, as the paper says, but took 80 / 20 for the exponent of a ratio of powers, which is 40 dB.
    """
    energy = waveforms.square().sum(dim=(1, 2))
    rms = (energy / (waveforms.shape[1] * valid(waveforms, waveforms.shape[-1], lengths))).sqrt()
    ratio = uniform(waveforms, 10 ** (-high_snr_db / 20), 10 ** (-low_snr_db / 20), generator)
    return waveforms + beside(rms * ratio, waveforms) * normal(waveforms.shape, waveforms, generator)


@changes("level")
def gain(waveforms: Tensor, generator: torch.Generator, low_db: float = -20.0, high_db: float = -1.0) -> Tensor:
    """Multiply by a gain drawn evenly in decibels."""
    return waveforms * beside(10 ** (uniform(waveforms, low_db, high_db, generator) / 20), waveforms)


@changes("timbre", "level")
def high_low_pass(
    waveforms: Tensor,
    generator: torch.Generator,
    sample_rate: int,
    low_highpass_hz: Hertz = 200.0,
    high_highpass_hz: Hertz = 1200.0,
    low_lowpass_hz: Hertz = 2200.0,
    high_lowpass_hz: Hertz = 4000.0,
) -> Tensor:
    """A high-pass or a low-pass filter, by the toss of a coin, with a random cut-off frequency.

    Of first order, 6 dB an octave, as Essentia's HighPass and LowPass, which CLMR uses: with t = tan(w / 2) at the
    frequency w and c at the cut-off, c / (c + it) and it / (c + it). A cut-off lies at most at 0.45 of the sample rate.
    """
    low = uniform(waveforms, low_lowpass_hz, high_lowpass_hz, generator)
    high = uniform(waveforms, low_highpass_hz, high_highpass_hz, generator)
    is_high = (uniform(waveforms, 0.0, 1.0, generator) < 0.5)[:, None]
    cutoff = torch.where(is_high, high[:, None], low[:, None]).clamp(max=0.45 * sample_rate)
    lowest = min(low_highpass_hz, low_lowpass_hz)
    # what the filter rings after the clip's end by more than -120 dB must not wrap around to its beginning
    size = _size(waveforms.shape[-1] + 64 + math.ceil(math.log(1e6) * sample_rate / (2 * math.pi * lowest)))
    half = math.pi / size * positions(waveforms, size // 2 + 1)
    c = (math.pi / sample_rate * cutoff).tan()
    passed, stopped = c * half.cos(), half.sin().expand(len(cutoff), -1)
    nothing = torch.zeros_like(passed)
    wanted = torch.where(is_high, torch.complex(nothing, stopped), torch.complex(passed, nothing))
    return _filtered(waveforms, wanted / torch.complex(passed, stopped), size)


@changes("timbre", "level")
def delay(
    waveforms: Tensor,
    generator: torch.Generator,
    sample_rate: int,
    low_ms: Amount = 200.0,
    high_ms: Amount = 450.0,
    step_ms: Annotated[float, Range(0.01)] = 50.0,
    volume: Share = 0.5,
) -> Tensor:
    """Add one echo and halve the sum: (x(t) + ``volume`` x(t - d)) / 2, d in steps from ``low_ms`` to ``high_ms``."""
    steps = int((high_ms - low_ms) / step_ms + 1e-9) + 1
    drawn = low_ms + step_ms * uniform(waveforms, 0.0, float(steps), generator).long().clamp(max=steps - 1)
    offset = (drawn * (sample_rate / 1000)).long()[:, None]
    places = positions(waveforms, waveforms.shape[-1]) - offset
    return (waveforms + volume * _taken(waveforms, places, places >= 0)) / 2


@changes("pitch", "timbre")
def pitch_shift(
    waveforms: Tensor,
    generator: torch.Generator,
    sample_rate: int,
    low_cents: Cents = -700.0,
    high_cents: Cents = 700.0,
) -> Tensor:
    """Shift the pitch, formants with it, and keep length and tempo: a phase vocoder, then resampling.

    CLMR uses sox's ``pitch``, which overlaps and adds in time instead.
    """
    ratios = 2 ** (uniform(waveforms, low_cents, high_cents, generator) / 1200)
    channels = waveforms.shape[1]
    rows = shifted(waveforms.flatten(0, 1), ratios.repeat_interleave(channels), sample_rate)
    return rows.view_as(waveforms)


@changes("timbre")
def reverb(
    waveforms: Tensor,
    generator: torch.Generator,
    sample_rate: int,
    low_reverberance: Percent = 0.0,
    high_reverberance: Percent = 99.0,
    low_damping: Percent = 0.0,
    high_damping: Percent = 99.0,
    low_room: Percent = 0.0,
    high_room: Percent = 99.0,
) -> Tensor:
    """Add the reverberation of a random room: white noise that decays exponentially, convolved with the clip.

    It stands in for sox's ``reverb``, which CLMR uses: its three percentages mean here what they mean to its comb
    filters. The feedback is 1 - 0.7 (0.02 / 0.7)^(reverberance / 100), the filters' mean delay 31 ms (10 + 0.9 room) %,
    and the time in which the sound falls by 60 dB follows from them; a one-pole low-pass with the coefficient 0.2 +
    0.003 damping darkens it. The reverberation of white noise is 12.5 - reverberance / 20 dB below the noise, as it is,
    within 2 dB, in a model of sox's filters.
    """
    n, batch = waveforms.shape[-1], waveforms
    reverberance = uniform(batch, low_reverberance, high_reverberance, generator)[:, None]
    damping = uniform(batch, low_damping, high_damping, generator)[:, None]
    room = uniform(batch, low_room, high_room, generator)[:, None]
    feedback = 1 - 0.7 * (0.02 / 0.7) ** (reverberance / 100)
    seconds = COMB_S * (0.1 + 0.009 * room) * DECAY / -feedback.log()
    time = positions(batch, n) / sample_rate
    size = _size(2 * n)
    tail = normal((len(batch), n), time, generator) * (-DECAY * time / seconds).exp()
    angle = 2 * math.pi / size * positions(batch, size // 2 + 1)
    pole = 0.2 + 0.003 * damping
    spectrum = torch.fft.rfft(tail, size) / (1 - torch.polar(pole, -angle))
    level = 10 ** ((reverberance / 20 - 12.5) / 20)
    power = spectrum.abs().square().mean(dim=1, keepdim=True).clamp(min=1e-12)
    return _filtered(waveforms, 1 + level * spectrum / power.sqrt(), size)


@changes("order")
def reverse(waveforms: Tensor, generator: torch.Generator, lengths: Tensor | None = None) -> Tensor:
    """Play the clip backwards; its padding stays at the end."""
    whole = valid(waveforms, waveforms.shape[-1], lengths)
    places = whole[:, None] - 1 - positions(waveforms, waveforms.shape[-1])
    return _taken(waveforms, places, places >= 0)


def _taken(waveforms: Tensor, places: Tensor, kept: Tensor) -> Tensor:
    """The samples at ``places (batch, samples)`` where ``kept``, and silence elsewhere."""
    index = places.clamp(0, waveforms.shape[-1] - 1)[:, None].expand_as(waveforms)
    return waveforms.gather(-1, index).masked_fill(~kept[:, None], 0.0)


def _size(samples: int) -> int:
    return int(next_fast_len(samples + samples % 2, real=True))


def _filtered(waveforms: Tensor, response: Tensor, size: int) -> Tensor:
    """Multiply the spectra by ``response (batch, size // 2 + 1)``: ``size`` holds the clip and what rings after it."""
    exact = waveforms.to(torch.promote_types(waveforms.dtype, torch.float32))
    found: Tensor = torch.fft.irfft(torch.fft.rfft(exact, size) * response[:, None], size)
    return found[..., : waveforms.shape[-1]].to(waveforms.dtype)
