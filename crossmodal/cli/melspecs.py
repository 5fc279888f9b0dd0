"""The commands of scripts/melspecs_extract.py and scripts/melspecs_merge.py, with the flags of Schindler's scripts.

What differs from those is mended: levels are absolute, silence is what pads, 16 bits are 16 bits, and every file that
fails is in skipped.csv with its reason.
"""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossmodal.cli.shared import EngineName, LogLevel, Workers, start_log
from crossmodal.errors import InputError

if TYPE_CHECKING:
    from crossmodal.data.manifest import Manifest

# the long options are spelt as the original spells them
Tidfile = Annotated[Path, typer.Option("--tidfile", help="CSV without header: track id, audio file.")]
Crop = Annotated[bool, typer.Option("--crop", help="Crop longer tracks to --length_frames.")]
Pad = Annotated[bool, typer.Option("--pad", help="Pad shorter tracks with silence to --length_frames.")]
Frames = Annotated[int, typer.Option("--length_frames", min=1, help="Frames that --crop and --pad lead to.")]

log = logging.getLogger("melspecs")


def extract(
    tidfile: Tidfile,
    dst: Annotated[Path, typer.Option("--dst", help="Folder of the shards, written.")],
    src: Annotated[Path, typer.Option("--src", help="What relative paths of audio files are relative to.")] = Path("."),
    workers: Workers = 2,
    crop: Crop = False,
    pad: Pad = False,
    skip: Annotated[bool, typer.Option("--skip", help="Go on: skip what is extracted already.")] = False,
    precision: Annotated[int, typer.Option("--precision", help="Bits of a stored value, 16 or 32.")] = 32,
    samplerate: Annotated[int, typer.Option("--samplerate", help="Hz.")] = 22050,
    nfft: Annotated[int, typer.Option("--nfft", help="Samples of a frame.")] = 1024,
    hoplength: Annotated[int, typer.Option("--hoplength", help="Samples from frame to frame.")] = 256,
    mels: Annotated[int, typer.Option("--mels", help="Bands.")] = 128,
    fmin: Annotated[float, typer.Option("--fmin", help="Hz.")] = 0.0,
    fmax: Annotated[float | None, typer.Option("--fmax", help="Hz; half the sample rate unless given.")] = None,
    mono: Annotated[bool, typer.Option("--mono", help="One channel, not two.")] = False,
    offset_sec: Annotated[
        float, typer.Option("--offset_sec", min=0, help="Seconds left out, where --length_sec are left.")
    ] = 3.0,
    length_sec: Annotated[float, typer.Option("--length_sec", min=0.1, help="Seconds that are read.")] = 11.0,
    length_frames: Frames = 880,
    engine: EngineName = "processes",
    test: Annotated[bool, typer.Option("--test", help="Only the first track.")] = False,
    log_level: LogLevel = "INFO",
) -> None:
    """Extract mel spectrograms in dB of the tracks of a file, into shards for scripts/melspecs_merge.py."""
    start_log(log, log_level)
    from crossmodal.audio.frontends import LogMel, described
    from crossmodal.data import engine as engines
    from crossmodal.data.extraction import Features
    from crossmodal.data.merging import Lengths

    if precision not in (16, 32):
        raise InputError(f"--precision is {precision}; it is 16 or 32")
    if (dst / "work.json").exists() and not skip:
        raise InputError(f"{dst} holds extracted tracks; give --skip to go on with them, or another --dst")
    frontend = LogMel(samplerate, nfft, hoplength, mels, fmin, fmax, norm="slaney", channels=1 if mono else 2)
    lengths = Lengths(length_frames, crop, pad)
    work = Features(described(frontend), precision, offset_sec, length_sec, lengths)  # type: ignore[arg-type]
    tracks = manifest_of(tidfile, src)
    tracks = tracks.head(1) if test else tracks
    log.info("%d tracks, %s", len(tracks), "mono" if mono else "stereo")
    with engines.run(tracks, work, dst, engines.named(engine, workers)) as results:
        for skipped in results.skipped:
            log.warning("skipped %s", skipped)
        frames = sum(entry.rows for entry in results.tracks.values())
    counts = (dst, len(results.tracks), frames, len(results.skipped))
    log.info("%s: %d tracks, %d frames; %d skipped (see skipped.csv)", *counts)
    if not results.tracks:
        raise InputError(f"none of {len(tracks)} tracks could be used; the reasons are in {dst / 'skipped.csv'}")


def merge(
    tidfile: Tidfile,
    src: Annotated[Path, typer.Option("--src", help="Folder of the shards, as melspecs_extract.py wrote it.")],
    dst: Annotated[Path, typer.Option("--dst", help="The feature store, an .h5 file, written.")],
    crop: Crop = False,
    pad: Pad = False,
    length_frames: Frames = 880,
    log_level: LogLevel = "INFO",
) -> None:
    """Merge the shards of the tracks of a file, in its order, into one feature store; a killed merge goes on."""
    start_log(log, log_level)
    from crossmodal.data import engine as engines
    from crossmodal.data.extraction import Features
    from crossmodal.data.merging import Lengths
    from crossmodal.data.merging import merge as merged
    from crossmodal.data.work import finished
    from crossmodal.files import read_json, write_skipped

    if dst.suffix not in (".h5", ".hdf5"):
        raise InputError(f"--dst is {dst}; it is an HDF5 file, .h5 or .hdf5")
    if not (src / "work.json").exists():
        raise InputError(f"{src} holds no shards; scripts/melspecs_extract.py --dst {src} writes them")
    ids = [track for track, _ in rows_of(tidfile)]
    with engines.locked(src):
        results = finished(src, Features.restored(read_json(src / "work.json")), ids)
        if not results.tracks:
            raise InputError(f"{src} has none of the {len(ids)} tracks of {tidfile}")
        merged(results, dst, Lengths(length_frames, crop, pad))
    write_skipped(dst.with_suffix(".skipped.csv"), results.skipped)
    for skipped in results.skipped:
        log.debug("not in %s: %s", dst, skipped)
    counts = (dst, len(results.tracks), len(ids), len(results.skipped), dst.with_suffix(".skipped.csv").name)
    log.info("%s: %d tracks of %d; %d skipped (see %s)", *counts)


def manifest_of(tidfile: Path, root: Path) -> Manifest:
    """The tracks of a file, in its order."""
    import pandas as pd

    from crossmodal.data.manifest import Manifest

    table = pd.DataFrame(rows_of(tidfile), columns=["track_id", "path"], dtype="str")
    return Manifest.build(table, root=root)


def rows_of(tidfile: Path) -> list[tuple[str, str]]:
    """Track ids and audio files, in the order of the file."""
    from crossmodal.data.sources import lines

    found: dict[str, str] = {}
    reader = csv.reader((f"{line}\n" for line in lines(tidfile)), strict=True)
    try:
        for row in reader:
            where = f"{tidfile} line {reader.line_num}"
            if len(row) != 2 or not all(row):
                raise InputError(f"{where} holds {row}; a line is a track id, a comma and a path")
            if row[0] in found:
                raise InputError(f"{where}: track {row[0]} is there twice")
            found[row[0]] = row[1]
    except csv.Error as error:
        raise InputError(f"{tidfile} line {reader.line_num}: {error}") from error
    if not found:
        raise InputError(f"{tidfile} has no tracks")
    return list(found.items())
