"""Front ends in numpy, for a model that runs without torch: the same frames from arrays that torch's have computed.

The one difference is the rounding of the Fourier transforms, which is that of float32, as in torch: so it is scipy that
transforms, as numpy does so in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from crossmodal.types import FrontEnd

Floats = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

GROUP = 16  # bands of mel that are multiplied at once, by the bins that they have
SHARED = ("sample_rate", "channels", "silence", "frame_rate")


def described(frontend: FrontEnd) -> tuple[dict[str, Any], Arrays]:
    """Numbers and arrays from which `NumpyFrontEnd` computes a front end's features."""
    kind = type(frontend).__name__
    about = {"kind": kind, "shape": list(frontend.shape), **{name: getattr(frontend, name) for name in SHARED}}
    any_front: Any = frontend
    if kind == "Raw":
        return about, {}
    about |= {name: getattr(any_front, name) for name in ("hop", "span", "at_once", "floor_db")}
    if kind == "LogMel":
        arrays = {name: getattr(any_front, name).cpu().numpy() for name in ("hann", "least")}
        return {**about, "n_fft": any_front.n_fft}, {**arrays, "filters": _filters(any_front)}
    arrays = {}
    for number, group in enumerate(any_front.groups):
        arrays |= {f"kernels_{number}": group.kernels.cpu().numpy(), f"places_{number}": group.places.cpu().numpy()}
    return {**about, "block": any_front.block, "lost": any_front.lost, "groups": len(any_front.groups)}, arrays


def _filters(frontend: Any) -> Floats:
    """All filters ``(bins, bands)`` of a log-mel front end, which keeps them by groups of bands."""
    filters = np.zeros((frontend.n_fft // 2 + 1, frontend.bands), np.float32)
    band = 0
    for group in frontend.groups:
        found = group.filters.cpu().numpy()
        filters[group.low : group.high, band : band + found.shape[1]] = found
        band += found.shape[1]
    return filters


class NumpyFrontEnd:
    """A front end of what `described` tells: `stream` and `hops` as in `crossmodal.types.FrontEnd`.

    Args:
        about: its numbers.
        arrays: its arrays.
    """

    def __init__(self, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.about, self.arrays = dict(about), dict(arrays)
        self.sample_rate: int = about["sample_rate"]
        self.channels: Literal[1, 2] = about["channels"]
        self.silence: float = about["silence"]
        self.frame_rate: float = about["frame_rate"]
        if about["kind"] == "LogMel":
            self._groups = list(_stretches(self.arrays["filters"]))

    def hops(self, frames: int) -> int:
        """The whole steps from frame to frame that so many frames stand for."""
        return frames if self.about["kind"] == "Raw" else frames - 1

    def stream(self, blocks: Iterable[Floats]) -> Iterator[Floats]:
        """Blocks ``(channels, samples)`` of one file to blocks ``(frames, *shape)`` that join to those of the file."""
        if self.about["kind"] == "Raw":
            yield from (block.T for block in blocks)
            return
        half, held = self.about["span"] // 2, np.zeros((self.channels, self.about["span"] // 2), np.float32)
        for block in blocks:
            held = np.concatenate([held, block], axis=1)
            yield from self._frames(held)
            held = held[:, self._whole(held) * self.about["hop"] :]
        yield from self._frames(np.pad(held, ((0, 0), (0, half))))

    def _whole(self, padded: Floats) -> int:
        span, hop = int(self.about["span"]), int(self.about["hop"])
        return max(0, 1 + int(padded.shape[1] - span) // hop)

    def _frames(self, padded: Floats) -> Iterator[Floats]:
        """The frames that lie wholly within, a few at a time, in decibels."""
        hop, span, at_once, whole = *(self.about[name] for name in ("hop", "span", "at_once")), self._whole(padded)
        power = self._mel if self.about["kind"] == "LogMel" else self._constant_q
        floor_db = self.about["floor_db"]
        for start in range(0, whole, at_once):
            last = min(start + at_once, whole) - 1
            found = power(padded[:, start * hop : last * hop + span], last + 1 - start)
            heard = 10 * np.log10(np.maximum(found, np.float32(10 ** (floor_db / 10))))
            yield heard[0] if self.channels == 1 else heard.swapaxes(0, 1)

    def _mel(self, padded: Floats, frames: int) -> Floats:
        """Samples ``(channels, samples)`` to power ``(channels, frames, bands)``."""
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.about["span"], axis=-1)
        windows = windows[:, :: self.about["hop"]][:, :frames]
        spectrum = scipy.fft.rfft(windows * self.arrays["hann"], self.about["n_fft"])
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        mel = np.concatenate([power[..., low:high] @ filters for low, high, filters in self._groups], axis=-1)
        found: Floats = np.maximum(mel, mel.max(axis=-1, keepdims=True) * self.arrays["least"])
        return found

    def _constant_q(self, padded: Floats, frames: int) -> Floats:
        """Likewise: products with the kernels in the spectrum of a block, wrapped round at the frame rate."""
        block, lost = self.about["block"], self.about["lost"]
        spectrum = scipy.fft.rfft(padded, block * self.about["hop"])
        bands = []
        for number in range(self.about["groups"]):
            product = spectrum[:, self.arrays[f"places_{number}"]] * self.arrays[f"kernels_{number}"]
            wrapped = scipy.fft.ifft(product.reshape(*product.shape[:2], -1, block).sum(axis=2))
            bands.append(np.square(wrapped.real) + np.square(wrapped.imag))
        power: Floats = np.concatenate(bands, axis=1)[..., lost : lost + frames].swapaxes(1, 2).astype(np.float32)
        return power


def _stretches(filters: Floats) -> Iterator[tuple[int, int, Floats]]:
    """Neighbouring bands, with the stretch of bins beyond which they are zero."""
    for band in range(0, filters.shape[1], GROUP):
        group = filters[:, band : band + GROUP]
        bins = np.flatnonzero(group.sum(axis=1))
        low, high = (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 1)
        yield low, high, group[low:high]
