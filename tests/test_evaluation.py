"""What is told of results, in words."""

from __future__ import annotations

from typing import Any

import pytest

from crossmodal import evaluation
from crossmodal.cli.evaluating import _tell
from crossmodal.judgement import Measured


def results(**changes: Any) -> dict[str, Any]:
    """Of a task that left a tagset out."""
    figures = {"mood/map": Measured(0.5, queries=3, candidates=9), "mood/precision@1": Measured(0.25)}
    metrics = {name: figure.as_dict() for name, figure in figures.items()}
    task = {"primary": "map", "metrics": metrics, "left_out": {"same": "all are equal"}}
    split = {"name": "s", "hash": "0f", "part": "valid", "tracks": 12}
    told = {"synthetic": False, "split": split, "skipped": 0, "tasks": {"neighbours": task}, "examples": []}
    return told | {"model": "m"} | changes


def test_the_end_of_a_training_and_evaluate_tell_what_a_task_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["neighbours mood/map: 0.500, 3 queries, 9 candidates", "neighbours leaves out same: all are equal"]
    assert evaluation.summary(results()) == ["split s (0f), part valid, 12 tracks, 1 seed", *lines]
    _tell(results())
    last = ["neighbours: --json shows 1 more", "split s (0f), part valid, 12 tracks; model m"]
    assert capsys.readouterr().out.splitlines() == [*lines, *last]


def test_a_figure_among_no_candidates_tells_of_none() -> None:
    found = Measured(0.5, 0.25, 0.75, chance=0.01, queries=3, candidates=9)
    assert evaluation.line(found.as_dict()) == "0.500 [0.250, 0.750], chance 0.0100 (50x), 3 queries, 9 candidates"
    assert evaluation.line(Measured(-0.1, queries=3).as_dict()) == "-0.100, 3 queries"


def test_a_figure_of_the_part_that_choices_were_made_on_says_so() -> None:
    found = Measured(0.5, queries=3, candidates=9, more={"chosen_on": "valid"})
    assert evaluation.line(found.as_dict()) == "0.500, 3 queries, 9 candidates, chosen on valid"


def test_tracks_that_could_not_be_embedded_are_told() -> None:
    found = results(skipped=2, synthetic=True)
    assert evaluation.judged_on(found) == "synthetic data, split s (0f), part valid, 12 tracks, 2 of them skipped"
    found["split"]["mostly_by"] = "The Orchestra"
    said = "12 tracks, more than half by The Orchestra, drawn by their groups, or each by itself, 2 of them skipped"
    assert evaluation.judged_on(found).endswith(said)
