from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mir_eval.key import weighted_score
from standing import PARTS, Stand, stand
from stands import CLASSES
from stands import stand as segmented

from crossmodal.errors import InputError
from crossmodal.metrics.key import KEYS
from crossmodal.tasks.key import Key, spelt
from crossmodal.tasks.probe import Probe

COUNT = sum(PARTS.values())
FIVE = ("C major", "G major", "A minor", "C minor", "F# major")
LINEAR = {"name": "linear", "c": [1.0], "balanced": False}


def keyed(noise: float, names: tuple[str, ...] = FIVE, tagset: str = "") -> Stand:
    rng = np.random.default_rng(0)
    kinds = rng.integers(len(names), size=COUNT)
    features = 8 * np.eye(6)[kinds] + noise * rng.normal(size=(COUNT, 6))
    return stand(np.array(names)[kinds], features, "key", tagset)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Eb minor", "Eb minor"),
        ("D# minor", "Eb minor"),
        ("D♯ minor", "Eb minor"),
        ("Ebm", "Eb minor"),
        ("eb:min", "Eb minor"),
        ("F minor aeolian", "F minor"),
        ("G", "G major"),
        ("Bb", "Bb major"),
        ("BM", "B major"),
        ("Bm", "B minor"),
        ("Cb major", "B major"),
        ("E# maj", "F major"),
        ("a", ""),
        ("bb", ""),
        ("H minor", ""),
        ("C major / A minor", ""),
        ("-", ""),
        ("", ""),
    ],
)
def test_keys_are_spelt_one_way(name: str, key: str) -> None:
    assert spelt(name) == key
    assert spelt(spelt(name)) == key
    assert key == "" or key in KEYS


def test_keys_that_can_be_told_apart_are_right() -> None:
    found = Key(head=LINEAR, draws=20).evaluate(keyed(0.0)).metrics
    figure = found["key/weighted_score"]
    assert (figure.value, figure.low, figure.high, figure.queries, figure.candidates) == (1, 1, 1, 60, 24)
    assert {name: found[f"key/{name}"].value for name in ("correct", "fifth", "other")} == {
        "correct": 1,
        "fifth": 0,
        "other": 0,
    }
    # of 24 guesses one is right, one a fifth above, one relative, one parallel
    assert figure.chance == pytest.approx((1 + 0.5 + 0.3 + 0.2) / 24)


@pytest.mark.parametrize("tagset", ["", "key"])
def test_the_score_is_that_of_mir_eval_on_the_likeliest_keys_of_the_table(tagset: str) -> None:
    data = keyed(6.0, tagset=tagset)
    judgement = Key(head=LINEAR, draws=0).evaluate(data)
    truth, scores = (judgement.tables[f"key/{name}"] for name in ("truth", "scores"))
    assert list(truth.columns) == list(scores.columns) == list(KEYS)
    written = data.part("test").tracks.set_index("track_id")["key"]
    assert truth.idxmax(axis=1).to_dict() == {track: spelt(name) for track, name in written.items()}
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    each = [weighted_score(written[track].replace("F#", "Gb"), guess) for track, guess in scores.idxmax(axis=1).items()]
    assert judgement.metrics["key/weighted_score"].value == pytest.approx(np.mean(each))
    assert 0.3 < np.mean(each) < 1
    shares = [judgement.metrics[f"key/{name}"].value for name in ("correct", "fifth", "relative", "parallel", "other")]
    assert sum(shares) == pytest.approx(1)
    assert np.dot(shares, [1, 0.5, 0.3, 0.2, 0]) == pytest.approx(np.mean(each))


def test_a_key_that_training_has_not_is_an_error_of_the_head_and_not_of_the_user() -> None:
    data = keyed(0.0)
    tracks = data.manifest.tracks
    test = tracks["track_id"].str.startswith("test")
    tracks["key"] = tracks["key"].mask(test & (tracks["key"] == "G major"), "E minor")
    found = Key(head=LINEAR, draws=0).evaluate(data)
    lost = (found.tables["key/truth"]["E minor"] == 1).to_numpy()
    assert lost.any()
    # they sound like G major, of which E minor is the relative key
    assert found.metrics["key/weighted_score"].value == pytest.approx(1 - 0.7 * lost.mean())
    assert (found.tables["key/scores"]["E minor"] == 0).all()


def test_tracks_are_read_as_by_the_probe_and_figures_are_means_over_seeds() -> None:
    data, names = segmented(1.0, segments=lambda number: 3), ("A minor", "C major", "Gb major")
    tags = data.manifest.tags
    data.manifest = replace(
        data.manifest, tags=tags.assign(tag=tags["tag"].map(dict(zip(CLASSES, names, strict=True))))
    )
    head = {"name": "mlp", "hidden": 4, "lr": [0.01], "weight_decay": [0.0], "epochs": 2}
    settings = {"head": head, "fit": "segments", "aggregate": "logits", "silence": "leave_out", "seeds": 2}
    key = Key("instrument", **settings, draws=50).evaluate(data)
    probe = Probe(["instrument"], **settings, draws=0).evaluate(data)
    each = []
    for table in ("instrument/scores", "instrument/scores-1"):
        np.testing.assert_allclose(key.tables[table][list(names)], probe.tables[table])
        true, guesses = (found.idxmax(axis=1) for found in (key.tables["instrument/truth"], key.tables[table]))
        each.append(np.mean([weighted_score(*pair) for pair in zip(true, guesses, strict=True)]))
    assert each[0] != each[1]
    figure = key.metrics["instrument/weighted_score"]
    assert figure.value == pytest.approx(np.mean(each))
    assert figure.more["sd"] == pytest.approx(np.std(each, ddof=1))
    assert (figure.more["seeds"], figure.more["unlabelled"], figure.corrected) == (2, 3, False)
    assert figure.low < figure.value < figure.high
    assert Key("instrument", seeds=3, draws=0).evaluate(data).metrics["instrument/correct"].more["seeds"] == 1


def test_tracks_without_a_key_or_with_two_take_no_part() -> None:
    data = keyed(0.0, tagset="key")
    tags, ids = data.manifest.tags, data.part("test").tracks["track_id"]
    more = pd.concat([tags, tags[tags["track_id"] == ids[0]].assign(tag="E minor")])
    data.manifest.__dict__["tags"] = more[more["track_id"] != ids[1]]
    assert Key(head=LINEAR, draws=0).evaluate(data).metrics["key/weighted_score"].queries == 58


def test_figures_of_valid_say_that_choices_were_made_on_it() -> None:
    task, data = Key(head=LINEAR, draws=0), keyed(6.0)
    assert task.evaluate(data, "valid").metrics["key/weighted_score"].more["chosen_on"] == "valid"
    assert "chosen_on" not in task.evaluate(data).metrics["key/weighted_score"].more
    with pytest.raises(InputError, match="part train cannot be judged"):
        task.evaluate(data, "train")


def test_mistakes_are_told() -> None:
    with pytest.raises(InputError, match="key: there is neither a tagset nor a column 'tonality'; tagsets: none"):
        Key("tonality").evaluate(keyed(0.0))
    with pytest.raises(InputError, match="key: 1 names of 'key' are no keys, as 'Eb minor' is: H minor"):
        Key().evaluate(keyed(0.0, ("C major", "H minor")))
    with pytest.raises(InputError, match="classes of 'key': train has 1 of its tags, too few to learn from"):
        Key().evaluate(keyed(0.0, ("C major",)))


def test_a_head_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(InputError, match="heads has no 'linaer'"):
        Key(head={"name": "linaer"})
