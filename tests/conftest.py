"""One tiny run, trained once a session, that tests of everything after training look at and never change; and how
commands are run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from browsing import browser  # noqa: F401 (a fixture for all)
from tiny import TINY, Answer, Configure, Trained

from crossmodal import config as configs
from crossmodal.cli import main


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny experiment's file; audio and features are made once and shared by all who train it."""
    home = tmp_path_factory.mktemp("tiny")
    content = {**TINY, "data": {**TINY["data"], "root": str(home / "audio")}, "run": {"folder": str(home / "runs")}}
    content["features"] = {**TINY["features"], "folder": str(home / "features")}
    path = home / "tiny.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(experiment: Path) -> Trained:
    """The tiny run, trained; read it only."""
    from crossmodal.training import train

    said: list[str] = []
    return Trained(train(configs.load(experiment), said.append), said, experiment)


@pytest.fixture
def configure(experiment: Path, tmp_path: Path) -> Configure:
    """The tiny experiment with overrides; its runs go to the test's own folder."""
    return lambda *overrides: configs.load(experiment, [f"run.folder={tmp_path}/runs", *overrides])


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Answer:
    """What a command prints that goes well."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return run


@pytest.fixture
def fail(capsys: pytest.CaptureFixture[str]) -> Answer:
    """The one line of a command that goes wrong by the user's mistake."""

    def run(*arguments: object) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        (line,) = captured.err.strip().splitlines()
        assert line.startswith("crossmodal: ")
        return line.removeprefix("crossmodal: ")

    return run
