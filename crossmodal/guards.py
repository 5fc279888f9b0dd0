"""What stands between a checkpoint and a figure that nobody should believe: leaks, and collapse.

A leak is something that the judged tracks share with those that were trained or tuned on. What a protocol forbids is
refused; what it does not forbid is told, since published splits are as they are. What an encoder learnt before it came
here, from others' data, nobody can tell.

A collapsed tower gives all that it is asked the same vector, or nearly. The bounds were chosen after these vectors of
whole tracks, and of texts and tags (deviation: 0 if all are equal, at most 1; rank: of the vectors about their mean):

- mel_cnn with a transformer, trained to the end on the synthetic source and on real clips: audio 0.85 and more, texts
  0.70, ranks 15 and more. On 96 tracks, trained for 5 to 128 steps: audio 0.30 and more, texts 0.03, ranks 6.0.
- Never trained: audio from 1.1e-4 (sample_cnn) by 2.4e-3 (clip_resnet) to 0.7 (mel_cnn), ranks 3.6 and more; texts
  from 0.13. These are baselines, and are refused only if all is equal but for rounding.
- Planted: a projection without weights, whose texts all have its bias: 2.3e-8 and less. One whose weights have shrunk
  to a norm of 0.01 beside a bias: 6e-4 to 1.5e-3.
- clip without batch norm is collapsed for its first hundred steps (see `monitor`): sample_cnn after 17 steps on 96
  tracks: 6.5e-5, and all words found the same track first. A checkpoint from there is refused, and rightly; crnn,
  musicnn and short_chunk_cnn were at 0.02 to 0.05 after 9 steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.data import leakage
from crossmodal.data.engine import ALONE, Engine
from crossmodal.data.leakage import Leak
from crossmodal.data.manifest import Manifest, same_words
from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.metrics.collapse import deviation, effective_rank, unit

Floats = NDArray[np.floating]

TUNED = ("train", "valid")  # the parts that a model, a head or a checkpoint is chosen by
OTHERS = {"test": "train and valid", "valid": "train", "train": "valid"}  # of these, by the part that is judged
MEND = {"track": "track_id", "file": "path", "duplicate": "group"}  # the column that a split must not cut

EQUAL = 1e-6  # deviation of vectors that differ by rounding
COLLAPSED = 0.01  # of a model that was trained: a mean cosine of 0.9999
LINE = 2.0  # effective rank, about the mean; vectors on a line, or on an arc, have less
FEWEST = 16  # vectors whose rank says something
WORDS = 512  # texts that are looked at
ADVICE = {
    "audio": "raise the temperature, take larger batches, end the encoder in a batch norm, or train longer",
    "text": "give the text encoder a lower learning rate, larger batches or more texts, or train longer",
}


def leaks(
    manifest: Manifest,
    split: str,
    part: str = "test",
    trained: Manifest | None = None,
    folder: Path | None = None,
    engine: Engine = ALONE,
) -> list[Leak]:
    """What the judged part shares with train and valid of its split, and with what the model was trained on.

    Args:
        manifest: of the tracks that are judged, and of the split.
        split: of ``manifest``.
        part: that is judged.
        trained: the tracks that the model was trained or chosen on, of the same manifest or of another; None if they
            are train and valid of this split, or if it was not trained.
        folder: where what is heard of the audio is kept; None to leave the audio alone: then there is no row for
            duplicates, and files are compared by their place alone.
        engine: what listens.

    Returns:
        A row a kind, with how many there are, also where there are none.
    """
    judged, parts = manifest.part(split, part), manifest.parts(split)
    tuned = manifest.select(parts.index[parts.isin(TUNED) & (parts != part)])
    sides = {"split": tuned} if trained is None else {"split": tuned, "run": trained}
    return [one for of, others in sides.items() for one in _leaks(judged, others, of, folder, engine)]


def _leaks(judged: Manifest, others: Manifest, of: str, folder: Path | None, engine: Engine) -> list[Leak]:
    found = {one.kind: one for one in leakage.named(judged, others, of)}
    if folder is not None:
        found |= {one.kind: one for one in leakage.heard(judged, others, of, folder, engine)}
    return [found[kind] for kind in leakage.KINDS if kind in found]


def refuse(found: Sequence[Leak], forbids: Iterable[str], what: str = "the protocol") -> None:
    """Raise an `InputError` if there is a leak of a kind that ``what``, a protocol, forbids."""
    if worst := [one for one in found if one.tracks and one.kind in set(forbids)]:
        allow = " ".join(f"--allow {kind}" for kind in dict.fromkeys(one.kind for one in worst))
        raise InputError(
            f"{what} forbids what is shared here: {'; '.join(map(line, worst))}; {_advice(worst[0])}, or have it told,"
            f" not refused: `{allow}`"
        )


def told(found: Sequence[Leak], forbids: Iterable[str] = (), part: str = "test") -> list[str]:
    """A line a leak of a part; and of the kinds that are forbidden a line where it is not known of all tracks."""
    asked = [one for one in found if one.kind in set(forbids) and (one.unknown or one.unknown_others)]
    return [*(line(one, part) for one in found if one.tracks), *(_unknown(one, part) for one in asked)]


def line(one: Leak, part: str = "test") -> str:
    """A leak of a part in words."""
    split = f"{OTHERS[part]} {'have' if part == 'test' else 'has'}"
    have = split if one.of == "split" else "what the model was trained on has"
    more = f" and {one.tracks - len(one.examples):,} more" if one.tracks > len(one.examples) else ""
    what = "sound" if one.kind == "duplicate" else one.kind
    shown = f"{', '.join(one.examples)}{more}"
    return f"{have} the {what} of {one.tracks:,} of the judged tracks ({one.share:.1%}): {shown}"


def _unknown(one: Leak, part: str) -> str:
    what = "audio" if one.kind in ("file", "duplicate") else one.kind
    others = f"in {OTHERS[part]}" if one.of == "split" else "among those that the model was trained on"
    return (
        f"whether these share the {one.kind} cannot be told: the {what} of {one.unknown:,} judged tracks, and of"
        f" {one.unknown_others:,} {others}, is not known"
    )


def _advice(one: Leak) -> str:
    if one.of == "run":
        return "judge on other tracks, or train without these"
    column = MEND.get(one.kind, one.kind)
    before = "`crossmodal data check MANIFEST` and then " if one.kind == "duplicate" else ""
    return f"make another split by {before}`crossmodal data split MANIFEST --name NAME --by {column}`"


# --- collapse


def collapse(embedded: Embedded, part: str = "test", reads: bool = True, trained: bool = True) -> dict[str, Any]:
    """How the vectors of a part spread; an `InputError` if a tower has collapsed.

    Args:
        embedded: the model beside its data.
        part: whose tracks, and whose texts and tags, are embedded.
        reads: whether texts will be asked with; if not, the text encoder is not looked at.
        trained: whether the model has been trained; an untrained one is refused only if all its vectors are equal.

    Returns:
        For ``audio``, and ``text`` if it was looked at: how many ``vectors``, their ``deviation`` and ``rank``.
    """
    found = spreads(embedded, part, reads)
    refuse_collapse(embedded.model.fingerprint, collapses(found, trained))
    return found


def refuse_collapse(model: str, lines: Sequence[str]) -> None:
    """Raise an `InputError` if there are lines of `collapses`; ``model`` is its fingerprint."""
    if lines:
        raise InputError(f"the model {model} has collapsed: {'; '.join(lines)}")


def spreads(embedded: Embedded, part: str, reads: bool) -> dict[str, Any]:
    """What `collapse` returns, whether a tower has collapsed or not."""
    found = {"audio": _spread("audio", embedded.vectors(part).vectors)}
    if reads and embedded.model.reads and len(texts := wordings(embedded.part(part))) > 1:
        found["text"] = _spread("text", embedded.texts(texts))
    return found


def collapses(found: Mapping[str, Mapping[str, float]], trained: bool) -> list[str]:
    """A line for each tower of `spreads` that has collapsed."""
    return [line for name, spread in found.items() if (line := collapsed(name, spread, trained))]


def wordings(part: Manifest) -> list[str]:
    """The texts and tags of a part, each wording once, at most `WORDS`, evenly out of all of them."""
    words = {same_words(text): text for text in [*part.texts["text"].unique(), *part.tags["tag"].unique()]}
    every = list(words.values())
    step = max(1.0, (len(every) - 1) / (WORDS - 1))
    return [every[round(row * step)] for row in range(min(WORDS, len(every)))]


def _spread(name: str, vectors: Floats) -> dict[str, float]:
    """How many vectors, their deviation, and their effective rank about the mean."""
    if bad := int((~np.isfinite(vectors).all(axis=1)).sum()):
        raise InputError(f"{bad} of {len(vectors)} {name} vectors are not finite; take a checkpoint from before")
    rows = unit(vectors)
    rank = effective_rank(rows - rows.mean(axis=0))
    return {"vectors": len(rows), "dim": rows.shape[1], "deviation": deviation(rows), "rank": rank}


def collapsed(name: str, spread: Mapping[str, float], trained: bool) -> str:
    """Why the vectors of a tower tell nothing, and what to change; nothing if they do, or if they are too few."""
    count = int(spread["vectors"])
    if count > 1 and spread["deviation"] < (COLLAPSED if trained else EQUAL):
        why = f"all {count} {name} vectors are nearly equal (deviation {spread['deviation']:.1e}, at most 1)"
    elif count >= FEWEST and spread["dim"] >= FEWEST and spread["rank"] < LINE:
        why = f"all {count} {name} vectors lie on a line (effective rank {spread['rank']:.2f} of {spread['dim']})"
    else:
        return ""
    return f"{why}, so that every ranking is the same or nearly; {ADVICE[name]}"
