"""The picture of a taggram: words at the left, seconds below, the darker the higher the score."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.ticker import FuncFormatter, MaxNLocator

from crossmodal.errors import InputError, listed
from crossmodal.files import atomic, printable
from crossmodal.zero_shot import MEASURES, Row, Taggram

FORMATS: dict[str, dict[str, Any]] = {".png": {}, ".pdf": {"CreationDate": None}}  # and what is kept out: the clock
WIDTH, ROW, MARGIN = 7.5, 0.25, 0.75  # inches
MINUTES = 180  # seconds from which on the axis counts in minutes
# from paper to ink; each step is darker in every channel, so that it also reads in grey and with any colour vision
INK = LinearSegmentedColormap.from_list("ink", ["#ffffff", "#d8e8f0", "#8fc1d1", "#3d8fae", "#1a5580", "#0a2344"])
NO_LETTERS = ("Last Resort", "cm", "STIX")  # fonts of boxes, and of formulas in an order of their own
LONGEST = 32  # letters of a word
MOST = 1000  # words: matplotlib draws no more than 65,536 pixels


def draw(taggram: Taggram, path: Path, title: str = "") -> list[str]:
    """Write the picture as .png or .pdf, whole or not at all: one panel a measure, since measures do not compare.

    Returns:
        The words with letters that no installed font has, which stand as boxes.

    Raises:
        InputError: a name that ends otherwise, no words or too many, or a full disk.
    """
    kind = format_of(path)
    if not 0 < len(taggram.rows) <= MOST:
        raise InputError(f"the picture {path} would show {len(taggram.rows)} words; it can show 1 to {MOST}")
    panels = [[row for row in taggram.rows if row.measure == measure] for measure in MEASURES]
    panels = [rows for rows in panels if rows]
    heights = [len(rows) * ROW + MARGIN for rows in panels]
    title = printable(title)
    families, lacking = fonts([title, *(row.word for row in taggram.rows)])
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    ratios = [len(rows) for rows in panels]
    axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=ratios)[:, 0]
    for ax, rows in zip(axes, panels, strict=True):
        _panel(figure, ax, taggram, rows, families)
    clock_axis(axes[-1], float(taggram.bounds[-1, 1]))
    look = {"fontsize": 10, "fontweight": "bold", "fontfamily": families}
    axes[0].set_title(_short(title, 80), loc="left", pad=8, parse_math=False, **look)
    with atomic(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # they are returned
        figure.savefig(temporary, format=kind[1:], dpi=200, metadata=FORMATS[kind])
    return [row.word for row in taggram.rows if lacking.intersection(row.word)]


def format_of(path: Path) -> str:
    """The suffix of a picture's name; `InputError` if it is of no format there is."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"the picture {path} ends in {path.suffix!r}; valid are {listed(FORMATS)}")
    return path.suffix.lower()


def fonts(texts: Sequence[str]) -> tuple[list[str], set[str]]:
    """The font families that texts need, matplotlib's own first, and the letters that no installed font has."""
    first = FontProperties()
    missing = {letter for text in texts for letter in text} - _letters(findfont(first))
    families = list(first.get_family())
    for font in sorted(fontManager.ttflist, key=lambda font: (font.style != "normal", font.name, font.fname)):
        if missing and not font.name.startswith(NO_LETTERS) and missing & (known := _letters(font.fname)):
            families.append(font.name)
            missing -= known
    return families, missing


def _letters(path: str) -> set[str]:
    return {chr(code) for code in get_font(path).get_charmap()}


def _panel(figure: Figure, ax: Axes, taggram: Taggram, rows: Sequence[Row], families: list[str]) -> None:
    """Words of one measure: their scores as shades, and their means at the right."""
    scores = np.stack([row.scores for row in rows])
    raw = rows[0].measure == "cosine"
    low, high = (min(0.0, float(scores.min())), float(scores.max())) if raw else (0.0, 1.0)
    edges = np.append(taggram.bounds[:, 0], taggram.bounds[-1, 1])
    borders = np.arange(len(rows) + 1) - 0.5
    mesh = ax.pcolormesh(edges, borders, scores, cmap=INK, vmin=low, vmax=high, rasterized=True)
    ax.hlines(borders, edges[0], edges[-1], color="0.88", linewidth=0.8)
    words = [_short(row.word, LONGEST) for row in rows]
    ax.set_yticks(range(len(rows)), words, fontsize=9, fontfamily=families, parse_math=False)
    ax.invert_yaxis()
    means = ax.secondary_yaxis("right")
    means.set_yticks(range(len(rows)), [f"{row.mean:.2f}" for row in rows], fontsize=8, color="0.3")
    means.tick_params(length=0)
    said = f"mean\n{rows[0].measure}"
    ax.annotate(said, (1, 1), (4, 3), "axes fraction", "offset points", fontsize=8, color="0.3")
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8, length=3, color="0.6")
    for spine in (*ax.spines.values(), *means.spines.values()):
        spine.set_visible(False)
    shape = {"fraction": 0.02, "pad": 0.015, "aspect": 3 * len(rows)}  # as wide in every panel
    bar = figure.colorbar(mesh, ax=ax, ticks=[low, high], format="%.2g", **shape)
    bar.outline.set(edgecolor="0.7", linewidth=0.6)
    bar.ax.tick_params(labelsize=8, length=0)


def clock_axis(ax: Axes, seconds: float) -> None:
    """The axis of time: in seconds, or for what is long as minutes and seconds, 3:05, at whole steps."""
    ax.set_xlabel("minutes" if seconds > MINUTES else "seconds", fontsize=9)
    if seconds > MINUTES:
        ax.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 1.5, 3, 6, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda second, _: f"{int(second) // 60}:{int(second) % 60:02d}"))


def _short(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
