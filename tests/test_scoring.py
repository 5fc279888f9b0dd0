"""Two tables judged: tags, classes and retrieval, against scikit-learn, and what does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score, top_k_accuracy_score

from crossmodal.data.aligned import align, classes_of, matrix_of
from crossmodal.data.tables import Table
from crossmodal.errors import InputError
from crossmodal.judgement import Units
from crossmodal.metrics import retrieval
from crossmodal.metrics.bootstrap import bias_corrected
from crossmodal.scoring import Scored, differences, retrieve, score

ROWS, NAMES = 40, ("cello", "ney", "zurna", "daf")


def table(values, name: str = "a.csv", columns=None, ids=None) -> Table:
    values = np.asarray(values)
    values = values if values.dtype.kind == "U" else values.astype(float)
    named = columns is not None
    columns = tuple(columns) if named else tuple(str(n + 1) for n in range(values.shape[1]))
    return Table(Path(name), tuple(ids or (f"t{row}" for row in range(len(values)))), columns, named, values)


def units(of: Table, draws: int = 50) -> Units:
    return Units(of.ids, of.ids, draws)


@pytest.fixture
def tags():
    """Truth with a tag that nothing has, and unknown cells; scores with ties."""
    rng = np.random.default_rng(0)
    truth = (rng.random((ROWS, 4)) < 0.4).astype(int)
    scores = rng.integers(9, size=truth.shape) + 3 * truth
    truth[:, 3], truth[:3, 0] = 0, -1
    return truth, scores


def test_tags_equal_scikit_learn(tags) -> None:
    truth, scores = tags
    found = score(table(truth, columns=NAMES), table(scores, columns=NAMES), units(table(truth)))
    assert found.kind == "tags"
    assert found.undefined == ("daf",)
    expected = [(truth[truth[:, t] >= 0, t], scores[truth[:, t] >= 0, t]) for t in range(3)]
    aucs, precisions = ([f(*pair) for pair in expected] for f in (roc_auc_score, average_precision_score))
    assert found.metrics["macro_roc_auc"].value == pytest.approx(np.mean(aucs))
    assert found.metrics["macro_average_precision"].value == pytest.approx(np.mean(precisions))
    assert [found.tags[name]["roc_auc"].value for name in NAMES[:3]] == pytest.approx(aucs)
    assert [found.tags[name]["average_precision"].value for name in NAMES[:3]] == pytest.approx(precisions)
    assert [found.tags[name]["positives"] for name in found.tags] == [(truth[:, t] == 1).sum() for t in range(3)]
    assert found.tags["cello"]["roc_auc"].queries == ROWS - 3
    known = truth >= 0
    micro = roc_auc_score(truth[known], scores[known]), average_precision_score(truth[known], scores[known])
    assert [found.metrics[f"micro_{m}"].value for m in ("roc_auc", "average_precision")] == pytest.approx(micro)
    rows = [row for row in range(ROWS) if set(truth[row]) - {-1} == {0, 1}]
    by_row = [roc_auc_score(truth[r][truth[r] >= 0], scores[r][truth[r] >= 0]) for r in rows]
    assert found.metrics["clip_roc_auc"].value == pytest.approx(np.mean(by_row))
    assert found.metrics["clip_roc_auc"].queries == len(rows) < ROWS
    assert [found.rows[f"t{r}"]["roc_auc"] for r in rows] == pytest.approx(by_row)
    assert found.notes[0] == "3 cells of the truth are unknown, and left out"
    assert found.notes[1] == f"{ROWS - len(rows)} rows of one class are in no figure by clip"


def test_intervals_are_those_of_tables_whose_rows_are_drawn(tags) -> None:
    truth, scores = tags
    one, other = table(truth), table(scores)
    found = score(one, other, units(one, 30)).metrics["macro_average_precision"]
    assert found.low < found.value < found.high
    index = np.unique(one.ids, return_inverse=True)[1]
    rng, drawn = np.random.default_rng(0), []
    for _ in range(30):
        times = np.bincount(rng.integers(ROWS, size=ROWS), minlength=ROWS)[index]
        rows = np.repeat(np.arange(ROWS), times)
        again = table(truth[rows]), table(scores[rows])
        drawn.append(score(*again, Units(again[0].ids, again[0].ids, 0)).metrics["macro_average_precision"].value)
    np.testing.assert_allclose(found.samples, drawn)
    assert (found.low, found.high) == pytest.approx(bias_corrected(found.value, np.array(drawn)))
    grouped = score(one, other, Units(one.ids, [f"g{row % 2}" for row in range(ROWS)], 30))
    assert len(set(grouped.metrics["macro_average_precision"].samples)) <= 3  # two groups, three kinds of samples


def test_differences_are_corrected_where_figures_are(tags) -> None:
    truth, scores = tags
    one = table(truth)
    ours, theirs = (score(one, table(each), units(one)).metrics for each in (scores, scores[::-1]))
    found = differences(Scored("tags", ours), Scored("tags", theirs))
    assert set(found) == set(ours)
    for name, test in found.items():
        each, value = ours[name].samples - theirs[name].samples, ours[name].value - theirs[name].value
        bias = 0 if name.startswith("clip") else each.mean() - value
        assert (test["low"], test["high"]) == pytest.approx(np.quantile(each, [0.025, 0.975]) - bias)
    assert {name for name in ours if not ours[name].corrected} == {"clip_roc_auc", "clip_average_precision"}


def test_accuracy_is_a_mean_and_what_is_of_classes_is_not() -> None:
    truth = np.arange(ROWS)[:, None] % 5 == np.arange(5)
    scores = truth + np.random.default_rng(0).random((ROWS, 5)) * 1.5
    found = score(table(truth.astype(int)), table(scores), units(table(truth.astype(int)))).metrics
    means = {name for name, figure in found.items() if not figure.corrected}
    assert means == {"accuracy", "top_3_accuracy", "clip_roc_auc", "clip_average_precision"} & set(found)
    for name in ("accuracy", "top_3_accuracy"):
        assert (found[name].low, found[name].high) == pytest.approx(np.quantile(found[name].samples, [0.025, 0.975]))
    assert found["balanced_accuracy"].corrected


def test_f1_is_at_the_thresholds_of_valid(tags) -> None:
    truth, scores = (each[3:, :3] for each in tags)
    valid = table(truth[::-1]), table(scores[::-1] + 1)
    found = score(table(truth), table(scores), units(table(truth)), valid)
    best = [
        max(set(c), key=lambda t, c=c, y=y: (f1_score(y, c >= t), t)) for c, y in zip(scores.T, truth.T, strict=True)
    ]
    told = scores >= np.array(best) + 1
    expected = {f"{average}_f1": f1_score(truth, told, average=average) for average in ("macro", "micro", "weighted")}
    assert {name: found.metrics[name].value for name in expected} == pytest.approx(expected)
    assert found.metrics["macro_f1"].low is not None
    with pytest.raises(InputError, match="other columns"):
        score(table(truth), table(scores), units(table(truth)), (valid[0], table(scores, columns="abc")))


@pytest.mark.parametrize("form", ["words", "numbers", "one-hot"])
def test_classes_with_scores_equal_scikit_learn(form: str) -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(3, size=ROWS)
    scores = rng.normal(size=(ROWS, 4)) + np.eye(4)[true]
    given = {"words": np.array(NAMES)[true][:, None], "numbers": true[:, None], "one-hot": np.eye(4, dtype=int)[true]}
    truth = table(given[form], columns=NAMES if form == "one-hot" else None)
    found = score(truth, table(scores, columns=None if form == "numbers" else NAMES), units(truth))
    names = ("0", "1", "2", "3") if form == "numbers" else NAMES
    assert found.kind == "classes"
    assert found.undefined == (names[3],)
    expected = {
        "accuracy": accuracy_score(true, scores.argmax(axis=1)),
        "macro_f1": f1_score(true, scores.argmax(axis=1), average="macro"),
        "top_3_accuracy": top_k_accuracy_score(true, scores, k=3, labels=range(4)),
        "macro_roc_auc": np.mean([roc_auc_score(true == c, scores[:, c]) for c in range(3)]),
    }
    assert {name: found.metrics[name].value for name in expected} == pytest.approx(expected)
    assert found.metrics["accuracy"].chance == 1 / 4
    assert found.metrics["top_3_accuracy"].chance == 3 / 4
    assert found.classes == tuple(sorted(names))
    assert found.confusion is not None
    assert found.confusion.sum() == ROWS
    shares = found.as_dict()["confusion"]["row_shares"][sorted(names).index(names[3])]
    assert shares == [None] * 4


def test_ties_between_classes_are_told() -> None:
    truth = table([["cello"], ["ney"], ["ney"]])
    found = score(truth, table([[1, 1, 0, 0], [0, 1, 0, 0], [3, 3, 3, 3]], columns=NAMES), units(truth))
    assert found.notes == ("2 rows have several classes of highest score: the first column counts",)
    assert found.metrics["accuracy"].value == pytest.approx(2 / 3)


def test_classes_that_are_predicted_are_judged_without_scores() -> None:
    truth, predicted = table([["a"], ["a"], ["b"]]), table([["a"], ["b"], ["b"]])
    found = score(truth, predicted, units(truth))
    assert {name: each.value for name, each in found.metrics.items()} == pytest.approx(
        {"accuracy": 2 / 3, "balanced_accuracy": 3 / 4, "macro_f1": 2 / 3, "weighted_f1": 2 / 3}
    )
    assert found.as_dict()["confusion"] == {
        "classes": ["a", "b"],
        "counts": [[1, 1], [0, 1]],
        "row_shares": [[0.5, 0.5], [0.0, 1.0]],
    }
    onehot = table([[1, 0], [1, 0], [0, 1]], columns="ab")
    assert score(onehot, predicted, units(truth)).metrics["accuracy"].value == pytest.approx(2 / 3)
    with pytest.raises(InputError, match="of the true classes, a, b, none is predicted"):
        score(truth, table([["x"], ["x"], ["x"]]), units(truth))


def test_retrieval_is_that_of_the_metrics() -> None:
    rng = np.random.default_rng(2)
    truth = (rng.random((20, 12)) < 0.2).astype(int)
    truth[0], truth[1, 1] = 0, -1
    scores = rng.integers(4, size=truth.shape) / 4
    items = tuple(f"item {n}" for n in range(12))
    one = table(truth, columns=items)
    found = retrieve(one, table(scores, columns=items), units(one))
    expected = retrieval.evaluate("q", scores, truth == 1, items, truth == -1)
    assert {f"q/{name}": each.value for name, each in found.metrics.items()} == pytest.approx(
        {name: value for name, value in expected.items() if "queries" not in name}
    )
    chance = retrieval.chance("q", truth == 1, truth == -1)
    assert {f"q/{name}": each.chance for name, each in found.metrics.items()} == pytest.approx(chance)
    without = int((truth != 1).all(axis=1).sum())
    assert found.notes == (f"{without} queries without a relevant item are in no figure",)
    assert {each.queries for each in found.metrics.values()} == {20 - without}
    assert found.metrics["median_rank"].low is not None


def test_rows_and_named_columns_are_put_in_order() -> None:
    one = table([[1, 0], [0, 1]], columns=["x", "y"], ids=["a", "b"])
    other = table([[1, 2], [3, 4]], columns=["y", "x"], ids=["b", "a"])
    truth, scores, left_out = align(one, other)
    assert (scores.ids, scores.columns, scores.values.tolist()) == (("a", "b"), ("x", "y"), [[4, 3], [2, 1]])
    assert (truth.ids, truth.values.tolist(), left_out) == (one.ids, one.values.tolist(), {})
    bare = table([[1, 2], [3, 4]], ids=["b", "a"])
    assert align(one, bare)[1].columns == ("x", "y")
    assert align(bare, one)[0].columns == ("x", "y")
    assert not align(bare, bare)[0].named


def test_what_one_table_lacks_is_refused_or_left_out_and_named() -> None:
    one = table([[1], [0], [1]], "truth.csv", ids=["a", "b", "c"])
    other = table([[1], [0], [1]], "scores.csv", ids=["d", "b", "a"])
    told = r"1 ids not in scores.csv: c; 1 ids not in truth.csv: d; --common leaves them out$"
    with pytest.raises(InputError, match=told):
        align(one, other)
    truth, scores, left_out = align(one, other, common=True)
    assert truth.ids == scores.ids == ("a", "b")
    assert left_out == {"ids not in scores.csv": ["c"], "ids not in truth.csv": ["d"]}
    with pytest.raises(InputError, match="no ids are in both"):
        align(one, table([[1]], ids=["z"]), common=True)
    wide = [table([[1, 0]], f"{columns}.csv", columns, ["a"]) for columns in ("xy", "xz")]
    with pytest.raises(InputError, match=r"1 columns not in xz.csv: y; 1 columns not in xy.csv: z; "):
        align(*wide)
    assert align(*wide, common=True)[1].columns == ("x",)
    with pytest.raises(InputError, match="2 columns of values, but there are 3 names"):
        align(table([[1, 0, 1]], ids=["a"]), table([[1, 0]], ids=["a"]))


def test_what_does_not_fit_is_told(tags) -> None:
    truth, scores = tags
    broken = scores.astype(float)
    broken[2, 1] = np.nan
    with pytest.raises(InputError, match="scores must be finite, but are not for t2, ney"):
        score(table(truth, columns=NAMES), table(broken, columns=NAMES), units(table(truth)))
    with pytest.raises(InputError, match=r"a.csv: t0, column 1: 2; truth is 1, 0 or -1"):
        matrix_of(table([[2, 0]]))
    with pytest.raises(InputError, match="has words such as 'x', where numbers are needed"):
        matrix_of(table([["x"]]))
    with pytest.raises(InputError, match="of 4 tags none has a row that has it and one"):
        score(table(np.zeros((3, 4))), table(np.zeros((3, 4))), units(table(np.zeros((3, 4)))))
    for values, message in (
        ([[1, 1], [0, 1]], "not one 1 in each row"),
        ([["a"], [""]], "no class for t1"),
        ([[0.5]], "no classes, such as 0.5"),
        ([[1], [np.inf]], "no classes, such as inf"),
        ([[np.nan]], "no class for t0"),
    ):
        with pytest.raises(InputError, match=message):
            classes_of(table(values))
    with pytest.raises(InputError, match=r"the classes b have no column in a.csv, whose columns have no names"):
        score(table([["0"], ["b"]]), table([[1, 2], [2, 3]]), units(table([["0"], ["b"]])))
    truth = table([["a"], ["b"]])
    with pytest.raises(InputError, match="leave --valid out"):
        score(truth, truth, units(truth), (truth, truth))
