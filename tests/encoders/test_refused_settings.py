"""Sizes that no network has are refused in one line, and not by torch or by a training that learns nothing."""

from __future__ import annotations

from typing import Any

import pytest

from crossmodal import registry
from crossmodal.errors import InputError

WRONG: list[tuple[str, str, dict[str, Any]]] = [
    ("audio", "mel_cnn", {"channels": []}),
    ("audio", "mel_cnn", {"channels": [8, 0]}),
    ("audio", "mel_cnn", {"dim": 0}),
    ("audio", "mel_cnn", {"dropout": 1.5}),
    ("audio", "vgg_res", {"channels": []}),
    ("audio", "sample_cnn", {"strides": [], "channels": [8]}),
    ("audio", "sample_cnn", {"channels": []}),
    ("audio", "clip_resnet", {"layers": [1, 0, 1, 1]}),
    ("audio", "crnn", {"channels": [8, 8, 8, -8]}),
    ("audio", "kim2019", {"dim": -1}),
    ("audio", "musicnn", {"timbral": 0}),
    ("audio", "short_chunk_cnn", {"channels": 0}),
    ("text", "mini_transformer", {"vocabulary": 256}),
    ("text", "mini_transformer", {"layers": 0}),
]


@pytest.mark.parametrize(("family", "name", "wrong"), WRONG, ids=[f"{name}-{wrong}" for _, name, wrong in WRONG])
def test_sizes_that_no_network_has_are_refused_by_name(family: str, name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"{name}.*{next(iter(wrong))}"):
        registry.build(f"encoders.{family}", name, **wrong)
