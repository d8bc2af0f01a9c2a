"""`deepcuts bundle` makes one portable model; `for-user`, `audience`, `playlist` and `place` ask it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from deepcuts.artifacts import Bundle, Factors, Plays, SongFactors, Split
from deepcuts.artifacts.songs import merged_names, song_asked_for
from deepcuts.cli.common import Json, Out, one_of, print_table, read_columns, say
from deepcuts.errors import SettingError
from deepcuts.recommend import Filters, Recommender
from deepcuts.recommend.playlists import write_playlist
from deepcuts.recommend.topk import WHICH
from deepcuts.store import refuse_to_replace

Model = Annotated[Path, typer.Argument(help="A model, from `deepcuts bundle`.")]
Number = Annotated[int, typer.Option("-k", min=1, help="How many.")]
PerArtist = Annotated[int | None, typer.Option("--per-artist", min=1, help="At most so many songs of an artist.")]


def bundle(
    factors: Annotated[Path, typer.Argument(help="Factors of users and songs.")],
    output: Out,
    predicted: Annotated[
        Path | None, typer.Option("--predicted", help="Factors of songs, predicted from sound: adds the cold songs.")
    ] = None,
    plays: Annotated[
        Path | None, typer.Option("--plays", help="Plays: what users have played, and the names of songs.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option("--split", help="The split the factors were learned under: hidden plays stay out.")
    ] = None,
    encoder: Annotated[Path | None, typer.Option("--encoder", help="The encoder: the model hears new songs.")] = None,
    songs: Annotated[
        Path | None, typer.Option("--songs", help="Library, or table of song_id and title, artist, album, file, ...")
    ] = None,
    music: Annotated[
        Path | None, typer.Option("--music", help="The folder below which the songs' files lie, for playing them.")
    ] = None,
) -> None:
    """Put everything an answer needs into one folder that can be handed on: a model."""
    refuse_to_replace(output, kind="bundle")
    observed = Factors.load(factors)
    counts = Plays.load(plays) if plays is not None else None
    table, split_hash = counts.songs_table if counts is not None else None, ""
    if split is not None:
        chosen = Split.load(split)
        split_hash = chosen.fingerprint
        counts = chosen.learning_plays(counts) if counts is not None else None
    if songs is not None:
        named = read_columns(songs, "song_id")
        table = named if table is None else merged_names(named, table)
    made = Bundle.of(
        observed,
        SongFactors.load(predicted) if predicted is not None else None,
        counts,
        songs_table=table,
        encoder=encoder,
        card=card_of(observed, encoder) | ({"music": str(music.resolve())} if music is not None else {}),
        split=split_hash,
    )
    made.save(output)
    n_cold = int((made.songs.n_listeners == 0).sum()) if made.songs.n_listeners is not None else 0
    say(f"{output}: {len(made.users):,} users, {len(made.songs):,} songs, {n_cold:,} of them never played")
    say(f"Ask it: deepcuts for-user {output} {made.users.users[0]}")


def card_of(observed: Factors, encoder: Path | None) -> dict[str, Any]:
    """What the model says of itself."""
    return {
        "what": "Weighted matrix factorisation of plays, and an encoder from sound to its factors.",
        "protocol": observed.lineage.protocol,
        "space": observed.lineage.space,
        "factorisation": dict(observed.settings),
        "hears_new_songs": encoder is not None,
        "pretrained_on": list(observed.lineage.pretrained_on),
    }


def for_user(
    model: Model,
    users: Annotated[list[str] | None, typer.Argument(help="User ids; the only listener when left out.")] = None,
    liked: Annotated[
        list[str] | None, typer.Option("--like", help="A song (id or title) that somebody new likes; repeat.")
    ] = None,
    disliked: Annotated[list[str] | None, typer.Option("--dislike", help="A song they dislike; repeat.")] = None,
    k: Number = 20,
    which: Annotated[str, typer.Option("--which", help="cold (never played), warm or both.")] = "both",
    per_artist: PerArtist = None,
    deeper: Annotated[float, typer.Option(min=0, help="How strongly popular songs are held back; 0 not at all.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Songs for known users, or for somebody new who likes and dislikes a few songs."""
    held = Bundle.load(model)
    if not (users or liked or disliked) and len(held.users) == 1:
        users = [held.users.users[0]]  # the only listener
    if bool(users) == bool(liked or disliked):
        raise SettingError("for-user: name user ids, or songs with --like and --dislike: one of the two.")
    answers, filters = Recommender(held), Filters(per_artist=per_artist, deeper=deeper)
    history = {**dict.fromkeys(ids_of(held, liked), 1.0), **dict.fromkeys(ids_of(held, disliked), -1.0)}
    table = answers.recommend(users or history, k, which=one_of("--which", which, WHICH), filters=filters)
    tell_methods(table, users or [])
    print_table(table, as_json)


def ids_of(model: Bundle, songs: Sequence[str] | None) -> list[str]:
    """The ids of songs that are named by id, file, title, or "artist - title"."""
    music = Path(str(model.card.get("music") or "/"))
    texts = [below(music, one) for one in songs or ()]
    return [song_asked_for(model.table, one, "model") for one in texts]


def below(music: Path, text: str) -> str:
    """The path of an existing file below the folder of music; any other text as it is."""
    path = Path(text)
    if path.is_file() and path.resolve().is_relative_to(music):
        return path.resolve().relative_to(music).as_posix()
    return text


def tell_methods(table: pl.DataFrame, users: list[str]) -> None:
    """Say who was served by taste in the content space, and who could not be served."""
    served = table.filter(pl.col("method") == "content")["user_id"].unique(maintain_order=True).to_list()
    if served:
        say(f"{', '.join(served[:5])}: ranked by the sound of the songs they play, not by what listeners share")
    missing = [user for user in users if user not in set(table["user_id"].to_list())]
    if missing:
        say(f"{', '.join(missing[:5])}: no list, because the model knows no plays of them or no songs are left")


def audience(
    model: Model,
    song: Annotated[str, typer.Argument(help="A song of the model, by id or title; or a sound file nobody has heard.")],
    k: Number = 20,
    as_json: Json = False,
) -> None:
    """The listeners most likely to care for a song, with the artists they play most."""
    held = Bundle.load(model)
    if song in held.songs.songs or not Path(song).is_file():
        print_table(Recommender(held).audience(ids_of(held, [song])[0], k), as_json)
        return
    answers = Recommender(held, hearer(held))
    print_table(answers.audience(answers.place(Path(song), 1)[0].vectors[0], k), as_json)


def playlist(
    model: Model,
    seeds: Annotated[list[str], typer.Argument(help="Songs to start from: ids, titles, 'artist - title' or files.")],
    k: Number = 25,
    per_artist: PerArtist = 3,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write a playlist that players open: .m3u8 or .jspf.")
    ] = None,
    as_json: Json = False,
) -> None:
    """A playlist around a few songs: the seeds first, artists spaced, no second copies."""
    held = Bundle.load(model)
    table = Recommender(held).playlist(ids_of(held, seeds), k, filters=Filters(per_artist=per_artist))
    if output is not None:
        rows = held.table[held.songs.songs.positions(table["song_id"])]
        n_left_out = write_playlist(output, rows, str(held.card.get("music", "")))
        left_out = f"; {n_left_out:,} songs have no file and were left out" if n_left_out else ""
        say(f"{output}: {table.height - n_left_out:,} songs{left_out}")
    print_table(table, as_json)


def place(
    model: Model,
    sound: Annotated[Path, typer.Argument(help="A sound file.")],
    k: Number = 10,
    as_json: Json = False,
) -> None:
    """Hear a new song and list the known songs that the same people would play."""
    held = Bundle.load(model)
    print_table(Recommender(held, hearer(held)).place(sound, k)[1], as_json)


def hearer(model: Bundle) -> Callable[[Path], SongFactors] | None:
    """A function from one sound file to its predicted factors, by the encoder of a model and its feature recipe."""
    if model.encoder is None:
        return None
    from deepcuts.chain.hear import Hearing  # torch takes seconds to load

    return Hearing.load(model.encoder, isolated=True)
