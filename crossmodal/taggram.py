"""The picture of a taggram: words at the left, seconds below, the darker the higher the score."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from crossmodal.errors import InputError, listed
from crossmodal.files import atomic, printable
from crossmodal.zero_shot import MEASURES, Row, Taggram

FORMATS: dict[str, dict[str, Any]] = {".png": {}, ".pdf": {"CreationDate": None}}  # and what is kept out: the clock
WIDTH, ROW, MARGIN = 7.5, 0.24, 0.75  # inches
LONGEST = 32  # letters of a word
MOST = 1000  # words: matplotlib draws no more than 65,536 pixels


def draw(taggram: Taggram, path: Path, title: str = "") -> list[str]:
    """Write the picture as .png or .pdf, whole or not at all: one panel a measure, since measures do not compare.

    Returns:
        The words with letters that the font lacks, which stand as boxes.

    Raises:
        InputError: a name that ends otherwise, no words or too many, or a full disk.
    """
    kind = format_of(path)
    if not 0 < len(taggram.rows) <= MOST:
        raise InputError(f"the picture {path} would show {len(taggram.rows)} words; it can show 1 to {MOST}")
    panels = [[row for row in taggram.rows if row.measure == measure] for measure in MEASURES]
    panels = [rows for rows in panels if rows]
    heights = [len(rows) * ROW + MARGIN for rows in panels]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for ax, rows in zip(axes, panels, strict=True):
        _panel(figure, ax, taggram, rows)
    axes[-1].set_xlabel("seconds", fontsize=8)
    axes[0].set_title(_short(printable(title), 80), loc="left", fontsize=9, parse_math=False)
    with atomic(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # they are returned
        figure.savefig(temporary, format=kind[1:], dpi=200, metadata=FORMATS[kind])
    return _unwritable([row.word for row in taggram.rows])


def format_of(path: Path) -> str:
    """The suffix of a picture's name; `InputError` if it is of no format there is."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"the picture {path} ends in {path.suffix!r}; valid are {listed(FORMATS)}")
    return path.suffix.lower()


def _panel(figure: Figure, ax: Axes, taggram: Taggram, rows: Sequence[Row]) -> None:
    """Words of one measure: their scores as shades of grey, which survive any printer, and their means at the right."""
    scores = np.stack([row.scores for row in rows])
    raw = rows[0].measure == "cosine"
    low, high = (min(0.0, float(scores.min())), float(scores.max())) if raw else (0.0, 1.0)
    edges = np.append(taggram.bounds[:, 0], taggram.bounds[-1, 1])
    borders = np.arange(len(rows) + 1) - 0.5
    mesh = ax.pcolormesh(edges, borders, scores, cmap="Greys", vmin=low, vmax=high, rasterized=True)
    ax.hlines(borders, edges[0], edges[-1], color="0.85", linewidth=0.5)
    ax.set_yticks(range(len(rows)), [_short(row.word, LONGEST) for row in rows], fontsize=8, parse_math=False)
    ax.invert_yaxis()
    means = ax.secondary_yaxis("right")
    means.set_yticks(range(len(rows)), [f"{row.mean:.2f}" for row in rows], fontsize=7, color="0.35")
    means.tick_params(length=0)
    said = f"mean\n{rows[0].measure}"
    ax.annotate(said, (1, 1), (4, 2), "axes fraction", "offset points", fontsize=7, color="0.35")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8, length=2)
    for spine in (*ax.spines.values(), *means.spines.values()):
        spine.set_visible(False)
    bar = figure.colorbar(mesh, ax=ax, fraction=0.02, pad=0.01, aspect=12, ticks=[low, high], format="%.2g")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, length=0)


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _unwritable(words: Sequence[str]) -> list[str]:
    """The words that matplotlib's font has not all letters of."""
    known = get_font(findfont(FontProperties())).get_charmap()
    return [word for word in words if any(ord(letter) not in known for letter in word)]
