"""Stage recommend: user factors + song factors → the best songs for each user, or the songs most like a song."""

from deepcuts.recommend.blend import blend, prior_precision
from deepcuts.recommend.filters import Filters
from deepcuts.recommend.recommender import Recommender
from deepcuts.recommend.scan import SongIndex
from deepcuts.recommend.similar import SimilarSettings, similar_songs, usage_space
from deepcuts.recommend.taste import PosteriorSettings, content_neighbours, content_space, posterior_tastes
from deepcuts.recommend.topk import RecommendSettings, candidates, recommend, serve_unknown_users

__all__ = [
    "Filters",
    "PosteriorSettings",
    "RecommendSettings",
    "Recommender",
    "SimilarSettings",
    "SongIndex",
    "blend",
    "candidates",
    "content_neighbours",
    "content_space",
    "posterior_tastes",
    "prior_precision",
    "recommend",
    "serve_unknown_users",
    "similar_songs",
    "usage_space",
]
