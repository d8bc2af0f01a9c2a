"""Real Echo Nest plays, without sound: what the factors are worth, for new songs and for new users.

    new songs   one song in five is hidden; its factors are folded in from its own plays (upper bound)
    new users   one user in five is new: half of their songs are folded in, the other half is to be found
                among all songs the fit knows, those already played left out

No sound goes with these plays, so no row here hears; the content rows are those of the other benchmarks.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from deepcuts.artifacts import Plays
from deepcuts.config import require
from deepcuts.data import MsdSettings, SplitSettings, make_split, read_h5_metadata, read_msd
from deepcuts.evaluate import (
    EvaluateSettings,
    System,
    audit,
    evaluate,
    popularity_system,
    random_system,
    relevant_plays,
)
from deepcuts.evaluate.report import report_content
from deepcuts.factors import WmfSettings, fit, fold_in_users, popularity
from deepcuts.lab.results import format_interval
from deepcuts.trial.rows import fold_in

TRIPLETS, ANALYSES = "taste_profile/10000.txt", "msd_h5"


@dataclass(frozen=True)
class TasteProfileBench:
    """How the plays are dealt, and the factorisation.

    Attributes:
        new_users: fraction of the users who are new.
        n_factors, regularization: of the factorisation; the rest are its defaults.
        seed: of everything.
    """

    new_users: float = 0.2
    n_factors: int = 50
    regularization: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        require(0 < self.new_users < 1, "new_users", self.new_users, "a fraction strictly between 0 and 1")
        require(self.seed >= 0, "seed", self.seed, "0 or more")


def run(data: Path, bench: TasteProfileBench) -> dict[str, Any]:
    """Read, factorise, fold in, evaluate; both tables."""
    reading = read_msd(data / TRIPLETS, MsdSettings())
    plays = reading.plays
    wmf = WmfSettings(n_factors=bench.n_factors, regularization=bench.regularization, seed=bench.seed)
    analysed, _ = read_h5_metadata(data / ANALYSES)
    songs = new_songs(plays, wmf, bench)
    users = new_users(plays, wmf, bench)
    n_analysed = int((plays.songs.find(analysed["song_id"].unique()) >= 0).sum())
    summary = {"users": plays.shape[0], "songs": plays.shape[1], "user-song pairs": plays.n_plays, **reading.notes}
    return {
        **songs,
        "title": "Echo Nest Taste Profile: new songs, folded in from their plays",
        "settings": {**songs["settings"], **asdict(bench)},
        "about_text": "Read: " + ", ".join(f"{value:,} {name}" for name, value in summary.items())
        + f". {n_analysed} of the songs have one of the {analysed.height} analyses: too few to learn to hear from.",
        "tables": {"New users, folded in from half of their songs, asked for the other half": users},
    }  # fmt: skip


def new_songs(plays: Plays, wmf: WmfSettings, bench: TasteProfileBench) -> dict[str, Any]:
    """Cold songs: what chance, popularity and the songs' own hidden plays give."""
    split = make_split(plays, SplitSettings(seed=bench.seed))
    observed = fit(split.learning_plays(plays), wmf).factors
    songs = split.test_songs
    hidden = plays.counts_of(observed.users.users, songs)
    relevant = relevant_plays(plays, observed.users.users, songs)
    listeners = np.asarray(relevant.sum(axis=0)).ravel()
    rng = np.random.default_rng(bench.seed)
    systems = [
        random_system(observed.users.vectors, len(songs), rng, lineage=observed.lineage),
        popularity_system(len(observed.users), listeners),
        fold_in(observed, hidden),
    ]
    proof = audit(split, plays, [observed], systems=systems)
    evaluation = evaluate(systems, relevant, EvaluateSettings(seed=bench.seed))
    return report_content(evaluation, audit=proof)


def new_users(plays: Plays, wmf: WmfSettings, bench: TasteProfileBench) -> list[dict[str, Any]]:
    """Warm songs, new users: factors of users folded in from half of what they played."""
    rng = np.random.default_rng(bench.seed)
    is_new = rng.random(len(plays.users)) < bench.new_users
    learning = replace(plays, counts=keep_rows(plays.counts, ~is_new), first_played=None)
    observed = fit(learning, wmf).factors
    given, asked = halves(plays.counts[np.flatnonzero(is_new)], rng)
    heard = observed.songs.n_listeners if observed.songs.n_listeners is not None else np.zeros(0)
    known = np.flatnonzero(heard > 0)  # songs that the others played
    given, asked = sparse.csr_array(given[:, known]), sparse.csr_array(asked[:, known])
    Y = observed.songs.vectors[known]
    X = fold_in_users(given, Y, wmf)
    _, listeners = popularity(learning)
    systems = [
        random_system(X, len(known), rng),
        System("popularity", np.ones((len(X), 1), np.float32), listeners[known], "control"),
        System("wmf_fold_in", X, Y),
    ]
    evaluation = evaluate(systems, asked, EvaluateSettings(seed=bench.seed))
    content = report_content(evaluation)
    return [
        {
            "system": row["system"],
            "AUC": format_interval(row["auc"], 3),
            "mAP@500": format_interval(row["map500"], 4),
            "users": row["n_users"],
            "songs": row["n_songs"],
        }
        for row in content["rows"]
    ]


def keep_rows(counts: sparse.csr_array, keep: np.ndarray) -> sparse.csr_array:
    """The matrix with the other rows emptied."""
    rows = sparse.csr_array(sparse.diags_array(keep.astype(np.float32)) @ counts)
    rows.eliminate_zeros()
    return rows


def halves(counts: sparse.csr_array, rng: np.random.Generator) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Each stored play goes to one half or the other at random."""
    place = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr)), counts.indices
    first = rng.random(counts.nnz) < 0.5
    given, asked = (
        sparse.csr_array((counts.data[chosen], (place[0][chosen], place[1][chosen])), counts.shape)
        for chosen in (first, ~first)
    )
    return given, asked
