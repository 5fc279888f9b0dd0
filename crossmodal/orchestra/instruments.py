"""Timbres: functions from a note to float64 samples.

Each takes ``(frequency, samples, rate, rng)``, the frequency in Hz and the rate in samples a second, and gives
``(samples,)`` float64 of about unit amplitude, with its own attack and release. None feeds its output back sample by
sample, so that the last bits in which sine and exponential differ between machines are not amplified: rounded to
16 bit, the sound is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
Timbre = Callable[[float, int, int, np.random.Generator], Signal]

TABLE = 4096
BLOCK = 256
STEADY_S = 1e9  # a decay that nobody lives to hear


def noise(samples: int, rng: np.random.Generator) -> Signal:
    """White noise, uniform in -1..1."""
    return 2.0 * rng.random(samples) - 1.0


def damped(frequency: float, decay_s: float, samples: int, rate: int) -> Signal:
    """A sine that falls to 1/e in ``decay_s``: exponentials of a few points, multiplied out to all samples."""
    step = complex(-1.0 / decay_s, 2.0 * np.pi * frequency) / rate
    coarse = np.exp(step * BLOCK * np.arange(-(-samples // BLOCK)))
    wave: Signal = (coarse[:, None] * np.exp(step * np.arange(BLOCK))).imag.ravel()[:samples]
    return wave


def envelope(samples: int, rate: int, attack_s: float, release_s: float) -> Signal:
    """Straight lines up at the start and down at the end."""
    time = np.arange(samples) / rate
    rise = np.minimum(time / attack_s, 1.0)
    result: Signal = rise * np.minimum((samples / rate - time) / release_s, 1.0)
    return result


@lru_cache(maxsize=512)
def table(kind: str, harmonics: int) -> Signal:
    """One period, ``(TABLE + 1,)``, of a wave with so many harmonics, root mean square about 0.7."""
    number = np.arange(1, harmonics + 1)
    weights = {
        "organ": np.isin(number, (1, 2, 3, 4, 6, 8)) / number**0.4,
        "saw": 1.0 / number,
        "odd": np.where(number % 2 == 1, 1.0 / number, 0.02),
        "square": (number % 2 == 1) / number**0.7,
    }[kind]
    spectrum = np.zeros(TABLE // 2 + 1, dtype=np.complex128)
    spectrum[1 : harmonics + 1] = -0.5j * TABLE * weights / np.sqrt(np.sum(weights**2))
    wave = np.fft.irfft(spectrum)
    return np.append(wave, wave[0])


def read(kind: str, frequency: float, phase: Signal, rate: int, top: int = 64) -> Signal:
    """A table read at a phase in periods, with straight lines between its points; it ends at 0.45 of the rate."""
    wave = table(kind, max(min(int(0.45 * rate / frequency), top), 1))
    position = (phase - np.floor(phase)) * TABLE
    index = position.astype(np.int64)
    left = wave[index]
    result: Signal = left + (position - index) * (wave[index + 1] - left)
    return result


def phases(frequency: float, samples: int, rate: int, vibrato_hz: float = 0.0, depth: float = 0.0) -> Signal:
    """The phase of a tone in periods; ``depth`` is the vibrato's relative deviation in frequency."""
    phase: Signal = frequency / rate * np.arange(samples, dtype=np.float64)
    if depth:
        phase += (depth * frequency / (2 * np.pi * vibrato_hz)) * (1 + damped(vibrato_hz, STEADY_S, samples, rate))
    return phase


def guitar(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """A plucked string after Karplus and Strong (1983): a period of noise that is averaged each time round.

    The average is a product in the frequency domain, so all periods are made at once; the whole number of samples a
    period is brought to the true pitch by reading between samples.
    """
    period = max(int(rate / frequency), 4)
    rounds = int(samples * frequency / rate) + 2
    loss = 0.9985 * np.cos(np.pi * np.arange(period // 2 + 1) / period) ** 0.5
    spectrum = np.fft.rfft(noise(period, rng)) * (np.arange(period // 2 + 1) > 0)
    powers = np.cumprod(np.broadcast_to(loss, (rounds, len(loss))), axis=0)
    string = np.fft.irfft(powers * spectrum, n=period, axis=1).ravel()
    position = phases(frequency, samples, rate) * period
    index = position.astype(np.int64)
    tone = string[index] + (position - index) * (string[index + 1] - string[index])
    result: Signal = 1.5 * tone * envelope(samples, rate, 0.001, 0.05)
    return result


def organ(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """Additive: the drawbars of a pipe organ, no decay."""
    return read("organ", frequency, phases(frequency, samples, rate), rate) * envelope(samples, rate, 0.015, 0.03)


def bells(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """Inharmonic additive: partials of a bell, each with its decay, that ring on after the note."""
    partials = ((0.5, 0.4, 1.4), (1.0, 1.0, 1.0), (1.19, 0.6, 0.8), (2.0, 0.6, 0.6), (2.74, 0.5, 0.4), (4.07, 0.4, 0.2))
    length = samples + int(0.5 * rate)
    tone = np.zeros(length)
    for ratio, weight, decay_s in partials:
        if ratio * frequency < 0.45 * rate:
            tone += weight * damped(ratio * frequency, decay_s, length, rate)
    return tone * envelope(length, rate, 0.001, 0.4)


def trumpet(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """Brass by frequency modulation, Chowning (1973): carrier and modulator alike, the index follows the loudness."""
    shape = envelope(samples, rate, 0.04, 0.05)
    index = min(5.0, 0.2 * rate / frequency) * shape * (0.75 + 0.25 * np.exp(-np.arange(samples) / (0.2 * rate)))
    angle = 2 * np.pi * frequency / rate * np.arange(samples)
    result: Signal = shape * np.sin(angle + index * np.sin(angle))
    return result


def flute(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """Nearly a sine, with vibrato and breath."""
    angle = 2 * np.pi * phases(frequency, samples, rate, 5.0, 0.008)
    breath = noise(samples, rng)
    breath[1:] = breath[1:] - 0.7 * breath[:-1]
    tone = np.sin(angle) + 0.12 * np.sin(2 * angle) + 0.12 * breath
    result: Signal = tone * envelope(samples, rate, 0.05, 0.05)
    return result


def violin(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """Bowed: a saw tooth with wide vibrato and the scratch of the bow."""
    tone = read("saw", frequency, phases(frequency, samples, rate, 6.0, 0.012), rate)
    result: Signal = (tone + 0.05 * noise(samples, rng)) * envelope(samples, rate, 0.06, 0.06)
    return result


def clarinet(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """Reedy: odd harmonics, few of them, a straight tone."""
    return read("odd", frequency, phases(frequency, samples, rate), rate, 11) * envelope(samples, rate, 0.03, 0.04)


def synthesizer(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """A pad: three hollow oscillators that beat against each other."""
    tone = np.zeros(samples)
    for ratio in (0.988, 1.0, 1.012):
        tone += read("square", frequency, phases(ratio * frequency, samples, rate) + rng.random(), rate)
    return 0.6 * tone * envelope(samples, rate, 0.09, 0.1)


def bass(frequency: float, samples: int, rate: int, rng: np.random.Generator) -> Signal:
    """A round bass: two harmonics that die away."""
    tone = damped(frequency, 0.5, samples, rate) + 0.3 * damped(2 * frequency, 0.3, samples, rate)
    return tone * envelope(samples, rate, 0.005, 0.05)


TIMBRES: dict[str, Timbre] = {
    timbre.__name__: timbre for timbre in (guitar, organ, bells, trumpet, flute, violin, clarinet, synthesizer)
}


class Body(NamedTuple):
    """What an instrument adds to tones of any pitch: air (noise that follows the tone) and formants in Hz."""

    air: float
    formants: tuple[float, ...]


BODIES = {
    "guitar": Body(0.05, (220.0, 1900.0)),
    "organ": Body(0.04, (600.0, 4700.0)),
    "bells": Body(0.04, (3300.0, 6600.0)),
    "trumpet": Body(0.05, (1200.0, 2600.0)),
    "flute": Body(0.20, (900.0, 6000.0)),
    "violin": Body(0.10, (430.0, 3600.0)),
    "clarinet": Body(0.03, (300.0, 1500.0)),
    "synthesizer": Body(0.05, (750.0, 2100.0, 5300.0)),
}
FORMANT_GAIN, FORMANT_OCTAVES = 7.0, 0.3


def resonate(tone: Signal, body: Body, rate: int, rng: np.random.Generator) -> Signal:
    """The tone with its air, through its formants."""
    air = body.air * smooth(np.abs(tone), rate // 50) * noise(len(tone), rng)
    return np.fft.irfft(_gains(body, len(tone), rate) * np.fft.rfft(tone + air), n=len(tone))


@lru_cache(maxsize=16)
def _gains(body: Body, samples: int, rate: int) -> Signal:
    """The gain of each of the spectrum's points."""
    points = np.arange(samples // 2 + 1)
    octaves = np.log2(np.maximum(points, 1) * rate / samples)
    gains = np.full(len(points), 0.5)
    for formant in body.formants:
        gains += FORMANT_GAIN / (1.0 + ((octaves - np.log2(formant)) / FORMANT_OCTAVES) ** 4)
    return gains


def smooth(signal: Signal, width: int) -> Signal:
    """The mean of ``width`` neighbours, as differences of running sums."""
    sums = np.cumsum(np.pad(signal, (width - width // 2, width // 2)))
    result: Signal = (sums[width:] - sums[:-width]) / width
    return result


def drum(kind: str, rate: int, rng: np.random.Generator) -> Signal:
    """One stroke of "kick", "snare" or "hat"."""
    samples = int({"kick": 0.25, "snare": 0.2, "hat": 0.06}[kind] * rate)
    time = np.arange(samples) / rate
    if kind == "kick":
        result: Signal = np.sin(2 * np.pi * (50 * time + 6 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.07)
        result[: rate // 200] += 0.5 * noise(rate // 200, rng)
        return result
    burst = noise(samples, rng)
    if kind == "snare":
        return 0.8 * burst * np.exp(-time / 0.05) + 0.4 * damped(190.0, 0.05, samples, rate)
    return np.diff(burst, prepend=0.0) * np.exp(-time / 0.015)
