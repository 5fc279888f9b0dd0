"""Ballroom: 698 excerpts of 30 s of ballroom dances, with their tempo."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pandas as pd

from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, lines, optional, required
from crossmodal.errors import InputError
from crossmodal.files import Skipped

# pairs of one recording, the first four of the same samples: the README of CPJKU/BallroomAnnotations, after Sturm
REPLICAS: Mapping[str, str] = {
    "Albums-Chrisanne2-12": "Albums-AnaBelen_Veneo-11",
    "Albums-Fire-09": "Albums-Fire-08",  # called a Samba there, a ChaChaCha here
    "Albums-Latin_Jam2-13": "Albums-Latin_Jam2-05",
    "Media-104705": "Albums-Secret_Garden-01",
    "Albums-AnaBelen_Veneo-15": "Albums-AnaBelen_Veneo-03",
    "Albums-Ballroom_Magic-18": "Albums-Ballroom_Magic-03",
    "Albums-Latin_Jam-13": "Albums-Latin_Jam-04",
    "Albums-Latin_Jam-14": "Albums-Latin_Jam-08",
    "Albums-Latin_Jam-15": "Albums-Latin_Jam-06",
    "Albums-Latin_Jam2-14": "Albums-Latin_Jam2-02",
    "Albums-Latin_Jam2-15": "Albums-Latin_Jam2-07",
    "Media-103414": "Albums-Latin_Jam3-02",
    "Media-103415": "Media-103402",
}
NAME = re.compile(r"(?:\./)?(?P<path>(?P<style>[^/-]+)(?:-[^/]+)?/(?P<id>[^/]+)\.wav)")


class Ballroom(Source):
    """The excerpts of ``allBallroomFiles``; the tagset "genre" has eight dances, Rumba's three folders being one.

    The column ``tempo_bpm`` is 60 s by the median time from beat to beat in a ``.beats`` file, or what a ``.bpm`` file
    says where there is no other; NaN where there is neither. The first are of the dance's own metrical level.

    Thirteen pairs are of one recording, one of them under two dances; ``replica_of`` names the first of a pair on the
    row of the second. A group is an album, or two albums that share such a pair; nothing is left out.

    Args:
        root: the folder of the two folders.
    """

    licence: ClassVar[str] = "audio: previews of BallroomDancers.com, in copyright; annotations CC BY-NC-SA 4.0"
    citation: ClassVar[str] = (
        "Gouyon et al.: An experimental comparison of audio tempo induction algorithms, IEEE TASLP 14(5), 2006. Beats:"
        " Krebs, Böck, Widmer: Rhythmic pattern modeling for beat and downbeat tracking in musical audio, ISMIR 2013"
    )
    home: ClassVar[str] = "http://mtg.upf.edu/ismir2004/contest/tempoContest/node5.html"
    layout: ClassVar[str] = (
        "BallroomData/allBallroomFiles; BallroomData/ChaChaCha/Albums-Fire-08.wav, the audio;"
        " BallroomAnnotations/*.beats (github.com/CPJKU/BallroomAnnotations) or"
        " BallroomAnnotations/ballroomGroundTruth/*.bpm, the tempi"
    )
    # the README of CPJKU/BallroomAnnotations
    checksums: ClassVar[Mapping[str, str]] = {"data1.tar.gz": "md5:2872a3e52070bc342a4510a95e2fa0b8"}

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

    def read(self) -> Manifest:
        """One row an excerpt, in the order of the list; its id is its file's name.

        Raises:
            InputError: the list is missing or cannot be read.
        """
        tally = Tally()
        names = self._names(tally)
        tempi = self._tempi(set(names), tally)
        ids = pd.Series(list(names), dtype="str")
        groups = {track: _group(track) for track in names}
        shared = {
            groups[second]: groups[first] for second, first in REPLICAS.items() if {first, second} <= groups.keys()
        }
        tracks = pd.DataFrame(
            {
                "track_id": ids,
                "path": [f"BallroomData/{match['path']}" for match in names.values()],
                "album": [_album(track) for track in names],
                "title": ids,
                "group": [shared.get(group, group) for group in groups.values()],
                "source": "ballroom",
                "licence": "in copyright: a preview of BallroomDancers.com",
                "tempo_bpm": [tempi.get(track, math.nan) for track in names],
                "replica_of": [REPLICAS.get(track, "") for track in names],
            }
        )
        return Manifest.build(
            tracks,
            tags=pd.DataFrame({"track_id": ids, "tagset": "genre", "tag": [m["style"] for m in names.values()]}),
            root=self.root,
            skipped=tally.skipped,
            steps=tally.steps,
        )

    def _names(self, tally: Tally) -> dict[str, re.Match[str]]:
        """The lines of the list, by track id."""
        path = required(self, "BallroomData/allBallroomFiles")
        found: dict[str, re.Match[str]] = {}
        skipped = []
        body = lines(path)
        for number, line in enumerate(body, start=1):
            match = NAME.fullmatch(line.strip())
            if match and match["id"] not in found:
                found[match["id"]] = match
            else:
                why = "stands there twice" if match else "not as ./ChaChaCha/Albums-Fire-08.wav is"
                skipped.append(Skipped(line.strip() or f"line {number}", path.name, why))
        tally.step(path.name, len(body), skipped)
        return found

    def _tempi(self, known: set[str], tally: Tally) -> dict[str, float]:
        """The tempo of each track that has one, in BPM."""
        folder = (
            optional(self, "BallroomAnnotations", "BallroomAnnotations-master") or self.root / "BallroomAnnotations"
        )
        found: dict[str, float] = {}
        for kind, files in (("bpm", folder / "ballroomGroundTruth"), ("beats", folder)):
            paths = sorted(files.glob(f"*.{kind}"))
            skipped = []
            for path in paths:
                try:
                    if path.stem not in known:
                        raise InputError("no track of this name")
                    found[path.stem] = _tempo(path)
                except InputError as error:
                    skipped.append(Skipped(path.stem, path.name, str(error)))
            tally.step(f".{kind} files joined to tracks", len(paths), skipped)
        return found


def _tempo(path: Path) -> float:
    """What a ``.bpm`` file says, or 60 s by the median time from beat to beat of a ``.beats`` file.

    Raises:
        InputError: it cannot be read, or does not give a tempo.
    """
    try:
        numbers = [float(line.split()[0]) for line in lines(path) if line.strip()]
        steps = [after - before for before, after in pairwise(numbers)]
        tempo = 60 / statistics.median(steps) if path.suffix == ".beats" else numbers[0]
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise InputError(f"no tempo in it: {error}") from error
    if not 0 < tempo < math.inf:
        raise InputError(f"{tempo} beats a minute is no tempo")
    return tempo


def _album(track: str) -> str:
    """Albums-Cafe_Paradiso-05 is of the album "Cafe Paradiso"; Media-103402 of none."""
    return track.removeprefix("Albums-").rpartition("-")[0].replace("_", " ") if track.startswith("Albums-") else ""


def _group(track: str) -> str:
    return _album(track) or track
