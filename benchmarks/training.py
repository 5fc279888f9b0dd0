"""How long the training loop waits for data, and what memory layout and precision do to a step, in one run.

    python benchmarks/training.py [turns] [steps]

The model of experiments/quickstart.yaml on 256 tracks of the synthetic orchestra, features from a store, on two cores.
The ways of computing a step take turns on the same batches, so that what else the machine does falls on all of them;
ratios are medians over the turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal import config
from crossmodal.config import Config
from crossmodal.data.loader import Batches, load
from crossmodal.loop import Trainer
from crossmodal.model import DualEncoder
from crossmodal.precision import training_precision
from crossmodal.prepare import fit_encoders, make_batches, open_store, read_manifest
from crossmodal.runs import Run
from crossmodal.training import build_objectives
from crossmodal.types import Space

QUICKSTART = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"
CORES = 2
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
WAYS = ("fp32 contiguous", "fp32 channels_last", "bf16 channels_last")


def prepared(folder: Path) -> tuple[Config, Batches]:
    """The quickstart on little data, and its batches."""
    small = [f"data.root={folder / 'audio'}", "data.tracks=256", f"features.folder={folder}", "train.epochs=1000"]
    settings = config.load(QUICKSTART, small)
    manifest = read_manifest(settings, print)
    model = DualEncoder(settings.audio_encoder, settings.text_encoder, settings.dim, settings.window_s)
    store = open_store(settings, manifest, model.audio_encoder.frontend, print)
    batches = make_batches(settings, model, manifest, store)
    fit_encoders(model, batches)
    return settings, batches


def trainer(settings: Config, batches: Batches, way: str = WAYS[1]) -> Trainer:
    torch.manual_seed(0)
    model = DualEncoder(settings.audio_encoder, settings.text_encoder, settings.dim, settings.window_s)
    if way.endswith("contiguous"):
        without_channels_last(model.audio_encoder.stages)
    if way.startswith("bf16"):  # here and not in the trainer: accelerate has one precision a process
        model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    objectives, weights = build_objectives(settings, Space(settings.dim, batches.tags.vocabulary))
    return Trainer(Run(Path(), settings), model, objectives, weights, batches, "fp32")


def without_channels_last(stages: nn.Module) -> None:
    """Undo what the encoder does to its weights and its input; both ways have to give the same layout."""

    def plain(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (inputs[0].clone(memory_format=torch.contiguous_format),)

    def check(_: nn.Module, __: tuple[Tensor], output: Tensor) -> None:
        assert output.is_contiguous(), "the convolutions went back to channels_last"

    stages.to(memory_format=torch.contiguous_format)
    stages.register_forward_pre_hook(plain)
    stages.register_forward_hook(check)


def waiting(settings: Config, batches: Batches, steps: int) -> None:
    """The share of the time, the first two steps and the start of the processes left out."""
    for workers in (0, 1):
        training = trainer(settings, batches)
        stream = iter(load(batches, 0, steps + 2, workers))
        for step in range(steps + 2):
            if step == 2:
                training.progress.seconds = training.progress.loading = 0.0
            training.step(stream)
        share = training.progress.loading / training.progress.seconds
        each = training.progress.seconds / steps * 1e3
        aim = "" if workers == 0 else " (less than 5 %)"
        print(f"waiting for data, {workers} worker(s): {share:.1%} of {each:.0f} ms a step{aim}")


def ways(settings: Config, batches: Batches, turns: int) -> None:
    """Seconds of a step in each way, data in hand."""
    given = [batches[step] for step in range(turns + 1)]
    trainers = [trainer(settings, batches, way) for way in WAYS]
    times = np.array([[seconds_of(each, batch) for each in trainers] for batch in given])[1:]
    for way, column in zip(WAYS, times.T, strict=True):
        ratio = np.median(times[:, 0] / column)
        print(f"{way:18s} {np.median(column) * 1e3:6.0f} ms a step, speed against {WAYS[0]}: {ratio:.2f}")


def seconds_of(training: Trainer, batch: object) -> float:
    begin = time.perf_counter()
    training.step(iter([batch]))
    return time.perf_counter() - begin


def processor() -> None:
    """What the processor can do, since it decides which precision is fast."""
    found = Path("/proc/cpuinfo").read_text().split()
    print("processor flags:", ", ".join(f"{flag} {'yes' if flag in found else 'no'}" for flag in FLAGS))
    print(f"training precision chosen by auto: {training_precision('auto')}")
    if not {"avx512_bf16", "amx_bf16"} & set(found):
        print("bf16 is emulated on this processor: its time below says nothing about one that computes in bf16")


def main(turns: int = 5, steps: int = 30) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-CORES:])
    torch.set_num_threads(CORES)
    processor()
    with tempfile.TemporaryDirectory() as folder:
        settings, batches = prepared(Path(folder))
        waiting(settings, batches, steps)
        ways(settings, batches, turns)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
