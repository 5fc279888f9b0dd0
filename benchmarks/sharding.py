"""What a process holds of a model that is sharded by FSDP, against one that is whole in every process (DDP).

    python benchmarks/sharding.py [width] [layers] [processes]

The audio encoder of experiments/quickstart.yaml beside a mini_transformer of that width and so many layers, with clip
and AdamW, in fp32, on one thread a process over gloo; 8 tracks and texts a process, of noise.

Held are the bytes of the tensors: weights, gradients and the optimiser's state of this process, and the copy of the
weights that the main process keeps for validation. The peak is the highest resident memory in the last two of three
steps less that before the model was built, where malloc gives large blocks back at once. Seconds are those of a step by
the clock, the less of two; on CPUs they tell of gloo, not of NCCL.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gradient_cache import QUICKSTART, random_parts, resident

from crossmodal import config, optimizers, processes, registry, sharding
from crossmodal.data.loader import Share
from crossmodal.gradients import Gradients
from crossmodal.model import DualEncoder

PLANS = {
    "whole": {},
    "sharded": {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"},
    "sharded by layer": {
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_TRANSFORMER_CLS_TO_WRAP": "Block",
    },
}


def megabytes(tensors: list[Tensor | None]) -> float:
    own = [t.to_local() if isinstance(t, DTensor) else t for t in tensors if t is not None]
    return sum(t.numel() * t.element_size() for t in own) / 1e6


def process(width: int, layers: int, answer: Path) -> None:
    """One of the processes: three steps, and what it holds after them."""
    torch.manual_seed(0)
    settings, own, plan = config.load(QUICKSTART), processes.accelerator("fp32"), sharding.plan()
    before = resident("VmRSS")
    text = {"name": "mini_transformer", "dim": width, "layers": layers, "heads": width // 64}
    kept = DualEncoder(settings.audio_encoder | {"norm": "group"}, text, settings.dim, settings.window_s)
    parts = random_parts(kept, Share(own.process_index, own.num_processes), 8 * own.num_processes)
    model, count = kept, sum(weight.numel() for weight in kept.parameters())
    if plan:
        model = sharding.twin(kept)
        sharding.shard(model, [], plan)
    wrapped = model if plan else own.prepare(model)
    optimizer = optimizers.build(settings.optimizer, model.named_parameters())
    objectives = {"clip": registry.build("objectives", "clip")}
    gradients = Gradients(own, wrapped, objectives, {"clip": 1.0}, lambda part, _: part, 0)
    seconds = []
    for number in range(3):
        if number == 1:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        began = time.perf_counter()
        optimizer.zero_grad()
        gradients(number, parts)
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    weights = list(model.parameters())
    found = {
        "parameters": count,
        "weights": megabytes(weights),
        "gradients": megabytes([weight.grad for weight in weights]),
        "optimizer": megabytes([v for state in optimizer.state.values() for v in state.values()]),
        "kept": 0.0 if kept is model else megabytes(list(kept.parameters())),
        "peak": resident("VmHWM") - before,
        "seconds": min(seconds[1:]),
    }
    answer.with_name(f"{own.process_index}.json").write_text(json.dumps(found))


def measured(plan: dict[str, str], width: int, layers: int, count: int) -> list[dict[str, Any]]:
    """What each process found."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"} | plan
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        subprocess.run(
            [*command, __file__, "process", str(width), str(layers), str(answer)], env=environment, check=True
        )
        return [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(count)]


def main(width: int = 512, layers: int = 8, count: int = 2) -> None:
    """Print a table: megabytes of the main process and of another, and seconds of a step."""
    print("| model | process | weights | gradients | optimizer | kept copy | held, MB | peak, MB | seconds a step |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, plan in PLANS.items():
        found = measured(plan, width, layers, count)
        for process, one in (("main", found[0]), ("other", found[-1])):
            parts = [one[what] for what in ("weights", "gradients", "optimizer", "kept")]
            cells = [*parts, sum(parts), one["peak"]]
            print(f"| {name} | {process} | {' | '.join(f'{mb:,.0f}' for mb in cells)} | {one['seconds']:.2f} |")
    print(f"{found[0]['parameters']:,} parameters, {count} processes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["process"]:
        process(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(*(int(argument) for argument in sys.argv[1:]))
