"""The Million Song Dataset with the fifty most frequent tags of Last.fm, as musicnn and CLMR use it.

The data block of an experiment on CLMR's files, its audio resampled to wav::

    data:
      name: msd_lastfm50
      root: ~/million_song_dataset
    split: jongpillee
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from crossmodal.data import msd
from crossmodal.data.manifest import Manifest
from crossmodal.data.pytables import read_pickle
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, lines, optional, required
from crossmodal.errors import InputError
from crossmodal.files import Skipped

FOLDER = "processed_annotations/"
PARTS = {"train": "train_gt_msd.tsv", "valid": "val_gt_msd.tsv", "test": "test_gt_msd.tsv"}
TRAIN = 201_680  # of the tracks in filtered_list_train.cP, the others validate: README of MSD_split, see `home`


class MsdLastfm50(Source):
    """Tracks with at least one of fifty tags, in their published order, rock first.

    The split "jongpillee" is Choi's, of which Lee kept the previews of more than 29.1 s: 201,680, 11,774 and 28,435
    tracks. It was drawn by track: artists and albums are on both sides, so tracks have no group here.

    Labels are read from the tables that musicnn made and CLMR reads, ``{train,val,test}_gt_msd.tsv`` and
    ``output_labels_msd.txt``, or else from Lee's pickles, ``filtered_list_{train,test}.cP``,
    ``msd_id_to_tag_vector.cP`` and ``50tagList.txt``; each lies in the root or in ``processed_annotations``. No pickle
    is run. Artist, album and title are those of the data set's ``track_metadata.db``, if it is there.

    Args:
        root: where the labels are.
        audio: the folder of the previews.
        names: what they are called. After their 7digital id, 8/9/8947470.clip.wav: then ``MSD_id_to_7D_id.pkl`` is
            needed, and tracks that it lacks are skipped. Or after their id in the data set, A/B/C/TRABC....mp3.
        suffix: of names by 7digital ids; .clip.mp3 for those that were not resampled.
    """

    licence: ClassVar[str] = "tags: Last.fm's, for research, not commercial; audio: 7digital's, not distributed"
    citation: ClassVar[str] = (
        "Bertin-Mahieux, Ellis, Whitman, Lamere: The Million Song Dataset, ISMIR 2011; split: Choi, Fazekas, Sandler:"
        " Automatic Tagging Using Deep Convolutional Neural Networks, ISMIR 2016, as in"
        " https://github.com/jongpillee/music_dataset_split"
    )
    home: ClassVar[str] = (
        "https://github.com/jordipons/musicnn-training/tree/master/data/index/msd and"
        " https://github.com/jongpillee/music_dataset_split/tree/master/MSD_split"
    )
    layout: ClassVar[str] = (
        "processed_annotations/ with train_gt_msd.tsv, val_gt_msd.tsv, test_gt_msd.tsv, output_labels_msd.txt and"
        " MSD_id_to_7D_id.pkl; processed/8/9/8947470.clip.wav; if you have it, track_metadata.db"
    )

    def __init__(
        self,
        root: str,
        audio: str = "processed",
        names: Literal["7digital", "msd"] = "7digital",
        suffix: str = ".clip.wav",
    ) -> None:
        self.root = Path(root).expanduser()
        self.audio, self.names, self.suffix = audio, names, suffix

    def read(self) -> Manifest:
        """Tracks in the order of the files, train first.

        Raises:
            InputError: a file is missing or broken, or a pickle asks for more than tables need.
        """
        tally = Tally()
        tags, table, vectors = self._tables(tally) if self._find(*PARTS.values()) else self._pickles(tally)
        table = self._located(_once(table, tally), tally)
        rows, columns = np.nonzero(vectors[table.index])
        found = {"track_id": table["track_id"].to_numpy()[rows], "tagset": "lastfm50", "tag": np.array(tags)[columns]}
        annotated = table[["track_id"]].assign(tagset="lastfm50")
        splits = table[["track_id", "part"]].assign(name="jongpillee")
        tracks = self._described(table[["track_id", "path"]].assign(source="msd_lastfm50"))
        made = {"tags": pd.DataFrame(found, dtype="str"), "annotated": annotated, "splits": splits}
        return Manifest.build(tracks, **made, root=self.root, steps=tally.steps, skipped=tally.skipped)

    def _find(self, *names: str) -> Path | None:
        return optional(self, *(folder + name for name in names for folder in (FOLDER, "")))

    def _need(self, name: str) -> Path:
        return required(self, FOLDER + name, name)

    def _tables(self, tally: Tally) -> tuple[list[str], pd.DataFrame, np.ndarray]:
        tags = _tags(self._need("output_labels_msd.txt"))
        found: list[tuple[str, str, list[int]]] = []
        for part, name in PARTS.items():
            path = self._need(name)
            said = lines(path)
            lost: list[Skipped] = []
            for track, vector in _labels(path, said, len(tags), lost):
                found.append((track, part, vector))
            tally.step(path.name, len(said), lost)
        table = pd.DataFrame([row[:2] for row in found], columns=["track_id", "part"], dtype="str")
        return tags, table, np.array([row[2] for row in found], dtype=np.int8).reshape(len(found), len(tags))

    def _pickles(self, tally: Tally) -> tuple[list[str], pd.DataFrame, np.ndarray]:
        if self._find("filtered_list_train.cP") is None:
            self._need(PARTS["train"])  # says what most people have
        train, test = (self._list(f"filtered_list_{part}.cP") for part in ("train", "test"))
        path = self._need("msd_id_to_tag_vector.cP")
        vectors, tags = read_pickle(path), [tag for tag in lines(self._need("50tagList.txt")) if tag.strip()]
        parts = ["train"] * len(train[:TRAIN]) + ["valid"] * len(train[TRAIN:]) + ["test"] * len(test)
        table = pd.DataFrame({"track_id": [*train, *test], "part": parts}, dtype="str")
        good = [_fits(vectors, track, len(tags)) for track in table["track_id"]]
        wrong = table.loc[~np.array(good, dtype=bool), "track_id"]
        lost = [Skipped(track, path.name, f"has no vector of {len(tags)} tags") for track in wrong]
        tally.step("tag vectors of the lists", len(table), lost)
        table = table[good].reset_index(drop=True)
        stacked = [np.asarray(vectors[track]).ravel() for track in table["track_id"]]
        return tags, table, np.array(stacked, dtype=np.int8).reshape(len(table), len(tags))

    def _list(self, name: str) -> list[str]:
        path = self._need(name)
        found = read_pickle(path)
        if not isinstance(found, list | np.ndarray):
            raise InputError(f"{path} holds a {type(found).__name__}, not a list of track ids")
        return [str(track) for track in found]

    def _located(self, table: pd.DataFrame, tally: Tally) -> pd.DataFrame:
        paths = self._paths(table["track_id"])
        absent = table.loc[paths.isna(), "track_id"]
        tally.step("tracks joined to audio", len(table), [Skipped(track, "", "has no 7digital id") for track in absent])
        return table.assign(path=paths)[paths.notna()]

    def _paths(self, ids: pd.Series[str]) -> pd.Series:
        if self.names == "msd":
            return msd.paths(ids, self.audio)
        path = self._need("MSD_id_to_7D_id.pkl")
        known = read_pickle(path)
        if not isinstance(known, dict):
            raise InputError(f"{path} holds a {type(known).__name__}, not a dict of 7digital ids by track id")
        names = ids.map({track: str(key) for track, key in known.items() if len(str(key)) > 1})
        return self.audio + "/" + names.str[0] + "/" + names.str[1] + "/" + names + self.suffix

    def _described(self, tracks: pd.DataFrame) -> pd.DataFrame:
        if (path := optional(self, msd.DATABASE)) is None:
            return tracks
        return tracks.join(msd.metadata(path), on="track_id")


def _once(table: pd.DataFrame, tally: Tally) -> pd.DataFrame:
    """The rows of tracks that stand there the first time, and have an id as the data set's."""
    ids = table["track_id"]
    wrong, twice = ~ids.str.fullmatch(msd.ID), ids.duplicated()
    lost = [Skipped(track, "", "is no track id of the data set") for track in ids[wrong]]
    earlier = dict(zip(ids[~twice], table.loc[~twice, "part"], strict=True))
    lost += [Skipped(track, "", f"is in {earlier[track]} already") for track in ids[twice & ~wrong]]
    tally.step("tracks of the three parts", len(table), lost)
    return table[~wrong & ~twice]


def _tags(path: Path) -> list[str]:
    """``MSD_LABELS = ['rock', 'pop', ...]`` as a list."""
    said = "\n".join(line for line in lines(path) if not line.lstrip().startswith("#"))
    try:
        found = ast.literal_eval(said[said.index("[") : said.rindex("]") + 1])
    except (ValueError, SyntaxError) as error:
        raise InputError(f"{path} holds no list of tags, as in MSD_LABELS = ['rock', 'pop', ...]") from error
    return [str(tag) for tag in found]


def _labels(path: Path, said: list[str], tags: int, lost: list[Skipped]) -> Iterator[tuple[str, list[int]]]:
    """The id and the 0 or 1 of each tag, of each line; into ``lost`` go the lines that are not so."""
    for number, line in enumerate(said, start=1):
        track, _, cell = line.strip().partition("\t")
        try:
            vector: Any = json.loads(cell)
        except ValueError:
            vector = None
        if not isinstance(vector, list) or len(vector) != tags or not all(value in (0, 1) for value in vector):
            reason = f"line {number} is not an id, a tab and the 0 or 1 of {tags} tags"
            lost.append(Skipped(track or f"line {number}", path.name, reason))
        else:
            yield track, vector


def _fits(vectors: Any, track: str, tags: int) -> bool:
    """Whether a dict has a vector of zeros and ones for a track."""
    vector = np.asarray(vectors.get(track, ())) if isinstance(vectors, dict) else np.empty(0)
    return vector.size == tags and bool(np.isin(vector, (0, 1)).all())
