"""Every script is a command of the package, with nothing of its own."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[1] / "scripts").glob("*.py"))


def test_the_commands_of_the_way_from_music_to_answers_have_a_script():
    assert {path.stem for path in SCRIPTS} >= {
        f"{command}_crossmodal" for command in ("train", "embed", "index", "search", "evaluate")
    }


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_calls_its_command(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(path), run_name="__main__")
    assert left.value.code == 0
    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "[OPTIONS]" in shown
    if path.stem.endswith("_crossmodal"):
        assert f" {path.stem.removesuffix('_crossmodal')} [OPTIONS]" in shown


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_names_itself(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 15
    assert f"python scripts/{path.name} " in text.splitlines()[0]
