"""What the report makes of the tables that tasks leave, against scikit-learn and counts by hand."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pandas as pd
import planted
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score
from test_report import Page, make_embedded, make_manifest, make_results, make_run

from crossmodal import report
from crossmodal.judgement import Units
from crossmodal.report import columns, curves, failures, figures, listening, pairs, plane, sound, space, tables, tagsets
from crossmodal.snapshots import Snapshots

TRACKS = 48


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    return make_embedded(make_manifest(tmp_path_factory.mktemp("judged"), TRACKS, with_sound=2))


@pytest.fixture(scope="module")
def manifest(embedded):
    return embedded.part("test")


@pytest.fixture(scope="module")
def html(embedded, tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("run"))
    planted.snapshots(Snapshots(run.folder / "snapshots"), embedded, (0, 60, 120))
    path = report.write(run, embedded, planted.more(make_results()), planted.tables(embedded))
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def judged(task, name, made, clusters=None):
    (pair,) = tagsets.pairs({(task, f"{name}/truth"): made[0], (task, f"{name}/scores"): made[1]})
    return pair, tagsets.judged(pair, clusters or {}, seed=0)


def test_tags_have_the_figures_of_scikit_learn_best_first_and_the_undefined_are_named(manifest):
    truth, scores = planted.several(manifest)
    pair, found = judged("zero_shot", "mood", (truth, scores))
    assert not pair.single
    assert (found.measure, found.other, found.chance, found.tracks) == ("ROC-AUC", "average precision", 0.5, TRACKS - 1)
    known = truth.iloc[1:]
    for bar in found.bars:
        expected = roc_auc_score(known[bar.name], scores.loc[known.index, bar.name])
        assert bar.value == pytest.approx(expected)
        assert bar.other == pytest.approx(average_precision_score(known[bar.name], scores.loc[known.index, bar.name]))
        assert bar.low < bar.value < bar.high
        assert bar.positives == int(known[bar.name].sum())
    assert {bar.name for bar in found.bars} == {"calm", "dark", "long_notes"}
    assert [bar.value for bar in found.bars] == sorted((bar.value for bar in found.bars), reverse=True)
    assert found.undefined == ["audible"]
    assert found.mean == pytest.approx(np.mean([bar.value for bar in found.bars]))
    assert found.confusion is None


def test_intervals_are_of_whole_clusters(manifest):
    made, ids = planted.several(manifest), [f"t{n}" for n in range(48)]
    four, one = ({track: str(n // size) for n, track in enumerate(ids)} for size in (12, 48))
    alone, grouped, whole = (judged("a", "mood", made, clusters)[1] for clusters in ({}, four, one))
    widths = [np.mean([bar.high - bar.low for bar in found.bars if bar.low is not None]) for found in (alone, grouped)]
    assert [bar.value for bar in alone.bars] == [bar.value for bar in grouped.bars]
    assert widths[0] != widths[1]
    assert {(bar.low, bar.high) for bar in whole.bars} == {(None, None)}


def test_intervals_are_those_of_results(manifest):
    """Of a tag and of a class, sampled in a loop; corrected, as they are no means."""
    for make, measure in ((planted.several, roc_auc_score), (planted.single, None)):
        pair, found = judged("a", "mood", make(manifest))
        bar = found.bars[1]
        truth, scores = (table[bar.name].to_numpy() for table in (pair.truth, pair.scores))
        chosen = (pair.scores.idxmax(axis=1) == bar.name).to_numpy()

        def value(drawn, truth=truth, scores=scores, chosen=chosen, measure=measure):
            rows = np.repeat(np.arange(len(drawn)), drawn)
            return measure(truth[rows], scores[rows]) if measure else chosen[rows][truth[rows] == 1].mean()

        ids = list(pair.truth.index)
        expected = Units(ids, ids, tagsets.DRAWS).statistic(value)
        assert [bar.value, bar.low, bar.high] == pytest.approx([expected.value, expected.low, expected.high])


def test_classes_have_recall_and_precision_and_a_confusion_of_counts(manifest):
    truth, scores = planted.single(manifest)
    pair, found = judged("probe", "instrument", (truth, scores))
    assert pair.single
    true, chosen = truth.idxmax(axis=1), scores.idxmax(axis=1)
    for bar in found.bars:
        assert bar.value == pytest.approx(recall_score(true == bar.name, chosen == bar.name))
        assert bar.other == pytest.approx(precision_score(true == bar.name, chosen == bar.name))
    assert found.undefined == ["theremin"]
    by_hand = Counter(zip(true, chosen, strict=True))
    names = found.confusion.names
    assert {(names[r], names[c]): count for r, c, _, count in found.confusion.cells} == dict(by_hand)
    sizes = true.value_counts()
    assert all(share == pytest.approx(count / sizes[names[r]]) for r, _, share, count in found.confusion.cells)
    assert [sizes.get(name, 0) for name in names] == sorted((sizes.get(name, 0) for name in names), reverse=True)
    wrong = sorted((count for (a, b), count in by_hand.items() if a != b), reverse=True)
    assert [count for _, _, count, _ in found.confusion.worst] == wrong[: tagsets.CONFUSED]


def test_curves_end_in_the_corners_and_enclose_the_area(manifest):
    truth, scores = planted.several(manifest)
    made = tagsets._roc((truth["calm"] == 1).to_numpy()[1:], scores["calm"].to_numpy()[1:])
    assert made[-1] == 1
    area = np.trapezoid(made, tagsets.GRID)
    assert area == pytest.approx(roc_auc_score(truth["calm"][1:], scores["calm"][1:]), abs=0.02)
    roc, recall = judged("a", "mood", (truth, scores))[1].charts
    assert [curve.name for curve in roc.curves][:2] == [
        "mean of all",
        judged("a", "m", (truth, scores))[1].bars[0].name,
    ]
    assert roc.guide == f"M46 {figures.HEIGHT - figures.BOTTOM}L388 {figures.TOP}"
    assert recall.guide == ""


def test_precision_of_what_is_told_apart_is_whole_to_the_end():
    truth, scores = np.array([True, True, False, False]), np.array([0.9, 0.8, 0.2, 0.1])
    assert tagsets._recall(truth, scores).tolist() == [1.0] * len(tagsets.GRID)
    assert tagsets._recall(truth, -scores)[-1] == 0.5


def test_a_class_without_a_mistake_and_one_tag_alone():
    truth = pd.DataFrame({"a": [1, 0, 1], "b": [0, 1, 0]}, index=["x", "y", "z"])
    found = judged("probe", "all", (truth, truth.astype(float)))[1]
    assert found.confusion.worst == []
    assert [bar.value for bar in found.bars] == [1, 1]
    alone = judged("probe", "one", (truth[["a"]], truth[["a"]].astype(float)))[1]
    assert (alone.measure, alone.mean, [curve.name for curve in alone.charts[0].curves]) == ("ROC-AUC", 1.0, ["a"])


def test_labels_make_a_curve_a_metric_and_a_line_a_tagset(embedded):
    found = curves.charts(planted.tables(embedded))
    assert list(found) == ["limited_labels", "tagset_precision"]
    auc, precision = found["limited_labels"]
    assert auc.title == "macro roc auc by share of labels, %"
    assert [curve.name for curve in auc.curves] == ["key", "mood"]
    assert [label for _, label in auc.x_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    places = [x for x, _ in auc.x_ticks]
    assert places[3] - places[0] == pytest.approx(places[6] - places[3], abs=0.2)  # a decade is a decade
    rows = planted.shares(0)
    last = rows[(rows["share"] == 1) & (rows["metric"] == "macro_roc_auc")]["value"].mean()
    assert auc.curves[0].figure == figures.number(last)
    assert all(curve.band for chart in (auc, precision) for curve in chart.curves)
    (at,) = found["tagset_precision"]
    assert at.title == "precision by first k"
    assert [(curve.name, curve.figure) for curve in at.curves] == [
        ("instrument", "0.225, chance 0.250"),
        ("mean", "0.225, chance 0.250"),
    ]


def test_labels_that_would_run_into_each_other_are_left_out():
    scale = figures.LogScale(1, 1000, 46, 388, [1, 2, 990, 1000])
    assert [label for _, label in scale.ticks()] == ["1", "2", "990"]


def test_columns_are_groups_or_steps_and_alike_ones_are_one(manifest):
    ids = manifest.tracks["track_id"].tolist()
    album = [f"album {n // 4}" for n in range(TRACKS)]
    more = manifest.tracks.assign(
        album=album, group=album, year=[1950 + n for n in range(TRACKS)], live=[True] * TRACKS
    )
    made = columns.columns(type(manifest).build(more, texts=manifest.texts), ids, ["train", "test"] * (TRACKS // 2))
    assert [column.name for column in made] == ["part", "album, group", "year"]
    part, albums, year = made
    assert [part.values[of[0]] for of in part.of[:2]] == ["train", "test"]
    assert [albums.values[of[0]] for of in albums.of] == album
    assert (len(year.values), year.scale, year.of[0], year.of[-1]) == (10, True, [0], [9])
    assert year.values[0] == "1950 to 1955"


def test_numbers_that_are_unknown_or_equal_have_no_step():
    assert columns.steps("a", [1.0, 1.0, math.nan]) is None
    assert columns.steps("a", [0.0, 10.0, math.nan, math.inf]).of == [[0], [9], [], []]


def test_tracks_of_other_parts_are_drawn_where_they_were_embedded(tmp_path):
    manifest = make_manifest(tmp_path, 40, with_sound=0)
    parts = pd.DataFrame({"track_id": manifest.tracks["track_id"], "name": "default"})
    parts["part"] = ["test"] * 16 + ["train"] * 24
    embedded = make_embedded(manifest)
    every = embedded._parts["test"]
    half = type(every)(every.track_ids[:16], every.tracks[:16], every.fingerprint)
    object.__setattr__(embedded.manifest, "splits", parts)
    embedded._parts["test"] = half
    assert space.space_map(embedded, "test", [], 0, others=True).total == 16
    embedded._parts["train"] = type(every)(every.track_ids[16:], every.tracks[16:], every.fingerprint)
    found = space.space_map(embedded, "test", [], 0, others=True)
    assert (len(found.points), found.total) == (40, 40)
    assert Counter(found.columns[2].values[of[0]] for of in found.columns[2].of) == {"test": 16, "train": 24}
    assert len(space.space_map(embedded, "test", [], 0).points) == 16


def test_maps_over_the_steps_are_aligned(embedded, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    vectors = embedded.vectors("test").vectors
    turned = vectors @ np.linalg.qr(rng.normal(size=(16, 16)))[0].astype(np.float32)  # the same tracks to a cosine
    first, last = plane.planes([turned, vectors], seed=0)
    span = np.ptp(last, axis=0).max()
    assert np.linalg.norm(first - last, axis=1).max() < 0.25 * span
    assert plane.planes([turned, vectors], seed=0)[0].tolist() == first.tolist()
    folder = Snapshots(tmp_path / "snapshots")
    folder.save(0, list(embedded.vectors("test").track_ids), turned)
    assert space.training_map(folder, embedded, 0) is None
    monkeypatch.setattr(space, "FRAMES", 3)
    for step in range(1, 30):
        folder.save(step, list(embedded.vectors("test").track_ids), vectors if step > 20 else turned)
    found = space.training_map(folder, embedded, 0)
    assert found.steps == [0, 14, 29]


def test_overlap_is_the_common_area():
    a, b = np.array([0.0, 0.1, 0.9, 1.0]), np.array([0.0, 0.05, 0.02, 1.0])
    assert pairs.overlap(a, a) == 1
    assert pairs.overlap(a, b) == pytest.approx(0.5)  # the first bin has 1/4 and 1/4, the last 1/4 and 1/4
    assert pairs.overlap(a, a + 9) == 0
    same = np.float32(1) - np.float32([0, 1, 2, 3]) * np.finfo(np.float32).epsneg
    assert pairs.overlap(same, same) == 1


def test_pairs_of_tracks_are_apart_by_tag_and_by_artist_and_group(tmp_path):
    manifest = make_manifest(tmp_path, 24, with_sound=0)
    manifest.tracks["group"] = [f"g{n // 2}" for n in range(24)]
    manifest.tracks["artist"] = [f"artist {n // 4}" for n in range(24)]
    embedded = make_embedded(manifest)
    found = pairs.tracks_and_tracks(embedded, "test", "instrument", 0)
    cosines = embedded.vectors("test").vectors @ embedded.vectors("test").vectors.T
    by_hand = {"same": [], "other": [], "group": []}
    for a in range(24):
        for b in range(a + 1, 24):
            kind = "group" if a // 4 == b // 4 else "same" if a % 4 == b % 4 else "other"
            by_hand[kind].append(float(cosines[a, b]))
    wins = [(x > y) + 0.5 * (x == y) for x in by_hand["same"] for y in by_hand["other"]]
    assert found.separated == pytest.approx(np.mean(wins))
    assert [curve.figure for curve in found.chart.curves] == [
        f"median {figures.number(float(np.median(by_hand[kind])))}" for kind in ("same", "other", "group")
    ]
    assert pairs.tracks_and_tracks(embedded, "test", "nothing", 0) is None


def test_neighbours_are_the_nearest_of_other_artists_and_groups(tmp_path):
    manifest = make_manifest(tmp_path, 24, with_sound=0)
    manifest.tracks["group"] = [f"g{n // 2}" for n in range(24)]
    manifest.tracks["artist"] = [f"artist {n // 12}" for n in range(24)]
    embedded = make_embedded(manifest)
    listener = listening.Listener(embedded, "test", sound.Excerpts(0))
    vectors, place = embedded.vectors("test").vectors, {f"Étude {n}": n for n in range(24)}
    for article in listening.neighbours(listener, "instrument", 0):
        row = place.get(article.title)
        if row is None:
            continue
        cosines = {n: float(vectors[n] @ vectors[row]) for n in range(24) if n // 12 != row // 12}
        nearest = sorted(cosines, key=lambda n: -cosines[n])[: listening.FOUND]
        assert [hit["score"] for hit in article.hits] == pytest.approx([cosines[n] for n in nearest])
        assert [hit["right"] for hit in article.hits] == [n % 4 == row % 4 for n in nearest]
        assert article.hits[0]["silence"] == "left out to keep this page small"


def test_the_worst_queries_show_what_was_found_and_the_first_right_answer(embedded):
    listener = listening.Listener(embedded, "test", sound.Excerpts(0))
    table = planted.queries(embedded)["retrieval", "queries/text_to_audio"]
    found = failures.extremes(listener, "queries/text_to_audio", table)
    assert found.measure == "average precision"
    assert [article.title for article in found.worst] == list(table.index[::-1][: failures.WORST])
    assert [article.title for article in found.best] == list(table.index[: failures.BEST])
    worst = found.worst[0]
    (vector,) = embedded.texts([worst.title])
    scores = embedded.vectors("test").vectors @ vector
    order = np.argsort(-scores, kind="stable")
    relevant = [int(worst.title.split()[-1]) == n % 5 for n in range(TRACKS)]
    first = next(rank for rank, n in enumerate(order, 1) if relevant[n])
    assert [hit["rank"] for hit in worst.hits] == [1, 2, *([first] if first > 2 else [])]
    assert [hit["right"] for hit in worst.hits] == [relevant[order[hit["rank"] - 1]] for hit in worst.hits]
    assert worst.note.startswith(f"review · {worst.language} · average precision 0.")


@pytest.mark.parametrize("direction", ["audio_to_text", "audio_to_audio", "text_to_text"])
def test_a_query_does_not_find_itself(embedded, direction):
    listener = listening.Listener(embedded, "test", sound.Excerpts(0))
    table = planted.queries(embedded)["retrieval", f"queries/{direction}"]
    found = failures.extremes(listener, f"queries/{direction}", table)
    for article in [*found.worst, *found.best]:
        assert article.title not in [hit["name"] for hit in article.hits]
        assert (article.asked is not None) == direction.startswith("audio")
        assert any(hit["right"] for hit in article.hits)


def test_tables_of_queries_that_say_nothing_are_passed_over(embedded):
    listener = listening.Listener(embedded, "test", sound.Excerpts(0))
    table = planted.queries(embedded)["retrieval", "queries/text_to_audio"]
    names = ["queries/audio_to_text", "queries/word_to_audio", "curve/a", "queries/text_to_audio"]
    assert failures.ranked([("a", name) for name in names]) == [("a", names[3]), ("a", names[0])]
    assert failures.extremes(listener, "queries/text_to_audio", table.assign(map=np.nan)) is None
    assert failures.extremes(listener, "queries/text_to_audio", table[["kind", "language", "group"]]) is None


def test_mistakes_are_those_with_the_largest_lead(manifest, embedded):
    truth, scores = planted.single(manifest)
    pair = judged("probe", "instrument", (truth, scores))[0]
    found = failures.mistaken(listening.Listener(embedded, "test", sound.Excerpts(0)), pair)
    true, chosen = truth.idxmax(axis=1), scores.idxmax(axis=1)
    leads = [scores.loc[t].max() - scores.loc[t, true[t]] for t in truth.index if true[t] != chosen[t]]
    assert [hit["score"] for hit in found] == pytest.approx(sorted(leads, reverse=True)[: failures.MISTAKEN])
    assert all(hit["true"] != hit["chosen"] for hit in found)


def test_excerpts_are_read_once_and_paid_each_time(tmp_path):
    make_manifest(tmp_path, 1)
    room = sound.Excerpts(100_000)
    address, _ = room.of(tmp_path / "t0.wav", 0, 1)
    (tmp_path / "t0.wav").unlink()
    assert room.of(tmp_path / "t0.wav", 0, 1) == (address, "")
    assert room.left == 100_000 - 2 * len(address)
    assert room.of(tmp_path / "t0.wav", 0, 2) == (None, "there is no such file")


def test_the_page_shows_all_of_it(page):
    assert page.open == []
    assert {a["id"] for _, a in page.tags if "id" in a} >= {"tags", "curves", "neighbours", "extremes", "moving-map"}
    for said in (
        "probe · instrument: mean recall",
        "left out of the mean: theremin .",
        "left out of the mean: audible .",
        "What is taken for what",
        "Mistakes it is surest of",
        "macro roc auc by share of labels, %",
        "drop against the pivot",
        "0.052 0.013 to 0.092 from en",
        "0.312 to 0.438",
        "sd 0.032, 7 templates",
        "best the sound of {} of macro roc auc",
        "<key> is left out: no tag.",
        "From one language to another",
        "text to text · review: recall@10, from the language of a row to that of a column de tr de 0.455",
        "train and valid have the artist of 3 of the judged tracks (0.5%): t1 with <b>Łukasz & Co</b> and 2 more",
        "The judged tracks share with the others no track.",
        "Spread of audio vectors 612, dim 16, deviation 0.875, rank 11.2",
        "The map over the steps",
        "text to audio: queries by average precision",
        "first relevant at rank",
    ):
        assert said in page.text, said
    assert len(page.all("script")) == 3  # two maps' data and the page's own
    labels = [a["aria-label"] for _, a in page.tags if "aria-label" in a]
    assert all(labels)


def test_the_moving_map_has_a_layout_a_step(html):
    data = json.loads(html.split('type="application/json">')[2].split("</script>")[0])
    assert [(step, len(places)) for step, places in data["layouts"]] == [(s, TRACKS) for s in ("0", "60", "120")]


def test_a_protocol_has_a_page_beside_its_results(embedded, tmp_path):
    run = make_run(tmp_path)
    protocol = {"name": "makam", "title": "Makams from <b>words", "about": "As they did.", "papers": ["A. Author 2020"]}
    folder = run.folder / "protocols" / "makam"
    folder.mkdir(parents=True)
    path = report.write(run, embedded, {**make_results(), "protocol": protocol}, {}, folder)
    assert path == folder / "report.html"
    found = Page(path.read_text(encoding="utf-8"))
    assert "Report of a run by protocol makam" in found.text
    assert "quickstart: Makams from <b>words" in found.text
    assert "A. Author 2020" in found.text
    ids = {a["id"] for _, a in found.tags if "id" in a}
    assert not {"training", "collapse", "tags", "curves", "moving-map"} & ids
    assert {a["href"].removeprefix("#") for a in found.all("a")} <= ids


def test_figures_from_language_to_language_are_a_grid():
    found = tables.table("retrieval", planted.more(make_results())["tasks"]["retrieval"])
    (grid,) = found.grids
    assert (grid.title, grid.measure, grid.names) == ("text to text · review", "recall@10", ["de", "tr"])
    values = [[metric and metric["value"] for metric in row] for row in grid.rows]
    assert values == [[0.4545, pytest.approx(0.5545)], [pytest.approx(0.6545), None]]
    assert "text to text" not in [row.group for row in found.rows]


def test_headlines_are_few():
    metrics = {f"{name}@{share}%/map": {"value": 0.5} for name in "abcdefghij" for share in (1, 10, 100)}
    found = tables.headlines({"tasks": {"limited": {"primary": "map", "metrics": metrics}}})
    assert [name for _, name, _ in found] == [f"{name}@100%/map" for name in "abcdefgh"]
    whole = {"primary": "map", "metrics": {"a/map": {"value": 0.1}, "map": {"value": 0.2}}}
    assert [name for _, name, _ in tables.headlines({"tasks": {"neighbours": whole}})] == ["map"]


def test_a_value_has_one_colour_on_both_maps(embedded, tmp_path):
    found = embedded.vectors("test")
    folder = Snapshots(tmp_path / "snapshots")
    for step in (0, 1):
        folder.save(step, found.track_ids[4:15], found.vectors[4:15])
    still = space.space_map(embedded, "test", [], 0)
    moving = space.training_map(folder, embedded, 0, still)
    for a, b in zip(still.columns[:2], moving.columns[:2], strict=True):
        assert (a.name, a.values) == (b.name, b.values)
        assert b.of == a.of[4:15]


def test_anything_that_json_holds_is_told_in_words():
    assert (
        tables.said({"audio_rank": 1.5, "parts": ["a_b", 3], "none": []}) == "audio rank 1.5, parts a b, 3, none none"
    )
    assert tables.guarded({}) is None


@pytest.mark.slow
def test_umap_is_a_second_layout(embedded):
    pytest.importorskip("umap", reason="umap-learn is not installed")
    found = space.space_map(embedded, "test", ["a cello"], 0, by_umap=True)
    assert list(found.layouts) == ["t-SNE", "UMAP"]
    assert [len(places) for places in found.layouts.values()] == [TRACKS + 1] * 2
    places = np.array(found.layouts["UMAP"][:TRACKS])
    centres = np.array([places[n::4].mean(axis=0) for n in range(4)])
    nearest = np.linalg.norm(places[:, None] - centres[None], axis=-1).argmin(axis=1)
    assert (nearest == np.arange(TRACKS) % 4).mean() > 0.9
