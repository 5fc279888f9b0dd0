"""The throughput of the training loop against the bare step of the same model, and how long the loop waits for data.

    python benchmarks/train_step.py [turns] [steps] [experiment]

The loop is crossmodal's `Trainer` on features from a store, with its loader, monitors, schedules and checks; the bare
step is forward, loss, backward, clipping and optimiser of the same model and objectives, over batches that lie in
memory, their audio random. Both take turns of so many steps, and the best turn of each counts: whatever else a machine
does can only slow it down. Every device and precision has a process of its own; a CPU has two cores. 256 tracks of the
synthetic orchestra; by default the model of experiments/quickstart.yaml.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal import config, optimizers
from crossmodal.config import Config
from crossmodal.data.corpus import Corpus
from crossmodal.data.loader import Batches, load
from crossmodal.loop import Trainer
from crossmodal.model import DualEncoder
from crossmodal.prepare import fit_encoders, make_batches, open_store, read_manifest
from crossmodal.runs import Run
from crossmodal.training import build_objectives, make_augment
from crossmodal.types import Batch

QUICKSTART = Path(__file__).parent.parent / "experiments" / "quickstart.yaml"
CORES = 2
WARM = 3  # steps at the start of a turn that are not counted
HEAD = f"{'device':8s}{'precision':>10s}{'loop':>12s}{'bare step':>12s}{'loop / bare':>13s}{'waits for data':>16s}"


class Bare:
    """The step alone, as one would write it for one model: no loader, no monitor, no log."""

    def __init__(
        self, settings: Config, model: nn.Module, objectives: nn.ModuleDict, factors: dict[str, float]
    ) -> None:
        self.model, self.objectives, self.factors, self.plan = model, objectives, factors, settings.train
        named = [*model.named_parameters(), *objectives.named_parameters()]
        self.parameters = [parameter for _, parameter in named]
        self.optimizer = optimizers.build(settings.optimizer, named)

    def step(self, batch: Batch, half: bool) -> None:
        """Move the weights by the gradient of one batch."""
        self.optimizer.zero_grad()
        with torch.autocast(batch.audio.device.type, torch.bfloat16, enabled=half):
            embeddings = self.model(batch)
        terms = [
            self.factors[name] * term
            for name, objective in self.objectives.items()
            for term in objective(batch, embeddings).values()
        ]
        torch.stack(terms).sum().backward()
        nn.utils.clip_grad_norm_(self.parameters, self.plan.clip_norm)
        self.optimizer.step()


def prepared(experiment: Path, folder: Path) -> tuple[Config, DualEncoder, Batches, nn.ModuleDict, dict[str, float]]:
    """The experiment on little data: its model, batches and objectives."""
    small = ["data={name: synthetic, tracks: 256, root: %s}" % (folder / "audio"), "split=combination"]
    settings = config.load(experiment, [*small, f"features.folder={folder}", "train.epochs=1000"])
    model = DualEncoder(settings.audio_encoder, settings.text_encoder, settings.dim, settings.window_s)
    manifest = read_manifest(settings, quiet)
    part = manifest.part(settings.split, "train")
    batches = make_batches(settings, model, part, open_store(settings, manifest, model.audio_encoder.frontend, quiet))
    fit_encoders(model, batches)
    objectives, factors = build_objectives(settings, model, batches, Corpus(part, batches.tracks))
    return settings, model, batches, objectives, factors


def quiet(_line: str) -> None:
    """Where lines for the screen go."""


def measure(device: str, precision: str, turns: int, steps: int, experiment: Path, folder: Path) -> None:
    """Print a row of the table."""
    if device == "cpu":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-CORES:])
        torch.set_num_threads(CORES)
    settings, model, batches, objectives, factors = prepared(experiment, folder)
    bare = Bare(settings, copy.deepcopy(model).to(device), copy.deepcopy(objectives).to(device), factors)
    augment = make_augment(settings, model, batches)
    trainer = Trainer(Run(folder, settings), model, objectives, factors, batches, augment, precision)
    held = [synthetic(batches[step][0]).to(torch.device(device)) for step in range(8)]
    times = [(looped(trainer, turn, steps), repeated(bare, held, steps, precision == "bf16")) for turn in range(turns)]
    (loop, share), alone = min(both for both, _ in times), min(seconds for _, seconds in times)
    examples = settings.train.batch_size * steps
    rates = f"{examples / loop:>9.0f} /s{examples / alone:>9.0f} /s"
    print(f"{device:8s}{precision:>10s}{rates}{alone / loop:>13.2f}{share:>16.1%}", flush=True)


def synthetic(batch: Batch) -> Batch:
    """The batch with noise of the same mean and deviation as audio."""
    audio = batch.audio
    return replace(batch, audio=audio.mean() + audio.std() * torch.randn(audio.shape))


def looped(trainer: Trainer, turn: int, steps: int) -> tuple[float, float]:
    """Seconds of so many steps of the loop, and the share of them that it waited for data."""
    progress, plan = trainer.progress, trainer.plan
    first = turn * (steps + WARM)
    with closing(load(trainer.batches, first, first + steps + WARM, plan.workers)) as stream:
        for _ in range(WARM):
            trainer.step(stream)
        progress.seconds = progress.loading = 0.0
        begin = time.perf_counter()
        for _ in range(steps):
            trainer.step(stream)
        seconds = time.perf_counter() - begin
    return seconds, progress.loading / progress.seconds


def repeated(bare: Bare, held: Sequence[Batch], steps: int, half: bool) -> float:
    """Seconds of so many bare steps."""
    bare.model.train()
    for number, batch in zip(range(WARM + steps), cycle(held), strict=False):
        if number == WARM:
            synchronise()
            begin = time.perf_counter()
        bare.step(batch, half)
    synchronise()
    return time.perf_counter() - begin


def synchronise() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main(turns: int = 5, steps: int = 20, experiment: Path = QUICKSTART) -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    if not {"avx512_bf16", "amx_bf16"} & set(flags):
        print("bf16 is emulated on this CPU: its row says nothing about one that computes in bf16")
    print(HEAD)
    devices = {"cpu": ""} | ({"cuda": os.environ.get("CUDA_VISIBLE_DEVICES", "0")} if torch.cuda.is_available() else {})
    with tempfile.TemporaryDirectory() as folder:
        for device, visible in devices.items():
            for precision in ("fp32", "bf16"):
                given = [device, precision, turns, steps, experiment, folder]
                environment = os.environ | {"CUDA_VISIBLE_DEVICES": visible}
                subprocess.run([sys.executable, __file__, *map(str, given)], env=environment, check=True)
    if "cuda" not in devices:
        print("cuda     unmeasured: no GPU")


if __name__ == "__main__":
    if sys.argv[1:2] in (["cpu"], ["cuda"]):
        measure(*sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]), Path(sys.argv[6]))
    else:
        main(*map(int, sys.argv[1:3]), *map(Path, sys.argv[3:4]))
