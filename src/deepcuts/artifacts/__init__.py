"""The nouns in which the stages meet. Each is also a folder on disk, so the journey can be entered anywhere.

    Vocabulary   outside ids (always texts) ↔ positions (always integers)
    Plays        who played what how often      [n_users, n_songs], CSR, counts > 0
    Split        which songs are for training, validation and testing
    Factors      users [n_users, n_factors] and songs [n_songs, n_factors]; either may be absent
    Features     song → [n_frames, n_channels]
    Tags         [n_songs, n_tags], CSR, weights > 0
    Ranking      for each user (or query song) the best songs, best first

Users come first in every matrix. `user` and `song` are positions; `user_id` and `song_id` the outside names.
"""

from deepcuts.artifacts.factors import Factors
from deepcuts.artifacts.features import Features
from deepcuts.artifacts.plays import Plays, complete_songs_table, plays_before
from deepcuts.artifacts.ranking import Ranking
from deepcuts.artifacts.split import ROLE_NAMES, TEST, TRAIN, VALIDATION, Split
from deepcuts.artifacts.tags import Tags
from deepcuts.artifacts.vocabulary import Vocabulary

__all__ = [
    "ROLE_NAMES",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Factors",
    "Features",
    "Plays",
    "Ranking",
    "Split",
    "Tags",
    "Vocabulary",
    "complete_songs_table",
    "plays_before",
]
