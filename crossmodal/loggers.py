"""Where metrics go beside metrics.jsonl: a CSV file, TensorBoard, Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from typing import Protocol

from crossmodal.config import Config
from crossmodal.errors import InputError
from crossmodal.runs import Run


class Logger(Protocol):
    """Takes the rows of metrics.jsonl as they come."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a step."""
        ...

    def flush(self) -> None:
        """Make what was taken visible; called after each validation and at the end."""
        ...


class Csv(Logger):
    """metrics.csv: one row a step, one column a metric, written anew at each validation."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing: the rows are in metrics.jsonl."""

    def flush(self) -> None:
        """Write the file."""
        self.run.write_csv()


class TensorBoard(Logger):
    """Events in the run's ``tensorboard/``; those of steps that a resumed run does again are dropped."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        logged = run.metrics()
        self.writer = SummaryWriter(run.folder / "tensorboard", purge_step=logged[-1]["step"] + 1 if logged else None)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Scalars under the metrics' names."""
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Write the events."""
        self.writer.flush()


class Wandb(Logger):
    """Weights & Biases, by the experiment and the time of the run; ``WANDB_MODE=offline`` needs no account."""

    def __init__(self, run: Run) -> None:
        import wandb

        self.run = wandb.init(
            project=run.config.name, id=run.folder.name, resume="allow", dir=run.folder, config=asdict(run.config)
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """One row; wandb takes steps in order only, and a resumed run's repeated ones are its own to drop."""
        self.run.log(dict(metrics), step=step)

    def flush(self) -> None:
        """Nothing: wandb sends by itself."""


LOGGERS: Mapping[str, type[Csv] | type[TensorBoard] | type[Wandb]] = {
    "csv": Csv,
    "tensorboard": TensorBoard,
    "wandb": Wandb,
}


def open_loggers(run: Run) -> list[Logger]:
    """The loggers that the experiment names; without a word, csv, and tensorboard if it is installed."""
    names = run.config.train.loggers
    if names is None:
        names = ["csv", "tensorboard"] if find_spec("tensorboard") else ["csv"]
    return [LOGGERS[name](run) for name in names]


def check_installed(config: Config) -> None:
    """Raise `InputError` if the experiment names a logger that is not installed."""
    for name in config.train.loggers or ():
        if name != "csv" and not find_spec(name):
            raise InputError(f'train.loggers names {name}, which is not installed: pip install "crossmodal[log]"')
