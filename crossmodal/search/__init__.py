"""SearchIndex: the segments of tracks, found by vectors, in one folder that is always whole.

The folder holds generations that are written once and never changed, a journal of what came after, and ``CURRENT``, a
text file that names the generation in use and the sha256 of its ``info.json``. A generation is complete before
``CURRENT`` is replaced by a rename; a change is acknowledged once its record is on the disk. A kill at any byte leaves
the old or the new::

    CURRENT                       gen-000001 <sha256>
    gen-000001/info.json          version, kind, counts, fingerprints, recall, and of each file its bytes and sha256
               tracks.arrow       a row a track: track_id, title, artist, path, licence, ...
               ids.arrow          a row a track: the hash of its id, its first segment and how many there are
               segments.arrow     a row a segment: track (its row), start, end (seconds)
               vectors.npy        a row a segment, float32, of length one: exact search, re-ranking, compaction
               queries.npy        vectors like those that will be asked for, which index.faiss was judged by, if any
               index.faiss        what finds candidates; an exact index has none
               journal            adds, updates and deletes since then, one after another

Tracks stand in the order of the hashes of their ids, which no one chose: an id is found by bisection, equals are told
apart by their place, the last tracks are a fair sample, and any number of indexes are merged stretch by stretch of
them (`crossmodal.search.pieces`). All but the journal is memory-mapped.
"""

from __future__ import annotations

from crossmodal.hits import Hit
from crossmodal.search.index import SearchIndex
from crossmodal.search.opening import AnyIndex, build_index, open_index

__all__ = ["AnyIndex", "Hit", "SearchIndex", "build_index", "open_index"]
