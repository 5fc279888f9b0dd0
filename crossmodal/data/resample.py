"""Audio files resampled into a tree of the same shape: work for an engine, whose rows are none and whose notes count.

As CLMR's preprocess.py, for those who train on waveforms or on another program; this one's own front ends resample
what they read.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import soundfile

from crossmodal.audio.decode import RATES, Channels, opened
from crossmodal.data.engine import ALONE, Engine, locked, run
from crossmodal.data.manifest import Manifest
from crossmodal.data.work import Job, Work, Worker, Write, journalled
from crossmodal.errors import InputError
from crossmodal.files import Skipped, write_skipped, write_text

Format = Literal["wav", "flac"]
FOLDER = ".resampling"  # below the new tree: what is done
FULL_SCALE = 1 << 15


@dataclass(frozen=True)
class Resampling(Work):
    """The work of resampling: every file gives one of 16 bits, and the number of its samples that had to be clipped.

    Attributes:
        src: what the paths of the files begin with.
        dst: what those of the new files begin with.
        sample_rate: of the new files, in Hz.
        mono: whether they have one channel, the mean of all; otherwise what has two channels keeps them.
        format: wav, or flac.
    """

    src: Path
    dst: Path
    sample_rate: int
    mono: bool = False
    format: Format = "wav"

    name = "resample"
    dtype = np.dtype("u1")
    shape = ()

    def __post_init__(self) -> None:
        low, high = RATES
        if not low <= self.sample_rate <= high:
            raise InputError(f"the sample rate is {self.sample_rate} Hz; valid is {low} to {high} Hz")

    @property
    def identity(self) -> dict[str, Any]:
        """What the new files depend on."""
        return {"sample_rate": self.sample_rate, "mono": self.mono, "format": self.format}

    def target(self, path: str | Path) -> Path:
        """Where the new file of a file lies."""
        return (self.dst / Path(path).relative_to(self.src)).with_suffix(f".{self.format}")

    def start(self) -> Worker:
        """The function that resamples one file."""

        def resample(job: Job, write: Write) -> int:
            target = self.target(job.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.tmp")  # a run after a kill writes it anew
            try:
                clipped = self._write(job.path, temporary)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            return clipped

        return resample

    def _write(self, path: str, out: Path) -> int:
        """Write the file and count what was clipped."""
        clipped = 0
        with opened(path) as audio:
            channels: Channels = 2 if audio.info.channels == 2 and not self.mono else 1
            try:
                with soundfile.SoundFile(out, "w", self.sample_rate, channels, "PCM_16", format=self.format) as file:
                    for block in audio.blocks(self.sample_rate, channels):
                        scaled = np.rint(block.T * FULL_SCALE)
                        whole = scaled.clip(-FULL_SCALE, FULL_SCALE - 1)  # resampled peaks may lie above full scale
                        clipped += int(np.count_nonzero(scaled != whole))
                        file.write(whole.astype(np.int16))
            except soundfile.LibsndfileError as error:  # reading raises others: this is the disk, no fault of the track
                raise OSError(errno.EIO, f"{out}: {error} Is the disk full?") from error
        return clipped


class Resampled(NamedTuple):
    """What became of the files: those that were written, now or before, and the others with the reason.

    ``clipped`` has the number of clipped samples by track, of those that have any.
    """

    written: int
    clipped: dict[str, int]
    skipped: list[Skipped]


def resample(
    manifest: Manifest,
    dst: Path,
    sample_rate: int,
    mono: bool = False,
    format: Format = "wav",
    engine: Engine = ALONE,
) -> Resampled:
    """Resample every file of a manifest into a tree below ``dst``, with the paths that they have below its root.

    A run that was killed goes on; a file that has changed is done again, and so is one whose new file was removed.
    What is skipped, by the manifest's source too, is in ``dst/skipped.csv``.

    Raises:
        InputError: one folder lies in the other, a path is not below the root, ``dst`` was begun with other settings,
            or the disk is full.
    """
    work = Resampling(manifest.root.absolute(), dst.absolute(), sample_rate, mono, format)
    _check_apart(work.src.resolve(), work.dst.resolve())
    targets, twice = _targets(manifest, work)
    folder = work.dst / FOLDER
    _forget_removed(folder, targets)
    with run(manifest.select(targets), work, folder, engine) as results:
        clipped = {track: entry.note for track, entry in results.tracks.items() if entry.note}
        skipped = [*manifest.skipped, *twice, *results.skipped]
        write_skipped(work.dst / "skipped.csv", skipped)
        return Resampled(len(results.tracks), clipped, skipped)


def _check_apart(src: Path, dst: Path) -> None:
    if src.is_relative_to(dst) or dst.is_relative_to(src):
        raise InputError(f"{src} and {dst} lie one in the other; give a folder beside the files")


def _targets(manifest: Manifest, work: Resampling) -> tuple[dict[str, Path], list[Skipped]]:
    """The new file of each track; those are skipped whose new file another has, since only the suffix differs."""
    targets: dict[str, Path] = {}
    first: dict[Path, str] = {}
    twice = []
    for track, path in manifest.paths().items():
        if not Path(path).is_relative_to(work.src) or ".." in Path(path).parts:
            raise InputError(f"{path} does not lie below {work.src}")
        target = work.target(path)
        if (other := first.setdefault(target, path)) != path:
            twice.append(Skipped(str(track), path, f"{target.name} is made of {Path(other).name}"))
        else:
            targets[str(track)] = target
    return targets, twice


def _forget_removed(folder: Path, targets: dict[str, Path]) -> None:
    """Take what is done, but no longer there, out of the journals."""
    if not folder.is_dir():
        return
    with locked(folder):
        for journal in folder.glob("*.jsonl"):
            lines = journal.read_text("utf-8").splitlines(True)
            kept = [line for line in lines if (done := journalled(line)) and _is_there(targets.get(done.track_id))]
            if len(kept) < len(lines):
                write_text(journal, "".join(kept))


def _is_there(target: Path | None) -> bool:
    return target is None or target.is_file()
