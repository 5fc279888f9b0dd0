"""Chains of augmentations, by name, each with a probability: blocks ``{name: gain, p: 0.3, low_db: -20.0, ...}``.

The names are the public functions of `crossmodal.audio.augment.waveform`, or of `spectral` for features, and their
settings are the parameters that have a plain type. ``p`` is 1 where it is not given.

Presets, in CLMR's order, for waveforms (Spijkervet and Burgoyne, "Contrastive Learning of Musical Representations",
ISMIR 2021); the crop that comes first there is the loader's, with the pair policy "random":

* ``clmr_code``: the defaults of the code, version 2 (torchaudio-augmentations 0.2.4). Version 1 differs in the noise,
  which its formula puts at 40 dB for the 80 dB of its name, and in the probability of the delay, 0.2.
* ``clmr_paper``: as the paper says: noise at 80 dB, gain from -6 to 0 dB, 5 semitones, delays of up to 500 ms.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, get_type_hints

import torch
from torch import Tensor

from crossmodal import settings as plain
from crossmodal.audio.augment import spectral, waveform
from crossmodal.errors import InputError, listed
from crossmodal.settings import Setting, Share

Block = Mapping[str, Any]
Augmentation = Callable[..., Tensor]
DOMAINS: dict[str, ModuleType] = {"waveform": waveform, "features": spectral}

PRESETS: dict[str, list[dict[str, Any]]] = {
    "clmr_code": [
        {"name": "polarity", "p": 0.8},
        {"name": "noise", "p": 0.01, "low_snr_db": 40.0, "high_snr_db": 80.0},
        {"name": "gain", "p": 0.3, "low_db": -20.0, "high_db": -1.0},
        {"name": "high_low_pass", "p": 0.8},
        {"name": "delay", "p": 0.3, "low_ms": 200.0, "high_ms": 450.0},
        {"name": "pitch_shift", "p": 0.6, "low_cents": -700.0, "high_cents": 700.0},
        {"name": "reverb", "p": 0.6},
    ],
    "clmr_paper": [
        {"name": "polarity", "p": 0.8},
        {"name": "noise", "p": 0.01, "low_snr_db": 80.0, "high_snr_db": 80.0},
        {"name": "gain", "p": 0.3, "low_db": -6.0, "high_db": 0.0},
        {"name": "high_low_pass", "p": 0.8},
        {"name": "delay", "p": 0.3, "low_ms": 200.0, "high_ms": 500.0},
        {"name": "pitch_shift", "p": 0.6, "low_cents": -500.0, "high_cents": 500.0},
        {"name": "reverb", "p": 0.6},
    ],
}
"""Chains of waveforms by name."""


@dataclass(frozen=True)
class Step:
    """One augmentation of a chain.

    Attributes:
        name: of the function.
        function: what is done.
        p: probability, for each item of a batch, that it is done.
        arguments: of the function, but for those that each batch gives.
        asked: parameters that each batch gives: of "lengths" and "rows".
    """

    name: str
    function: Augmentation
    p: float
    arguments: dict[str, Any]
    asked: frozenset[str]

    @property
    def changes(self) -> frozenset[str]:
        """What it changes in the music, as it declares."""
        found: frozenset[str] = self.function.__dict__["changes"]
        return found

    def __call__(self, batch: Tensor, generator: torch.Generator, lengths: Tensor) -> Tensor:
        """The batch with those of its items changed that the generator picks."""
        picked = torch.rand(len(batch), generator=generator, device=generator.device) < self.p
        rows = picked.nonzero().flatten().to(batch.device)
        if not len(rows):
            return batch
        given = {"lengths": lengths.to(batch.device)[rows]} if "lengths" in self.asked else {}
        if "rows" in self.asked:  # it looks at the whole batch
            return batch.index_copy(0, rows, self.function(batch, generator, rows=rows, **given, **self.arguments))
        return batch.index_copy(0, rows, self.function(batch[rows], generator, **given, **self.arguments))


class Chain:
    """Augmentations one after the other, each for some of a batch's items.

    Args:
        blocks: the augmentations in order, or the name of one of `PRESETS`.
        domain: what they work on.
        given: what the code knows and no block may set: ``sample_rate`` of waveforms, ``silence`` of features.

    Raises:
        InputError: a name, a setting or its type is unknown, or a lower bound is above its upper bound.
    """

    def __init__(self, blocks: str | Sequence[Block], domain: Literal["waveform", "features"], **given: float) -> None:
        if isinstance(blocks, str):
            if domain != "waveform" or blocks not in PRESETS:
                raise InputError(f"views: {domain} has no preset {blocks!r}; waveform has {listed(PRESETS)}")
            blocks = PRESETS[blocks]
        self.silence = given.get("silence", 0.0)
        self.axis = 2 if domain == "waveform" else 1  # of time
        self.steps = [_step(block, domain, given, f"views: {domain}[{n}]") for n, block in enumerate(blocks)]

    @property
    def changes(self) -> frozenset[str]:
        """What its augmentations change in the music, together."""
        return frozenset().union(*(step.changes for step in self.steps))

    def __call__(self, batch: Tensor, generator: torch.Generator, lengths: Tensor) -> Tensor:
        """The batch, augmented; what follows ``lengths`` is silence.

        Args:
            batch: waveforms ``(batch, channels, samples)`` or features ``(batch, frames, *shape)``.
            generator: decides everything that is random; of the batch's device or of the CPU.
            lengths: valid samples or frames, ``(batch,)``.
        """
        for step in self.steps:
            batch = silenced(step(batch, generator, lengths), lengths, self.axis, self.silence)
        return batch


def silenced(batch: Tensor, lengths: Tensor, axis: int, silence: float) -> Tensor:
    """Fill what follows ``lengths (batch,)`` along ``axis`` with silence."""
    padding = torch.arange(batch.shape[axis], device=batch.device) >= lengths.to(batch.device)[:, None]
    shape = (len(batch), *[1] * (axis - 1), batch.shape[axis], *[1] * (batch.ndim - axis - 1))
    return batch.masked_fill(padding.view(shape), silence)


def functions(domain: str) -> dict[str, Augmentation]:
    """The augmentations of waveforms, or of features, by name."""
    found = vars(DOMAINS[domain]).items()
    return {name: f for name, f in found if inspect.isfunction(f) and "changes" in f.__dict__}


def _step(block: Block, domain: str, given: Mapping[str, Any], where: str) -> Step:
    available, name = functions(domain), block.get("name")
    if not isinstance(name, str) or name not in available:
        raise InputError(f"{where}: name is {name!r}; valid: {listed(available)}")
    function, where = available[name], f"{where} ({name})"
    parameters, hints = inspect.signature(function).parameters, get_type_hints(function, include_extras=True)
    own = {key: p for key, p in parameters.items() if key not in given and plain.is_plain(hints[key])}
    wanted = {key: Setting(hints[key], p.default is inspect.Parameter.empty) for key, p in own.items()}
    values = {key: value for key, value in block.items() if key != "name"}
    plain.check(where, values, {"p": Setting(Share, False), **wanted})
    probability = float(values.pop("p", 1.0))
    settings = {key: plain.converted(value, hints[key]) for key, value in values.items()}
    _check_bounds({key: p.default for key, p in own.items()} | settings, where)
    fixed = {key: value for key, value in given.items() if key in parameters}
    return Step(name, function, probability, fixed | settings, frozenset({"lengths", "rows"} & parameters.keys()))


def _check_bounds(settings: Mapping[str, Any], where: str) -> None:
    for key, low in settings.items():
        high = settings.get(key.replace("low_", "high_", 1))
        if key.startswith("low_") and high is not None and low > high:
            raise InputError(f"{where}: {key} is {low:g}, valid is at most {key.replace('low_', 'high_', 1)}, {high:g}")
