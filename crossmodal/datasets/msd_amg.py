"""The AllMusic tag sets of the Million Song Dataset: genres, styles, moods and themes; and reviews of its albums.

The data block of an experiment as Schindler's for ISMIR 2020: trained on tracks whose album has a review::

    data:
      name: msd_amg
      root: ~/msd
    split: review
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from crossmodal.data import msd, partition, ragged, rows, tagging
from crossmodal.data.checks import among
from crossmodal.data.manifest import COLUMNS, Manifest
from crossmodal.data.pytables import read_frame
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, missing, optional
from crossmodal.data.splits import add_split
from crossmodal.errors import InputError, listed
from crossmodal.files import Skipped

TAGSETS = ("genres", "styles", "moods", "themes")
IDS = ("index", "trackid", "track_id", "")  # the files do not agree; "" is the index of a csv that pandas wrote
REVIEWS = ("reviews.jsonl", "reviews.csv", "reviews.tsv")


class MsdAmg(Source):
    """Tracks of the Million Song Dataset with the tags that AllMusic's editors gave to their albums.

    Labels are read from ``msd_amglabels_all.h5``; where that is not, from ``msd_amglabels_all.csv`` or from those of
    the tag sets, ``msd_amglabels_genres.csv`` and so on. Artist, album and title are in the h5, or else in the data
    set's ``track_metadata.db``, if it is there; the album is the group that no split cuts.

    Reviews are not published. One's own are a table of ``track_id``, ``review`` and perhaps ``language`` and
    ``review_id``, a row a track: the review of an album stands in the rows of all its tracks and becomes one text.
    With them there is the split "review" of Schindler's notebook 3: tracks with a review train, 1 % of their albums
    validate, tracks without test. There validation shares albums with training; here none is cut: an album of which
    some tracks have a review is in train or valid, and its other tracks are in no part, each with the reason.

    Args:
        root: where the labels are.
        without_genre: tracks that have no genre are skipped, as in notebook 1, or kept.
        audio: the folder of the previews, in folders as in the data set: ``audio/A/B/C/TRABC....mp3``.
        reviews: the table of reviews below ``root``; by default reviews.jsonl, .csv or .tsv, if there is one.
        valid: the share of the albums with reviews that validates.
        salt: another salt draws others.
        encoding: of the csv files.
    """

    licence: ClassVar[str] = "tags: AllMusic's, published for research; audio: 7digital's previews, not distributed"
    citation: ClassVar[str] = (
        "Schindler, Mayer, Rauber: Facilitating Comprehensive Benchmarking Experiments on the Million Song Dataset,"
        " ISMIR 2012; Schindler, Knees: Multi-Task Music Representation Learning from Multi-Label Embeddings, CBMI 2019"
    )
    home: ClassVar[str] = (
        "https://github.com/tuwien-musicir/msd/tree/master/ground_truth_assignments/AMG_Multilabel_tagsets"
    )
    layout: ClassVar[str] = (
        "msd_amglabels_all.h5 (or .csv, or msd_amglabels_{genres,styles,moods,themes}.csv), and if you have them"
        " track_metadata.db, reviews.jsonl and audio/A/B/C/TRABC....mp3"
    )

    def __init__(
        self,
        root: str,
        without_genre: Literal["skip", "keep"] = "skip",
        audio: str = "audio",
        reviews: str | None = None,
        valid: float = 0.01,
        salt: str = "",
        encoding: str = "utf-8-sig",
    ) -> None:
        self.root = Path(root).expanduser()
        self.without_genre, self.audio, self.reviews = without_genre, audio, reviews
        self.valid, self.salt, self.encoding = valid, salt, encoding

    def read(self) -> Manifest:
        """Labels, albums, reviews and the split.

        Raises:
            InputError: there are no labels, a table lacks a column, or a file is broken; it says which, and where.
        """
        tally = Tally()
        labels = self._labels(tally)
        lists = {name: tagging.lists(labels[name], ",|") for name in TAGSETS if name in labels}
        if self.without_genre == "skip" and "genres" in lists:
            has = np.array([bool(cell) for cell in lists["genres"]], dtype=bool)
            tally.step("tracks with a genre", len(labels), _lost(labels.index[~has], self.audio, "has no genre"))
            labels, lists = labels[has], {name: cells[has] for name, cells in lists.items()}
        ids = labels.index.to_series().reset_index(drop=True)
        tags, annotated = zip(*(tagging.tables(ids, name, cells) for name, cells in lists.items()), strict=True)
        reviews = self._reviews(tally, ids)
        tracks = self._tracks(labels, ids, reviews)
        made = Manifest.build(tracks, reviews, pd.concat(tags), pd.concat(annotated), root=self.root)
        if len(reviews):
            made = self._partition(made, tally)
        return replace(made, steps=tally.steps, skipped=tally.skipped)

    def _labels(self, tally: Tally) -> pd.DataFrame:
        """The cells of the tag sets, and what is known of the tracks, by track id, in the order of the files."""
        if path := optional(self, "msd_amglabels_all.h5", "msd_amglabels_all.csv"):
            return self._table(tally, path)
        found = [path for name in TAGSETS if (path := optional(self, f"msd_amglabels_{name}.csv"))]
        if not found:
            raise missing(self, "msd_amglabels_all.h5")
        return pd.concat([self._table(tally, path) for path in found], axis=1).rename_axis("track_id")

    def _table(self, tally: Tally, path: Path) -> pd.DataFrame:
        if path.suffix == ".h5":
            frame = read_frame(path).rename_axis("").reset_index()
            read, lost = len(frame), list[Skipped]()
        else:
            frame, read, lost = ragged.read(path, encoding=self.encoding)
        key = next((name for name in frame.columns if name in IDS), None)
        if key is None or not set(TAGSETS) & set(frame.columns):
            raise InputError(
                f"{path} has the columns {listed(frame.columns)}; it needs index or trackid, and {TAGSETS}"
            )
        frame = frame.rename(columns={key: "track_id"})
        ids = frame["track_id"].astype("str").fillna("")
        twice, wrong = ids.duplicated(), ~ids.str.fullmatch(msd.ID)
        lost += [Skipped(track or "?", path.name, "is no track id") for track in ids[wrong]]
        lost += [Skipped(track, path.name, "stands there twice; the first counts") for track in ids[twice & ~wrong]]
        tally.step(path.name, read, lost)
        return frame[~twice & ~wrong].set_index("track_id")

    def _tracks(self, labels: pd.DataFrame, ids: pd.Series[str], reviews: pd.DataFrame) -> pd.DataFrame:
        tracks = pd.DataFrame({"track_id": ids, "path": msd.paths(ids, self.audio), "source": "msd_amg"})
        known = labels.rename(columns=msd.COLUMNS)
        if "album" not in known and (path := optional(self, msd.DATABASE)):
            known = msd.metadata(path).reindex(labels.index)
        for column in msd.COLUMNS.values():
            tracks[column] = known[column].astype("str").fillna("").to_numpy() if column in known else ""
        albums = (tracks["artist"] + " / " + tracks["album"]).where(tracks["album"] != "", "")
        groups = pd.Series(albums.to_numpy(), index=ids, dtype="str")
        for _, one in reviews.groupby(
            reviews.groupby("track_id").cumcount()
        ):  # one review on two albums makes them one
            texts = one.set_index("track_id")["text_id"]
            groups = partition.joined(groups.where(groups != "", texts.reindex(ids).fillna("")), texts)
        return tracks.assign(group=groups.to_numpy())

    def _reviews(self, tally: Tally, ids: pd.Series[str]) -> pd.DataFrame:
        """A row for each review of a track, counted."""
        path = optional(self, *([self.reviews] if self.reviews else REVIEWS))
        if path is None:
            if self.reviews:
                raise missing(self, self.reviews)
            return pd.DataFrame(columns=list(COLUMNS["texts"]), dtype="str")
        found = self._review_table(tally, path)
        known = among(found["track_id"], ids)
        tally.step("reviews joined to tracks", len(found), _reasons(found[~known], path, "no track of this id is kept"))
        found = found[known]
        tally.step("tracks with a review", found["track_id"].nunique())
        tally.step("tracks without a review", len(ids) - found["track_id"].nunique())
        return found

    def _review_table(self, tally: Tally, path: Path) -> pd.DataFrame:
        if path.suffix == ".h5":
            frame, lost = read_frame(path), list[Skipped]()
        elif Path(path.name.removesuffix(".gz")).suffix in rows.JSON_LINES:
            frame, lost = rows.read(path), []
        else:
            frame, _, lost = ragged.read(path, encoding=self.encoding)
        cells = {name: rows.column(frame, name, path) for name in ("track_id", "review")}
        cells |= {name: frame[name] for name in ("language", "review_id") if name in frame}
        words = pd.DataFrame({name: cell.astype("str").fillna("").str.strip() for name, cell in cells.items()})
        words = words.reindex(columns=["track_id", "review", "language", "review_id"], fill_value="")
        texts = pd.DataFrame(
            {"text_id": _text_ids(words), "track_id": words["track_id"], "language": words["language"]}
        )
        texts = texts.assign(kind="review", text=words["review"])
        empty = texts["text"] == ""
        others = ~empty & (texts["text"].mask(empty).groupby(texts["text_id"]).transform("first") != texts["text"])
        wrong = {
            "has an empty text": empty,
            "has the id of another text": others,
            "stands there twice": texts.duplicated(["text_id", "track_id", "text"]) & ~others & ~empty,
        }
        lost += chain.from_iterable(_reasons(texts[mask], path, reason) for reason, mask in wrong.items())
        tally.step(path.name, len(texts) + len(lost) - sum(int(mask.sum()) for mask in wrong.values()), lost)
        return texts.drop(texts.index[np.logical_or.reduce(list(wrong.values()))])

    def _partition(self, made: Manifest, tally: Tally) -> Manifest:
        out = partition.left_out(made, "review")
        tally.step("tracks in the split 'review'", len(made), out)
        return add_split(made, "review", partition.split_by_text(made, "review", self.valid, salt=self.salt))


def _text_ids(words: pd.DataFrame) -> pd.Series[str]:
    """An id a text: its own, and that of its language; or a hash of the text, so that one review is one text."""
    hashes = {text: hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in words["review"].unique()}
    own = words["review_id"].where(words["review_id"] != "", words["review"].map(hashes))
    return "review:" + own + (":" + words["language"]).where(words["language"] != "", "")


def _reasons(texts: pd.DataFrame, path: Path, reason: str) -> list[Skipped]:
    return [
        Skipped(track or text, path.name, reason) for track, text in zip(texts.track_id, texts.text_id, strict=True)
    ]


def _lost(ids: pd.Index[str], folder: str, reason: str) -> list[Skipped]:
    series = pd.Series(ids, dtype="str")
    named = zip(series.tolist(), msd.paths(series, folder).tolist(), strict=True)
    return [Skipped(track, path, reason) for track, path in named]
