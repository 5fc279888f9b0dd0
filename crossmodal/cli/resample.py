"""The command of scripts/resample_audio.py."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from crossmodal.cli.shared import EngineName, LogLevel, Workers, start_log
from crossmodal.errors import InputError

log = logging.getLogger("resample")


def resample(
    src: Annotated[Path, typer.Option("--src", help="Folder of audio files, in folders as you like.")],
    dst: Annotated[Path, typer.Option("--dst", help="Folder of the same tree, written.")],
    sample_rate: Annotated[int, typer.Option("--sample-rate", help="Hz.")] = 22050,
    mono: Annotated[bool, typer.Option("--mono", help="One channel, not those of the file.")] = False,
    format: Annotated[Literal["wav", "flac"], typer.Option("--format", help="Of the new files, 16 bits.")] = "wav",
    workers: Workers = 2,
    skip: Annotated[bool, typer.Option("--skip", help="Go on: skip what is there already.")] = False,
    engine: EngineName = "processes",
    log_level: LogLevel = "INFO",
) -> None:
    """Resample every audio file below a folder; what fails is in skipped.csv with its reason."""
    start_log(log, log_level)
    from crossmodal import registry
    from crossmodal.data import engine as engines
    from crossmodal.data.resample import FOLDER
    from crossmodal.data.resample import resample as resampled

    if (dst / FOLDER).exists() and not skip:
        raise InputError(f"{dst} holds resampled audio; give --skip to go on with it, or another --dst")
    found = registry.build("datasets", "folder", root=str(src)).read()
    made = resampled(found, dst, sample_rate, mono, format, engines.named(engine, workers))
    for skipped in made.skipped:
        log.debug("skipped %s", skipped)
    if made.clipped:
        track = max(made.clipped, key=lambda track: made.clipped[track])
        samples = (len(made.clipped), sum(made.clipped.values()), track, made.clipped[track])
        log.warning("%d files reach beyond full scale: %d samples were clipped, most in %s, %d", *samples)
    counts = (dst, len(found) + len(found.skipped), made.written, len(made.skipped))
    log.info("%s: of %d files %d are resampled; %d skipped (see skipped.csv)", *counts)
    if not made.written:
        raise InputError(f"none of the files of {src} could be resampled; the reasons are in {dst / 'skipped.csv'}")
