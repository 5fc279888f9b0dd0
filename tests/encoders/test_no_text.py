from __future__ import annotations

import pytest
import torch

from crossmodal import registry
from crossmodal.encoders.text.mini_transformer import MiniTransformer
from crossmodal.encoders.text.none import NoText
from crossmodal.errors import InputError


def test_it_is_found_by_name_and_reads_nothing():
    encoder = registry.build("encoders.text", "none")
    assert isinstance(encoder, NoText)
    assert (encoder.reads, encoder.dim, encoder.state_dict(), encoder.identity()) == (False, 1, {}, b"")
    assert MiniTransformer.reads


def test_whoever_asks_it_is_told():
    encoder = NoText()
    for ask in (lambda: encoder.tokenize(["a calm song"]), lambda: encoder.forward({"vectors": torch.zeros(1, 1)})):
        with pytest.raises(InputError, match="trained on audio alone: it has no text encoder"):
            ask()


def test_it_learns_and_saves_nothing(tmp_path):
    encoder = NoText()
    encoder.fit(["a calm song"])
    encoder.save(tmp_path)
    encoder.restore(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_has_no_settings():
    with pytest.raises(InputError, match="no setting 'dim'; valid: none"):
        registry.check("encoders.text", {"name": "none", "dim": 3})
