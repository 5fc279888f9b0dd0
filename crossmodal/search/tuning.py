"""A kind of index built over vectors, looking just hard enough for the recall that was asked for.

The last rows are held out: they are the queries, exact search over the others is the truth, and the index learns
nothing of them and does not find them, be it that it has them already (lists) or that they are added afterwards
(graphs). The tracks stand in the order of hashes, so that they are a fair sample. Its recall must reach what was asked
for by two standard errors, so that other queries reach it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from crossmodal import registry
from crossmodal.errors import InputError
from crossmodal.material import Floats
from crossmodal.search.nearest import ASKED, approximate, exact
from crossmodal.types import Approximate, Index

SMALL = 4096  # segments up to which every kind is exact: it is as fast, and FAISS has too little to train on
HELD_OUT = 500
AT = 10
HOW = f"recall@{AT} of held-out segments against exact search, which it neither knew nor found"


@dataclass(frozen=True)
class Fitted:
    """A kind with its index.

    Attributes:
        kind: the plug-in; None where search is exact.
        index: what it built; likewise.
        effort: the settings of its searches; empty where search is exact.
        recall: what was asked for, what was measured, on how many queries, and how.
    """

    kind: Approximate | None
    index: faiss.Index | None
    effort: dict[str, int]
    recall: dict[str, Any]


def fit(
    name: str, settings: Mapping[str, Any], vectors: Floats, recall: float, path: Path
) -> tuple[str, dict[str, Any], Fitted]:
    """Build a kind over ``vectors (rows, dim)``.

    Args:
        name: of a plug-in of ``indexes/``.
        settings: of its constructor.
        vectors: unit vectors, which may lie in a memory map.
        recall: the share of the ten best rows that shall be found.
        path: where the index will be written, if it is not when this returns.

    Returns:
        The kind that was built (`auto` chooses another), its settings, and what was built.

    Raises:
        InputError: no such kind or setting, or a kind that cannot be built over these vectors.
    """
    kind: Index = built(name, settings)
    chosen = kind.instead(*vectors.shape)
    if chosen is not None:
        name, settings = chosen, {}
        kind = built(chosen, {})
    if len(vectors) <= SMALL or not isinstance(kind, Approximate):
        how = {"asked": recall, "measured": 1.0, "how": "exact search"}
        return name, dict(settings), Fitted(None, None, {}, how)
    index, effort, measured = _tuned(kind, vectors, recall, path)
    how = {"asked": recall, "measured": measured, "queries": HELD_OUT, "how": HOW}
    return name, dict(settings), Fitted(kind, index, effort, how)


def built(name: str, settings: Mapping[str, Any]) -> Index:
    """The plug-in; outside code is refused, as opening an index must not run any."""
    return registry.build("indexes", name, trust=(), **settings)  # type: ignore[no-any-return]


def check(kind: str, settings: Mapping[str, Any], recall: float) -> None:
    """Refuse what `fit` would refuse, before anything is computed."""
    built(kind, settings)
    if not 0 < recall <= 1:
        raise InputError(f"recall is {recall}; valid is more than 0, at most 1")


def _tuned(kind: Approximate, vectors: Floats, recall: float, path: Path) -> tuple[faiss.Index, dict[str, int], float]:
    known, queries = vectors[:-HELD_OUT], np.ascontiguousarray(vectors[-HELD_OUT:])
    index = kind.build(vectors, len(known), path)
    counted = np.ones(len(known), dtype=bool) if index.ntotal > len(known) else None
    truth = exact(queries, known, AT).scores[:, -1:] - 1e-6  # by score: rows that are equally near are as good
    effort, measured = {}, 0.0
    for effort in kind.efforts(len(known)):
        found = approximate(queries, known, index, kind, effort, ASKED, counted)
        shares = (found.scores[:, :AT] >= truth).mean(axis=1)
        measured = round(float(shares.mean()), 4)
        if measured - 2 * float(shares.std()) / len(queries) ** 0.5 >= recall:
            break
    if index.ntotal < len(vectors):
        index.add(queries)
    return index, effort, measured
