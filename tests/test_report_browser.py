"""The report in a real browser: nothing breaks, nothing is fetched, sound plays, the map's colours change."""

from __future__ import annotations

import pytest
from browsing import OVERFLOW
from test_report import EVIL, make_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_report(tmp_path_factory.mktemp("report"), tracks=120)


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
        return page.evaluate("[...document.querySelectorAll('circle')].map((one) => getComputedStyle(one).fill)")

    by_instrument = fills()
    assert len(set(by_instrument)) == 4
    assert by_instrument[0] == by_instrument[4] != by_instrument[1]
    page.select_option(".legend select", "mood")
    assert fills() != by_instrument
    assert page.locator(".tags button").all_inner_texts() == [
        "calm 90",
        "dark 60",
        "long notes 30",
        "several tags 60",
        "no tag 30",
    ]


def test_a_tag_in_the_legend_shows_its_tracks_alone(visit):
    page = visit()
    button = page.locator(".tags button").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("circle.faded").count() == 90
    page.keyboard.press("Enter")
    assert page.locator("circle.faded").count() == 0


def test_a_track_says_what_it_is_to_pointer_and_keys(visit):
    page = visit()
    tip = page.locator(".tip")
    assert tip.is_hidden()
    page.locator("circle").nth(5).hover(force=True)
    assert "Łukasz & Co" in tip.inner_text()
    page.locator(".plane").focus()
    page.mouse.move(0, 0)
    page.keyboard.press("ArrowRight")
    assert tip.inner_text().startswith(f"{EVIL} — Łukasz & Co · cello")
    page.keyboard.press("Escape")
    assert tip.is_hidden()
