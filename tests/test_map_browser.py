"""The map in a real browser: it pans, zooms and plays, neighbours lead on, and nothing is fetched or forbidden."""

from __future__ import annotations

import functools
import http.server
import threading
from pathlib import Path

import pytest
from browsing import OVERFLOW
from test_map import EVIL, content, make_index

from crossmodal import report
from crossmodal.report import catalogue

pytestmark = pytest.mark.slow

POINTS = 5000
STRICT = "default-src 'self'; img-src 'self' data:"
# a map of 5,000 points on a page whose policy forbids whatever stands in the page itself
HTML = (
    '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><div id="map"></div>'
    '<script src="map.js"></script><script src="page.js"></script>'
)
SCRIPT = """
  const names = ["organ", "bells", "cello"], said = [];
  const points = Array.from({ length: 5000 }, (_, n) => ({ id: `t${n}`, title: `Piece ${n}`, artist: "A & B",
    x: Math.cos(n * 2.4) * Math.sqrt(n), y: Math.sin(n * 2.4) * Math.sqrt(n), group: n % 7 ? names[n % 3] : null }));
  const map = crossmodalMap(document.getElementById("map"), { points, groups: names,
    onpick: (point) => said.push(`pick ${point.id}`), onhover: (point) => said.push(`hover ${point?.id}`),
    onleave: () => said.push("leave") });
"""
# how many of the canvas's pixels are more opaque than a value of 255
INK = """(least) => { const canvas = document.querySelector("canvas"), { width, height } = canvas;
  const copy = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const data = copy.getImageData(0, 0, width, height).data;
  let count = 0; for (let n = 3; n < data.length; n += 4) count += data[n] > least; return count; }"""
# what the canvas shows, to tell whether it changed
LOOK = """() => document.querySelector("canvas").toDataURL()"""
FRAMES = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"""
SOUND = """() => { const audio = document.querySelector("#track audio");
  return { time: audio.currentTime, paused: audio.paused, error: audio.error, length: audio.duration }; }"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("map")
    index = make_index(folder)
    for audio in ("embed", "link"):
        catalogue.write(index, folder / f"{audio}.html", "My music", neighbours=6, audio=audio)
    return folder


@pytest.fixture
def visit(browser):
    """Open an address; at the end, the console must be clean, and nothing else but `fetched` asked for."""
    contexts, said, asked = [], [], set()

    def opened(address, width=1280, height=860, scheme="light", fetched=(), **more):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.add(request.url.split("#")[0]))
        page.goto(address)
        page.evaluate(FRAMES)
        asked.difference_update({address, *fetched})
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert {address for address in asked if not address.startswith(("data:", "file:"))} == set()


class Strict(http.server.SimpleHTTPRequestHandler):
    def end_headers(self):
        self.send_header("Content-Security-Policy", STRICT)
        super().end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "index.html").write_text(HTML, encoding="utf-8")
    (folder / "page.js").write_text(SCRIPT, encoding="utf-8")
    (folder / "map.js").write_bytes((Path(report.__file__).parent / "map.js").read_bytes())
    handler = functools.partial(Strict, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def alone(visit, served):
    """The component without the page of a catalogue, motion reduced."""
    return lambda **more: visit(
        served, fetched=(f"{served}map.js", f"{served}page.js"), reduced_motion="reduce", **more
    )


def until(page, expression):
    """Wait until it is true; the page's policy keeps playwright's own waiting from looking twice."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never: {expression}")


def middle(page):
    box = page.locator("canvas").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def place(page):
    """Of the point that was said last."""
    return page.evaluate(
        """() => { const name = document.querySelector(".map-said").textContent.split(",")[0];
        const point = points.find((one) => one.title === name); return [point.x, point.y]; }"""
    )


def said(page):
    return page.evaluate("said.splice(0)")


def test_five_thousand_points_under_a_strict_policy(alone):
    page = alone()
    assert page.evaluate(INK, 120) > POINTS * 5
    assert page.locator(".map-plane").get_attribute("aria-label").startswith(f"Map of {POINTS} tracks")
    assert page.locator(".map-legend button").all_inner_texts() == [
        "organ 1428",
        "bells 1429",
        "cello 1428",
        "none 715",
    ]
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.map-legend i')).backgroundColor")
        == "rgb(47, 111, 181)"
    )
    assert page.evaluate(OVERFLOW) == 0


def test_it_pans_and_zooms_with_the_mouse(alone):
    page = alone()
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    page.evaluate(FRAMES)
    page.mouse.move(x + 1, y)
    near, before = said(page)[-1], page.evaluate(LOOK)
    page.mouse.down()
    page.mouse.move(x + 60, y - 40, steps=4)
    page.mouse.up()
    page.evaluate(FRAMES)
    assert page.evaluate(LOOK) != before
    page.mouse.move(x + 61, y - 40)
    assert said(page)[-1] == near  # what was under the pointer went with it
    page.mouse.wheel(0, 5000)
    page.locator("[aria-label='Show all']").click()
    page.mouse.move(x, y)
    page.evaluate(FRAMES)
    assert not [one for one in said(page) if one.startswith("pick")]


def test_what_is_under_the_pointer_stays_there_in_a_zoom(alone):
    page = alone()
    x, y = middle(page)
    page.mouse.move(x + 120, y + 70)
    before = said(page)[-1]
    page.mouse.wheel(0, -300)
    page.evaluate(FRAMES)
    page.mouse.move(x, y)
    page.mouse.move(x + 120, y + 70)
    assert before.startswith("hover t")
    assert said(page)[-1] == before


def test_a_click_picks_and_a_click_beside_lets_go(alone):
    page = alone()
    x, y = middle(page)
    page.mouse.click(x, y)
    assert said(page)[-1] == "pick t0"
    assert page.locator(".map-said").inner_text() == "Piece 0, A & B"
    assert page.locator(".map-tip").inner_text().split("\n") == ["Piece 0", "A & B"]
    corner = page.locator("canvas").bounding_box()
    page.mouse.click(corner["x"] + 8, corner["y"] + 8)
    assert said(page)[-1] == "leave"
    page.evaluate(FRAMES)
    assert page.locator(".map-tip").is_hidden()


def test_keys_go_from_point_to_point(alone):
    page = alone()
    page.locator(".map-plane").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".map-said").inner_text().startswith("Piece 0")
    for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowUp", 1, -1), ("ArrowLeft", 0, -1), ("ArrowDown", 1, 1)):
        before = place(page)
        page.keyboard.press(key)
        assert sign * (place(page)[axis] - before[axis]) > 0
    page.keyboard.press("Enter")
    assert said(page)[-1].startswith("pick t")
    looks = [page.evaluate(LOOK)]
    for key in ("+", "Shift+ArrowLeft", "-", "0"):
        page.keyboard.press(key)
        page.evaluate(FRAMES)
        looks.append(page.evaluate(LOOK))
    assert len(set(looks[:4])) == 4
    assert looks[4] == looks[0]
    page.keyboard.press("Escape")
    assert said(page)[-1] == "leave"


def test_two_fingers_zoom_and_one_moves(alone):
    page = alone(has_touch=True, width=400)
    x, y = middle(page)
    touch = page.context.new_cdp_session(page)

    def fingers(kind, *places):
        points = [{"x": px, "y": py, "id": n} for n, (px, py) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = page.evaluate(INK, 120)
    fingers("touchStart", (x - 30, y), (x + 30, y))
    for wide in (50, 90, 150):
        fingers("touchMove", (x - wide, y), (x + wide, y))
    fingers("touchEnd")
    page.evaluate(FRAMES)
    zoomed = page.evaluate(INK, 120), page.evaluate(LOOK)
    assert zoomed[0] != before
    fingers("touchStart", (x, y))
    fingers("touchMove", (x + 50, y + 50))
    fingers("touchEnd")
    page.evaluate(FRAMES)
    assert page.evaluate(LOOK) != zoomed[1]
    assert not [one for one in said(page) if one.startswith("pick")]
    page.touchscreen.tap(x, y)
    assert said(page)[-1].startswith("pick t")


def test_hits_are_drawn_and_a_point_is_gone_to(alone):
    page = alone()
    looks = [page.evaluate(LOOK)]
    for act in ("map.highlight(['t4', 't2', 'not there'], 't3')", "map.focus('t4')", "map.highlight([])"):
        page.evaluate(act)
        page.evaluate(FRAMES)
        looks.append(page.evaluate(LOOK))
    assert len(set(looks)) == 4
    assert page.locator(".map-said").inner_text().startswith("Piece 4,")
    assert page.evaluate("map.focus('not there')") is False
    page.evaluate("map.redraw(points.slice(0, 10).map((one) => ({ ...one, group: ['organ', 'bells'] })), names)")
    page.evaluate(FRAMES)
    assert page.locator(".map-plane").get_attribute("aria-label").startswith("Map of 10 tracks")
    assert page.locator(".map-said").inner_text().startswith("Piece 4,")
    assert page.locator(".map-legend button").all_inner_texts() == ["organ 10", "bells 10", "several 10"]


def test_a_group_is_seen_alone(alone):
    page = alone()
    before, button = page.evaluate(INK, 120), page.locator(".map-legend button").first
    button.focus()
    page.keyboard.press("Enter")
    page.evaluate(FRAMES)
    alone_ink = page.evaluate(INK, 120)
    assert button.get_attribute("aria-pressed") == "true"
    assert 0 < alone_ink < before / 2
    page.keyboard.press("Enter")
    page.evaluate(FRAMES)
    assert page.evaluate(INK, 120) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_the_page_fits_and_follows_the_colour_scheme(visit, pages, tmp_path, width, scheme):
    page = visit((pages / "embed.html").as_uri(), width, scheme=scheme)
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue > 600) == (scheme == "light")
    page.locator(".map-plane").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector(".near li")
    assert page.evaluate(OVERFLOW) == 0
    page.fill("#find", "t")
    assert page.evaluate(OVERFLOW) == 0
    page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)


@pytest.mark.parametrize("audio", ["embed", "link"])
def test_a_click_plays_and_lists_what_is_near(visit, pages, audio):
    data = content((pages / f"{audio}.html").read_text(encoding="utf-8"))
    page = visit((pages / f"{audio}.html").as_uri())
    page.fill("#find", "étude 8")
    page.keyboard.press("Enter")
    row = [track["id"] for track in data["tracks"]].index("t/8")
    assert page.locator("#track h2").inner_text() == "Étude 8"
    shown = page.locator(".near li").all_inner_texts()
    for text, (other, score, *_) in zip(shown, data["neighbours"][row], strict=True):
        assert (data["tracks"][other]["title"] or data["tracks"][other]["id"]) in text
        assert f"{score:.3f}" in text
    until(page, "document.querySelector('#track audio').currentTime > 0.05")
    heard = page.evaluate(SOUND)
    assert heard["error"] is None
    if audio == "link":
        assert heard["length"] == pytest.approx(3.0, abs=0.1)
        assert heard["time"] >= data["tracks"][row]["from"]
    else:
        assert heard["length"] == pytest.approx(data["tracks"][row]["to"] - data["tracks"][row]["from"], abs=0.1)


def test_one_wanders_from_neighbour_to_neighbour_and_back(visit, pages):
    page = visit((pages / "embed.html").as_uri() + "#t%2F8", fetched=[(pages / "embed.html").as_uri()])
    assert page.locator("#track h2").inner_text() == "Étude 8"
    assert page.evaluate(SOUND)["paused"]  # nobody has clicked yet
    chosen = page.locator(".near .name").nth(2)
    name = chosen.locator("bdi").inner_text()
    chosen.click()
    assert page.locator("#track h2").inner_text() == name
    page.go_back()
    until(page, "document.querySelector('#track h2').textContent === 'Étude 8'")
    button = page.locator(".near .play:enabled").first
    button.click()
    page.wait_for_selector(".near .play.on")
    assert button.get_attribute("aria-label").startswith("Stop ")
    heard = button.get_attribute("aria-label").removeprefix("Stop ")
    assert page.locator("#track .silence").inner_text().startswith(f"Plays {heard}, 0:0")
    button.click()
    page.wait_for_selector(".near .play.on", state="detached")
    page.locator(".map-plane").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"


def test_finding_and_colours(visit, pages):
    page = visit((pages / "embed.html").as_uri())
    page.fill("#find", "KACIS")  # Kaçış
    assert page.locator("#found button bdi").all_inner_texts() == ["Kaçış 🎻🎶"]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#track h2").inner_text() == "Kaçış 🎻🎶"
    assert page.locator("#found").is_hidden()
    page.fill("#find", "lukasz kacis")
    assert page.locator("#found button").count() == 1
    page.fill("#find", "alert")
    page.keyboard.press("Enter")
    assert page.locator("#track h2").inner_text() == EVIL
    page.fill("#find", "nobody")
    assert page.locator("#found").inner_text() == "Nothing is called so."
    page.keyboard.press("Escape")
    assert page.locator(".map-legend bdi").all_inner_texts() == ["cello", "ney", "oud", "saz"]
    page.select_option("#colour", label="mood")
    assert page.locator(".map-legend bdi").all_inner_texts() == ["calm", "dark", "several", "none"]


def test_a_track_without_sound_says_why(visit, pages):
    page = visit((pages / "embed.html").as_uri() + "#t%2F7", fetched=[(pages / "embed.html").as_uri()])
    assert page.locator("#track .silence").inner_text() == "No sound: there is no such file."
    assert page.locator("#track audio").is_hidden()
