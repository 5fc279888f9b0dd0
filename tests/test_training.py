from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tiny import FRONTEND, Configure, Trained

from crossmodal import registry
from crossmodal.audio.decode import features_of
from crossmodal.config import Config, check_plugins, load
from crossmodal.data.loader import Texts
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded
from crossmodal.encoders.text.mini_transformer import MiniTransformer
from crossmodal.errors import InputError
from crossmodal.evaluation import likely_queries
from crossmodal.evaluation import open_run as opened
from crossmodal.model import DualEncoder
from crossmodal.processes import accelerator
from crossmodal.runs import Run, find_run, open_run
from crossmodal.search import SearchIndex
from crossmodal.training import fit, judge, set_threads, train


def fitted(config: Config) -> tuple[Run, Embedded, list[str]]:
    said: list[str] = []
    with open_run(config) as (run, _):
        return run, fit(run, said.append), said


def test_a_run_holds_everything_and_says_so(trained: Trained) -> None:
    expected = {"config.yaml", "environment.json", "metrics.jsonl", "metrics.csv", "model", "state", "index"}
    expected |= {"manifest", "results.json", "report.html", "skipped.csv"}
    assert expected <= {path.name for path in trained.folder.iterdir()}
    assert trained.said[0] == f"new run {trained.folder}"
    assert trained.said[1] == "96 tracks, 144 texts, 708 tags"
    assert trained.said[2:4] == ["fp32 on cpu, 1 threads, from step 0", "objectives: 1 clip"]
    assert "“a bright organ”" in trained.said
    assert trained.said[-1].startswith(f"run {trained.folder}")
    assert "0 skipped (see skipped.csv)" in trained.said[-1]


def test_results_name_the_model_the_split_and_what_was_asked(trained: Trained) -> None:
    results = json.loads((trained.folder / "results.json").read_text())
    model = DualEncoder.load(trained.folder)
    assert (results["experiment"], results["seed"], results["skipped"]) == ("tiny", 0, 0)
    assert results["model"] == model.fingerprint
    assert (results["split"]["part"], results["split"]["tracks"]) == ("test", 20)
    recall = results["tasks"]["retrieval"]["metrics"]["text_to_audio/recall@10"]
    assert recall["low"] <= recall["value"] <= recall["high"]
    assert (recall["queries"], recall["candidates"], recall["chance"]) == (30, 20, pytest.approx(0.5))
    (example,) = results["examples"]
    assert example["query"] == "a bright organ"
    assert [hit["rank"] for hit in example["hits"]] == [1, 2, 3, 4, 5]


def test_the_index_holds_the_test_part_and_nothing_else(trained: Trained) -> None:
    index = SearchIndex.open(trained.folder / "index")
    manifest = Manifest.load(trained.folder / "manifest")
    test = manifest.part("combination", "test").tracks["track_id"]
    assert {track["track_id"] for track in index.tracks} == set(test)
    assert index.info["segments"] == 60
    assert all(Path(track["path"]).is_file() for track in index.tracks)
    assert index.fingerprint == DualEncoder.load(trained.folder).fingerprint
    assert "queries.npy" in index.info["files"]


@pytest.mark.parametrize("texts", [True, False])
def test_likely_queries_are_texts_that_were_not_learned_first(
    trained: Trained, tmp_path: Path, texts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, embedded = opened(trained.folder)
    manifest = embedded.manifest if texts else replace(embedded.manifest, texts=embedded.manifest.texts[:0])
    manifest.save(tmp_path / "manifest")
    asked: list[str] = []
    monkeypatch.setattr(embedded.model, "embed_text", lambda found: asked.extend(found) or np.zeros((len(found), 2)))
    likely_queries(replace(run, folder=tmp_path), embedded.model)
    valid, train = (manifest.part("combination", name) for name in ("valid", "train"))
    if texts:
        own = set(valid.texts["text"])
        assert set(asked[: len(own)]) == own
        assert set(asked) == own | set(train.texts["text"])
    else:
        assert len(asked) > 6 * valid.tags["tag"].nunique() > 0
    assert len(asked) == len(set(asked)) <= 500
    monkeypatch.setattr(embedded.model, "reads", False)
    assert likely_queries(run, embedded.model) is None


def test_the_best_validation_is_the_model_that_is_kept(trained: Trained) -> None:
    run = find_run(trained.folder)
    scores = {row["step"]: row["valid/score"] for row in run.metrics() if "valid/score" in row}
    assert list(scores) == [0, 4, 8, 9]  # before the first step, after each epoch of 68 / 16 steps, at the end
    state = torch.load(run.state / "last.pt", weights_only=True)
    del scores[0]  # the untrained network is a baseline, and never the best
    assert state["progress"]["best"] == max(scores.values())
    assert scores[state["progress"]["best_step"]] == max(scores.values())


def test_normaliser_and_tokenizer_learn_from_the_training_part_alone(trained: Trained) -> None:
    model, manifest = DualEncoder.load(trained.folder), Manifest.load(trained.folder / "manifest")
    part = manifest.part("combination", "train")
    frontend = model.audio_encoder.frontend
    frames = np.concatenate([features_of(path, frontend) for path in part.paths()])
    assert np.abs(model.audio_encoder.mean.numpy() - frames.mean(0)).max() < 2.0  # dB; crops of the whole
    assert np.abs(model.audio_encoder.deviation.numpy() - frames.std(0)).max() < 2.0
    learnt = (trained.folder / "model" / "text_encoder" / "tokenizer.json").read_text()
    assert tokenizer(part, find_run(trained.folder).config) == json.loads(learnt)
    assert tokenizer(manifest, find_run(trained.folder).config) != json.loads(learnt)


def tokenizer(manifest: Manifest, config: Config) -> dict[str, Any]:
    """What a tokenizer becomes that is trained on all of a manifest."""
    encoder = MiniTransformer(vocabulary=400)
    encoder.fit(Texts(manifest, config.text).corpus())
    assert encoder.tokenizer is not None
    return json.loads(encoder.tokenizer.to_str())


def test_waveforms_train_end_to_end(configure: Configure) -> None:
    run, embedded, said = fitted(configure("features.source=audio", "train.epochs=1", "train.workers=1"))
    rows = [row for row in run.metrics() if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert embedded.store is None
    assert embedded.vectors("test").vectors.shape == (20, 16)
    assert "from step 0" in said[1]


def test_waveforms_and_features_give_the_same_vectors(configure: Configure, trained: Trained) -> None:
    _, stored = opened(trained.folder)
    path = stored.part("test").path(stored.part("test").tracks["track_id"][0])
    sound = torch.from_numpy(soundfile.read(path, dtype="float32")[0])[:8000]
    frontend = stored.model.audio_encoder.frontend
    features = frontend(sound[None])
    np.testing.assert_allclose(features_of(path, frontend)[:61], features[:61], atol=1e-3)


def test_a_worker_changes_nothing_and_the_seed_all(configure: Configure) -> None:
    runs = [
        fitted(configure("train.epochs=1", "views.count=2", *more))[0] for more in ([], ["train.workers=1"], ["seed=1"])
    ]
    first, second, other = ((run.model / "model.safetensors").read_bytes() for run in runs)
    assert len({run.folder for run in runs}) == 3
    assert runs[0].metrics() == runs[1].metrics() != runs[2].metrics()
    assert first == second != other


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ("audio_encoder={name: mel_cnn, chanels: [4]}", "no setting 'chanels'"),
        ("audio_encoder={name: resnet}", "encoders.audio has no 'resnet'"),
        ("text_encoder.layers=two", "layers is 'two'"),
        ("objectives={tag_embedding: {encoder: {name: lsi, topic: 3}}}", "no setting 'topic'"),
        ("objectives={clip: {temprature: 1.0}}", "no setting 'temprature'"),
        ("objectives={tripplet: {}}", "has no 'tripplet'"),
        ("tasks={probe: {tagsets: mood}}", "tagsets is 'mood'"),
        ("data={name: synthetic}", "lacks root"),
        ("objectives={}", "none with a weight above 0"),
        ("objectives={clip: {weight: 0}}", "none with a weight above 0"),
        ("train.clip_norm=-1", "clip_norm is -1"),
        ("name=''", "name is ''"),
        ("name=a/b", "name is 'a/b'"),
        ("name=..", r"name is '\.\.'"),
        ('name="a\\0b"', r"name is 'a\\x00b', but must be that of a folder"),
        ("queries=[a, ' ']", r"queries\[1\]: the text is empty"),
        ("run.folder=''", r"run\.folder: the text is empty"),
        ("data.root=''", r"data\.root: the text is empty"),
        ("features.folder=''", r"features\.folder: the text is empty"),
        ("run.folder=/proc/nothing", r"run\.folder: /proc/nothing/tiny cannot be made: No such file"),
        ("text.languages=[]", r"text\.languages is empty"),
        ("tasks={neighbours: {tagsets: []}}", "neighbours: tagsets is empty"),
        ("tasks={probe: {tagsets: []}}", "probe: tagsets is empty"),
        ("tasks={probe: {head: {name: linear, c: []}}}", "head linear: c is empty"),
        ("tasks={probe: {head: {name: lineal}}}", "heads has no 'lineal'"),
        ("tasks={probe: {head: {name: mlp, units: 3}}}", "no setting 'units'"),
    ],
)
def test_a_wrong_plugin_is_refused_before_any_data_is_read(
    configure: Configure, tmp_path: Path, override: str, match: str
) -> None:
    with pytest.raises(InputError, match=match) as error:
        train(configure(override), lambda line: None)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_wrong_setting_of_the_front_end_is_refused_before_any_data_is_read(
    configure: Configure, tmp_path: Path
) -> None:
    config = configure(f"data.root={tmp_path}/audio", "audio_encoder.frontend.hopp=3")
    with pytest.raises(InputError, match="mel_cnn: frontend has no setting 'hopp'"):
        train(config, lambda line: None)
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["views.features=[{name: blur}]"], r"features\[0\]: name is 'blur'"),
        (["views.waveform=clmr_code"], "needs waveforms"),
        (["objectives={ntxent: {}}"], "set views.count to 2"),
        (["objectives={clip: {}}", "text_encoder={name: none}", "tasks={}", "queries=[]"], "clip needs texts"),
        (["objectives={byol: {projector: {width: [4]}}}", "views.count=2"], "byol: projector has no setting 'width'"),
        (
            ["objectives={byol: {predictor: {widths: [4]}}}", "views.count=2"],
            "byol: predictor: the last of widths is 4",
        ),
    ],
)
def test_wrong_views_and_heads_are_refused_before_any_data_is_read(
    configure: Configure, tmp_path: Path, overrides: list[str], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        train(configure(f"data.root={tmp_path}/audio", *overrides), lambda line: None)
    assert not (tmp_path / "audio").exists()


def test_a_model_of_which_nothing_is_trained_is_refused(configure: Configure) -> None:
    with pytest.raises(InputError, match="nothing of the model is left to train"):
        train(configure("weights.freeze=['*']"), lambda line: None)


def test_learning_from_documents_of_key_refuses_views_of_another_pitch(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triplets see the tags by their documents alone; tempo stands in for key, which the tiny music lacks."""
    monkeypatch.setattr("crossmodal.augmentation.TONAL", frozenset({"tempo"}))
    asked = ["objectives={triplet: {}}", "features.source=audio", "views.waveform=clmr_code", "tasks={}"]
    with pytest.raises(InputError, match="pitch_shift changes pitch, on which the tags of tempo depend"):
        train(configure(*asked), lambda line: None)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("override", ["train.patience=1", "optimizer.schedule=plateau"])
def test_what_waits_for_a_score_is_refused_where_there_is_none(
    configure: Configure, trained: Trained, override: str, reads: bool
) -> None:
    _, data = opened(trained.folder)
    nothing = {name: getattr(data.manifest, name)[:0] for name in ("texts", "tags", "annotated")}
    data = replace(data, manifest=replace(data.manifest, **nothing))
    data.model.reads = reads
    assert judge(configure(), data)() == {}
    with pytest.raises(InputError, match=f"{override.partition('=')[0]}.*there is no score to go by"):
        judge(configure(override), data)


def test_a_second_training_may_have_another_precision() -> None:
    kinds = [accelerator(precision).mixed_precision for precision in ("fp32", "bf16", "fp32")]
    assert kinds == ["no", "bf16", "no"]


def test_an_unknown_split_lists_those_there_are(configure: Configure) -> None:
    with pytest.raises(InputError, match=r"album.*combination|combination.*album"):
        train(configure("split=artist"), lambda line: None)


def test_the_thread_count_of_the_first_start_is_kept(configure: Configure) -> None:
    with open_run(configure()) as (run, _):
        (run.folder / "environment.json").write_text('{"threads": 1}')
    more = replace(run, config=replace(run.config, train=replace(run.config.train, threads=2)))
    set_threads(more)
    assert torch.get_num_threads() == 1


def test_the_experiments_that_come_with_the_package_are_valid() -> None:
    found = sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
    assert any(path.name == "quickstart.yaml" for path in found)
    for path in found:
        if "\nname:" in path.read_text(encoding="utf-8"):  # the others are what experiments build on
            check_plugins(load(path))


def test_the_settings_of_the_front_end_are_those_of_the_store(trained: Trained) -> None:
    _, embedded = opened(trained.folder)
    assert embedded.store is not None
    assert {key: embedded.store.frontend_settings[key] for key in FRONTEND} == FRONTEND
    assert registry.names("objectives")


@pytest.mark.slow
def test_waveforms_of_a_store_train_as_those_of_the_files(configure: Configure) -> None:
    """The front end `raw` keeps decoded samples: the same crops, and so the same losses but for 16 bits."""
    settings = "frontend: {name: raw, sample_rate: 8000}, strides: [4, 4, 4, 2], channels: [4, 4, 4, 4, 8]"
    raw = f"audio_encoder={{name: sample_cnn, {settings}}}"
    ways = ("features.source=audio", "features.precision=32", "features.precision=16")
    more = [raw, "views={count: 2, waveform: [{name: gain, p: 1.0}]}", "train.epochs=1"]
    runs = [fitted(configure(way, *more))[0] for way in ways]
    plain, exact, halved = ([row["loss"] for row in run.metrics() if "loss" in row] for run in runs)
    assert exact == pytest.approx(plain, rel=1e-4)
    assert halved == pytest.approx(plain, rel=1e-2)
