"""What is refused before any data is read: settings that nothing reads, names that match nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import Configure

from crossmodal.checks import check, check_read
from crossmodal.config import load
from crossmodal.errors import InputError
from crossmodal.training import train

VIEWS = "views.count=2"
SILENT = ["text_encoder={name: none}", "objectives={ntxent: {}}", VIEWS, "tasks={neighbours: {}}", "queries=[]"]
EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["views.gap_s=2"], r"views\.gap_s is 2\.0, but is only read with views\.pair=gap: set that, or leave it out"),
        ([VIEWS, "views.pair=same", "views.gap_s=2"], "gap_s is 2.0"),
        (["views.pair=gap"], "views.pair is 'gap', but is only read with views.count of 2 or more"),
        ([VIEWS, "views.clean=1"], "views.clean is 1, but is only read with views.waveform or views.features"),
        (["optimizer.momentum=0.5"], "momentum is 0.5, but is only read with optimizer.name=sgd or lars"),
        (["optimizer.momentum=0.5", "optimizer.name=adam"], "momentum is 0.5"),
        (["optimizer.final_lr=0.1", "optimizer.schedule=constant"], "final_lr is 0.1, .*optimizer.schedule=cosine"),
        (["optimizer.final_lr=0.1", "optimizer.schedule=plateau"], "final_lr is 0.1"),
        (["optimizer.factor=0.5"], "factor is 0.5, .*optimizer.schedule=plateau"),
        (["optimizer.plateau=2", "optimizer.schedule=constant"], "plateau is 2"),
        (["weights.strict=false"], "weights.strict is False, but is only read with weights.path"),
        (["weights.keys=''"], "weights.keys is ''"),
        (["features.source=audio", "features.max_duration_s=9"], "max_duration_s is 9.0, .*features.source=store"),
        (["features.source=audio", "features.precision=32"], "features.precision is 32"),
        (["features.source=audio", "features.engine=ray"], "features.engine is 'ray'"),
        ([*SILENT, "text.per_track=2"], "text.per_track is 2, but is only read with a text_encoder that reads"),
        ([*SILENT, "text.kinds=[]"], r"text.kinds is \[\]"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused(configure: Configure, overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        check(configure(*overrides))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "overrides",
    [
        [VIEWS, "views.pair=gap", "views.gap_s=2"],
        [VIEWS, "views.clean=1", "views.features=[{name: frequency_mask}]"],
        ["optimizer.momentum=0.5", "optimizer.name=lars"],
        ["optimizer.momentum=0.0", "optimizer.name=sgd", "optimizer.schedule=plateau", "optimizer.factor=0.5"],
        ["optimizer.final_lr=0.1", "optimizer.final_weight_decay=0.0"],
        ["optimizer.schedule=constant", "optimizer.final_weight_decay=0.1", "optimizer.warmup=0.0"],
        ["weights.path=a.pt", "weights.strict=false", "weights.keys=''"],
        ["weights.freeze=[audio_encoder.*]"],
        ["features.source=audio"],
        SILENT,
        ["text.kinds=[]"],
        ["train.micro_batch=1000"],
    ],
)
def test_a_setting_that_is_read_passes(configure: Configure, overrides: list[str]) -> None:
    check(configure(*overrides))


def test_experiments_say_nothing_that_nothing_reads() -> None:
    for path in sorted(EXPERIMENTS.glob("*.yaml")):
        if "\nname:" in path.read_text(encoding="utf-8"):
            check_read(load(path))
            check_read(load(path, ["budget=small"]))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["weights.freeze=[audio.*]"], r"weights.freeze: 'audio\.\*' matches no weight; there are audio_encoder"),
        (["weights.freeze=['*']"], "nothing of the model is left to train"),
        (["weights.path=gone.pt"], "weights.path: gone.pt cannot be read: No such file"),
        (["weights.path=''"], "weights.path is not set"),
        (
            ["optimizer.groups=[{match: audio.*}]"],
            r"no trained weight is left for match 'audio\.\*'; weights are clip\.\*",
        ),
        (["optimizer.groups=[{match: '*norm*'}, {match: audio_encoder.*, weigth_decay: 0}]"], "'weigth_decay'; valid"),
        (["optimizer.groups=[{match: audio_encoder.*}]", "weights.freeze=[audio_encoder.*]"], "no trained weight"),
        (["optimizer.groups=[{match: audio_*}, {match: audio_encoder.*}]"], r"left for match 'audio_encoder\.\*'"),
        (["optimizer.groups=[{match: siglip.*}]"], r"no trained weight is left for match 'siglip\.\*'"),
        (["optimizer.groups=[{match: clip}]"], "no trained weight is left for match 'clip'"),
    ],
)
def test_names_and_files_that_are_not_there_are_refused_before_any_data_is_read(
    configure: Configure, tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        train(configure(f"data.root={tmp_path}/audio", *overrides), lambda line: None)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize("match", ["clip.l*", "[c]lip.x"])
def test_a_pattern_that_an_objectives_weights_may_match_waits_for_them(configure: Configure, match: str) -> None:
    """Those of no objective are known before the data are; what then matches nothing is refused after all."""
    config = configure(f"optimizer.groups=[{{match: '{match}', lr: 0.5}}]", "train.epochs=1")
    if match == "[c]lip.x":
        with pytest.raises(InputError, match="no trained weight is left for match"):
            train(config, lambda line: None)
    else:
        train(config, lambda line: None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("split=artist", "there is no split 'artist'"),
        ("train.batch_size=69", "train.batch_size is 69, accumulate 1, but there are 68 training tracks"),
        ("text.kinds=[review, essay]", "text.kinds: there is no essay; there are review"),
        ("text.languages=[EN]", "text.languages: there is no EN; there are de, en"),
        ("tasks={probe: {tagsets: [moood]}}", r"tasks\.probe\.tagsets: there is no moood; there are dynamics"),
        ("labelled=1e-9", "objectives clip need text, but the training tracks have none"),
        ("train.accumulate=5", "train.batch_size is 16, accumulate 5, but there are 68 training tracks"),
    ],
)
def test_what_the_tracks_show_to_fail_is_refused_before_features_are_extracted(
    configure: Configure, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(configure(override, f"features.folder={tmp_path}/features"), lambda line: None)
    assert not (tmp_path / "features").exists()
