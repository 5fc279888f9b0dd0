"""The page in a real browser, before the real server: search, play, drop, filter, wander, keys, and what goes wrong."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.parse
import urllib.request

import numpy as np
import pandas as pd
import pytest
import soundfile
import uvicorn
from browsing import OVERFLOW

from crossmodal.asking import Asker
from crossmodal.search import SearchIndex
from crossmodal.serve.app import create
from crossmodal.serve.guard import Token
from crossmodal.serve.limits import Limits
from crossmodal.serve.served import Served

pytestmark = pytest.mark.slow

EVIL = '<img src=x onerror="window.evil = 1">\u202e"\' & <script>window.evil = 1</script>'
ODD = "../a b/?&<é>%2e +not -this@1-2^3"
SECRET = "a-token-of-the-tests"
WORDS = "a slow piano"


class Running:
    """The server on a port of this machine, until it is stopped."""

    def __init__(self, served, token=None, port=0):
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/"
        app = create(served, token=token and Token(token))
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self):
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()

    def ask(self, path, body=None, **query):
        """What the API says, asked without the page."""
        where = f"{self.address}api/{path}?{urllib.parse.urlencode(query, doseq=True)}"
        body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(where, body, {"Content-Type": "application/json"})) as found:
            return json.load(found)


def tracks_of(files):
    """Titles and an id that would break a page."""
    count = len(files)
    titles = [EVIL, "عنوان بالعربية", *(f"Piece {i} " + "and a long title " * (i % 3) for i in range(2, count))]
    return pd.DataFrame(
        {
            "track_id": [ODD if i == 3 else f"t{i}" for i in range(count)],
            "title": titles,
            "artist": [EVIL if i == 0 else f"Artist {i % 4}" for i in range(count)],
            "album": ["" if i % 2 else "Album" for i in range(count)],
            "duration": 3.5,
            "path": [str(path) for path in files],
            "year": [1990.0 + i for i in range(count)],
            "tags.mood": [["sad"] if i % 2 else ["happy", "calm"] for i in range(count)],
            "tags.genre": [[f"genre {i % 3}"] for i in range(count)],
        }
    )


def opened(model, files, folder, tracks):
    sounds = (soundfile.read(path, dtype="float32")[0][None] for path in files)
    frontend = model.audio_encoder.frontend
    embedded = list(model.embed_features(np.concatenate(list(frontend.stream([sound]))) for sound in sounds))
    ids = zip(tracks["track_id"], embedded, strict=True)
    rows = [(name, *bounds) for name, track in ids for bounds in track.bounds]
    vectors = np.concatenate([track.vectors for track in embedded])
    segments = pd.DataFrame(rows, columns=["track_id", "start", "end"])
    return Asker(SearchIndex.build(folder, vectors, segments, tracks, model.fingerprint), model)


@pytest.fixture(scope="module")
def library(model, files, tmp_path_factory):
    return opened(model, files, tmp_path_factory.mktemp("page"), tracks_of(files))


def serving(asker, **limits):
    return Served(asker, "library", [WORDS, "fast drums in the rain"], Limits(**limits))


@pytest.fixture(scope="module")
def api(library):
    running = Running(serving(library))
    yield running
    running.stop()


@pytest.fixture
def start():
    """Further servers, which outlive the pages that ask them."""
    started = []

    def run(served, **how):
        started.append(Running(served, **how))
        return started[-1]

    yield run
    for running in started:
        running.stop()


@pytest.fixture
def visit(browser, api, start):
    """Open the page; at the end, nothing may have gone wrong in it, and only its own server been asked.

    ``expected`` is part of what the console may say, such as the status of an answer that is provoked.
    """
    contexts, said, asked, allowed = [], [], [], []

    def visited(hash="", width=1280, scheme="light", address=api.address, expected=""):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        allowed.append(expected)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}{hash}")
        return page

    yield visited
    for context in contexts:
        context.close()
    assert [text for text in said if not any(part and part in text for part in allowed)] == []
    assert {urllib.parse.urlsplit(address).hostname for address in asked} == {"127.0.0.1"}


def search(page, text=WORDS):
    page.fill("#box", text)
    page.keyboard.press("Enter")
    settled(page)


def settled(page):
    """Wait for an answer, or what is said instead of one."""
    page.wait_for_function(
        """() => !document.body.matches('.waits, .home') && document.querySelector('#results').ariaBusy !== 'true'
            && (document.querySelector('.hit .title') || document.querySelector('#notice p'))"""
    )


def titles(page):
    return page.locator(".hit .title").all_text_contents()


def names(found):
    return [hit["title"] for hit in found["hits"]]


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def sounding(page):
    """Wait until something plays; its time and whose it is."""
    page.wait_for_function(
        "() => { const one = document.querySelector('audio'); return !one.paused && one.currentTime > 0; }"
    )
    return page.evaluate(
        "({ time: document.querySelector('audio').currentTime, source: document.querySelector('audio').src })"
    )


def drop(page, name, content):
    """A file, dropped as from a desktop."""
    page.evaluate(
        """([name, content]) => {
            const dataTransfer = new DataTransfer();
            const bytes = Uint8Array.from(content, (one) => one.charCodeAt(0));
            dataTransfer.items.add(new File([bytes], name, { type: "audio/wav" }));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
                document.querySelector("main").dispatchEvent(event);
                if (kind === "dragover") window.veiled = !document.querySelector("#drop").hidden;
            }
        }""",
        [name, content.decode("latin-1")],
    )


def test_words_are_answered(visit, api):
    page = visit()
    page.wait_for_selector("#examples button")
    assert page.locator("#examples button").all_text_contents() == [WORDS, "fast drums in the rain"]
    page.locator("#examples button").first.click()
    settled(page)
    found = api.ask("search", {"query": WORDS})
    assert titles(page) == names(found)
    shown = page.locator(".when").all_text_contents()
    assert shown == [f"{clock(hit['start'])}–{clock(hit['end'])}" for hit in found["hits"]]
    assert page.locator(".score b").all_text_contents() == [f"{hit['score']:.2f}" for hit in found["hits"]]
    assert page.inner_text("#status").startswith("10 tracks in ")
    assert page.title() == f"{WORDS} – library"
    assert not page.locator("#further").is_hidden()
    page.click("#further")
    page.wait_for_function("() => document.querySelectorAll('.hit').length === 12")
    assert page.locator("#further").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_page_fits_and_follows_the_colour_scheme(visit, tmp_path, width, scheme):
    page = visit(width=width, scheme=scheme, expected="422")
    page.wait_for_selector(".map-plane canvas")

    def fits(state):
        page.screenshot(path=tmp_path / f"{state}.png")
        assert page.evaluate(OVERFLOW) == 0, state

    fits("home")
    red, green, blue = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (red + green + blue > 600) == (scheme == "light")
    search(page, "a word " * 30)
    fits("results")
    page.locator(".hit .play").first.click()
    page.locator(".hit .fold").first.click()
    page.click("#narrow")
    fits("details, filters and player")
    page.click("[data-view=map]")
    page.wait_for_selector(".map-plane")
    fits("map")
    page.click("[data-view=list]")
    for number in range(3):
        page.locator(".hit [data-act=plus]").nth(number).click()
        settled(page)
    page.set_input_files(
        "#file", {"name": "a very long name of a file " * 8 + ".wav", "mimeType": "", "buffer": b"no sound"}
    )
    page.wait_for_selector("#notice p")
    fits("pills and an error")
    page.click("#keys")
    fits("help")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(visit, scheme):
    page = visit(scheme=scheme)
    read = "name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()"

    def luminance(name):
        digits = page.evaluate(read, name).removeprefix("#")
        digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    def contrast(*names):
        low, high = sorted(luminance(name) for name in names)
        return (high + 0.05) / (low + 0.05)

    grounds = ("paper", "panel", "raised")
    assert min(contrast(ink, ground) for ink in ("ink", "soft", "accent", "warn") for ground in grounds) >= 4.5
    assert contrast("on-accent", "accent") >= 4.5


def test_a_result_plays_from_the_matching_second(visit, api):
    page = visit()
    search(page)
    found = api.ask("search", {"query": WORDS})["hits"]
    number = next(n for n, hit in enumerate(found) if hit["start"] > 0)
    row = page.locator(".hit").nth(number)
    row.locator(".play").click()
    heard = sounding(page)
    assert found[number]["start"] - 0.001 <= heard["time"] < found[number]["start"] + 1
    assert heard["source"] == f"{api.address}api/audio?{urllib.parse.urlencode({'id': found[number]['track_id']})}"
    assert row.get_attribute("class") == "hit current"
    assert page.inner_text("#player .title").strip() == found[number]["title"].strip()
    assert row.locator(".play").get_attribute("aria-label").startswith("Pause ")
    row.locator(".play").click()
    page.wait_for_function("() => document.querySelector('audio').paused")
    box = row.locator("canvas").bounding_box()
    row.locator("canvas").click(position={"x": box["width"] * 0.25, "y": 10})
    assert 0.8 <= sounding(page)["time"] < 2  # a quarter of 3.5 s
    other = page.locator(".hit").nth(number + 1)
    other.locator(".play").click()
    page.wait_for_function("() => document.querySelectorAll('.hit.current').length === 1")
    assert "current" in other.get_attribute("class")
    page.click("#player [data-act=close]")
    assert page.locator("#player").is_hidden()
    assert page.locator(".hit.current").count() == 0


def test_the_player_is_a_slider(visit):
    page = visit("#q=piano")
    settled(page)
    page.locator(".hit .play").first.click()
    sounding(page)
    page.click("#player .play")
    slider = page.locator("#player canvas")
    slider.focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "0:03 of 0:03"
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuenow") == "0"


@pytest.mark.parametrize("how", ["dropped", "chosen"])
def test_a_sound_is_searched_with(visit, api, files, how):
    page, content = visit(), files[2].read_bytes()
    page.wait_for_selector("#examples button")
    if how == "dropped":
        drop(page, "my sound.wav", content)
        assert page.evaluate("window.veiled")
    else:
        page.set_input_files("#file", {"name": "my sound.wav", "mimeType": "audio/wav", "buffer": content})
    settled(page)
    assert page.locator("#drop").is_hidden()
    assert page.locator("#pills li").all_inner_texts() == ["my sound.wav"]
    assert titles(page) == names(api.ask("search/upload", content))
    assert "the sound itself left out" in page.inner_text("#status")
    search(page, "+loud -rain")
    assert titles(page) == names(api.ask("search/upload", content, query="+loud -rain"))
    page.fill("#from", "0:01")
    page.fill("#to", "2.5")
    page.keyboard.press("Enter")
    page.wait_for_url("**to=2.5**")
    settled(page)
    found = api.ask("search/upload", content, query="+loud -rain", start=1, stop=2.5)
    assert page.locator(".score b").all_text_contents() == [f"{hit['score']:.2f}" for hit in found["hits"]]
    page.click("#pills button")
    settled(page)
    assert titles(page) == names(api.ask("search", {"query": "+loud -rain"}))


def test_a_sound_is_not_part_of_an_address(visit):
    page = visit("#sound=gone.wav&q=piano")
    settled(page)
    assert "“gone.wav” was not kept" in page.inner_text("#notice")
    page.click("#notice button")
    page.wait_for_selector(".hit .title")
    assert page.url.endswith("#q=piano")


def test_filters(visit, api):
    page = visit()
    search(page)
    page.click("#narrow")
    page.locator(".pill", has_text="sad").click()
    page.wait_for_url("**is.tags.mood=sad**")
    settled(page)
    assert titles(page) == names(api.ask("search", {"query": WORDS, "where": ["tags.mood=sad"]}))
    assert page.locator("#active .chip").all_text_contents() == ["mood: sad"]
    assert page.inner_text("#narrowed") == "1"
    least = page.get_by_label("year: at least")
    least.fill("1995")
    least.press("Enter")
    page.wait_for_url("**least.year=1995**")
    settled(page)
    assert titles(page) == names(api.ask("search", {"query": WORDS, "where": ["tags.mood=sad", "year>=1995"]}))
    page.get_by_label("Of an artist").select_option("1")
    page.wait_for_url("**artist=1**")
    settled(page)
    wanted = {"query": WORDS, "where": ["tags.mood=sad", "year>=1995"], "per_artist": 1}
    assert titles(page) == names(api.ask("search", wanted))
    page.go_back()
    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('#active .chip').length === 1")
    settled(page)
    assert titles(page) == names(api.ask("search", {"query": WORDS, "where": ["tags.mood=sad"]}))
    page.click("#active .chip")
    page.wait_for_function("() => document.querySelectorAll('.hit').length === 10")
    assert titles(page) == names(api.ask("search", {"query": WORDS}))


def test_nothing_meets_the_filters(visit):
    page = visit("#q=piano&is.tags.mood=sad&most.year=1989")
    settled(page)
    assert "Nothing meets the filters." in page.inner_text("#notice")
    page.click("#notice button")
    page.wait_for_selector(".hit .title")
    assert page.url.endswith("#q=piano")


def test_a_value_of_a_result_is_a_filter(visit, api):
    page = visit("#q=piano")
    settled(page)
    found = api.ask("search", {"query": "piano"})["hits"]
    number = next(n for n, hit in enumerate(found) if hit["artist"] == "Artist 2")
    page.locator(".hit").nth(number).locator(".by button", has_text="Artist 2").click()
    page.wait_for_url("**is.artist=Artist+2**")
    settled(page)
    assert titles(page) == names(api.ask("search", {"query": "piano", "where": ["artist=Artist 2"]}))


def test_more_like_this(visit, api):
    page = visit()
    search(page)
    hit = next(hit for hit in api.ask("search", {"query": WORDS, "k": 12})["hits"] if hit["track_id"] == ODD)
    page.goto(f"{api.address}#{urllib.parse.urlencode({'q': WORDS, 'k': 12})}")
    page.wait_for_function("() => document.querySelectorAll('.hit').length === 12")
    row = page.locator(".hit").nth(hit["rank"] - 1)
    row.locator("[data-act=like]").click()
    page.wait_for_url("**also=**")
    settled(page)
    asked = f'id:"{ODD}"@{hit["start"]}-{hit["end"]}'
    assert titles(page) == names(api.ask("search", {"query": asked}))
    assert page.input_value("#box") == ""
    assert page.locator("#pills bdi").all_text_contents() == [f"Like {hit['title']}"]
    other = api.ask("search", {"query": asked})["hits"][1]
    page.locator(".hit").nth(1).locator("[data-act=minus]").click()
    page.wait_for_url("**not=**")
    settled(page)
    both = f'{asked} -id:"{other["track_id"]}"@{other["start"]}-{other["end"]}'
    assert titles(page) == names(api.ask("search", {"query": both}))
    search(page, "loud -rain")
    assert titles(page) == names(api.ask("search", {"query": f"loud -rain +{both}"}))
    again = visit(page.url.removeprefix(api.address))
    settled(again)
    assert titles(again) == titles(page)
    again.wait_for_function(
        "title => document.querySelector('#pills bdi').textContent === title", arg=f"Like {hit['title']}"
    )


def test_the_map_is_wandered_in(visit, api):
    page = visit()
    page.wait_for_selector(".map-legend button")
    assert page.locator(".map-legend button").count() == 3
    box = page.locator(".map-plane").bounding_box()
    page.locator(".map-plane").scroll_into_view_if_needed()
    box = page.locator(".map-plane").bounding_box()
    places = [(x, y) for y in range(10, int(box["height"]), 12) for x in range(10, int(box["width"]) - 60, 12)]
    for x, y in places:
        page.mouse.move(box["x"] + x, box["y"] + y)
        if page.locator(".map-plane canvas.on").count():
            break
    page.mouse.click(box["x"] + x, box["y"] + y)
    page.wait_for_selector("#player:not([hidden])")
    known = {track["title"] for track in api.ask("search", {"query": WORDS, "k": 12})["hits"]}
    assert page.locator("#player .title").text_content() in known
    page.click("#player [data-act=close]")
    page.locator(".map-plane").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#player:not([hidden])")
    page.select_option("#colour", "tags.mood")
    page.wait_for_url("**colour=tags.mood**")
    page.wait_for_function("() => document.querySelector('.map-legend').textContent.includes('sad')")


def test_the_map_is_a_view_of_the_answers(visit):
    page = visit("#q=piano", width=375)
    settled(page)
    assert page.locator("#atlas").is_hidden()
    page.click("[data-view=map]")
    page.wait_for_selector(".map-plane")
    assert page.locator("#results").is_hidden()
    assert page.url.endswith("view=map")
    page.go_back()
    page.wait_for_selector("#results:not([hidden])")
    page.locator(".hit .play").first.click()
    page.click("#player [data-act=place]")
    page.wait_for_selector(".map-tip:not([hidden])")
    assert page.locator(".map-tip").text_content().startswith(page.locator("#player .title").text_content()[:20])


def test_keys_alone(visit, api):
    page = visit()
    page.wait_for_selector("#examples button")
    focused = "document.activeElement.closest('.hit')?.querySelector('.title').textContent"
    page.keyboard.press("/")
    page.keyboard.type(WORDS)
    page.keyboard.press("Enter")
    settled(page)
    found = api.ask("search", {"query": WORDS})
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == names(found)[1]
    page.keyboard.press("Enter")
    sounding(page)
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('audio').paused")
    page.keyboard.press("m")
    page.wait_for_url("**also=**")
    settled(page)
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == page.locator(".hit .title").first.text_content()
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "box"
    page.keyboard.press("Backspace")
    page.wait_for_selector("body.home")
    page.keyboard.type(WORDS)
    page.keyboard.press("Enter")
    settled(page)
    page.keyboard.press("Escape")
    page.wait_for_selector("body.home")
    assert page.input_value("#box") == ""
    assert page.url == api.address
    page.keyboard.press("Escape")  # lets go of the box
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()


def test_all_that_is_pressed_has_a_name(visit):
    page = visit("#q=piano")
    settled(page)
    page.locator(".hit .play").first.click()
    page.click("#narrow")
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, select, canvas[tabindex]")].filter((one) => !(
            one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim() || one.hidden
        )).map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_titles_are_text(visit):
    page = visit("#q=piano&k=12")
    settled(page)
    assert EVIL in titles(page)
    page.locator(".hit").nth(titles(page).index(EVIL)).locator(".fold").click()
    page.locator(".hit").nth(titles(page).index(EVIL)).locator("[data-act=like]").click()
    page.wait_for_url("**also=**")
    settled(page)
    assert page.locator("#pills bdi").all_text_contents() == [f"Like {EVIL}"]
    assert page.evaluate("window.evil") is None
    assert page.locator("main img").count() == 0
    assert page.locator("script").count() == 2


def test_a_sound_that_is_gone(visit, start, model, files, tmp_path):
    tracks = tracks_of(files)
    tracks.loc[5, "path"] += ".gone"
    running = start(serving(opened(model, files, tmp_path / "index", tracks)))
    page = visit("#q=piano&k=12", address=running.address, expected="404")
    settled(page)
    found = running.ask("search", {"query": "piano", "k": 12})["hits"]
    number = next(n for n, hit in enumerate(found) if hit["track_id"] == "t5")
    page.locator(".hit .play").nth(number).click()
    page.wait_for_function("() => document.querySelector('#player .trouble').textContent")
    assert page.inner_text("#player .trouble") == f"The sound of “{found[number]['title']}” is not there."
    assert page.locator(".wave").nth(number).inner_text() == "Its sound is not there."
    page.locator(".hit .play").nth(number - 1).click()
    sounding(page)
    assert page.inner_text("#player .trouble") == ""


def test_a_catalogue_without_sound(visit, start, model, files, tmp_path):
    running = start(serving(opened(model, files, tmp_path / "index", tracks_of(files).drop(columns="path"))))
    page = visit("#q=piano", address=running.address)
    settled(page)
    assert page.locator(".hit .play").first.is_hidden()
    assert page.evaluate(OVERFLOW) == 0


def test_what_was_typed_wrongly_is_said(visit, api):
    page = visit(expected="422")
    search(page, 'an "open quote')
    assert (
        page.inner_text("#notice p")
        == 'query, character 4: this quote is not closed; put another " after what it begins'
    )
    page.click("#notice button")
    page.wait_for_selector(".hit .title")
    assert titles(page) == names(api.ask("search", {"query": 'an "open quote', "plain": True}))
    search(page, "-drums")
    assert "what is not wanted" in page.inner_text("#notice p")


def test_a_file_that_is_no_sound(visit):
    page = visit(expected="422")
    page.wait_for_selector("#examples button")
    drop(page, "notes.txt", b"no sound at all")
    settled(page)
    assert page.locator("#notice p").count() == 1
    assert page.locator(".hit").count() == 0


def test_a_file_that_is_too_large(visit, start, library):
    running = start(serving(library, upload_bytes=1_000_000))
    page = visit(address=running.address)
    page.wait_for_selector("#examples button")
    page.set_input_files("#file", {"name": "long.wav", "mimeType": "audio/wav", "buffer": bytes(2_550_000)})
    page.wait_for_selector("#notice p")
    assert page.inner_text("#notice p") == "long.wav has 2.6 MB; at most 1 MB can be searched with."


def test_a_busy_server_is_asked_again(visit, api):
    page = visit(expected="429")
    page.wait_for_selector("#examples button")
    tries = []

    def busy(route):
        tries.append(1)
        if len(tries) > 2:
            return route.continue_()
        body = json.dumps({"detail": "too many are waiting"})
        return route.fulfill(status=429, body=body, headers={"Retry-After": "1", "Content-Type": "application/json"})

    page.route("**/api/search", busy)
    page.fill("#box", WORDS)
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('#status').textContent.startsWith('too many are waiting; asking again in 1 s')"
    )
    settled(page)
    assert titles(page) == names(api.ask("search", {"query": WORDS}))
    assert len(tries) == 3


def test_a_server_that_is_gone(visit, start, library):
    running = start(serving(library))
    page = visit(address=running.address, expected="ERR_CONNECTION_REFUSED")
    page.wait_for_selector(".map-legend button")
    running.stop()
    search(page)
    assert "does not answer" in page.inner_text("#notice p")
    start(serving(library), port=running.port)
    page.click("#notice button")
    page.wait_for_selector(".hit .title")


def test_a_token_is_asked_for(visit, start, library):
    running = start(serving(library), token=SECRET)
    page = visit("#q=piano", address=running.address, expected="401")
    page.wait_for_selector("#door[open]")
    page.keyboard.type("a wrong one")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#refused').textContent")
    page.fill("#token", SECRET)
    page.keyboard.press("Enter")
    settled(page)
    page.locator(".hit .play").first.click()
    sounding(page)
    assert page.locator("#door").is_hidden()


def test_an_address_says_what_is_asked(visit):
    page = visit()
    state = {
        "text": 'a "b" +c -d & é', "plain": True, "sound": "my sound.wav", "from": "0:01", "to": "2.5",
        "tracks": [
            {"id": ODD, "start": 0.5, "end": 1.25, "wanted": True},
            {"id": "t 1", "start": None, "end": None, "wanted": False},
        ],
        "is": {"tags.mood": ["sad", "a|b=c"], "x.y=z": [""]}, "least": {"year": 0}, "most": {"duration": -1.5},
        "artist": 2, "k": 30, "match": "late", "copies": True, "view": "map", "colour": "tags.mood",
    }  # fmt: skip
    again = (
        "async (state) => { const { read, write } = await import('/page/state.js'); return read('#' + write(state)); }"
    )
    assert page.evaluate(again, state) == state
    said = "async (state) => (await import('/page/state.js')).wishes(state)"
    assert page.evaluate(said, state) == {
        "query": f'a "b" +c -d & é +id:"{ODD}"@0.5-1.25 -id:"t 1"', "k": 30, "per_artist": 2, "match": "late",
        "where": ['tags.mood="sad"|"a|b=c"', 'x.y=z=""', "year>=0", "duration<=-1.5"], "copies": True, "plain": False,
        "start": 1, "stop": 2.5,
    }  # fmt: skip
    odd = "#k=0&match=x&artist=-1&least.year=many&most.=&also=&view=x&is"
    read = "async (hash) => (await import('/page/state.js')).read(hash)"
    assert page.evaluate(read, odd) | {"tracks": [], "most": {}} == page.evaluate(read, "")
