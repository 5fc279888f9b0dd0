"""What is planted is refused, and what is clean is not: leaks of every kind, and towers that have collapsed."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import soxr
import torch
from sounds import music
from tiny import Trained

from crossmodal import guards
from crossmodal.audio import alignment
from crossmodal.data import duplicates, sameness
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.evaluation import open_run
from crossmodal.metrics import collapse
from crossmodal.model import DualEncoder

RATE = 22_050
PARTS = {"a": "train", "b": "train", "c": "valid", "d": "test", "e": "test"}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Five pieces that have nothing in common, and their folder."""
    home = tmp_path_factory.mktemp("sounds")
    for seed, name in enumerate(PARTS):
        soundfile.write(home / f"{name}.wav", music(4, seed, RATE), RATE)
    return home


def made(home, parts=PARTS, source="here", **columns) -> Manifest:
    """A manifest of the files of ``home``; ``columns`` by track, unknown if not given."""
    ids = list(parts)
    tracks = pd.DataFrame({"track_id": ids, "path": [f"{name}.wav" for name in ids], "source": source})
    for name, values in columns.items():
        tracks[name] = [
            values.get(track, old) for track, old in zip(ids, tracks.get(name, [""] * len(ids)), strict=True)
        ]
    splits = pd.DataFrame({"track_id": ids, "name": "given", "part": list(parts.values())})
    return Manifest.build(tracks, splits=splits, root=home)


def counted(found, of="split"):
    return {one.kind: one.tracks for one in found if one.of == of}


def test_what_shares_nothing_is_clean(sounds, tmp_path):
    artists = {name: f"artist {name}" for name in PARTS}
    found = guards.leaks(made(sounds, artist=artists, album=artists, group=artists), "given", "test", None, tmp_path)
    kinds = ["track", "file", "artist", "album", "group", "duplicate"]
    assert [one.kind for one in found] == kinds
    assert all((one.tracks, one.unknown, one.unknown_others, one.examples) == (0, 0, 0, []) for one in found)
    guards.refuse(found, kinds)
    assert guards.told(found, kinds) == []


def test_an_artist_on_both_sides_is_refused_and_told(sounds):
    found = guards.leaks(made(sounds, artist={"a": "Erik  Satie", "d": "ERIK SATIE", "e": "Komiku"}), "given")
    assert counted(found) == {"track": 0, "file": 0, "artist": 1, "album": 0, "group": 0}
    told = r"artist of 1 of the judged tracks \(50.0%\): d and a .*split .*--by artist`, .*: `--allow artist`$"
    with pytest.raises(InputError, match=told):
        guards.refuse(found, ["track", "artist"], "protocol x")
    guards.refuse(found, ["track", "album", "group"])
    first, second = guards.told(found, ["artist"])
    assert first == "train and valid have the artist of 1 of the judged tracks (50.0%): d and a (ERIK SATIE)"
    assert "the artist of 0 judged tracks, and of 2 in train and valid, is not known" in second
    assert guards.told(found) == [first]


@pytest.mark.parametrize("name", ["", "Various Artists", "[unknown]", " unknown  artist", "V.A."])
def test_artists_that_are_not_known_are_not_the_same(sounds, name):
    (found,) = (
        one for one in guards.leaks(made(sounds, artist=dict.fromkeys(PARTS, name)), "given") if one.kind == "artist"
    )
    assert (found.tracks, found.unknown, found.unknown_others) == (0, 2, 3)


def test_an_album_is_its_title_and_its_artist_s(sounds):
    albums, artists = dict.fromkeys(PARTS, "Live"), {"a": "x", "b": "y", "c": "z", "d": "x", "e": "other"}
    assert counted(guards.leaks(made(sounds, artist=artists, album=albums), "given"))["album"] == 1
    assert counted(guards.leaks(made(sounds, album=albums), "given"))["album"] == 2


def test_groups_and_files_are_those_of_the_tables(sounds):
    found = guards.leaks(made(sounds, group={"c": "g", "e": "g"}, path={"d": "b.wav"}), "given")
    assert counted(found) == {"track": 0, "file": 1, "artist": 0, "album": 0, "group": 1}
    assert [one.examples for one in found if one.tracks] == [["d and b"], ["e and c (g)"]]
    with pytest.raises(InputError, match=r"`--allow file --allow group`$"):
        guards.refuse([*found, *found], ["artist", "file", "group"])


def test_only_other_parts_than_the_judged_one_count(sounds):
    manifest = made(sounds, artist={"b": "x", "c": "x", "d": "x", "e": "x"})
    assert [one.tracks for one in guards.leaks(manifest, "given", "valid") if one.kind == "artist"] == [1]
    apart = replace(manifest, splits=manifest.splits[manifest.splits["track_id"].isin(["a", "d"])])
    assert counted(guards.leaks(apart, "given"))["artist"] == 0  # tracks in no part do not count


def test_what_the_model_was_trained_on_counts_too(sounds):
    judged = made(sounds)
    before = made(sounds, {"d": "train", "z": "train"}, path={"z": "elsewhere.wav"})
    found = guards.leaks(judged, "given", "test", before)
    assert counted(found) == dict.fromkeys(["track", "file", "artist", "album", "group"], 0)
    assert counted(found, "run") == {"track": 1, "file": 1, "artist": 0, "album": 0, "group": 1}
    with pytest.raises(InputError, match=r"what the model was trained on has the track of 1 .*d and d; judge on other"):
        guards.refuse(found, ["track"])
    elsewhere = made(sounds, {"d": "train"}, "another", path={"d": "elsewhere.wav"})
    assert not any(counted(guards.leaks(judged, "given", "test", elsewhere), "run").values())


@pytest.mark.parametrize(("suffix", "gain"), [("mp3", 0.5), ("ogg", -0.5)])
def test_a_track_encoded_anew_at_another_rate_is_refused(sounds, tmp_path, suffix, gain):
    """Also upside down."""
    again = tmp_path / f"again.{suffix}"
    rate = 16_000 if suffix == "ogg" else 44_100
    soundfile.write(again, gain * soxr.resample(music(4, 0, RATE)[1000:], RATE, rate), rate)
    found = guards.leaks(made(sounds, path={"e": str(again)}), "given", "test", None, tmp_path / "heard")
    assert {kind: tracks for kind, tracks in counted(found).items() if tracks} == {"duplicate": 1}
    with pytest.raises(InputError, match=r"sound of 1 of the judged tracks.*: e and a; .*crossmodal data check"):
        guards.refuse(found, ["duplicate"])


def test_the_same_bytes_elsewhere_are_the_same_file(sounds, tmp_path):
    (tmp_path / "copy.wav").write_bytes((sounds / "b.wav").read_bytes())
    found = guards.leaks(
        made(sounds, path={"d": str(tmp_path / "copy.wav")}), "given", "test", None, tmp_path / "heard"
    )
    assert {kind: tracks for kind, tracks in counted(found).items() if tracks} == {"file": 1}


def test_audio_that_cannot_be_heard_is_told(sounds, tmp_path):
    manifest = made(sounds, path={"e": "gone.wav", "a": "gone too.wav"})
    found = guards.leaks(manifest, "given", "test", None, tmp_path)
    unknown = {one.kind: (one.unknown, one.unknown_others) for one in found}
    assert (unknown["file"], unknown["duplicate"], unknown["track"]) == ((1, 1), (1, 1), (0, 0))
    for kind in ("file", "duplicate"):
        (line,) = guards.told(found, [kind])
        assert line.startswith(f"whether these share the {kind} cannot be told: the audio of 1 judged tracks, and of")
        assert line.endswith(" 1 in train and valid, is not known")


@pytest.mark.parametrize("parts", [{"d": "test", "e": "test"}, {"d": "test", "gone": "train"}])
def test_without_others_there_is_nothing_to_share(sounds, tmp_path, parts):
    found = guards.leaks(made(sounds, parts), "given", "test", None, tmp_path)
    assert [one.tracks for one in found] == [0] * 6


def test_what_was_heard_and_found_is_not_done_again(sounds, tmp_path, monkeypatch):
    first = guards.leaks(made(sounds), "given", "test", None, tmp_path)
    monkeypatch.setattr(sameness, "candidates", None)
    monkeypatch.setattr("crossmodal.data.listening.listen", None)
    assert guards.leaks(made(sounds), "given", "test", None, tmp_path) == first


def test_what_another_comparison_found_is_looked_for_anew(sounds, tmp_path, monkeypatch):
    again = tmp_path / "again.wav"
    soundfile.write(again, -music(4, 0, RATE), RATE)
    manifest = made(sounds, path={"e": str(again)})
    with monkeypatch.context() as before:
        before.setattr(alignment, "VERSION", 1)
        before.setattr(sameness, "verify", lambda one: (0.0, 0.0, 0.0))
        assert counted(guards.leaks(manifest, "given", "test", None, tmp_path / "heard"))["duplicate"] == 0
    assert counted(guards.leaks(manifest, "given", "test", None, tmp_path / "heard"))["duplicate"] == 1


def test_of_many_copies_all_that_are_judged_are_found(tmp_path, monkeypatch):
    """A landmark meets only its nearest like: here one on either side, so that most judged copies meet each other."""
    monkeypatch.setattr(duplicates, "NEIGHBOURS", 1)
    sound, parts = music(3, 1), {f"t{n}": "test" for n in range(6)} | {"x": "train", "y": "train"}
    for n, name in enumerate(parts):
        piece = music(3, 9) if name == "y" else (1 - 0.1 * n) * sound
        soundfile.write(tmp_path / f"{name}.wav", piece, 8_000, subtype="FLOAT")
    found = guards.leaks(made(tmp_path, parts), "given", "test", None, tmp_path / "heard")
    assert counted(found)["duplicate"] == 6


# --- collapse


@pytest.fixture(scope="module")
def embedded(trained: Trained) -> Embedded:
    return open_run(trained.folder)[1]


def altered(embedded: Embedded, change) -> Embedded:
    model = copy.deepcopy(embedded.model)
    with torch.no_grad():
        change(model)
    return Embedded(model, embedded.manifest, embedded.split, embedded.store)


def test_a_trained_model_is_believed(embedded):
    found = guards.collapse(embedded)
    vectors = embedded.vectors("test").vectors
    assert found["audio"]["deviation"] == pytest.approx(collapse.deviation(vectors))
    assert found["audio"]["vectors"] == len(vectors)
    assert found["text"]["vectors"] == len(guards.wordings(embedded.part("test")))
    assert set(guards.collapse(embedded, reads=False)) == {"audio"}


def test_an_untrained_model_is_believed_for_what_it_is(embedded):
    torch.manual_seed(1)
    model = DualEncoder(**embedded.model.settings)
    model.text_encoder.tokenizer = embedded.model.text_encoder.tokenizer
    guards.collapse(Embedded(model.eval(), embedded.manifest, embedded.split, embedded.store), trained=False)


@pytest.mark.parametrize("tower", ["text", "audio"])
@pytest.mark.parametrize("taught", [True, False])
def test_a_tower_that_says_the_same_of_all_is_refused(embedded, tower, taught):
    def constant(model):
        getattr(model, f"{tower}_projection").weight.zero_()

    with pytest.raises(InputError, match=f"all .* {tower} vectors are nearly equal"):
        guards.collapse(altered(embedded, constant), trained=taught)


@pytest.mark.parametrize("tower", ["text", "audio"])
def test_a_tower_that_says_nearly_the_same_is_refused_if_it_was_trained(embedded, tower):
    def shrunk(model):
        projection = getattr(model, f"{tower}_projection")
        projection.weight.mul_(1e-4)
        projection.bias.fill_(1.0)

    planted = altered(embedded, shrunk)
    with pytest.raises(InputError, match=f"{tower} vectors are nearly equal"):
        guards.collapse(planted)
    guards.collapse(planted, trained=False)


def test_a_tower_of_one_dimension_is_refused(embedded):
    def flat(model):
        weight = model.text_projection.weight
        weight.copy_(torch.outer(torch.ones(len(weight)), weight[0]))

    with pytest.raises(InputError, match="text vectors lie on a line"):
        guards.collapse(altered(embedded, flat))


def test_a_collapsed_text_tower_does_not_matter_where_nobody_asks_with_words(embedded):
    guards.collapse(altered(embedded, lambda model: model.text_projection.weight.zero_()), reads=False)


def test_vectors_that_are_no_numbers_are_refused(embedded):
    with pytest.raises(InputError, match="of 20 audio vectors are not finite"):
        guards.collapse(altered(embedded, lambda model: model.audio_projection.bias.fill_(np.nan)))


def test_few_vectors_are_not_judged_by_their_rank():
    spread = {"vectors": 3, "dim": 16, "deviation": 0.5, "rank": 1.2}
    assert guards.collapsed("text", spread, trained=True) == ""
    assert "line" in guards.collapsed("text", {**spread, "vectors": 16}, trained=True)
    assert guards.collapsed("text", {**spread, "vectors": 1, "deviation": 0.0}, trained=True) == ""


def test_wordings_are_distinct_and_spread_over_all(embedded):
    part = embedded.part("test")
    texts = pd.DataFrame({"text_id": "r", "track_id": "t", "text": [f"word {n}" for n in range(2000)]})
    chosen = guards.wordings(Manifest.build(part.tracks, texts=pd.concat([texts, texts])))
    assert (len(chosen), chosen[0], chosen[-1]) == (guards.WORDS, "word 0", "word 1999")
    assert len(set(chosen)) == guards.WORDS
