"""GTZAN: excerpts of 30 s in ten genres, in the split that leaves out what is known to be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from crossmodal.data.manifest import Manifest
from crossmodal.data.source import Source
from crossmodal.data.sources import Tally, lines, required
from crossmodal.files import Skipped

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
NAME = re.compile(rf"({'|'.join(GENRES)})/\1\.\d{{5}}\.(wav|au)")


class GTZAN(Source):
    """The 930 excerpts of the split "filtered": 443 to train, 197 to validate, 290 to test; the tagset is "genre".

    Of the 1,000 excerpts 70 stand in no list: those that Sturm found repeated, distorted or mislabelled, and those
    that would put an artist into two parts (Kereliuk, Sturm, Larsen 2015). Of all excerpts about a twentieth are exact
    repetitions and a tenth mislabelled (Sturm 2013): figures on all of them mean little. Nothing says who plays, so
    there are no groups.

    The copy with the folder ``genres_original`` has one file more that cannot be read, ``jazz.00054.wav``, which the
    training list names; with this copy it is skipped, and 442 are left.

    Args:
        root: the folder of the lists and of the audio's folder.
        audio: that folder: "genres" in the original archive, "genres_original" in the copy.
        suffix: of the audio, whatever the lists say: the original has been published as ``.au`` and as ``.wav``.
    """

    licence: ClassVar[str] = "none is stated; the audio is of commercial recordings, in copyright"
    citation: ClassVar[str] = (
        "Tzanetakis, Cook: Musical genre classification of audio signals, IEEE TSAP 10(5), 2002. Faults: Sturm,"
        " arXiv:1306.1461. Split: Kereliuk, Sturm, Larsen: Deep learning and music adversaries, IEEE TMM 17(11), 2015"
    )
    home: ClassVar[str] = "https://github.com/coreyker/dnn-mgr/tree/master/gtzan"
    layout: ClassVar[str] = (
        "train_filtered.txt, valid_filtered.txt, test_filtered.txt (or gtzan_train_filtered.txt ...);"
        " genres/blues/blues.00012.wav or .au, or genres_original/blues/blues.00012.wav, the audio"
    )
    # of the original archive with .wav files; as mirdata has it
    checksums: ClassVar[Mapping[str, str]] = {"genres.tar.gz": "md5:5b3d6dddb579ab49814ab86dba69e7c7"}

    def __init__(
        self,
        root: str,
        audio: Literal["genres", "genres_original"] = "genres",
        suffix: Literal[".wav", ".au"] = ".wav",
    ) -> None:
        self.root = Path(root).expanduser()
        self.audio, self.suffix = audio, suffix

    def read(self) -> Manifest:
        """One row an excerpt, in the order of the lists, training first; its id is as ``blues.00012``.

        Raises:
            InputError: a list is missing or cannot be read.
        """
        tally = Tally()
        parts: dict[str, str] = {}
        for part in ("train", "valid", "test"):
            self._list(part, parts, tally)
        ids = list(parts)
        genres = [track.partition(".")[0] for track in ids]
        tracks = pd.DataFrame(
            {
                "track_id": ids,
                "path": [
                    f"{self.audio}/{genre}/{track}{self.suffix}" for genre, track in zip(genres, ids, strict=True)
                ],
                "title": ids,
                "source": "gtzan",
                "licence": "in copyright: a commercial recording",
            }
        )
        return Manifest.build(
            tracks,
            tags=pd.DataFrame({"track_id": ids, "tagset": "genre", "tag": genres}),
            splits=pd.DataFrame({"track_id": ids, "name": "filtered", "part": list(parts.values())}),
            root=self.root,
            skipped=tally.skipped,
            steps=tally.steps,
        )

    def _list(self, part: str, parts: dict[str, str], tally: Tally) -> None:
        """Add the part of each excerpt of a list to ``parts``."""
        path = required(self, f"{part}_filtered.txt", f"gtzan_{part}_filtered.txt")
        names = [line.strip() for line in lines(path)]
        skipped = []
        for number, name in enumerate(names, start=1):
            track = Path(name).stem
            if why := self._fault(name, track in parts):
                skipped.append(Skipped(name or f"{path.name} line {number}", path.name, why))
            else:
                parts[track] = part
        tally.step(path.name, len(names), skipped)

    def _fault(self, name: str, known: bool) -> str:
        """Why an excerpt of a list is not used, or nothing."""
        if not NAME.fullmatch(name):
            return "no excerpt's name, as blues/blues.00012.wav is"
        if self.audio == "genres_original" and "jazz.00054" in name:
            return "corrupt in the copy called genres_original"
        return "stands in the lists twice" if known else ""
