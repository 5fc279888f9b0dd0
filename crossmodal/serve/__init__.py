"""`crossmodal serve`: a run's or an index's music, asked over HTTP and from a page of its own.

Nothing is loaded from elsewhere, no path of the host leaves it, and none that a client names is ever opened: a track's
file is found in the index's own metadata, an upload lies under a name that the server makes. What a client may ask for
is bounded (`Limits`): bytes, seconds, words, answers, how many wait, how long a slow one is waited for.
"""

from __future__ import annotations
