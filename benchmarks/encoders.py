"""Size and speed of every audio encoder with its published settings, as rows of the table in docs/encoders.md.

    python benchmarks/encoders.py [repetitions]

A clip of 4 s as its front end gives it, in a batch of 4, on one thread, without gradients: processor time by clip, the
least of the repetitions, since what else the machine does can only add to it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal import registry

CLIP_S = 4.0
BATCH = 4


@torch.inference_mode()
def row(name: str, repetitions: int) -> str:
    torch.manual_seed(0)
    encoder = registry.build("encoders.audio", name).eval()
    frames = encoder.frontend.frames(round(CLIP_S * encoder.frontend.sample_rate))
    features = torch.randn(BATCH, frames, *encoder.frontend.shape)
    steps, spent = encoder.sequence(features).shape[1], []
    for _ in range(repetitions):
        begin = time.process_time()
        encoder(features)
        spent.append((time.process_time() - begin) / BATCH * 1e3)
    shape = " x ".join(map(str, (frames, *encoder.frontend.shape)))
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    return f"| `{name}` | {shape} | {weights:,} | {encoder.dim} | {steps} | {min(spent):.0f} |"


def main(repetitions: int = 10) -> None:
    torch.set_num_threads(1)
    print("| encoder | frames of 4 s | parameters | output | steps | ms by clip |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in registry.names("encoders.audio"):
        print(row(name, repetitions), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
