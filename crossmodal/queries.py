"""What can be asked, and how a person types it.

A query is parts that are wanted or not. Typed, a part ends where the next begins, with a sign that follows a blank and
touches what it belongs to::

    a sad violin, slow                    words, in any language
    song.mp3                              a file, if there is one of that name or its suffix is one of audio
    song.mp3@1:00-1:30                    a stretch of it: seconds or m:ss or h:mm:ss; either end may be left out
    id:album-0019-4                       a track of the index, by its id; or a stretch of it, id:album-0019-4@0-4
    piano -drums                          words without others
    song.mp3 +slower                      like this, but slower
    song.mp3 +"more strings"^2 -drums^.5  with weights, 1 unless given

Double quotes around words, a path or an id keep signs, ``^`` and ``@`` from being read so: ``"-6 dB"``,
``"Artist -Live.mp3"@1:00-``. ``text:``, ``file:`` and ``id:`` say what a part is. A sign between blanks is a dash, and
one within a word a hyphen: ``lo-fi - rainy`` are words. A query that is as a whole the name of a file is that file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from crossmodal.audio import SUFFIXES
from crossmodal.errors import InputError

Kind = Literal["text", "file", "id"]
LEAST, MOST = 0.001, 1000.0  # of a weight
TIME = r"(?:(?:\d{1,3}:)?\d{1,3}:)?\d{1,6}(?:\.\d+)?"
SECONDS = re.compile(TIME, re.ASCII)
STRETCH = re.compile(rf"({TIME})?-({TIME})?", re.ASCII)
SURROGATE = re.compile("[\ud800-\udfff]")  # what bytes that are no UTF-8 become; no decoder opens a file of such a name
BODY = re.compile(
    r"(?:(?P<kind>text|file|id):)?(?:\"(?P<quoted>[^\"]*)\"(?:@(?P<stretch>[^\s^]*))?|(?P<plain>.*?))"
    r"(?:\^(?P<weight>[-+.\d]\S*))?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Part:
    """One thing that is wanted, or not wanted.

    Attributes:
        kind: text, file or id.
        value: the words, the path or the track's id.
        weight: how much it counts beside the others; below 0 it is not wanted.
        start: of the stretch of a file or track, in seconds; None for its beginning.
        stop: the stretch's end, in seconds; None for the end.
    """

    kind: Kind
    value: str
    weight: float = 1.0
    start: float | None = None
    stop: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("text", "file", "id"):
            raise InputError(f"a part of a query is {self.kind!r}; valid is text, file or id")
        if not self.value.strip():
            raise InputError(f"a part of the query, its {self.kind}, is empty")
        if odd := SURROGATE.search(self.value):
            raise InputError(f"a part of the query, its {self.kind}, holds {odd.group()!r}, which is no character")
        if not LEAST <= abs(self.weight) <= MOST:
            raise InputError(f"the weight of {self.value!r} is {self.weight:g}; valid is {LEAST:g} to {MOST:g}")
        if self.kind == "text" and (self.start, self.stop) != (None, None):
            raise InputError(f"{self.value!r} is words, which have no stretch in seconds")
        if (self.start or 0.0) < 0 or (self.stop is not None and self.stop <= (self.start or 0.0)):
            raise InputError(
                f"the stretch of {self.value!r} is {self.start} to {self.stop} s; it must end after it starts"
            )

    @property
    def sounds(self) -> bool:
        """Whether it is sound, a file or a track, and no text."""
        return self.kind != "text"

    def __str__(self) -> str:
        """As it may be typed."""
        times = ("" if time is None else f"{time:.6f}".rstrip("0").rstrip(".") for time in (self.start, self.stop))
        stretch = "" if (self.start, self.stop) == (None, None) else f"@{'-'.join(times)}"
        weight = "" if abs(self.weight) == 1 else f"^{abs(self.weight):g}"
        return f'{self.kind}:"{self.value}"{stretch}{weight}'


@dataclass(frozen=True)
class Query:
    """Parts, at least one of which is wanted; `parse` makes one of what a person types."""

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if not any(part.weight > 0 for part in self.parts):
            raise InputError("the query says only what is not wanted; say what is, such as: piano -drums")
        seen: dict[tuple[object, ...], float] = {}
        for part in self.parts:
            key = (part.kind, " ".join(part.value.casefold().split()), part.start, part.stop)
            if seen.setdefault(key, part.weight) * part.weight < 0:
                raise InputError(f"the query both wants {part.value!r} and does not")

    @property
    def sounds(self) -> bool:
        """Whether a part is sound."""
        return any(part.sounds for part in self.parts)

    def __str__(self) -> str:
        """As it may be typed: what `parse` makes this query of, where no value holds a double quote."""
        signed = (f"{'-' if part.weight < 0 else '+'}{part}" for part in self.parts)
        return " ".join(signed).removeprefix("+")


class _Piece(NamedTuple):
    """A part as it stands in the text: its sign, where it begins (from 1) and what is written."""

    sign: float
    at: int
    body: str


def parse(text: str, files: bool = True) -> Query:
    """The query that a person typed, in the way that this module's first lines show.

    Args:
        text: what was typed.
        files: whether the disk may be looked at; if not, names of files are words and ``file:`` is refused.

    Raises:
        InputError: it is empty, contradicts itself, or has a part that is not written as it must be, with the
            character, from 1, where that part begins; or it names an audio file that is not there.
    """
    if not text.strip():
        raise InputError("the query is empty; give at least one word")
    if files:
        path, times = _file(text.strip())
        if _is_file(path) and (times is None or STRETCH.fullmatch(times)):
            return Query((Part("file", path, 1.0, *((None, None) if times is None else _stretch(times))),))
    return Query(parts(text, files))


def parts(text: str, files: bool = True) -> tuple[Part, ...]:
    """The parts that a person typed, such as those beside a sound that is there already; all may be unwanted.

    Args:
        text: what was typed; none if it is blank.
        files: as `parse`'s.

    Raises:
        InputError: as `parse`.
    """
    return tuple(_part(piece, files) for piece in _pieces(text)) if text.strip() else ()


def words(text: str) -> Query:
    """The query that is these words, whatever they look like."""
    if not text.strip():
        raise InputError("the query is empty; give at least one word")
    return Query((Part("text", text),))


def seconds(text: str) -> float:
    """``90``, ``90.5``, ``1:30`` or ``1:02:03`` in seconds.

    Raises:
        InputError: it is none of these, or 60 or more stand after a colon.
    """
    if not SECONDS.fullmatch(text):
        raise InputError(f"{text!r} is no time; valid is seconds, m:ss or h:mm:ss, such as 90, 1:30 or 1:02:03.5")
    *higher, last = text.split(":")
    numbers = [*map(int, higher), float(last)]
    if any(number >= 60 for number in numbers[1:]):
        raise InputError(f"{text!r} is no time; after a colon stand less than 60")
    return float(sum(number * 60**place for place, number in enumerate(reversed(numbers))))


def _pieces(text: str) -> list[_Piece]:
    """The text cut before each sign that follows a blank, or the beginning, and touches a word, a quote or a path."""
    cuts, opened = [(1.0, 0, 0)], None
    for place, (before, letter, after) in enumerate(zip(" " + text, text, text[1:] + " ", strict=False)):
        if letter == '"' and (opened is not None or before.isspace() or before in "+-:"):
            opened = place if opened is None else None
        elif letter in "+-" and opened is None and before.isspace() and (after.isalnum() or after in "\"'/\\._~("):
            cuts.append((1.0 if letter == "+" else -1.0, place, place + 1))
    if opened is not None:
        raise InputError(f'query, character {opened + 1}: this quote is not closed; put another " after what it begins')
    ends = [place for _, place, _ in cuts[1:]] + [len(text)]
    pieces = [_Piece(sign, at + 1, text[start:end]) for (sign, at, start), end in zip(cuts, ends, strict=True)]
    return pieces if pieces[0].body.strip() else pieces[1:]


def _part(piece: _Piece, files: bool) -> Part:
    try:
        return _read(piece, files)
    except InputError as error:
        raise InputError(str(error) if piece.at == 1 else f"query, character {piece.at}: {error}") from error


def _read(piece: _Piece, files: bool) -> Part:
    found = BODY.fullmatch(piece.body.strip())
    if found is None:  # every text matches, as plain if not otherwise
        raise InputError(f"{piece.body!r} is no part of a query")
    weight = piece.sign * _weight(found["weight"])
    kind, quoted, times = found["kind"], found["quoted"], found["stretch"]
    value = found["plain"].strip() if quoted is None else quoted
    if kind == "file" and not files:
        raise InputError("files cannot be asked for here")
    if kind == "id" and quoted is None:
        value, times = _id(value)
    elif kind == "file" or (kind is None and files):
        if quoted is None:
            value, times = _file(value)
        kind = _found(kind, value, times)
    start, stop = (None, None) if times is None else _stretch(times)
    return Part(kind or "text", value, weight, start, stop)  # type: ignore[arg-type]


def _found(kind: str | None, value: str, times: str | None) -> str:
    """Whether it is a file or words: a file if it is said to be, is there, or looks like audio; then it must be."""
    if kind is None and times is None and not _is_file(value) and not _is_audio(value):
        return "text"
    if value.strip() and not _is_file(value):
        raise InputError(f"{value} does not exist" + ("" if kind else "; to search for these words, add --text"))
    return "file"


def _id(value: str) -> tuple[str, str | None]:
    """A track and its stretch; an ``@`` may be of the id itself, so only what looks like a stretch is one."""
    name, mark, end = value.rpartition("@")
    return (name, end) if mark and end != "-" and STRETCH.fullmatch(end) else (value, None)


def _file(value: str) -> tuple[str, str | None]:
    """A path and its stretch; an ``@`` may be of the path itself, so one is read where what stands before is a file."""
    name, mark, times = value.rpartition("@")
    if not mark or _is_file(value) or _is_audio(value):
        return value, None
    return (name, times) if _is_file(name) or _is_audio(name) else (value, None)


def _weight(text: str | None) -> float:
    if text is None:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not LEAST <= value <= MOST:
        valid = f"valid is a number from {LEAST:g} to {MOST:g}, such as piano^0.5; if it is of the words, quote them"
        raise InputError(f"the weight after ^ is {text!r}; {valid}")
    return value


def _stretch(text: str) -> tuple[float | None, float | None]:
    found = STRETCH.fullmatch(text)
    if found is None or text == "-":
        raise InputError(f"the stretch after @ is {text!r}; valid is such as @1:00-1:30, @60-90, @1:00- or @-0:30")
    start, stop = (None if end is None else seconds(end) for end in found.groups())
    if stop is not None and stop <= (start or 0.0):
        raise InputError(f"the stretch after @ is {text!r}; it must end after it starts")
    return start, stop


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # a text longer than a file name may be, or with what no name holds
        return False


def _is_audio(value: str) -> bool:
    try:
        return Path(value).suffix.lower() in SUFFIXES
    except ValueError:
        return False
