from __future__ import annotations

import re

import pytest

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.text import sentences
from crossmodal.orchestra.attributes import TAGSETS, generator, plan
from crossmodal.orchestra.reviews import MASK, mask_decisive, synonyms, wordings, write

LANGUAGES = Lexicon.load().languages
ALBUMS = plan(400, seed=0)

each_language = pytest.mark.parametrize("language", LANGUAGES)
each_kind = pytest.mark.parametrize("held", [False, True])


def review(album, language, held, seed=0):
    return write(album.attributes, language, held, generator(seed, album.number))


def says(text, word):
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def test_there_are_six_languages():
    assert (
        set(LANGUAGES)
        == set(wordings()["clauses"])
        == set(wordings()["fillers"])
        == {"en", "de", "fr", "es", "it", "tr"}
    )


@each_language
@each_kind
def test_reviews_name_every_attribute_by_the_words_of_their_kind(language, held):
    for album in ALBUMS:
        text = review(album, language, held)
        for value in album.attributes.values():
            assert any(word in text for word in synonyms(value, language, held)), (value, text)


@each_language
def test_words_clauses_and_remarks_of_test_reviews_are_others(language):
    for values in TAGSETS.values():
        for value in values:
            train, held = set(synonyms(value, language, False)), set(synonyms(value, language, True))
            assert len(train) >= 2
            assert held
            assert not train & held
            assert train | held == set(Lexicon.load().words(value, language))
    for tagset in TAGSETS:
        clauses = wordings()["clauses"][language][tagset]
        assert len(set(clauses["train"])) >= 4
        assert len(set(clauses["held"])) >= 2
        assert not set(clauses["train"]) & set(clauses["held"])
    remarks = wordings()["fillers"][language]
    assert not set(remarks["train"]) & set(remarks["held"])


@each_language
def test_no_word_means_two_things(language):
    words = [word for values in TAGSETS.values() for value in values for word in Lexicon.load().words(value, language)]
    assert len(words) == len(set(words))


@each_language
def test_clauses_and_remarks_hold_no_decisive_word(language):
    clauses = [c for tagset in wordings()["clauses"][language].values() for kind in tagset.values() for c in kind]
    remarks = [remark for kind in wordings()["fillers"][language].values() for remark in kind]
    assert all(clause.count("{}") == 1 for clause in clauses)
    for wording in clauses + remarks + wordings()["names"] + wordings()["places"]:
        assert mask_decisive(wording, language) == wording


@each_language
@each_kind
def test_masking_leaves_no_decisive_word(language, held):
    words = [word for values in TAGSETS.values() for value in values for word in Lexicon.load().words(value, language)]
    for album in ALBUMS[:30]:
        text = review(album, language, held)
        masked = mask_decisive(text, language)
        assert masked.count(MASK) == len(TAGSETS)
        assert sum(says(text, word) for word in words) >= len(TAGSETS)
        assert not [word for word in words if says(masked, word)]


@each_language
@each_kind
def test_masked_reviews_do_not_betray_the_album(language, held):
    """What is drawn alike reads alike, whatever the attributes."""
    masked = {mask_decisive(write(album.attributes, language, held, generator(0, 5)), language) for album in ALBUMS}
    assert len(masked) == 1


@each_language
def test_reviews_have_four_to_eight_sentences_and_vary(language):
    texts = [review(album, language, False) for album in ALBUMS]
    assert {len(sentences(text)) for text in texts} == {4, 5, 6, 7, 8}
    assert len({mask_decisive(text, language) for text in texts}) == len(texts)


@each_language
def test_the_decisive_word_stands_anywhere(language):
    places = set()
    for album in ALBUMS:
        text = review(album, language, False)
        found = [text.find(word) for word in synonyms(album.attributes["instrument"], language, False)]
        places.add(int(5 * max(found) / len(text)))
    assert places == {0, 1, 2, 3, 4}


def test_turkish_keeps_its_dot():
    starts = {sentence[0] for album in ALBUMS for sentence in sentences(review(album, "tr", True))}
    assert "İ" in starts
    assert "I" not in starts
