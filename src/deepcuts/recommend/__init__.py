"""Stage recommend: user factors + song factors → the best songs for each user, or the songs most like a song."""

from deepcuts.recommend.scan import SongIndex
from deepcuts.recommend.similar import SimilarSettings, similar_songs, usage_space
from deepcuts.recommend.topk import RecommendSettings, candidates, recommend

__all__ = [
    "RecommendSettings",
    "SimilarSettings",
    "SongIndex",
    "candidates",
    "recommend",
    "similar_songs",
    "usage_space",
]
