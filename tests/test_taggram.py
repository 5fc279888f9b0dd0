"""The picture of words over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.image import imread

from crossmodal.errors import InputError
from crossmodal.taggram import INK, ROW, clock_axis, draw, fonts
from crossmodal.zero_shot import Measure, Row, Taggram


def taggram(rows: dict[str, list[float]], measure: Measure = "probability") -> Taggram:
    count = len(next(iter(rows.values()), []))
    bounds = np.column_stack([np.arange(count), np.arange(count) + 1]).astype(np.float32)
    made = [Row(word, measure, float(np.mean(scores)), np.array(scores)) for word, scores in rows.items()]
    return Taggram(bounds, tuple(made))


def runs(line: np.ndarray) -> list[float]:
    """The greys of a row of pixels that hold for more than 40 pixels on end, without the white."""
    edges = np.flatnonzero(np.diff(line)) + 1
    parts = np.split(line, edges)
    return [round(1 - float(part[0]), 2) for part in parts if len(part) > 40 and part[0] < 0.99]


def test_the_higher_the_darker_and_the_first_word_above(tmp_path: Path) -> None:
    draw(taggram({"organ": [1.0, 0.5, 1.0], "sad": [0.25, 0.75, 0.25]}), tmp_path / "a.png", "song.wav")
    grey = imread(tmp_path / "a.png")[:, :, 0]
    found = [tuple(dark) for line in grey if len(dark := runs(line)) == 3]
    seen = [greys for greys in dict.fromkeys(found) if found.count(greys) > 5]  # not the lines between words
    assert len(seen) == 2  # one for each word, in their order
    assert seen[0][0] == seen[0][2] > seen[0][1] > 0
    assert seen[1][0] == seen[1][2] < seen[1][1]
    assert seen[1][0] < seen[0][1] < seen[1][1] < seen[0][0]


def test_measures_have_panels_of_their_own(tmp_path: Path) -> None:
    one, other = taggram({"organ": [0.1, 0.9]}), taggram({"rain": [0.2, 0.8]}, "percentile")
    draw(one, tmp_path / "one.png")
    draw(one._replace(rows=one.rows + other.rows), tmp_path / "two.png")
    heights = [imread(tmp_path / f"{name}.png").shape[0] for name in ("one", "two")]
    assert heights[1] == pytest.approx(2 * heights[0], abs=2)
    assert heights[1] - heights[0] > ROW * 200


def test_the_same_bytes_again_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "a.pdf", "b.pdf"):
        draw(taggram({"organ": [0.1, 0.9]}), tmp_path / name, "x")
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_words_that_are_no_markup_are_drawn_and_those_without_letters_told(tmp_path: Path) -> None:
    words = {"$x^{$": [0.1], "şarkı, ağır": [0.2], "a very " + "long " * 30: [0.3], "古箏": [0.4], "": [0.5]}
    assert draw(taggram(words), tmp_path / "a.png", "\udcff$\\frac{$.wav" + "w" * 300) == ["古箏"]


def make_font(path: Path, letter: str) -> None:
    """A font of one letter, a square."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square"})
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (700, 700), (700, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "One Letter", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)


def test_letters_come_from_whatever_installed_font_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts(["organ", "şarkı"]) == (["sans-serif"], set())
    assert fonts(["箏"]) == (["sans-serif"], {"箏"})
    draw(taggram({"箏": [0.4]}), tmp_path / "boxes.png")
    make_font(tmp_path / "one.ttf", "箏")
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    fontManager.addfont(tmp_path / "one.ttf")
    assert fonts(["organ", "箏"]) == (["sans-serif", "One Letter"], set())
    assert draw(taggram({"箏": [0.4]}), tmp_path / "letters.png") == []
    assert (tmp_path / "letters.png").read_bytes() != (tmp_path / "boxes.png").read_bytes()


@pytest.mark.parametrize("seconds", [180, 181])
def test_long_music_is_told_in_minutes(tmp_path: Path, seconds: int) -> None:
    figure = Figure()
    ax = figure.subplots()
    ax.set_xlim(0, seconds)
    clock_axis(ax, seconds)
    figure.canvas.draw()
    said = [label.get_text() for label in ax.get_xticklabels()]
    assert (ax.get_xlabel(), "1:30" in said) == (("minutes", True) if seconds > 180 else ("seconds", False))


def test_the_colours_darken_in_grey_too() -> None:
    shades = INK(np.linspace(0, 1, 64))[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(shades) < 0).all()
    assert shades[0] == pytest.approx(1.0)
    assert shades[-1] < 0.15


@pytest.mark.parametrize("values", [[-0.4, -0.2], [0.0, 0.0], [0.3]])
def test_raw_cosines_of_any_size(tmp_path: Path, values: list[float]) -> None:
    assert draw(taggram({"organ": values}, "cosine"), tmp_path / "a.png") == []


def test_what_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jpeg ends in '.jpeg'; valid are .png, .pdf"):
        draw(taggram({"organ": [0.1]}), tmp_path / "a.jpeg")
    with pytest.raises(InputError, match="would show 0 words; it can show 1 to 1000"):
        draw(taggram({}), tmp_path / "a.png")
    with pytest.raises(InputError, match="would show 1001 words"):
        draw(taggram({f"word {number}": [0.1] for number in range(1001)}), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
