"""Europeana Sounds: recordings of Europe's archives, with titles, descriptions and subjects in many languages.

The data block of an experiment on pages that the Search API gave, split by the collections they come from::

    data:
      name: europeana_sounds
      root: ~/europeana
    split: collections

No split is published; that one is made by ``crossmodal data split MANIFEST --name collections --by group``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import pandas as pd

from crossmodal.audio import SUFFIXES
from crossmodal.data.manifest import COLUMNS, Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, missing
from crossmodal.errors import InputError
from crossmodal.files import Skipped

TEXTS = {
    "title": ("dcTitleLangAware", "title"),
    "description": ("dcDescriptionLangAware", "dcDescription"),
    "subject": ("dcSubjectLangAware", "dcSubject"),
}
TAGSETS = {"subject": "dcSubjectLangAware", "type": "dcTypeLangAware"}
TRACK = ("track_id", "path", "artist", "title", "group", "source", "licence", "provider", "country", "year", "url")
NO_LANGUAGE = ("def", "mul", "und", "zxx")  # of the fields' values that have no language, several, or an unknown one


class Item(NamedTuple):
    """One record of the Search API: its id, the page it stands on, and what it says."""

    id: str
    page: str
    said: Mapping[str, Any]

    @property
    def path(self) -> str:
        """Where its recording lies: named after its id, with the suffix of its address, or .mp3 if that tells none."""
        suffix = PurePosixPath(urlsplit(_first(self.said.get("edmIsShownBy"))).path).suffix.lower()
        return f"audio/{self.id.strip('/').replace('/', '_')}{suffix if suffix in SUFFIXES else '.mp3'}"


class EuropeanaSounds(Source):
    """Records of type SOUND on the pages that a search gave, ``profile=rich``, each with the address of its recording.

    Texts have the kinds ``title``, ``description`` and ``subject``, all subjects of a language as one; and the
    languages that the archives give them, none for their ``def``. Tagsets: ``subject`` and ``type``, in English and
    in words without a language; addresses of vocabularies are no words and are left out. The group is the collection,
    the first number of an id; the licence is the record's. The address of the recording is the column ``url``.

    Args:
        root: with the answers of the Search API as they came, ``search/*.json``, and the recordings.
    """

    licence: ClassVar[str] = "metadata: CC0 1.0; audio: each record's own, in each track's licence"
    citation: ClassVar[str] = (
        "Europeana Sounds, https://www.europeana.eu; as in Schindler, Gordea, Knees: Unsupervised Cross-Modal Audio"
        " Representation Learning from Unstructured Multilingual Text, SAC 2020"
    )
    home: ClassVar[str] = (
        "https://api.europeana.eu/record/v2/search.json?qf=TYPE:SOUND&media=true&profile=rich&cursor=*"
    )
    layout: ClassVar[str] = (
        "search/*.json, the answers page by page, and audio/2022608_AKB_1.mp3 for the record /2022608/AKB_1"
    )

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def read(self) -> Manifest:
        """Records in the order of the pages, by their names, and on them.

        Raises:
            InputError: there is no page, or none that is whole.
        """
        tally = Tally()
        items = self._items(tally)
        texts = pd.DataFrame(
            [row for item in items for row in _texts(item)], columns=list(COLUMNS["texts"]), dtype="str"
        )
        empty = texts["text"] == ""
        named = zip(texts.loc[empty, "track_id"], texts.loc[empty, "kind"], strict=True)
        tally.step("texts", len(texts), [Skipped(track, "", f"its {kind} has no words") for track, kind in named])
        tags = [row for item in items for row in _tags(item)]
        return Manifest.build(
            pd.DataFrame([_track(item) for item in items], columns=list(TRACK), dtype="str"),
            texts=texts[~empty],
            tags=pd.DataFrame(tags, columns=list(COLUMNS["tags"]), dtype="str"),
            root=self.root,
            steps=tally.steps,
            skipped=tally.skipped,
        )

    def _items(self, tally: Tally) -> list[Item]:
        """The records of the whole pages that can be used, each once."""
        paths = sorted((self.root / "search").glob("*.json"))
        if not paths:
            raise missing(self, "search/*.json")
        found, lost = list[Item](), list[Skipped]()
        for path in paths:
            page = _page(path)
            if isinstance(page, str):
                lost.append(Skipped(path.stem, f"search/{path.name}", page))
            else:
                found += [_item(record, path.name) for record in page]
        if len(lost) == len(paths):
            raise InputError(
                f"no page of {len(paths)} in {self.root / 'search'} is whole: {lost[0].path} {lost[0].reason}"
            )
        tally.step("search pages", len(paths), lost)
        return _once(tally, found)


def _once(tally: Tally, items: list[Item]) -> list[Item]:
    """The records that can be used, the first of each id, counted."""
    kept, lost = dict[str, Item](), list[Skipped]()
    for item in items:
        if why := _unusable(item, kept):
            lost.append(Skipped(item.id or "?", f"search/{item.page}", why))
        else:
            kept[item.id] = item
    tally.step("records on the pages", len(items), lost)
    return list(kept.values())


def _page(path: Path) -> list[Any] | str:
    """The records of a page, or why it has none."""
    try:
        page = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {error}"
    if not isinstance(page, dict):
        return f"is not an answer of the Search API but a {type(page).__name__}"
    if page.get("success") is False:
        return f"is an error: {page.get('error') or page.get('message') or 'it does not say which'}"
    items = page.get("items")
    if not isinstance(items, list):
        return "has no items"
    count = page.get("itemsCount", len(items))
    return items if count == len(items) else f"is not whole: it has {len(items)} items of {count}"


def _item(record: Any, page: str) -> Item:
    said = record if isinstance(record, dict) else {}
    return Item(_first(said.get("id")), page, said)


def _unusable(item: Item, kept: Mapping[str, Item]) -> str:
    if not item.id.strip("/"):
        return "has no id"
    if item.id in kept:
        return f"is on search/{kept[item.id].page} already"
    if (kind := _first(item.said.get("type"))) != "SOUND":
        return f"is of type {kind or 'unknown'}, not SOUND"
    return "" if _first(item.said.get("edmIsShownBy")) else "has no edmIsShownBy, the address of its recording"


def _track(item: Item) -> tuple[str, ...]:
    """The cells of a track, as in `TRACK`."""
    said = item.said
    titles = [word for language, word in _words(said, *TEXTS["title"]) if word]
    artist = next((word for word in _strings(said.get("dcCreator")) if not _address(word)), "")
    about = (_first(said.get(field)) for field in ("rights", "dataProvider", "country", "year", "edmIsShownBy"))
    title, group = (titles or [""])[0], item.id.strip("/").partition("/")[0]
    return (item.id, item.path, artist, title, group, "europeana_sounds", *about)


def _texts(item: Item) -> Iterator[tuple[str, ...]]:
    """The rows of a record's texts, the empty ones too."""
    for kind, fields in TEXTS.items():
        found = [(language, word) for language, word in _words(item.said, *fields) if not _address(word)]
        if kind == "subject":
            languages = dict.fromkeys(language for language, _ in found)
            found = [
                (one, ", ".join(word for language, word in found if language == one and word)) for one in languages
            ]
        for number, (language, text) in enumerate(dict.fromkeys(found)):
            yield f"{item.id}:{kind}:{number}", item.id, language, kind, text


def _tags(item: Item) -> Iterator[tuple[str, str, str]]:
    for tagset, field in TAGSETS.items():
        words = [word for language, word in _words(item.said, field) if language in ("", "en") and not _address(word)]
        yield from ((item.id, tagset, word) for word in dict.fromkeys(words) if word)


def _words(said: Mapping[str, Any], field: str, plain: str = "") -> Iterator[tuple[str, str]]:
    """Language and text of all values of a field by language; or of another, without a language, if there is none."""
    values = said.get(field)
    if not isinstance(values, dict):
        values = {"def": said.get(plain)}
    for language, texts in values.items():
        code = "" if language in NO_LANGUAGE else str(language)
        yield from ((code, text) for text in _strings(texts))


def _strings(value: Any) -> list[str]:
    """The texts of a value that is one, or a list of them; half of a surrogate pair becomes a question mark."""
    values = value if isinstance(value, list) else [value]
    return [text.encode(errors="replace").decode().strip() for text in values if isinstance(text, str)]


def _first(value: Any) -> str:
    return (_strings(value) or [""])[0]


def _address(word: str) -> bool:
    return word.startswith(("http://", "https://"))
