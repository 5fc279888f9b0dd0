"""The lexicon: what tags are called in six languages, and short sentences that name them.

It turns the tags of any manifest into texts. A tag that it does not know stands for itself in every language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from crossmodal.errors import InputError, listed
from crossmodal.files import read_json

PATH = Path(__file__).with_name("lexicon.json")


@dataclass(frozen=True)
class Entry:
    """A tag: the tagset where it is at home ("" if it is in none), and its words, by language, the usual one first."""

    tagset: str
    words: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Lexicon:
    """Words for tags.

    Attributes:
        entries: what is known, by tag.
        frames: sentences with a place for ``{tags}``, by language.
    """

    entries: Mapping[str, Entry]
    frames: Mapping[str, tuple[str, ...]]

    @staticmethod
    @cache
    def load() -> Lexicon:
        """The lexicon of the package."""
        content = read_json(PATH)
        frames = {language: tuple(frames) for language, frames in content["frames"].items()}
        entries = {}
        for tag, (tagset, *words) in content["tags"].items():
            entries[tag] = Entry(tagset, dict(zip(frames, map(tuple, words), strict=True)))
        return Lexicon(entries, frames)

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages, English first."""
        return tuple(self.frames)

    def words(self, tag: str, language: str) -> list[str]:
        """The words for a tag, whatever its case and whether hyphens or underscores part its words."""
        self._check(language)
        entry = self.entries.get(tag) or self.entries.get(tag.lower().replace("_", " ").replace("-", " "))
        return list(entry.words[language]) if entry else [tag]

    def sentence(self, tags: Sequence[str], language: str, rng: np.random.Generator) -> str:
        """A sentence that names all of ``tags``, in any order and by any of their words; often just the bare words."""
        self._check(language)
        order = np.argsort(rng.random(len(tags)))
        words = [self.words(tags[place], language) for place in order]
        named = ", ".join(choices[rng.integers(0, len(choices))] for choices in words)
        frames = self.frames[language]
        return named if rng.random() < 0.3 else frames[rng.integers(0, len(frames))].format(tags=named)

    def _check(self, language: str) -> None:
        if language not in self.frames:
            raise InputError(f"the lexicon has no language {language!r}; it has {listed(self.frames)}")
