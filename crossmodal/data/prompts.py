"""Words that music may be tagged with: read from a list, put into texts, and found among a manifest's tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import same_words
from crossmodal.errors import InputError, listed
from crossmodal.settings import fits

PLACE = "{}"  # where the word stands in a template
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


def prompts(word: str, language: str, templates: Sequence[str] | None = None) -> list[str]:
    """The texts that stand for a word: each thing that the lexicon calls it, in each template, name by name.

    A word that the lexicon lacks stands in them as it is; in a language that the lexicon lacks it stands alone.

    Args:
        word: such as a tag.
        language: of the names, and of the templates.
        templates: sentences with ``{}`` in the word's place; the lexicon's of the language if None.
    """
    lexicon = Lexicon.load()
    names = lexicon.words(word, language) if language in lexicon.languages else [word]
    sentences = own_templates(language) if templates is None else templates
    return [sentence.replace(PLACE, name) for name in names for sentence in sentences]


def own_templates(language: str) -> tuple[str, ...]:
    """The lexicon's sentences of a language, ``{}`` in the word's place; the word alone in one that it lacks."""
    return tuple(frame.replace("{tags}", PLACE) for frame in Lexicon.load().frames.get(language, (PLACE,)))


def read_templates(given: Mapping[str, Sequence[str]] | str) -> dict[str, tuple[str, ...]]:
    """Templates by language: those given, or those of a file, YAML or JSON, that holds such a mapping.

    Raises:
        InputError: a file that is not there or holds anything else, a language without templates, or a template that
            has not one ``{}``, or stands twice.
    """
    where, content = ("templates", given) if not isinstance(given, str) else (given, _mapping(Path(given)))
    if not fits(content, dict[str, list[str]]) or not content:
        raise InputError(f"{where}: templates are a list of sentences a language, such as {{en: ['music with {{}}']}}")
    for language, sentences in content.items():
        if not sentences:
            raise InputError(f"{where}: language {language} has no templates; give one at least, or leave it out")
        if wrong := [sentence for sentence in sentences if sentence.count(PLACE) != 1]:
            raise InputError(f"{where}: {language}: {wrong[0]!r} must have {PLACE} once, where the word is to stand")
        if len(set(sentences)) < len(sentences):
            raise InputError(f"{where}: {language}: a template stands twice: {listed(sentences)}")
    return {language: tuple(sentences) for language, sentences in content.items()}


def _mapping(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))  # JSON is YAML
    except OSError as error:
        raise InputError(f"{path}: templates cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}") from error


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
