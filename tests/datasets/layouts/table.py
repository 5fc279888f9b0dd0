"""A table in another encoding, with a track that has no file, an empty text and tags that hold commas and quotes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

ROWS = [
    ("a", "a.wav", "Ann", "Schön laut.", "rock|drum, bass"),
    ("b", "b.wav", "Bob", " ", 'the ""best""'),
    ("gone", "gone.wav", "Cem", "Weg.", "rock"),
]


def write(root: Path) -> dict[str, Any]:
    for name in ("a.wav", "b.wav"):
        soundfile.write(root / name, np.sin(np.arange(2400) / 9), 8000)
    lines = ["track_id,path,artist,review,genre", *(",".join(f'"{cell}"' for cell in row) for row in ROWS)]
    (root / "t.csv").write_bytes("\n".join(lines).encode("latin-1"))
    return {
        "file": "t.csv",
        "encoding": "latin-1",
        "texts": [{"column": "review", "language": "de"}],
        "tagsets": {"genre": "genre"},
        "splits": {"mine": {"group": "artist"}},
    }
