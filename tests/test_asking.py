from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from sounds import music
from tiny import TINY

from crossmodal import asking
from crossmodal.asking import Answer, Asker, Embedded, Wishes, matched
from crossmodal.errors import InputError
from crossmodal.filters import parse as where
from crossmodal.metrics.hubness import closeness, csls
from crossmodal.model import DualEncoder
from crossmodal.queries import Part, Query, parse
from crossmodal.search import SearchIndex
from crossmodal.sounds import Sound, likeness

Floats = NDArray[np.float32]
RATE = 8000
DIM = 16
ARTISTS = ("Sezen Aksu", "", "Großvater")


class Words(DualEncoder):
    """A model that hears as it was initialised and knows a word by its number, given to it in order."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(TINY["audio_encoder"], {"name": "none"}, DIM, window_s=1.0)
        self.known: dict[str, Floats] = {}

    def embed_text(self, texts: Sequence[str], batch_size: int = 64) -> Floats:
        made = [self.known.setdefault(text, _direction(len(self.known) + 100)) for text in texts]
        return np.stack(made) if made else np.zeros((0, DIM), np.float32)


def _direction(seed: int) -> Floats:
    found = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return np.asarray(found / np.linalg.norm(found))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve pieces of 3.5 s; the last is the first, quieter and in another codec."""
    folder = tmp_path_factory.mktemp("sounds")
    pieces = [music(3.5, seed) for seed in range(11)]
    for number, samples in enumerate(pieces):
        soundfile.write(folder / f"{number}.wav", samples, RATE)
    soundfile.write(folder / "11.ogg", pieces[0] / 2, RATE)
    return [*(folder / f"{number}.wav" for number in range(11)), folder / "11.ogg"]


@pytest.fixture(scope="module")
def asker(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Asker:
    model = Words().eval()
    frontend = model.audio_encoder.frontend
    features = [
        np.concatenate(list(frontend.stream([soundfile.read(path, dtype="float32")[0][None]]))) for path in files
    ]
    embedded = list(model.embed_features(features))
    rows = [(f"t{i}", *bounds) for i, track in enumerate(embedded) for bounds in track.bounds]
    tracks = pd.DataFrame(
        {
            "track_id": [f"t{i}" for i in range(12)],
            "path": [str(path) for path in files],
            "artist": [ARTISTS[i % 3] for i in range(12)],
            "year": [1990.0 + i if i else None for i in range(12)],
        }
    )
    segments = pd.DataFrame(rows, columns=["track_id", "start", "end"])
    vectors = np.concatenate([track.vectors for track in embedded])
    folder = tmp_path_factory.mktemp("index")
    return Asker(SearchIndex.build(folder, vectors, segments, tracks, model.fingerprint), model)


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def ids(answer: Answer) -> list[str]:
    return [hit.track_id for hit in answer.hits]


def ranked(asker: Asker, vector: Floats) -> list[str]:
    """All tracks by their best segment."""
    best = {
        track["track_id"]: (asker.index.segments(track["track_id"])[1] @ vector).max() for track in asker.index.tracks
    }
    return sorted(best, key=lambda track: -best[track])


def test_words_are_mixed_by_weight(asker: Asker) -> None:
    a, b, c = asker.model.embed_text(["piano", "rain", "drums"])
    vectors = asker.vectors([parse("piano"), parse("piano +rain^2 -drums^0.5"), parse("rain -piano")])
    for found, expected in zip(vectors, (a, a + 2 * b - c / 2, b - a), strict=True):
        assert found == pytest.approx(unit(expected), abs=1e-6)
    assert asker.vectors([]).shape == (0, DIM)


def test_beside_sound_words_count_double(asker: Asker, files: list[Path]) -> None:
    slower = asker.model.embed_text(["slower"])[0]
    whole = asker.model.embed_audio([files[3]])[0]
    for text in (f"{files[3]} +slower", "id:t3 +slower"):
        assert asker.vectors([parse(text)])[0] == pytest.approx(unit(whole + 2 * slower), abs=1e-5)
    assert asker.vectors([parse("id:t3 -slower^.5")])[0] == pytest.approx(unit(whole - slower), abs=1e-5)


def test_a_track_s_vectors_are_those_of_its_file(asker: Asker, files: list[Path]) -> None:
    of_file, of_index = (asker.embedded(parse(text)) for text in (str(files[2]), "id:t2"))
    assert of_index.vector == pytest.approx(of_file.vector, abs=1e-5)
    assert of_index.segments == pytest.approx(of_file.segments, abs=1e-5)
    assert len(of_index.segments) == 4  # of a second, the last of half


def test_a_stretch_is_the_sound_between_two_times(asker: Asker, files: list[Path], tmp_path: Path) -> None:
    samples = soundfile.read(files[2], dtype="float32")[0]
    soundfile.write(tmp_path / "stretch.wav", samples[RATE : 5 * RATE // 2], RATE, subtype="FLOAT")
    cut, whole = (asker.embedded(parse(text)) for text in (f"{files[2]}@1-2.5", str(tmp_path / "stretch.wav")))
    assert cut.segments == pytest.approx(whole.segments, abs=1e-5)
    assert len(cut.segments) == 2


def test_a_stretch_of_a_track_is_the_segments_it_touches(asker: Asker) -> None:
    whole = asker.embedded(parse("id:t2")).sounds[0].vectors
    assert asker.embedded(parse("id:t2@1.5-2")).sounds[0].vectors == pytest.approx(whole[1:2])
    assert asker.embedded(parse("id:t2@1.5-")).sounds[0].vectors == pytest.approx(whole[1:])
    assert asker.embedded(parse("id:t2@-2")).sounds[0].vectors == pytest.approx(whole[:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id:t99", "the index has no track 't99'"),
        ("id:t2@4-", r"t2 ends at 3.5 s, before the stretch begins, at 4 s"),
        ("{}@4-5", r"2.wav: has 0.00 s between 4 s and 5 s; at least 0.1 s are needed"),
        ("{}@3.45-", r"2.wav: has 0.05 s between 3.45 s and its end; at least 0.1 s"),
        ("id:t3 -id:t3@0-9", "the parts of the query cancel out"),
    ],
)
def test_what_cannot_be_asked(asker: Asker, files: list[Path], text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        asker.ask(parse(text.format(files[2])))


def test_a_silent_stretch_is_refused(asker: Asker, tmp_path: Path) -> None:
    samples = np.concatenate([music(2.0), np.zeros(2 * RATE, np.float32)])
    soundfile.write(tmp_path / "ends.wav", samples, RATE)
    assert asker.ask(parse(f"{tmp_path}/ends.wav@0-2"))
    with pytest.raises(InputError, match=r"ends.wav: is silent between 2 s and its end"):
        asker.ask(parse(f"{tmp_path}/ends.wav@2-"))


def test_an_index_of_another_model_is_refused(asker: Asker) -> None:
    torch.manual_seed(1)
    other = DualEncoder(TINY["audio_encoder"], {"name": "none"}, DIM, window_s=2.0)
    with pytest.raises(InputError, match="the index was built with model"):
        Asker(asker.index, other)


def test_answers_are_those_of_the_search(asker: Asker) -> None:
    vector = asker.vectors([parse("piano -drums")])
    found = asker.ask(parse("piano -drums"), Wishes(k=5))
    assert found == Answer(asker.index.search(vector, 5)[0], [])
    assert ids(found) == ranked(asker, vector[0])[:5]


def test_a_query_returns_neither_itself_nor_its_copies(asker: Asker, files: list[Path], tmp_path: Path) -> None:
    for text in (
        "id:t0",
        str(files[0]),
        f"{files[0]}@0.5-",
        "id:t0@0-2",
        f"{files[0].parent}/../{files[0].parent.name}/0.wav",
    ):
        found = asker.ask(parse(text), Wishes(k=12))
        assert sorted(found.copies) == ["t0", "t11"], text
        assert sorted(ids(found)) == sorted(f"t{i}" for i in range(1, 11))
        assert [hit.rank for hit in found.hits] == list(range(1, 11))
    assert sorted(asker.ask(parse("id:t11 +slower")).copies) == ["t0", "t11"]
    assert asker.ask(parse("piano -id:t0")).copies == []
    kept = asker.ask(parse("id:t0"), Wishes(copies=True))
    assert (ids(kept)[0], kept.copies) == ("t0", [])


def test_where_files_are_gone_equal_vectors_are_copies(
    asker: Asker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = asker.index
    tracks = pd.DataFrame(list(index.tracks)).set_index("track_id", drop=False)
    found = {track: index.segments(track) for track in tracks.index}
    rows = [(track, start, end) for track, (bounds, _) in found.items() for start, end in bounds]
    vectors = np.concatenate([vectors for _, vectors in found.values()])
    segments = pd.DataFrame(rows, columns=["track_id", "start", "end"])
    built = SearchIndex.build(tmp_path, vectors, segments, tracks.drop(columns="path"), index.fingerprint)
    gone = Asker(built, asker.model)
    assert gone.ask(parse("id:t0")).copies == ["t0"]
    assert gone.ask(parse(tracks.loc["t0", "path"])).copies == ["t0"]
    monkeypatch.setattr(asking, "SAME", 0.5)
    assert {"t0", "t11"} <= set(gone.ask(parse("id:t0")).copies)


def test_filters_leave_out_what_does_not_meet_them(asker: Asker) -> None:
    order = ranked(asker, asker.vectors([parse("piano")])[0])
    wishes = Wishes(k=4, where=tuple(where("year>=1995; artist=Sezen Aksu|Großvater")))
    expected = [track for track in order if int(track[1:]) >= 5 and int(track[1:]) % 3 != 1]
    assert ids(asker.ask(parse("piano"), wishes)) == expected[:4]
    assert asker.ask(parse("piano"), Wishes(where=tuple(where("year>3000")))).hits == []
    with pytest.raises(InputError, match="no column 'yaer'"):
        asker.ask(parse("piano"), Wishes(where=tuple(where("yaer>3000"))))


def test_at_most_so_many_of_an_artist_and_unknown_artists_count_apart(asker: Asker) -> None:
    order, seen, expected = ranked(asker, asker.vectors([parse("piano")])[0]), dict.fromkeys(ARTISTS, 0), []
    for track in order:
        artist = ARTISTS[int(track[1:]) % 3]
        seen[artist] += 1
        if not artist or seen[artist] <= 1:
            expected.append(track)
    assert len(expected) == 6
    for k in (1, 2, 5, 6, 10):
        found = asker.ask(parse("piano"), Wishes(k=k, per_artist=1))
        assert ids(found) == expected[:k]
        assert [hit.rank for hit in found.hits] == list(range(1, min(k, 6) + 1))
    with pytest.raises(InputError, match="valid is 1 or more"):
        Wishes(per_artist=0)


@pytest.mark.parametrize("match", ["max", "mean", "late"])
def test_segments_answer_together_as_by_a_loop(match: str) -> None:
    rng = np.random.default_rng(0)
    query, track = (np.stack([unit(row) for row in rng.normal(size=(n, 4))]).astype(np.float32) for n in (3, 5))
    seconds = np.array([4, 4, 4, 4, 1], np.float32)
    vector = unit(query.sum(axis=0))
    cosines = [float(vector @ row) for row in track]
    expected = {
        "max": max(cosines),
        "mean": sum(s * c for s, c in zip(seconds, cosines, strict=True)) / 17,
        "late": sum(max(float(q @ row) for row in track) for q in query) / 3,
    }[match]
    embedded = Embedded(Query((Part("text", "x"),)), vector, query, ())
    assert matched(embedded, Sound(track, seconds), match) == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]


def test_likeness_by_a_loop() -> None:
    rng = np.random.default_rng(1)
    one, other = (np.stack([unit(row) for row in rng.normal(size=(n, 4))]).astype(np.float32) for n in (2, 3))
    best = [max(float(a @ b) for b in other) for a in one]
    sound = Sound(one, np.array([3, 1], np.float32))
    assert likeness(sound, Sound(other, np.ones(3, np.float32))) == pytest.approx((3 * best[0] + best[1]) / 4, abs=1e-6)
    assert likeness(sound, sound) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("match", ["mean", "late"])
@pytest.mark.parametrize("text", ["piano", "id:t3 +slower", "id:t3 -id:t4"])
def test_the_best_are_ranked_again(asker: Asker, text: str, match: str) -> None:
    embedded = asker.embedded(parse(text))
    scores = {f"t{i}": matched(embedded, asker.track(f"t{i}"), match) for i in range(12)}  # type: ignore[arg-type]
    order = sorted(scores, key=lambda track: -scores[track])
    found = asker.ask(parse(text), Wishes(k=4, match=match, copies=True))  # type: ignore[arg-type]
    assert ids(found) == order[:4]
    assert [hit.score for hit in found.hits] == pytest.approx([scores[track] for track in order[:4]], abs=1e-6)


def test_late_interaction_asks_with_each_segment(asker: Asker) -> None:
    slower = asker.model.embed_text(["slower"])[0]
    sounds = asker.embedded(parse("id:t3")).sounds[0].vectors
    expected = [unit(row + 2 * slower) for row in sounds]
    assert asker.embedded(parse("id:t3 +slower")).segments == pytest.approx(np.stack(expected), abs=1e-5)
    both = asker.embedded(parse("id:t3 +id:t4"))
    assert len(both.segments) == 8
    assert len(both.sounds) == 2


def test_a_bank_corrects_for_hubs(asker: Asker) -> None:
    bank = asker.model.embed_text([f"word {i}" for i in range(30)])
    corrected = Asker(asker.index, asker.model, bank)
    vector = asker.vectors([parse("piano")])[0]
    tracks = [asker.track(f"t{i}").vectors for i in range(12)]
    scores = np.array([[(rows @ vector).max() for rows in tracks]])
    near = closeness(np.array([[(rows @ one).max() for rows in tracks] for one in bank]))
    expected = csls(scores, near)[0]
    found = corrected.ask(parse("piano"), Wishes(k=12))
    assert ids(found) == [f"t{i}" for i in np.argsort(-expected)]
    assert [hit.score for hit in found.hits] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert ids(found) != ids(asker.ask(parse("piano"), Wishes(k=12)))


def test_search_takes_a_mask_of_candidates(asker: Asker) -> None:
    vectors = asker.vectors([parse("piano"), parse("rain")])
    mask = np.array([int(track["track_id"][1:]) % 2 == 0 for track in asker.index.tracks])
    for k in (1, 3, 12):
        found = asker.index.search(vectors, k, allowed=mask, exclude=["t4"])
        for hits, vector in zip(found, vectors, strict=True):
            order = [track for track in ranked(asker, vector) if int(track[1:]) % 2 == 0 and track != "t4"]
            assert [hit.track_id for hit in hits] == order[:k]
    assert asker.index.search(vectors, 3, allowed=np.zeros(12, bool)) == [[], []]
