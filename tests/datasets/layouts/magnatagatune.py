"""MagnaTagATune's label files for a dozen clips, and the clips."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

# the real file has 188; "clasical" is none of the 50
TAGS = ("no voice", "guitar", "clasical", "classical", "no vocals", "metal", "flute")
EMPTY = "6/norine_braun-now_and_zen-08-gently-117-146"
CLIPS = {
    "0/ann-first_album-01-a__song-0-29": "0101000",
    "0/ann-first_album-01-a__song-29-58": "0000000",  # annotated with nothing
    "b/bo-second-02-b-0-29": "0010000",  # only with a tag that is none of the 50
    "c/bo-third-03-c-0-29": "0000010",
    "d/cem-fourth-04-d-0-29": "1100000",
    "f/ann-fifth-05-e-0-29": "0000001",
    "f/no_name_as_the_others": "0100000",
    EMPTY: "0100000",
}


def annotations() -> list[str]:
    rows = [("clip_id", *TAGS, "mp3_path")]
    rows += [(str(n), *cells, f"{clip}.mp3") for n, (clip, cells) in enumerate(CLIPS.items())]
    rows += [rows[1], ("97", "0", "1"), ("98", *"0200000", "a/x-y-01-z-0-29.mp3"), ("99", *"0000000", "")]
    return ["\t".join(f'"{cell}"' for cell in row) for row in rows]


def info() -> list[str]:
    header = "clip_id track_number title artist album url segmentStart segmentEnd original_url mp3_path"
    rows = [
        header.split(),
        ["0", "1", 'A, ""Song""', "Ann Ü.", "First: Album", "", "0", "29", "", "0/ann-first_album-01-a__song-0-29.mp3"],
        ["77", "1", "cut", "of", "no clip", "", "0", "29", "", ""],
        ["4", "ragged"],
        ["4", "4", "D", "Cem", "", "", "0", "29", "", "d/cem-fourth-04-d-0-29.mp3"],
    ]
    return ["\t".join(f'"{cell}"' for cell in row) for row in rows]


def sounds(root: Path) -> None:
    for clip in CLIPS:
        path = root / "mp3" / f"{clip}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(4800) / 9), 16000)
    (root / "mp3" / "c" / "bo-third-03-c-0-29.mp3").write_bytes(b"")
    whole = (root / "mp3" / "f" / "ann-fifth-05-e-0-29.mp3").read_bytes()
    (root / "mp3" / "f" / "ann-fifth-05-e-0-29.mp3").write_bytes(whole[:300])  # truncated: found at extraction
    (root / "mp3" / f"{EMPTY}.mp3").write_bytes(b"")


def write(root: Path) -> dict[str, Any]:
    for name, rows in (("annotations_final.csv", annotations()), ("clip_info_final.csv", info())):
        text = "\ufeff" + "\n".join(rows) + "\n"
        (root / f"{name}.gz").write_bytes(gzip.compress(text.encode()))  # plain, they would not be as published
    lists = {
        "train": ["0/ann-first_album-01-a__song-0-29", "0/of-no-01-clip-0-29", "", "0/ann-first_album-01-a__song-0-29"],
        "valid": ["c/bo-third-03-c-0-29"],
        "test": ["d/cem-fourth-04-d-0-29"],
    }
    for part, names in lists.items():
        text = "".join(f"{name}.npy\n" if name else "\n" for name in names)
        (root / f"mtat_pub_split_{part}.txt").write_text(text, encoding="utf-8")
    sounds(root)
    return {}
