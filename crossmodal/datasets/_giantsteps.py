"""The download of GiantSteps key: previews one by one from two mirrors, or whole archives through mirdata."""

from __future__ import annotations

import hashlib
import importlib
import io
import time
import urllib.request
import zipfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from tqdm import tqdm

from crossmodal import files, registry
from crossmodal.datasets.giantsteps_key import KEYS
from crossmodal.errors import InputError
from crossmodal.files import Skipped

# the repository and the mirrors that its own audio_dl.sh asks, in its order
REPOSITORY = "https://github.com/GiantSteps/giantsteps-key-dataset/archive/refs/heads/master.zip"
MIRRORS = ("https://www.cp.jku.at/datasets/giantsteps/backup/", "https://geo-samples.beatport.com/lofi/")
ATTEMPTS = 3
PAUSE_S = 2.0
TIMEOUT_S = 60.0


def download(root: Path, mirdata: bool = False) -> None:
    """Download GiantSteps key into a folder that the source giantsteps_key reads; started again, it goes on.

    Annotations and 604 previews by default, each file tried on both mirrors and checked by its MD5; with --mirdata the
    600 of GiantSteps+, with artists and titles, as archives. Both write metadata.json; what could not be had is in
    skipped.csv with the reasons.
    """
    failed = _archives(root) if mirdata else _previews(root)
    files.write_skipped(root / "skipped.csv", failed)
    write_metadata(root)
    if failed:
        raise InputError(f"{len(failed)} previews could not be had, see {root / 'skipped.csv'}; start again to go on")


def write_metadata(root: Path) -> None:
    """Write metadata.json: of each track that has audio its key, spelt one way too, the key's number, its file."""
    manifest = registry.build("datasets", "giantsteps_key", root=str(root)).manifest()
    tags = {name: rows.groupby("track_id")["tag"].agg(list) for name, rows in manifest.tags.groupby("tagset")}
    tracks = zip(*(manifest.tracks[column] for column in ("track_id", "written_key", "path")), strict=True)
    records = [
        {
            "key": written,
            "simplified_key": tags["key"][track][0],
            "label_id": KEYS.index(tags["key"][track][0]),
            "file_path": path,
            "genres": tags["genre"].get(track, []) if "genre" in tags else [],
        }
        for track, written, path in tracks
    ]
    files.write_json(root / "metadata.json", records)


def _archives(root: Path) -> list[Skipped]:
    """All that mirdata downloads; it checks the archives, and takes those that are there already."""
    try:
        library = importlib.import_module("mirdata")
    except ImportError as error:
        raise InputError('mirdata is not installed: pip install "crossmodal[datasets]"') from error
    try:
        library.initialize("giantsteps_key", data_home=str(root)).download(["audio", "keys", "metadata"])
    except OSError as error:
        raise InputError(f"mirdata could not download giantsteps_key: {error}; start again to go on") from error
    return []


def _previews(root: Path) -> list[Skipped]:
    """The annotations, and every preview whose MD5 they hold, but for those that are there."""
    if not (root / "annotations" / "key").is_dir():
        _unpack(_fetched([REPOSITORY]), root)
    failed = []
    for path in tqdm(sorted((root / "md5").glob("*.md5")), "previews", unit="file", disable=None):
        audio = root / "audio" / f"{path.stem}.mp3"
        wanted = path.read_text(encoding="ascii").strip()
        if not audio.is_file() or _md5(audio.read_bytes()) != wanted:
            try:
                data = _fetched([mirror + audio.name for mirror in MIRRORS], wanted)
            except InputError as error:
                failed.append(Skipped(path.stem, f"audio/{audio.name}", str(error)))
                continue
            with files.atomic(audio) as temporary:
                temporary.write_bytes(data)
    return failed


def _unpack(data: bytes, root: Path) -> None:
    """The folders md5 and annotations of the repository's archive; the latter last, as its being there says all is."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise InputError(f"{REPOSITORY} is not a zip archive: {error}") from error
    members = [(name, Path(*Path(name).parts[1:])) for name in archive.namelist() if not name.endswith("/")]
    for folder in ("md5", "annotations"):
        with files.atomic(root / folder) as temporary:
            temporary.mkdir()
            for name, path in members:
                if path.parts[:1] == (folder,) and ".." not in path.parts:
                    target = temporary / path.relative_to(folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(name))


def _fetched(urls: Sequence[str], md5: str | None = None) -> bytes:
    """What the first of some URLs gives that answers, with the bytes it should; tried several times.

    Raises:
        InputError: none does; it says why of each.
    """
    reasons: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE_S * attempt)
        for url in urls:
            try:
                with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                    data: bytes = answer.read()
            except (OSError, HTTPException) as error:
                reasons[url] = str(error) or type(error).__name__
            else:
                if md5 is None or _md5(data) == md5:
                    return data
                reasons[url] = f"{len(data)} bytes, but not those that were published"
    raise InputError("; ".join(f"{url}: {reason}" for url, reason in reasons.items()))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
