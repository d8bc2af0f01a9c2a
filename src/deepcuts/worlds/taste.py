"""A made taste profile: plays of any size with the skew of the real one, in its file format, and the songs' content.

The real Taste Profile has no sound beside it. Here each song has a style, a spot in the space of what can be heard,
and a pull of its own; users keep to a few styles and stray now and then. So cold songs can be told from content, up to
a ceiling, at the size of the Million Song Dataset.

    train_triplets.txt (user, song, count, parted by tabs)   features/ (Features, one frame a song)
    truth/ (styles and tastes, never read by models)   taste.json (the settings)

Source: the sizes are those of the Echo Nest Taste Profile, millionsongdataset.com/tasteprofile.
"""

import io
import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from deepcuts.artifacts import Features, Vocabulary
from deepcuts.config import require
from deepcuts.errors import ArtifactError, ResourceError
from deepcuts.kernels.native import default_threads
from deepcuts.progress import progress
from deepcuts.store import Meta, explain_os_error, fingerprint, save_array, write_file, write_meta, writing
from deepcuts.walk import free_bytes

STAMP, TRIPLETS, PARTIAL, WRITTEN = "taste.json", "train_triplets.txt", ".train_triplets.partial", ".written.json"
SONG_STREAM, USER_STREAM, PLAY_STREAM = 1, 2, 3
USERS_AT_ONCE = 16_384  # part of the result: each chunk of users has its own random stream
TASTE_WEIGHTS = (0.5, 0.25, 0.15, 0.1)  # of a user's styles, the favourite first; the first two are of one genre
ROUNDS = 12  # after which those who still miss songs take any they have not played
MOST_COUNT = 9_999
ROW_BYTES = 64  # 40 + 18 for the ids, two tabs, a line feed and mostly one digit


@dataclass(frozen=True)
class TasteSettings:
    """The dials of a made taste profile; the defaults are the real one's numbers.

    Attributes:
        n_users, n_songs, n_plays: how many; plays are distinct (user, song) pairs.
        fewest_songs, median_songs, most_songs: of a user. The rest follows a log-normal law whose mean fits n_plays.
        popularity_sigma: standard deviation of the log of a song's pull, whatever its style.
        n_genres, n_styles: styles are dealt to genres evenly.
        stray, roam: shares of a user's plays that are drawn from all songs, and from all of a taste's genre; the rest
            is of the style itself.
        n_latents: numbers that tell what a song sounds like.
        genre_share, style_share: of the variance of a latent that lies between genres, and between styles of a genre.
        noise: standard deviation of what blurs the content, the latents having 1.
        once: share of plays with a count of 1.
        count_shape: how fast greater counts get rare: P(count > k) falls like k to the power of minus this.
        seed: of everything.
    """

    n_users: int = 1_019_318
    n_songs: int = 384_546
    n_plays: int = 48_373_586
    fewest_songs: int = 10
    median_songs: int = 27
    most_songs: int = 4_400
    popularity_sigma: float = 1.75
    n_genres: int = 16
    n_styles: int = 96
    stray: float = 0.2
    roam: float = 0.2
    n_latents: int = 64
    genre_share: float = 0.25
    style_share: float = 0.35
    noise: float = 1.0
    once: float = 0.6
    count_shape: float = 1.5
    seed: int = 0

    def __post_init__(self) -> None:
        require(1 <= self.n_users <= 99_999_999, "n_users", self.n_users, "1 to 99,999,999")
        require(self.fewest_songs >= 1, "fewest_songs", self.fewest_songs, "1 or more")
        most = min(11_881_376, self.n_users * self.fewest_songs // 2)
        least = 4 * (self.median_songs + 1)
        require(least <= self.n_songs <= most, "n_songs", self.n_songs, f"{least:,} to {most:,}")
        low = self.n_users * (self.median_songs + 1)
        high = self.n_users * min(self.most_songs, self.n_songs // 2) // 2
        require(low <= self.n_plays <= high, "n_plays", self.n_plays, f"{low:,} to {high:,}")
        median = f"more than fewest_songs ({self.fewest_songs})"
        require(self.median_songs > self.fewest_songs, "median_songs", self.median_songs, median)
        require(0 <= self.popularity_sigma <= 5, "popularity_sigma", self.popularity_sigma, "0 to 5")
        require(1 <= self.n_genres <= self.n_styles, "n_genres", self.n_genres, "1 to n_styles")
        require(self.n_styles <= min(10_000, self.n_songs), "n_styles", self.n_styles, "1 to 10,000 and n_songs")
        for one, other in (("stray", "roam"), ("genre_share", "style_share")):
            total = getattr(self, one) + getattr(self, other)
            require(min(getattr(self, one), getattr(self, other)) >= 0, f"{one}, {other}", total, "0 to 1")
            require(total <= 1, f"{one} + {other}", total, "at most 1")
        require(1 <= self.n_latents <= 4_096, "n_latents", self.n_latents, "1 to 4,096")
        require(0 <= self.noise <= 100, "noise", self.noise, "0 to 100")
        require(0 < self.once < 1, "once", self.once, "strictly between 0 and 1")
        require(0.5 <= self.count_shape <= 10, "count_shape", self.count_shape, "0.5 to 10")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class TasteTruth:
    """Everything the plays are drawn from.

    Attributes:
        users, songs: songs in the order of their ids, users in that of the file.
        style: int64 [n_songs]; latents: float32 [n_songs, n_latents]; pull: float64 [n_songs], sum 1.
        tastes: int64 [n_users, 4], the styles of a user, by TASTE_WEIGHTS.
        n_played: int64 [n_users], how many songs a user plays.
        first_listener: int64 [n_songs], a user who plays the song for sure, so that none is without plays.
        settings: of the profile.
    """

    users: Vocabulary
    songs: Vocabulary
    style: np.ndarray
    latents: np.ndarray
    pull: np.ndarray
    tastes: np.ndarray
    n_played: np.ndarray
    first_listener: np.ndarray
    settings: TasteSettings

    @cached_property
    def by_style(self) -> np.ndarray:
        """The songs [n_songs], style after style."""
        return np.argsort(self.style, kind="stable")

    @cached_property
    def reach(self) -> np.ndarray:
        """Where each song of `by_style` ends on a line of length 1 on which it is as long as its pull."""
        ends = np.cumsum(self.pull[self.by_style])
        return ends / ends[-1]

    @cached_property
    def style_ends(self) -> np.ndarray:
        """Where styles begin on that line, and where the last one ends [n_styles + 1]."""
        last = np.cumsum(np.bincount(self.style, minlength=self.settings.n_styles))
        return np.concatenate([[0.0], self.reach])[np.concatenate([[0], last])]

    @cached_property
    def genre_ends(self) -> np.ndarray:
        """Where genres begin on that line, and where the last one ends [n_genres + 1]."""
        genre = genre_of(np.arange(self.settings.n_styles), self.settings)
        return self.style_ends[np.searchsorted(genre, np.arange(self.settings.n_genres + 1))]

    def save(self, folder: Path) -> None:
        """Write the folder, whole or not at all."""
        arrays = {name: getattr(self, name) for name in ("style", "latents", "pull", "tastes", "n_played")}
        with writing(folder) as scratch:
            self.users.save(scratch, "users")
            self.songs.save(scratch, "songs")
            for name, array in arrays.items():
                save_array(scratch, name, array)
            own = fingerprint(self.users.fingerprint, self.songs.fingerprint, *arrays.values())
            shape = {"n_users": len(self.users), "n_songs": len(self.songs)}
            write_meta(scratch, Meta("taste truth", own, {}, asdict(self.settings), shape))


def make_taste(settings: TasteSettings, folder: Path | str) -> Path:
    """Make a taste profile and write it to a folder; a run that was killed is taken up where it stopped.

    Returns:
        The triplets' file.
    Raises:
        ArtifactError: the folder holds something else, or a profile of other settings.
        ResourceError: the disk is full or not writable.
    """
    folder = Path(folder)
    stamp_folder(folder, settings)
    truth = draw_truth(settings)
    truth.save(folder / "truth")
    draw_content(truth).save(folder / "features")
    try:
        return write_triplets(truth, folder)
    except OSError as error:
        raise explain_os_error(error, folder) from error


def stamp_folder(folder: Path, settings: TasteSettings) -> None:
    """Write the settings before anything else, so that no two profiles mix in one folder; refuse other folders."""
    stamp = json.dumps(asdict(settings), indent=2) + "\n"
    path = folder / STAMP
    if path.is_file():
        if path.read_text(encoding="utf-8") != stamp:
            raise ArtifactError(f"{folder}: holds a taste profile of other settings. Choose another -o, or remove it.")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder}: exists and is not a made taste profile. Choose another -o.")
    else:
        write_file(path, stamp)


def genre_of(style: np.ndarray, settings: TasteSettings) -> np.ndarray:
    """The genre of each style: neighbours share one."""
    return style * settings.n_genres // settings.n_styles


def draw_truth(settings: TasteSettings) -> TasteTruth:
    """Draw ids, styles, latents, tastes and how much each user plays; no plays yet.

    latent = √genre · α_genre + √style · α_style + √rest · α_song, each α standard normal
    """
    rng = np.random.default_rng((settings.seed, SONG_STREAM))
    songs = Vocabulary(song_ids(settings.n_songs, rng), "song")
    style = rng.permutation(np.arange(settings.n_songs) % settings.n_styles)
    width, genre = settings.n_latents, genre_of(style, settings)
    own = 1 - settings.genre_share - settings.style_share
    latents = (
        np.sqrt(settings.genre_share) * rng.standard_normal((settings.n_genres, width))[genre]
        + np.sqrt(settings.style_share) * rng.standard_normal((settings.n_styles, width))[style]
        + np.sqrt(max(own, 0.0)) * rng.standard_normal((settings.n_songs, width))
    ).astype(np.float32)
    pull = np.exp(settings.popularity_sigma * rng.standard_normal(settings.n_songs))

    rng = np.random.default_rng((settings.seed, USER_STREAM))
    users = Vocabulary(user_ids(settings.n_users, rng), "user")
    mass = np.bincount(style, pull)
    tastes = rng.choice(settings.n_styles, size=(settings.n_users, len(TASTE_WEIGHTS)), p=mass / mass.sum())
    tastes[:, 1] = neighbour(tastes[:, 0], mass, settings, rng)
    n_played = deal_lengths(settings, rng)
    first = first_listeners(style, tastes[:, 0], settings, rng)
    return TasteTruth(users, songs, style, latents, pull / pull.sum(), tastes, n_played, first, settings)


def song_ids(n: int, rng: np.random.Generator) -> list[str]:
    """Ids like SOQMMHC12AB0180CB8, in order: SO, five letters (another five for each song), 12A, eight hex digits."""
    number = (np.arange(n) * 7_654_321 + 1_234_567) % 26**5  # 7,654,321 has no divisor in common with 26
    letters = number[:, None] // 26 ** np.arange(4, -1, -1) % 26 + ord("A")
    digits = np.frombuffer(b"0123456789ABCDEF", np.uint8)[rng.integers(16, size=(n, 8))]
    fixed = [np.tile(np.frombuffer(text, np.uint8), (n, 1)) for text in (b"SO", b"12A")]
    text = np.hstack([fixed[0], letters.astype(np.uint8), fixed[1], digits]).tobytes().decode("ascii")
    return sorted(text[i : i + 18] for i in range(0, 18 * n, 18))


def user_ids(n: int, rng: np.random.Generator) -> list[str]:
    """Ids of 40 hex digits, in no order."""
    text = rng.bytes(20 * n).hex()
    return [text[i : i + 40] for i in range(0, 40 * n, 40)]


def neighbour(style: np.ndarray, mass: np.ndarray, settings: TasteSettings, rng: np.random.Generator) -> np.ndarray:
    """For each style one of the same genre, by the mass of its songs; it may be the same."""
    ends = np.concatenate([[0.0], np.cumsum(mass)])
    genre = genre_of(np.arange(settings.n_styles), settings)
    first = np.searchsorted(genre, genre)[style]
    beyond = np.searchsorted(genre, genre, side="right")[style]
    at = ends[first] + (ends[beyond] - ends[first]) * rng.random(len(style))
    return np.clip(np.searchsorted(ends, at, side="right") - 1, first, beyond - 1)


def deal_lengths(settings: TasteSettings, rng: np.random.Generator) -> np.ndarray:
    """How many songs each user plays, int64 [n_users]: n_plays together.

    fewest + (median - fewest) · exp(σ z), z standard normal, with σ such that the mean is n_plays / n_users
    """
    above = settings.n_plays - settings.n_users * settings.fewest_songs
    most = min(settings.most_songs, settings.n_songs // 2) - settings.fewest_songs
    middle = settings.median_songs - settings.fewest_songs
    sigma = np.sqrt(2 * np.log(above / settings.n_users / middle))
    wanted = middle * np.exp(sigma * rng.standard_normal(settings.n_users))
    for _ in range(100):  # what the longest are cut by goes to the others
        wanted = np.minimum(wanted * (above / wanted.sum()), most)
    dealt = np.floor(wanted * (1 - 1e-9)).astype(np.int64)
    while missing := above - int(dealt.sum()):
        some = rng.permutation(np.flatnonzero(dealt < most))[:missing]
        dealt[some] += 1
    return dealt + settings.fewest_songs


def first_listeners(
    style: np.ndarray, favourite: np.ndarray, settings: TasteSettings, rng: np.random.Generator
) -> np.ndarray:
    """A user for each song, int64 [n_songs], whose favourite style is the song's. No user gets more songs than fit.

    Where a style has too few such users (less than one for fewest_songs / 2 of its songs), any user may do.
    """
    found = np.full(len(style), -1)
    of_style, fans = np.argsort(style, kind="stable"), np.argsort(favourite, kind="stable")
    songs_end, fans_end = (np.cumsum(np.bincount(x, minlength=settings.n_styles)) for x in (style, favourite))
    for songs, users in zip(np.split(of_style, songs_end[:-1]), np.split(fans, fans_end[:-1]), strict=True):
        if len(users) * (settings.fewest_songs // 2) >= len(songs):
            found[songs] = np.resize(rng.permutation(users), len(songs))
    left = np.flatnonzero(found < 0)
    found[left] = np.resize(rng.permutation(settings.n_users), len(left))
    return found


def draw_content(truth: TasteTruth) -> Features:
    """What models hear of the songs: latents and noise, one frame a song."""
    settings = truth.settings
    rng = np.random.default_rng((settings.seed, SONG_STREAM, 1))
    noise = rng.standard_normal(truth.latents.shape, dtype=np.float32)
    heard = truth.latents + np.float32(settings.noise) * noise
    record = {"one_frame": True, "n_channels": settings.n_latents, "noise": settings.noise, "seed": settings.seed}
    return Features(truth.songs, heard, np.arange(len(heard) + 1), "taste", record)


def draw_plays(truth: TasteTruth, part: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who plays what how often, for the users of a part: users, songs (both ascending) and counts.

    Each round draws as many songs as a user still misses; songs played already are drawn in vain.
    """
    settings, n_songs = truth.settings, len(truth.songs)
    rng = np.random.default_rng((settings.seed, PLAY_STREAM, part))
    first = part * USERS_AT_ONCE
    wanted = truth.n_played[first : first + USERS_AT_ONCE]
    song = np.flatnonzero((truth.first_listener >= first) & (truth.first_listener < first + len(wanted)))
    pairs = np.sort((truth.first_listener[song] - first) * n_songs + song)
    for round_ in range(1_000):
        missing = wanted - np.bincount(pairs // n_songs, minlength=len(wanted))
        if not missing.any():
            break
        user = np.repeat(np.arange(len(wanted)), missing)
        song = draw_songs(truth, first + user, rng) if round_ < ROUNDS else rng.integers(n_songs, size=len(user))
        new = np.unique(user * n_songs + song)
        place = np.searchsorted(pairs, new)
        new = new[pairs[np.minimum(place, len(pairs) - 1)] != new] if len(pairs) else new
        pairs = np.sort(np.concatenate([pairs, new]), kind="stable")
    user, song = np.divmod(pairs, n_songs)
    return first + user, song, draw_counts(len(pairs), settings, rng)


def draw_songs(truth: TasteTruth, user: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A song for each of these users: of one of their styles, of its genre or of all songs, by the songs' pull."""
    settings = truth.settings
    which = np.searchsorted(np.cumsum(TASTE_WEIGHTS)[:-1], rng.random(len(user)), side="right")
    style = truth.tastes[user, which]
    genre = genre_of(style, settings)
    how = rng.random(len(user))
    strays, roams = how < settings.stray, how < settings.stray + settings.roam
    low, high = (
        np.where(strays, edge, np.where(roams, truth.genre_ends[genre + i], truth.style_ends[style + i]))
        for i, edge in ((0, 0.0), (1, 1.0))
    )
    at = np.searchsorted(truth.reach, low + (high - low) * rng.random(len(user)), side="right")
    return truth.by_style[np.minimum(at, len(truth.by_style) - 1)]


def draw_counts(n: int, settings: TasteSettings, rng: np.random.Generator) -> np.ndarray:
    """Counts int32 [n], from 1 to MOST_COUNT: P(count > k) = (1 + k / s)^-shape, with s such that `once` are 1."""
    scale = 1 / ((1 - settings.once) ** (-1 / settings.count_shape) - 1)
    drawn = 1 + scale * ((1 - rng.random(n)) ** (-1 / settings.count_shape) - 1)
    return np.minimum(drawn, MOST_COUNT).astype(np.int32)


def write_triplets(truth: TasteTruth, folder: Path) -> Path:
    """Draw all plays and write them, part after part, to a file beside that gets its name when it is whole.

    A note says how many bytes and parts are safe, so that a later run cuts off what a killed one left half-written.
    """
    path, partial, note = folder / TRIPLETS, folder / PARTIAL, folder / WRITTEN
    if path.exists():
        return path
    done = {"parts": 0, "bytes": 0, "plays": 0}
    if note.exists() and partial.exists() and partial.stat().st_size >= json.loads(note.read_text())["bytes"]:
        done = json.loads(note.read_text())
    n_parts = -(-len(truth.users) // USERS_AT_ONCE)
    needed = ROW_BYTES * (truth.settings.n_plays - done["plays"])
    if free_bytes(folder) < needed:
        raise ResourceError(f"{folder}: {needed / 1e9:.1f} GB more are needed. Free some space, then again.")
    with partial.open("ab") as file, progress("draw plays", truth.settings.n_plays, "play") as bar:
        file.truncate(done["bytes"])
        bar.skip(done["plays"])
        for part, (n_plays, text) in enumerate(texts(truth, range(done["parts"], n_parts)), start=done["parts"] + 1):
            file.write(text)
            file.flush()  # before the note that says so
            done = {"parts": part, "bytes": done["bytes"] + len(text), "plays": done["plays"] + n_plays}
            write_file(note, json.dumps(done))
            bar.advance(n_plays)
    partial.replace(path)
    note.unlink()
    return path


def texts(truth: TasteTruth, parts: range) -> Iterator[tuple[int, memoryview]]:
    """Lines of parts, in order, with how many there are; made in several threads, a few parts ahead."""
    n_threads = default_threads()
    waiting: deque[Future[tuple[int, memoryview]]] = deque()
    _ = truth.by_style, truth.reach, truth.genre_ends  # once, not in every thread
    with ThreadPoolExecutor(n_threads) as pool:
        for part in parts:
            waiting.append(pool.submit(part_text, truth, part))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def part_text(truth: TasteTruth, part: int) -> tuple[int, memoryview]:
    """How many plays a part has, and its lines: user id, song id, count, parted by tabs."""
    user, song, count = draw_plays(truth, part)
    rows = pl.DataFrame({"user": truth.users.ids.gather(user), "song": truth.songs.ids.gather(song), "count": count})
    text = io.BytesIO()
    rows.write_csv(text, include_header=False, separator="\t", quote_style="never")
    return len(rows), text.getbuffer()
