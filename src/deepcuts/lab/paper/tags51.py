"""Section 5.1: tags predicted from factors and from bags of words."""

from typing import Any

from deepcuts.lab.cache import kept_json, part
from deepcuts.lab.paper.claims import claim
from deepcuts.lab.paper.systems import leading
from deepcuts.lab.paper.world import PaperWorld, observed_factors

PAPER = {"bag of words": 0.69365, "latent factors": 0.86703}


def tags51(world: PaperWorld) -> dict[str, Any]:
    """Mean AUC over the most popular tags, from factors of all songs and from PCA'd bags of words; claim (e).

    Tags of the planted world are styles and words for what is heard. Songs are dealt to folds by artist when the split
    is by artist, and one by one, as in the paper, when it is by song.
    """
    factors = observed_factors(world, world.settings.n_factors, protocol="joint")
    marks = (
        factors.fingerprint,
        world.bag.fingerprint,
        world.settings.n_tags,
        world.settings.n_tag_folds,
        world.settings.tag_components,
    )
    path = part(world.work, "tags51", *marks, world.settings.by, world.settings.n_bootstrap, world.settings.seed)
    return kept_json(path, lambda: measure(world))


def measure(world: PaperWorld) -> dict[str, Any]:
    """Cross-validate both."""
    from deepcuts.explore.tags import TagSettings, compare_tags, predict_tags  # scikit-learn takes long to load

    settings, songs = world.settings, world.plays.songs
    factors = observed_factors(world, settings.n_factors, protocol="joint")
    n_tags = min(settings.n_tags, len(usable_tags(world)))
    how = TagSettings(n_tags, settings.n_tag_folds, n_bootstrap=settings.n_bootstrap, seed=settings.seed)
    groups = world.plays.songs_table["artist"].to_list() if settings.by == "artist" else None
    inputs = {"bag of words": leading(world, songs, settings.tag_components), "latent factors": factors.songs.vectors}
    scores = {
        name: predict_tags(X, songs, world.world.tags, how, groups=groups)
        for name, X in inputs.items()
        if X is not None
    }
    rows = [
        {
            "inputs": name,
            "auc": {"mean": one.mean, "low": one.low, "high": one.high},
            "paper": PAPER[name],
            "n_tags": len(one.tags),
            "n_songs": len(one.songs),
            "n_undefined": one.n_undefined,
        }
        for name, one in scores.items()
    ]
    gap = compare_tags(scores["latent factors"], scores["bag of words"], how)
    test = {"what": "latent factors − bag of words", "metric": "tag AUC", **gap, "p": None}
    verdict = claim(
        "e",
        "Latent factors tell tags better than bags of words do.",
        [test],
        "Tags of the planted world describe nothing but sound, half of it spectral, and so favour whatever hears; the "
        "tags of people also tell scene, era and language, which only plays know.",
    )
    by_tag = {name: one.table().to_dicts() for name, one in scores.items()}
    return {"rows": rows, "by_tag": by_tag, "claims": [verdict]}


def usable_tags(world: PaperWorld) -> list[int]:
    """Tags that at least two songs have and two have not, in the world's own songs."""
    tags = world.world.tags.weights
    carriers = [int(n) for n in (tags > 0).sum(axis=0)]
    return [tag for tag, n in enumerate(carriers) if 2 <= n <= tags.shape[0] - 2]
