"""What an index of real clips answers to "solo cello, long notes" in six languages, and to files of cellos.

    python experiments/catalogue.py OUT.md --data FOLDER [--seeds N] [--at-once N] [--threads N] [--runs FOLDER]

experiments/catalogue.yaml is trained with each seed, and an index of all clips is asked, most of which training heard;
and one of the test part alone, none of which it heard. So that neither the words nor the instrument are lucky ones,
the same is asked for every instrument of which there are single notes, long and short. Runs that are finished are not
repeated.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
from recipes import ROOT, arguments

from crossmodal.asking import Asker, Wishes
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded
from crossmodal.evaluation import build_index, open_run
from crossmodal.files import read_json, write_json, write_text
from crossmodal.metrics.bootstrap import bootstrap
from crossmodal.queries import Part, Query

ASKED = {
    "en": "solo cello, long notes",
    "de": "Cello solo, lange Töne",
    "es": "violonchelo solo, notas largas",
    "fr": "violoncelle seul, notes longues",
    "it": "violoncello solo, note lunghe",
    "tr": "solo viyolonsel, uzun notalar",
}
ORDERS = {"en": "solo {}, {}", "tr": "solo {}, {}"}  # other languages name the instrument first
LENGTHS = ("long notes", "short notes")
PARTS = ("all", "test", "valid")
INSTRUMENTS = "philharmonia_instrument"
FILES = 10  # of an instrument that are asked
FIRST = 10  # answers
OWN_GROUP = 150  # answers beyond those, for a group holds no more
HEAD = """# What an index of real clips answers
Made by `python experiments/catalogue.py experiments/catalogue.md --data FOLDER`; the reading of it is in
[LOG.md](LOG.md). FOLDER holds {tracks:,} openly licensed clips, {notes:,} of them single notes and phrases of an
orchestra's players. {seeds} seeds of the training.

Right is what has the tag of the instrument: {cellos} clips are tagged cello ({solo} a cello alone, the others tunes
on a sampled one with accompaniment), so chance is {chance:.1f} of ten. Right in length too is what is also tagged
solo and long notes, or short notes: Philharmonia's own 1.5 s, long and very long, or 0.25 s and 0.5 s. Indexes:
**all** {tracks:,} clips, {share:.0%} of which training heard; the **test** part alone ({test} clips), whose pitches,
pieces and artists it never heard; and the **valid** part ({valid} clips), on which the experiment was chosen. No text
of training is one of the questions word for word, but the words that the lexicon has for their tags are in it, in all
six languages.
"""


class Found(NamedTuple):
    """How much of the first answers is right, of a question about an instrument."""

    part: str  # that is indexed
    kind: str  # the question itself, the words for every instrument, or a file
    instrument: str
    language: str  # "" of a file
    right: float  # share with the instrument
    exact: float  # share that is also alone and of the length; of a file, share without the file's own group


@dataclass
class Catalogue:
    """An index of a part's clips, and what is true of them."""

    part: str
    asker: Asker
    manifest: Manifest

    def __post_init__(self) -> None:
        tags, tracks = self.manifest.tags, self.manifest.tracks
        self.tagged = {str(tag): frozenset(rows) for tag, rows in tags.groupby("tag")["track_id"]}
        self.group = dict(zip(tracks["track_id"], tracks["group"], strict=True))

    @classmethod
    def of(cls, embedded: Embedded, part: str, folder: Path) -> Catalogue:
        """Index a part, or all of them, in a folder."""
        vectors = [embedded.vectors(name) for name in (("train", "valid", "test") if part == "all" else (part,))]
        ids = tuple(chain.from_iterable(each.track_ids for each in vectors))
        tracks = tuple(chain.from_iterable(each.tracks for each in vectors))
        manifest = embedded.manifest.select(ids)
        index = build_index(folder, manifest, replace(vectors[0], track_ids=ids, tracks=tracks))
        return cls(part, Asker(index, embedded.model), manifest)

    def have(self, *tags: str) -> frozenset[str]:
        """The clips that have all of some tags."""
        return frozenset.intersection(*(self.tagged.get(tag, frozenset()) for tag in tags))

    def first(self, part: Part, k: int = FIRST) -> list[str]:
        """The best clips; a file is not its own answer, nor are its copies."""
        return [hit.track_id for hit in self.asker.ask(Query((part,)), Wishes(k)).hits]

    def words(self, kind: str, text: str, instrument: str, length: str, language: str) -> Found:
        """What words find."""
        hits, right = self.first(Part("text", text)), self.have(instrument)
        shares = precision(hits, right), precision(hits, self.have(instrument, "solo", length))
        return Found(self.part, kind, instrument, language, *shares)

    def file(self, track: str, path: Path, instrument: str) -> Found:
        """What a file finds, and what it finds beside the clips of its own group."""
        hits, right = self.first(Part("file", str(path)), FIRST + OWN_GROUP), self.have(instrument) - {track}
        own = {other for other, group in self.group.items() if group == self.group[track]}
        shares = precision(hits, right), precision([hit for hit in hits if hit not in own], right - own)
        return Found(self.part, "file", instrument, "", *shares)


def precision(hits: Sequence[str], right: frozenset[str]) -> float:
    """The share of the first ten that is right, or of as many as can be; NaN if none can."""
    count = min(FIRST, len(right))
    return sum(hit in right for hit in hits[:count]) / count if count else float("nan")


def names_of(instrument: str, language: str) -> list[str]:
    """The words that the lexicon has for an instrument and for nothing else."""
    lexicon = Lexicon.load()
    every = Counter(word for entry in lexicon.entries.values() for word in entry.words[language])
    return [word for word in lexicon.words(instrument, language) if every[word] == 1]


def questions(instruments: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """Text, instrument, length and language: every word for every instrument, with the usual one for each length."""
    lexicon = Lexicon.load()
    return [
        (ORDERS.get(language, "{} solo, {}").format(word, lexicon.words(length, language)[0]), name, length, language)
        for name in instruments
        for length in LENGTHS
        for language in lexicon.languages
        for word in names_of(name, language)
    ]


def instruments_of(manifest: Manifest) -> list[str]:
    """The instruments of which there are notes with a pitch, as they are tagged."""
    rows = manifest.tags[manifest.tags["tagset"] == INSTRUMENTS]
    return sorted(name.replace("-", " ") for name in rows["tag"].unique())


def held_out(embedded: Embedded, instrument: str) -> list[tuple[str, Path]]:
    """Notes of an instrument that training never heard, evenly from the list of all, and their files."""
    test = embedded.part("test")
    rows = test.tags[test.tags["tagset"] == INSTRUMENTS]
    ids = sorted(rows.loc[rows["tag"] == instrument.replace(" ", "-"), "track_id"])
    places = np.linspace(0, len(ids) - 1, min(FILES, len(ids))).astype(int)
    return [(ids[place], test.path(ids[place])) for place in places]


def ask(run: Path) -> list[Found]:
    """Ask a run's indexes everything; files of test are asked of those that hold it."""
    _, embedded = open_run(run)
    names = instruments_of(embedded.manifest)
    files = [(track, path, name) for name in names for track, path in held_out(embedded, name)]
    found: list[Found] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            index = Catalogue.of(embedded, part, Path(folder) / part)
            found += [index.words("asked", text, "cello", LENGTHS[0], code) for code, text in ASKED.items()]
            found += [index.words("words", *each) for each in questions(names) if index.have(each[1], "solo", each[2])]
            found += [index.file(*each) for each in files if each[0] in index.group]
    return found


def run(seed: int, data: Path, folder: Path, threads: int) -> Path:
    """Train with a seed, unless it is done; the run's folder."""
    home = folder.resolve() / f"seed-{seed}"
    if not list(home.glob("*/*/results.json")):
        command = [sys.executable, "scripts/train_crossmodal.py", "experiments/catalogue.yaml", f"seed={seed}"]
        command += [f"data.root={data.resolve()}", f"run.folder={home}", f"train.threads={threads}"]
        with home.with_suffix(".log").open("w") as log:
            subprocess.run(command, cwd=ROOT, check=True, stdout=log, stderr=log)
    return max(home.glob("*/*/results.json")).parent


def answers(run: Path, kept: Path) -> list[Found]:
    """What a run answers, kept in a file so that it is asked once."""
    if not kept.is_file():
        write_json(kept, ask(run))
    return [Found(*each) for each in read_json(kept)]


def told(found: Sequence[Found], share: str) -> str:
    """The mean share with its interval: instruments are drawn, each with all that was asked about it."""
    value = bootstrap([getattr(each, share) for each in found], [each.instrument for each in found])
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    return [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *lines]] + [""]


def cello(runs: Sequence[Sequence[Found]]) -> list[str]:
    """The question itself: how many of ten, by seed."""
    columns = [(part, share) for part in PARTS[:2] for share in ("right", "exact")]
    lines = []
    for code, text in ASKED.items():
        own = [[each for each in run if (each.kind, each.language) == ("asked", code)] for run in runs]
        cells = [
            ", ".join(f"{FIRST * getattr(each, share):.0f}" for run in own for each in run if each.part == part)
            for part, share in columns
        ]
        lines.append([f"{code}: {text}", *cells])
    head = ["", "all: cellos", "all: alone, long notes", "test: cellos", "test: alone, long notes"]
    return ["## Solo cello, long notes: right ones of ten, by seed", *table(head, lines)]


def wide(found: Sequence[Found]) -> list[str]:
    """Words for every instrument, long and short, by language."""
    lines = []
    for code in [*ASKED, ""]:
        own = [each for each in found if each.kind == "words" and code in ("", each.language)]
        cells = [told([e for e in own if e.part == part], share) for part in PARTS for share in ("right", "exact")]
        lines.append([code or "all six", *cells])
    head = ["", *(f"{part}: {what}" for part in PARTS for what in ("instrument", "alone, length"))]
    return ["## Every instrument, in long notes and in short notes: precision@10 of words", *table(head, lines)]


def files(found: Sequence[Found]) -> list[str]:
    """Held-out files, by instrument."""
    asked = [each for each in found if each.kind == "file"]
    lines = []
    for name in [*dict.fromkeys(each.instrument for each in asked), ""]:
        own = [each for each in asked if name in ("", each.instrument)]
        everywhere, test = ([each for each in own if each.part == part] for part in PARTS[:2])
        shares = [[e.right for e in everywhere], [e.exact for e in everywhere], [e.right for e in test]]
        lines.append([name or "all of them", *(f"{fmean(each):.2f}" for each in shares), f"{min(shares[0]):.1f}"])
    lines[-1][1:4] = [told(everywhere, "right"), told(everywhere, "exact"), told(test, "right")]
    head = ["", "all", "all, without the file's own pitch", "test", "all: the worst file"]
    return ["## Files that training never heard: precision@10", *table(head, lines)]


def facts(run: Path) -> dict[str, object]:
    """What the page says about the clips."""
    manifest = open_run(run)[1].manifest
    tagged = {tag: frozenset(rows) for tag, rows in manifest.tags.groupby("tag")["track_id"]}
    parts = manifest.splits["part"].value_counts()
    philharmonia = int(manifest.tracks["path"].str.contains("philharmonia/").sum())
    return {
        "tracks": len(manifest),
        "notes": philharmonia,
        "cellos": len(tagged["cello"]),
        "solo": len(tagged["cello"] & tagged["solo"]),
        "chance": FIRST * len(tagged["cello"]) / len(manifest),
        "share": parts["train"] / len(manifest),
        **parts,
    }


def main() -> None:
    """Train what is missing, ask, and write the page."""
    parser = arguments(__doc__, seeds=3, runs=Path("runs/catalogue"))
    parser.add_argument("--data", type=Path, required=True, help="the folder of manifest.jsonl")
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(given.at_once) as pool:
        jobs = [pool.submit(run, seed, given.data, given.runs, given.threads) for seed in range(given.seeds)]
        folders = [job.result() for job in jobs]
    runs = [answers(folder, given.runs / f"seed-{seed}.json") for seed, folder in enumerate(folders)]
    found = [each for run in runs for each in run]
    page = [HEAD.format(seeds=given.seeds, **facts(folders[0])), *cello(runs), *wide(found), *files(found)]
    page.append("Intervals: 95 % bootstrap over instruments, all seeds together.")
    write_text(given.out, "\n".join(page) + "\n")
    print("\n".join(page))


if __name__ == "__main__":
    main()
