"""The report in a real browser: nothing breaks, nothing is fetched, sound plays, the map's colours change."""

from __future__ import annotations

import planted
import pytest
from browsing import OVERFLOW
from test_report import EVIL, make_embedded, make_manifest, make_results, make_run

from crossmodal import report
from crossmodal.snapshots import Snapshots

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    manifest = make_manifest(folder, 120)
    manifest.tracks["year"] = [1950 + n // 2 for n in range(120)]
    embedded, run = make_embedded(manifest), make_run(folder)
    planted.snapshots(Snapshots(run.folder / "snapshots"), embedded, (0, 60, 120))
    return report.write(run, embedded, planted.more(make_results()), planted.tables(embedded))


@pytest.fixture
def visit(browser, path):
    """Open the report; at the end, the console must be clean and the file itself the only thing asked for."""
    contexts, said, asked = [], [], []

    def opened(width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda request: said.append(f"failed: {request.url[:80]}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert {address for address in asked if not address.startswith("data:")} == {path.as_uri()}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_page_fits_and_follows_the_colour_scheme(visit, tmp_path, width, scheme):
    page = visit(width, scheme)
    assert page.evaluate(OVERFLOW) == 0
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue > 600) == (scheme == "light")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate(OVERFLOW) == 0
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)


def test_sound_plays_one_at_a_time(visit):
    page = visit()
    played = page.evaluate(
        """async () => {
            const [first, second] = document.querySelectorAll("audio");
            first.muted = second.muted = true;
            await first.play();
            await new Promise((done) => setTimeout(done, 400));
            const found = { time: first.currentTime, error: first.error, duration: first.duration };
            await second.play();
            await new Promise((done) => setTimeout(done, 100));
            return { ...found, paused: first.paused, other: second.paused };
        }"""
    )
    assert played["error"] is None
    assert played["time"] > 0.1
    assert played["duration"] == pytest.approx(1.5, abs=0.1)
    assert played["paused"]
    assert not played["other"]


def test_map_is_coloured_by_the_chosen_tagset(visit):
    page = visit()

    def fills():
        return page.evaluate(
            "[...document.querySelectorAll('#space-map circle')].map((one) => getComputedStyle(one).fill)"
        )

    by_instrument = fills()
    assert len(set(by_instrument)) == 4
    assert by_instrument[0] == by_instrument[4] != by_instrument[1]
    page.select_option("#space-map .colour", label="mood")
    assert fills() != by_instrument
    assert page.locator("#space-map .tags button").all_inner_texts() == [
        "calm 90",
        "dark 60",
        "long notes 30",
        "several 60",
        "none 30",
    ]


def test_map_is_coloured_by_numbers_in_steps(visit):
    page = visit()
    page.select_option("#space-map .colour", label="year")
    names = page.locator("#space-map .tags button").all_inner_texts()
    assert (len(names), names[0], names[-1]) == (10, "1950 to 1956 12", "2003 to 2009 12")
    fills = page.evaluate(
        "[...document.querySelectorAll('#space-map circle')].map((one) => getComputedStyle(one).fill)"
    )
    assert len(set(fills)) == 10


def places(page):
    found = page.evaluate(
        "[...document.querySelectorAll('#moving-map circle')].map((one) => [getComputedStyle(one).cx, one.style.cx])"
    )
    return [now for now, _ in found]


def test_the_slider_shows_the_map_of_a_step(visit):
    page = visit()
    slider, told = page.locator("#moving-map input"), page.locator("#moving-map output")
    last = places(page)
    assert told.inner_text() == "120"
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert told.inner_text() == "60"
    assert slider.get_attribute("aria-valuetext") == "step 60"
    page.wait_for_timeout(1000)
    assert places(page) != last
    page.keyboard.press("End")
    page.wait_for_timeout(1000)
    assert places(page) == last


def test_the_map_plays_from_the_start_to_the_end(visit):
    page = visit()
    button, told = page.locator("#moving-map .play"), page.locator("#moving-map output")
    button.click()
    assert (told.inner_text(), button.inner_text()) == ("0", "❚❚ Pause")
    for _ in range(50):  # wait_for_function is more than the page's policy allows
        page.wait_for_timeout(200)
        if told.inner_text() == "120":
            break
    assert button.inner_text() == "▶ Play"
    button.click()
    button.click()
    assert button.inner_text() == "▶ Play"
    said = told.inner_text()
    page.wait_for_timeout(1500)
    assert told.inner_text() == said


@pytest.mark.parametrize(("motion", "moves"), [("reduce", False), ("no-preference", True)])
def test_dots_glide_unless_less_motion_is_wanted(visit, motion, moves):
    page = visit()
    page.emulate_media(reduced_motion=motion)
    seconds = page.evaluate("getComputedStyle(document.querySelector('#moving-map circle')).transitionDuration")
    assert (seconds != "0s") == moves


def test_every_part_folds_out_and_fits_a_phone(visit):
    page = visit(375)
    for summary in page.query_selector_all("details:not([open]) > summary"):
        summary.focus()
        page.keyboard.press("Enter")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate(OVERFLOW) == 0
    for region in page.locator(".scroll").all():
        assert region.get_attribute("tabindex") == "0"
        assert region.get_attribute("aria-label")


def test_a_tag_in_the_legend_shows_its_tracks_alone(visit):
    page = visit()
    button = page.locator("#space-map .tags button").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("circle.faded").count() == 90
    page.keyboard.press("Enter")
    assert page.locator("circle.faded").count() == 0


def test_a_track_says_what_it_is_to_pointer_and_keys(visit):
    page = visit()
    tip = page.locator("#space-map .tip")
    assert tip.is_hidden()
    page.locator("#space-map circle").nth(5).hover(force=True)
    assert "Łukasz & Co" in tip.inner_text()
    page.locator("#space-map .plane").focus()
    page.mouse.move(0, 0)
    page.keyboard.press("ArrowRight")
    assert tip.inner_text().startswith(f"{EVIL} — Łukasz & Co · cello")
    page.keyboard.press("Escape")
    assert tip.is_hidden()
