"""The commands tag and calibrate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crossmodal.cli.shared import say
from crossmodal.errors import InputError, listed
from crossmodal.files import printable

if TYPE_CHECKING:
    from crossmodal.calibration import Calibration
    from crossmodal.files import Skipped
    from crossmodal.model import DualEncoder
    from crossmodal.zero_shot import Tagger, Taggram

TOP, MOST = 15, 500  # words of each measure
RAW = "no calibration: scores are raw cosines, which do not compare between words; crossmodal calibrate RUN makes one"
Home = Annotated[
    Path, typer.Argument(metavar="RUN_OR_MODEL", help="A run's folder, its experiment's, or that of a saved model.")
]


def tag(
    home: Home,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audio files.")],
    words: Annotated[
        str | None,
        typer.Option(help="Words with commas between, or a text file of them; the calibration's tags unless given."),
    ] = None,
    language: Annotated[str, typer.Option(help="Of the words; those of the lexicon have sentences.")] = "en",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The picture, .png or .pdf, or a folder for those of several files; FILE.taggram.png here "
            "unless given. With --json, none unless given."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST, help=f"Words shown, those of the highest means; {TOP} unless given, with --json all."
        ),
    ] = None,
) -> None:
    """Say how well words fit a file over time: any words in any language, calibrated once `calibrate` was run.

    A probability is that of the tag, by the tags of the reference; a percentile is the share of the reference's music
    that fits the word less, for words that no tag of the reference is called; a cosine is neither.
    """
    from crossmodal.data.prompts import read_words
    from crossmodal.zero_shot import Tagger

    pictures = _pictures(files, out, not as_json)
    model, calibration = _opened(home)
    asked = read_words(words) if words is not None else _tags(calibration)
    tagger = Tagger(model, asked, language, calibration)
    found, skipped = _tagged(model, tagger, files)
    shown = {path: taggram.top(top or TOP) for path, taggram in found.items()}
    notes = [f"skipped: {skip}" for skip in skipped] + _language(language) + _draw(shown, pictures)
    if as_json:
        kept = shown if top else found
        _say_json(model, calibration, language, kept, skipped)
    else:
        _say_words(shown, pictures)
    basis = f"calibrated on {calibration.source}, {len(calibration.vectors)} segments" if calibration else RAW
    notes.append(f"{len(found)} tagged, {len(skipped)} skipped; {basis}")
    for note in notes:
        print(printable(note), file=sys.stderr if as_json else sys.stdout, flush=True)


def calibrate(
    run: Annotated[Path, typer.Argument(help="A run's folder, or its experiment's (the newest run then).")],
    part: Annotated[
        Literal["valid", "test"], typer.Option(help="The reference; training has seen the other.")
    ] = "valid",
) -> None:
    """Make the reference by which `tag` reads cosines, from a part of the run's own data, beside its model."""
    from crossmodal.calibration import LEAST, Calibration
    from crossmodal.evaluation import open_run

    opened, embedded = open_run(run)
    if not embedded.model.reads:
        raise InputError(f"{opened.folder} was trained on audio alone: it has no words to calibrate")
    source = f"part {part} of split {embedded.split}"
    made = Calibration.of(embedded.vectors(part), embedded.part(part), source)
    path = _beside(opened.model)
    made.save(path)
    sure = sum(min((column == 1).sum(), (column == 0).sum()) >= LEAST for column in made.labels.T)
    reference = f"{len(made.vectors)} segments of {len(made.labels)} tracks, {source}"
    say(f"{path}: {reference}; {sure} of {len(made.tags)} tags have probabilities, other words percentiles")


def _opened(home: Path) -> tuple[DualEncoder, Calibration | None]:
    """The model, and the calibration beside it, if there is one."""
    from crossmodal.calibration import Calibration
    from crossmodal.evaluation import best_model
    from crossmodal.model import DualEncoder
    from crossmodal.runs import find_run

    if (home / "config.json").is_file():
        model, folder = DualEncoder.load(home), home
    else:
        run = find_run(home)
        model, folder = best_model(run), run.model
    path = _beside(folder)
    return model, Calibration.load(path) if path.is_file() else None


def _beside(model: Path) -> Path:
    """Where the calibration of a saved model is; not in its folder, which is replaced whole."""
    model = model.absolute()
    return model.with_name(f"{model.name}.calibration.npz")


def _tags(calibration: Calibration | None) -> list[str]:
    from crossmodal.data.prompts import distinct

    if calibration is None or not calibration.tags:
        raise InputError("there is no calibration whose tags could be the words; give --words")
    return distinct(calibration.tags)


def _language(language: str) -> list[str]:
    from crossmodal.data.lexicon import Lexicon

    known = Lexicon.load().languages
    return [] if language in known else [f"words stand alone: there are sentences in {listed(known)}, not {language!r}"]


def _pictures(files: list[Path], out: Path | None, wanted: bool) -> dict[Path, Path]:
    """The picture of each file, by the file; of files of one name, those after the first get a number."""
    if out is None and not wanted:
        return {}
    if out is not None and out.suffix and not out.is_dir():
        from crossmodal.taggram import format_of

        format_of(out)
        if len(set(files)) > 1:
            raise InputError(f"--out is one picture, {out}, but there are {len(set(files))} files; give a folder")
        return {files[0]: out}
    names: dict[Path, Path] = {}
    for path in dict.fromkeys(files):
        place, count = (out or Path()) / f"{path.stem}.taggram.png", 1
        while place in names.values():
            count += 1
            place = place.with_name(f"{path.stem}-{count}.taggram.png")
        names[path] = place
    return names


def _tagged(model: DualEncoder, tagger: Tagger, files: list[Path]) -> tuple[dict[Path, Taggram], list[Skipped]]:
    from tqdm import tqdm

    from crossmodal.audio.decode import AudioError, features_of
    from crossmodal.files import Skipped

    found: dict[Path, Taggram] = {}
    skipped = []
    for path in tqdm(list(dict.fromkeys(files)), desc="tag", unit="file", disable=None, leave=False):
        try:
            frames = features_of(path, model.audio_encoder.frontend)
        except AudioError as error:
            skipped.append(Skipped(path.name, str(path), error.reason))
            continue
        (track,) = model.embed_features([frames])
        found[path] = tagger.tag(track)
    if not found:
        raise InputError(f"none of {len(skipped)} files could be tagged; {listed(skipped, 1)}")
    return found, skipped


def _draw(found: dict[Path, Taggram], pictures: dict[Path, Path]) -> list[str]:
    """Draw what is wanted; a note names the words that no font can write."""
    if not pictures:
        return []
    from crossmodal.taggram import draw

    lacking = [word for path, taggram in found.items() for word in draw(taggram, pictures[path], path.name)]
    words = listed(dict.fromkeys(lacking))
    return [f"no installed font has all letters of {words}, which are boxes in the picture"] if lacking else []


def _say_json(
    model: DualEncoder,
    calibration: Calibration | None,
    language: str,
    found: dict[Path, Taggram],
    skipped: list[Skipped],
) -> None:
    files = [{"path": str(path), **taggram.as_dict()} for path, taggram in found.items()]
    head = {"model": model.fingerprint, "calibration": calibration.source if calibration else None}
    every = {**head, "language": language, "files": files, "skipped": [skip._asdict() for skip in skipped]}
    say(json.dumps(every, ensure_ascii=False, indent=1))


def _say_words(found: dict[Path, Taggram], pictures: dict[Path, Path]) -> None:
    for path, taggram in found.items():
        say(f"{path}: {taggram.bounds[-1, 1]:.1f} s in {len(taggram.bounds)} segments; picture {pictures[path]}")
        for row in taggram.rows:
            start, end = taggram.bounds[row.scores.argmax()]
            most = f"most at {start:.0f}-{end:.0f} s, {row.scores.max():.3f}"
            say(f"  {row.mean:6.3f}  {row.word}  ({row.measure}; {most})")
