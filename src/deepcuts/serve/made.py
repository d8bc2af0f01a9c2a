"""Three lists that are made for each listener: what to play next, what nobody has played, what is new."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from deepcuts.recommend import Filters
from deepcuts.serve.eventlog import EventLog
from deepcuts.serve.state import Listener, Model

LENGTH, WEEK = 50, 7 * 86_400
PER_ARTIST = 3


@dataclass(frozen=True)
class MadeList:
    """A list that is made."""

    name: str
    comment: str


MADE_LISTS = {
    "for-you": MadeList("For you", "Songs that you have not played, picked for you."),
    "deep-cuts": MadeList("Deep cuts", "Songs that nobody has played yet, best for you first."),
    "new-this-week": MadeList("New this week", "Songs that came in the last seven days, best for you first."),
}
Ask = Callable[..., pl.DataFrame]  # (k, which, filters) → the listener's best songs, as Recommender.recommend


def made_list(key: str, model: Model, ask: Ask, added: Mapping[str, float] | None = None) -> list[str]:
    """The song ids of one of the lists.

    Args:
        key: of MADE_LISTS.
        ask: the recommender, for one listener.
        added: song id → when it was added, unix seconds; other songs came when their files were last changed.
    """
    if key == "for-you":
        return _best(model, ask, LENGTH, "both", Filters(per_artist=PER_ARTIST))
    if key == "deep-cuts":
        return _best(model, ask, LENGTH, "cold", Filters(per_artist=PER_ARTIST))
    since, added = time.time() - WEEK, added or {}
    songs = model.catalogue.songs
    came = {song.song_id: added.get(song.song_id, at) for song, at in zip(songs, model.catalogue.arrived, strict=True)}
    new = {song_id for song_id, at in came.items() if at > since}
    return [one for one in _best(model, ask, len(songs), "both", Filters()) if one in new][:LENGTH] if new else []


def lists_of(model: Model, user: str, log: EventLog | None = None) -> dict[str, list[str]]:
    """All lists of one listener, without a running server: name of the list → song ids.

    Args:
        log: what listeners did since the model was made.
    Raises:
        InputError: nothing is known of the listener.
    """
    users, since = model.answers.bundle.users.users, Listener()
    added: dict[str, float] = {}
    for _, event in log.events() if log is not None else ():
        if event.kind == "add":
            added[event.song_id] = event.time
        elif event.user_id == user:
            since.take(event)
    who: str | dict[str, float] = user
    if since.is_new or user not in users:
        at = int(users.find([user])[0])
        counts = since.history(model.answers.history_of(at) if at >= 0 else {})
        who = {song: n for song, n in counts.items() if song in model.catalogue.by_id}
    if not who:
        users.positions([user], where="model")  # names ids that are like it

    def ask(k: int, which: str, filters: Filters) -> pl.DataFrame:
        return model.answers.recommend(who, k, which=which, filters=filters)

    return {about.name: made_list(key, model, ask, added) for key, about in MADE_LISTS.items()}


def _best(model: Model, ask: Ask, k: int, which: str, filters: Filters) -> list[str]:
    """Ids of songs for a listener; for one of whom nothing is known, those that most listeners play."""
    table = ask(k, which, filters)
    if table.height:
        return [str(one) for one in table["song_id"].to_list()]
    listeners = model.answers.bundle.songs.n_listeners
    order = range(len(model.catalogue.songs)) if listeners is None else (-listeners).argsort(kind="stable").tolist()
    may = [at for at in order if which != "cold" or not model.answers.warm[at]]
    return [model.catalogue.songs[at].song_id for at in may[:k]]
