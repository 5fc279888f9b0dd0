"""Experiments: composed, overridden, checked, saved and told apart by their hash."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from crossmodal.config import Config, budget, check_plugins, config_hash, load, save
from crossmodal.errors import InputError

MINIMAL = """
name: tiny
data: {name: synthetic}
split: default
train: {epochs: 2, batch_size: 8}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tiny.yaml").write_text(MINIMAL)
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_a_minimal_experiment_has_every_default(folder):
    config = load(folder / "tiny.yaml")
    assert (config.name, config.train.epochs, config.dim, config.window_s) == ("tiny", 2, 128, 4.0)
    assert config.objectives == {"clip": {}}
    assert config.train.loggers is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.dim = 3


def test_sections_are_merged_and_blocks_of_plugins_stated_whole(folder):
    write(folder, "base", MINIMAL + "audio_encoder: {name: mel_cnn, width: 32}\nobjectives: {clip: {weight: 2.0}}\n")
    write(folder, "more", "seed: 5\noptimizer: {lr: 0.5}\n")
    text = "defaults: [base, more]\ntrain: {epochs: 9}\naudio_encoder: {name: other}\nobjectives: {sigmoid: {}}\n"
    config = load(write(folder, "mine", text))
    assert (config.train.epochs, config.train.batch_size, config.optimizer.lr, config.seed) == (9, 8, 0.5, 5)
    assert config.audio_encoder == {"name": "other"}
    assert config.objectives == {"sigmoid": {}}


def test_later_defaults_win_over_earlier_and_they_nest(folder):
    write(folder, "a", "defaults: [tiny]\nseed: 1\ndim: 16\n")
    write(folder, "b", "seed: 2\n")
    config = load(write(folder, "mine", "defaults: [a, b]\n"))
    assert (config.seed, config.dim) == (2, 16)


def test_defaults_that_lead_back_are_refused(folder):
    write(folder, "a", "defaults: [b]\n")
    write(folder, "b", "defaults: [a]\n")
    with pytest.raises(InputError, match=r"a\.yaml: its defaults lead back to itself \(a.yaml -> b.yaml\)"):
        load(folder / "a.yaml")


def test_a_file_used_twice_is_no_circle(folder):
    write(folder, "a", "defaults: [tiny]\n")
    write(folder, "b", "defaults: [tiny]\n")
    assert load(write(folder, "mine", "defaults: [a, b]\n")).name == "tiny"


def test_overrides_hold_yaml_values(folder):
    config = load(
        folder / "tiny.yaml",
        [
            "train.epochs=3",
            "optimizer.lr=1e-4",
            "window_s=2",
            "run.new=true",
            "queries=[a, 'b=c']",
            "text.kinds=null",
            "data={name: table, root: x}",
            "data.columns.title=name of it",
            "objectives.clip.weight=2",
        ],
    )
    assert (config.train.epochs, config.optimizer.lr, config.window_s, config.run.new) == (3, 1e-4, 2.0, True)
    assert config.queries == ["a", "b=c"]
    assert config.data == {"name": "table", "root": "x", "columns": {"title": "name of it"}}
    assert config.objectives == {"clip": {"weight": 2}}


def test_an_override_removes_a_key(folder):
    path = write(folder, "mine", "defaults: [tiny]\nseed: 4\nobjectives: {clip: {}, other: {}}\noptimizer: {lr: 0.5}\n")
    config = load(path, ["~seed", "~objectives.clip", "~optimizer.lr"])
    assert (config.seed, config.optimizer.lr, config.objectives) == (0, 1e-3, {"other": {}})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("~optimizer.lr", "optimizer.lr"),
        ("~run.new", "run holds no keys"),
        ("~seed=3", "not an override"),
        ("seed", "write key=value, or ~key"),
        ("=3", "not an override"),
        ("train..lr=3", "not an override"),
        ("name.x=3", "name holds no keys"),
        ("data={a: [}", "not YAML"),
        ("seed=${nothing.there}", "nothing"),
        ("seed=???", "seed"),
    ],
)
def test_wrong_overrides_are_refused(folder, override, message):
    with pytest.raises(InputError, match=message):
        load(folder / "tiny.yaml", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=3", r"'epochs'; valid: name \(str\), data \(mapping\), split"),
        ("train.epoch=3", r"train has no setting 'epoch'; valid: epochs \(int at least 0\), batch_size"),
        ("train.epochs=ten", r"train: epochs is 'ten' \(str\), but must be int at least 0"),
        ("train.epochs=-1", "epochs is -1"),
        ("train.epochs=true", r"epochs is True \(bool\)"),
        ("train.precision=fp16", "must be 'auto' or 'fp32' or 'bf16'"),
        ("features.precision=16.0", "must be 16 or 32"),
        ("text.tag_sentences=1.5", "between 0 and 1"),
        ("train.loggers=csv", "list of 'csv'"),
        ("train=3", r"train is 3 \(int\), but must be mapping"),
        ("objectives={clip: 3}", r"objectives\.clip is 3 \(int\), but must be mapping"),
        ("objectives={clip: null}", r"objectives\.clip is None \(null\), but must be mapping"),
        ("objectives={1: {}}", r"a key of objectives is 1 \(int\), but must be str"),
        ("weights.freeze=[a, 3]", r"weights: freeze\[1\] is 3 \(int\), but must be str"),
        ("seed=-1", "between 0 and 1e"),
        ("seed=100000000000000000000", "between 0 and 1e"),
        ("window_s=0", "window_s is 0"),
        ("window_s=.inf", r"window_s is inf \(no finite number\), but must be float at least"),
        ("optimizer.lr=.nan", r"optimizer: lr is nan \(no finite number\), but must be float at least 0"),
        ("labelled=10%", "labelled is '10%'"),
        ("train.ema=1", "ema is 1 .* between 0 and 0.999999"),
        ("train.threads=100000", "threads is 100000 .* between 1 and 1024 or null"),
        ("train.epcs=3", r"train has no setting 'epcs'; valid: .*; did you mean epochs\?$"),
        ("optimiser.lr=3", r"no setting 'optimiser'; .*; did you mean optimizer\?$"),
        ("budgets.small.dim=3", "no setting 'budgets'"),
        ("train.1=3", "train has no setting '1'"),
        ("~train.epochs", r"train lacks epochs \(int at least 0\)"),
        ("~name", r"tiny.yaml lacks name \(str\)"),
    ],
)
def test_unknown_keys_and_wrong_types_are_refused(folder, override, message):
    with pytest.raises(InputError, match=message) as raised:
        load(folder / "tiny.yaml", [override])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        ("a: 1\na: 2", "not YAML.*duplicate"),
        ("- a", "keys and values, not a list"),
        ("defaults: base", "must be a list of names"),
        ("defaults: [nowhere]", "nowhere.yaml: No such file.*experiments there: mine, tiny"),
        ("a: ${", "mine.yaml"),
        ("budgets: [small]", r"mine\.yaml: budgets is \['small'\] \(list\), but must be mapping"),
        ("budgets: {small: 3}", r"mine\.yaml: budgets\.small is 3 \(int\), but must be mapping"),
        ("budgets:", r"mine\.yaml: budgets is None \(null\), but must be mapping"),
    ],
)
def test_broken_files_are_refused(folder, text, message):
    with pytest.raises(InputError, match=message) as raised:
        load(write(folder, "mine", text))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_not_text(folder):
    with pytest.raises(InputError, match="experiments there: tiny"):
        load(folder / "no.yaml")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=r"binary.yaml is not YAML"):
        load(folder / "binary.yaml")


def test_interpolation(folder, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_TEST_ROOT", "/music")
    config = load(folder / "tiny.yaml", ["data.root=${oc.env:CROSSMODAL_TEST_ROOT}", "seed=${dim}", "dim=7"])
    assert (config.data["root"], config.seed) == ("/music", 7)
    with pytest.raises(InputError, match="CROSSMODAL_NOT_SET"):
        load(folder / "tiny.yaml", ["data.root=${oc.env:CROSSMODAL_NOT_SET}"])


def test_what_is_saved_is_read_back(folder):
    config = load(folder / "tiny.yaml", ["queries=[ça, 'solo: \"cello\"', 'yes', '1e3']", "train.threads=2"])
    save(config, folder / "saved.yaml")
    assert load(folder / "saved.yaml") == config
    assert config_hash(load(folder / "saved.yaml")) == config_hash(config)


def test_the_hash_is_of_content_not_of_run_or_spelling(folder):
    def hashed(*overrides: str) -> str:
        return config_hash(load(folder / "tiny.yaml", overrides))

    assert hashed() == hashed("run.new=true") == hashed("run.folder=/elsewhere") == hashed("window_s=4", "seed=0")
    overrides = ["seed=1", "optimizer.lr=0.1", "data.size=3", "objectives={a: {}}"]
    changed = [*map(hashed, overrides), hashed()]
    assert len(set(changed)) == 5


def test_the_hash_does_not_depend_on_the_process(folder):
    config = Config(**{**vars(load(folder / "tiny.yaml")), "data": {"name": "x", "b": 1, "a": 2}})
    other = Config(**{**vars(config), "data": {"a": 2, "b": 1, "name": "x"}})
    assert config_hash(config) == config_hash(other)
    assert len(config_hash(config)) == 64


def test_plugins_are_checked_with_the_place_of_the_mistake(folder, monkeypatch):
    seen = []
    monkeypatch.setattr("crossmodal.registry.check", lambda family, block, where: seen.append((family, block, where)))
    check_plugins(load(folder / "tiny.yaml", ["objectives.clip={weight: 0.5}"]))
    assert seen == [
        ("datasets", {"name": "synthetic"}, "data"),
        ("encoders.audio", {"name": "mel_cnn"}, "audio_encoder"),
        ("encoders.text", {"name": "mini_transformer"}, "text_encoder"),
    ]
    for override, message in (
        ("objectives.clip.weight=x", r"objectives.clip: weight is 'x' \(str\), but must be float at least 0"),
        ("objectives.clip={weight: 0.5, size: 1}", r"objectives\.clip has no setting 'size'"),
        ("objectives.clip.name=siglip", r"objectives\.clip has no setting 'name'"),
        ("tasks.retrieval.name=probe", r"tasks\.retrieval has no setting 'name'"),
        ("objectives={clp: {}}", r"objectives has no 'clp'; .*; did you mean clip\?"),
    ):
        with pytest.raises(InputError, match=message):
            check_plugins(load(folder / "tiny.yaml", [override]))


def test_an_unknown_key_of_a_plugin_says_which_key_names_it(folder):
    load(folder / "tiny.yaml", ["data={name: table, source: synthetic}"])
    with pytest.raises(
        InputError, match=r"data \(table\) has no setting 'source'; .*; data\.name, here table, is one of"
    ):
        check_plugins(load(folder / "tiny.yaml", ["data={name: table, source: synthetic}"]))


def test_an_empty_encoder_of_documents_is_no_default(folder):
    with pytest.raises(InputError, match=r"objectives\.triplet\.encoder lacks the name of a plug-in"):
        check_plugins(load(folder / "tiny.yaml", ["data.root=x", "objectives={triplet: {encoder: {}}}"]))


def test_a_budget_lies_between_the_file_and_the_overrides(folder):
    write(folder, "base", MINIMAL + "budgets:\n  small: {train: {epochs: 1}, split: little}\n")
    path = write(folder, "mine", "defaults: [base]\nbudgets:\n  small: {train: {batch_size: 2}}\n")
    plain, small = load(path), load(path, ["budget=small", "split=mine"])
    assert (plain.train.epochs, plain.split) == (2, "default")
    assert (small.train.epochs, small.train.batch_size, small.split) == (1, 2, "mine")
    save(small, folder / "saved.yaml")
    assert load(folder / "saved.yaml") == small  # what is resolved is not applied again
    with pytest.raises(InputError, match=r"mine\.yaml has no budget 'tiny'; it has full, small"):
        load(path, ["budget=tiny"])


def test_a_file_may_choose_its_budget_and_the_command_line_another(folder):
    budgets = "budgets:\n  small: {train: {epochs: 1}, split: little}\n  tiny: {seed: 7}\n"
    path = write(folder, "mine", f"defaults: [tiny]\nbudget: small\n{budgets}")
    chosen, other, none = (load(path, overrides) for overrides in ([], ["budget=tiny"], ["budget=full"]))
    assert (chosen.train.epochs, chosen.split, chosen.seed) == (1, "little", 0)
    assert (other.train.epochs, other.split, other.seed) == (2, "default", 7)
    assert none == load(path, ["~budget"]) == load(folder / "tiny.yaml")
    assert budget(path, []) == {"train": {"epochs": 1}, "split": "little"}
    assert budget(path, ["budget=full"]) == {}
    for wrong in ("smal", "[small]", "3", "null", ""):
        with pytest.raises(InputError, match=r"other\.yaml has no budget .*; it has full, small, tiny"):
            load(write(folder, "other", f"defaults: [mine]\nbudget: {wrong}\n"))


def test_budgets_are_no_part_of_what_is_resolved(folder):
    path = write(folder, "mine", "defaults: [tiny]\nbudgets: {small: {train: {epochs: 2}}}\n")
    save(load(path, ["budget=small", "train.epochs=5"]), folder / "saved.yaml")
    assert load(folder / "saved.yaml").train.epochs == 5
    assert (
        config_hash(load(path)) == config_hash(load(path, ["budget=small"])) == config_hash(load(folder / "tiny.yaml"))
    )
