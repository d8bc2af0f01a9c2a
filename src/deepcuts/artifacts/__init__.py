"""The nouns in which the stages meet. Each is also a folder on disk, so the journey can be entered anywhere.

    Vocabulary   outside ids (always texts) ↔ positions (always integers)
    Songs        what songs are called and where they lie: title, artist, album, file, MusicBrainz id, ISRC, ...
    Plays        who played what how often      [n_users, n_songs], CSR, counts > 0
    Split        which songs are for training, validation and testing
    Lineage      which factor space, learned from whom, under which protocol
    UserFactors  x_u [n_users, n_factors];  SongFactors  y_i [n_songs, n_factors], maybe with a precision
    Factors      users and songs of one space
    Features     song → [n_frames, n_channels]
    Tags         [n_songs, n_tags], CSR, weights > 0
    Ranking      for each user (or query song) the best songs, best first

Users come first in every matrix. `user` and `song` are positions; `user_id` and `song_id` the outside names.
"""

from deepcuts.artifacts.bundle import Bundle
from deepcuts.artifacts.factors import Factors
from deepcuts.artifacts.features import Features
from deepcuts.artifacts.lineage import CLEAN, JOINT, UNKNOWN, Lineage, derive, same_space
from deepcuts.artifacts.plays import Plays, complete_songs_table, plays_before
from deepcuts.artifacts.ranking import Ranking
from deepcuts.artifacts.rows import Events
from deepcuts.artifacts.song_factors import SongFactors
from deepcuts.artifacts.songs import Songs
from deepcuts.artifacts.split import ROLE_NAMES, TEST, TRAIN, VALIDATION, Split
from deepcuts.artifacts.tags import Tags
from deepcuts.artifacts.user_factors import UserFactors
from deepcuts.artifacts.vocabulary import Vocabulary

__all__ = [
    "CLEAN",
    "JOINT",
    "ROLE_NAMES",
    "TEST",
    "TRAIN",
    "UNKNOWN",
    "VALIDATION",
    "Bundle",
    "Events",
    "Factors",
    "Features",
    "Lineage",
    "Plays",
    "Ranking",
    "SongFactors",
    "Songs",
    "Split",
    "Tags",
    "UserFactors",
    "Vocabulary",
    "complete_songs_table",
    "derive",
    "plays_before",
    "same_space",
]
