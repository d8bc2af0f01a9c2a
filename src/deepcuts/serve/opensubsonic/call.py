"""One call of a player: who asks, for what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deepcuts.serve.accounts import Account
from deepcuts.serve.catalogue import Catalogue, Song
from deepcuts.serve.opensubsonic.envelope import (
    BAD_KEY,
    MISSING,
    NOT_FOUND,
    TWO_MECHANISMS,
    WRONG_LOGIN,
    Refused,
)
from deepcuts.serve.state import Model, State

MOST = 500  # songs in an answer, unless the protocol says otherwise


@dataclass(frozen=True)
class Call:
    """A call, its login checked.

    Attributes:
        given: parameters by name; each may repeat.
        account: who asks.
        model: the model of this moment, so that one answer never mixes two.
    """

    state: State
    given: Mapping[str, Sequence[str]]
    account: Account
    model: Model = field(repr=False)

    @property
    def user(self) -> str:
        """The listener who asks."""
        return self.account.name

    @property
    def catalogue(self) -> Catalogue:
        """What can be browsed."""
        return self.model.catalogue

    def text(self, name: str, default: str | None = None) -> str:
        """A parameter.

        Raises:
            Refused: it is missing and has no default.
        """
        held = self.given.get(name)
        if held:
            return held[0]
        if default is None:
            raise Refused(MISSING, f"Required parameter {name!r} is missing.")
        return default

    def texts(self, name: str) -> list[str]:
        """All values of a parameter."""
        return list(self.given.get(name, ()))

    def number(self, name: str, default: int, low: int = 0, high: int = MOST) -> int:
        """A whole number, held between two bounds.

        Raises:
            Refused: it is no number.
        """
        held = self.text(name, str(default))
        try:
            return min(max(int(float(held)), low), high)
        except (ValueError, OverflowError) as error:
            raise Refused(MISSING, f"Parameter {name!r} = {held[:50]!r} is not a number.") from error

    def flag(self, name: str, default: bool) -> bool:
        """A yes or no; some clients write True or False in Python's way."""
        return self.text(name, str(default)).lower() in ("true", "1", "yes")

    def song(self, name: str = "id") -> Song:
        """The song that a parameter names.

        Raises:
            Refused: no such song.
        """
        return self.song_of(self.text(name))

    def song_of(self, song_id: str) -> Song:
        """A song by id."""
        song = self.catalogue.by_id.get(song_id)
        if song is None:
            raise Refused(NOT_FOUND, f"Song {song_id!r} not found.")
        return song


def login(state: State, given: Mapping[str, Sequence[str]]) -> Account:
    """Who sends a call.

    Raises:
        Refused: wrong or missing login.
    """

    def one(name: str) -> str | None:
        return given[name][0] if given.get(name) else None

    key, user = one("apiKey"), one("u")
    if key is not None:
        if user is not None or one("p") is not None or one("t") is not None:
            raise Refused(TWO_MECHANISMS, "Multiple conflicting authentication mechanisms provided.")
        account = state.accounts.of_key(key)
        if account is None:
            raise Refused(BAD_KEY, "Invalid API key.")
        return account
    if user is None:
        raise Refused(MISSING, "Required parameter 'u' is missing.")
    account = state.accounts.get(user)
    if account is None or not _is_right(account, one("p"), one("t"), one("s")):
        raise Refused(WRONG_LOGIN, "Wrong username or password.")
    return account


def _is_right(account: Account, password: str | None, token: str | None, salt: str | None) -> bool:
    if token is not None and salt is not None:
        return account.has_token(token, salt)
    if password is None:
        raise Refused(MISSING, "Required parameter 'p', or 't' and 's', is missing.")
    if password.startswith("enc:"):
        try:
            password = bytes.fromhex(password[4:]).decode("utf-8", "replace")
        except ValueError:
            return False
    return account.has_password(password)


def stamp(seconds: float) -> str:
    """Unix seconds as the protocol writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def without_none(held: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in held.items() if value is not None}
