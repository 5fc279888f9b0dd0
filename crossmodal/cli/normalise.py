"""The command of scripts/normalize.py."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crossmodal.cli.shared import LogLevel, start_log
from crossmodal.errors import InputError

if TYPE_CHECKING:
    from crossmodal.data.store import FeatureStore

log = logging.getLogger("normalize")


def normalise(
    train: Annotated[Path, typer.Option("--train", help="Feature store of the training tracks; with --split, of all.")],
    dst: Annotated[Path, typer.Option("--dst", help="Folder of normaliser.json and the normalised stores, written.")],
    apply: Annotated[list[Path] | None, typer.Option("--apply", help="Stores of other tracks.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="STORE", help="Further stores of --apply.")] = None,
    manifest: Annotated[Path | None, typer.Option("--manifest", help="A manifest's folder, for --split.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Fit to the train part of this split.")] = None,
    log_level: LogLevel = "INFO",
) -> None:
    """Bring feature stores to mean 0 and deviation 1 in every band and channel, by the training tracks alone."""
    start_log(log, log_level)
    from crossmodal.data.normalise import NAME, Normaliser
    from crossmodal.data.normalise import normalise as normalised
    from crossmodal.data.store import FeatureStore

    if (manifest is None) != (split is None):
        raise InputError("--manifest and --split go together")
    store = FeatureStore(train)
    tracks = None if manifest is None or split is None else part(store, manifest, split)
    stores = normalised(store, [FeatureStore(path) for path in [*(apply or []), *(more or [])]], dst, tracks)
    fitted = Normaliser.load(dst / NAME)
    log.info("%s: fitted to %d tracks, %d frames of %s", dst / NAME, fitted.tracks, fitted.frames, train)
    for made in stores:
        log.info("%s: %d tracks, %d frames", made.path, len(made), len(made.frames))


def part(store: FeatureStore, manifest: Path, split: str) -> list[str]:
    """The tracks of the split's train part that the store has."""
    from crossmodal.data.manifest import Manifest

    wanted = Manifest.load(manifest).part(split, "train").tracks["track_id"]
    found = [track for track in wanted if track in store]
    log.info("%d of the %d tracks of the train part of %s are in %s", len(found), len(wanted), split, store.path)
    return found
