"""What training does to a batch's audio: views of waveforms are augmented, become features, and are augmented again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from crossmodal.audio.augment.chain import Chain, silenced
from crossmodal.config import Views
from crossmodal.errors import InputError, listed
from crossmodal.types import Batch, FrontEnd

TONAL = frozenset({"key", "mode", "makam", "pitch", "chord"})
"""Tagsets whose tags a pitch shift makes wrong: after it, a track in C is in D."""


class Augment:
    """Batches as the loader gives them to batches of augmented features.

    Args:
        views: what is done to them; the first ``views.clean`` views stay as they are.
        frontend: turns waveforms into features.

    Raises:
        InputError: an augmentation is unknown or set wrongly, features have no bands to augment, or no view is left to
            be augmented.
    """

    def __init__(self, views: Views, frontend: FrontEnd) -> None:
        self.frontend, self.clean = frontend, views.clean
        self.waveform = Chain(views.waveform, "waveform", sample_rate=frontend.sample_rate)
        self.features = Chain(views.features, "features", silence=frontend.silence)
        if self.features.steps and frontend.frame_rate == frontend.sample_rate:
            raise InputError("views.features augments bands, and this front end gives samples: use views.waveform")
        if self.changes and views.clean >= views.count:
            raise InputError(
                f"views: {views.clean} of {views.count} stay clean: none is left to {listed(self.changes)}"
            )

    @property
    def needs_waveforms(self) -> bool:
        """Whether features from a store will not do."""
        return bool(self.waveform.steps)

    @property
    def changes(self) -> dict[str, frozenset[str]]:
        """What each augmentation, by name, changes in the music: of pitch, tempo, timbre, level and order."""
        return {step.name: step.changes for step in (*self.waveform.steps, *self.features.steps)}

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch with features ``(views, batch, frames, *shape)`` as audio, and their lengths in frames.

        Frames after the lengths are silent. Any generator will do for data on any device, the CPU's too.
        """
        audio, lengths = batch.audio, batch.lengths
        if batch.sampled:
            audio = self.frontend.forward(self._changed(self.waveform, audio, lengths, generator))
            lengths = self._frames(lengths)
            audio = silenced(audio.flatten(0, 1), lengths.flatten(), 1, self.frontend.silence).view_as(audio)
        audio = self._changed(self.features, audio, lengths, generator)
        return replace(batch, audio=audio, lengths=lengths, sampled=False)

    def _changed(self, chain: Chain, audio: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """View by view: what mixes the items of a batch shall mix different tracks."""
        if not chain.steps:
            return audio
        rest = zip(audio[self.clean :], lengths[self.clean :], strict=True)
        return torch.stack([*audio[: self.clean], *(chain(view, generator, own) for view, own in rest)])

    def _frames(self, lengths: Tensor) -> Tensor:
        """Frames of so many samples."""
        frames = [[self.frontend.frames(samples) for samples in view] for view in lengths.tolist()]
        return torch.tensor(frames, device=lengths.device)


def check_pitch(changes: Mapping[str, frozenset[str]], tagsets: Iterable[str], force: bool) -> None:
    """Refuse to train for key with views whose pitch is changed.

    Args:
        changes: what each augmentation changes, as `Augment.changes`.
        tagsets: whose tags are trained for; those of `TONAL` depend on pitch.
        force: train all the same.

    Raises:
        InputError: an augmentation changes pitch, one of the tagsets is tonal, and ``force`` is not set.
    """
    tonal = sorted(TONAL & set(tagsets))
    shifting = [name for name, what in changes.items() if "pitch" in what]
    if tonal and shifting and not force:
        raise InputError(
            f"views: {listed(shifting)} changes pitch, on which the tags of {listed(tonal)} depend;"
            " leave it out, or set views.force=true"
        )
