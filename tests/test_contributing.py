"""The plug-in that CONTRIBUTING.md shows works as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from crossmodal import registry
from crossmodal.types import Batch, Embeddings


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """The module of CONTRIBUTING.md, importable as ``shown_hinge``."""
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "shown_hinge.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    yield "shown_hinge:Hinge"
    sys.modules.pop("shown_hinge", None)


def test_the_objective_shown_is_a_plugin(shown):
    registry.check("objectives", {"name": shown, "margin": 1})
    hinge = registry.build("objectives", shown, margin=0.5)
    audio = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]])  # (views, batch, dim)
    text = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    positives = torch.tensor([[True, False, True], [False, False, False]])
    no_tags = [torch.zeros(3, 0, dtype=torch.bool)] * 2
    batch = Batch(torch.arange(3), audio, torch.ones(1, 3), {}, positives, *no_tags)
    # text 0: own tracks at 1 and 0.6, the other at 0, so 0.5 + 0 - 0.6 < 0; text 1 has no track of its own
    assert hinge.forward(batch, Embeddings(audio, text, audio))["hinge"] == 0
    swapped = Batch(torch.arange(3), audio, torch.ones(1, 3), {}, positives.roll(1, dims=1), *no_tags)
    # text 0: own tracks at 1 and 0, the other at 0.6: 0.5 + 0.6 - 0 = 1.1, over two texts
    assert hinge.forward(swapped, Embeddings(audio, text, audio))["hinge"] == pytest.approx(0.55)


def test_every_family_is_in_its_table():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"\| `crossmodal/(.*?)/` \| `(\w+)` \|", text))
    assert {family.replace("/", "."): protocol for family, protocol in rows.items()} == registry.FAMILIES
