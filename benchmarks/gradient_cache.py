"""What a gradient cache saves in memory and costs in time, by batch size, and what it changes under batch norm.

    python benchmarks/gradient_cache.py [curve.png] [largest batch] [micro_batch]

The encoders of experiments/quickstart.yaml, without dropout, and clip, on one thread in fp32: a batch that is embedded
whole against one that is embedded in parts (``train.micro_batch``). The batch is noise.

Memory is VmHWM of /proc/self/status, the peak of the resident memory, in a process for every point, less what it held
before the first step, the batch included. Unlike ru_maxrss it does not begin with the parent's; and malloc is told to
give large blocks back at once, or it would be as much the allocator's as the step's. Seconds are processor time, in
another process that is told nothing: the least of three steps (gradients alone, no optimiser) after one that does not
count, so that what else the machine does matters little.

The differences are those of all gradients of the encoders together, |parts - whole| / |whole|, for a batch of the
synthetic orchestra, in float64.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal import config, registry
from crossmodal.config import Config
from crossmodal.data.loader import Batches, Share
from crossmodal.gradients import Gradients
from crossmodal.model import DualEncoder
from crossmodal.prepare import fit_encoders, make_batches, open_store, read_manifest
from crossmodal.processes import accelerator
from crossmodal.types import Batch

QUICKSTART = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"
SMALLEST = 64
WORDS = ["slow", "bright", "organ", "drums", "without", "them", "traurige", "Geige", "una", "chitarra", "lenta"]
TRACKS = 256  # of the orchestra, all in one batch, for the differences


class Point(NamedTuple):
    """What a step takes: megabytes at its peak, and seconds of one processor."""

    megabytes: float
    seconds: float


def built(settings: Config, norm: str = "batch") -> DualEncoder:
    torch.manual_seed(0)
    audio = settings.audio_encoder | {"norm": norm, "dropout": 0.0}
    return DualEncoder(audio, settings.text_encoder | {"dropout": 0.0}, settings.dim, settings.window_s)


def gradients_of(model: DualEncoder) -> Gradients:
    objectives = {"clip": registry.build("objectives", "clip")}
    return Gradients(accelerator("fp32"), model, objectives, {"clip": 1.0}, lambda part, _: part, 0)


def random_parts(model: DualEncoder, share: Share, size: int) -> list[Batch]:
    """A batch of noise, each track with a text of twelve words."""
    draw = torch.Generator().manual_seed(1)
    model.text_encoder.fit(WORDS)
    audio = torch.randn(1, size, model.window, *model.audio_encoder.frontend.shape, generator=draw)
    lengths = torch.full((1, size), model.window)
    texts = [" ".join(WORDS[int(i)] for i in torch.randint(len(WORDS), (12,), generator=draw)) for _ in range(size)]
    none = torch.zeros(size, 0, dtype=torch.bool)
    whole = Batch(torch.arange(size), audio, lengths, {}, torch.eye(size, dtype=torch.bool), none, none)
    return [
        replace(
            whole,
            audio=audio[:, part],
            lengths=lengths[:, part],
            tokens=model.text_encoder.tokenize(texts[part]),
            first=part.start,
        )
        for part in share.parts(size)
    ]


def resident(name: str) -> float:
    """VmRSS or VmHWM of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000


def point(size: int, micro_batch: int) -> tuple[float, float]:
    """Megabytes and seconds of this process's steps; a ``micro_batch`` of 0 embeds the batch whole."""
    model = built(config.load(QUICKSTART)).train()
    gradients = gradients_of(model)
    parts = random_parts(model, Share(micro_batch=micro_batch or None), size)
    before, times = resident("VmRSS"), []
    for number in range(4):
        model.zero_grad()
        began = time.process_time()
        gradients(number, parts)
        times.append(time.process_time() - began)
    return resident("VmHWM") - before, min(times[1:])


def in_processes(size: int, micro_batch: int) -> Point:
    """Memory of one process, and the time of another, whose allocator may keep what it has."""
    command = [sys.executable, __file__, "point", str(size), str(micro_batch)]
    found = []
    for told in ({"MALLOC_MMAP_THRESHOLD_": "65536"}, {}):
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | told
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return Point(found[0][0], found[1][1])


def curve(sizes: list[int], micro_batch: int) -> dict[int, tuple[Point, Point]]:
    """Whole, and in parts, by batch size."""
    part = f"of {micro_batch}"
    print(f"{'batch':>6}{'whole, MB':>12}{f'{part}, MB':>12}{'whole, s':>11}{f'{part}, s':>11}{'time':>8}")
    found = {}
    for size in sizes:
        whole, parts = found[size] = in_processes(size, 0), in_processes(size, micro_batch)
        times = f"{whole.seconds:>11.2f}{parts.seconds:>11.2f}{parts.seconds / whole.seconds:>8.2f}"
        print(f"{size:>6}{whole.megabytes:>12.0f}{parts.megabytes:>12.0f}{times}", flush=True)
    return found


def plot(found: dict[int, tuple[Point, Point]], micro_batch: int, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for column, label in enumerate(("embedded whole", f"micro_batch {micro_batch}")):
        axes.plot(list(found), [points[column].megabytes for points in found.values()], marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(list(found), [str(size) for size in found])
    axes.set(xlabel="batch size, tracks", ylabel="peak memory of a step, MB")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(path)


def orchestra(settings: Config, folder: Path) -> Batches:
    """The batches of one model; the others' encoders are of the same front end and tokenizer."""
    manifest = read_manifest(settings, print)
    model = built(settings)
    store = open_store(settings, manifest, model.audio_encoder.frontend, print)
    return make_batches(settings, model, manifest, store)


def flat_gradient(model: DualEncoder, batches: Batches) -> Tensor:
    model.zero_grad()
    parts = [replace(part, audio=part.audio.double()) for part in batches[0]]
    gradients_of(model)(0, parts)
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def differences(folder: Path, micro_batches: list[int]) -> None:
    """Print the relative difference that parts make to the gradient, with either norm."""
    small = [f"data.root={folder / 'audio'}", f"data.tracks={TRACKS}", f"features.folder={folder}"]
    settings = config.load(QUICKSTART, [*small, f"train.batch_size={TRACKS}"])
    batches = orchestra(settings, folder)
    print(
        f"\nrelative difference of the gradient, batch of {TRACKS}\n{'norm':<8}"
        + "".join(f"{f'of {m}':>12}" for m in micro_batches)
    )
    for norm in ("group", "batch"):
        model = built(settings, norm)
        fit_encoders(model, replace(batches, tokenize=model.text_encoder.tokenize))
        own = replace(batches, tokenize=model.text_encoder.tokenize)
        model = model.double().train()
        whole = flat_gradient(model, own)
        shared = [flat_gradient(model, replace(own, share=Share(micro_batch=size))) for size in micro_batches]
        print(f"{norm:<8}" + "".join(f"{float((parts - whole).norm() / whole.norm()):>12.1e}" for parts in shared))


def main(path: str = "cache/gradient_cache.png", largest: str = "1024", micro_batch: str = "32") -> None:
    sizes = [SMALLEST * 2**power for power in range(20) if SMALLEST * 2**power <= int(largest)]
    plot(curve(sizes, int(micro_batch)), int(micro_batch), Path(path))
    with tempfile.TemporaryDirectory() as folder:
        differences(Path(folder), [TRACKS // 2, TRACKS // 4, TRACKS // 8])


if __name__ == "__main__":
    if sys.argv[1:2] == ["point"]:
        print(json.dumps(point(*map(int, sys.argv[2:]))))
    else:
        main(*sys.argv[1:])
