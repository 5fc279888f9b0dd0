"""What README.md shows is true: its experiments, its commands with their options, its Python, its links."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import typer.main

import crossmodal
from crossmodal import cli, config, registry
from crossmodal.cli import melspecs, normalise, resample
from crossmodal.model import DualEncoder
from crossmodal.search import SearchIndex

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(cli.app).commands
DATA = COMMANDS["data"].commands


def snippets(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"README.md shows no {language}"
    return found


def shell_lines() -> list[list[str]]:
    lines = [line for snippet in snippets("sh") for line in snippet.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def experiments(tmp_path, monkeypatch):
    """The folder of experiments, with the five-line one, and music as it says, at home."""
    home, folder = tmp_path / "home", tmp_path / "experiments"
    shutil.copytree(ROOT / "experiments", folder)
    (home / "Music" / "rock").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    rows = []
    for number in range(12):
        soundfile.write(home / "Music" / "rock" / f"{number}.wav", np.sin(np.arange(8000) / 9), 8000)
        rows.append((f"rock/{number}.wav", f"artist {number}", f"Loud number {number}.", "rock"))
    table = pd.DataFrame(rows, columns=["path", "artist", "review", "genre"])
    table.to_csv(home / "Music" / "reviews.csv", index=False)
    for number, snippet in enumerate(snippets("yaml")):
        (folder / f"shown{number}.yaml").write_text(snippet, encoding="utf-8")
    return folder


def test_the_experiment_for_a_table_reads_it(experiments):
    assert len(snippets("yaml")[0].splitlines()) == 5  # as it says
    shown = config.load(experiments / "shown0.yaml", ["train.epochs=30"])
    config.check_plugins(shown)
    manifest = registry.build_block("datasets", shown.data).manifest().check()
    assert (len(manifest), len(manifest.texts), manifest.skipped) == (12, 12, ())
    assert set(manifest.tags["tag"]) == {"rock"}
    assert set(manifest.texts["language"]) == {"en"}
    assert manifest.part(shown.split, "train").tracks["artist"].nunique() > 1


def test_the_experiment_for_a_folder_alone_reads_it(experiments):
    shown = config.load(experiments / "shown1.yaml")
    config.check_plugins(shown)
    manifest = registry.build_block("datasets", shown.data).manifest().check()
    assert len(manifest) == 12
    assert set(manifest.tags["tag"]) == {"rock"}


def parsed(line: list[str]) -> None:
    """Parse a line as its command would, running nothing; wrong options raise."""
    if line[1] == "data":
        name = line[2] if line[2] in DATA else "source"
        assert name != "source" or line[2] in registry.names("datasets")
        command, words = DATA[name], line[2:] if name == "source" else line[3:]
    else:
        command, words = COMMANDS[line[1]], line[2:]
    with command.make_context(line[1], words, resilient_parsing=False):
        pass


def test_every_command_shown_exists_with_its_options():
    lines = [line for line in shell_lines() if line[0] == "crossmodal"]
    assert {line[1] for line in lines} >= {"train", "search", "evaluate", "data", "index", "embed"}
    for line in lines:
        parsed(line)


def test_every_command_named_in_the_text_exists():
    named = re.findall(r"`crossmodal ([a-z]+)", TEXT)
    assert named
    assert set(named) <= set(COMMANDS)
    options = set(re.findall(r"`(?:crossmodal )?(--[a-z-]+)`", TEXT))
    known = {o for command in [*COMMANDS.values(), *DATA.values()] for param in command.params for o in param.opts}
    of_scripts = {word for line in shell_lines() if line[0] == "python" for word in line if word.startswith("--")}
    assert options <= known | of_scripts | {"--version"}


SCRIPTS = {"extract": melspecs.extract, "merge": melspecs.merge}
SCRIPTS |= {"normalize": normalise.normalise, "resample_audio": resample.resample}


def test_the_scripts_shown_have_the_options_shown():
    train = ("_crossmodal.py", "train_ssl.py")
    scripts = [line for line in shell_lines() if line[0] == "python" and line[1].startswith("scripts/")]
    lines = [line for line in scripts if not line[1].endswith(train)]
    assert len(lines) == 4
    for line in lines:
        app = typer.Typer()
        app.command()(SCRIPTS[Path(line[1]).stem.removeprefix("melspecs_")])
        with typer.main.get_command(app).make_context("script", line[2:]):
            pass


def test_the_data_commands_shown_work(experiments, monkeypatch):
    """With a shell's expansion of the home folder."""
    shown = [line for line in shell_lines() if line[:2] == ["crossmodal", "data"] and "~/Music" in line]
    assert shown
    monkeypatch.chdir(experiments)
    for line in shown:
        words = [value.replace("~", str(Path.home())) for value in line[1:]]
        assert cli.main(words) == 0
    assert list(experiments.glob("**/manifest.json"))


def test_every_source_is_in_the_table():
    assert all(f"`{name}`" in TEXT for name in registry.names("datasets"))


def test_the_verbs_and_scripts_shown_exist():
    verbs = {line[1] for line in shell_lines() if line[0] == "make"} | set(re.findall(r"`make ([a-z-]+)`", TEXT))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert verbs >= {"demo", "test"}
    assert [verb for verb in verbs if not re.search(rf"^{verb}:", makefile, re.MULTILINE)] == []
    scripts = re.findall(r"python (scripts/\w+\.py)", TEXT)
    assert scripts
    assert [path for path in scripts if not (ROOT / path).is_file()] == []


def test_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.fixture
def run(tmp_path):
    """A run's folder with a model that was not trained, and an index of two tracks."""
    audio = {"name": "mel_cnn", "frontend": {"bands": 16, "sample_rate": 8000}, "channels": [4], "dim": 8}
    text = {"name": "mini_transformer", "vocabulary": 300, "dim": 8, "layers": 1, "heads": 2}
    model = DualEncoder(audio, text, dim=8, window_s=0.5)
    model.text_encoder.fit(["a sad violin", "orgue"])
    model.save(tmp_path / "model")
    ids = ["one", "two"]
    segments = pd.DataFrame({"track_id": ids, "start": 0.0, "end": 0.5})
    vectors = model.embed_text(ids)
    SearchIndex.build(tmp_path / "index", vectors, segments, pd.DataFrame({"track_id": ids}), model.fingerprint)
    soundfile.write(tmp_path / "song.mp3", np.sin(np.arange(8000) / 9), 8000)
    return tmp_path


def test_asking_in_python_works(run, monkeypatch, capsys):
    monkeypatch.chdir(run)
    code, replaced = re.subn('run = ".*"', f"run = {str(run)!r}", snippets("python")[0])
    assert replaced == 1
    names: dict[str, object] = {}
    exec(code, names)
    assert names["words"].shape == (2, 8)
    assert names["songs"].shape == (1, 8)
    assert len(capsys.readouterr().out.splitlines()) == 2  # both tracks


def test_training_in_python_takes_the_experiment_shown(monkeypatch):
    given = []
    monkeypatch.setattr(crossmodal, "train", given.append, raising=False)
    monkeypatch.chdir(ROOT)
    exec(snippets("python")[1], {})
    assert (given[0].name, given[0].train.epochs, given[0].run.new) == ("quickstart", 2, True)
