"""The tables of docs/index.md that are counted, by the code's own formulas: python docs/counts.py writes them anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crossmodal import registry
from crossmodal.indexes import _lists
from crossmodal.types import Approximate, Index

PAGE = Path(__file__).with_name("index.md")
TRACKS = (1_000_000, 10_000_000, 100_000_000)
SEGMENTS = 10  # a track
DIM = 256
METADATA = 370  # bytes of a track in tracks.arrow: the quickstart's, 193,058 bytes for 528 tracks
KINDS = ("flat", "hnsw", "ivf", "ivfsq", "ivfpq", "rabitq")
CORE = 25e9  # multiply-adds a second of one core, of k-means and of finding lists; measured, see the page
COPIED = 140e6  # bytes a second of one core, of merging; likewise

BESIDE = {"vectors.npy": 4 * DIM, "segments.arrow": 4 + 8 + 8, "ids.arrow": 3 * 8 / SEGMENTS}
BESIDE["tracks.arrow"] = METADATA / SEGMENTS


def kind(name: str) -> Index:
    """A plug-in with its defaults."""
    found: Index = registry.build("indexes", name)
    return found


def beside(rows: int) -> float:
    """Bytes of all files but index.faiss."""
    return rows * sum(BESIDE.values())


def stored(name: str, rows: int) -> int:
    """Bytes of index.faiss, but for centroids and codebooks."""
    return kind(name).resident(rows, DIM) if isinstance(kind(name), Approximate) else 0


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:,.0f} GB" if count >= 9.95e9 else f"{count / 1e9:,.1f} GB"


def hours(seconds: float) -> str:
    """Seconds for people."""
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.0f} h"


def table(head: list[str], rows: list[list[str]]) -> str:
    """As Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def files() -> str:
    """What a segment has in each file."""
    said = {
        "vectors.npy": "4 a dimension and segment",
        "segments.arrow": "20 a segment",
        "ids.arrow": "24 a track",
        "tracks.arrow": "the metadata; 370 a track of the quickstart",
    }
    rows = [[f"`{name}`", said[name], f"{count:,.1f}"] for name, count in BESIDE.items()]
    codes = {
        "hnsw": "a byte a dimension, 32 links of 4, 12",
        "ivf": "4 a dimension, 8",
        "ivfsq": "a byte a dimension, 8",
        "ivfpq": "a byte for four dimensions, 8",
        "rabitq": "a bit a dimension, 16",
    }
    rows += [[f"`index.faiss` of {name}", codes[name], f"{stored(name, 1):,}"] for name in KINDS[1:]]
    return table(["file", "bytes", f"a segment, of {DIM} dimensions, {SEGMENTS} a track"], rows)


def sizes() -> str:
    """On the disk and in memory."""
    head = ["kind"] + [f"{tracks // 1_000_000}M tracks: {what}" for tracks in TRACKS for what in ("disk", "memory")]
    rows = []
    for name in KINDS:
        row = [name]
        for count in (tracks * SEGMENTS for tracks in TRACKS):
            row += [size(beside(count) + stored(name, count)), size(kind(name).resident(count, DIM))]
        rows.append(row)
    return table(head, rows)


def work() -> str:
    """What the inverted files take to build."""
    head = ["tracks", "merging", "lists", "trained on", "training", "finding lists", "read a query"]
    rows = []
    for tracks in TRACKS:
        count = tracks * SEGMENTS
        lists = _lists.lists(count)
        trained = lists * _lists.TRAINED
        training, adding = (25 * trained * lists * DIM / CORE, count * lists * DIM / CORE)
        read = 64 * count / lists * kind("ivfpq").resident(1, DIM)
        row = [f"{lists:,}", size(4 * trained * DIM), hours(training), hours(adding), f"{read / 1e6:,.0f} MB"]
        rows.append([f"{tracks:,}", hours(beside(count) / COPIED), *row])
    return table(head, rows)


def written(page: str) -> str:
    """The page with its tables counted."""
    for made in (files, sizes, work):
        mark = f"<!-- {made.__name__} -->"
        page = re.sub(f"{mark}\n.*?\n{mark}", f"{mark}\n{made()}\n{mark}", page, flags=re.DOTALL)
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
