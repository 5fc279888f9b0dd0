"""Plain types: what fits, how it is described, what is converted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest

from crossmodal.settings import Amount, Count, Range, Share, converted, describe, fits, is_plain

NAN = float("nan")


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (int, [0, -3], [True, 1.0, "1", None]),
        (float, [0.5, 2, float("inf")], [True, "0.5", None, NAN]),
        (str, ["", "x"], [1, None, ["x"]]),
        (bool, [True, False], [0, 1, "true", None]),
        (None, [None], [0, "", False]),
        (Path, ["a/b", Path("a")], [1, None]),
        (Optional[int], [None, 3], [True, "3"]),  # noqa: UP045, both spellings are met
        (int | str, [3, "x"], [None, 1.5, False]),
        (Literal["a", 16], ["a", 16], ["b", 16.0, "16"]),
        (Literal[1], [1], [True, 1.0]),
        (list[int], [[], [1, 2]], [[1, "2"], 1, "12", {"a": 1}, [True]]),
        (list, [[], [1, "a"]], ["a", {}]),
        (tuple[int, ...], [[], [1, 2, 3], (1,)], [[1.5], "1"]),
        (tuple[int, str], [[1, "a"]], [[1], [1, "a", 2], ["a", 1]]),
        (dict[str, float], [{}, {"a": 1}], [{"a": "1"}, {1: 1.0}, []]),
        (dict[str, Any], [{"a": object()}, {"b": [True]}], [{1: 2}]),
        (list[list[int] | None], [[[1], None]], [[1]]),
        (Count, [1, 10**9], [0, -1, True, 1.0]),
        (Share, [0, 1, 0.5], [-0.1, 1.1, NAN, True]),
        (Amount | None, [None, 0.0, 3, 10**400], [-1, NAN, float("inf")]),
    ],
)
def test_fits(annotation, good, bad):
    assert is_plain(annotation)
    assert [fits(value, annotation) for value in good] == [True] * len(good)
    assert [fits(value, annotation) for value in bad] == [False] * len(bad)


@pytest.mark.parametrize("annotation", [Sequence[str], np.ndarray, np.ndarray | None, list[np.ndarray], "Tensor", Any])
def test_what_the_code_gives_is_not_plain(annotation):
    assert not is_plain(annotation)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "int"),
        (float | None, "float or null"),
        (Literal["auto", 16], "'auto' or 16"),
        (list[str], "list of str"),
        (dict[str, Any], "mapping"),
        (dict[str, dict[str, Any]], "mapping of mapping"),
        (Count, "int at least 1"),
        (Annotated[float, Range(0, 1)], "float between 0 and 1"),
        (Path, "path"),
        (list, "list"),
    ],
)
def test_describe(annotation, words):
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        (1, float, 1.0),
        (1, float | None, 1.0),
        (1, int | float, 1),
        (None, float | None, None),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, 2], list[int] | None, [1, 2]),
        ("a", Path | None, Path("a")),
        ("a", Literal["a"], "a"),
        (2, Share, 2.0),
        (3, Count, 3),
        ({"a": 1}, dict[str, int], {"a": 1}),
    ],
)
def test_converted(value, annotation, result):
    found = converted(value, annotation)
    assert found == result
    assert type(found) is type(result)
