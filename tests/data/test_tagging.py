"""Lists of tags to tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crossmodal.data import tagging


def test_cells_of_every_kind():
    cells = pd.Series([["a", "b"], "['a', \"b's\"]", '["x, y"]', "a| b", "[]", "", np.nan, None, []], dtype="object")
    found = tagging.lists(cells, ",|").tolist()
    assert found == [["a", "b"], ["a", "b's"], ["x, y"], ["a", " b"], [], None, None, None, []]


def test_tags_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    words = ["a", " a", "b", "", "c "]
    cells = [
        None if rng.random() < 0.2 else [words[i] for i in rng.integers(0, 5, rng.integers(0, 6))] for _ in range(200)
    ]
    ids = pd.Series([f"t{n}" for n in range(200)], dtype="str")
    lists = np.empty(200, dtype="object")
    lists[:] = cells
    found, annotated = tagging.tables(ids, "x", lists)
    wanted = [
        (f"t{n}", tag) for n, cell in enumerate(cells) for tag in dict.fromkeys(w.strip() for w in cell or []) if tag
    ]
    assert list(zip(found["track_id"], found["tag"], strict=True)) == wanted
    assert annotated["track_id"].tolist() == [f"t{n}" for n, cell in enumerate(cells) if cell is not None]
