"""Words that music may be tagged with: read from a list, put into texts, and found among a manifest's tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import same_words
from crossmodal.errors import InputError

SEPARATORS = re.compile(r"[\n,،、，]")  # also the commas of Arabic and Chinese


def read_words(given: str) -> list[str]:
    """The words of a text file, or those that stand between commas: one a line, or several with commas between.

    Words that are the same but for case and spaces are one, as first written.

    Raises:
        InputError: no words, or a file that is not there or holds no text.
    """
    words = distinct(SEPARATORS.split(_content(given)))
    if not words:
        raise InputError(f"there is not one word in {given!r}; give words with commas between, or a file of them")
    return words


def distinct(words: Iterable[str]) -> list[str]:
    """The words with single spaces, each once, without the empty ones, in their order."""
    found: dict[str, str] = {}
    for word in words:
        if plain := " ".join(word.split()):
            found.setdefault(same_words(plain), plain)
    return list(found.values())


def prompts(word: str, language: str) -> list[str]:
    """The texts that stand for a word: each of the language's sentences, with each thing that the lexicon calls it.

    A word that the lexicon lacks stands in them as it is; in a language that the lexicon lacks it stands alone.
    """
    lexicon = Lexicon.load()
    if language not in lexicon.languages:
        return [word]
    return [frame.format(tags=name) for name in lexicon.words(word, language) for frame in lexicon.frames[language]]


def meant(word: str, language: str, tags: Iterable[str]) -> frozenset[str]:
    """Which of a manifest's tags a word names: those of that name, or else those that the lexicon calls so."""
    lexicon, key, names = Lexicon.load(), _name(word), {tag: _name(tag) for tag in tags}
    called = {key}
    if key not in names.values() and language in lexicon.languages:
        called = {_name(tag) for tag, entry in lexicon.entries.items() if key in map(_name, entry.words[language])}
    return frozenset(tag for tag, name in names.items() if name in called)


def _name(word: str) -> str:
    return same_words(word.replace("_", " ").replace("-", " "))


def _content(given: str) -> str:
    path = Path(given)
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file in UTF-8: {error.reason} at byte {error.start}") from error
    except OSError:  # a list longer than a file name may be
        return given
    if path.suffix.lower() in (".txt", ".csv"):
        raise InputError(f"{path} does not exist; words are a file of them, or stand between commas")
    return given
