from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crossmodal.data.text import chunks, sentences


def words(text: str) -> int:
    return len(text.split())


def test_sentences_end_where_readers_pause():
    assert sentences("One. Two! Drei? “Vier.” Cinq…\n\nSix") == ["One.", "Two!", "Drei?", "“Vier.”", "Cinq…", "Six"]
    assert sentences("音楽。静か！") == ["音楽。", "静か！"]
    assert sentences("  ") == []


def test_chunks_are_filled_in_order_and_none_is_longer_than_the_limit():
    text = "a b c. d e. f g h i j k l m. n."
    assert chunks(text, words, 5) == ["a b c. d e.", "f g h i", "j k l m. n."]


def test_a_text_without_words_is_one_empty_chunk():
    assert chunks("", words, 5) == [""]


@given(st.text(alphabet="ab .!”\n", max_size=200), st.integers(1, 9))
def test_nothing_is_lost_and_no_chunk_is_too_long(text: str, limit: int):
    made = chunks(text, words, limit)
    assert "".join("".join(made).split()) == "".join(text.split())
    assert all(words(chunk) <= limit for chunk in made)
