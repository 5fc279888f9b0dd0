"""The data of an experiment: its manifest, and the features or waveforms that training crops come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from crossmodal import registry
from crossmodal.audio.decode import AudioError, probe
from crossmodal.config import Config
from crossmodal.data.engine import named
from crossmodal.data.extraction import extract
from crossmodal.data.loader import Batches, Crops, Tags, Texts, Waveforms
from crossmodal.data.manifest import Manifest
from crossmodal.data.splits import split_by_group
from crossmodal.data.store import FeatureStore
from crossmodal.data.work import key
from crossmodal.errors import InputError
from crossmodal.files import Skipped
from crossmodal.model import DualEncoder
from crossmodal.types import FrontEnd

Say = Callable[[str], None]


def read_manifest(config: Config, say: Say) -> Manifest:
    """The manifest of the experiment's source, checked; what the source could not use is counted."""
    manifest: Manifest = registry.build_block("datasets", config.data).manifest().check()
    manifest = without_broken(manifest) if config.features.source == "audio" else manifest
    say(f"{len(manifest)} tracks, {manifest.texts['text_id'].nunique()} texts, {len(manifest.tags)} tags")
    if manifest.skipped:
        say(f"{len(manifest.skipped)} rows or tracks of the source could not be used; first: {manifest.skipped[0]}")
    return manifest


def without_broken(manifest: Manifest) -> Manifest:
    """The manifest without the tracks whose header cannot be read, for training on waveforms; they become skipped.

    What only decoding finds, such as NaN, stops the training with the name of the file.
    """
    broken = []
    for track, path in manifest.paths().items():
        try:
            probe(path)
        except AudioError as error:
            broken.append(Skipped(str(track), str(path), error.reason))
    kept = set(manifest.tracks["track_id"]) - {skipped.id for skipped in broken}
    return replace(manifest.select(kept), skipped=(*manifest.skipped, *broken)) if broken else manifest


def store_path(config: Config, manifest: Manifest, frontend: FrontEnd) -> Path:
    """Where the features of these tracks, by this front end, are kept: of their files as they are now."""
    keys = (key(str(track), path) for track, path in manifest.paths().items())
    tracks = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:12]
    how = config.features
    cut = "" if how.max_duration_s is None else f"-{how.max_duration_s:g}s"
    return Path(how.folder) / f"{config.data['name']}-{tracks}-{frontend.fingerprint}-{how.precision}{cut}.h5"


def open_store(config: Config, manifest: Manifest, frontend: FrontEnd, say: Say) -> FeatureStore | None:
    """The feature store, extracted if it is not there yet; None if the experiment trains on waveforms."""
    if config.features.source == "audio":
        return None
    path = store_path(config, manifest, frontend)
    if path.is_file():
        store = FeatureStore(path)
    else:
        how = config.features
        store = extract(
            manifest, frontend, path, named(how.engine, how.workers), how.precision, max_duration_s=how.max_duration_s
        )
    store.check(frontend)
    if store.skipped:
        say(f"{len(store.skipped)} tracks have no features; the reasons: {path.with_suffix('.skipped.csv')}")
    return store


def labelled(part: Manifest, share: float) -> Manifest:
    """A training part in which only a share of the groups keeps its texts and tags; drawn by the hash of the group.

    The others count as not annotated: they are audio alone.
    """
    if share == 1:
        return part
    groups = part.tracks.set_index("track_id")["group"]
    parts = split_by_group(groups, {"train": share, "test": 1 - share}, salt="labelled")
    kept = parts.index[parts == "train"]
    tables = {name: getattr(part, name) for name in ("texts", "tags", "annotated")}
    return replace(part, **{name: rows[rows["track_id"].isin(kept)] for name, rows in tables.items()})


def make_batches(config: Config, model: DualEncoder, part: Manifest, store: FeatureStore | None) -> Batches:
    """The batches of a training part, from its store or from its files."""
    frontend = model.audio_encoder.frontend
    crops: Crops = store or Waveforms(
        {str(track): Path(path) for track, path in part.paths().items()}, frontend.sample_rate, frontend.channels
    )
    tracks = [track for track in part.tracks["track_id"] if store is None or track in store]
    if not tracks:
        raise InputError(f"not one of the {len(part)} training tracks has features")
    rate = frontend.frame_rate if store else frontend.sample_rate
    window = model.window if store else round(config.window_s * frontend.sample_rate)
    wording = config.text if model.reads else replace(config.text, per_track=0)
    return Batches(
        tracks=tracks,
        crops=crops,
        texts=Texts(part, wording),
        tags=Tags(part),
        tokenize=model.text_encoder.tokenize,
        batch_size=config.train.batch_size,
        views=config.views,
        window=window,
        gap=round(config.views.gap_s * rate),
        seed=config.seed,
    )


def fit_encoders(model: DualEncoder, batches: Batches) -> None:
    """Fit the tokenizer to the training texts, and the normaliser."""
    model.text_encoder.fit(batches.texts.corpus())
    fit_normaliser(model, batches)


def fit_normaliser(model: DualEncoder, batches: Batches, frames: int = 100_000) -> None:
    """Fit the normaliser to the crops of the first batches, of about ``frames`` frames that count."""
    found: list[torch.Tensor] = []
    counts: list[torch.Tensor] = []
    for step in range(len(batches.tracks) // batches.batch_size + 1):
        for part in batches[step]:
            features, lengths = model.frontend_features(part)
            found.append(features.flatten(0, 1))
            counts.append(lengths.flatten())
        if int(torch.cat(counts).sum()) >= frames:
            break
    model.audio_encoder.fit(torch.cat(found), torch.cat(counts))
