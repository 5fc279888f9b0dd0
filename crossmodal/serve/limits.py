"""What a client may ask of the server, and how long the server waits for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The bounds; what exceeds one is answered with 413, 422, 429 or 408, or with 503 where the work took too long.

    Attributes:
        upload_bytes: of an upload.
        upload_s: seconds of music in it.
        upload_samples: frames times channels in it: 600 s at 192 kHz in stereo, what decoding may cost.
        upload_channels: of it.
        json_bytes: of any other body.
        query_chars: of a query.
        id_chars: of a track's id.
        k: answers.
        parts: of a query.
        conditions: of a search.
        condition_chars: of one text of conditions.
        bins: of a waveform.
        texts: queries in words that wait.
        sounds: uploads that are received, or wait.
        files: tracks of the catalogue that wait to be decoded.
        connections: of all clients.
        answer_s: seconds until an answer in words, or about tracks of the catalogue, is given up.
        sound_s: until that of an upload is.
        map_s: until a client waits no longer for the map, which is computed all the same.
        header_s: until a request's head must be there.
        body_s: that a body may take, and for each ``body_rate`` bytes of it one more.
        body_rate: bytes a second.
        stalled_s: that a client may leave unread what it is sent.
        linger_s: that requests in work have when the server ends.
    """

    upload_bytes: int = 64 * 2**20
    upload_s: float = 600.0
    upload_samples: int = 600 * 192_000 * 2
    upload_channels: int = 8
    json_bytes: int = 64 * 2**10
    query_chars: int = 1000
    id_chars: int = 1000
    k: int = 100
    parts: int = 16
    conditions: int = 16
    condition_chars: int = 500
    bins: int = 2000
    texts: int = 256
    sounds: int = 16
    files: int = 64
    connections: int = 512
    answer_s: float = 30.0
    sound_s: float = 120.0
    map_s: float = 120.0
    header_s: float = 10.0
    body_s: float = 20.0
    body_rate: int = 50_000
    stalled_s: float = 60.0
    linger_s: float = 5.0
