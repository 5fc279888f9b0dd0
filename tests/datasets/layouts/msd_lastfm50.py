"""CLMR's files of the Million Song Dataset: four tags, and lines and ids that do not fit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

TAGS = ["rock", "female vocalists", "Hip-Hop", "80s, or so"]
LINES = {
    "train": [("TRAAAAK128F9318786", [1, 0, 0, 1]), ("TRAAAAW128F429D538", [0, 0, 1, 0]), ("TRBAD", [1, 0, 0])],
    "val": [("TRAAABD128F429CF47", [0, 1, 0, 0]), ("TRAAAAK128F9318786", [1, 0, 0, 1])],  # the second trains too
    "test": [
        ("TRAAADJ128F4287B47", [0, 0, 0, 0]),
        ("TRAAAED128E0783FAB", [1, 1, 1, 1]),
        ("TRAAAEF128F4273421", [1, 0, 0, 0]),
        ("8947470", [1, 0, 0, 0]),
    ],
}
SEVEN = {
    "TRAAAAK128F9318786": "8947470",
    "TRAAAAW128F429D538": "1234567",
    "TRAAABD128F429CF47": "555",
    "TRAAADJ128F4287B47": "99",
    "TRAAAEF128F4273421": "777",
    "TRZZZZZ128F0000000": "31",  # has no labels
}


def write(root: Path) -> dict[str, Any]:
    folder = root / "processed_annotations"
    folder.mkdir()
    for part, rows in LINES.items():
        text = "".join(f"{track}\t{vector}\n" for track, vector in rows)
        (folder / f"{part}_gt_msd.tsv").write_text(text, encoding="utf-8")
    (folder / "output_labels_msd.txt").write_text(f"# Output labels\nMSD_LABELS = {TAGS}\n\n", encoding="utf-8-sig")
    (folder / "MSD_id_to_7D_id.pkl").write_bytes(pickle.dumps(SEVEN, protocol=2))
    for key in SEVEN.values():
        path = root / "processed" / key[0] / key[1] / f"{key}.clip.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(2400) / 9), 8000)
    (root / "processed/7/7/777.clip.wav").write_bytes(b"")
    return {}
