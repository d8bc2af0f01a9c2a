"""Invented names: artists and titles from syllables, and the words listeners use for what they hear."""

import numpy as np

TIMBRES = (
    "velvet",
    "neon",
    "dusty",
    "glass",
    "ember",
    "arctic",
    "tape",
    "cobalt",
    "amber",
    "concrete",
    "paper",
    "lunar",
)
GROOVES = ("house", "dub", "garage", "funk", "bossa", "swing", "breaks", "samba", "shuffle", "polka", "reggae", "march")

# What listeners say of a song in which a control of the synthesiser is low, and in which it is high.
DESCRIPTORS: dict[str, tuple[str, str]] = {
    "brightness": ("mellow", "bright"),
    "register": ("low chords", "high chords"),
    "breath": ("clean", "breathy"),
    "formant": ("dark vowel", "nasal"),
    "drums": ("soft drums", "loud drums"),
    "bass": ("light bass", "heavy bass"),
    "swing": ("straight", "swinging"),
    "roll": ("even snare", "snare roll"),
    "rise": ("falling marimba", "rising marimba"),
    "echo": ("close echo", "late echo"),
    "sweep": ("closing bass", "opening bass"),
    "restless": ("patient blocks", "restless blocks"),
}

_STARTS = (
    "b",
    "br",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "kl",
    "l",
    "m",
    "n",
    "pr",
    "r",
    "s",
    "st",
    "v",
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ia", "io", "oo", "ou", "y")
_ENDS = ("", "", "", "l", "n", "r", "s", "m", "nd", "rk", "th", "x")
_BANDS = ("The {}s", "{} & Sons", "DJ {}", "{} Quartet", "{} Orchestra", "Little {}", "{} {}", "{} {}", "{} {}", "{}")
_TITLES = ("{}", "{} {}", "The {}", "{} in {}", "Leaving {}", "{} at Night", "No More {}", "Song for {}", "{} Again")


def style_names(n_timbres: int, n_grooves: int) -> list[str]:
    """Names of styles, timbre by timbre: `velvet house`, `velvet dub`, ..."""
    return [f"{timbre} {groove}" for timbre in TIMBRES[:n_timbres] for groove in GROOVES[:n_grooves]]


def artist_names(n: int, rng: np.random.Generator) -> list[str]:
    """N different invented artists."""
    return _different(_BANDS, n, rng)


def song_titles(n: int, rng: np.random.Generator) -> list[str]:
    """N different invented titles."""
    return _different(_TITLES, n, rng)


def _different(patterns: tuple[str, ...], n: int, rng: np.random.Generator) -> list[str]:
    names: dict[str, None] = {}
    while len(names) < n:
        pattern = patterns[rng.integers(len(patterns))]
        names[pattern.format(_word(rng), _word(rng))] = None
    return list(names)


def _word(rng: np.random.Generator) -> str:
    syllables = [
        _STARTS[rng.integers(len(_STARTS))] + _VOWELS[rng.integers(len(_VOWELS))] + _ENDS[rng.integers(len(_ENDS))]
        for _ in range(rng.integers(1, 4))
    ]
    return "".join(syllables).capitalize()
