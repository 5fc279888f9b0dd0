"""Trainings by several processes: of what experiment, how they are launched, and what is compared after them.

A module of its own, since two test files use it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from crossmodal.runs import find_run

ROOT = Path(__file__).resolve().parent.parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]


def join(rank: int, port: int) -> None:
    """Make this process one of two, as a launcher would start it."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def without_chance(experiment: Path, path: Path) -> Path:
    """An experiment without batch norm and dropout, by SGD, which does not blow rounding up as Adam does."""
    content = yaml.safe_load(experiment.read_text())
    content["audio_encoder"] |= {"norm": "group", "dropout": 0.0}
    content["text_encoder"] |= {"dropout": 0.0}
    content["optimizer"] = {"name": "sgd", "lr": 0.05}
    content["train"] |= {"epochs": 4, "micro_batch": 4}
    path.write_text(yaml.safe_dump(content))
    return path


def command(plain: Path, folder: Path, *overrides: str, launcher: list[str] = TORCHRUN) -> list[str]:
    script = ROOT / "scripts" / "train_crossmodal.py"
    return [*launcher, str(script), str(plain), f"run.folder={folder}", "tasks={}", *overrides]


def start(arguments: list[str], folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(arguments, env=environment, stdout=said, stderr=subprocess.STDOUT)


def ended(arguments: list[str], folder: Path) -> tuple[int, list[str]]:
    """The exit code and the lines of a training."""
    code = start(arguments, folder).wait(120)
    return code, (folder / "said").read_text().replace("\r", "\n").splitlines()


def messages(lines: list[str]) -> list[str]:
    return [line.removeprefix("crossmodal: ") for line in lines if line.startswith("crossmodal: ")]


def rows(folder: Path) -> list[dict[str, float]]:
    return find_run(folder / "tiny").metrics()


def assert_alike(folder: Path, other: Path) -> None:
    """The same metrics and weights, up to rounding."""
    for mine, theirs in zip(rows(folder), rows(other), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    weights = [torch.load(find_run(f / "tiny").state / "last.pt", weights_only=True)["model"] for f in (folder, other)]
    for name, value in weights[0].items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-5, msg=name)
