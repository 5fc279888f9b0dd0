"""Whatever stops a training, the same command ends at the same weights, bit for bit."""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import Trained

from crossmodal.cli import main
from crossmodal.loop import Trainer
from crossmodal.runs import Run, find_run

LONGER = ["train.epochs=4", "tasks={}", "queries=[]"]  # 17 steps, saved every 3 and at each of 4 validations
# a server that has imported what training needs forks processes that begin at once
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["crossmodal.training", "crossmodal.encoders.text.mini_transformer"])


def command(trained: Trained, folder: Path, *overrides: str) -> list[str]:
    return ["train", str(trained.experiment), f"run.folder={folder}", *LONGER, *overrides]


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


def end(folder: Path) -> tuple[dict[str, object], bytes, list[dict[str, float]]]:
    run = find_run(folder / "tiny")
    state = torch.load(run.state / "last.pt", weights_only=True)
    kept = {name: state[name] for name in ("model", "objectives", "optimizer", "schedule", "random")}
    return kept, (run.model / "model.safetensors").read_bytes(), run.metrics()


def test_a_training_killed_twice_ends_bit_for_bit_like_one_that_was_not(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forkserver.ensure_running()  # it imports while this process trains
    rng = np.random.default_rng(20260)
    assert main(command(trained, tmp_path / "whole")) == 0
    arguments, folder = command(trained, tmp_path / "killed"), tmp_path / "killed"
    first = killed(arguments, folder, int(rng.integers(1, 7)))
    second = killed(arguments, folder, int(rng.integers(8, 13)))
    assert first < second < 17
    capsys.readouterr()
    assert main(arguments) == 0
    assert "continuing" in capsys.readouterr().out
    state, model, rows = end(tmp_path / "whole")
    state_again, model_again, rows_again = end(folder)
    assert equal(state, state_again)
    assert model == model_again
    assert rows == rows_again
    assert [row["step"] for row in rows_again if "loss" in row] == list(range(1, 18))
    assert json.loads((find_run(folder / "tiny").folder / "environment.json").read_text())["threads"] == 1


def test_ctrl_c_saves_says_how_to_go_on_and_ends_with_130(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def pressed(self: Trainer, stream: object) -> dict[str, float]:
        if self.progress.step == 3:
            signal.raise_signal(signal.SIGINT)
        return step(self, stream)  # type: ignore[arg-type]

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", pressed)
        assert main(command(trained, tmp_path)) == 130
    lines = capsys.readouterr().err.strip().splitlines()
    folder = find_run(tmp_path / "tiny").folder
    assert lines[-1] == f"crossmodal: stopped after step 4 of 17; {folder} is saved; the same command goes on"
    assert signal.getsignal(signal.SIGINT) is before
    assert torch.load(folder / "state" / "last.pt", weights_only=True)["progress"]["step"] == 4
    assert main(command(trained, tmp_path)) == 0
    said = capsys.readouterr().out
    assert f"continuing {folder}" in said
    assert "from step 4" in said
