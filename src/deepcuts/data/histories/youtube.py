"""YouTube Music: watch-history.json of Google Takeout."""

from deepcuts.data.histories.listens import Collected, Listen, seconds_of, text_of
from deepcuts.data.histories.sources import Source
from deepcuts.errors import InputError


def is_youtube(source: Source) -> bool:
    """Whether a file is the watch history of Google Takeout."""
    return {"header", "titleUrl", "time"} <= source.keys


def read_youtube(source: Source, out: Collected) -> None:
    """Take what YouTube Music played; other videos are left out and counted."""
    content = source.json()
    if not isinstance(content, list):
        raise InputError(f"{source.where}: a watch history is a list, found {type(content).__name__}. Export it again.")
    for row in content:
        if not isinstance(row, dict) or row.get("header") != "YouTube Music":
            out.notes["videos that are not of YouTube Music left out"] += 1
            continue
        subtitles = row.get("subtitles")
        first = subtitles[0] if isinstance(subtitles, list) and subtitles and isinstance(subtitles[0], dict) else {}
        artist = text_of(first.get("name")).removesuffix(" - Topic")
        title = text_of(row.get("title"))
        for prefix in ("Watched ", "Listened to "):
            title = title.removeprefix(prefix)
        if not artist or title.startswith("https://"):
            out.notes["removed tracks (no name or artist any more) left out"] += 1
            continue
        time = seconds_of(row.get("time"))
        if time is None:
            out.notes["rows without a date left out"] += 1
            continue
        out.add(Listen(artist, title, "", time))
