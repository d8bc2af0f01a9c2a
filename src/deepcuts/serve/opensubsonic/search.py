"""Searching by words; an empty query pages through everything, which is how clients copy a library."""

from collections.abc import Sequence
from typing import Any

from deepcuts.serve.opensubsonic.call import Call
from deepcuts.serve.opensubsonic.entries import album, artist, child

Content = dict[str, Any]
MOST_FOUND = 10_000  # of a kind in one answer


def _found(call: Call) -> Content:
    """Artists by name, albums by name and artist, songs by title, artist and album; each paged by itself."""
    query, catalogue = call.text("query", ""), call.catalogue

    def page(name: str, held: Sequence[Any]) -> Sequence[Any]:
        begin = call.number(f"{name}Offset", 0, high=10**9)
        return held[begin : begin + call.number(f"{name}Count", 20, high=MOST_FOUND)]

    return {
        "artist": [artist(call, one) for one in page("artist", catalogue.find_artists(query))],
        "album": [album(call, one) for one in page("album", catalogue.find_albums(query))],
        "song": [child(call, one) for one in page("song", list(catalogue.find(query)))],
    }


def search2(call: Call) -> Content:
    """Search, in the older form."""
    return {"searchResult2": _found(call)}


def search3(call: Call) -> Content:
    """Search."""
    return {"searchResult3": _found(call)}
