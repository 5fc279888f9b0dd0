"""The app: the API, the page and its files, and what watches over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import resources
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from jinja2 import Template
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse

from crossmodal import __version__
from crossmodal.serve import shapes
from crossmodal.serve.api import router
from crossmodal.serve.guard import COOKIE, Guarded, Token
from crossmodal.serve.metrics import Metrics, histogram
from crossmodal.serve.served import Served
from crossmodal.serve.shell import Bounded, Watched

SCRIPT = "text/javascript; charset=utf-8"
SCRIPTS = ("app", "api", "atlas", "dom", "door", "filters", "keys", "player", "results", "state", "waveform")
PAGE = {  # the page's files and where they lie in the package; there are no others
    "index.html": ("serve/page/index.html", "text/html; charset=utf-8"),
    "style.css": ("serve/page/style.css", "text/css; charset=utf-8"),
    **{f"{name}.js": (f"serve/page/{name}.js", SCRIPT) for name in SCRIPTS},
    "icon.svg": ("serve/page/icon.svg", "image/svg+xml"),
    "map.js": ("report/map.js", SCRIPT),
}
SHOWN = 400  # characters of a message


def create(served: Served, hosts: frozenset[str] | None = None, token: Token | None = None) -> FastAPI:
    """The app.

    Args:
        served: what is asked.
        hosts: names by which the server may be called; None for any.
        token: that is needed; None for none.
    """

    @asynccontextmanager
    async def watching(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(served.watch())
        yield
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch

    metrics = Metrics()
    app = FastAPI(title="crossmodal", version=__version__, docs_url=None, redoc_url=None, lifespan=watching)
    app.add_middleware(Bounded, limits=served.limits)
    app.add_middleware(Guarded, hosts=hosts, token=token)
    app.add_middleware(Watched, metrics=metrics)
    app.add_exception_handler(AnyHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.include_router(router(served))
    app.include_router(_session(token))
    app.include_router(_state(served, metrics))
    app.include_router(_pages(app))
    return app


def _session(token: Token | None) -> APIRouter:
    found = APIRouter(responses={status: {"model": shapes.Problem} for status in (400, 401, 408, 413, 422)})

    @found.post("/api/session", status_code=204)
    async def session(given: shapes.Credentials, request: Request) -> Response:
        """Open a session: a cookie, for players and pictures, which can send no header."""
        response = Response(status_code=204)
        if token is not None:
            if not token.fits(given.token):
                raise HTTPException(401, "this is not the token")
            secure = request.url.scheme == "https"
            response.set_cookie(COOKIE, token.cookie, httponly=True, samesite="strict", secure=secure, path="/")
        return response

    return found


def _state(served: Served, metrics: Metrics) -> APIRouter:
    found = APIRouter()

    @found.get("/health")
    async def health() -> shapes.Health:
        """That the server answers."""
        index = served.catalogue.index
        return shapes.Health(status="stale" if served.stale else "ok", generation=index.generation, tracks=len(index))

    @found.get("/metrics", response_class=PlainTextResponse)
    async def counts() -> PlainTextResponse:
        """What the server counts, as Prometheus reads it."""
        waiting = [({"lane": lane.name}, lane.inside) for lane in served.lanes]
        gauges: dict[str, Any] = {
            "queue_depth": ("Jobs that wait or are in work.", waiting),
            "tracks": ("Tracks of the index.", [({}, len(served.catalogue.index))]),
            "index_stale": ("Whether the index changed into what cannot be read.", [({}, int(served.stale))]),
        }
        sizes = served.words.sizes
        total = float(sum(size * count for size, count in enumerate(sizes)))
        head = [
            "# HELP crossmodal_batch_size Queries that were answered together.",
            "# TYPE crossmodal_batch_size histogram",
        ]
        ends = [2**power for power in range(len(sizes).bit_length())]
        counts = [sum(sizes[low + 1 : high + 1]) for low, high in zip([0, *ends[:-1]], ends, strict=True)]
        batches = histogram("crossmodal_batch_size", {}, ends, [*counts, 0], total)
        return PlainTextResponse(
            metrics.text(gauges) + "\n".join([*head, *batches]) + "\n", media_type="text/plain; version=0.0.4"
        )

    return found


def _pages(app: FastAPI) -> APIRouter:
    found = APIRouter(include_in_schema=False)
    template = Template(_file("serve/docs.html").decode(), autoescape=True, trim_blocks=True)

    @found.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(template.render(api=app.openapi()))

    @found.get("/")
    async def index() -> Response:
        return _page("index.html")

    @found.get("/favicon.ico")
    async def icon() -> Response:
        return _page("icon.svg")

    @found.get("/page/{name}")
    async def file(name: str) -> Response:
        return _page(name)

    return found


def _page(name: str) -> Response:
    if name not in PAGE:
        raise HTTPException(404, "there is no such page")
    place, kind = PAGE[name]
    try:
        content = _file(place)
    except FileNotFoundError:
        raise HTTPException(404, f"{name} is not part of this installation") from None
    return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})


def _file(place: str) -> bytes:
    return resources.files("crossmodal").joinpath(*place.split("/")).read_bytes()


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AnyHTTPException)
    return _problem(error.status_code, str(error.detail), error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """The first of what does not fit, without what was sent."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    return _problem(422, f"{where}: {first['msg']}")


def _problem(status: int, detail: str, headers: Any = None) -> JSONResponse:
    line = " ".join(detail.encode("utf-8", "replace").decode().split())
    shown = line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
    return JSONResponse({"detail": shown}, status, headers)
