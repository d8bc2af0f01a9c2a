"""`deepcuts recommend` and `deepcuts similar`: lists by id."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from deepcuts.artifacts import Factors, Plays, Ranking, SongFactors, Vocabulary
from deepcuts.cli.common import Json, Set, Toml, one_of, print_table, say, settings_of
from deepcuts.errors import InputError, SettingError
from deepcuts.recommend import (
    RecommendSettings,
    SimilarSettings,
    candidates,
    recommend,
    serve_unknown_users,
    similar_songs,
    usage_space,
)
from deepcuts.recommend.topk import WHICH
from deepcuts.store import refuse_to_replace

FactorsFolder = Annotated[Path, typer.Argument(help="Factors of users and songs.")]
Predicted = Annotated[Path | None, typer.Option("--predicted", help="Factors of songs, predicted from sound.")]
PlaysOption = Annotated[
    Path | None, typer.Option("--plays", help="Plays: what a user has played is left out; names are shown.")
]
WhichOption = Annotated[
    str | None,
    typer.Option("--which", help="cold (never played), warm or both. By default both; warm without --predicted."),
]

DIFFERENT_SCALES = (
    "warning: predicted vectors have length 1 or about it (target=unit or --unit-norm), observed ones not: cold and "
    "warm scores are on different scales. Rank them apart: --which cold, --which warm."
)


def recommend_songs(
    factors: FactorsFolder,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for ranking.parquet.")] = None,
    predicted: Predicted = None,
    plays: PlaysOption = None,
    which: WhichOption = None,
    k: Annotated[
        int | None, typer.Option("-k", min=0, help="Songs for each user (20 by default); 0 ranks all of them.")
    ] = None,
    users: Annotated[list[str] | None, typer.Option("--user", help="Only these users; repeat for more.")] = None,
    show: Annotated[int, typer.Option("--show", min=0, help="Tell in words what this many users played and get.")] = 0,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Rank songs for users: the best k for each, from those never played, those played, or both."""
    if show and as_json:
        raise SettingError("--show tells in words, --json prints the ranking: choose one of them.")
    if output is not None:
        refuse_to_replace(output, kind="ranking")
    settings = recommend_settings(which, k, predicted, toml, assignments)
    guessed = SongFactors.load(predicted) if predicted else None
    pool = candidates(Factors.load(factors), guessed, settings.which)
    if guessed is not None and settings.which == "both" and has_unit_scale(guessed.settings):
        say(DIFFERENT_SCALES)
    users_known, songs_known = pool.users.users, pool.songs.songs
    if k == 0:
        settings = replace(settings, k=len(songs_known))
    counts = Plays.load(plays) if plays else None
    played = counts.counts_of(users_known, songs_known) if counts and settings.which != "cold" else None
    if counts is None and settings.which != "cold" and settings.exclude_played:
        say("no --plays: the lists may hold songs that the user has played")
    artists = None
    if settings.per_artist is not None:
        artists = artists_of(counts, songs_known.ids, plays)
    ranking = recommend(
        serve_unknown_users(pool.users, users or None).vectors, pool.songs.vectors, users_known, songs_known, settings,
        user_ids=users or None, played=played, artists=artists,
    )  # fmt: skip
    ranking = replace(ranking, parents={**pool.lineage.parents, **({"plays": counts.fingerprint} if counts else {})})
    if output is not None:
        ranking.save(output)
        say(f"{output}/ranking.parquet: the best {ranking.song.shape[1]} of {len(songs_known):,} songs for "
            f"{len(ranking.queries):,} users")  # fmt: skip
    if show:
        tell_users(ranking, counts, show, cold=settings.which == "cold")
    elif output is None or as_json:
        print_table(ranking.table(), as_json)


def recommend_settings(
    which: str | None, k: int | None, predicted: Path | None, toml: list[Path] | None, assignments: list[str] | None
) -> RecommendSettings:
    """Settings file < options; without predicted factors there are only warm songs, so those are taken, and told."""
    options = [f"{name}={value}" for name, value in (("which", which), ("k", k)) if value]
    settings = settings_of(RecommendSettings, toml, [*options, *(assignments or ())], "recommend")
    if predicted is None and settings.which != "warm":
        if which or settings.which == "cold":
            raise SettingError(f"which = {settings.which!r}: cold songs need --predicted. Pass it, or --which warm.")
        say("no --predicted: only songs with plays are ranked")
        return replace(settings, which="warm")
    return settings


def has_unit_scale(settings: Mapping[str, Any]) -> bool:
    """Whether predictions were learned or scaled as vectors of length 1; of an average, whether any part was."""
    parts = settings.get("of", [])
    return settings.get("target") == "unit" or bool(settings.get("unit_norm")) or any(map(has_unit_scale, parts))


def artists_of(counts: Plays | None, song_ids: pl.Series, plays: Path | None) -> pl.Series:
    """The artist of each song, from the songs table of the plays."""
    if counts is None or "artist" not in counts.songs_table.columns:
        raise InputError(f"per_artist: {plays or '--plays'} has no artists. Pass --plays with an artist column.")
    names = counts.songs_table.select("song_id", "artist")
    return pl.DataFrame({"song_id": song_ids}).join(names, on="song_id", how="left", maintain_order="left")["artist"]


def tell_users(ranking: Ranking, counts: Plays | None, n: int, cold: bool = True) -> None:
    """What n users played most, and what they get (stdout). Plays of cold songs stay hidden from the first list, and
    tell in the second where the guess was right.
    """
    names = song_names(counts)
    table = ranking.table()
    for user_id in typical_users(ranking, counts, n):
        history = plays_of_user(counts, user_id)
        known = {song_id: count for song_id, count in history.items() if not cold or song_id not in ranking.songs}
        print(f"\n{user_id}")
        if known:
            best = sorted(known, key=lambda song_id: -known[song_id])[:5]
            print(f"  played {len(known)} songs, most of all:")
            print("\n".join(f"    {names(song_id)}  ×{known[song_id]:g}" for song_id in best))
        print("  would get, of songs nobody has played:" if cold else "  would get:")
        for song_id in table.filter(pl.col("user_id") == user_id)["song_id"]:
            right = f"  ← did play it, ×{history[song_id]:g}" if song_id in history else ""
            right += ", which was hidden" if right and cold else ""
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


def refuse_unknown(pool: Vocabulary, song_ids: list[str]) -> None:
    """Refuse songs that observed factors lack, and name the way to those that nobody has played."""
    try:
        pool.positions(song_ids)
    except InputError as error:
        raise InputError(f"{error} For a song that nobody has played, pass --predicted.") from error


def similar(
    factors: FactorsFolder,
    songs: Annotated[list[str], typer.Argument(help="Song ids.")],
    predicted: Predicted = None,
    which: WhichOption = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Songs for each query (10 by default).")] = None,
    toml: Toml = None,
    assignments: Set = None,
    as_json: Json = False,
) -> None:
    """Songs whose listeners would be the same: cosine of usage patterns, observed or predicted.

    Any song with factors, observed or predicted, may be asked about; --which says what the lists may hold.
    """
    which = one_of("--which", which or ("both" if predicted else "warm"), WHICH)
    if predicted is None and which != "warm":
        raise SettingError(f"--which {which}: cold songs need --predicted. Pass it, or --which warm.")
    observed, guessed = Factors.load(factors), SongFactors.load(predicted) if predicted else None
    wanted = candidates(observed, guessed, which)
    pool = wanted if guessed is None else candidates(observed, guessed, "both")
    known = pool.songs.songs
    if guessed is None:
        refuse_unknown(known, songs)
    settings = settings_of(SimilarSettings, toml, [*([f"k={k}"] if k else []), *(assignments or ())], "similar")
    space = usage_space(pool.users.vectors, pool.songs.vectors, centred=settings.centred)
    listed = wanted.songs.songs.find(known.ids) >= 0
    print_table(similar_songs(space, known, settings, query_ids=songs, listed=listed).table(), as_json)
