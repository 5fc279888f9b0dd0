"""Runs side by side: pooled seeds, paired tests against hand-made ones, and never a silent comparison."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from crossmodal import comparison_tables as tables
from crossmodal import config as configs
from crossmodal import results
from crossmodal.comparison import compare, less_is_better
from crossmodal.errors import InputError
from crossmodal.judgement import Judgement, Measured, Units
from crossmodal.metrics.paired import holm, paired_bootstrap, pooled
from crossmodal.systems import systems

TRACKS = 60
KEY = ("retrieval", "text_to_audio/map")


def units(first=0, clips=3):
    ids = [f"t{n}" for n in range(first, first + TRACKS)]
    return Units(ids, [f"artist {n // clips}" for n in range(TRACKS)], draws=200)


def judged(mean, seed=0, first=0, settings=None, clips=3):
    """Two tasks' figures: retrieval about as good as ``mean``, with a rank that is not sampled; and a probe."""
    values = np.clip(mean + 0.2 * np.random.default_rng(5).standard_normal(TRACKS), 0, 1)
    values = np.clip(values + 0.02 * np.random.default_rng(seed).standard_normal(TRACKS), 0, 1)
    figures = {
        "text_to_audio/map": units(first, clips).mean(values, chance=0.05, candidates=TRACKS),
        "text_to_audio/median_rank": Measured(round(1 / mean), chance=30.0, queries=TRACKS, candidates=TRACKS),
    }
    found = {
        "retrieval": Judgement(figures),
        "probe": Judgement({"top_50/roc_auc": units(first, clips).mean(values**2)}),
    }
    primary = {"retrieval": "text_to_audio/map", "probe": "roc_auc"}
    tasks = {
        task: {"primary": primary[task], "settings": settings or {}, "metrics": one.as_dict()}
        for task, one in found.items()
    }
    split = {"name": "album", "hash": f"{first:016x}", "part": "test", "tracks": TRACKS}
    return {"synthetic": True, "split": split, "tasks": tasks}, found


@pytest.fixture
def make(tmp_path, configure):
    """A finished run's folder."""

    def run(place, mean, seed=0, overrides=(), protocol=None, **more):
        folder = tmp_path / place
        config = replace(configure(*overrides), seed=seed)
        folder.mkdir(parents=True, exist_ok=True)
        configs.save(config, folder / "config.yaml")
        found, judgements = judged(mean, seed, **more)
        named = {"protocol": {"name": protocol}} if protocol else {}
        where = folder / "protocols" / protocol if protocol else folder
        results.write(where, {"experiment": config.name, "seed": seed, **found, **named}, judgements)
        return folder

    return run


def test_a_better_run_is_told_apart_by_the_paired_bootstrap(make):
    good, bad = make("a/1", 0.6), make("b/1", 0.4, overrides=["dim=8"])
    found = compare(systems([f"bad={bad}", f"good={good}"])[0])
    one, other = (results.read(folder) for folder in (good, bad))
    values = [each.found["tasks"]["retrieval"]["metrics"]["text_to_audio/map"]["value"] for each in (one, other)]
    expected = paired_bootstrap(values[0], one.samples[KEY].values, values[1], other.samples[KEY].values)
    cell = found.cells["good", KEY]
    assert cell.difference == expected
    assert cell.p == 2 * expected.p < 0.05  # one of two tests
    assert (found.better("good", KEY), found.best(KEY)) == (True, {"good"})
    assert found.cells["bad", KEY].difference is None
    assert found.keys == [KEY, ("probe", "top_50/roc_auc")]  # the primary ones
    low, high = np.quantile(one.samples[KEY].values, [0.025, 0.975])
    assert (cell.low, cell.high) == pytest.approx((low, high))
    swapped = compare(systems([f"bad={bad}", f"good={good}"])[0], "good")
    assert swapped.better("bad", KEY) is False
    assert swapped.cells["bad", KEY].difference.value == -expected.value


def test_too_few_groups_are_not_tested_and_it_is_told(make):
    """The same figures: of 20 groups, told apart; of 15, or of one, which has no interval, nothing is said."""
    for clips, groups in ((3, 20), (4, 15), (TRACKS, 1)):
        runs = [
            make(f"{name}/{clips}", mean, overrides=[f"dim={clips}"], clips=clips)
            for name, mean in zip("ab", (0.4, 0.6), strict=True)
        ]
        found = compare(systems([f"a={runs[0]}", f"b={runs[1]}"])[0], metrics=["*"])
        cell, text = found.cells["b", KEY], tables.as_text(found)
        assert (cell.groups, cell.low is None) == (groups, groups == 1)
        assert ((cell.difference is None), (cell.p is None), (found.better("b", KEY) is None)) == (groups < 20,) * 3
        told = f"too few groups to test: {groups} (retrieval text_to_audio/map, probe top_50/roc_auc)"
        assert (told in text.splitlines()) == (groups < 20) == ("too few" in text)
        assert (" p (Holm)" in text) == ("+" in text) == (groups == 20)


def test_intervals_of_what_is_no_mean_are_corrected(make, tmp_path):
    runs = [make(f"a/{seed}", 0.5, seed) for seed in range(2)]
    runs += [make("b/0", 0.4, overrides=["dim=8"])]
    plain = compare(systems([str(run) for run in runs])[0])
    for run in runs:
        found = json.loads((run / "results.json").read_text())
        found["tasks"]["retrieval"]["metrics"]["text_to_audio/map"]["corrected"] = True
        (run / "results.json").write_text(json.dumps(found))
    (one, other), _ = systems([str(run) for run in runs])
    figure, both = one.figure(KEY), one.pooled(KEY)
    bias = np.mean(one.samples(KEY)) - figure.value
    assert (figure.low, figure.high) == pytest.approx(np.quantile(both.samples, [0.025, 0.975]) - bias)
    assert abs(bias) > 1e-4
    (before,), (difference,) = (
        [cell.difference for (_, key), cell in found.cells.items() if key == KEY and cell.difference]
        for found in (plain, compare([one, other]))
    )
    values = [[run.metrics[KEY]["value"] for run in system.runs] for system in (one, other)]
    drawn = [np.stack(system.samples(KEY)) for system in (one, other)]
    assert difference == paired_bootstrap(values[1], drawn[1], values[0], drawn[0], corrected=True)
    assert difference.low != before.low
    assert (difference.value, difference.p) == (before.value, before.p)


def test_equal_runs_are_not_told_apart(make):
    found = compare(systems([f"a={make('a/1', 0.5)}", f"b={make('b/1', 0.5, 1)}"])[0])
    assert found.better("b", KEY) is None
    assert "+" not in tables.as_text(found).split("difference")[0]


def test_p_is_corrected_over_all_that_is_compared(make):
    runs = [f"s{n}={make(f's{n}/1', 0.5 + 0.005 * n, overrides=[f'dim={8 + n}'])}" for n in range(4)]
    for metrics, tests in (([], 6), (["text_to_audio/*"], 3)):
        found = compare(systems(runs)[0], metrics=metrics)
        cells = [cell for cell in found.cells.values() if cell.difference]
        each = [cell.difference.p for cell in cells]
        assert [cell.p for cell in cells] == pytest.approx(holm(each).tolist())
        assert (len(cells), min(each) < 0.02) == (tests, True)
        rows = tables.as_dict(found)["figures"]
        assert [row["p_holm"] for row in rows if row["p"] is not None] == [cell.p for cell in cells]
        for text in (tables.as_text(found), tables.as_latex(found), tables.as_markdown(found)):
            assert f"Holm's correction over all {tests} tests of this comparison" in text


def test_two_systems_of_two_figures_are_two_tests(make):
    found = compare(systems([f"a={make('a/1', 0.5)}", f"b={make('b/1', 0.508, 1)}"])[0])
    one, other = sorted((cell for cell in found.cells.values() if cell.difference), key=lambda cell: cell.difference.p)
    assert (one.p, other.p) == pytest.approx((2 * one.difference.p, max(2 * one.difference.p, other.difference.p)))


def test_of_one_seed_signs_speak_of_checkpoints(make):
    runs = [f"a={make('a/1', 0.5)}", f"b={make('b/1', 0.6, overrides=['dim=8'])}"]
    again = f"b={make('b/2', 0.6, 1, overrides=['dim=8'])}", f"a={make('a/2', 0.5, 1)}"
    says = "+ and - speak of these checkpoints, not of other trainings of the same recipe"
    assert f"one seed: a, b; {says}" in tables.notes(compare(systems(runs)[0]))
    assert f"one seed: a; {says}" in tables.notes(compare(systems([*runs, again[0]])[0]))
    assert not any("recipe" in note for note in tables.notes(compare(systems([*runs, *again])[0])))
    assert not any("recipe" in note for note in tables.notes(compare(systems(runs[:1])[0])))


def test_runs_of_other_seeds_are_one_system_and_an_experiment_s_folder_stands_for_them(make, tmp_path):
    runs = [make(f"a/{seed}", 0.5, seed) for seed in range(3)]
    (tmp_path / "a/unfinished").mkdir()
    (tmp_path / "a/unfinished/config.yaml").write_bytes((runs[0] / "config.yaml").read_bytes())
    other = make("b/1", 0.5, overrides=["dim=8"])
    for given in ([*runs, other], [tmp_path / "a", other]):
        (one, two), left = systems([str(folder) for folder in given])
        assert ([run.seed for run in one.runs], len(two.runs)) == ([0, 1, 2], 1)
        assert left == ([] if given[0] == runs[0] else [f"left out: {tmp_path / 'a/unfinished'} has no results"])
    each = [results.read(run) for run in runs]
    values = [one.found["tasks"]["retrieval"]["metrics"]["text_to_audio/map"]["value"] for one in each]
    expected = pooled(values, np.stack([one.samples[KEY].values for one in each]))
    cell = compare([one, two]).cells[one.name, KEY]
    assert (cell.value, cell.low, cell.high) == (expected.value, expected.low, expected.high)
    assert (cell.sd, cell.seeds) == (pytest.approx(np.std(values, ddof=1)), 3)
    assert {one.name, two.name} == {"tiny (0)", "tiny (1)"}


def test_no_two_systems_have_one_name(make, tmp_path):
    runs = [make("a/1", 0.5), make("b/1", 0.5, overrides=["dim=8"]), make("c/2", 0.5, overrides=["dim=4"])]
    names = [system.name for system in systems([str(run) for run in runs])[0]]
    assert names == [f"tiny (1) ({runs[0]})", f"tiny (1) ({runs[1]})", "tiny (2)"]


def test_of_a_seed_the_newest_run_counts_and_the_other_is_told(make):
    old, new = make("a/2026-01", 0.4), make("a/2026-02", 0.6)
    (one,), left = systems([str(old.parent)])
    assert [run.folder for run in one.runs] == [new]
    assert left == [f"left out: {old} has the seed of {new}, which is newer"]


def test_runs_that_were_judged_on_other_tracks_are_never_compared_silently(make):
    here, there = make("a/1", 0.4), make("b/1", 0.9, overrides=["dim=8"], first=7)
    found = compare(systems([f"here={here}", f"there={there}"])[0], metrics=["map", "median_rank"])
    for key in found.keys:
        assert not found.comparable("there", key)
        assert found.cells["there", key].difference is None
        assert found.best(key) == set()
    text = tables.as_text(found)
    assert "≠ there was judged on other tracks or texts than here: no test" in text
    assert text.count("≠") == 3
    assert "split album (0000000000000007), part test" in text
    assert "difference" not in text
    rows = list(csv.DictReader(io.StringIO(tables.as_csv(found))))
    assert {(row["system"], row["comparable"]) for row in rows} == {("here", "True"), ("there", "False")}


def test_seeds_that_were_judged_on_other_tracks_are_not_pooled(make):
    runs = [make("a/0", 0.5, 0), make("a/1", 0.5, 1, first=9)]
    found = compare(systems([str(run) for run in runs])[0])
    assert found.cells["tiny", KEY].low is None
    assert "the seeds of tiny were judged on tracks or texts that differ" in tables.as_text(found)


def test_other_settings_of_a_task_are_told(make):
    one, two = make("a/1", 0.5), make("b/1", 0.5, overrides=["dim=8"], settings={"tags": False})
    assert "b was judged with other settings than a: retrieval, probe" in tables.as_text(
        compare(systems([f"a={one}", f"b={two}"])[0])
    )


def test_of_ranks_and_errors_less_is_better(make):
    found = compare(systems([f"a={make('a/1', 0.2)}", f"b={make('b/1', 0.5)}"])[0], metrics=["*rank"])
    assert found.best(("retrieval", "text_to_audio/median_rank")) == {"b"}
    assert [less_is_better(name) for name in ("a/mae_of_mean", "calibration/ece", "map", "x/accuracy")] == [
        *(True, True, False, False)
    ]


def test_of_keys_that_are_wrong_less_is_better_and_of_near_ones_neither(make, monkeypatch):
    assert [less_is_better(f"key/{name}") for name in ("other", "correct", "weighted_score")] == [True, False, False]
    good, bad = make("a/1", 0.6), make("b/1", 0.4, overrides=["dim=8"])
    for run in (good, bad):
        for name in ("results.json", "samples.npz"):
            path = run / name
            if name == "results.json":
                path.write_text(path.read_text().replace("text_to_audio/map", "key/fifth"))
            else:
                with np.load(path) as arrays:
                    renamed = {key.replace("text_to_audio/map", "key/fifth"): arrays[key] for key in arrays}
                np.savez(path, **renamed)
    found, key = compare(systems([f"bad={bad}", f"good={good}"])[0], metrics=["fifth"]), ("retrieval", "key/fifth")
    assert found.cells["good", key].told_apart
    assert (found.better("good", key), found.best(key)) == (None, set())


def test_metrics_and_tasks_are_chosen_by_name(make):
    (one,), _ = systems([str(make("a/1", 0.5))])
    assert compare([one], tasks=["probe"]).keys == [("probe", "top_50/roc_auc")]
    assert len(compare([one], metrics=["text_to_audio/*", "roc_auc"]).keys) == 3
    with pytest.raises(InputError, match="no metric is called mpa; there are text_to_audio/map"):
        compare([one], metrics=["mpa"])
    with pytest.raises(InputError, match="no task tempo; there are retrieval, probe"):
        compare([one], tasks=["tempo"])
    with pytest.raises(InputError, match="no system 'x'; there are tiny"):
        compare([one], "x")


def test_what_is_no_judged_run_is_refused(make, tmp_path):
    run = make("a/1", 0.5)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is no run, and holds none"):
        systems([str(tmp_path / "empty")])
    with pytest.raises(InputError, match=r"was not judged by protocol clmr: crossmodal evaluate .* --protocol clmr"):
        systems([str(run)], "clmr")
    other = make("b/1", 0.5, overrides=["dim=8"])
    with pytest.raises(InputError, match="x names runs of several settings"):
        systems([f"x={run}", f"x={other}"])


def test_a_protocol_s_evaluations_are_compared(make):
    run = make("a/1", 0.5)
    make("a/1", 0.7, protocol="probes")
    own, by_protocol = (compare(systems([str(run)], name)[0]).cells["tiny", KEY].value for name in (None, "probes"))
    assert by_protocol > own
    alone = compare(systems([str(run / "protocols/probes")])[0])  # an evaluation's own folder
    assert alone.cells["tiny", KEY].value == by_protocol
    assert "protocol probes, synthetic data, split album" in tables.as_text(alone)


def test_latex_is_escaped_and_has_the_best_in_bold(make):
    found = compare(systems([f"a_1 & b={make('a/1', 0.3)}", f"50%={make('b/1', 0.6)}"])[0])
    text = tables.as_latex(found)
    assert r"a\_1 \& b & 0.2" in text
    assert r"50\% & \textbf{0.5" in text
    assert r" & text\_to\_audio/map \\" in text
    assert text.count("\\toprule") == text.count("\\bottomrule") == text.count("\\end{tabular}") == 2
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert not any(sign in "".join(body).replace("\\" + sign, "") for sign in "%#_")
    assert "$^{+}$" in text
    assert tables.escaped("\\~^{}$#") == r"\textbackslash{}\textasciitilde{}\textasciicircum{}\{\}\$\#"


def test_markdown_has_as_many_cells_in_every_row(make):
    found = compare(systems([f"a|b={make('a/1', 0.3)}", f"c={make('b/1', 0.6)}"])[0], metrics=["*"])
    lines = [line for line in tables.as_markdown(found).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines[:5]} == {4}
    assert any(line.startswith("| c | **0.5") for line in lines)
    assert lines[4] == "| chance | 0.050 | 30.0 |"


def test_a_table_has_the_measures_of_a_direction_or_one_measure_of_all(make):
    (one,), _ = systems([str(make("a/1", 0.5))])
    path, measure = "text_to_audio", "top_50/roc_auc"
    assert tables.blocks(compare([one], metrics=["*"])) == {
        f"retrieval {path}": {name: ("retrieval", f"{path}/{name}") for name in ("map", "median_rank")},
        "probe": {measure: ("probe", measure)},
    }
    assert list(tables.blocks(compare([one], metrics=["map"]))) == ["retrieval"]


def test_the_command_prints_and_writes_all_forms(make, ask, fail, tmp_path):
    good, bad = make("a/1", 0.6), make("b/1", 0.4, overrides=["dim=8"])
    told = ask("compare", f"bad={bad}", f"good={good}", "--out", tmp_path / "out", "--csv", tmp_path / "x.csv")
    assert "retrieval" in told
    assert "+ better, - worse than bad" in told
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"comparison.{s}" for s in ("csv", "tex", "md", "json")
    }
    assert (tmp_path / "x.csv").read_text() == (tmp_path / "out/comparison.csv").read_text()
    found = json.loads(ask("compare", bad, good, "--json", "--metric", "map", "--latex", tmp_path / "x.tex"))
    assert [row["value"] for row in found["figures"]] == [
        each["tasks"]["retrieval"]["metrics"]["text_to_audio/map"]["value"]
        for each in (json.loads((folder / "results.json").read_text()) for folder in (bad, good))
    ]
    assert (tmp_path / "x.tex").read_text().startswith("% \\usepackage{booktabs}")
    assert "was not judged by protocol" in fail("compare", bad, "--protocol", "nothing")


def test_a_run_without_a_name_or_a_name_without_a_run_is_refused(make, ask, fail):
    run = make("a/1", 0.6)
    assert fail("compare", f"{run}=") == f"'{run}=' lacks the folder; valid is RUN or name=RUN"
    assert fail("compare", f"={run}") == f"'={run}' lacks the name; valid is RUN or name=RUN"
    for nothing in ("", "="):
        assert fail("compare", nothing) == f"'{nothing}' lacks the folder; valid is RUN or name=RUN"
    assert ask("compare", run) == ask("compare", make("=c", 0.6))  # a folder may hold the sign
