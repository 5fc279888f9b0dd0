"""What must start quickly loads nothing heavy; the layers themselves are kept by lint-imports in `make lint`."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = ["crossmodal", "crossmodal.errors", "crossmodal.files", "crossmodal.settings", "crossmodal.registry"]
LIGHT += ["crossmodal.config", "crossmodal.types", "crossmodal.doctor"]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'pandas', 'transformers', 'faiss') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"
