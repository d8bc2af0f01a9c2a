"""The planted world: songs that sound like their latents, users who like what they hear, and the truth kept apart.

A benchmark with known answers. Songs have latents that can be heard and latents that cannot; artists make songs
alike; popularity has nothing to do with sound; users play in proportion to taste. What is audible is rendered as
toy music (synth.py), half of it only in the order of events, so that a bag of frames misses it.

    sounds/<song_id>.wav   plays/ (Plays)   plays/tags/ (Tags)   truth/ (never read by models)   world.json
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from deepcuts.artifacts import Plays, Tags, Vocabulary
from deepcuts.config import require
from deepcuts.errors import ArtifactError
from deepcuts.progress import progress
from deepcuts.store import write_file
from deepcuts.worlds.names import DESCRIPTORS, GROOVES, TIMBRES, artist_names, song_titles, style_names
from deepcuts.worlds.sounds import Studio, make_sounds
from deepcuts.worlds.synth import SPECTRAL, SYNTH_VERSION, TEMPORAL, split_latents
from deepcuts.worlds.truth import Truth, play_rates

STAMP = "world.json"
SONG_STREAM, USER_STREAM, PLAY_STREAM, NAME_STREAM = 1, 2, 3, 4  # one dial does not disturb another's draws
USERS_AT_ONCE = 256  # part of the world: each chunk of users has its own random stream
AUDIBLE_TAG = 0.8  # in standard deviations: a latent beyond this earns the song a descriptor


@dataclass(frozen=True)
class WorldSettings:
    """The dials of the planted world.

    Attributes:
        n_songs, n_users: how many.
        seconds: length of each sound.
        n_timbres, n_grooves: styles are all pairs: a timbre sets the latents heard in the spectrum, a groove those
            heard in time. At most 12 each.
        songs_per_artist: mean; some artists have many, most a few, all at least one.
        style_share, artist_share: of the variance of each audible latent that lies between styles, and between
            artists of a style; the rest lies between songs of an artist.
        n_audible: latents rendered as sound, the last half of them only in time.
        n_inaudible: latents such as scene, language or era that no sound tells.
        artist_share_inaudible: of the variance of inaudible latents that lies between artists.
        beta_audible, beta_inaudible: how much tastes in each sharpen what is played; 0 leaves no trace.
        nonlinearity: size of the quadratic part of h(a) next to its linear part; 0 makes tastes linear in latents.
        popularity_sigma: standard deviation of the log of a song's pull, whatever it sounds like.
        activity_sigma: standard deviation of the log of how much a user plays.
        mean_listeners: of a song: how dense the plays are.
        mean_replays, replay_shape: plays on top of the first Poisson ones, negative binomial; a smaller shape
            means more spread.
        snr_low_db, snr_high_db: range of the level of music over background noise.
        gain_db: the level of a song lies within ± this.
        seed: of everything.
        n_jobs: processes that make sounds; 0 is one for each core. Changes no byte of the result.
    """

    n_songs: int = 1_500
    n_users: int = 4_000
    seconds: float = 8.0
    n_timbres: int = 6
    n_grooves: int = 4
    songs_per_artist: float = 5.0
    style_share: float = 0.45
    artist_share: float = 0.2
    n_audible: int = 12
    n_inaudible: int = 12
    artist_share_inaudible: float = 0.8
    beta_audible: float = 1.2
    beta_inaudible: float = 1.0
    nonlinearity: float = 0.35
    popularity_sigma: float = 1.0
    activity_sigma: float = 0.7
    mean_listeners: float = 58.0
    mean_replays: float = 1.5
    replay_shape: float = 0.5
    snr_low_db: float = 10.0
    snr_high_db: float = 30.0
    gain_db: float = 6.0
    seed: int = 0
    n_jobs: int = 0

    def __post_init__(self) -> None:
        require(2 <= self.n_songs <= 99_999, "n_songs", self.n_songs, "2 to 99,999")
        require(2 <= self.n_users <= 9_999_999, "n_users", self.n_users, "2 to 9,999,999")
        require(0.5 <= self.seconds <= 600, "seconds", self.seconds, "0.5 to 600")
        require(2 <= self.n_timbres <= len(TIMBRES), "n_timbres", self.n_timbres, f"2 to {len(TIMBRES)}")
        require(2 <= self.n_grooves <= len(GROOVES), "n_grooves", self.n_grooves, f"2 to {len(GROOVES)}")
        require(1 <= self.songs_per_artist <= self.n_songs, "songs_per_artist", self.songs_per_artist, "1 to n_songs")
        most = 2 * len(TEMPORAL)
        require(2 <= self.n_audible <= most, "n_audible", self.n_audible, f"2 to {most}")
        require(1 <= self.n_inaudible <= 256, "n_inaudible", self.n_inaudible, "1 to 256")
        for name in ("style_share", "artist_share", "artist_share_inaudible"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "0 to 1")
        total = self.style_share + self.artist_share
        require(total <= 1, "style_share + artist_share", total, "at most 1")
        for name in ("beta_audible", "beta_inaudible", "popularity_sigma", "activity_sigma"):
            require(0 <= getattr(self, name) <= 10, name, getattr(self, name), "0 to 10")
        require(0 <= self.nonlinearity <= 10, "nonlinearity", self.nonlinearity, "0 to 10")
        dense = self.n_users / 2
        require(0 < self.mean_listeners <= dense, "mean_listeners", self.mean_listeners, f"above 0, to {dense:g}")
        require(0 <= self.mean_replays <= 1_000, "mean_replays", self.mean_replays, "0 to 1,000")
        require(0.01 <= self.replay_shape <= 1_000, "replay_shape", self.replay_shape, "0.01 to 1,000")
        require(-20 <= self.snr_low_db <= 90, "snr_low_db", self.snr_low_db, "-20 to 90")
        high = f"snr_low_db ({self.snr_low_db}) to 90"
        require(self.snr_low_db <= self.snr_high_db <= 90, "snr_high_db", self.snr_high_db, high)
        require(0 <= self.gain_db <= 20, "gain_db", self.gain_db, "0 to 20")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        require(0 <= self.n_jobs <= 1_024, "n_jobs", self.n_jobs, "0 (one for each core) to 1,024")

    @property
    def n_styles(self) -> int:
        """Timbres times grooves."""
        return self.n_timbres * self.n_grooves


@dataclass(frozen=True)
class World:
    """A planted world: its folder, what models may read (sounds, plays, tags) and the truth, which they may not."""

    folder: Path
    plays: Plays
    tags: Tags
    truth: Truth

    @property
    def sounds(self) -> Path:
        """The folder of `<song_id>.wav`."""
        return self.folder / "sounds"


def make_world(settings: WorldSettings, folder: Path | str) -> World:
    """Make a planted world and write it to a folder; a run that was killed is taken up where it stopped.

    With more than one core and `n_jobs` other than 1, a script that calls this needs the guard
    `if __name__ == "__main__":`, for sounds are made in worker processes.

    Returns:
        The world; its users and songs stand in the same order in plays, tags and truth. A user or song may
        have no plays.
    Raises:
        ArtifactError: the folder holds something else, or a world of other settings.
        ResourceError: the disk is full or not writable, or a worker was killed.
    """
    folder = Path(folder)
    stamp_folder(folder, settings)
    truth = draw_truth(settings)
    plays = draw_plays(truth, settings)
    tags = describe_songs(truth, plays)
    truth.save(folder / "truth")
    plays.save(folder / "plays", parents={"truth": truth.fingerprint})
    tags.save(folder / "plays" / "tags")
    snr = (settings.snr_low_db, settings.snr_high_db)
    studio = Studio(folder / "sounds", settings.seed, settings.seconds, snr, settings.gain_db)
    make_sounds(studio, plays.songs.ids.to_list(), truth.audible, settings.n_jobs)
    return World(folder, plays, tags, truth)


def stamp_folder(folder: Path, settings: WorldSettings) -> None:
    """Write the settings to `world.json` before anything else, so that no two worlds mix in one folder."""
    stamp = {"synth_version": SYNTH_VERSION, **_recorded(settings)}
    path = folder / STAMP
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ArtifactError(f"{path}: damaged. Choose another folder, or remove this one.") from error
        if found != stamp:
            names = [name for name in stamp if not isinstance(found, dict) or found.get(name) != stamp[name]]
            raise ArtifactError(
                f"{folder}: holds a world of other settings ({', '.join(names) or 'more of them'} differ). "
                "Choose another folder, or remove this one."
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder}: exists and is not a planted world. Choose another folder.")
    write_file(path, json.dumps(stamp, indent=2) + "\n")


def _recorded(settings: WorldSettings) -> dict[str, int | float]:
    """The settings that shape the result: all but how many processes make it."""
    values = asdict(settings)
    del values["n_jobs"]
    return values


def draw_truth(settings: WorldSettings) -> Truth:
    """Draw latents, tastes, popularity and activity; no sound and no plays yet.

        a = √style · α_style + √artist · α_artist + √rest · α_song, each α standard normal
        n = √share · ν_artist + √(1 - share) · ν_song

    Prototypes of timbres and grooves are scaled to mean 0 and variance 1 over the styles there are, so that the
    shares of variance hold however few they are.
    """
    rng = np.random.default_rng((settings.seed, SONG_STREAM))
    artist = assign_artists(settings, rng)
    n_artists = int(artist.max()) + 1
    style = rng.permutation(np.arange(n_artists) % settings.n_styles)[artist]
    temporal = split_latents(settings.n_audible)
    prototypes = draw_prototypes(settings, temporal, rng)
    own = 1 - settings.style_share - settings.artist_share
    audible = (
        np.sqrt(settings.style_share) * prototypes[style]
        + np.sqrt(settings.artist_share) * rng.standard_normal((n_artists, settings.n_audible))[artist]
        + np.sqrt(max(own, 0.0)) * rng.standard_normal((settings.n_songs, settings.n_audible))
    )
    of_artist = settings.artist_share_inaudible
    inaudible = np.sqrt(of_artist) * rng.standard_normal((n_artists, settings.n_inaudible))[artist] + np.sqrt(
        1 - of_artist
    ) * rng.standard_normal((settings.n_songs, settings.n_inaudible))
    popularity = settings.popularity_sigma * rng.standard_normal(settings.n_songs)

    rng = np.random.default_rng((settings.seed, USER_STREAM))
    user_audible = rng.standard_normal((settings.n_users, settings.n_audible)) / np.sqrt(settings.n_audible)
    user_inaudible = rng.standard_normal((settings.n_users, settings.n_inaudible)) / np.sqrt(settings.n_inaudible)
    activity = np.exp(settings.activity_sigma * rng.standard_normal(settings.n_users))
    truth = Truth(
        audible=audible.astype(np.float32),
        heard=taste_features(audible, settings.nonlinearity).astype(np.float32),
        inaudible=inaudible.astype(np.float32),
        popularity=popularity.astype(np.float32),
        style=style.astype(np.int64),
        artist=artist.astype(np.int64),
        user_audible=user_audible.astype(np.float32),
        user_inaudible=user_inaudible.astype(np.float32),
        activity=activity.astype(np.float32),
        temporal=temporal,
        beta_audible=settings.beta_audible,
        beta_inaudible=settings.beta_inaudible,
        settings=_recorded(settings),
    )
    return scale_activity(truth, settings.mean_listeners)


def assign_artists(settings: WorldSettings, rng: np.random.Generator) -> np.ndarray:
    """An artist for each song, int64 [n_songs]: sizes are log-normal, and every artist has a song."""
    n_artists = max(1, round(settings.n_songs / settings.songs_per_artist))
    weights = np.exp(0.7 * rng.standard_normal(n_artists))
    more = rng.choice(n_artists, size=settings.n_songs - n_artists, p=weights / weights.sum())
    return rng.permutation(np.concatenate([np.arange(n_artists), more]))


def draw_prototypes(settings: WorldSettings, temporal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Audible latents of styles [n_styles, n_audible]: timbres crossed with grooves, in the order of their names."""
    timbres = _standardise(rng.standard_normal((settings.n_timbres, int((~temporal).sum()))))
    grooves = _standardise(rng.standard_normal((settings.n_grooves, int(temporal.sum()))))
    return np.hstack([np.repeat(timbres, settings.n_grooves, axis=0), np.tile(grooves, (settings.n_timbres, 1))])


def _standardise(rows: np.ndarray) -> np.ndarray:
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)


def taste_features(audible: np.ndarray, nonlinearity: float) -> np.ndarray:
    """h(a): what tastes respond to, each column with variance 1 for standard normal latents.

        h_d = (a_d + ν q_d) / √(1 + ν²),  q_d = ((a_d² - 1) / √2 + a_d a_d') / √2

    with d' the latent half-way round: a spectral latent meets a temporal one. q is uncorrelated with a, so no
    linear map from a finds it.
    """
    partner = np.roll(audible, audible.shape[1] // 2, axis=1)
    quadratic = ((audible**2 - 1) / np.sqrt(2) + audible * partner) / np.sqrt(2)
    return (audible + nonlinearity * quadratic) / np.sqrt(1 + nonlinearity**2)


def scale_activity(truth: Truth, mean_listeners: float) -> Truth:
    """The truth with activities scaled until a song has `mean_listeners` expected listeners, on average.

    Expected listeners are Σ_u 1 - exp(-λ_ui). The mean is taken over at most 512 users, evenly spaced by activity.
    """
    by_activity = np.argsort(truth.activity, kind="stable")
    n_asked = min(512, len(by_activity))
    asked = by_activity[(np.arange(n_asked) + 0.5).astype(np.int64) * len(by_activity) // n_asked]
    rates = play_rates(truth, asked)
    wanted = mean_listeners / len(truth.activity)
    low, high = -40.0, 40.0  # log of the scale
    for _ in range(50):
        middle = (low + high) / 2
        share = float(-np.expm1(-np.exp(middle) * rates).mean())
        low, high = (middle, high) if share < wanted else (low, middle)
    return replace(truth, activity=(truth.activity * np.exp(low)).astype(np.float32))


def draw_plays(truth: Truth, settings: WorldSettings) -> Plays:
    """Draw who plays what how often.

        r_ui ~ Poisson(λ_ui); where r_ui > 0, add NegativeBinomial(mean_replays, replay_shape)

    Never more than 256 users × songs are held at once.
    """
    n_users, n_songs = len(truth.activity), len(truth.audible)
    songs, counts, per_user = [], [], []
    with progress("draw plays", n_users, "user") as bar:
        for start in range(0, n_users, USERS_AT_ONCE):
            rng = np.random.default_rng((settings.seed, PLAY_STREAM, start))
            drawn = rng.poisson(play_rates(truth, slice(start, start + USERS_AT_ONCE)))
            user, song = np.nonzero(drawn)
            songs.append(song)
            counts.append(drawn[user, song] + draw_replays(len(song), settings, rng))
            per_user.append(np.bincount(user, minlength=len(drawn)))
            bar.advance(len(drawn))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(per_user))])
    parts = (np.concatenate(counts).astype(np.float32), np.concatenate(songs).astype(np.int32), starts)
    song_ids = Vocabulary([f"song-{i:05d}" for i in range(1, n_songs + 1)], "song")
    user_ids = Vocabulary([f"listener-{u:05d}" for u in range(1, n_users + 1)], "user")
    matrix = sparse.csr_array(parts, shape=(n_users, n_songs))
    return Plays(user_ids, song_ids, matrix, name_songs(truth, song_ids, settings), settings=_recorded(settings))


def draw_replays(n: int, settings: WorldSettings, rng: np.random.Generator) -> np.ndarray:
    """Replays int64 [n], negative binomial: mean `mean_replays`, variance mean + mean² / replay_shape."""
    chance = settings.replay_shape / (settings.replay_shape + settings.mean_replays)
    return rng.negative_binomial(settings.replay_shape, chance, size=n)


def name_songs(truth: Truth, songs: Vocabulary, settings: WorldSettings) -> pl.DataFrame:
    """The songs table: song_id, artist, title, style."""
    rng = np.random.default_rng((settings.seed, NAME_STREAM))
    artists = np.array(artist_names(int(truth.artist.max()) + 1, rng))
    styles = np.array(style_names(settings.n_timbres, settings.n_grooves))
    return pl.DataFrame(
        {
            "song_id": songs.ids,
            "artist": artists[truth.artist].tolist(),
            "title": song_titles(len(songs), rng),
            "style": styles[truth.style].tolist(),
        }
    )


def describe_songs(truth: Truth, plays: Plays) -> Tags:
    """Tags of each song: its style, and a word for each audible latent further than .8 from the middle."""
    n_spectral = int((~truth.temporal).sum())
    controls = [*SPECTRAL[:n_spectral], *TEMPORAL[: len(truth.temporal) - n_spectral]]
    styles = sorted(set(plays.songs_table["style"]))
    names = styles + [word for control in controls for word in DESCRIPTORS[control]]
    place = {style: number for number, style in enumerate(styles)}
    weights = np.zeros((len(plays.songs), len(names)), dtype=np.float32)
    weights[np.arange(len(plays.songs)), [place[style] for style in plays.songs_table["style"]]] = 1
    weights[:, len(styles) :: 2] = truth.audible < -AUDIBLE_TAG
    weights[:, len(styles) + 1 :: 2] = truth.audible > AUDIBLE_TAG
    return Tags(plays.songs, Vocabulary(names, "tag"), sparse.csr_array(weights))
