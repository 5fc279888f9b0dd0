"""The taggram in README.md: python docs/taggram_picture.py RUN [PICTURE.png], after crossmodal calibrate RUN.

Test tracks of the demo are played one after another, each by another instrument, and words of six languages are asked.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from crossmodal.audio.decode import decode, features_of
from crossmodal.calibration import Calibration
from crossmodal.data.manifest import Manifest
from crossmodal.evaluation import best_model
from crossmodal.runs import Run, find_run
from crossmodal.taggram import draw
from crossmodal.zero_shot import MEASURES, Row, Tagger, Taggram

OUT = Path(__file__).with_name("taggram.png")
PIECES = ("organ", "fast bells", "trumpet drums", "slow violin", "guitar drums")
WORDS = {
    "en": ["organ", "violin", "slow"],
    "de": ["Glocken", "schnell"],
    "fr": ["trompette"],
    "es": ["guitarra"],
    "it": ["batteria", "pioggia sul tetto"],
    "tr": ["hüzünlü"],
}
RATE = 16_000


def medley(run: Run) -> np.ndarray:
    """The samples of the first test track with each of `PIECES`' tags, and with drums only if so, one after another."""
    part = Manifest.load(run.folder / "manifest").part(run.config.split, "test")
    tags = {track: set(found) for track, found in part.tags.groupby("track_id")["tag"]}
    every = [set(piece.split()) for piece in PIECES]
    fits = [[track for track in sorted(tags) if wanted == tags[track] & (wanted | {"drums"})] for wanted in every]
    return np.concatenate([decode(part.path(tracks[0]), RATE)[0] for tracks in fits])


def taggram(run: Run, samples: np.ndarray) -> Taggram:
    """All words over the medley, each in its language."""
    model = best_model(run)
    calibration = Calibration.load(run.folder / "model.calibration.npz")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "medley.wav"
        soundfile.write(path, samples, RATE)
        (track,) = model.embed_features([features_of(path, model.audio_encoder.frontend)])
    made = [Tagger(model, words, language, calibration).tag(track) for language, words in WORDS.items()]
    rows: list[Row] = [row for one in made for row in one.rows]
    rows.sort(key=lambda row: (MEASURES.index(row.measure), int(np.argmax(row.scores))))
    return Taggram(made[0].bounds, tuple(rows))


def main(folder: str, out: str = str(OUT)) -> None:
    """Draw it."""
    run = find_run(folder)
    draw(taggram(run, medley(run)), Path(out), " – ".join(PIECES))


if __name__ == "__main__":
    main(*sys.argv[1:])
