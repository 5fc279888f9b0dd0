"""The experiment that asks for a solo cello: how it counts, and what its tags say of the real clips."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from crossmodal import registry
from crossmodal.config import load
from crossmodal.data.lexicon import Lexicon

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return import_module("catalogue")


def test_precision_counts_the_first_ten_or_as_many_as_can_be_right(catalogue: ModuleType) -> None:
    hits = [f"t{number}" for number in range(12)]
    assert catalogue.precision(hits, frozenset({"t0", "t9", "t10", *(f"x{n}" for n in range(9))})) == 0.2
    assert catalogue.precision(hits, frozenset({"t0", "t3"})) == 0.5  # of the first two
    assert math.isnan(catalogue.precision(hits, frozenset()))


def test_questions_name_every_word_in_the_order_of_its_language(catalogue: ModuleType) -> None:
    found = catalogue.questions(["cello"])
    words = sum(len(Lexicon.load().words("cello", code)) for code in Lexicon.load().languages)
    assert len(found) == 2 * words
    assert ("solo violoncello, short notes", "cello", "short notes", "en") in found
    assert ("chelo solo, notas largas", "cello", "long notes", "es") in found
    assert ("solo çello, uzun sesler", "cello", "long notes", "tr") in found


def test_a_word_that_also_names_another_instrument_is_not_asked(catalogue: ModuleType) -> None:
    assert catalogue.names_of("flute", "en") == ["flute", "fife"]  # a recorder is one by itself
    assert catalogue.names_of("flute", "de") == ["Flöte", "Querflöte"]


@pytest.mark.skipif(not (DATA / "manifest.jsonl").is_file(), reason="the real data is not at ../shared/data")
def test_what_the_tags_say_of_the_real_clips(catalogue: ModuleType) -> None:
    block = load(EXPERIMENTS / "catalogue.yaml", [f"data.root={DATA}"]).data
    manifest = registry.build("datasets", block.pop("name"), **block).manifest()
    tagged = {tag: set(rows) for tag, rows in manifest.tags.groupby("tag")["track_id"]}
    assert len(tagged["cello"]) == 190 + 13
    assert len(tagged["cello"] & tagged["solo"]) == 190
    assert len(tagged["cello"] & tagged["long notes"]) == 36
    assert not tagged["long notes"] & tagged["short notes"]
    assert not tagged["folk"] & tagged["solo"]  # they are accompanied
    assert len(tagged["pizzicato"]) == 5
    names = catalogue.instruments_of(manifest)
    assert len(names) == 13
    assert all(len(tagged[name]) >= 92 for name in names)
    assert all(catalogue.names_of(name, code) for name in names for code in catalogue.ASKED)
    asked = set(catalogue.ASKED.values())
    assert not asked & set(manifest.texts["text"].str.rstrip("."))
    # nor can the lexicon make them of tags, for it puts a comma after each
    words = {word for entry in Lexicon.load().entries.values() for own in entry.words.values() for word in own}
    assert not {text.partition(",")[0] for text in asked} & words
