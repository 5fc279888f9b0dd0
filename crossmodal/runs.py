"""A run's folder: what it was asked, where it ran, how far it is, and that nobody else is writing to it."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossmodal import config as configs
from crossmodal.config import Config
from crossmodal.errors import InputError
from crossmodal.files import atomic, read_json, write_json

SCORE = "valid/score"  # the metric, of those that validation logs, by which the best model is chosen
PACKAGES = (
    "crossmodal",
    "torch",
    "torchaudio",
    "numpy",
    "pandas",
    "faiss-cpu",
    "transformers",
    "sentence-transformers",
)


@dataclass(frozen=True)
class Run:
    """``runs/<experiment>/<time>/``: config.yaml, environment.json, metrics.jsonl, model/, state/, results.json, ..."""

    folder: Path
    config: Config

    @property
    def model(self) -> Path:
        """The best model so far."""
        return self.folder / "model"

    @property
    def state(self) -> Path:
        """What is needed to go on exactly."""
        return self.folder / "state"

    @property
    def finished(self) -> bool:
        """Whether training and everything after it are done."""
        return (self.folder / "report.html").is_file()

    def log(self, row: dict[str, Any]) -> None:
        """Append a row to metrics.jsonl."""
        path = self.folder / "metrics.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise InputError(f"could not write {path}: {error.strerror}; the last saved state is whole") from error

    def metrics(self) -> list[dict[str, Any]]:
        """The rows logged so far; a last line that a kill cut short does not count."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def rewind(self, step: int) -> None:
        """Forget what was logged after ``step``, since those steps will be done again."""
        rows = [row for row in self.metrics() if row["step"] <= step]
        with atomic(self.folder / "metrics.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def write_csv(self) -> None:
        """Write metrics.csv from metrics.jsonl: one row a step, one column a metric."""
        rows = self.metrics()
        names = list(dict.fromkeys(name for row in rows for name in row))
        with (
            atomic(self.folder / "metrics.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


@contextmanager
def open_run(config: Config) -> Iterator[tuple[Run, bool]]:
    """The newest unfinished run of the same resolved config, or a new one, locked for this process; and which it is.

    Raises:
        InputError: another process is training it.
    """
    home = Path(config.run.folder) / config.name
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"run.folder: {home} cannot be made: {error.strerror}") from error
    with FileLock(home / ".lock"):  # short: two that start at once must not both find no run
        found = None if config.run.new else _unfinished(home, config)
        run = Run(found or _create(home, config), config)
        lock = FileLock(run.folder / "run.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{run.folder} is being trained by another process; wait for it, or start another with run.new=true"
            ) from None
    try:
        yield run, found is not None
    finally:
        lock.release()


def find_run(folder: str | Path) -> Run:
    """A run that exists, by its folder, or the newest one of an experiment's folder."""
    folder = Path(folder)
    if not (folder / "config.yaml").is_file():
        inner = sorted(path.parent for path in folder.glob("*/config.yaml"))
        if not inner:
            raise InputError(
                f"{folder} is no run: it holds no config.yaml; give a folder such as runs/quickstart/<time>"
            )
        folder = inner[-1]
    return Run(folder, configs.load(folder / "config.yaml"))


def _unfinished(home: Path, config: Config) -> Path | None:
    wanted = configs.config_hash(config)
    for folder in sorted((path.parent for path in home.glob("*/config_hash")), reverse=True):
        if (folder / "config_hash").read_text().strip() == wanted and not Run(folder, config).finished:
            return folder
    return None


def _create(home: Path, config: Config) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    taken = len(list(home.glob(f"{stamp}*")))
    folder = home / (f"{stamp}-{taken}" if taken else stamp)
    with atomic(folder) as temporary:
        temporary.mkdir()
        configs.save(config, temporary / "config.yaml")
        (temporary / "config_hash").write_text(configs.config_hash(config) + "\n", encoding="utf-8")
    return folder


def recorded_threads(run: Run) -> int | None:
    """The thread count that a run began with, or None if it has not begun."""
    path = run.folder / "environment.json"
    return int(read_json(path)["threads"]) if path.is_file() else None


def describe_environment(run: Run, **facts: Any) -> None:
    """Write environment.json: versions, machine, and the facts that a figure depends on (threads, precision)."""
    machine = {"python": platform.python_version(), "platform": platform.platform(), "cores": os.cpu_count()}
    write_json(run.folder / "environment.json", {**machine, **{p: version(p) for p in PACKAGES}, **facts})
