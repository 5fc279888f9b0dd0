"""Words for zero-shot tagging: lists, sentences, and the tags they name."""

from __future__ import annotations

import pytest

from crossmodal.data.lexicon import Lexicon
from crossmodal.data.prompts import distinct, meant, own_templates, prompts, read_templates, read_words
from crossmodal.errors import InputError


def test_words_stand_between_commas_of_any_script():
    assert read_words(" organ,  long   notes ,,şarkı、古箏，عود، ney\nsad,") == [
        "organ", "long notes", "şarkı", "古箏", "عود", "ney", "sad",
    ]  # fmt: skip


def test_words_of_a_file(tmp_path):
    path = tmp_path / "words"
    path.write_text("\ufefforgan\r\n\n  Glocken, bells\nORGAN\n", encoding="utf-8")
    assert read_words(str(path)) == ["organ", "Glocken", "bells"]


def test_the_same_words_are_one_as_first_written():
    assert distinct(["Şarkı", "cello", "CELLO", " cello ", "", "Long  notes", "long notes", "Straße", "STRASSE"]) == [
        "Şarkı", "cello", "Long notes", "Straße",
    ]  # fmt: skip


@pytest.mark.parametrize("given", ["", " ", ",,", "\n,、"])
def test_no_words_are_refused(given):
    with pytest.raises(InputError, match="there is not one word in"):
        read_words(given)


def test_files_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "latin.txt").write_bytes("Flöte".encode("latin-1"))
    with pytest.raises(InputError, match="not one word"):
        read_words(str(tmp_path / "empty.txt"))
    with pytest.raises(InputError, match=r"latin\.txt is not a text file in UTF-8"):
        read_words(str(tmp_path / "latin.txt"))
    with pytest.raises(InputError, match=r"none\.txt does not exist"):
        read_words(str(tmp_path / "none.txt"))


def test_a_long_list_is_no_file_name():
    assert len(read_words(",".join(f"word {number}" for number in range(5000)))) == 5000


def test_a_known_tag_is_put_into_every_sentence_with_every_word_for_it():
    lexicon = Lexicon.load()
    for language in lexicon.languages:
        texts = prompts("organ", language)
        assert len(texts) == len(set(texts)) == len(lexicon.frames[language]) * len(lexicon.words("organ", language))
        for word in lexicon.words("organ", language):
            assert sum(word in text for text in texts) >= len(lexicon.frames[language])
    assert "Gesucht: Kirchenorgel." in prompts("organ", "de")


def test_an_unknown_word_stands_as_it_is():
    texts = prompts("Zugposaune {0}", "de")
    assert len(texts) == len(Lexicon.load().frames["de"])
    assert all("Zugposaune {0}" in text for text in texts)
    assert prompts("尺八", "ja") == ["尺八"]
    assert prompts("organ", "ja") == ["organ"]


def test_a_word_names_the_tag_of_its_name_or_what_the_lexicon_calls_so():
    tags = ("organ", "Hip-Hop", "hip hop", "fast", "piano", "guitar")
    assert meant("Organ", "en", tags) == {"organ"}
    assert meant("Kirchenorgel", "de", tags) == {"organ"}
    assert meant("Kirchenorgel", "fr", tags) == frozenset()
    assert meant("hip_hop", "en", tags) == {"Hip-Hop", "hip hop"}
    assert meant("Zupfinstrument", "de", tags) == {"guitar"}
    assert meant("organ", "ja", tags) == {"organ"}
    assert meant("Kirchenorgel", "ja", tags) == frozenset()
    assert meant("trumpet", "en", tags) == frozenset()
    assert meant("church organ", "en", ("organ", "church organ")) == {"church organ"}  # its own name goes first


def test_templates_of_ones_own_take_the_place_of_the_lexicons():
    texts = prompts("organ", "de", ["{} spielt", "Klang: {}"])
    assert texts[:2] == ["Orgel spielt", "Klang: Orgel"]
    assert len(texts) == 2 * len(Lexicon.load().words("organ", "de"))
    assert prompts("尺八", "ja", ["{}の音"]) == ["尺八の音"]
    assert prompts("a {0} {tags}", "ja", ["{}!"]) == ["a {0} {tags}!"]
    assert prompts("organ", "fr", own_templates("fr")) == prompts("organ", "fr")
    assert own_templates("ja") == ("{}",)


@pytest.mark.parametrize(
    "text", ['{"en": ["music with {}", "{}"], "pt": ["som de {}"]}', "en: ['music with {}', '{}']\npt: ['som de {}']"]
)
def test_templates_may_stand_in_a_file(tmp_path, text):
    (tmp_path / "own").write_text(text, encoding="utf-8")
    expected = {"en": ("music with {}", "{}"), "pt": ("som de {}",)}
    assert read_templates(str(tmp_path / "own")) == expected
    assert read_templates({"en": ["music with {}", "{}"], "pt": ["som de {}"]}) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "templates are a list of sentences a language"),
        ({"en": []}, "language en has no templates"),
        ({"en": ["music"]}, "en: 'music' must have {} once"),
        ({"en": ["{} and {}"]}, "must have {} once"),
        ({"en": ["{}", "{}"]}, "en: a template stands twice"),
    ],
)
def test_templates_that_cannot_be_meant_are_told(given, message):
    with pytest.raises(InputError, match=message.replace("{}", r"\{\}")):
        read_templates(given)


def test_files_of_templates_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "list.yaml").write_text("[a, b]")
    (tmp_path / "broken.yaml").write_text("en: [")
    with pytest.raises(InputError, match=r"none\.yaml: templates cannot be read: No such file"):
        read_templates(str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match=r"list\.yaml: templates are a list of sentences a language"):
        read_templates(str(tmp_path / "list.yaml"))
    with pytest.raises(InputError, match=r"broken\.yaml is neither YAML nor JSON"):
        read_templates(str(tmp_path / "broken.yaml"))
