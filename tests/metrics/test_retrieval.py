from __future__ import annotations

import hashlib
import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    ndcg_score,
    top_k_accuracy_score,
)

from crossmodal.errors import InputError
from crossmodal.metrics import retrieval
from crossmodal.metrics.retrieval import chance, evaluate, per_query, summary

IDS = tuple(f"träck {i}" for i in range(30))


def example(
    queries: int = 20, items: int = 30, seed: int = 0, levels: int | None = 5
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Scores with many ties (few levels), several relevant items, some queries without any, some items excluded."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(queries, items)) if levels is None else rng.integers(levels, size=(queries, items)) / 1.0
    relevance = rng.random((queries, items)) < 0.12
    relevance[::7] = False
    return scores, relevance, rng.random((queries, items)) < 0.1


def by_loops(scores: list[float], relevant: list[bool], exclude: list[bool], ks: tuple[int, ...]) -> dict[str, float]:
    """One query, as the definitions are written, one item at a time."""

    def key(i: int) -> tuple[float, bytes]:
        return -scores[i], hashlib.blake2b(IDS[i].encode(), digest_size=8).digest()

    order = [i for i in sorted(range(len(scores)), key=key) if not exclude[i]]
    total = sum(relevant[i] for i in order)
    found, precisions, first = 0, [], 0
    values: dict[str, float] = {}
    for rank, i in enumerate(order, start=1):
        if relevant[i]:
            found += 1
            first = first or rank
            precisions.append(found / rank)
    for k in ks:
        hits = sum(relevant[i] for i in order[:k])
        values |= {f"recall@{k}": hits / min(k, total), f"hit@{k}": float(hits > 0), f"precision@{k}": hits / k}
    r_precision = sum(relevant[i] for i in order[:total]) / total
    for name, k in [*((f"ndcg@{k}", k) for k in ks), ("ndcg", len(order))]:
        gained = sum(relevant[i] / math.log2(1 + rank) for rank, i in enumerate(order[:k], start=1))
        values[name] = gained / sum(1 / math.log2(1 + rank) for rank in range(1, min(k, total) + 1))
    return values | {
        "map": sum(precisions) / total,
        "mrr": 1 / first,
        "median_rank": float(first),
        "r_precision": r_precision,
    }


@pytest.mark.parametrize("levels", [1, 2, 5, None])
@pytest.mark.parametrize("masked", [False, True])
def test_200_queries_equal_a_plain_loop_with_ties_and_several_relevant_items(levels: int | None, masked: bool) -> None:
    scores, relevance, exclude = example(queries=32, levels=levels)
    ks = (1, 3, 10, 50)
    found = per_query(scores, relevance, IDS, exclude if masked else None, ks=ks)
    exclude &= masked
    scored = 0
    for row in range(len(scores)):
        values = {name: value[row] for name, value in found.items()}
        if not (relevance[row] & ~exclude[row]).any():
            assert all(np.isnan(value) for value in values.values())
            continue
        scored += 1
        expected = by_loops(scores[row].tolist(), relevance[row].tolist(), exclude[row].tolist(), ks)
        assert values == pytest.approx(expected, rel=1e-12)
    assert 25 <= scored < len(scores)


def test_200_tables_equal_a_plain_loop_in_means_and_median_rank() -> None:
    ks = (1, 3, 10)
    for seed in range(200):
        scores, relevance, exclude = example(6, 12, seed, levels=[1, 2, 5, None][seed % 4])
        relevance[1:3, :3], exclude[1:3, 0] = True, False
        found = evaluate("a", scores, relevance, IDS[:12], exclude, ks=ks)
        tables = zip(scores.tolist(), relevance.tolist(), exclude.tolist(), strict=True)
        rows = [by_loops(s, r, e, ks) for s, r, e in tables if any(t and not x for t, x in zip(r, e, strict=True))]
        expected = {f"a/{name}": sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        ranks = sorted(row["median_rank"] for row in rows)
        expected["a/median_rank"] = (ranks[(len(ranks) - 1) // 2] + ranks[len(ranks) // 2]) / 2
        expected |= {"a/queries": len(rows), "a/queries_without_relevant": 6 - len(rows)}
        assert found == pytest.approx(expected, rel=1e-12), seed


def test_summary_is_the_mean_of_the_queries_that_have_relevant_items() -> None:
    scores, relevance, _ = example()
    result = evaluate("text_to_audio", scores, relevance, IDS)
    assert result["text_to_audio/queries_without_relevant"] == (~relevance.any(axis=1)).sum() > 0
    assert result["text_to_audio/queries"] == relevance.any(axis=1).sum()
    rows = [
        by_loops(s.tolist(), r.tolist(), [False] * 30, (10,)) for s, r in zip(scores, relevance, strict=True) if r.any()
    ]
    assert result["text_to_audio/recall@10"] == pytest.approx(np.mean([row["recall@10"] for row in rows]))
    assert result["text_to_audio/median_rank"] == np.median([row["median_rank"] for row in rows])
    language = np.arange(len(scores)) % 2 == 0
    part = summary({name: value[language] for name, value in per_query(scores, relevance, IDS).items()}, "de")
    direct = evaluate("de", scores[language], relevance[language], IDS)
    assert part == pytest.approx(direct)


def test_equals_scikit_learn_where_nothing_ties() -> None:
    scores, relevance, _ = example(levels=None)
    known = relevance.any(axis=1)
    found = per_query(scores, relevance, IDS)["map"]
    expected = [average_precision_score(r, s) for s, r in zip(scores[known], relevance[known], strict=True)]
    np.testing.assert_allclose(found[known], expected, rtol=1e-12)
    whole = label_ranking_average_precision_score(relevance[known], scores[known])
    assert evaluate("a", scores, relevance, IDS)["a/map"] == pytest.approx(whole, rel=1e-12)


def test_ndcg_equals_scikit_learn_on_the_ranks() -> None:
    scores, relevance, _ = example(queries=200)
    hits = np.concatenate(list(retrieval.ranked(scores, relevance, IDS)))
    hits = hits[hits.any(axis=1)]
    ranks = np.broadcast_to(-np.arange(30.0), hits.shape)
    for k in (1, 3, 10, 50, None):
        assert retrieval.ndcg(hits, k).mean() == pytest.approx(ndcg_score(hits, ranks, k=k), rel=1e-12)


def test_one_relevant_item_is_top_k_accuracy() -> None:
    rng = np.random.default_rng(3)
    scores, truth = rng.normal(size=(200, 30)), rng.integers(30, size=200)
    result = evaluate("a", scores, truth[:, None] == np.arange(30), IDS, ks=(5,))
    expected = top_k_accuracy_score(truth, scores, k=5, labels=np.arange(30))
    assert result["a/recall@5"] == result["a/hit@5"] == pytest.approx(expected)


def test_by_hand() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6]])
    relevance = np.array([[False, True, False, True]])
    result = evaluate("a", scores, relevance, ["p", "q", "r", "s"], ks=(1, 2))
    assert result == {
        "a/recall@1": 0,
        "a/recall@2": 0.5,
        "a/hit@1": 0,
        "a/hit@2": 1,
        "a/precision@1": 0,
        "a/precision@2": 0.5,
        "a/ndcg@1": 0,
        "a/ndcg@2": pytest.approx(1 / math.log2(3) / (1 + 1 / math.log2(3))),
        "a/map": 0.5,
        "a/mrr": 0.5,
        "a/r_precision": 0.5,
        "a/ndcg": pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))),
        "a/median_rank": 2,
        "a/queries": 1,
        "a/queries_without_relevant": 0,
    }


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_items_changes_nothing(seed: int) -> None:
    scores, relevance, exclude = example(8, 30, seed, levels=3)
    order = np.random.default_rng(seed + 1).permutation(30)
    one = per_query(scores, relevance, IDS, exclude)
    other = per_query(scores[:, order], relevance[:, order], [IDS[i] for i in order], exclude[:, order])
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("rows", [1, 3, 19, 1000])
def test_rows_at_a_time_change_nothing(rows: int) -> None:
    scores, relevance, exclude = example()
    one, other = per_query(scores, relevance, IDS, exclude), per_query(scores, relevance, IDS, exclude, rows=rows)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_a_collapsed_model_is_at_chance_though_the_right_answer_comes_first_in_memory() -> None:
    ids = [f"t{i}" for i in range(400)]
    result = evaluate("a", np.zeros((400, 400), np.float32), np.eye(400, dtype=bool), ids)
    assert result["a/recall@10"] == pytest.approx(10 / 400)
    first = evaluate("a", np.zeros((1, 400)), np.eye(400, dtype=bool)[:1], ids)
    assert first["a/median_rank"] > 1


def test_a_query_itself_is_no_candidate() -> None:
    vectors = np.eye(3)
    relevance = np.ones((3, 3), dtype=bool)
    relevance[2, :2] = relevance[:2, 2] = False
    result = per_query(vectors @ vectors.T, relevance, ["a", "b", "c"], exclude=np.eye(3, dtype=bool))
    assert np.isnan(result["map"]).tolist() == [False, False, True]  # c has only itself: left out, not 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused_with_the_query(value: float) -> None:
    scores, relevance, exclude = example()
    scores[13, 4] = value
    exclude[13, 4] = False
    with pytest.raises(InputError, match=r"queries row 13$"):
        per_query(scores, relevance, IDS, rows=5)
    with pytest.raises(InputError, match=r"queries query n$"):
        per_query(scores, relevance, IDS, exclude, query_ids=[f"query {c}" for c in "abcdefghijklmnopqrst"])
    exclude[13, 4] = True
    assert np.isfinite(per_query(scores, relevance, IDS, exclude)["map"][13])


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_integers_that_are_equal_as_floats_are_refused(kind: type[np.integer]) -> None:
    relevance = np.eye(2, dtype=bool)
    good = np.array([[2**53, 2**53 - 1], [0, 1]], dtype=kind)
    assert per_query(good, relevance, ["a", "b"])["map"].tolist() == [1, 1]
    with pytest.raises(InputError, match=r"integers above 2\^53"):
        per_query(good + kind(1), relevance, ["a", "b"])
    if kind is np.int64:
        with pytest.raises(InputError, match=r"integers above 2\^53"):
            per_query(-good - 1, relevance, ["a", "b"])


def test_arguments_that_do_not_fit_are_refused() -> None:
    scores, relevance, exclude = example()
    with pytest.raises(InputError, match=r"are \(20, 30\), \(20, 29\) and 30"):
        per_query(scores, relevance[:, :29], IDS)
    with pytest.raises(InputError, match="and 29; valid is"):
        per_query(scores, relevance, IDS[:29])
    with pytest.raises(InputError, match=r"more than once: träck 4$"):
        per_query(scores, relevance, (*IDS[:29], IDS[4]))
    with pytest.raises(InputError, match="must be bool"):
        per_query(scores, relevance.astype(float), IDS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="exclude is"):
        per_query(scores, relevance, IDS, exclude[:3])
    with pytest.raises(InputError, match="cut-offs are 0"):
        per_query(scores, relevance, IDS, ks=(0,))
    with pytest.raises(InputError, match="a query and an item"):
        per_query(scores[:0], relevance[:0], IDS)
    with pytest.raises(InputError, match="none of 20 queries has a relevant item"):
        evaluate("a", scores, np.zeros_like(relevance), IDS)


@pytest.mark.parametrize("relevant", [1, 2, 3, 5])
def test_chance_equals_the_mean_over_all_orders(relevant: int) -> None:
    orders = np.array(sorted({*permutations([True] * relevant + [False] * (5 - relevant))}))
    scores = np.broadcast_to(np.arange(5.0)[::-1], orders.shape)
    ks = (1, 2, 4, 5, 9)
    found = evaluate("a", scores, orders, list("abcde"), ks=ks)
    expected = chance("a", orders, ks=ks)
    assert expected.keys() == found.keys() - {"a/queries", "a/queries_without_relevant"}
    for name in expected.keys() - {"a/median_rank"}:
        assert expected[name] == pytest.approx(found[name], rel=1e-12), name
    ranks = sorted(retrieval.first_rank(orders))
    assert expected["a/median_rank"] == ranks[(len(ranks) - 1) // 2]


def test_chance_of_a_mixture_equals_simulation_and_leaves_out_what_evaluate_leaves_out() -> None:
    _, relevance, exclude = example(queries=60)
    rng = np.random.default_rng(0)
    draws = [evaluate("a", rng.random(relevance.shape), relevance, IDS, exclude) for _ in range(300)]
    for name, value in chance("a", relevance, exclude).items():
        spread = np.std([draw[name] for draw in draws])
        assert np.mean([draw[name] for draw in draws]) == pytest.approx(value, abs=max(0.25 * spread, 1e-12)), name
    with pytest.raises(InputError, match="none of 60 queries"):
        chance("a", np.zeros_like(relevance))
