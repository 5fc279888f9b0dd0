"""Two subsets of LibriSpeech with a few utterances, CPC's lists, and lines that fit nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile

TRANSCRIPTS = {
    "train-clean-100/60/121": "60-121-0000 CHAPTER ONE\n60-121-0001 IT'S ÜBER\n60-121-0002\n"
    "60-121-0001 AGAIN\n61-121-0003 NO\n",
    "train-clean-100/103/1240": "103-1240-0000 WORDS\n103-1240-0001 MORE WORDS\n\n",
    "test-clean/61/70": "61-70-0000 TESTED\r\n",
    "test-clean/999/1": "999-1-0000 BY NOBODY\n",
}
SPEAKERS = """; Some pipe(|) separated metadata about all LibriVox readers
;ID  |SEX| SUBSET           |MINUTES| NAME
60   | M | train-clean-100  | 20.18 | |CBW|Simon
61   | M | test-clean       | 8.08  | Paul-Gabriel Wiener
103  | F | train-clean-100  | 20.10 | Karen Savage
104  | broken
"""
CHAPTERS = """;ID    |READER|MINUTES| SUBSET           | PROJ.|BOOK ID| CH. TITLE | PROJECT TITLE
121    | 60   | 10.0  | train-clean-100  | 1 | 2 | Ch. 1 | Book, "one"
1240   | 103  | 10.0  | train-clean-100  | 3 | 4 | 00 | Anne of Green Gables
"""


def write(root: Path) -> dict[str, Any]:
    base = root / "LibriSpeech"
    for name, text in TRANSCRIPTS.items():
        folder = base / name
        folder.mkdir(parents=True)
        speaker, chapter = name.split("/")[1:]
        (folder / f"{speaker}-{chapter}.trans.txt").write_bytes(text.encode())
        for number in range(3):
            soundfile.write(folder / f"{speaker}-{chapter}-{number:04d}.flac", np.sin(np.arange(4800) / 9), 16000)
    (base / "train-clean-100/103/1240/103-1240-0000.flac").write_bytes(b"")
    (base / "SPEAKERS.TXT").write_text(SPEAKERS, encoding="utf-8-sig")
    (base / "CHAPTERS.TXT").write_text(CHAPTERS, encoding="utf-8")
    lists = root / "LibriSpeech100_labels_split"
    lists.mkdir()
    (lists / "train_split.txt").write_text("60-121-0000\n103-1240-0000\n5-5-0005\n", encoding="utf-8")
    (lists / "test_split.txt").write_text("60-121-0001\n103-1240-0001\n60-121-0000\n", encoding="utf-8")
    return {"subsets": ["train-clean-100", "test-clean"]}
