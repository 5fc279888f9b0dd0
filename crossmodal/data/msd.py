"""What the sources of the Million Song Dataset share: its track ids, where audio lies, and who plays what."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd

from crossmodal.errors import InputError

ID = r"TR[A-Z]{5}[0-9A-F]{11}"  # http://millionsongdataset.com/faq: TR, five letters, eleven hexadecimal digits
COLUMNS = {"artist_name": "artist", "release": "album", "title": "title"}
DATABASE = "track_metadata.db"
"""http://millionsongdataset.com/sites/default/files/AdditionalFiles/track_metadata.db: a million rows, optional."""


def paths(ids: pd.Series[str], folder: str) -> pd.Series[str]:
    """Where a track's preview lies, by the third, fourth and fifth letter of its id: ``folder/A/B/C/TRABC....mp3``."""
    return folder + "/" + ids.str[2] + "/" + ids.str[3] + "/" + ids.str[4] + "/" + ids + ".mp3"


def metadata(path: Path) -> pd.DataFrame:
    """Artist, album and title of every track, by track id, from the data set's own database.

    Raises:
        InputError: the file is no such database.
    """
    wanted = ", ".join(COLUMNS)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            rows = database.execute(f"SELECT track_id, {wanted} FROM songs ORDER BY track_id").fetchall()
    except sqlite3.Error as error:
        raise InputError(f"{path} is not the database of the Million Song Dataset: {error}") from error
    return pd.DataFrame(rows, columns=["track_id", *COLUMNS.values()], dtype="str").set_index("track_id")
