"""The command that judges a run: by tasks, or by named protocols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from crossmodal.cli.shared import say
from crossmodal.errors import InputError, listed


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="A run's folder, or its experiment's.", show_default=False)] = None,
    more: Annotated[list[str] | None, typer.Argument(help="Further protocols.", show_default=False)] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="A protocol, or a .yaml file of one's own.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="A manifest's folder: other data than the run's own.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A leak that a protocol forbids: tell it only.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="A task: retrieval, or probe.tagsets=[makam].")] = None,
    part: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    show: Annotated[bool, typer.Option("--list", help="Show the protocols, or all of those that are named.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a run by its experiment's tasks, by the named ones, or by protocols."""
    names = [*(protocol or []), *(more or [])]
    asked = {"--task": task, "--manifest": manifest, "--allow": allow, "--part": part != "test"}
    if show:
        _refuse("--list", asked)
        _show([*names, *([str(run)] if run else [])], as_json)  # no run is judged, so this word is a name too
    elif run is None:
        raise InputError("evaluate needs a run's folder; --list shows the protocols without one")
    elif protocol:
        _refuse("--protocol", asked, "--task", "--part")
        _by_protocols(run, names, manifest, allow or [], as_json)
    elif more:
        raise InputError(f"{more[0]!r} stands alone; names of protocols follow --protocol")
    else:
        _refuse("tasks", asked, "--manifest", "--allow")
        _by_tasks(run, task or [], part, as_json)


def _refuse(way: str, asked: dict[str, Any], *options: str) -> None:
    """What one way of judging does not read, all unless ``options`` says which, is refused, not passed over."""
    if odd := [option for option in options or asked if asked[option]]:
        raise InputError(
            f"{odd[0]} does not go with {way}: a protocol says which tasks judge which part, of which data"
        )


def _show(names: list[str], as_json: bool) -> None:
    from dataclasses import asdict

    from crossmodal import protocols

    known = {name: protocols.load(name) for name in names or protocols.names()}
    if as_json:
        say(json.dumps({name: asdict(protocol) for name, protocol in known.items()}, indent=1, ensure_ascii=False))
        return
    width = max(map(len, known), default=0)
    for name, protocol in known.items():
        where = f"{protocol.data.source}, split {protocol.data.split}"
        say(f"{name:{width}}  {protocol.title} [{where}; {', '.join(protocol.tasks)}]")
        if names:
            _whole(protocol)


def _whole(protocol: Any) -> None:
    say(protocol.about.strip())
    say(f"split hash: {protocol.data.hash or 'not pinned; the results tell it'}")
    say(f"train and test share no: {', '.join(protocol.forbids) or 'nothing is forbidden, what they share is told'}")
    say(f"tasks: {json.dumps(protocol.tasks)}")
    for paper in protocol.papers:
        say(f"used by: {paper}")


def _by_protocols(run: Path, names: list[str], manifest: Path | None, allow: list[str], as_json: bool) -> None:
    """One after the other; one that is refused keeps none of the others from judging, and is told at the end."""
    from crossmodal import protocols, results
    from crossmodal.data.leakage import KINDS
    from crossmodal.data.manifest import Manifest
    from crossmodal.judging import Judge
    from crossmodal.runs import find_run

    if unknown := sorted(set(allow) - set(KINDS)):
        raise InputError(f"--allow is {unknown[0]!r}; valid are {listed(KINDS)}")
    allowed = [kind for kind in KINDS if kind in allow]
    told = (lambda text: None) if as_json else say
    judge = Judge(find_run(run), None if manifest is None else Manifest.load(manifest), told, allowed)
    for name in names:
        protocols.load(name)
    found: dict[str, Any] = {}
    refused: list[str] = []
    for name in names:
        try:
            folder = judge.by(name)
        except InputError as error:
            refused.append(str(error))
            continue
        found[name] = results.read(folder).found
        if not as_json:
            say(f"{name}: {found[name]['protocol']['title']}")
            _tell(found[name])
            say(f"  written to {folder}")
    if as_json and found:
        say(json.dumps(found, indent=1, ensure_ascii=False))
    if refused:
        raise InputError("; and ".join(refused))


def _by_tasks(run: Path, task: list[str], part: str, as_json: bool) -> None:
    from crossmodal import guards
    from crossmodal.data.manifest import PARTS
    from crossmodal.evaluation import evaluate as judged
    from crossmodal.evaluation import guarded, open_run, task_settings

    if part not in PARTS:
        raise InputError(f"--part is {part!r}; valid are {listed(PARTS)}")
    opened, embedded = open_run(run)
    tasks = task_settings(task) if task else opened.config.tasks
    checked = guarded(opened, embedded, tasks, part)
    guards.refuse_collapse(embedded.model.fingerprint, checked.collapses)
    results = judged(embedded, tasks, part) | {"guards": checked.results}
    if as_json:
        say(json.dumps(results, indent=1, ensure_ascii=False))
        return
    _tell(results)
    for line in checked.leaks:
        say(line)


def _tell(results: dict[str, Any]) -> None:
    from crossmodal.evaluation import judged_on, primary, told

    for name, task in results["tasks"].items():
        for line in told(name, task):
            say(line)
        if others := len(task["metrics"]) - len(primary(task)):
            say(f"{name}: --json shows {others:,} more")
    say(f"{judged_on(results)}; model {results['model']}")
