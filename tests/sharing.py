"""A batch that is shared: by the parts of a gradient cache, or by processes when this file is run by torchrun.

A module of its own, since it is also the program that two processes run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from crossmodal import registry, sharding
from crossmodal.data.loader import Share
from crossmodal.gradients import Gradients
from crossmodal.model import DualEncoder
from crossmodal.processes import accelerator
from crossmodal.types import Batch, Space

TRACKS, VIEWS, FRAMES, BANDS = 12, 2, 40, 16
WORDS = ["slow", "fast", "piano", "organ", "sad", "bright", "drums", "no drums", "Glocken", "lent", "hızlı", "chitarra"]
TEXTS_OF = (0, 1, 2, 3, 5, 7, 8, 11)
OBJECTIVES: dict[str, dict[str, Any]] = {
    "clip": {},
    "siglip": {},
    "tag_classification": {},
    "ntxent": {},
    "byol": {},
    "barlow_twins": {},
    "cpc": {"steps": 2},
}


def model(norm: str = "group", dropout: float = 0.0) -> DualEncoder:
    """A small dual encoder in float64."""
    frontend = {"sample_rate": 8000, "n_fft": 256, "hop": 128, "bands": BANDS}
    audio = {"name": "mel_cnn", "frontend": frontend, "channels": [4, 8], "dim": 8, "norm": norm, "dropout": dropout}
    text = {"name": "mini_transformer", "vocabulary": 300, "dim": 8, "layers": 1, "heads": 2, "dropout": dropout}
    made = DualEncoder(audio, text, dim=8)
    made.text_encoder.fit(WORDS)
    return made.double()


def objectives(made: DualEncoder, blocks: Mapping[str, dict[str, Any]] = OBJECTIVES) -> nn.ModuleDict:
    """One of every kind: with texts, tags, batch norm in a head, a teacher, a sequence."""
    space = Space(made.dim, (("genre", "rock"), ("genre", "jazz"), ("mood", "sad")), made.audio_encoder.dim)
    takes_space = {"tag_classification", "ntxent", "byol", "barlow_twins", "cpc"}
    built = nn.ModuleDict(
        {
            name: registry.build("objectives", name, **block, **({"space": space} if name in takes_space else {}))
            for name, block in blocks.items()
        }
    ).double()
    for objective in built.values():
        objective.start(made.audio_encoder)
    return built


def parts(made: DualEncoder, share: Share, texts_of: tuple[int, ...] = TEXTS_OF) -> list[Batch]:
    """The parts of one batch; not every track has a text, and two tracks share one."""
    draw = torch.Generator().manual_seed(1)
    audio = torch.randn(VIEWS, TRACKS, FRAMES, BANDS, generator=draw, dtype=torch.float64)
    lengths = torch.randint(20, FRAMES + 1, (VIEWS, TRACKS), generator=draw)
    positives = torch.zeros(len(texts_of), TRACKS, dtype=torch.bool)
    positives[range(len(texts_of)), list(texts_of)] = True
    positives[0, 1] = True
    tags = torch.rand(TRACKS, 3, generator=draw) < 0.4
    whole = Batch(torch.arange(TRACKS), audio, lengths, {}, positives, tags, torch.ones_like(tags))
    found = []
    for part in share.parts(TRACKS):
        words = [WORDS[track] for track in texts_of if part.start <= track < part.stop]
        tokens = made.text_encoder.tokenize(words) if words else {}
        found.append(replace(whole, audio=audio[:, part], lengths=lengths[:, part], tokens=tokens, first=part.start))
    return found


def gradients(
    share: Share, norm: str = "group", dropout: float = 0.0, blocks: Any = None, texts_of: tuple[int, ...] = TEXTS_OF
) -> dict[str, Tensor]:
    """The gradients of one batch as this process, or all of them together, finds them, by name; and the terms."""
    torch.manual_seed(3)
    made = model(norm, dropout)
    built = objectives(made, blocks or OBJECTIVES)
    torch.manual_seed(4)
    own, plan = accelerator("fp32"), sharding.plan()
    wrapped, stand_in = made, {}
    if plan:
        sharding.shard(made, [part for part in built.modules() if isinstance(part, type(made.audio_encoder))], plan)
        stand_in = made.text_encoder.tokenize(["music"])
    elif own.num_processes > 1:
        wrapped = own.prepare(made)
    weights = dict.fromkeys(built, 0.5)
    differentiate = Gradients(own, wrapped, dict(built.items()), weights, lambda part, _: part, 0, stand_in)
    terms = differentiate(0, parts(made, share, texts_of))
    named = [*made.named_parameters(), *built.named_parameters()]
    found = {name: p.grad.clone() for name, p in named if p.grad is not None}
    found = sharding.whole(found) if plan else found
    return {**found, **{f"term {name}": term for name, term in terms.items()}}


if __name__ == "__main__":
    own = accelerator("fp32")
    found = gradients(Share(own.process_index, own.num_processes, 3))
    if own.is_main_process:
        torch.save(found, sys.argv[1])
    torch.distributed.destroy_process_group()
