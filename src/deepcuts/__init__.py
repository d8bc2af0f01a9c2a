"""deepcuts recommends songs nobody has played yet, from how they sound.

Learn what listeners share from play counts (weighted matrix factorisation), learn to hear it (a network from
sound to latent factors), then place any new song in the same space and recommend it.

Source: van den Oord, Dieleman, Schrauwen, "Deep content-based music recommendation", NIPS 2013.
"""

__version__ = "0.1.0"
