"""`deepcuts recommend` and `deepcuts similar`: lists by id."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from deepcuts.artifacts import Factors, Plays, Ranking
from deepcuts.cli.common import Json, Set, Toml, print_table, say, settings_of
from deepcuts.errors import InputError
from deepcuts.recommend import (
    RecommendSettings,
    SimilarSettings,
    candidates,
    played_songs,
    recommend,
    similar_songs,
    usage_space,
)

FactorsFolder = Annotated[Path, typer.Argument(help="Factors of users and songs.")]
Predicted = Annotated[Path | None, typer.Option("--predicted", help="Factors of songs, predicted from sound.")]
PlaysOption = Annotated[
    Path | None, typer.Option("--plays", help="Plays: what a user has played is left out; names are shown.")
]


def recommend_songs(
    factors: FactorsFolder,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for ranking.parquet.")] = None,
    predicted: Predicted = None,
    plays: PlaysOption = None,
    which: Annotated[str, typer.Option(help="cold (never played), warm or both.")] = "both",
    k: Annotated[int, typer.Option("-k", help="Songs for each user; 0 ranks all of them.")] = 20,
    users: Annotated[list[str] | None, typer.Option("--user", help="Only these users; repeat for more.")] = None,
    show: Annotated[int, typer.Option("--show", help="Tell in words what this many users played and get.")] = 0,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Rank songs for users: the best k for each, from those never played, those played, or both."""
    observed = Factors.load(factors)
    pool = candidates(observed, Factors.load(predicted) if predicted else None, which)
    asked = [f"which={which}", f"k={k or len(pool.songs or ())}", *(assignments or ())]
    settings = settings_of(RecommendSettings, toml, asked, "recommend")
    if pool.users is None or pool.songs is None or pool.user_factors is None or pool.song_factors is None:
        raise InputError(f"{factors}: lacks users or songs. Pass factors that were fitted on plays.")
    counts = Plays.load(plays) if plays else None
    played = played_songs(counts, pool.users, pool.songs) if counts and which != "cold" else None
    artists = None
    if settings.per_artist is not None:
        artists = artists_of(counts, pool.songs.ids, plays)
    ranking = recommend(
        pool.user_factors, pool.song_factors, pool.users, pool.songs, settings,
        user_ids=users or None, played=played, artists=artists,
    )  # fmt: skip
    if output is not None:
        ranking.save(output)
        say(f"{output}/ranking.parquet: the best {ranking.song.shape[1]} of {len(pool.songs):,} songs for "
            f"{len(ranking.queries):,} users")  # fmt: skip
    if show:
        tell_users(ranking, counts, show)
    elif output is None:
        print_table(ranking.table(), as_json)


def artists_of(counts: Plays | None, song_ids: pl.Series, plays: Path | None) -> pl.Series:
    """The artist of each song, from the songs table of the plays."""
    if counts is None or "artist" not in counts.songs_table.columns:
        raise InputError(f"per_artist: {plays or '--plays'} has no artists. Pass --plays with an artist column.")
    names = counts.songs_table.select("song_id", "artist")
    return pl.DataFrame({"song_id": song_ids}).join(names, on="song_id", how="left", maintain_order="left")["artist"]


def tell_users(ranking: Ranking, counts: Plays | None, n: int) -> None:
    """What n users played most, and what they get (stdout). Plays of the ranked songs themselves stay hidden from
    the first list, and tell in the second where the guess was right.
    """
    names = song_names(counts)
    table = ranking.table()
    for user_id in typical_users(ranking, counts, n):
        history = plays_of_user(counts, user_id)
        known = {song_id: count for song_id, count in history.items() if song_id not in ranking.songs}
        print(f"\n{user_id}")
        if known:
            best = sorted(known, key=lambda song_id: -known[song_id])[:5]
            print(f"  played {len(known)} songs, most of all:")
            print("\n".join(f"    {names(song_id)}  ×{known[song_id]:g}" for song_id in best))
        print("  would get, of songs nobody has played:")
        for song_id in table.filter(pl.col("user_id") == user_id)["song_id"]:
            right = f"  ← did play it, ×{history[song_id]:g}, which was hidden" if song_id in history else ""
            print(f"    {names(song_id)}{right}")


def plays_of_user(counts: Plays | None, user_id: str) -> dict[str, float]:
    """Song id → count of everything a user played."""
    if counts is None or (row := int(counts.users.find([user_id])[0])) < 0:
        return {}
    begin, end = counts.counts.indptr[row : row + 2]
    songs = counts.songs.ids.gather(counts.counts.indices[begin:end].astype("int64")).to_list()
    return dict(zip(songs, counts.counts.data[begin:end].tolist(), strict=True))


def typical_users(ranking: Ranking, counts: Plays | None, n: int) -> list[str]:
    """N users spread over the queries, among those with at least the median number of plays."""
    ids = ranking.queries.ids
    if counts is not None:
        n_played = pl.Series(counts.counts.indptr[1:] - counts.counts.indptr[:-1])
        busy = counts.users.ids.filter(n_played >= n_played.median())
        ids = ids.filter(ids.is_in(busy.implode())) if len(busy) else ids
    step = max(len(ids) // n, 1)
    return ids.gather_every(step).head(n).to_list()


def song_names(counts: Plays | None) -> Callable[[str], str]:
    """A function from song id to "artist – title" where the plays know them."""
    known: dict[str, str] = {}
    if counts is not None and {"artist", "title"} <= set(counts.songs_table.columns):
        for song_id, artist, title in counts.songs_table.select("song_id", "artist", "title").iter_rows():
            known[song_id] = f"{artist} – {title}" if artist != title else str(artist)
    return lambda song_id: known.get(song_id, song_id)


def similar(
    factors: FactorsFolder,
    songs: Annotated[list[str], typer.Argument(help="Song ids.")],
    predicted: Predicted = None,
    which: Annotated[str, typer.Option(help="Candidates: cold, warm or both.")] = "both",
    k: Annotated[int, typer.Option("-k", help="Songs for each query.")] = 10,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Songs whose listeners would be the same: cosine of usage patterns, observed or predicted."""
    which = which if predicted else "warm"
    pool = candidates(Factors.load(factors), Factors.load(predicted) if predicted else None, which)
    if pool.songs is None or pool.user_factors is None or pool.song_factors is None:
        raise InputError(f"{factors}: lacks users or songs. Pass factors that were fitted on plays.")
    settings = settings_of(SimilarSettings, toml, [f"k={k}", *(assignments or ())], "similar")
    space = usage_space(pool.user_factors, pool.song_factors)
    print_table(similar_songs(space, pool.songs, settings, query_ids=songs).table(), as_json)
