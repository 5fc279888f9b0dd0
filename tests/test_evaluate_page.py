"""`make evaluate` on the tiny experiment: nothing is done twice, and the page says what was found and refused."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml
from tiny import FRONTEND

from crossmodal import protocols
from crossmodal.config import load

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return import_module("evaluate")


def test_every_system_is_an_experiment_and_all_of_a_data_set_hear_the_same(
    evaluate: ModuleType, tmp_path: Path
) -> None:
    for data in ("synthetic", "real"):
        heard = set()
        for system in evaluate.SYSTEMS:
            job = evaluate.Job(data, system, 1, ("data.root=clips",) if data == "real" else (), tmp_path, 1)
            config = load(EXPERIMENTS / f"{evaluate.SYSTEMS[system][data][0]}.yaml", job.overrides)
            assert (config.seed, config.tasks, config.train.threads) == (1, {}, 1)
            heard.add(json.dumps([config.data, config.split, config.audio_encoder["frontend"]]))
        assert len(heard) == 1


def test_smaller_protocols_are_of_the_same_task_as_those_they_stand_for(evaluate: ModuleType) -> None:
    smaller = [(name, evaluate.protocol_of(name, data)) for data in ("synthetic", "real") for name in protocols.names()]
    smaller = [(name, path) for name, path in smaller if path != name]
    assert {name for name, _ in smaller} == {"fine_tune", "limited_labels", "linear", "mlp", "neighbours", "zero_shot"}
    assert {Path(path).name for _, path in smaller} == {path.name for path in (EXPERIMENTS / "protocols").iterdir()}
    for name, path in smaller:
        own, small = protocols.load(name), protocols.load(path)
        protocols.check_tasks(small, path)
        assert (small.data, small.forbids, list(small.tasks)) == (own.data, own.forbids, list(own.tasks))
        assert small.tasks != own.tasks


@pytest.fixture
def tiny(evaluate: ModuleType, experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The four systems of the tiny experiment, hardly trained."""
    words = str(experiment.with_suffix(""))
    audio = f"audio_encoder={json.dumps({'name': 'handcrafted', 'frontend': FRONTEND})}"
    alone = ("text_encoder={name: none}", "text.per_track=1")
    ntxent = ("objectives={ntxent: {projector: {widths: [8]}}}", "views.count=2", "train.epochs=1")
    experiments = {
        "words and audio": (words, ("train.epochs=1",)),
        "audio alone": (words, (*alone, *ntxent)),
        "untrained": (words, ("train.epochs=0",)),
        "hand-crafted": (words, (audio, *alone, "objectives={}", "train.epochs=0")),
    }
    for system, one in experiments.items():
        monkeypatch.setitem(evaluate.SYSTEMS[system], "synthetic", one)
    return evaluate


def protocol(path: Path, **changes: Any) -> str:
    content = {
        "title": "Register by neighbours",
        "about": "Music to music.",
        "data": {"source": "any", "split": "run"},
        "tasks": {"neighbours": {"tagsets": ["register", "instrument"], "draws": 100}},
    }
    path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
    return str(path)


@pytest.mark.slow
def test_the_page_tells_figures_marks_and_refusals_and_nothing_is_done_twice(tiny: ModuleType, tmp_path: Path) -> None:
    page = import_module("evaluate_page").page
    asks = protocol(tmp_path / "words.yaml", needs=["text"], tasks={"retrieval": {"draws": 100}})
    names = [protocol(tmp_path / "near.yaml"), asks, "giantsteps_key"]
    given = argparse.Namespace(
        at_once=1, threads=1, runs=tmp_path / "runs", seeds=2, data=None, changes={"synthetic": ()}, copies={}
    )
    jobs = tiny.jobs(given)
    assert len(jobs) == 8
    runs = {job: tiny.work(job, names)[0] for job in jobs}
    text = page(runs, names, given)
    assert "Not run, since the audio of their data is not here: giantsteps_key." in text
    (refused,) = [line for line in text.splitlines() if "a model of audio alone" in line]
    assert "| audio alone, hand-crafted |" in refused
    (row,) = [line for line in text.splitlines() if line.startswith("| register/map |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    found = json.loads((runs[jobs[0]] / "protocols" / "near" / "results.json").read_text())
    metric = found["tasks"]["neighbours"]["metrics"]["register/map"]
    assert cells[1:4] == [str(metric["queries"]), str(metric["candidates"]), f"{metric['chance']:.3f}"]
    values = [
        json.loads((runs[job] / "protocols" / "near" / "results.json").read_text())["tasks"]["neighbours"]["metrics"]
        for job in jobs[:2]
    ]
    mean = sum(each["register/map"]["value"] for each in values) / 2
    assert cells[4].startswith(f"{mean:.3f} [")
    assert (tmp_path / "runs" / "synthetic" / "tables" / "near" / "untrained" / "comparison.csv").is_file()

    written = {path: path.stat().st_mtime_ns for run in runs.values() for path in run.rglob("results.json")}
    names[0] = protocol(tmp_path / "near.yaml", tasks={"neighbours": {"tagsets": ["register"], "draws": 100}})
    again = {job: tiny.work(job, names)[0] for job in jobs}
    assert again == runs
    changed = {path.parent.name for path, when in written.items() if path.stat().st_mtime_ns != when}
    assert changed == {"near"}
    assert "instrument/map" not in page(again, names, given)


def test_a_figure_that_some_seeds_lack_is_no_row(evaluate: ModuleType) -> None:
    shown = import_module("evaluate_page")._shown
    metrics = {"g@1%/map": {}, "g@10%/map": {}, "map": {}}
    evaluation = SimpleNamespace(found={"tasks": {"limited_labels": {"primary": "map", "metrics": metrics}}})
    keys = [("limited_labels", "g@10%/map"), ("limited_labels", "map")]  # those of every seed
    assert shown([SimpleNamespace(keys=keys, runs=[SimpleNamespace(evaluation=evaluation)])]) == keys
