"""The picture of the page in README.md: python docs/serve_picture.py RUN [PICTURE.png].

The page that `crossmodal serve RUN` shows, in headless Chromium (extra test), with the answers to the run's first
example query, the best of which plays.
"""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
from pathlib import Path

import uvicorn
from playwright.sync_api import Page, sync_playwright

from crossmodal.errors import InputError
from crossmodal.serve.app import create
from crossmodal.serve.server import open_served

OUT = Path(__file__).with_name("serve.png")
SIZE = {"width": 1280, "height": 900}
LISTENED = 1.2  # seconds into what matched
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
DRAWN = "() => document.querySelector('.map-legend button') && document.querySelector('.hit .title')"


def show(page: Page, query: str) -> None:
    """Search, wait for the map and the waveforms, and listen for a moment."""
    page.wait_for_selector("#examples button")
    page.fill("#box", query)
    for _ in range(2):  # the first answer waits for what is loaded once
        page.keyboard.press("Enter")
        page.wait_for_function(DRAWN)
    page.locator(".hit .play").first.click()
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0")
    start = page.evaluate("() => { const one = document.querySelector('audio'); one.pause(); return one.currentTime; }")
    page.evaluate("time => { document.querySelector('audio').currentTime = time; }", round(start) + LISTENED)
    page.wait_for_load_state("networkidle")
    page.evaluate("() => document.activeElement.blur()")
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)


def main(folder: str, out: str | Path = OUT) -> None:
    """Serve a run and take the picture."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise InputError(f"the picture needs a browser: one of {', '.join(BROWSERS)}")
    served = open_served(Path(folder))
    server = uvicorn.Server(uvicorn.Config(create(served), log_config=None))
    found = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([found],))
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        with sync_playwright() as started:
            page = started.chromium.launch(executable_path=path, args=ARGUMENTS).new_page(viewport=SIZE)  # type: ignore[arg-type]
            page.goto(f"http://127.0.0.1:{found.getsockname()[1]}/")
            show(page, served.examples[0])
            page.screenshot(path=out)
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
