"""Reviews of albums in six languages.

A review names every attribute of its album once, in any order, among remarks that say nothing of the music. Its
wording is drawn without a look at the attributes: with the decisive words masked, reviews drawn alike are alike.

Test reviews are worded from other clauses, other remarks and other synonyms than training reviews. Of the words that
the lexicon has for a tag, in each language, the last third (at least one) is held for test reviews. These words are
not unknown to a model that also learns from the sentences that `Lexicon.sentence` makes of tags, since those draw from
all words: a text encoder trained from scratch could not know them otherwise. What test reviews ask for is to find
known words in clauses that were never read.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from crossmodal.data.lexicon import Lexicon
from crossmodal.files import read_json
from crossmodal.orchestra.attributes import TAGSETS, Attributes, shuffled

PATH = Path(__file__).with_name("reviews.json")
MASK = "…"


@cache
def wordings() -> dict[str, Any]:
    """Clauses by language, tagset and kind ("train", "held"), remarks by language and kind, names and places."""
    content: dict[str, Any] = read_json(PATH)
    return content


def synonyms(value: str, language: str, held: bool) -> list[str]:
    """The words for a value that reviews use: the last third, at least one, is held for testing."""
    words = Lexicon.load().words(value, language)
    cut = len(words) - max(len(words) // 3, 1)
    return words[cut:] if held else words[:cut]


def write(attributes: Attributes, language: str, held: bool, rng: np.random.Generator) -> str:
    """A review of 4 to 8 sentences; ``held`` draws from the wording kept for testing."""
    kind = "held" if held else "train"
    clauses = []
    for tagset in TAGSETS:
        frame = _choose(wordings()["clauses"][language][tagset][kind], rng)
        clauses.append(frame.replace("{}", _choose(synonyms(attributes[tagset], language, held), rng)))
    clauses = [clauses[place] for place in shuffled(len(clauses), rng)]
    groups = np.array_split(np.array(clauses, dtype=object), 3 + rng.integers(0, 3))
    semicolon = " ; " if language == "fr" else "; "
    sentences = [semicolon.join(group) for group in groups] + _remarks(language, kind, 1 + int(rng.integers(0, 3)), rng)
    return " ".join(_capital(sentences[place], language) + "." for place in shuffled(len(sentences), rng))


def mask_decisive(text: str, language: str) -> str:
    """The text with "…" in place of each word, of any tagset of the orchestra, that says what the music is like."""
    return _decisive(language).sub(MASK, text)


@cache
def _decisive(language: str) -> re.Pattern[str]:
    """All words for all values, the longest first, so that "no drums" goes as a whole."""
    lexicon = Lexicon.load()
    words = {word for values in TAGSETS.values() for value in values for word in lexicon.words(value, language)}
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, ordered))})\b", re.IGNORECASE)


def _remarks(language: str, kind: str, count: int, rng: np.random.Generator) -> list[str]:
    """Different remarks, their names, places and years filled in."""
    remarks = wordings()["fillers"][language][kind]
    return [
        remarks[place].format(
            name=_choose(wordings()["names"], rng),
            place=_choose(wordings()["places"], rng),
            year=1958 + int(rng.integers(0, 66)),
        )
        for place in shuffled(len(remarks), rng)[:count]
    ]


def _choose(items: list[str], rng: np.random.Generator) -> str:
    """One of the items, by one number that is drawn whatever their count."""
    return items[int(rng.random() * len(items))]


def _capital(sentence: str, language: str) -> str:
    """The sentence with a capital letter in front; the Turkish i keeps its dot."""
    first = "İ" if language == "tr" and sentence[0] == "i" else sentence[0].upper()
    return first + sentence[1:]
