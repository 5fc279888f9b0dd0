"""AllMusic's labels of a dozen tracks, and reviews: with every way in which these files do not fit together."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

ALBUMS = {"A": ("Ann", "First"), "B": ("Ann", "Second"), "C": ("Björk & Co.", 'The "Red", one'), "D": ("Cem", "Işık")}


def track(album: str, number: int) -> str:
    return f"TR{album * 5}128F{number:07X}"


def rows() -> pd.DataFrame:
    cells = {}
    for album, (artist, release) in ALBUMS.items():
        for number in range(3):
            lists = [["Pop/Rock", "Children's"], ["Rock & Roll, loud"], ["Sad"] * number or np.nan, np.nan]
            cells[track(album, number)] = [*lists, artist, f"Song {number}", release]
    frame = pd.DataFrame.from_dict(
        cells, "index", columns=["genres", "styles", "moods", "themes", "artist_name", "title", "release"]
    )
    frame.loc[track("D", 2), "genres"] = np.nan
    frame.loc["no id"] = [["Jazz"], np.nan, np.nan, np.nan, "x", "y", "z"]
    return pd.concat([frame, frame.iloc[[0]]])


def sounds(root: Path, tracks: list[str]) -> None:
    for name in tracks:
        path = root / "audio" / name[2] / name[3] / name[4] / f"{name}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(4800) / 9), 16000)


def write(root: Path) -> dict[str, Any]:
    frame = rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTables warns of what is tried here: lists, which it pickles
        frame.to_hdf(root / "msd_amglabels_all.h5", key="data")
    sounds(root, [name for name in frame.index.unique() if name.startswith("TR")])
    (root / "audio/A/A/A" / f"{track('A', 2)}.mp3").write_bytes(b"")
    (root / "audio/B/B/B" / f"{track('B', 2)}.mp3").unlink()
    reviews = [
        (track("A", 0), "a", "en", "An old friend."),
        (track("A", 1), "a", "en", "An old friend."),  # the third track of the album has none
        (track("C", 0), "c", "de", 'Laut, "rot"\tund gut.'),
        (track("C", 1), "c", "de", 'Laut, "rot"\tund gut.'),
        (track("C", 2), "c", "de", " "),
        (track("C", 2), "c", "de", "Another text."),
        (track("C", 0), "c", "de", 'Laut, "rot"\tund gut.'),
        ("TRZZZZZ128F0000000", "z", "en", "Of no track."),
        (track("D", 2), "d", "tr", "Türü yok."),
    ]
    lines = [
        json.dumps({"track_id": track, "review_id": key, "language": language, "review": text}, ensure_ascii=False)
        for track, key, language, text in reviews
    ]
    (root / "reviews.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"valid": 0.5}
