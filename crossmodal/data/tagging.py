"""Lists of tags, as data sets have them in their cells, to the manifest's tables; for millions of tags."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from crossmodal.data import rows


def lists(cells: pd.Series, separators: str = "") -> np.ndarray:
    """Each cell as a list of tags, or None where it says nothing, as an array of objects.

    Args:
        cells: lists, or words: lists written out in JSON or Python, or tags between ``separators``.
        separators: the characters between tags.
    """
    written = {cell: rows.items(cell, separators) for cell in {cell for cell in cells if isinstance(cell, str)}}
    made = np.empty(len(cells), dtype="object")
    made[:] = [cell if type(cell) is list else written.get(cell) if type(cell) is str else None for cell in cells]
    return made


def tables(ids: pd.Series[str], tagset: str, cells: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a manifest's ``tags`` and ``annotated``: a tag once a track, and the tracks that have a list.

    Args:
        ids: of the tracks, ``(tracks,)``.
        tagset: its name.
        cells: what `lists` returned, ``(tracks,)``. White space around tags is taken off, and brackets and quotes,
            which are left of lists that were edited by hand.
    """
    known = np.array([cell is not None for cell in cells], dtype=bool)
    counts = np.array([len(cell) if cell is not None else 0 for cell in cells], dtype=np.int64)
    codes, found = pd.factorize(pd.Series(list(_flat(cells)), dtype="object"), use_na_sentinel=False)
    names = pd.Series(found, dtype="object").map(_clean).astype("str")  # a million tracks have a thousand tags
    codes, clean = names.factorize()[0][codes], names.drop_duplicates().to_numpy()
    tracks = np.repeat(np.arange(len(ids)), counts)
    first = np.sort(np.unique(tracks * max(len(clean), 1) + codes, return_index=True)[1])
    table = pd.DataFrame({"track_id": ids.to_numpy()[tracks[first]], "tagset": tagset, "tag": clean[codes[first]]})
    annotated = pd.DataFrame({"track_id": ids[known], "tagset": tagset})
    return table[table["tag"] != ""].astype("str"), annotated


def _flat(cells: np.ndarray) -> Iterator[Any]:
    return chain.from_iterable(cell for cell in cells if cell is not None)


def _clean(tag: Any) -> str:
    return rows.word(tag).strip(' []"').strip()
