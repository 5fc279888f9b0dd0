from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny import Trained

from crossmodal.evaluation import open_run
from crossmodal.runs import find_run
from crossmodal.snapshots import Snapshots


def test_vectors_come_back_in_sixteen_bits(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path / "snapshots")
    assert (snapshots.steps, snapshots.track_ids) == ([], [])
    rows = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    for step in (120, 0, 9):
        snapshots.save(step, ["a", "سماعي", "c/d"], rows + step)
    assert snapshots.steps == [0, 9, 120]
    assert snapshots.track_ids == ["a", "سماعي", "c/d"]
    np.testing.assert_array_equal(snapshots.vectors(9), (rows + 9).astype(np.float16).astype(np.float32))
    assert (tmp_path / "snapshots" / "step-00000009.npy").stat().st_size == 128 + 3 * 8 * 2
    assert str(snapshots) == "3 tracks at 3 steps, 0.0 MB"


def test_a_run_keeps_the_valid_part_at_each_validation(trained: Trained) -> None:
    run, embedded = open_run(trained.folder)
    snapshots = Snapshots(run.folder / "snapshots")
    judged = [row["step"] for row in find_run(trained.folder).metrics() if "valid/score" in row]
    assert snapshots.steps == judged
    found = embedded.vectors("valid")
    assert snapshots.track_ids == list(found.track_ids)
    best = max(
        (row for row in run.metrics() if "valid/score" in row and row["step"]), key=lambda row: row["valid/score"]
    )
    np.testing.assert_allclose(snapshots.vectors(int(best["step"])), found.vectors, atol=1e-3)
    assert f"kept for the map over epochs: {snapshots}" in trained.said
