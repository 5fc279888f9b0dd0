"""The smallest orchestra."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write(root: Path) -> dict[str, Any]:
    return {"tracks": 12, "duration_s": 1.0, "sample_rate": 8000, "workers": 1}
