"""HTTP/1.1 for clients that are slow, or too many: what uvicorn leaves open.

uvicorn waits for ever for the head of a request, for the rest of a body that was answered already, and for a client to
read what it is sent. Here each of these ends the connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from crossmodal.serve.limits import Limits

BUSY = b'{"detail":"too many connections; try again soon"}'
REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BUSY), BUSY)
)


def bounded(limits: Limits) -> type[H11Protocol]:
    """The protocol with these limits."""
    return type("Bounded", (Protocol,), {"limits": limits})


class Protocol(H11Protocol):
    """One connection."""

    limits = Limits()
    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or refuse it where there are enough."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(REFUSAL)
            transport.close()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End it."""
        super().connection_lost(exc)
        for timer in (self._head, self._unread):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _watch(self) -> None:
        """Wait for a request's head, or for the rest of one that is answered; between two, uvicorn's timer runs."""
        working = self.cycle is not None and not self.cycle.response_complete
        if working or self.timeout_keep_alive_task is not None or self.transport.is_closing():
            if self._head is not None:
                self._head.cancel()
                self._head = None
        elif self._head is None:
            self._head = self.loop.call_later(self.limits.header_s, self.transport.abort)
