"""One call of a player: who asks, for what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from deepcuts.serve.accounts import Account
from deepcuts.serve.catalogue import Catalogue, Song
from deepcuts.serve.opensubsonic.envelope import MISSING, NOT_FOUND, Refused
from deepcuts.serve.state import Listener, Model, State

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

    @cached_property
    def plays(self) -> dict[str, float]:
        """How often the listener played each song."""
        return self.state.play_counts(self.user)

    @property
    def listener(self) -> Listener:
        """What the listener did since the model was made."""
        return self.state.listeners.get(self.user) or Listener()

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


def stamp(seconds: float) -> str:
    """Unix seconds as the protocol writes times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def without_none(held: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not known."""
    return {name: value for name, value in held.items() if value is not None}
