"""Descriptors of classic music information retrieval, none of them learnt: what learnt features have to beat."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from crossmodal.encoders.audio import _descriptors as descriptors
from crossmodal.encoders.audio._layers import mean, moments
from crossmodal.encoders.audio._spectral import Spectral, whole
from crossmodal.errors import InputError

Family = Literal["bands", "mfcc", "ssd", "rhythm", "shape", "contrast", "chroma"]
FAMILIES: tuple[Family, ...] = ("bands", "mfcc", "ssd", "rhythm", "shape", "contrast", "chroma")

COEFFICIENTS = 20  # of the cepstrum
SSD_BANDS, RHYTHM_BANDS, CONTRAST_BANDS = 24, 8, 7  # groups of neighbouring bands
FASTEST, MODULATIONS = 10.0, 20  # Hz, and how many frequencies up to it
CHROMA_BINS = 36  # three of a semitone: makams are told by less than one
FARTHEST = 5.0  # deviations from the mean: what is farther counts as much
CLIPS = 64  # that are described at once when the statistics are fitted


class Handcrafted(Spectral):
    """Descriptors of a clip, standardised; it has no weights, and only `fit` learns from data: mean and deviation.

    Seven families, computed from decibels of the front end's bands:

    - ``bands``: mean and deviation of each band.
    - ``mfcc``: mean and deviation of 20 cepstral coefficients (Davis and Mermelstein, IEEE TASSP 1980), and the
      deviation of their steps from frame to frame (after Furui, IEEE TASSP 1986).
    - ``ssd``: statistical spectrum descriptor, seven moments of 24 bands (Lidy and Rauber, "Evaluation of feature
      extractors and psycho-acoustic transformations for music genre classification", ISMIR 2005).
    - ``rhythm``: rhythm pattern, how much bands swing at 0.5 to 10 Hz, and its mean over bands, the rhythm histogram
      (the same paper).
    - ``shape``: mean and deviation of centroid, spread, roll-off, flatness, level and flux, and the deviation of their
      steps (Tzanetakis and Cook, "Musical genre classification of audio signals", IEEE TSAP 2002).
    - ``contrast``: mean and deviation of spectral contrast (Jiang et al., "Music type classification by spectral
      contrast feature", ICME 2002).
    - ``chroma``: mean and deviation of the power in each class of pitch (after Fujishima, "Realtime chord recognition
      of musical sound", ICMC 1999), and its mean share; where bands lie closer than a semitone.

    Schindler judges learnt embeddings against such descriptors (CBMI 2019, SAC 2020). Differences from the papers: one
    front end's bands in decibels, in the place of critical bands in sone; modulations have no weight by loudness, which
    standardising would take away again; 8 bands of rhythm, since windows are short; bands of contrast that are not
    octaves. How many of each there are was chosen on validation data, see experiments/LOG.md.

    Each number is standardised by the windows that training cuts, and cut off at five deviations. Each family weighs
    the same in a cosine, however many numbers it has.

    Args:
        frontend: a preset's name, or settings; None for log-mel features as they are by default.
        families: those that are computed; all of them if None.
    """

    published: ClassVar[str | dict[str, Any]] = {}
    cosines: Tensor
    octaves: Tensor
    classes: Tensor
    share: Tensor

    def __init__(self, frontend: str | dict[str, Any] | None = None, families: list[Family] | None = None) -> None:
        super().__init__(frontend, 0)
        self.families = FAMILIES if families is None else tuple(families)
        if not self.families or len(set(self.families)) < len(self.families):
            raise InputError(f"handcrafted: families is {list(self.families)}; name one at least, and each once")
        centres = torch.tensor(self.frontend.centres)
        constants = {
            "cosines": descriptors.cosines(self.bands, min(COEFFICIENTS, self.bands)),
            "octaves": centres.clamp(min=1.0).log2(),
            "classes": descriptors.pitch_classes(centres.clamp(min=1.0), CHROMA_BINS),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        silence = torch.full((1, 2, *self.frontend.shape), self.frontend.silence)
        sizes = [made.shape[1] for made in self._families(silence, torch.tensor([2]))]
        self.dim = sum(sizes)
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("deviation", torch.ones(self.dim))
        self.register_buffer("share", torch.cat([torch.full((n,), n**-0.5) for n in sizes]), persistent=False)

    @torch.no_grad()
    def fit(self, features: Tensor, lengths: Tensor | None = None) -> None:
        """Set mean and deviation of each number from training clips ``(clips, frames, *shape)``."""
        clips = zip(torch.split(features, CLIPS), torch.split(whole(features, lengths), CLIPS), strict=True)
        described = torch.cat([self.described(*each) for each in clips])
        self.mean.copy_(described.mean(0))
        self.deviation.copy_(described.std(0).clamp(min=1e-3))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, dim)``; frames at and after ``lengths`` do not count."""
        described = self.described(features, whole(features, lengths))
        return ((described - self.mean) / self.deviation).clamp(-FARTHEST, FARTHEST) * self.share

    def sequence(self, features: Tensor) -> Tensor:
        """Features ``(batch, frames, *shape)`` to ``(batch, time, dim)``: the vector of each second by itself."""
        second = min(max(1, round(self.frontend.frame_rate)), features.shape[1])
        return torch.stack([self(part) for part in torch.split(features, second, 1)], 1)

    def described(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The numbers as they are, ``(batch, dim)``: family after family, in each of them channel after channel."""
        with torch.autocast(features.device.type, enabled=False):
            return torch.cat(self._families(features, lengths), 1)

    def _families(self, features: Tensor, lengths: Tensor) -> list[Tensor]:
        """``(batch, numbers)`` of each family."""
        stereo = features if features.ndim == 4 else features.unsqueeze(2)
        beyond = torch.arange(stereo.shape[1], device=stereo.device) >= lengths.clamp(min=1).unsqueeze(1)
        bands = stereo.masked_fill(beyond.view(*beyond.shape, 1, 1), self.frontend.silence)
        apart, lengths = bands.transpose(1, 2).flatten(0, 1), lengths.repeat_interleave(self.channels)
        return [getattr(self, f"_{name}")(apart, lengths).view(len(features), -1) for name in self.families]

    def _bands(self, x: Tensor, lengths: Tensor) -> Tensor:
        return moments(x, lengths)

    def _mfcc(self, x: Tensor, lengths: Tensor) -> Tensor:
        cepstrum = x @ self.cosines
        return torch.cat([moments(cepstrum, lengths), descriptors.deviations(descriptors.steps(cepstrum), lengths)], 1)

    def _ssd(self, x: Tensor, lengths: Tensor) -> Tensor:
        return descriptors.seven_moments(descriptors.grouped(x, SSD_BANDS), lengths)

    def _rhythm(self, x: Tensor, lengths: Tensor) -> Tensor:
        rate = self.frontend.frame_rate
        frequencies = torch.arange(1, MODULATIONS + 1) * (min(FASTEST, rate / 2) / MODULATIONS)
        pattern = descriptors.modulations(descriptors.grouped(x, RHYTHM_BANDS), lengths, rate, frequencies)
        return torch.cat([pattern.flatten(1), pattern.mean(2)], 1)

    def _shape(self, x: Tensor, lengths: Tensor) -> Tensor:
        flux = descriptors.steps(x).clamp(min=0).mean(2, keepdim=True)
        shape = torch.cat([descriptors.spectral_shape(x, self.octaves), flux], 2)
        return torch.cat([moments(shape, lengths), descriptors.deviations(descriptors.steps(shape), lengths)], 1)

    def _contrast(self, x: Tensor, lengths: Tensor) -> Tensor:
        return moments(descriptors.contrast(x, CONTRAST_BANDS), lengths)

    def _chroma(self, x: Tensor, lengths: Tensor) -> Tensor:
        power = 10 ** (x / 10) @ self.classes + 1e-10
        level = 10 * power.log10()
        shares = mean(power / power.sum(2, keepdim=True), lengths)
        return torch.cat([moments(level - level.mean(2, keepdim=True), lengths), shares], 1)
