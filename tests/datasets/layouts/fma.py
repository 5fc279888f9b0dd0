"""FMA's tables of a few tracks, with the three rows of the header, and its ways of being broken."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

HEADER = [
    *(("album", "id"), ("album", "information"), ("album", "title"), ("artist", "bio"), ("artist", "id")),
    *(("artist", "name"), ("set", "split"), ("set", "subset"), ("track", "duration"), ("track", "genre_top")),
    *(("track", "genres"), ("track", "genres_all"), ("track", "information"), ("track", "language_code")),
    *(("track", "license"), ("track", "tags"), ("track", "title")),
]
PAGE = '<p>An "early" &amp; <b>loud</b>\nrecord.</p><p>Été, in two<br/>lines</p><script>no();</script>'
BY, NC = "Attribution", "Attribution-NonCommercial"
AWOL = {"album.id": 1, "album.information": PAGE, "album.title": "AWOL", "artist.bio": "<p> </p>", "artist.id": 1}
AWOL |= {"artist.name": "AWOL", "set.split": "training", "track.license": BY, "track.genre_top": "Hip-Hop"}
AWOL |= {"track.genres": "[21]", "track.genres_all": "[21]", "track.tags": "[]", "set.subset": "small"}
VILE = {"album.id": 6, "album.title": "Constant\tHitmaker", "artist.bio": "Born in <i>Köln</i>.", "artist.id": 6}
VILE |= {"artist.name": "Kurt Vile", "set.split": "validation", "track.license": NC, "track.genre_top": "Pop"}
VILE |= {"track.genres": "[10]", "track.genres_all": "[10]", "track.tags": "['philly']", "set.subset": "small"}
SOME = {"album.id": 8, "artist.id": 8, "set.split": "test", "track.genre_top": "Rock", "set.subset": "small"}
SOME |= {"track.genres": "[12]", "track.genres_all": "[12]", "track.tags": "[]", "track.duration": 207}
LIVE = {"track.information": "Recorded live.", "track.tags": "['lo-fi', \"80's, or so\"]", "track.genres": "[21, 99]"}
ROWS = [
    {"track_id": 2, **AWOL, "track.title": "Food", "track.language_code": "en", "track.duration": 168},
    {"track_id": 3, **AWOL, "track.title": "Ü", "set.subset": "medium"},
    {"track_id": 5, **AWOL, **LIVE, "track.genres_all": "[21, 12]", "track.language_code": "de", "track.duration": 206},
    {"track_id": 10, **VILE, "track.title": "Freeway", "track.duration": 20},
    {"track_id": 133297, **SOME, "track.duration": 600},
    {"track_id": 134, **SOME, "track.genre_top": "", "track.genres": "[]", "track.genres_all": "[]"},
    {"track_id": 135, **SOME, "set.split": "unknown"},
    {"track_id": 136, **SOME, "set.subset": "large"},
    {"track_id": 2, **AWOL, "track.title": "Again"},
]
GENRES = "genre_id,#tracks,parent,title,top_level\n10,1,0,Pop,10\n12,2,0,Rock,12\n21,3,0,Hip-Hop,21\n22,too few\n"


def write(root: Path) -> dict[str, Any]:
    folder = root / "fma_metadata"
    folder.mkdir()
    with (folder / "tracks.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", *(first for first, _ in HEADER)])
        writer.writerow(["", *(second for _, second in HEADER)])
        writer.writerow(["track_id", *[""] * len(HEADER)])
        columns = ["track_id", *(f"{first}.{second}" for first, second in HEADER)]
        writer.writerows([row.get(column, "") for column in columns] for row in ROWS)
        writer.writerow([140, 9, "ragged"])
    (folder / "genres.csv").write_text(GENRES, encoding="utf-8")
    for track in ("000002", "000005", "000010", "000134", "000135"):
        path = root / "fma_small" / track[:3] / f"{track}.mp3"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.sin(np.arange(4800) / 9), 16000)
    (root / "fma_small/000/000134.mp3").write_bytes(b"")
    (root / "fma_small/000/000010.mp3").unlink()
    return {}
