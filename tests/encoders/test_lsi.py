from __future__ import annotations

import numpy as np
import pytest
import torch

from crossmodal import registry
from crossmodal.data.topics import TopicModel
from crossmodal.encoders.text.lsi import Lsi
from crossmodal.errors import InputError

TEXTS = ["A slow organ in the rain.", "Eine schnelle Harfe.", "A fast harp, and drums.", "Ein langsames Lied im Regen."]
TAGS = ["rock, loud", "rock, loud, fast", "folk, calm", "folk, calm, slow", "rock, slow"]


def embedded(encoder: Lsi, texts: list[str]) -> torch.Tensor:
    return encoder(encoder.tokenize(texts))


def fitted(kind: str, topics: int = 8) -> Lsi:
    encoder = Lsi(kind=kind, topics=topics)
    encoder.fit(TEXTS if kind == "texts" else TAGS)
    return encoder


def test_texts_are_the_vectors_of_the_topic_model_with_zeros_behind():
    encoder, model = fitted("texts"), TopicModel.fit(TEXTS, 8)
    found = embedded(encoder, [*TEXTS, "ein Harfenlied"])
    assert (found.shape, found.dtype) == ((5, 8), torch.float32)
    assert model.n_topics == 4  # no more than documents
    np.testing.assert_array_equal(found[:, :4].numpy(), model.transform([*TEXTS, "ein Harfenlied"]))
    assert not found[:, 4:].any()


def test_tags_are_what_commas_separate():
    encoder = fitted("tags")
    model = TopicModel.fit([tags.split(", ") for tags in TAGS], 8)
    found = embedded(encoder, ["rock,slow", " Rock ,  SLOW,, ", "slow, rock", "calm"])
    expected = model.transform([["rock", "slow"]] * 3 + [["calm"]])
    np.testing.assert_allclose(found[:, : model.n_topics].numpy(), expected, atol=1e-6)
    assert embedded(encoder, ["a rock"]).abs().sum() == 0  # no tag of its own


def test_fewer_topics_than_there_are_can_be_asked_for():
    found = embedded(fitted("tags", topics=2), TAGS)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
    assert found.shape == (5, 2)


@pytest.mark.parametrize("kind", ["texts", "tags"])
def test_unknown_and_empty_texts_are_zeros(kind: str):
    found = embedded(fitted(kind), ["", "   ", "🎻", ",", "zzzzzzzz", "\x00"])
    assert not found.any()
    assert embedded(fitted(kind), []).shape == (0, 8)


@pytest.mark.parametrize("kind", ["texts", "tags"])
def test_saved_and_restored_it_is_the_same(kind: str, tmp_path):
    encoder = fitted(kind)
    encoder.save(tmp_path)
    restored = Lsi(kind=kind, topics=8)
    assert restored.identity() == b"" != encoder.identity()
    restored.restore(tmp_path)
    assert torch.equal(embedded(restored, TEXTS + TAGS), embedded(encoder, TEXTS + TAGS))
    assert restored.identity() == encoder.identity()
    assert (encoder.state_dict(), list(encoder.parameters())) == ({}, [])


def test_identity_changes_with_terms_and_with_numbers():
    one, other, more = (Lsi("tags", 8) for _ in range(3))
    one.fit(["rock, loud", "folk"])
    other.fit(["rock, calm", "folk"])
    more.fit(["rock, loud", "folk", "rock"])
    assert len({one.identity(), other.identity(), more.identity()}) == 3


def test_what_was_saved_with_other_settings_is_refused(tmp_path):
    fitted("tags").save(tmp_path)
    for encoder in (Lsi("texts", 8), Lsi("tags", 2)):
        with pytest.raises(InputError, match="holds 5 topics of tags, but the encoder has"):
            encoder.restore(tmp_path)
    with pytest.raises(InputError, match=r"topics\.json does not exist"):
        Lsi("tags").restore(tmp_path / "nothing")


def test_before_it_is_fitted_and_with_nothing_to_learn_from_it_says_so(tmp_path):
    encoder = registry.build("encoders.text", "lsi", topics=4)
    for ask in (lambda: encoder.tokenize(["a"]), lambda: encoder.save(tmp_path)):
        with pytest.raises(InputError, match=r"not learned: call fit\(texts\) first"):
            ask()
    with pytest.raises(InputError, match="no terms in 2 texts"):
        encoder.fit(["", " "])


def test_settings_are_checked():
    for wrong in ({"kind": "words"}, {"topics": 0}, {"terms": 3}):
        with pytest.raises(InputError):
            registry.check("encoders.text", {"name": "lsi", **wrong})
