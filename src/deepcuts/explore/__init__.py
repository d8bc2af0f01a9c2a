"""Stage explore: what factors know, told so that a person can see it. Takes factors; feeds nothing further down.

    tags       tags predicted from factors or from sound        section 5.1
    factors    artists at both ends of a factor                 Table 1
    lists      similar songs, from plays and from sound         Table 4
    songmap    songs in two dimensions; `picture` draws it, `page` makes it a web page    Figure 1

`tags`, `songmap` and `picture` are not imported here because scikit-learn, openTSNE and matplotlib take long to load.
"""

from deepcuts.explore.factors import ExtremeSettings, extreme_artists, extreme_tags, extremes_text
from deepcuts.explore.lists import ListComparison, ListSettings, compare_lists
from deepcuts.explore.styles import label_songs, popular_styles, style_colours

__all__ = [
    "ExtremeSettings",
    "ListComparison",
    "ListSettings",
    "compare_lists",
    "extreme_artists",
    "extreme_tags",
    "extremes_text",
    "label_songs",
    "popular_styles",
    "style_colours",
]
