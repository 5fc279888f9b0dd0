"""GiantSteps key as mirdata lays it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

KEYS = {
    "10089 Jason Sparks - Close My Eyes feat. J. Little (Original Mix)": "D major\n",
    "1004923 Élan, The - Up - Down": "C# minor",
    "1007941 Bo - Modal": "F minor aeolian",
    "1009960 Bo - Two": "C major / A minor",
    "1017921 Bo - None": "-",
    "1026478 Bo - Silent": "",
    "1033148 Bo - Confident": "E minor\t2",
    "A file without a number": "E minor",
    "1034795 Bo - Gone": "B\u266d minor",
}
GENRES = ["Indie Dance / Nu Disco", "Drum & Bass", "Drum & Bass"]


def write(root: Path) -> dict[str, Any]:
    for folder in ("audio", "keys_gs+", "meta"):
        (root / folder).mkdir()
    for name, key in KEYS.items():
        (root / "keys_gs+" / f"{name}.txt").write_text(key, encoding="utf-8")
        soundfile.write(root / "audio" / f"{name}.mp3", np.sin(np.arange(4800) / 9), 16000)
    told = {"genres": [{"name": name} for name in GENRES], "bpm": 128}
    (root / "meta" / f"{next(iter(KEYS))}.json").write_text(json.dumps(told), encoding="utf-8")
    (root / "audio" / "1034795 Bo - Gone.mp3").unlink()
    return {}
