from __future__ import annotations

import base64
import io
import json
import math
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import soundfile

from crossmodal import report
from crossmodal.audio.decode import AudioError
from crossmodal.config import Config, Train
from crossmodal.data.manifest import Manifest
from crossmodal.embedding import Embedded, Vectors
from crossmodal.files import Skipped
from crossmodal.model import TrackVectors
from crossmodal.report import figures, listening, pairs, sound, space, tables
from crossmodal.runs import Run

DIM = 16
EVIL = "<script>alert('x')</script> & \"Sonate\""
ARABIC = "سماعي نهاوند"
LANGUAGES = ("en", "de", "tr")


class FakeModel:
    """Texts as random unit vectors that their words decide."""

    fingerprint, reads = "00c0ffee", True

    def embed_text(self, texts):
        rows = [np.random.default_rng(list(text.encode())).normal(size=DIM) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def make_manifest(folder, tracks, with_sound=12):
    ids = [f"t{n}" for n in range(tracks)]
    for n, track in enumerate(ids[:with_sound]):
        time = np.arange(2 * 22_050) / 22_050
        tone = 0.3 * np.sin(2 * np.pi * 220 * 2 ** (n / 12) * time).astype(np.float32)
        soundfile.write(folder / f"{track}.wav", tone, 22_050)
    titles = {0: EVIL, 1: ARABIC, 2: "Kaçış 🎻🎶"}
    rows = [(track, f"{track}.wav", "Łukasz & Co", titles.get(n, f"Étude {n}")) for n, track in enumerate(ids)]
    texts = [
        (f"{track}-{code}", track, code, "review", f"{code} review of {n % 5}")
        for n, track in enumerate(ids)
        for code in LANGUAGES
    ]
    instruments = [(track, "instrument", ("cello", "oud", "ney", "violin")[n % 4]) for n, track in enumerate(ids)]
    moods = [(track, "mood", mood) for n, track in enumerate(ids) for mood in ("calm", "dark", "long_notes")[: n % 4]]
    return Manifest.build(
        pd.DataFrame(rows, columns=["track_id", "path", "artist", "title"]),
        texts=pd.DataFrame(texts, columns=["text_id", "track_id", "language", "kind", "text"]),
        tags=pd.DataFrame(instruments + moods, columns=["track_id", "tagset", "tag"]),
        splits=pd.DataFrame({"track_id": ids, "name": "default", "part": "test"}),
        root=folder,
        skipped=[Skipped(f"bad{n}", f"bad{n}.wav", "empty file <b>") for n in range(25)],
    )


def make_embedded(manifest, skipped=()):
    """Vectors that lie around one centre for each instrument."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, DIM))
    ids = tuple(manifest.tracks["track_id"])
    found = [unit(centres[n % 4] + 0.7 * rng.normal(size=(2, DIM))) for n in range(len(ids))]
    bounds = np.array([[0, 1], [1, 2]], dtype=np.float32)
    tracks = tuple(TrackVectors(bounds, np.ones(2, np.float32), rows, rows) for rows in found)
    embedded = Embedded(FakeModel(), manifest, "default")
    embedded._parts["test"] = Vectors(ids, tracks, FakeModel.fingerprint, tuple(skipped))
    return embedded


def metric(value, low, high, chance=0.0163, queries=300, candidates=612):
    return {"value": value, "low": low, "high": high, "chance": chance, "queries": queries, "candidates": candidates}


def make_results():
    languages = {
        f"text_to_audio/review/{code}/recall@10": metric(0.6 + n / 20, 0.511 + n / 20, 0.689 + n / 20, queries=100)
        for n, code in enumerate(LANGUAGES)
    }
    retrieval = {
        "text_to_audio/recall@10": metric(0.6234, 0.5678, 0.6789),
        "text_to_audio/median_rank": metric(7.0, 6.0, 9.0, chance=306.5),
        **languages,
        "audio_to_text/recall@10": metric(0.4321, 0.3987, 0.4765),
        "audio_to_audio/recall@10": {"value": 0.7111, "low": None, "high": None, "chance": None, "groups": 1},
    }
    probe = {
        "instrument/balanced_accuracy": metric(0.9612, 0.9411, 0.9755, 0.25, 612, 4),
        "mood/balanced_accuracy": metric(0.5512, 0.5011, 0.6055, 0.3333, 612, 3),
    }
    hits = [
        {"rank": n + 1, "track_id": f"t{n}", "score": 0.9 - n / 10, "title": title, "artist": "Łukasz & Co"}
        | {"path": f"t{n}.wav", "start": 0.0, "end": 1.5}
        for n, title in enumerate((EVIL, ARABIC, "", "Étude 3"))
    ]
    examples = [
        {"query": "en review of 1", "language": "en", "hits": hits},
        {"query": EVIL, "hits": [{**hits[0], "track_id": "t15"}]},
        {"query": ARABIC, "language": "ar", "hits": []},
    ]
    return {
        "experiment": "quickstart",
        "model": FakeModel.fingerprint,
        "split": {"name": "default", "hash": "abcdef0123456789", "part": "test", "tracks": 612},
        "seed": 17,
        "synthetic": True,
        "tasks": {
            "retrieval": {"primary": "text_to_audio/recall@10", "metrics": retrieval},
            "probe": {"primary": "balanced_accuracy", "metrics": probe},
        },
        "examples": examples,
        "skipped": 1,
    }


def make_look(step):
    found = {"audio_deviation": 0.9 - step / 70, "features_deviation": 0.9, "byol_deviation": 0.5, "byol_rank": 12.5}
    found |= {"audio_uniformity": -2.5, "text_alignment": 1.2, "modality_gap": 0.8}
    pulls = {"gradient/clip": 0.25, "gradient/byol": 0.125, "gradient/clip~byol": -0.375}
    return {**{f"collapse/{name}": value for name, value in found.items()}, **pulls}


def make_run(folder, steps=60):
    config = Config(name="quickstart", data={"name": "synthetic"}, split="default", train=Train(epochs=1, batch_size=8))
    run = Run(folder / "run", config)
    run.folder.mkdir()
    (run.folder / "config.yaml").write_text("name: quickstart\nqueries: ['<b>']\n", encoding="utf-8")
    (run.folder / "environment.json").write_text(json.dumps({"torch": "2.14", "precision": "bf16", "threads": 2}))
    for step in range(1, steps + 1):
        loss = 4 * math.exp(-step / 20) + 0.3
        row = {"step": step, "loss": loss, "clip": 0.8 * loss, "order": 0.2 * loss, "lr": 1e-3, "grad_norm": 1.0}
        run.log({**row, **(make_look(step) if step % 20 == 0 else {})})
        if step % 12 == 0:
            score = 0.6 - abs(step - 48) / 80
            more = {f"valid/text_to_audio/review/{code}/recall@10": score - n / 20 for n, code in enumerate(LANGUAGES)}
            run.log({"step": step, "valid/text_to_audio/recall@10": score, **more, "valid/score": score})
    if steps:
        run.log({"step": steps, "alarm": f"the audio vectors {EVIL} are nearly equal: raise the temperature"})
    return run


def make_report(folder, tracks=40, results=None):
    embedded = make_embedded(make_manifest(folder, tracks), [Skipped("t99", "t99.mp3", "truncated after 3 s")])
    return report.write(make_run(folder), embedded, make_results() if results is None else results)


class Page(HTMLParser):
    """All tags with their attributes, and the visible words."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in {"meta", "link", "br", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def all(self, name, **wanted):
        return [a for tag, a in self.tags if tag == name and all(a.get(k) == v for k, v in wanted.items())]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return make_report(tmp_path_factory.mktemp("report")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_page_is_well_formed_and_titled(page):
    assert page.open == []
    assert "quickstart" in page.text
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in page.all("a")} <= set(ids)


def test_every_metric_is_shown_with_interval_and_chance(page):
    for task in make_results()["tasks"].values():
        for found in task["metrics"].values():
            assert figures.number(found["value"]) in page.text
            if found["low"] is not None:
                assert f"{figures.number(found['low'])} to {figures.number(found['high'])}" in page.text
            else:
                assert f"{figures.number(found['value'])} none: one group" in page.text
            if found["chance"] is not None:
                assert f"chance {figures.number(found['chance'])}" in page.text


def test_facts_are_shown(page):
    for fact in ("default", "abcdef0123456789", "612", "17", "60", "bf16", "00c0ffee", "synthetic", "48"):
        assert fact in page.text
    assert "best step 48" in page.text


def test_nothing_is_loaded_from_elsewhere(html, page):
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    for tag, attributes in page.tags:
        for name in ("src", "href", "data", "poster", "srcset", "action"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), (tag, attributes)
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none'")


def test_dynamic_text_is_escaped(html, page):
    assert "<script>alert" not in html
    assert EVIL in page.text
    assert ARABIC in page.text
    assert "empty file <b>" in page.text
    assert len(page.all("script")) == 2  # the map's data and the page's own


def test_sound_is_in_the_page_and_decodes(page):
    sounds = page.all("audio")
    assert len(sounds) > 4  # four answers, and tracks beside their neighbours
    for number, player in enumerate(sounds):
        head, _, content = player["src"].partition(",")
        assert head == "data:audio/mpeg;base64"
        assert player["preload"] == "none"
        audio, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
        assert audio.ndim == 1
        assert len(audio) / rate == pytest.approx(1.5 if number < 4 else 1.0, abs=0.1)
        assert np.abs(audio).max() > 0.1


def test_missing_sound_says_why(page):
    assert "No sound: there is no such file" in page.text


def test_sound_after_the_end_of_a_file_is_an_error(tmp_path):
    make_manifest(tmp_path, 1)
    with pytest.raises(AudioError, match=r"t0\.wav: ends before 5 s"):
        sound.data_uri(tmp_path / "t0.wav", 5.0, 9.0)


def test_sound_stops_at_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "LIMIT", 10_000)
    page = Page(make_report(tmp_path).read_text(encoding="utf-8"))
    assert 1 <= len(page.all("audio")) < 4
    assert "left out to keep this page small" in page.text


def test_relevance_is_shown_only_where_it_is_known():
    manifest = make_manifest_only()
    hits = [{"rank": 1, "track_id": track, "start": 0, "end": 1} for track in ("t1", "t2")]
    examples = [{"query": q, "hits": hits} for q in ("EN  review of 1", "some cello")]
    known, unknown = listening.answers(examples, manifest, sound.Excerpts(100_000))
    assert [hit["right"] for hit in known["hits"]] == [True, False]
    assert [hit["right"] for hit in unknown["hits"]] == [None, None]
    assert known["hits"][0]["tags"] == ["oud", "calm"]


def make_manifest_only():
    return Manifest.build(
        pd.DataFrame({"track_id": ["t1", "t2"], "path": ["no1.wav", "no2.wav"]}),
        texts=pd.DataFrame({"text_id": ["a"], "track_id": ["t1"], "text": ["en review of 1"]}),
        tags=pd.DataFrame({"track_id": ["t1", "t1"], "tagset": ["i", "m"], "tag": ["oud", "calm"]}),
    )


def test_map_has_every_track_and_query(html, page):
    assert len(page.all("circle")) == 40
    assert len(page.all("g", **{"class": "query"})) == 3
    data = json.loads(html.split('type="application/json">')[1].split("</script>")[0])
    assert data["labels"][0] == f"{EVIL} — Łukasz & Co"
    instrument, mood = data["columns"]  # one tag a track first
    assert (instrument["name"], mood["name"]) == ("instrument", "mood")
    assert [instrument["values"][of[0]] for of in instrument["of"][:4]] == ["cello", "oud", "ney", "violin"]
    assert [len(of) for of in mood["of"][:5]] == [0, 1, 2, 3, 0]
    assert [(name, len(places)) for name, places in data["layouts"]] == [("t-SNE", 43)]


def test_map_puts_tracks_of_a_kind_together_and_repeats_itself(tmp_path):
    embedded = make_embedded(make_manifest(tmp_path, 60, with_sound=0))
    found = space.space_map(embedded, "test", ["a cello"], seed=3)
    assert found == space.space_map(embedded, "test", ["a cello"], seed=3)
    places = np.array(found.points)
    centres = np.array([places[n::4].mean(axis=0) for n in range(4)])
    nearest = np.linalg.norm(places[:, None] - centres[None], axis=-1).argmin(axis=1)
    assert (nearest == np.arange(60) % 4).mean() > 0.9
    assert (places > 0).all()
    assert (places < space.SIZE).all()


def test_map_draws_at_most_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "TRACKS", 20)
    found = space.space_map(make_embedded(make_manifest(tmp_path, 30, with_sound=0)), "test", [], seed=0)
    assert (len(found.points), found.total, found.queries) == (20, 30, [])


def test_similarities_separate_own_from_other_pairs(tmp_path):
    manifest = make_manifest(tmp_path, 12, with_sound=0)
    embedded = make_embedded(manifest)
    found = pairs.texts_and_tracks(embedded, "test", seed=0)
    cosines = embedded.texts(list(manifest.texts["text"])) @ embedded.vectors("test").vectors.T
    about, tracks = manifest.relevance(), embedded.vectors("test").track_ids
    own, other = [], []
    for row, text in enumerate(manifest.texts["text_id"]):
        for column, track in enumerate(tracks):
            (own if track in about[text] else other).append(cosines[row, column])
    wins = [(a > b) + 0.5 * (a == b) for a in own for b in other]
    assert found.separated == pytest.approx(np.mean(wins))


def test_empty_states(tmp_path):
    ids = ["a", "b", "c"]
    bare = Manifest.build(
        pd.DataFrame({"track_id": ids, "path": ids}),
        splits=pd.DataFrame({"track_id": ids, "name": "default", "part": "test"}),
    )
    run = make_run(tmp_path, steps=0)
    for file in run.folder.iterdir():
        file.unlink()
    page = Page(report.write(run, make_embedded(bare), {}).read_text(encoding="utf-8"))
    for said in (
        "No task was run.",
        "Nothing was logged.",
        "Nothing was monitored.",
        "too few tracks for a map",
        "no texts to compare",
        "No example queries",
        "Nothing was skipped.",
        "config.yaml is not there",
        "environment.json is not there",
    ):
        assert said in page.text
    assert page.open == []


def test_tracks_without_tags_and_a_run_without_validation(tmp_path):
    manifest = make_manifest(tmp_path, 12, with_sound=0)
    run = make_run(tmp_path, steps=5)
    embedded = make_embedded(replace(manifest, tags=manifest.tags.iloc[:0]))
    page = Page(report.write(run, embedded, {"tasks": {}}).read_text(encoding="utf-8"))
    assert "no tags to colour by" in page.text
    assert "There was no validation." in page.text
    assert page.all("select") == []


def test_skipped_are_counted_and_the_first_are_shown(page):
    assert "25 skipped as the data were read, 1 as the test part was embedded." in page.text
    assert "truncated after 3 s" in page.text
    assert "And 16 more in skipped.csv." in page.text


def test_best_step_is_the_first_highest_score():
    rows = [{"step": s, "valid/score": v} for s, v in ((0, math.nan), (10, 0.5), (20, 0.7), (30, 0.7))]
    assert tables.best_step(rows) == 20
    assert tables.best_step([{"step": 1, "loss": 3.0}]) is None


def test_charts_show_terms_only_if_there_are_several():
    one, _ = tables.charts([{"step": 1, "loss": 3.0, "clip": 3.0, "lr": 0.1, "grad_norm": 2.0}])
    assert [curve.name for curve in one[0].curves] == ["loss"]
    two, _ = tables.charts([{"step": 1, "loss": 3.0, "clip": 2.0, "order": 1.0}])
    assert [curve.name for curve in two[0].curves] == ["loss", "clip", "order"]


def test_a_chart_for_each_measure_of_collapse():
    rows = [{"step": step, "loss": 1.0, "clip": 0.5, "byol": 0.5, **make_look(step)} for step in (20, 40)]
    found = {chart.title: chart for chart in tables.monitored(rows)}
    assert {title: [curve.name for curve in chart.curves] for title, chart in found.items()} == {
        "Deviation": ["audio", "features", "byol"],
        "Rank": ["byol"],
        "Uniformity": ["audio"],
        "Alignment": ["text"],
        "Gap": ["modality"],
        "Norm of a term's gradient": ["clip", "byol"],
        "Cosine of two objectives' gradients": ["clip and byol"],
    }
    assert [curve.figure for curve in found["Deviation"].curves] == ["0.329", "0.900", "0.500"]
    training, _ = tables.charts(rows)
    assert [curve.name for curve in training[0].curves] == ["loss", "clip", "byol"]
    assert tables.monitored([{"step": 1, "loss": 1.0}]) == []


def test_alarms_are_shown_with_their_steps(tmp_path, page):
    assert f"Step 60 the audio vectors {EVIL} are nearly equal: raise the temperature" in page.text
    assert "No alarm was raised." not in page.text
    assert "Collapses told 1" in page.text
    run = make_run(tmp_path)
    assert report.alarms(run) == [f"step 60: the audio vectors {EVIL} are nearly equal: raise the temperature"]
    run.write_csv()
    logged = pd.read_csv(run.folder / "metrics.csv")["alarm"].dropna()
    assert list(logged) == [f"the audio vectors {EVIL} are nearly equal: raise the temperature"]
    run.rewind(59)
    assert report.alarms(run) == []
    calm = Page(report.write(run, make_embedded(make_manifest(tmp_path, 4, 0)), {}).read_text(encoding="utf-8"))
    assert "No alarm was raised." in calm.text
    assert "Collapses told" not in calm.text


def test_table_has_a_row_for_each_group_and_subset():
    found = tables.table("retrieval", make_results()["tasks"]["retrieval"])
    assert [(row.group, row.subset) for row in found.rows] == [
        ("text to audio", ""),
        ("text to audio", "review · en"),
        ("text to audio", "review · de"),
        ("text to audio", "review · tr"),
        ("audio to text", ""),
        ("audio to audio", ""),
    ]
    assert found.measures == ["recall@10", "median_rank"]
    assert found.scale == 1.0


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.12345, "0.123"), (1.0, "1.000"), (7.0, "7"), (306.54, "306.5"), (None, "–"), (math.nan, "–"), (0, "0.000")],
)
def test_number(value, shown):
    assert figures.number(value) == shown


@pytest.mark.parametrize(("highest", "round_number"), [(0.03, 0.05), (0.5, 0.5), (0.51, 1), (7, 10), (0, 1)])
def test_ceiling(highest, round_number):
    assert figures.ceiling([highest, math.nan]) == pytest.approx(round_number)


def test_ticks_are_round_and_inside():
    scale = figures.Scale(0.13, 0.91, 46, 388)
    assert [label for _, label in scale.ticks()] == ["0.2", "0.4", "0.6", "0.8"]
    assert scale.ticks()[0][0] == pytest.approx(46 + (0.2 - 0.13) / 0.78 * 342, abs=0.06)
    assert all(46 <= place <= 388 for place, _ in scale.ticks())


def test_long_lines_are_thinned_to_means():
    points = [(step, float(step % 2)) for step in range(4000)]
    thinned = figures.thin([*points, (4000, math.nan)])
    assert len(thinned) == figures.POINTS
    assert thinned[0] == (4.5, 0.5)
    assert figures.thin(points[:10]) == points[:10]


def test_a_single_point_and_a_flat_histogram_are_drawn():
    assert figures.line_chart("x", {"a": [(3, 2.0)]}).curves[0].path.endswith("h0")
    assert figures.histogram("x", {"a": np.ones(3), "b": np.ones(2)}).curves[0].figure == "median 1.000"


def test_an_infinite_loss_is_left_out_of_the_line():
    chart = figures.line_chart("x", {"a": [(1, 2.0), (2, math.inf), (3, 1.0)]})
    assert "inf" not in chart.curves[0].path
    assert "nan" not in chart.curves[0].path
