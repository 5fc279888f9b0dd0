"""Texts as sequences of sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# from a first visible character to a mark that ends a sentence, its closing quotes, or the end of the line
_SENTENCE = re.compile(r"\S.*?(?:[.!?…؟।]+[\"'»”’)\]]*(?=\s|$)|[。！？]+[」』]*|$)", re.MULTILINE)


def sentences(text: str) -> list[str]:
    """Split a text after full stops, question and exclamation marks of many scripts, and at line ends."""
    return [found.group().strip() for found in _SENTENCE.finditer(text)]


def chunks(text: str, length: Callable[[str], int], limit: int) -> list[str]:
    """Pack a text's sentences into chunks of at most ``limit`` tokens, as few as they fill in order.

    A sentence that is longer than the limit by itself is cut at spaces, and a word that is, by characters, so that
    nothing of the text is lost. A text without words is one empty chunk.
    """
    packed: list[str] = []
    room = 0
    for piece in (part for sentence in sentences(text) for part in _fitting(sentence, length, limit)):
        size = length(piece)
        if packed and size <= room:
            packed[-1] += " " + piece
            room -= size
        else:
            packed.append(piece)
            room = limit - size
    return packed or [""]


def _fitting(piece: str, length: Callable[[str], int], limit: int) -> Sequence[str]:
    """The piece itself where it fits, else its halves, cut at the middle space or the middle character."""
    if length(piece) <= limit or len(piece) < 2:
        return [piece]
    middle = len(piece) // 2
    cut = piece.rfind(" ", 1, middle) + 1 or middle
    return [*_fitting(piece[:cut].strip(), length, limit), *_fitting(piece[cut:].strip(), length, limit)]
