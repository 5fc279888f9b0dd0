"""Whatever stops a training, the same command ends at the same weights, bit for bit."""

from __future__ import annotations

import json
import signal
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
import pytest
import torch
from killing import equal, killed
from tiny import Trained

from crossmodal.cli import main
from crossmodal.loop import Trainer
from crossmodal.runs import find_run

LONGER = ["train.epochs=4", "tasks={}", "queries=[]"]  # 17 steps, saved every 3 and at each of 4 validations


def command(trained: Trained, folder: Path, *overrides: str) -> list[str]:
    return ["train", str(trained.experiment), f"run.folder={folder}", *LONGER, *overrides]


def end(folder: Path) -> tuple[dict[str, object], bytes, list[dict[str, float]]]:
    run = find_run(folder / "tiny")
    state = torch.load(run.state / "last.pt", weights_only=True)
    kept = {name: state[name] for name in ("model", "objectives", "optimizer", "schedule", "random")}
    return kept, (run.model / "model.safetensors").read_bytes(), run.metrics()


def snapshots(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (find_run(folder / "tiny").folder / "snapshots").iterdir()}


@pytest.mark.slow
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
    assert snapshots(tmp_path / "whole") == snapshots(folder)
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
