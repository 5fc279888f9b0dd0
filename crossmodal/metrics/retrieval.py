"""Retrieval metrics: how well scores find the relevant items of each query.

Conventions
-----------
``scores (queries, items)``, greater is better; ``relevance (queries, items)`` bool, a *set* of items a query;
``item_ids``, one a column. Items of equal score are ordered by a hash of their ids, so that the order in memory, in
which the right answer often comes first, cannot help. ``exclude (queries, items)`` marks what is no candidate, such as
the query itself. A query without a relevant candidate is left out of every mean and counted, never scored as 0.

Names
-----
- ``recall@k``: hits among the first k / min(k, relevant), so that 1 can always be reached;
- ``hit@k``: 1 if there is a hit among the first k;
- ``precision@k``: hits among the first k / k;
- ``map``: precision at the rank of each relevant item, their mean (as trec_eval; equal to scikit-learn's without ties);
- ``mrr``: 1 / rank of the first hit; ``median_rank``: that rank, from 1, its median over queries;
- ``r_precision``: precision at k = relevant;
- ``ndcg@k``: the sum of 1 / log2(1 + rank) over the hits among the first k / what it is at best; ``ndcg``: of all.

The functions from `recall` to `first_rank` take ``hits (queries, items)``, relevance in the order of the ranking, and
give one value a query, NaN where nothing is relevant.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossmodal.errors import InputError, listed
from crossmodal.metrics import chance as random_order

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
KS = (1, 5, 10)
ROWS = 256  # queries that are ranked at a time: 10,000 items then take some tens of megabytes


def id_order(item_ids: Sequence[str]) -> NDArray[np.int64]:
    """Positions of the ids in the order of their blake2b hashes: an order that no one chose."""
    return np.array(sorted(range(len(item_ids)), key=lambda i: id_key(item_ids[i])), dtype=np.int64)


def id_key(item_id: str) -> tuple[bytes, str]:
    """What ties are broken by: the hash of the id, then the id, should two hashes agree."""
    return hashlib.blake2b(item_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), item_id


def validate(
    scores: NDArray[np.floating], relevance: Bools, item_ids: Sequence[str], exclude: Bools | None, ks: Sequence[int]
) -> None:
    """Raise InputError unless shapes, types, ids and cut-offs fit."""
    if scores.ndim != 2 or scores.shape != relevance.shape or scores.shape[1] != len(item_ids):
        shapes = f"{scores.shape}, {relevance.shape} and {len(item_ids)}"
        raise InputError(f"scores, relevance and item_ids are {shapes}; valid is (queries, items) twice and items")
    if exclude is not None and exclude.shape != scores.shape:
        raise InputError(f"exclude is {exclude.shape}, but scores are {scores.shape}")
    if relevance.dtype != bool or (exclude is not None and exclude.dtype != bool):
        raise InputError("relevance and exclude must be bool")
    if len(set(item_ids)) != len(item_ids):
        twice = [name for name, count in Counter(item_ids).items() if count > 1]
        raise InputError(f"item ids stand more than once: {listed(twice)}")
    if scores.dtype.kind in "iu" and ((scores > 2**53) | (scores < -(2**53))).any():
        raise InputError("scores are integers above 2^53, of which some are equal as floats: give their ranks")
    if any(k < 1 for k in ks):
        raise InputError(f"cut-offs are {listed(ks)}; valid are 1 and more")


def ranked(
    scores: NDArray[np.floating],
    relevance: Bools,
    item_ids: Sequence[str],
    exclude: Bools | None = None,
    query_ids: Sequence[str] | None = None,
    rows: int = ROWS,
) -> Iterator[Bools]:
    """Relevance in the order of the ranking, ``(up to rows, items)`` at a time; the excluded come last, as no hits.

    Raises:
        InputError: the score of a candidate is not finite; the query is named by its id, or else its row.
    """
    by_hash = id_order(item_ids)
    for start in range(0, len(scores), rows):
        part = slice(start, start + rows)
        worth = -np.asarray(scores[part], dtype=np.result_type(scores.dtype, np.float32))[:, by_hash]
        hits = relevance[part][:, by_hash]
        if exclude is not None:
            out = exclude[part][:, by_hash]
            worth, hits = np.where(out, np.inf, worth), hits & ~out
            _check_finite(np.isfinite(worth) | out, start, query_ids)
        else:
            _check_finite(np.isfinite(worth), start, query_ids)
        yield np.take_along_axis(hits, np.argsort(worth, axis=1, kind="stable"), axis=1)


def _check_finite(finite: Bools, start: int, query_ids: Sequence[str] | None) -> None:
    broken = np.flatnonzero(~finite.all(axis=1)) + start
    if len(broken):
        names = [query_ids[int(row)] for row in broken] if query_ids is not None else [f"row {row}" for row in broken]
        raise InputError(f"scores must be finite, but are not for the queries {listed(names)}")


def recall(hits: Bools, k: int) -> Floats:
    """Hits among the first k / min(k, relevant)."""
    return _ratio(hits[:, :k].sum(axis=1), np.minimum(k, hits.sum(axis=1)))


def hit(hits: Bools, k: int) -> Floats:
    """1 where there is a hit among the first k."""
    return _known(hits[:, :k].any(axis=1), hits)


def precision(hits: Bools, k: int) -> Floats:
    """Hits among the first k / k, also where there are fewer than k candidates."""
    return _known(hits[:, :k].sum(axis=1) / k, hits)


def average_precision(hits: Bools) -> Floats:
    """Mean, over the relevant items, of the precision at their ranks."""
    precisions = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _ratio((precisions * hits).sum(axis=1), hits.sum(axis=1))


def r_precision(hits: Bools) -> Floats:
    """Hits among the first R / R, where R items are relevant."""
    relevant = hits.sum(axis=1)
    return _ratio((hits & (np.arange(hits.shape[1]) < relevant[:, None])).sum(axis=1), relevant)


def ndcg(hits: Bools, k: int | None = None) -> Floats:
    """Discounted gain of the hits among the first k (or all) / that of min(k, relevant) hits at the top.

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002; gains are 0 and 1
    and the discount is log2(1 + rank), as in scikit-learn.
    """
    discounts = random_order.discounts(hits.shape[1])[:k]
    best = np.append(0.0, discounts.cumsum())[np.minimum(hits.sum(axis=1), len(discounts))]
    return _ratio((hits[:, :k] * discounts).sum(axis=1), best)


def first_rank(hits: Bools) -> Floats:
    """Rank of the first hit, from 1."""
    return _known(hits.argmax(axis=1) + 1, hits)


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))


def _known(values: Any, hits: Bools) -> Floats:
    return np.where(hits.any(axis=1), values, np.nan)


def per_query(
    scores: NDArray[np.floating],
    relevance: Bools,
    item_ids: Sequence[str],
    exclude: Bools | None = None,
    query_ids: Sequence[str] | None = None,
    ks: Sequence[int] = KS,
    rows: int = ROWS,
) -> dict[str, Floats]:
    """Every metric of every query, ``(queries,)`` each, NaN for queries without a relevant candidate.

    ``median_rank`` holds the ranks of which `summary` takes the median. Memory beside the arguments is bounded by
    ``rows`` queries at a time, which changes no value.

    Raises:
        InputError: arguments that do not fit, or scores that are not finite.
    """
    validate(scores, relevance, item_ids, exclude, ks)
    if not scores.size:
        raise InputError(f"scores are {scores.shape}; there must be a query and an item")
    parts = [_metrics(hits, ks) for hits in ranked(scores, relevance, item_ids, exclude, query_ids, rows)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _metrics(hits: Bools, ks: Sequence[int]) -> dict[str, Floats]:
    rank = first_rank(hits)
    cut = {f"{f.__name__}@{k}": f(hits, k) for f in (recall, hit, precision, ndcg) for k in ks}
    return cut | {
        "map": average_precision(hits),
        "mrr": 1 / rank,
        "r_precision": r_precision(hits),
        "ndcg": ndcg(hits),
        "median_rank": rank,
    }


def summary(values: Mapping[str, Floats], direction: str) -> dict[str, float]:
    """Means over the queries, and the median rank, as ``direction/recall@10``; of a group, given its rows.

    ``direction/queries`` counts the queries that are in the means, ``direction/queries_without_relevant`` the others.

    Raises:
        InputError: no query has a relevant candidate.
    """
    known = ~np.isnan(values["map"])
    if not known.any():
        raise InputError(f"{direction}: none of {len(known)} queries has a relevant item")
    result = {name: float(value[known].mean()) for name, value in values.items()}
    result["median_rank"] = float(np.median(values["median_rank"][known]))
    result |= {"queries": float(known.sum()), "queries_without_relevant": float((~known).sum())}
    return {f"{direction}/{name}": value for name, value in result.items()}


def evaluate(
    direction: str,
    scores: NDArray[np.floating],
    relevance: Bools,
    item_ids: Sequence[str],
    exclude: Bools | None = None,
    query_ids: Sequence[str] | None = None,
    ks: Sequence[int] = KS,
) -> dict[str, float]:
    """Every metric over all queries: `summary` of `per_query`; ``direction`` is such as ``text_to_audio``."""
    return summary(per_query(scores, relevance, item_ids, exclude, query_ids, ks), direction)


def chance(direction: str, relevance: Bools, exclude: Bools | None = None, ks: Sequence[int] = KS) -> dict[str, float]:
    """What a random order is expected to reach, under the names of `evaluate`."""
    candidates = np.ones_like(relevance) if exclude is None else ~exclude
    items, relevant = candidates.sum(axis=1), (relevance & candidates).sum(axis=1)
    items, relevant = items[relevant > 0], relevant[relevant > 0]
    if not len(items):
        raise InputError(f"{direction}: none of {len(relevance)} queries has a relevant item")
    at_k = {f.__name__: f for f in (random_order.recall, random_order.hit, random_order.precision, random_order.ndcg)}
    means = {f"{name}@{k}": f(items, relevant, k).mean() for name, f in at_k.items() for k in ks}
    means["map"] = random_order.average_precision(items, relevant).mean()
    means["mrr"] = random_order.reciprocal_rank(items, relevant).mean()
    means["r_precision"] = random_order.r_precision(items, relevant).mean()
    means["ndcg"] = random_order.ndcg(items, relevant, int(items.max())).mean()
    means["median_rank"] = random_order.median_rank(items, relevant)
    return {f"{direction}/{name}": float(value) for name, value in means.items()}
