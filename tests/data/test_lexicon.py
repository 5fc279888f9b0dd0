from __future__ import annotations

import numpy as np
import pytest

from crossmodal.data.lexicon import Lexicon
from crossmodal.errors import InputError

LEXICON = Lexicon.load()
LANGUAGES = ("en", "de", "fr", "es", "it", "tr")


def rng(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def test_languages_and_size():
    assert LEXICON.languages == LANGUAGES
    assert len(LEXICON.entries) > 200


def test_every_tag_has_words_in_every_language():
    for tag, entry in LEXICON.entries.items():
        for language in LANGUAGES:
            words = entry.words[language]
            assert words, (tag, language)
            assert len(set(words)) == len(words), (tag, language)
            assert all(word == word.strip() and word for word in words), (tag, language)


COMMON = """piano guitar violin cello flute clarinet trumpet drums bass voice rock jazz classical folk electronic
ambient metal happy sad calm dark energetic solo fast slow loud soft"""


def test_common_tags_are_known():
    assert not set(COMMON.split()) - set(LEXICON.entries)


def test_words_are_the_language_s_own():
    assert LEXICON.words("piano", "de") == ["Klavier", "Flügel"]
    assert LEXICON.words("happy", "tr")[0] == "neşeli"


@pytest.mark.parametrize("tag", ["hip hop", "Hip-Hop", "hip_hop"])
def test_spelling_of_tags(tag):
    assert LEXICON.words(tag, "en") == ["hip hop", "rap"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_unknown_tag_stands_for_itself(language):
    assert LEXICON.words("Zydeco_77", language) == ["Zydeco_77"]
    assert "Zydeco_77" in LEXICON.sentence(["Zydeco_77"], language, rng())


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_name_all_tags_and_use_all_words(language):
    tags = ["guitar", "sad", "slow"]
    generator = rng()
    texts = [LEXICON.sentence(tags, language, generator) for _ in range(300)]
    for tag in tags:
        words = LEXICON.words(tag, language)
        assert all(any(word in text for word in words) for text in texts)
        assert all(any(word in text for text in texts) for word in words)
    bare = [text for text in texts if not text.endswith(".")]
    assert 50 < len(bare) < 150
    assert len(LEXICON.frames[language]) >= 4
    assert all(any(text.startswith(frame.split("{")[0]) for text in texts) for frame in LEXICON.frames[language])


def test_the_generator_decides():
    tags = ["guitar", "sad", "slow"]
    assert LEXICON.sentence(tags, "en", rng(3)) == LEXICON.sentence(tags, "en", rng(3))


def test_an_unknown_language_is_refused():
    with pytest.raises(InputError, match=r"'xx'.*en, de, fr, es, it, tr"):
        LEXICON.words("piano", "xx")
    with pytest.raises(InputError, match="'xx'"):
        LEXICON.sentence(["piano"], "xx", rng())
