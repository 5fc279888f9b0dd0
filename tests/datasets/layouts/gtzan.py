"""GTZAN as its copy lays it out, with the file that is corrupt there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

LISTS = {
    "train": ["blues/blues.00029.wav", "jazz/jazz.00053.wav", "jazz/jazz.00054.wav", "blues/blues.00029.wav"],
    "valid": ["hiphop/hiphop.00000.wav", "", "rock/blues.00001.wav"],
    "test": ["blues/blues.00012.wav", "rock/rock.00001.au", "pop/pop.00001.wav"],
}


def write(root: Path) -> dict[str, Any]:
    for part, names in LISTS.items():
        (root / f"{part}_filtered.txt").write_text("\r\n".join(names) + "\r\n", encoding="utf-8-sig")
        for name in filter(None, names):
            path = root / "genres_original" / Path(name).with_suffix(".wav")
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.sin(np.arange(2400) / 9), 8000)
    (root / "genres_original" / "jazz" / "jazz.00054.wav").write_bytes(b"no header of a wave file")
    (root / "genres_original" / "pop" / "pop.00001.wav").unlink()
    return {"audio": "genres_original"}
