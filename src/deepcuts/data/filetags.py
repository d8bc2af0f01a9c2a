"""What a sound file says of itself: tags of ID3, Vorbis comments, MP4 and APE, or else the names of its folders.

tinytag reads the common formats; PyAV the others (ape, wv, mka, ...). The MusicBrainz recording of an mp3 lies in an
ID3 frame (UFID) that neither reads; it is found by its owner's name.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
from tinytag import TinyTag, TinyTagException

UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_UFID = re.compile(rb"http://musicbrainz\.org\x00(" + UUID.encode() + rb")")
_HEAD_BYTES, _TAIL_BYTES = 1 << 20, 1 << 18
# Where taggers keep the recording: `musicbrainz_trackid` is the recording, `…releasetrackid` is not.
MBID_NAMES = ("musicbrainz_trackid", "musicbrainz track id", "musicbrainz_recordingid", "musicbrainz recording id")
ISRC = re.compile(r"[A-Za-z]{2}-?[A-Za-z0-9]{3}-?\d{2}-?\d{5}")
DISC_FOLDER = re.compile(r"^(?:cd|disc|disk|dvd)\s*[-_]?\s*(\d{1,2})\b", re.IGNORECASE)
NUMBERED = re.compile(r"^(?:(\d{1,2})[-.](?=\d))?(\d{1,3})(?:\s*[-._)]+\s*|\s+)(.+)$")
VARIOUS = ("various artists", "various", "va", "v.a.", "compilations")

Tags = dict[str, Any]


def read_tags(path: Path) -> tuple[Tags, str]:
    """What the tags of a file say.

    Returns:
        title, artist, album, album_artist, genre, track, disc, year, duration (s), mbid, isrc, where there are any; and
        why the tags could not be read, "" when they could.
    """
    try:
        found, problem = _from_tinytag(path), ""
    except (TinyTagException, OSError, ValueError) as error:
        try:
            found, problem = _from_av(path), ""
        except (av.FFmpegError, OSError, ValueError, UnicodeError):
            found, problem = {}, str(error) or type(error).__name__
    found["mbid"] = found.get("mbid") or _recording(path)
    return {name: value for name, value in found.items() if value not in (None, "", 0)}, problem


def _from_tinytag(path: Path) -> Tags:
    tag = TinyTag.get(path)
    other = {name.lower(): values for name, values in tag.other.items()}
    several = {name: _joined(getattr(tag, name), other.get(name, [])) for name in ("artist", "genre")}
    return {
        "title": _clean(tag.title),
        "artist": several["artist"],
        "album": _clean(tag.album),
        "album_artist": _clean(tag.albumartist) or ("Various Artists" if _is_compilation(other) else None),
        "genre": several["genre"],
        "track": tag.track,
        "disc": tag.disc,
        "year": _year(tag.year),
        "duration": tag.duration,
        "mbid": _first_match(UUID, other, MBID_NAMES),
        "isrc": _isrcs(other.get("isrc", [])),
    }


def _from_av(path: Path) -> Tags:
    with av.open(str(path)) as file:
        held = dict(file.metadata)
        for stream in file.streams.audio:
            held = {**dict(stream.metadata), **held}
        duration = file.duration / av.time_base if file.duration else None
    named = {name.lower(): value for name, value in held.items()}
    other = {name: [value] for name, value in named.items()}
    return {
        "title": _clean(named.get("title")),
        "artist": _clean(named.get("artist")),
        "album": _clean(named.get("album")),
        "album_artist": _clean(named.get("album_artist") or named.get("albumartist") or named.get("album artist")),
        "genre": _clean(named.get("genre")),
        "track": _number(named.get("track") or named.get("tracknumber")),
        "disc": _number(named.get("disc") or named.get("discnumber")),
        "year": _year(named.get("date") or named.get("year")),
        "duration": duration,
        "mbid": _first_match(UUID, other, MBID_NAMES),
        "isrc": _isrcs([*other.get("isrc", []), *other.get("tsrc", [])]),
    }


def _recording(path: Path) -> str | None:
    """The MusicBrainz recording in an ID3 tag, at the front of a file or (wav, aiff) in a chunk at its end."""
    try:
        with path.open("rb") as file:
            head = file.read(10)
            start = head + file.read(_HEAD_BYTES) if head[:3] in (b"ID3", b"RIF", b"FOR", b"\xff\xfb\x90") else b""
            found = _UFID.search(start)
            if found is None and head[:4] in (b"RIFF", b"FORM"):
                file.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
                found = _UFID.search(file.read())
    except OSError:
        return None
    return found[1].decode().lower() if found else None


def from_names(file: str) -> Tags:
    """What folders and the name of a file say: `Artist/Album/NN Title.ext`, with `CD 2` folders and `Artist - Title`.

    Args:
        file: path below the music folder, with forward slashes.
    """
    *folders, name = file.split("/")
    stem = name.rpartition(".")[0] or name
    found: Tags = {}
    if folders and (disc := DISC_FOLDER.match(folders[-1])):
        found["disc"] = int(disc[1])
        folders = folders[:-1]
    numbered = NUMBERED.match(stem)
    if numbered:
        found |= {"track": int(numbered[2]), **({"disc": int(numbered[1])} if numbered[1] else {})}
        stem = numbered[3]
    found |= _of_folders(folders)
    return found | _of_stem(stem.replace("_", " ").strip(), found.get("artist"), bool(found.get("various")))


def _of_folders(folders: Sequence[str]) -> Tags:
    if not folders:
        return {}
    if len(folders) == 1:
        artist, dash, album = folders[0].partition(" - ")
        return {"artist": artist, "album": album} if dash else {"artist": folders[0]}
    artist, album = folders[-2], folders[-1].removeprefix(f"{folders[-2]} - ")
    year = re.match(r"^[\(\[]?((?:19|20)\d\d)[\)\]]?\s*[-._]?\s+(.+)$", album)
    found: Tags = {"artist": artist, "album": year[2] if year else album}
    return found | ({"year": int(year[1])} if year else {})


def _of_stem(stem: str, artist: str | None, various: bool) -> Tags:
    first, dash, rest = stem.partition(" - ")
    is_various = various or (artist or "").lower() in VARIOUS
    if dash and (artist is None or is_various or first.casefold() == artist.casefold()):
        found: Tags = {"artist": first.strip(), "title": rest.strip()}
        return found | ({"album_artist": "Various Artists"} if is_various else {})
    return {"title": stem} | ({"artist": None, "album_artist": "Various Artists"} if is_various else {})


def _joined(first: str | None, more: Sequence[str]) -> str | None:
    kept = [one for one in dict.fromkeys(_clean(value) for value in (first, *more)) if one]
    return "; ".join(kept) or None


def _clean(value: str | None) -> str | None:
    return " ".join((value or "").replace("\x00", " ").split()) or None


def _is_compilation(other: Mapping[str, Sequence[str]]) -> bool:
    names = ("compilation", "tcmp", "cpil", "itunescompilation")
    return any(value.strip() in ("1", "true", "True", "yes") for name in names for value in other.get(name, []))


def _first_match(pattern: str, other: Mapping[str, Sequence[str]], names: Sequence[str]) -> str | None:
    for name in names:
        for value in other.get(name, []):
            if found := re.search(pattern, value):
                return found[0].lower()
    return None


def _isrcs(values: Sequence[str]) -> str | None:
    found = [one.replace("-", "").upper() for value in values for one in ISRC.findall(value)]
    return "; ".join(dict.fromkeys(found)) or None


def _year(value: str | None) -> int | None:
    found = re.search(r"\b(\d{4})", value or "")
    return int(found[1]) if found and int(found[1]) > 0 else None


def _number(value: str | None) -> int | None:
    found = re.match(r"\s*(\d{1,4})", value or "")
    return int(found[1]) if found else None
