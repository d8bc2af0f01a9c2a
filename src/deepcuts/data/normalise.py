"""Names of artists and songs as keys: what two spellings of one name share, and what keeps two names apart.

Case, accents' Unicode form, quotes, dashes, punctuation, `&` and "and", a leading "The" of an artist, "feat." parts and
notes of a remaster, of mono and of stereo do not tell songs apart. Live, remix, acoustic, demo, edit and instrumental
do: they stay. Letters of all scripts stay. A name of nothing but signs ("???", "( )") stays as it is.

Source: the habits of public matchers of scrobbles and libraries, and their bugs.
"""

import re
import unicodedata

from anyascii import anyascii

FEATURING = r"(?:feat|ft|featuring)\b\.?"
_BRACKETED = re.compile(r"[\(\[\{]([^\(\)\[\]\{\}]*)[\)\]\}]")
_TRAILING_GUEST = re.compile(rf"\s+{FEATURING}\s+.*$", re.IGNORECASE)
_GUEST = re.compile(rf"^\s*{FEATURING}\s+", re.IGNORECASE)
_DASHED = re.compile(r"\s+[-–—]\s+")
_YEAR = r"(?:19|20)\d\d"
_REMASTER = re.compile(
    rf"^(?:(?:{_YEAR}|\d+(?:st|nd|rd|th) anniversary|digital(?:ly)?|new(?:ly)?|original)\s+)*"
    rf"(?:re-?master(?:ed|ing)?|mono|stereo)"
    rf"(?:\s+(?:version|edition|mix|album version|recording|{_YEAR}|in {_YEAR}))*$",
    re.IGNORECASE,
)
VERSIONS = (
    "live", "remix", "acoustic", "demo", "edit", "instrumental", "cover", "karaoke", "unplugged", "orchestral", "dub",
    "rehearsal", "alternate", "alternative", "outtake", "session", "sessions", "reprise", "extended", "remixed", "mix",
    "rework", "bootleg", "cappella", "acappella", "symphonic", "intro", "interlude", "outro", "radio", "rerecorded",
    "version", "sped", "slowed", "reverb",
)  # fmt: skip


def title_key(title: str) -> str:
    """The key of a song title: "Heroes (2017 Remaster)" and "“Heroes”" share one, "Heroes (Live)" has its own.

    >>> title_key("Love Me Do (Remastered 2009)") == title_key("love me do")
    True
    >>> title_key("Love Me Do (Live)") == title_key("Love Me Do")
    False
    """
    text = _compatible(title)
    text = _BRACKETED.sub(_kept_of_bracket, text)
    head, *rest = _DASHED.split(text)
    kept = [head, *(part for part in rest if not _says_nothing(part))]
    text = _TRAILING_GUEST.sub("", " - ".join(kept))
    return _words(text) or _plain(title)


def artist_key(artist: str) -> str:
    """The key of an artist: "The Beatles", "Beatles, The" and "beatles" share one; guests are left out.

    >>> artist_key("The Beatles") == artist_key("BEATLES")
    True
    """
    text = _BRACKETED.sub(lambda found: "" if _GUEST.match(found[1]) else found[0], _compatible(artist))
    text = _TRAILING_GUEST.sub("", text)
    text = re.sub(r",\s*the\s*$", "", text, flags=re.IGNORECASE)
    words = _words(text)
    return words.removeprefix("the ") or words or _plain(artist)


def ascii_key(key: str) -> str:
    """A key in Latin letters without accents: "sigur rós" and "sigur ros" share one; Cyrillic and kana are spelled."""
    return _words(anyascii(key).casefold()) or key


def numbers_of(key: str) -> tuple[str, ...]:
    """The numbers of a name in order, Roman ones too: "part 1" and "part 2" are two songs however alike they look."""
    return tuple(re.findall(r"\d+|\b[ivx]+\b", key))


def versions_of(key: str) -> frozenset[str]:
    """The words of a name that make another recording of it."""
    return frozenset(key.split()) & frozenset(VERSIONS)


def _compatible(text: str) -> str:
    """NFKC, with quotes and dashes made one, `&` and `+` between words written out."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"['’‘‛`´ʼ＇]", "", text)
    return re.sub(r"\s*&\s*|\s+\+\s+", " and ", text)


def _kept_of_bracket(found: re.Match[str]) -> str:
    """A bracket without its parts that say nothing; whole when all parts count."""
    parts = [part.strip() for part in re.split(r"[/;,]|\s[-–—]\s", found[1])]
    kept = [part for part in parts if part and not _says_nothing(part)]
    return f" ({' '.join(kept)})" if kept else " "


def _says_nothing(part: str) -> bool:
    return bool(_GUEST.match(part) or _REMASTER.match(part.strip()))


def _words(text: str) -> str:
    """Letters, marks and digits, everything else a blank; single blanks between."""
    kept = "".join(one if unicodedata.category(one)[0] in "LMN" else " " for one in text)
    return " ".join(kept.split())


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
