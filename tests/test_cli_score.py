"""The command score, on small tables and on a published model's scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from tiny import Answer

DATA = Path(__file__).parents[2] / "shared" / "data" / "annotations"
REAL = [DATA / f"mtat_musicnn_{name}.csv.gz" for name in ("gt", "est")]


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Truth with a header and scores without, in another order; tags x and y, z undefined."""
    rng = np.random.default_rng(0)
    truth = np.c_[(rng.random((30, 2)) < 0.4).astype(int), np.zeros(30, int)]
    scores = rng.random((30, 3)) + 0.3 * truth
    lines = [f"t{row}," + ",".join(map(str, values)) for row, values in enumerate(truth.tolist())]
    (tmp_path / "truth.csv").write_text("\n".join(["id,x,y,z", *lines]))
    lines = [f"t{row}\t" + "\t".join(map(str, values)) for row, values in enumerate(scores.tolist())]
    (tmp_path / "scores.tsv").write_text("\n".join(lines[::-1]))
    (tmp_path / "groups.csv").write_text("id,artist\n" + "".join(f"t{row},g{row // 5}\n" for row in range(30)))
    np.savez(tmp_path / "known.npz", truth=truth[:, :2], scores=scores[:, :2])
    return tmp_path / "truth.csv", tmp_path / "scores.tsv"


def test_figures_are_told_in_words_and_as_json(ask: Answer, tables: tuple[Path, Path]) -> None:
    known = np.load(tables[0].with_name("known.npz"))
    auc = roc_auc_score(known["truth"], known["scores"])
    precision = average_precision_score(known["truth"], known["scores"])
    told = ask("score", *tables, "--draws", 20)
    assert f"macro ROC-AUC             {auc:.12f}  95% 0." in told
    assert f"macro average precision   {precision:.12f}  95% 0." in told
    assert "undefined, all known rows being of one class, and left out: z" in told
    assert f"scores {tables[1]}: the first line is no header" in told
    assert "judged 30 rows, 2 of 3 columns, as tags" in told
    assert told.endswith("intervals: 95%, 20 bootstrap samples of 30 rows, seed 0\n")
    found = json.loads(ask("score", *tables, "--draws", 20, "--json", "--per-clip"))
    assert found["metrics"]["macro_roc_auc"]["value"] == pytest.approx(auc, rel=1e-12)
    assert found["metrics"]["macro_average_precision"]["value"] == pytest.approx(precision, rel=1e-12)
    assert found["undefined"] == ["z"]
    assert set(found["tags"]) == {"x", "y"}
    assert (found["rows"], found["columns"], found["left_out"]) == (30, ["x", "y", "z"], {})
    assert found["bootstrap"] == {"draws": 20, "seed": 0, "level": 0.95, "groups": 30, "by": None}
    assert len(found["clips"]) == found["metrics"]["clip_roc_auc"]["queries"]
    assert ask("score", *tables, "--draws", 20) == told  # the same figures again


def test_groups_are_drawn_whole(ask: Answer, fail: Answer, tables: tuple[Path, Path]) -> None:
    groups = tables[0].with_name("groups.csv")
    alone, grouped = (
        json.loads(ask("score", *tables, "--draws", 50, "--json", *more)) for more in ([], ["--groups", groups])
    )
    assert grouped["bootstrap"] == {"draws": 50, "seed": 0, "level": 0.95, "groups": 6, "by": str(groups)}
    one, other = (found["metrics"]["macro_roc_auc"] for found in (alone, grouped))
    assert one["value"] == other["value"]
    assert one["low"] != other["low"]
    assert "50 bootstrap samples of 6 groups" in ask("score", *tables, "--draws", 50, "--groups", groups)
    told = ask("score", *tables, "--draws", 50, "--groups", groups)
    groups.write_text(groups.read_text().removeprefix("id,artist\n"))
    assert ask("score", *tables, "--draws", 50, "--groups", groups) == told
    groups.write_text("id,artist\nt0,a\n")
    assert (
        fail("score", *tables, "--groups", groups) == f"{groups} has no group for 29 of 30 ids: t1, t2, t3 and 26 more"
    )
    assert "3 columns beside the id; the group is one" in fail("score", *tables, "--groups", tables[1])


@pytest.mark.parametrize(
    ("cells", "groups"),
    [(("0001", "1", "1.0", "01"), 4), (("9007199254740993", "9007199254740992", "x", "x "), 3), (("1", "1"), 1)],
)
def test_groups_are_read_as_they_are_written(
    ask: Answer, tables: tuple[Path, Path], cells: tuple[str, ...], groups: int
) -> None:
    path = tables[0].with_name("groups.tsv")
    path.write_text("".join(f"t{row}\t{cells[row % len(cells)]}\n" for row in range(30)))
    found = json.loads(ask("score", *tables, "--draws", 5, "--json", "--groups", path))
    assert found["bootstrap"]["groups"] == groups


def test_groups_that_are_numbers_to_a_file_are_not_rounded(ask: Answer, tables: tuple[Path, Path]) -> None:
    numbers, ids = 2**53 + np.arange(30), [f"t{row}" for row in range(30)]
    pd.DataFrame({"id": ids, "group": numbers}).to_parquet(tables[0].with_name("groups.parquet"))
    np.savez(tables[0].with_name("groups.npz"), ids=ids, group=numbers[:, None])
    for name in ("groups.parquet", "groups.npz"):
        given = ("--groups", tables[0].with_name(name), "--draws", 5, "--json")
        assert json.loads(ask("score", *tables, *given))["bootstrap"]["groups"] == 30


@pytest.mark.parametrize("cell", ["", "nan", "None", "n/a", "[unknown]", "Various Artists", "traditional (Ireland)"])
def test_a_group_that_is_none_is_refused(fail: Answer, tables: tuple[Path, Path], cell: str) -> None:
    path = tables[0].with_name("groups.csv")
    path.write_text("id,artist\n" + "".join(f"t{row},{cell if row in (4, 7) else 'Ada'}\n" for row in range(30)))
    told = f"{path} row 6: the group of t4 is {cell or 'empty'}, as in 1 more rows; to be alone it needs a name"
    assert fail("score", *tables, "--groups", path) == told


def test_two_systems_are_tested_in_pairs(ask: Answer, fail: Answer, tables: tuple[Path, Path], tmp_path: Path) -> None:
    rows = [line.split("\t") for line in tables[1].read_text().splitlines()]
    worse = ["\t".join([name, *(str(1 - float(cell)) for cell in cells)]) for name, *cells in rows]
    (tmp_path / "worse.tsv").write_text("\n".join(worse[::-1]))
    found = json.loads(ask("score", *tables, "--against", tmp_path / "worse.tsv", "--draws", 200, "--json"))
    tests, ours = found["against"]["differences"], found["metrics"]
    theirs = json.loads(ask("score", tables[0], tmp_path / "worse.tsv", "--draws", 200, "--json"))["metrics"]
    assert set(tests) == set(ours)
    for name, test in tests.items():
        assert test["value"] == pytest.approx(ours[name]["value"] - theirs[name]["value"])
        assert test["low"] <= test["value"] <= test["high"]
        assert 0 < test["p"] <= test["p_holm"] <= 1
    assert tests["macro_roc_auc"]["p"] < 0.05
    told = ask("score", *tables, "--against", tmp_path / "worse.tsv", "--draws", 200)
    line = f"macro ROC-AUC             {tests['macro_roc_auc']['value']:+.12f}  95% +"
    assert line in told
    assert f"  p {tests['macro_roc_auc']['p']:.4f}, {tests['macro_roc_auc']['p_holm']:.4f} of all" in told
    same = json.loads(ask("score", *tables, "--against", tables[1], "--draws", 20, "--json"))["against"]["differences"]
    assert {(test["value"], test["low"], test["high"], test["p"]) for test in same.values()} == {(0, 0, 0, 1)}
    (tmp_path / "named.tsv").write_text("\n".join(["id\tz\ty\tx", *worse]))
    (tmp_path / "bare.csv").write_text("\n".join(tables[0].read_text().splitlines()[1:]))
    told = ask("score", tmp_path / "bare.csv", tables[1], "--against", tmp_path / "named.tsv", "--draws", 20)
    assert "undefined, all known rows being of one class, and left out: x" in told  # named by the one that has names
    (tmp_path / "worse.tsv").write_text("\n".join(worse[3:]))
    assert "3 ids not in" in fail("score", *tables, "--against", tmp_path / "worse.tsv")
    few = json.loads(ask("score", *tables, "--against", tmp_path / "worse.tsv", "--common", "--json", "--draws", 20))
    assert few["rows"] == 27


def test_too_few_groups_are_not_tested_and_it_is_said(ask: Answer, tables: tuple[Path, Path]) -> None:
    groups = tables[0].with_name("groups.csv")
    given = ("score", *tables, "--against", tables[1], "--draws", 20, "--groups", groups)
    told = ask(*given)
    assert "macro ROC-AUC             too few groups to test: 6\n" in told
    assert "  p 1.0" not in told
    found = json.loads(ask(*given, "--json"))
    assert found["against"]["differences"] == {}
    assert found["against"]["too_few_groups"] == dict.fromkeys(found["metrics"], 6)
    groups.write_text("".join(f"t{row},the orchestra\n" for row in range(30)))
    told = ask(*given)
    assert "macro ROC-AUC             too few groups to test: 1\n" in told
    assert "no intervals: one group says nothing of others" in told
    assert " to " not in told.partition("more than")[0]
    groups.write_text("".join(f"t{row},g{max(row, 10)}\n" for row in range(30)))  # twenty
    found = json.loads(ask(*given, "--json"))["against"]
    assert {name for name in found["differences"] if "clip" not in name} == {
        f"{average}_{measure}" for average in ("macro", "micro") for measure in ("roc_auc", "average_precision")
    }


def test_each_tag_and_each_row(ask: Answer, tables: tuple[Path, Path]) -> None:
    told = ask("score", *tables, "--draws", 0, "--per-tag", "--per-clip")
    assert "rows have it\n  ROC-AUC                 0." in told
    rows = json.loads(ask("score", *tables, "--draws", 0, "--per-clip", "--json"))["clips"]
    assert all(f"{row}  ROC-AUC {figures['roc_auc']:.6f}  average prec" in told for row, figures in rows.items())
    assert "95% 0" not in told
    assert "intervals" not in told


def test_a_figure_that_some_samples_lack_has_no_interval_and_it_is_said(ask: Answer, tmp_path: Path) -> None:
    (tmp_path / "truth.csv").write_text("id,x\na,1\nb,0\nc,0\n")
    told = ask("score", tmp_path / "truth.csv", tmp_path / "truth.csv", "--draws", 30)
    assert "macro ROC-AUC             1.000000000000  chance 0.500000  (3 rows)" in told
    assert told.endswith("30 bootstrap samples of 3 rows, seed 0, but for figures that some samples lack\n")


def test_ids_that_one_table_lacks(ask: Answer, fail: Answer, tables: tuple[Path, Path]) -> None:
    text = tables[1].read_text().splitlines()
    tables[1].write_text("\n".join(text[2:]))
    told = fail("score", *tables)
    assert told == f"2 ids not in {tables[1]}: t28, t29; --common leaves them out"
    assert f"left out: 2 ids not in {tables[1]}: t28, t29" in ask("score", *tables, "--draws", 0, "--common")


def test_names_of_columns_from_a_file(ask: Answer, fail: Answer, tables: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "tags.txt").write_text("rock\nney\n\nzurna\n")
    (tmp_path / "few.txt").write_text("rock\nney\n")
    assert fail("score", *tables, "--tags", tmp_path / "few.txt").endswith("3 columns of values, but there are 2 names")
    named = json.loads(ask("score", tables[0], tables[0], "--tags", tmp_path / "tags.txt", "--json", "--draws", 0))
    assert named["undefined"] == ["zurna"]
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(tables[0].read_text().splitlines()[1:]))
    found = json.loads(ask("score", bare, tables[1], "--tags", tmp_path / "tags.txt", "--json", "--draws", 0))
    assert found["columns"] == ["rock", "ney", "zurna"]
    assert found["undefined"] == ["zurna"]


def test_classes_retrieval_and_thresholds(ask: Answer, tables: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "true.csv").write_text("id,genre\na,rock\nb,pop\nc,rock\n")
    (tmp_path / "told.csv").write_text("id,genre\nc,rock\nb,rock\na,rock\n")
    told = ask("score", tmp_path / "true.csv", tmp_path / "told.csv", "--per-tag")
    assert "accuracy                  0.666666666667" in told
    assert "macro F1                  0.4" in told
    assert "pop                            0      1" in told
    told = ask("score", *tables, "--retrieval", "--draws", 10)
    assert "queries without a relevant item are in no figure" in told
    assert "ndcg@10" in told
    assert "mAP" in told
    assert "micro F1" in ask("score", *tables, "--valid", *tables, "--draws", 5)


def test_mistakes_are_one_line(fail: Answer, tables: tuple[Path, Path], tmp_path: Path) -> None:
    assert fail("score", tmp_path / "none.csv", tables[1]) == f"{tmp_path / 'none.csv'} does not exist"
    lines = [line for line in tables[1].read_text().splitlines() if not line.startswith("t7\t")]
    tables[1].write_text("\n".join([*lines, "t7\t0.5\tinf\t0.5"]))
    assert fail("score", *tables) == "scores must be finite, but are not for t7, y"


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (("--retrieval", "--per-tag"), "--retrieval has figures of queries alone; leave --per-tag out"),
        (("--retrieval", "--per-clip"), "--retrieval has figures of queries alone; leave --per-clip out"),
        (("--retrieval", "--valid", "truth", "scores"), "--retrieval has figures of queries alone; leave --valid out"),
        (("--draws", 0, "--groups", "groups"), "--draws 0 has no samples; leave --groups out"),
        (("--draws", 0, "--against", "scores", "--seed", 3), "--draws 0 has no samples; leave --against, --seed out"),
        (
            ("--valid", "truth", "scores", "--against", "scores"),
            "thresholds are of one system, --against another; leave --valid out",
        ),
    ],
)
def test_options_of_which_nothing_would_come_are_refused(
    fail: Answer, tables: tuple[Path, Path], given: tuple[object, ...], refused: str
) -> None:
    known = {"truth": tables[0], "scores": tables[1], "groups": tables[0].with_name("groups.csv")}
    assert fail("score", *tables, *(known.get(str(each), each) for each in given)) == refused


def test_options_that_the_tables_have_nothing_for_are_refused(
    ask: Answer, fail: Answer, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "true.csv").write_text("id,genre\na,rock\nb,pop\n")
    (tmp_path / "tags.txt").write_text("rock\npop\n")
    classes = (tmp_path / "true.csv", tmp_path / "true.csv")
    told = "no row has figures of its own, by scores of several tags or classes; leave --per-clip out"
    assert fail("score", *classes, "--per-clip", "--draws", 0) == told
    assert fail("score", *classes, "--tags", tmp_path / "tags.txt").endswith(
        "1 columns of values, but there are 2 names"
    )
    assert fail("score", *classes, "--valid", *tables).endswith("leave --valid out")
    lines = tables[1].read_text().splitlines()
    (tmp_path / "fewer.tsv").write_text("\n".join(lines[2:]))
    told = ask("score", *tables, "--valid", tables[0], tmp_path / "fewer.tsv", "--common", "--draws", 0)
    assert f"left out: 2 ids not in {tmp_path / 'fewer.tsv'}: t28, t29" in told  # of --valid, too


@pytest.mark.slow
def test_the_command_loads_neither_torch_nor_transformers(tables: tuple[Path, Path]) -> None:
    code = (
        "import sys; from crossmodal.cli import main; main(sys.argv[1:]);"
        "print([m for m in ('torch', 'transformers', 'faiss', 'sklearn', 'mir_eval') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, "score", *map(str, tables), "--draws", "5"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(not REAL[0].exists(), reason="needs ../shared/data")
def test_a_published_model_s_scores_to_all_digits(ask: Answer) -> None:
    told = ask("score", *REAL, "--draws", 20)
    assert "macro ROC-AUC             0.910897708562  95% 0.9" in told
    assert "macro average precision   0.450874107631  95% 0.4" in told
    assert "judged 4332 rows, 50 of 50 columns, as tags" in told
    found = json.loads(ask("score", *REAL, "--draws", 0, "--json"))["metrics"]
    # scikit-learn's, micro
    assert found["micro_roc_auc"]["value"] == pytest.approx(0.9357250743645564, rel=1e-12)
    assert found["micro_average_precision"]["value"] == pytest.approx(0.589494398024528, rel=1e-12)


@pytest.mark.slow
@pytest.mark.skipif(not REAL[0].exists(), reason="needs ../shared/data")
def test_a_published_model_s_intervals_take_ten_seconds_at_most() -> None:
    code = "import sys; from crossmodal.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "score", *map(str, REAL), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    found = json.loads(ran.stdout)["metrics"]
    auc, precision = found["macro_roc_auc"], found["macro_average_precision"]
    assert auc["low"] < 0.910897708562 < auc["high"]
    assert precision["low"] < 0.450874 < precision["high"]
    assert auc["high"] - auc["low"] < 0.01
