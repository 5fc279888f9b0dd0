"""How queries are mixed, segments joined, copies told and hubs corrected.

    python experiments/queries.py OUT.md RUN ...

Each choice of `crossmodal/asking.py` in bold beside its rivals: on the valid part, where it was made, and on the test
part. Mixing is measured where there are instruments to be kept.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from crossmodal.asking import Asker, matched
from crossmodal.data.groups import groups_of
from crossmodal.data.lexicon import Lexicon
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded
from crossmodal.evaluation import build_index, open_run, training_texts
from crossmodal.files import write_text
from crossmodal.metrics import hubness, retrieval
from crossmodal.metrics.bootstrap import bootstrap
from crossmodal.queries import Part, Query
from crossmodal.sounds import Sound, likeness
from crossmodal.tasks._tracks import shared

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
Tag = tuple[str, str]  # tagset and tag
HEAD = """# Queries: how they are mixed, segments joined, copies told, hubs corrected
Made by `python experiments/queries.py experiments/queries.md runs/quickstart runs/real_small`, of runs made by
`python scripts/train_crossmodal.py` and, with `experiments/real_small.yaml`, `train.epochs=12`, each on one thread. One
seed. What the package does is in bold: chosen on valid, told on test. The reading of it is in [LOG.md](LOG.md).

- Without: one tag and not another, such as violin and not drums, in six languages.
- Like this: a track, with a tag that it lacks or without one that it has. Right is a track of another album that has
  that and the same instrument.
- Medleys: the segments of four tracks as one, found by a text about one of them.
- Copies: a file made of a track, and whether the track is told to be the same; then how often another one is.
- Hubs: corrected by texts that the model was trained on.

Intervals: 95 % bootstrap, over pairs of tags, or over groups of tracks (albums).
"""
WITHOUT = {
    "en": "{} without {}",
    "de": "{} ohne {}",
    "fr": "{} sans {}",
    "es": "{} sin {}",
    "it": "{} senza {}",
    "tr": "{}, {} olmadan",
}
FEWEST = 10  # tracks that must be right, or a query is not asked
ORIGINALS = 100  # tracks of which copies are made, of those that last
SHORTEST_S = 4.0
KINDS = ("mp3", "ogg", "12 dB quieter", "begun 1.3 s later", "the middle half")


@dataclass
class Tracks:
    """One part of a run's tracks: the asker over them, their ids, groups, tags, vectors, and where segments start."""

    asker: Asker
    manifest: Manifest
    ids: tuple[str, ...]
    groups: NDArray[np.str_]
    has: Mapping[Tag, Bools]
    vectors: Floats  # (tracks, dim)
    segments: Floats  # (segments, dim)
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, embedded: Embedded, part: str, folder: Path) -> Tracks:
        """Index a part in a folder."""
        vectors = embedded.vectors(part)
        manifest = embedded.part(part).select(vectors.track_ids)
        tags = manifest.tags
        has = {
            (str(tagset), str(tag)): np.isin(vectors.track_ids, rows["track_id"])
            for (tagset, tag), rows in tags.groupby(["tagset", "tag"])
        }
        counts = [len(track.bounds) for track in vectors.tracks]
        asker = Asker(build_index(folder / part, manifest, vectors), embedded.model)
        groups = np.array(groups_of(manifest, vectors.track_ids))
        starts = np.cumsum([0, *counts[:-1]])
        return cls(asker, manifest, vectors.track_ids, groups, has, vectors.vectors, vectors.segment_vectors, starts)

    def best(self, queries: Floats) -> Floats:
        """The cosine of each query and each track's best segment, ``(queries, tracks)``."""
        return np.maximum.reduceat(queries @ self.segments.T, self.starts, axis=1)

    def first(self, queries: Floats, barred: Bools | None = None) -> NDArray[np.int64]:
        """The places of the ten best tracks, ``(queries, 10)``."""
        scores = self.best(queries / np.linalg.norm(queries, axis=1, keepdims=True))
        return np.argsort(-scores if barred is None else np.where(barred, np.inf, -scores), axis=1, kind="stable")[
            :, :10
        ]


def told(values: Floats, groups: list[str], sign: str = "") -> str:
    """The mean over the queries, with its interval."""
    found = bootstrap(values, groups)
    return f"{found.mean:{sign}.3f} [{found.low:{sign}.3f}, {found.high:{sign}.3f}]"


def share(right: Bools, first: NDArray[np.int64], groups: list[str]) -> str:
    """The share of right tracks among the ten first."""
    return told(np.take_along_axis(right, first, axis=1).mean(axis=1), groups)


def word(tag: Tag, language: str) -> str:
    """The usual word for a tag."""
    return Lexicon.load().words(tag[1], language)[0]


def subtraction(tracks: Tracks) -> Iterator[tuple[str, ...]]:
    """A tag without another of another tagset, in six languages; groups are the pairs of tags."""
    languages = Lexicon.load().languages
    pairs = [
        (a, b)
        for a, b in itertools.permutations(tracks.has, 2)
        if a[0] != b[0] and min((tracks.has[a] & ~tracks.has[b]).sum(), (tracks.has[a] & tracks.has[b]).sum()) >= FEWEST
    ]
    asked = [(a, b, language) for a, b in pairs for language in languages]
    ask = tracks.asker.model.embed_text
    wanted, other = ask([word(a, lang) for a, _, lang in asked]), ask([word(b, lang) for _, b, lang in asked])
    plain = ask([WITHOUT[lang].format(word(a, lang), word(b, lang)) for a, b, lang in asked])
    queries = [Query((Part("text", word(a, lang)), Part("text", word(b, lang), -1.0))) for a, b, lang in asked]
    right = np.stack([tracks.has[a] & ~tracks.has[b] for a, b, _ in asked])
    along = (wanted * other).sum(axis=1, keepdims=True)
    spread = [side / np.sqrt(np.square(side @ tracks.segments.T).mean(1, keepdims=True)) for side in (wanted, other)]
    rules = {
        "the wanted word alone": wanted,
        "in words: A without B": plain,
        "A - B/2": wanted - other / 2,
        "**A - B**, `piano -drums`": tracks.asker.vectors(queries),
        "A - 2 B": wanted - 2 * other,
        "B projected out of A": wanted - along * other,
        "each scaled by the spread of its scores": spread[0] - spread[1],
    }
    yield f"chance, {len(pairs)} pairs in {len(languages)} languages", f"{right.mean():.3f}"
    for name, vectors in rules.items():
        yield name, share(right, tracks.first(vectors), [f"{a}{b}" for a, b, _ in asked])


def mixing(tracks: Tracks, sign: float) -> Iterator[tuple[str, ...]]:
    """A track of each group with a tag it lacks, or without one it has; right is what has that and its instrument."""
    languages = itertools.cycle(Lexicon.load().languages)
    asked = []
    for place in sorted(np.unique(tracks.groups, return_index=True)[1]):
        (instrument,) = [tag for tag in tracks.has if tag[0] == "instrument" and tracks.has[tag][place]]
        for tag in tracks.has:
            right = tracks.has[instrument] & (tracks.has[tag] == (sign > 0)) & (tracks.groups != tracks.groups[place])
            if tag[0] != "instrument" and tracks.has[tag][place] == (sign < 0) and right.sum() >= FEWEST:
                asked.append((place, word(tag, next(languages)), right))
    places = [place for place, _, _ in asked]
    barred = tracks.groups[places][:, None] == tracks.groups
    sounds, texts = tracks.vectors[places], tracks.asker.model.embed_text([text for _, text, _ in asked])
    queries = [Query((Part("id", tracks.ids[place]), Part("text", text, sign))) for place, text, _ in asked]
    right = np.stack([row for _, _, row in asked])
    rules = {f"the text counts {factor:g}": sounds + sign * factor * texts for factor in (0.0, 0.5, 1.0, 1.5, 3.0, 4.0)}
    rules["**the text counts 2**"] = tracks.asker.vectors(queries)
    rules["the text alone"] = sign * texts
    yield f"chance, {len(asked)} queries", f"{right.mean():.3f}"
    for name, vectors in sorted(rules.items(), key=lambda rule: rule[0].replace("*", "")):
        yield name, share(right, tracks.first(vectors, barred), list(tracks.groups[places]))


def texts_of(tracks: Tracks) -> tuple[list[str], Bools, list[str]]:
    """The part's texts, which tracks each is about, and of which group these are."""
    table, about = tracks.manifest.texts.drop_duplicates("text_id"), tracks.manifest.relevance()
    relevance = np.stack([np.isin(tracks.ids, list(about[text_id])) for text_id in table["text_id"]])
    return list(table["text"]), relevance, [tracks.groups[row.argmax()] for row in relevance]


def aggregation(tracks: Tracks) -> Iterator[tuple[str, ...]]:
    """Text to music by review, to medleys of four tracks, and music to music by tags of other groups."""
    sounds = [tracks.asker.track(track_id) for track_id in tracks.ids]
    texts, relevance, groups = texts_of(tracks)
    asked = [tracks.asker.embedded(Query((Part("text", text),))) for text in texts]
    played = [tracks.asker.embedded(Query((Part("id", track_id),))) for track_id in tracks.ids]
    dealt = np.random.default_rng(0).permutation(len(sounds) // 4 * 4).reshape(-1, 4)
    medleys = [Sound(*map(np.concatenate, zip(*(sounds[place] for place in row), strict=True))) for row in dealt]
    holds = relevance[:, dealt].any(axis=2)
    same = tracks.groups[:, None] == tracks.groups
    alike = {tagset: shared(tracks.manifest, tagset, tracks.ids) for tagset in sorted({tag[0] for tag in tracks.has})}
    for match in ("max", "mean", "late"):
        scores, mixed, music = (
            np.array([[matched(query, sound, match) for sound in among] for query in queries])  # type: ignore[arg-type]
            for queries, among in ((asked, sounds), (asked, medleys), (played, sounds))
        )
        by_tag = [
            retrieval.per_query(music, relevant, list(tracks.ids), same)["map"]
            for relevant in alike.values()
            if (relevant & ~same).any()
        ]
        sums, counts = np.nansum(by_tag, axis=0), np.isfinite(by_tag).sum(axis=0)
        means = np.where(counts, sums / np.maximum(counts, 1), np.nan)
        names = [str(number) for number in range(len(medleys))]
        yield (
            f"**{match}**" if match == "max" else match,
            told(retrieval.per_query(scores, relevance, list(tracks.ids))["recall@10"], groups),
            told(retrieval.per_query(mixed, holds, names)["recall@10"], groups),
            told(means, list(tracks.groups)),
        )


def copied(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of a file: by other codecs, quieter, without its first 1.3 s, and only its middle half."""
    samples, rate = soundfile.read(path, dtype="float32")
    late, quarter = int(1.3 * rate), len(samples) // 4
    sounds = (samples, samples, samples / 4, samples[late:], samples[quarter:-quarter])
    forms = ("MP3", "OGG", "WAV", "WAV", "WAV")
    for kind, sound, form in zip(KINDS, sounds, forms, strict=True):
        out = folder / f"{path.stem}.{kind.replace(' ', '-')}.{form.lower()}"
        soundfile.write(out, sound, rate, format=form)
        yield kind, out


def copies(tracks: Tracks, folder: Path) -> Iterator[tuple[str, ...]]:
    """Which copies are told from their originals' neighbours, and for how many another track is taken for a copy."""
    asker, ids = tracks.asker, tracks.ids
    sounds = [asker.track(track_id) for track_id in ids]
    drawn = np.random.default_rng(0).permutation(len(sounds))[:ORIGINALS]
    long = tracks.manifest.tracks["duration"].to_numpy() >= SHORTEST_S
    made, likes, told = [], [], []
    for place in drawn[long[drawn]]:
        for kind, path in copied(tracks.manifest.path(ids[place]), folder):
            embedded = asker.embedded(Query((Part("file", str(path)),)))
            made.append((kind, place))
            likes.append([likeness(embedded.sounds[0], sound) for sound in sounds])
            told.append(np.isin(ids, asker.copies(embedded)))
            path.unlink()
    rules = {f"likeness {least:g}": np.array(likes) >= least for least in (0.9, 0.95, 0.98, 0.995)}
    rules["**sound of the nearest**"] = np.array(told)
    places = np.array([place for _, place in made])
    itself = np.arange(len(ids)) == places[:, None]
    group = (tracks.groups == tracks.groups[places][:, None]) & ~itself
    for name, found in rules.items():
        by_kind: dict[str, list[bool]] = {}
        for (kind, place), row in zip(made, found, strict=True):
            by_kind.setdefault(kind, []).append(bool(row[place]))
        wrong = [(found & group).any(axis=1), (found & ~group & ~itself).any(axis=1)]
        yield name, *(f"{np.mean(values):.2f}" for values in [*by_kind.values(), *wrong])
    yield f"({len(made)} copies)", *["" for _ in range(len(KINDS) + 2)]


def hubs(tracks: Tracks, bank: list[str]) -> Iterator[tuple[str, ...]]:
    """Text to music by review, corrected by a bank of training texts; recall@10 with the gain, and hubness."""
    texts, relevance, groups = texts_of(tracks)
    model, ids = tracks.asker.model, list(tracks.ids)
    scores, known = tracks.best(model.embed_text(texts)), tracks.best(model.embed_text(bank))
    rules = {
        "**as they are**": scores,
        "CSLS": hubness.csls(scores, hubness.closeness(known)),
        "querybank": hubness.inverted_softmax(scores, known),
    }
    plain = retrieval.per_query(scores, relevance, ids)["recall@10"]
    for name, corrected in rules.items():
        found = retrieval.per_query(corrected, relevance, ids)["recall@10"]
        measured = [f"{value:.3f}" for value in hubness.hubness(corrected).values()]
        yield name, told(found, groups), told(found - plain, groups, "+"), *measured


def table(title: str, head: str, rows: Iterator[tuple[str, ...]]) -> list[str]:
    """The lines of a table."""
    columns = head.split(" | ")
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"### {title}", f"| {head} |", f"|{' --- |' * len(columns)}", *body, ""]


def page(run: str, part: str, folder: Path) -> list[str]:
    """All tables of one part of a run."""
    opened, embedded = open_run(run)
    tracks = Tracks.of(embedded, part, folder)
    lines = [f"## {opened.config.name}, {part}: {len(tracks.ids)} tracks in {len(tracks.segments)} segments", ""]
    if any(tag[0] == "instrument" for tag in tracks.has):
        lines += table("Without", "rule | right among ten", subtraction(tracks))
        lines += table("Like this, and", "rule | right among ten", mixing(tracks, 1.0))
        lines += table("Like this, without", "rule | right among ten", mixing(tracks, -1.0))
    head = "match | text to music, recall@10 | to medleys | music to music by tags, mAP"
    lines += table("Segments", head, aggregation(tracks))
    head = f"rule | {' | '.join(KINDS)} | another of its group | of others"
    lines += table("Copies", head, copies(tracks, folder))
    head = "scores | text to music, recall@10 | gain | skewness@10 | never@10 | top1%@10"
    return lines + table("Hubs", head, hubs(tracks, training_texts(opened)))


def main(out: str, runs: list[str]) -> None:
    """Write the page."""
    lines = [HEAD]
    with tempfile.TemporaryDirectory() as folder:
        for number, run in enumerate(runs):
            for part in ("valid", "test"):
                place = Path(folder) / str(number)
                place.mkdir(exist_ok=True)
                lines += page(run, part, place)
    write_text(out, "\n".join(lines))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
