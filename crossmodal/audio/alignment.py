"""Whether two recordings are of the same sound: their waveforms, aligned and whitened, correlate.

Takes of one note by one player correlate above .95 as they are, since a few partials hold all the energy. Whitened, so
that every band has the same say, they stay below .83, while the same recording by way of another codec, shift or gain
stays above it: noise and weak partials tell. A recording upside down sounds the same, so the sign does not count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from scipy.ndimage import uniform_filter1d

from crossmodal.audio.decode import Floats
from crossmodal.audio.fingerprint import RATE

VERSION = 2  # of the comparison: what another one found is looked for anew
SIMILAR = 0.84  # whitened correlation: other takes of a note reach .83, ordinary mp3 and ogg stay above .87
OVERLAP = 0.5  # of the shorter one's sound
SHORTEST = RATE // 20  # samples: less sound in common proves nothing
STRETCH, STRETCHES = 4 * RATE, 12  # samples that are compared at once, and how often, spread over the overlap
SEARCH, DRIFT = 1024, 16  # samples by which the offset of the landmarks, and then that of a stretch, may be off
BAND_HZ = 150  # over which a spectrum is smoothed to whiten it
WHITE_FLOOR = 1e-4  # of the strongest band's power; what lies below is not amplified further
QUIETEST = 1e-3  # of the peak: where a track falls below it for good, its sound has ended
UPSAMPLED = 8  # steps of a sample in which two tracks are aligned


def compare(a: Floats, b: Floats, shift: int) -> tuple[float, float, float]:
    """Where b begins in a (s), their similarity there, and the share of the shorter one's sound that is the same.

    Similarity is the median, over stretches of 4 s, of the whitened correlation at the best alignment.

    Args:
        a: mono samples at 8 kHz, ``(n,)``.
        b: the same.
        shift: after how many samples of a the other begins, known to within 128 ms.
    """
    (start_a, stop_a), (start_b, stop_b) = _sound(a), _sound(b)
    shorter = min(stop_a - start_a, stop_b - start_b)
    for margin in (SEARCH, 0):  # first the offset, then the comparison
        start, stop = max(start_a, start_b + shift), min(stop_a, stop_b + shift)
        if stop - start < max(SHORTEST, OVERLAP * shorter - margin):
            return shift / RATE, 0.0, 0.0
        x, y = a[start:stop], b[start - shift : stop - shift]
        if margin:
            loudest = max(_stretches(stop - start), key=lambda part: float(np.square(x[part]).sum()))
            shift += round(whitened_correlation(x[loudest], y[loudest], margin)[1])
    parts = [part for part in _stretches(stop - start) if _loud(x[part], a) or _loud(y[part], b)]
    values = np.array([whitened_correlation(x[part], y[part], DRIFT)[0] for part in parts] or [0.0])
    share = float(np.mean(values >= SIMILAR)) * (stop - start) / shorter
    return shift / RATE, float(np.median(values)), share


def _sound(x: Floats) -> tuple[int, int]:
    """Where the sound of samples starts and stops."""
    loud = np.flatnonzero(np.abs(x) > QUIETEST * np.abs(x).max())
    return int(loud[0]), int(loud[-1]) + 1


def _loud(part: Floats, whole: Floats) -> bool:
    return bool(np.abs(part).max() > QUIETEST * np.abs(whole).max())


def _stretches(samples: int) -> list[slice]:
    """Up to 12 stretches of up to 4 s, spread evenly."""
    count = min(STRETCHES, max(1, samples // STRETCH))
    length = samples if count == 1 and samples < 2 * STRETCH else STRETCH
    return [slice(start, start + length) for start in np.linspace(0, samples - length, count).astype(int)]


def whitened_correlation(x: Floats, y: Floats, search: int) -> tuple[float, float]:
    """The highest normalised correlation of ``x`` and ``y (n,)``, each whitened, and the lag (samples) where it is.

    The lag is found to an eighth of a sample, up to ``search`` samples either way; y(t - lag), or its negative, is like
    x(t).
    """
    length = next_fast_len(len(x) + 2 * search, real=True)
    white = [_white(np.fft.rfft(samples, length), length) for samples in (x, y)]
    cross = white[0] * white[1].conj()
    correlation = np.fft.irfft(cross, length * UPSAMPLED) * UPSAMPLED
    near = np.arange(-search * UPSAMPLED, search * UPSAMPLED + 1)
    best = int(near[np.argmax(np.abs(correlation[near]))])
    powers = [np.square(np.fft.irfft(spectrum, length)).sum() for spectrum in white]
    return float(abs(correlation[best]) / np.sqrt(powers[0] * powers[1] + 1e-30)), best / UPSAMPLED


def _white(spectrum: NDArray[np.complexfloating], length: int) -> NDArray[np.complexfloating]:
    power = np.square(np.abs(spectrum))
    smooth = uniform_filter1d(power, max(3, int(BAND_HZ * length / RATE)), mode="nearest")
    white: NDArray[np.complexfloating] = spectrum / np.sqrt(smooth + WHITE_FLOOR * smooth.max() + 1e-30)
    return white
