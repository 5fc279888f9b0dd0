"""A kind of index built over vectors, looking just hard enough for the recall that was asked for.

The last rows are held out: they are the queries, exact search over the others is the truth, and the index learns
nothing of them and does not find them, be it that it has them already (lists) or that they are added afterwards
(graphs). The tracks stand in the order of hashes, so that they are a fair sample.

Words lie elsewhere than sound, far from all of it, and what finds a segment's neighbours loses those of a text, as it
does of any queries that are not distributed as the data (OOD-DiskANN, Jaiswal et al., 2022; RoarGraph, Chen et al.,
2024): tuned by segments alone to .95, graphs and lists of 50,000 vectors found .74 to .89 of the ten best of texts that
the model had not read, of 200,000 .66 to .84 (benchmarks/words.py). So vectors of such queries are a second set, where
there are some. The recall of each set must reach what was asked for by two standard errors, so that other queries reach
it too.
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
KEPT = ("kind", "settings", "fingerprint", "frontend")  # of info.json, from one generation to the next
FEWEST = 50  # queries; fewer say too little


@dataclass(frozen=True)
class Fitted:
    """A kind with its index.

    Attributes:
        kind: the plug-in; None where search is exact.
        index: what it built; likewise.
        effort: the settings of its searches; empty where search is exact.
        recall: what was asked for, what was measured: of each set, and the least; and how.
    """

    kind: Approximate | None
    index: faiss.Index | None
    effort: dict[str, int]
    recall: dict[str, Any]


def fit(
    name: str, settings: Mapping[str, Any], vectors: Floats, queries: Floats, recall: float, path: Path
) -> tuple[str, dict[str, Any], Fitted]:
    """Build a kind over ``vectors (rows, dim)``.

    Args:
        name: of a plug-in of ``indexes/``.
        settings: of its constructor.
        vectors: unit vectors, which may lie in a memory map.
        queries: likewise ``(queries, dim)``, such as will be asked for; fewer than `FEWEST` do not count.
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
        how = {"asked": recall, "measured": 1.0, "of": {}, "how": "exact search"}
        return name, dict(settings), Fitted(None, None, {}, how)
    return name, dict(settings), _tuned(kind, vectors, queries, recall, path)


def built(name: str, settings: Mapping[str, Any]) -> Index:
    """The plug-in; outside code is refused, as opening an index must not run any."""
    return registry.build("indexes", name, trust=(), **settings)  # type: ignore[no-any-return]


def goes_on(
    info: Mapping[str, Any], kind: str | None, settings: Mapping[str, Any] | None, recall: float | None
) -> tuple[dict[str, Any], float]:
    """Kind, settings and fingerprints of an index that is made of one with this ``info.json``, and its aim.

    What is None stays as it was; raises what `check` does.
    """
    head = {key: info[key] for key in KEPT}
    if kind is not None:
        head |= {"kind": kind, "settings": dict(settings or {})}
    aim = info["recall"]["asked"] if recall is None else recall
    check(head["kind"], head["settings"], aim)
    return head, aim


def check(kind: str, settings: Mapping[str, Any], recall: float) -> None:
    """Refuse what `fit` would refuse, before anything is computed."""
    built(kind, settings)
    if not 0 < recall <= 1:
        raise InputError(f"recall is {recall}; valid is more than 0, at most 1")


def _tuned(kind: Approximate, vectors: Floats, queries: Floats, recall: float, path: Path) -> Fitted:
    known, held_out = vectors[:-HELD_OUT], np.ascontiguousarray(vectors[-HELD_OUT:])
    index = kind.build(vectors, len(known), path)
    counted = np.ones(len(known), dtype=bool) if index.ntotal > len(known) else None
    sets = {"segments": held_out, "queries": queries} if len(queries) >= FEWEST else {"segments": held_out}
    truth = {name: exact(asked, known, AT).scores[:, -1:] - 1e-6 for name, asked in sets.items()}
    effort, shares = {}, {}
    for effort in kind.efforts(len(known)):
        for name, asked in sets.items():
            found = approximate(asked, known, index, kind, effort, ASKED, counted)
            shares[name] = (found.scores[:, :AT] >= truth[name]).mean(axis=1)  # rows that are equally near are as good
        if all(each.mean() - 2 * each.std() / len(each) ** 0.5 >= recall for each in shares.values()):
            break
    if index.ntotal < len(vectors):
        index.add(held_out)
    of = {name: round(float(each.mean()), 4) for name, each in shares.items()}
    numbers = " and ".join(f"{len(asked)} {name}" for name, asked in sets.items())
    how = f"recall@{AT} of {numbers}, none of which it knew or could find, against exact search"
    return Fitted(kind, index, effort, {"asked": recall, "measured": min(of.values()), "of": of, "how": how})
