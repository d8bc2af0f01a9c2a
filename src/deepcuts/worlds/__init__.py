"""Planted worlds with known truth, and made-up catalogues."""

from deepcuts.worlds.taste import TasteSettings, make_taste
from deepcuts.worlds.truth import Truth, audio_ceiling, load_truth, oracle, play_rates
from deepcuts.worlds.world import World, WorldSettings, make_world

__all__ = [
    "TasteSettings",
    "Truth",
    "World",
    "WorldSettings",
    "audio_ceiling",
    "load_truth",
    "make_taste",
    "make_world",
    "oracle",
    "play_rates",
]
