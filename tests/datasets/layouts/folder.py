"""A folder of audio: two albums, one empty file, one that is no audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile


def write(root: Path) -> dict[str, Any]:
    for name in ("rock/a.wav", "rock/b.ogg", "jazz/ü c.flac"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / name, np.sin(np.arange(2400) / 9), 8000)
    (root / "jazz" / "empty.wav").touch()
    (root / "jazz" / "cover.jpg").write_bytes(b"no sound")
    return {"group": "folder"}
