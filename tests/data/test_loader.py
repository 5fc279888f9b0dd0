from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from crossmodal.audio.decode import AudioError, decode
from crossmodal.config import Text, Views
from crossmodal.data.loader import Batches, Crops, Share, Tags, Texts, Waveforms, load
from crossmodal.data.manifest import Manifest
from crossmodal.types import Batch

TRACKS = [f"t{number}" for number in range(10)]
SILENCE = -100.0
LONG = " ".join(f"Sentence number {number} of this review." for number in range(8))


class Frames(Crops):
    """Frames that say where they stand: track * 1000 + place, of tracks of 5 to 50 frames."""

    silence = SILENCE
    sampled = False

    def __init__(self, broken: str = "") -> None:
        self.broken = broken

    def length(self, track_id: str) -> int:
        return 5 * (int(track_id[1:]) + 1)

    def crop(self, track_id: str, start: int, length: int) -> np.ndarray:
        if track_id == self.broken:
            raise AudioError(track_id, "holds NaN")
        places = np.arange(self.length(track_id)) + 1000 * int(track_id[1:])
        return places[start : start + length, None].astype(np.float32)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """t0-t2 share a review; t3 and t4 have reviews of the same words; t5-t7 only tags; t8 and t9 nothing."""
    tracks = pd.DataFrame({"track_id": TRACKS, "path": [f"{track}.wav" for track in TRACKS]})
    reviews = [("shared", track, "en", LONG) for track in TRACKS[:3]]
    reviews += [
        ("own", "t0", "de", "Nur t0."),
        ("same-3", "t3", "en", "Same words."),
        ("same-4", "t4", "en", "same  words."),
    ]
    texts = pd.DataFrame(reviews, columns=["text_id", "track_id", "language", "text"]).assign(kind="review")
    tags = [("t5", "organ"), ("t6", "organ"), ("t6", "sad"), ("t7", "sad")]
    return Manifest.build(
        tracks,
        texts=texts,
        tags=pd.DataFrame(tags, columns=["track_id", "tag"]).assign(tagset="any"),
        root=tmp_path_factory.mktemp("audio"),
    )


def tokenize(texts: list[str]) -> dict[str, torch.Tensor]:
    """The bytes of every text, so that a test can read them again."""
    rows = [torch.tensor(list(text.encode()), dtype=torch.uint8) for text in texts]
    return {"bytes": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)}


def words(batch: Batch) -> list[str]:
    rows = batch.tokens["bytes"].numpy() if batch.tokens else []
    return [bytes(row).rstrip(b"\0").decode() for row in rows]


@pytest.fixture
def batches(manifest: Manifest) -> Batches:
    return Batches(
        tracks=TRACKS,
        crops=Frames(),
        texts=Texts(manifest, Text(tag_sentences=0.5)),
        tags=Tags(manifest),
        tokenize=tokenize,
        batch_size=4,
        views=Views(),
        window=20,
        gap=0,
        seed=3,
    )


def whole(batches: Batches, step: int) -> Batch:
    """A batch that is in one part."""
    (batch,) = batches[step]
    return batch


def same(first: Batch, second: Batch) -> bool:
    tensors = ("tracks", "audio", "lengths", "positives")
    return words(first) == words(second) and all(torch.equal(getattr(first, k), getattr(second, k)) for k in tensors)


def test_a_batch_is_a_function_of_seed_and_step(batches: Batches) -> None:
    forwards = [whole(batches, step) for step in range(6)]
    np.random.default_rng(0).random(100)
    torch.rand(10)
    backwards = [whole(batches, step) for step in reversed(range(6))][::-1]
    assert all(map(same, forwards, backwards))
    other = replace(batches, seed=4)
    assert not any(same(forwards[step], whole(other, step)) for step in range(6))


def test_each_epoch_visits_every_track_once_and_batches_straddle_epochs(batches: Batches) -> None:
    rows = torch.cat([whole(batches, step).tracks for step in range(15)]).tolist()  # 60 places, six epochs of ten
    epochs = [rows[start : start + 10] for start in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert whole(batches, 2).tracks.tolist() == epochs[0][8:] + epochs[1][:2]


def test_a_batch_larger_than_the_set_holds_tracks_again(batches: Batches) -> None:
    assert Counter(whole(replace(batches, batch_size=25), 0).tracks.tolist()).most_common(1)[0][1] == 3


def test_short_tracks_are_padded_with_silence_and_lengths_say_so(batches: Batches) -> None:
    batch = whole(replace(batches, batch_size=10), 0)
    for row, track in enumerate(batch.tracks.tolist()):
        length = min(20, 5 * (track + 1))
        sound, rest = batch.audio[0, row, :length, 0], batch.audio[0, row, length:]
        assert int(batch.lengths[0, row]) == length
        assert (rest == SILENCE).all()
        assert (sound.diff() == 1).all()
        assert 1000 * track <= sound[0]
        assert sound[-1] < 1000 * track + 5 * (track + 1)


def test_crops_begin_anywhere_and_views_begin_elsewhere(batches: Batches) -> None:
    many = replace(batches, views=Views(count=3), batch_size=10)
    found = [whole(many, step) for step in range(60)]
    assert found[0].audio.shape == (3, 10, 20, 1)
    assert found[0].lengths.shape == (3, 10)
    starts = [
        int(b.audio[view, row, 0, 0]) - 9000 for b in found for view in range(3) for row in (b.tracks == 9).nonzero()
    ]
    assert set(starts) == set(range(31))  # 50 frames, a window of 20: the last one too
    differ = [not torch.equal(a, b) for batch in found for a, b in itertools.combinations(batch.audio, 2)]
    assert all(differ)


def test_positives_are_sets_by_a_plain_loop(batches: Batches, manifest: Manifest) -> None:
    about = {
        "Nur t0.": {"t0"},
        "Same words.": {"t3", "t4"},
        "same  words.": {"t3", "t4"},
        "Sentence": {"t0", "t1", "t2"},
    }
    tagged = {"organ": {"t5", "t6"}, "sad": {"t6", "t7"}}
    lexicon = Texts(manifest, Text()).lexicon
    seen: set[str] = set()
    for step in range(40):
        batch = whole(replace(batches, batch_size=10), step)
        ids = [TRACKS[row] for row in batch.tracks]
        assert len(batch.languages) == len(words(batch)) == len(batch.positives)
        for text, language, row in zip(words(batch), batch.languages, batch.positives, strict=True):
            expected = next((tracks for head, tracks in about.items() if text.startswith(head.split(" of")[0])), None)
            if expected is None:
                named = [tag for tag in tagged if any(w.lower() in text.lower() for w in lexicon.words(tag, language))]
                expected = set.intersection(*(tagged[tag] for tag in named))
                seen.update(named)
            assert {track for track, positive in zip(ids, row, strict=True) if positive} == expected & set(ids), text
    assert seen == {"organ", "sad"}


def test_tracks_without_words_are_masked_not_dropped(batches: Batches) -> None:
    batch = whole(replace(batches, batch_size=10), 0)
    assert len(batch.positives) == 8
    rows = [int((batch.tracks == track).nonzero()) for track in (8, 9)]
    assert not batch.positives[:, rows].any()
    silent = whole(replace(batches, texts=Texts(batches_without_words(batches), Text())), 0)
    assert silent.tokens == {}
    assert silent.positives.shape == (0, 4)


def batches_without_words(batches: Batches) -> Manifest:
    return Manifest.build(pd.DataFrame({"track_id": TRACKS, "path": TRACKS}), root=Path())


def test_several_texts_a_track(batches: Batches, manifest: Manifest) -> None:
    batch = whole(replace(batches, batch_size=10, texts=Texts(manifest, Text(per_track=3))), 0)
    assert len(batch.positives) == 24


def test_a_long_review_gives_other_sentences_each_time_in_their_order(manifest: Manifest) -> None:
    texts, rng = Texts(manifest, Text(sentences=3)), np.random.default_rng(0)
    drawn = {texts.draw("t1", rng).text for _ in range(200)}  # type: ignore[union-attr]
    numbers = [[int(word) for word in text.split() if word.isdigit()] for text in drawn]
    assert {len(found) for found in numbers} == {1, 2, 3}
    assert all(found == sorted(set(found)) for found in numbers)
    assert {number for found in numbers for number in found} == set(range(8))


def test_kinds_and_languages_choose_the_texts(manifest: Manifest) -> None:
    rng = np.random.default_rng(0)
    german = Texts(manifest, Text(languages=["de"]))
    assert {german.draw("t0", rng).text for _ in range(20)} == {"Nur t0."}  # type: ignore[union-attr]
    assert german.draw("t1", rng) is None
    assert {german.draw("t5", rng).language for _ in range(20)} == {"de"}  # type: ignore[union-attr]
    assert Texts(manifest, Text(kinds=["lyrics"])).draw("t0", rng) is None


def test_the_corpus_holds_every_text_and_the_words_of_every_tag(manifest: Manifest) -> None:
    corpus = Texts(manifest, Text()).corpus()
    assert {LONG, "Nur t0.", "Same words.", "Orgel", "orgue"} <= set(corpus)


def test_a_worker_gives_the_batches_of_this_process(batches: Batches) -> None:
    alone, helped = ([part for (part,) in load(batches, 2, 7, workers)] for workers in (0, 1))
    assert len(alone) == 5
    assert all(map(same, alone, helped))
    assert same(alone[0], whole(batches, 2))


def test_loading_leaves_the_global_generator_alone(batches: Batches) -> None:
    before = torch.get_rng_state()
    list(load(batches, 0, 2, 0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_in_training_is_named_in_one_line(batches: Batches, workers: int) -> None:
    with pytest.raises(AudioError, match="t7: holds NaN") as error:
        list(load(replace(batches, crops=Frames("t7")), 0, 5, workers))
    assert str(error.value) == "t7: holds NaN"


def test_waveforms_are_decoded_where_they_are_cropped(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 12_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 8000, subtype="FLOAT")
    crops = Waveforms({"a": tmp_path / "a.wav"}, 8000)
    assert crops.length("a") == 12_000
    np.testing.assert_array_equal(crops.crop("a", 777, 4000)[:, 0], sound[777:4777])
    assert len(crops.crop("a", 11_000, 4000)) == 1000
    lower = Waveforms({"a": tmp_path / "a.wav"}, 4000)
    assert lower.length("a") == 6000
    assert len(lower.crop("a", 100, 500)) == 500
    assert len(decode(tmp_path / "a.wav", 4000)[0]) == 6000


@pytest.mark.parametrize(
    "shares", [[Share(micro_batch=3)], [Share(0, 2), Share(1, 2)], [Share(0, 2, 2), Share(1, 2, 2)]]
)
def test_parts_of_a_batch_are_the_batch(batches: Batches, shares: list[Share]) -> None:
    """However it is shared, the same tracks, crops and texts, in the same order."""
    plain = replace(batches, batch_size=10, views=Views(count=2))
    expected = whole(plain, 5)
    parts = [part for share in shares for part in replace(plain, share=share)[5]]
    assert len(parts) > 1
    assert [part.first for part in parts] == np.cumsum([0, *(part.audio.shape[1] for part in parts[:-1])]).tolist()
    assert torch.equal(torch.cat([part.audio for part in parts], 1), expected.audio)
    assert torch.equal(torch.cat([part.lengths for part in parts], 1), expected.lengths)
    assert [text for part in parts for text in words(part)] == words(expected)
    for part in parts:
        assert torch.equal(part.tracks, expected.tracks)
        assert torch.equal(part.positives, expected.positives)


def test_crops_of_a_pair_lie_as_asked(batches: Batches) -> None:
    adjacent = whole(replace(batches, batch_size=10, views=Views(count=2, pair="adjacent")), 0)
    long = [row for row, track in enumerate(adjacent.tracks.tolist()) if 5 * (track + 1) >= 40]
    assert len(long) == 3
    for row in long:
        first, second = adjacent.audio[:, row, 0, 0]
        assert abs(float(first - second)) == 20


def test_an_objective_may_order_the_epochs(batches: Batches) -> None:
    """Here backwards, from another place in each epoch."""
    backwards = replace(batches, order=lambda epoch: np.roll(np.arange(10)[::-1], epoch))
    assert whole(backwards, 0).tracks.tolist() == [9, 8, 7, 6]
    assert whole(backwards, 2).tracks.tolist() == [1, 0, 0, 9]
