"""The whole chain in one call: plays and music to a model, brought up to date, with new tracks added."""
