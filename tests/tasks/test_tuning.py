from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import Trained

from crossmodal.calibration import labels_of
from crossmodal.embedding import Embedded
from crossmodal.errors import InputError
from crossmodal.evaluation import open_run
from crossmodal.heads._training import Standardised
from crossmodal.tasks import _tuning as tuning
from crossmodal.tasks._tuning import Plan, Rates, Targets

PLAN = Plan(steps=12, batch_size=8, validate_every=4, patience=2, weight_decay=0.1, exclusive=True, seed=3)
RATES = Rates(1e-3, 1e-2)


@pytest.fixture(scope="module")
def embedded(trained: Trained) -> Embedded:
    return open_run(trained.folder)[1]


def labelled(embedded: Embedded, part: str, tagset: str = "register") -> Targets:
    manifest = embedded.part(part)
    own, known = (table[table["tagset"] == tagset] for table in (manifest.tags, manifest.annotated))
    ids = embedded.vectors(part).track_ids
    return Targets(ids, labels_of(replace(manifest, tags=own, annotated=known), ids)[1])


def tuned(embedded: Embedded, rates: Rates = RATES, **changes: object) -> tuning.Tuned:
    train, valid = (labelled(embedded, name) for name in ("train", "valid"))

    def accuracy(logits: np.ndarray) -> float:
        return float((valid.truth.argmax(axis=1) == logits.argmax(axis=1)).mean())

    fresh = embedded.vectors("train").features
    return tuning.tune(embedded, train, valid, rates, PLAN._replace(**changes), accuracy, fresh)


def test_the_loss_falls_and_the_model_stays_as_it_is(embedded: Embedded) -> None:
    before, state = embedded.model.fingerprint, torch.random.get_rng_state()
    found = tuned(embedded, steps=40, validate_every=20)
    assert np.mean(found.losses[-10:]) < 0.8 * np.mean(found.losses[:5])
    assert embedded.model.fingerprint == before != found.model.fingerprint
    assert not any(module.training for module in embedded.model.modules())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found.model.text_encoder is embedded.model.text_encoder


def test_the_same_seed_gives_the_same_weights_and_another_one_others(embedded: Embedded) -> None:
    first, again, other = (tuned(embedded, seed=seed) for seed in (3, 3, 4))
    assert first.model.fingerprint == again.model.fingerprint != other.model.fingerprint
    assert first.losses == again.losses
    assert first.losses != other.losses


@pytest.mark.parametrize("exclusive", [True, False])
def test_it_equals_a_plain_loop(embedded: Embedded, monkeypatch: pytest.MonkeyPatch, exclusive: bool) -> None:
    monkeypatch.setattr(tuning, "training_precision", lambda wanted: "fp32")
    rates, steps = RATES, 5
    found = tuned(embedded, rates, steps=steps, validate_every=steps, exclusive=exclusive)
    train, fresh = labelled(embedded, "train"), embedded.vectors("train").features
    encoder = copy.deepcopy(embedded.model.audio_encoder).train()
    weight, bias = torch.zeros(2, fresh.shape[1], requires_grad=True), torch.zeros(2, requires_grad=True)
    mean, deviation = (torch.from_numpy(value) for value in (fresh.mean(axis=0), fresh.std(axis=0)))
    groups = [
        {"params": [p for p in encoder.parameters() if p.ndim > 1], "lr": 0.0, "weight_decay": 0.1},
        {"params": [p for p in encoder.parameters() if p.ndim <= 1], "lr": 0.0, "weight_decay": 0.0},
        {"params": [weight], "lr": 0.0, "weight_decay": 0.1},
        {"params": [bias], "lr": 0.0, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups)
    rng, store = np.random.default_rng(3), embedded.store
    assert store is not None
    torch.manual_seed(3)
    order = rng.permutation(len(train.ids))
    labels = torch.from_numpy(train.truth)
    share = labels.float().mean(dim=0)
    for step in range(steps):
        rows, order = order[:8], order[8:]
        clips = []
        for row in rows:
            frames = np.asarray(store[train.ids[row]], np.float32)
            start = int(rng.integers(len(frames) - embedded.model.window + 1))
            clips.append(torch.from_numpy(frames[start : start + embedded.model.window]))
        logits = (encoder(torch.stack(clips)) - mean) / deviation @ weight.T + bias
        wanted = labels[rows]
        if exclusive:
            one = wanted.argmax(dim=1)
            each = (1 / (2 * share))[one]
            loss = (each * F.cross_entropy(logits, one, reduction="none")).sum() / each.sum()
        else:
            loss = F.binary_cross_entropy_with_logits(logits, wanted.float())
        assert loss.item() == pytest.approx(found.losses[step], rel=1e-4)
        for group, rate in zip(optimizer.param_groups, (rates.encoder,) * 2 + (rates.head,) * 2, strict=True):
            group["lr"] = rate  # a tenth of five steps is less than one: no rise
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trained = dict(found.model.audio_encoder.named_parameters())
    for name, value in encoder.named_parameters():
        if value.ndim > 1:  # a bias before a batch norm has no gradient but rounding, which Adam makes as great as any
            torch.testing.assert_close(value, trained[name], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(weight.detach(), found.head[1].weight.detach(), rtol=1e-3, atol=1e-5)


def test_it_stops_early_and_goes_back_to_the_best(embedded: Embedded) -> None:
    marks = iter([0.1, 0.9, 0.2, 0.3, 1.0])
    parts = [labelled(embedded, name) for name in ("train", "valid")]
    plan, seen = PLAN._replace(steps=40, validate_every=2), list[np.ndarray]()

    def judge(logits: np.ndarray) -> float:
        seen.append(logits)
        return next(marks)

    found = tuning.tune(embedded, *parts, RATES, plan, judge, embedded.vectors("train").features)
    assert (len(found.losses), found.step, found.score) == (8, 4, 0.9)
    logits = found.scores(parts[1], embedded.part("valid"), embedded.store)
    np.testing.assert_allclose(logits, seen[1], atol=1e-5)
    assert not np.allclose(logits, seen[-1], atol=1e-4)


def test_the_logits_of_a_track_are_the_mean_of_its_segments_by_their_seconds(embedded: Embedded) -> None:
    found, data = tuned(embedded), labelled(embedded, "test")
    logits = found.scores(data, embedded.part("test"), embedded.store)
    store = embedded.store
    assert store is not None
    (track,) = found.model.embed_features([np.asarray(store[data.ids[4]], np.float32)])
    with torch.inference_mode():
        each = found.head(torch.from_numpy(track.features)).numpy()
    np.testing.assert_allclose(logits[4], np.average(each, axis=0, weights=track.weights), atol=1e-4)


def test_windows_of_the_files_are_those_of_the_store(embedded: Embedded) -> None:
    manifest = embedded.part("train")
    ids = list(manifest.tracks["track_id"][:3])
    (stored, _), (decoded, lengths) = (
        tuning.Windows(embedded.model, manifest, store).draw(ids, np.random.default_rng(0))
        for store in (embedded.store, None)
    )
    # they begin elsewhere, since they are drawn in samples, but are as long, and of the same level
    assert abs(stored.shape[1] - decoded.shape[1]) <= 1
    assert stored.shape[2:] == decoded.shape[2:]
    assert lengths.tolist() == [decoded.shape[1]] * 3
    np.testing.assert_allclose(stored.mean((1, 2)), decoded.mean((1, 2)), atol=2)


def test_a_short_track_is_padded_with_silence(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = tuning.Windows(embedded.model, embedded.part("train"), embedded.store)
    windows.window = 1000
    audio, lengths = windows.draw([embedded.part("train").tracks["track_id"][0]], np.random.default_rng(0))
    assert audio.shape[1] == 1000
    assert (audio[0, int(lengths[0]) :] == embedded.model.audio_encoder.frontend.silence).all()
    assert 180 < int(lengths[0]) < 200


def test_a_constant_feature_with_the_noise_of_float32_is_not_blown_up() -> None:
    features = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    features[:, 1] = np.where(features[:, 1] > 0, np.float32(7), np.nextafter(np.float32(7), np.float32(8)))
    head = Standardised(features)
    assert head.deviation[0].item() == pytest.approx(features[:, 0].std(), rel=1e-5)
    assert head.deviation[1].item() == 1
    assert head.mean.tolist() == pytest.approx(features.mean(axis=0, dtype=np.float64), rel=1e-5)


def test_every_track_comes_once_an_epoch() -> None:
    drawn = list(tuning.batches(10, 3, 6, np.random.default_rng(0)))
    assert all(len(rows) == 3 for rows in drawn)
    for epoch in (drawn[:3], drawn[3:]):
        assert len(set(np.concatenate(epoch))) == 9
    assert [len(rows) for rows in tuning.batches(2, 8, 2, np.random.default_rng(0))] == [2, 2]


def test_unknown_labels_count_nowhere() -> None:
    truth = np.array([[1, -1], [0, 1]], np.int8)
    loss = tuning.loss_of(truth, False, torch.device("cpu"))
    logits = torch.tensor([[0.3, 5.0], [-1.0, 0.7]])
    known = torch.stack([F.softplus(-logits[0, 0]), F.softplus(logits[1, 0]), F.softplus(-logits[1, 1])])
    assert loss(logits, torch.from_numpy(truth)).item() == pytest.approx(known.mean().item())


def test_a_rate_that_is_too_great_is_told(embedded: Embedded) -> None:
    with pytest.raises(InputError, match=r"fine_tune: the loss is .* with learning rates"):
        tuned(embedded, Rates(1e30, 1e30), steps=20)
