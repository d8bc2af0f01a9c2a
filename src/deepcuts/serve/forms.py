"""What requests may hold: the bodies of REST, checked before anything is asked."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepcuts.recommend import Filters

Id = Annotated[str, Field(min_length=1, max_length=1000)]
Which = Literal["cold", "warm", "both"]
Count = Annotated[int, Field(ge=1, le=1000)]


class Strict(BaseModel):
    """A body without unknown names."""

    model_config = ConfigDict(extra="forbid")


class FilterForm(Strict):
    """What a list may hold."""

    artists: list[str] | None = None
    albums: list[str] | None = None
    genres: list[str] | None = None
    first_year: Annotated[int, Field(ge=0, le=9999)] | None = None
    last_year: Annotated[int, Field(ge=0, le=9999)] | None = None
    per_artist: Annotated[int, Field(ge=1, le=1000)] | None = None
    per_album: Annotated[int, Field(ge=1, le=1000)] | None = None
    exclude: list[Id] = []
    played: bool = False
    deeper: Annotated[float, Field(ge=0, le=10)] = 0.0

    def filters(self) -> Filters:
        """As the recommender takes them."""
        years = None
        if self.first_year is not None or self.last_year is not None:
            years = (self.first_year or 0, 9999 if self.last_year is None else self.last_year)
        return Filters(self.artists, self.albums, years, self.per_artist, self.per_album, self.exclude, self.played,
                       self.deeper, self.genres)  # fmt: skip


class RecommendForm(Strict):
    """Songs for known listeners, or for somebody who likes and dislikes a few songs."""

    users: Annotated[list[Id], Field(max_length=1000)] = []
    liked: Annotated[list[Id], Field(max_length=1000)] = []
    disliked: Annotated[list[Id], Field(max_length=1000)] = []
    k: Count = 20
    which: Which = "both"
    filters: FilterForm = FilterForm()


class PlaylistForm(Strict):
    """A playlist from seeds."""

    seeds: Annotated[list[Id], Field(min_length=1, max_length=100)]
    k: Count = 25
    filters: FilterForm = FilterForm(per_artist=3)
    name: Annotated[str, Field(max_length=200)] = ""


class BatchForm(Strict):
    """Several songs at once."""

    song_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)]
    k: Count = 10
    which: Which = "both"


class PlayForm(Strict):
    """One thing a listener did."""

    user_id: Id
    song_id: Id
    kind: Literal["play", "skip", "star", "unstar", "rate"] = "play"
    time: Annotated[int, Field(ge=0, le=32_503_680_000)] = 0
    value: Annotated[float, Field(ge=0, le=1_000_000)] = 1.0
    event_id: Annotated[str, Field(max_length=200)] = ""


class PlaysForm(Strict):
    """Things that listeners did."""

    plays: Annotated[list[PlayForm], Field(min_length=1, max_length=10_000)]
