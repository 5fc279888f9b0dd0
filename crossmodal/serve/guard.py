"""Who may ask: this machine's own browser against others' pages, and those who have the token."""

from __future__ import annotations

import hmac
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from crossmodal.errors import InputError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
COOKIE = "crossmodal_session"
SHORTEST = 16  # characters of a token: fewer can be guessed
OPEN = ("/", "/health", "/api/session", "/favicon.ico")  # without a token, and what is under /page/


class Token:
    """What a client must have, as a header or as the cookie of a session; compared in constant time.

    Raises:
        InputError: it is too short, or holds what no header may.
    """

    def __init__(self, secret: str) -> None:
        if len(secret) < SHORTEST or not secret.isascii() or not secret.isprintable() or " " in secret:
            raise InputError(f"the token must be {SHORTEST} or more letters, digits and signs of ASCII, without blanks")
        self._secret = secret.encode()
        # not the token itself: browsers show cookies, and send them to all ports of a host
        self.cookie = hmac.new(self._secret, b"crossmodal session", sha256).hexdigest()

    def __repr__(self) -> str:
        return "Token(...)"

    def fits(self, token: str) -> bool:
        """Whether this is it."""
        return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), self._secret)

    def admits(self, headers: Headers) -> bool:
        """Whether a request has it."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.fits(given.strip()):
            return True
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode("utf-8"), self.cookie.encode())


class Guarded:
    """The app, for those who may.

    A page from elsewhere must not ask this server through a browser of this machine: the name by which it is called
    must be one of ``hosts``, which a name that an attacker points to 127.0.0.1 is not (DNS rebinding), and what a
    browser says comes from another site is refused.

    Args:
        hosts: names by which the server may be called; None for any.
        token: that is needed; None for none.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None, token: Token | None) -> None:
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the app, or refuse."""
        if scope["type"] != "http" or (refusal := self._refusal(Headers(scope=scope), scope["path"])) is None:
            await self._app(scope, receive, send)
            return
        await refusal(scope, receive, send)

    def _refusal(self, headers: Headers, path: str) -> JSONResponse | None:
        if self._hosts is not None and _name(headers.get("host", "")) not in self._hosts:
            return JSONResponse({"detail": "the server is not called by this name; use its address"}, 400)
        free = path in OPEN or path.startswith("/page/")
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not free:
            return JSONResponse({"detail": "a page of another site asked; this server answers its own alone"}, 400)
        if self._token is None or free or self._token.admits(headers):
            return None
        return JSONResponse({"detail": "a token is needed"}, 401, {"WWW-Authenticate": "Bearer"})


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
