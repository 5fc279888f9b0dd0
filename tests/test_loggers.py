from __future__ import annotations

import csv
import dataclasses
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from crossmodal import config as configs
from crossmodal.errors import InputError
from crossmodal.loggers import check_installed, open_loggers
from crossmodal.runs import Run

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "quickstart.yaml"


def run(folder: Path, loggers: list[str] | None) -> Run:
    experiment = configs.load(EXPERIMENT)
    plan = dataclasses.replace(experiment.train, loggers=loggers)
    return Run(folder, dataclasses.replace(experiment, train=plan))


def test_csv_holds_every_row_and_every_metric(tmp_path):
    made = run(tmp_path, ["csv"])
    made.log({"step": 1, "loss": 2.0})
    made.log({"step": 2, "valid/score": 0.5})
    for logger in open_loggers(made):
        logger.flush()
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"step": "1", "loss": "2.0", "valid/score": ""},
        {"step": "2", "loss": "", "valid/score": "0.5"},
    ]


class Writer:
    def __init__(self, folder: Path, purge_step: int | None) -> None:
        self.purge_step, self.rows = purge_step, []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.rows.append((name, value, step))

    def flush(self) -> None:
        self.rows.append("flushed")


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = ModuleType(name)
    module.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_tensorboard_goes_on_after_the_last_row_of_a_resumed_run(tmp_path, monkeypatch):
    stand_in(monkeypatch, "torch.utils.tensorboard", SummaryWriter=Writer)
    made = run(tmp_path, ["tensorboard"])
    made.log({"step": 7, "loss": 2.0})
    (logger,) = open_loggers(made)
    logger.log(8, {"loss": 1.5, "lr": 0.1})
    logger.flush()
    assert logger.writer.purge_step == 8
    assert logger.writer.rows == [("loss", 1.5, 8), ("lr", 0.1, 8), "flushed"]


def test_wandb_is_told_the_experiment_and_the_run(tmp_path, monkeypatch):
    told: dict[str, Any] = {}

    class Session:
        def log(self, metrics: dict[str, float], step: int) -> None:
            told["row"] = (metrics, step)

    stand_in(monkeypatch, "wandb", init=lambda **settings: told.update(settings) or Session())
    (logger,) = open_loggers(run(tmp_path / "2026", ["wandb"]))
    logger.log(3, {"loss": 1.0})
    assert (told["project"], told["id"], told["row"]) == ("quickstart", "2026", ({"loss": 1.0}, 3))
    assert told["config"]["train"]["loggers"] == ["wandb"]


def test_a_logger_that_is_not_installed_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("crossmodal.loggers.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"crossmodal\[log\]"):
        check_installed(run(tmp_path, ["csv", "wandb"]).config)
    assert [type(logger).__name__ for logger in open_loggers(run(tmp_path, None))] == ["Csv"]
