"""What is around the app: bodies are bounded, answers carry headers that browsers heed, and all is counted."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crossmodal.serve.limits import Limits
from crossmodal.serve.metrics import Metrics

log = logging.getLogger("crossmodal.serve")
UPLOAD = "/api/search/upload"
BARE = ("GET", "HEAD")  # methods whose body, if they have one, nobody reads
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"})
FAILED = "something went wrong here; the server's log says what"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Bounded:
    """The app, which is given no more of a body than it may have, nor waits for one that trickles."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the app what may come."""
        if scope["type"] == "http" and scope["method"] not in BARE:
            most = self._limits.upload_bytes if scope["path"] == UPLOAD else self._limits.json_bytes
            receive = self._bounded(Headers(scope=scope).get("content-length", ""), most, receive)
        await self._app(scope, receive, send)

    def _bounded(self, said: str, most: int, receive: Receive) -> Receive:
        begun, seen, done = time.monotonic(), 0, False

        async def bounded() -> Message:
            nonlocal seen, done
            if done:  # what comes now is the client's leaving, for which no one has to wait
                return await receive()
            if said.isdigit() and int(said[:19]) > most:
                raise _refused(413, f"the body has {said} bytes; {most} are allowed")
            try:
                async with asyncio.timeout(
                    begun + self._limits.body_s + seen / self._limits.body_rate - time.monotonic()
                ):
                    message = await receive()
            except TimeoutError:
                raise _refused(408, f"the body came too slowly: {seen} bytes so far") from None
            seen, done = seen + len(message.get("body", b"")), not message.get("more_body", False)
            if seen > most:
                raise _refused(413, f"the body has more than {most} bytes, which are allowed")
            return message

        return bounded


def _refused(status: int, detail: str) -> HTTPException:
    return HTTPException(status, detail, {"Connection": "close"})  # the rest of the body is not wanted


class Watched:
    """The app, counted; a failure of it is logged, and the client learns no more than that there was one."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch over a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, receive, told)
        except ClientDisconnect:
            status = status or 499  # nobody is there to be told
        except Exception as error:
            log.error("%s failed", _route(scope), exc_info=error)
            if status:
                raise
            await JSONResponse({"detail": FAILED}, 500)(scope, receive, told)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.seen(_route(scope), method, status, time.perf_counter() - begun)


def _add_headers(headers: MutableHeaders) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-store")


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return str(getattr(route, "path", "other"))
