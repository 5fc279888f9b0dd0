"""Trainings that are killed, and what is compared after they went on.

A module of its own, since two test files use it and share one server of processes.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from pathlib import Path

import torch

from crossmodal.cli import main
from crossmodal.runs import Run

# a server that has imported what training needs forks processes that begin at once
SERVER = multiprocessing.get_context("forkserver")
PRELOADED = ["crossmodal.training", "crossmodal.encoders.text.mini_transformer", "crossmodal.tasks.neighbours"]
SERVER.set_forkserver_preload(PRELOADED)


def killed(arguments: list[str], folder: Path, step: int) -> int:
    """Train in a process of its own and kill it once it has logged the step; returns the last step it logged."""
    child = SERVER.Process(target=main, args=(arguments,))
    child.start()
    deadline = time.monotonic() + 120
    while logged(folder) < step:
        assert child.is_alive(), f"it ended by itself before step {step}"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    return logged(folder)


def logged(folder: Path) -> int:
    runs = list(folder.glob("*/*/metrics.jsonl"))
    rows = Run(runs[0].parent, None).metrics() if runs else []  # type: ignore[arg-type]
    return max((row["step"] for row in rows), default=-1)


def equal(first: object, second: object) -> bool:
    """Equal, tensors bit for bit, in dicts and lists of any depth."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor):
        return torch.equal(first, second)
    return first == second
