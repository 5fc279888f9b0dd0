"""Integrated loudness and sample peak of audio that comes in blocks.

Loudness follows Recommendation ITU-R BS.1770-4, annex 1: the K-weighting's two filters (tables 1 and 2), the mean
square of gating blocks (equation 3), their loudness (equation 4), and two gates, absolute and relative (equations 5
to 7).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import sosfilt

from crossmodal.errors import InputError

STEP_S = 0.1  # of the gating blocks: 0.4 s each, which overlap by three quarters
STEPS = 4  # of a block
OFFSET_LU = -0.691  # equation 2: cancels the K-weighting's gain at 997 Hz
ABSOLUTE_LUFS = -70.0
RELATIVE_LU = -10.0


class Meter:
    """Measures the blocks of one recording; it keeps 80 bytes for each second, whatever the rate.

    Args:
        sample_rate: Hz.
        channels: one, or two of the same weight, left and right.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        if channels not in (1, 2):
            raise InputError(f"loudness is measured of 1 or 2 channels, not of {channels}")
        self._filters = k_weighting(sample_rate)
        self._state = np.zeros((len(self._filters), channels, 2))
        self._step = round(STEP_S * sample_rate)
        self._rest = np.zeros((channels, 0))
        self._powers = [np.zeros(0)]  # mean squares of the steps, summed over the channels
        self._peak = 0.0

    def add(self, block: NDArray[np.float32]) -> None:
        """Take the next samples, ``(channels, samples)`` with full scale at 1."""
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))
        weighted, self._state = sosfilt(self._filters, block.astype(np.float64), zi=self._state)
        samples = np.concatenate([self._rest, weighted], axis=1)
        whole = samples.shape[1] // self._step
        steps, self._rest = np.split(samples, [whole * self._step], axis=1)
        self._powers.append(np.square(steps).reshape(len(steps), whole, self._step).mean(axis=2).sum(axis=0))

    @property
    def peak_dbfs(self) -> float:
        """The highest sample so far, in dB of full scale; -inf for silence."""
        return 20 * math.log10(self._peak) if self._peak else -math.inf

    @property
    def loudness_lufs(self) -> float:
        """The integrated loudness so far; NaN if there is no gating block, or none is above the gates."""
        powers = np.concatenate(self._powers)
        if len(powers) < STEPS:
            return math.nan
        blocks = np.lib.stride_tricks.sliding_window_view(powers, STEPS).mean(axis=1)
        blocks = blocks[blocks > _power(ABSOLUTE_LUFS)]
        if len(blocks) == 0:
            return math.nan
        return _loudness(blocks[blocks > blocks.mean() * 10 ** (RELATIVE_LU / 10)].mean())


def _loudness(power: float) -> float:
    return OFFSET_LU + 10 * math.log10(power)


def _power(loudness: float) -> float:
    return float(10 ** ((loudness - OFFSET_LU) / 10))


def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """The two filters as second-order sections ``(2, 6)``, at any rate.

    The recommendation gives coefficients for 48 kHz alone. These are the analogue prototypes whose bilinear transforms
    they are (De Man, "Evaluation of implementations of the EBU R128 loudness measurement", AES 2018).
    """
    shelf_db, shelf_hz, shelf_q = 3.999843853973347, 1681.974450955533, 0.7071752369554196
    high, middle = 10 ** (shelf_db / 20), 10 ** (shelf_db / 20 * 0.4996667741545416)
    shelf = _bilinear((high, middle / shelf_q, 1.0), shelf_hz, shelf_q, sample_rate)
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    high_pass = _bilinear((1.0, 0.0, 0.0), pass_hz, pass_q, sample_rate)
    high_pass[:3] = 1.0, -2.0, 1.0  # table 2 has it without the gain that would normalise it
    return np.stack([shelf, high_pass])


def _bilinear(top: tuple[float, float, float], hz: float, q: float, sample_rate: int) -> NDArray[np.float64]:
    """The section of ``(top_0 s^2 + top_1 s + top_2) / (s^2 + s/q + 1)``, its frequency kept at ``hz``."""
    k = math.tan(math.pi * hz / sample_rate)

    def digital(two: float, one: float, none: float) -> list[float]:
        return [two + one * k + none * k * k, 2 * (none * k * k - two), two - one * k + none * k * k]

    above, below = digital(*top), digital(1.0, 1 / q, 1.0)
    return np.array(above + below) / below[0]
