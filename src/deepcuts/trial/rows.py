"""The rows that stand in every table: what chance gives, what cheating gives, what perfect hearing would give.

random             song factors drawn at random, the same for all users (the paper's random row)
shuffled           a system's own predictions, dealt out to the wrong songs: it hears nothing
popularity         everyone gets the most played test songs; cheats, for it counts the hidden plays
fold_in            song factors solved from the hidden plays themselves: cheats, the upper bound of WMF
perfect_encoder    predictions from the true audible latents: what remains is the limit of the factors
bayes_listener     perfect ears, and the best guess of each taste that the listener's own plays allow
heard_fame         one list for all, by the listeners that content foretells: a meter of leaks
audio_ceiling      the true audible taste of the true users: no one who only listens can do better
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import sparse
from sklearn.linear_model import Ridge

from deepcuts.artifacts import Factors, Plays, SongFactors, Split, Vocabulary, derive
from deepcuts.errors import InputError
from deepcuts.evaluate import System, popularity_system, random_system
from deepcuts.factors import blocks, fold_in_settings, fold_in_songs


def with_controls(
    plays: Plays,
    split: Split,
    observed: Factors,
    predicted: Mapping[str, SongFactors],
    *,
    ceilings: Callable[[Vocabulary], list[System]] | None = None,
    seed: int = 0,
    n_deals: int = 1,
    fame_from_predictions: bool = False,
) -> tuple[list[System], Vocabulary]:
    """All rows of a table: systems that hear, controls, ceilings.

    Args:
        plays: all plays, the hidden ones too (the cheating rows count them).
        observed: users and training songs, learned under `split`.
        predicted: song factors by system name; the test songs that all of them hold are ranked.
        ceilings: what only the truth of a planted world can know, for the ranked songs; see `trial.ceilings`.
        n_deals: how many random and shuffled rows; with several they are called "random 1", "random 2", ...
        fame_from_predictions: add the row `heard_fame`, for tables whose rivals do not bring it.
    Returns:
        the systems, and the ranked test songs in the order of their vectors.
    Raises:
        InputError: no test song has predictions.
    """
    songs = ranked_songs(split, list(predicted.values()))
    # Every split has draws of its own: with one draw for all folds their control rows would rise and fall together.
    rng = np.random.default_rng([seed, int(split.fingerprint[:8], 16)])
    X, lineage = observed.users.vectors, observed.users.lineage
    names = [f" {deal + 1}" for deal in range(n_deals)] if n_deals > 1 else [""]
    systems = [random_system(X, len(songs), rng, f"random{name}", lineage) for name in names]
    heard = [system_of(name, observed, one, songs) for name, one in predicted.items()]
    if heard:
        systems += [shuffled(heard[-1], rng, f"shuffled{name}") for name in names]
    hidden = plays.counts_of(observed.users.users, songs)
    listeners = np.bincount(hidden.indices, minlength=len(songs))
    systems += [popularity_system(len(X), listeners, lineage=lineage), *heard]
    if predicted and fame_from_predictions:
        systems.append(heard_fame(observed, list(predicted.values())[-1], songs))
    if ceilings is not None:
        systems += ceilings(songs)
    return [*systems, fold_in(observed, hidden)], songs


def of_known_listeners(hidden: sparse.csr_array, observed: Factors) -> tuple[sparse.csr_array, list[str]]:
    """The hidden plays of listeners of whom something is known, and the ids of those of whom nothing is.

    A listener whose plays are all hidden has a vector of zeros. Every list for them is chance, so they are left out.

    Args:
        hidden: [n_users, n_test] CSR, rows as the users of `observed`.
    """
    known = np.any(observed.users.vectors, axis=1)
    unknown = ~known & (np.diff(hidden.indptr) > 0)
    if not unknown.any():
        return hidden, []
    kept = sparse.csr_array(hidden.multiply(np.asarray(known)[:, None]))
    kept.eliminate_zeros()
    return kept, observed.users.users.ids.filter(unknown).to_list()


def heard_fame(observed: Factors, predicted: SongFactors, songs: Vocabulary) -> System:
    """The row `heard_fame` where no content is at hand: one list for all, by the listeners that predictions foretell.

    log(1 + listeners) ≈ a + b·y over the learning songs by ridge regression; fame of a test song = a + b·ŷ
    """
    listeners = observed.songs.n_listeners
    fame = np.zeros(len(songs))
    if listeners is not None:
        ridge = Ridge(alpha=1.0).fit(observed.songs.vectors, np.log1p(listeners))
        fame = ridge.predict(predicted.rows(songs.ids))
    note = "The same list for all: by the listeners that the predictions foretell. A meter of leaks."
    lineage = derive(observed.users.lineage, predicted.lineage)
    return System("heard_fame", np.ones((len(observed.users), 1)), fame[:, None], "control", note=note, lineage=lineage)


def ranked_songs(split: Split, predicted: Sequence[SongFactors]) -> Vocabulary:
    """The test songs for which every system has a prediction."""
    ids = split.test_songs.ids
    for one in predicted:
        ids = ids.filter(one.songs.find(ids) >= 0)
    if not len(ids):
        raise InputError("predicted factors: not one test song of the split is among them. Predict the test songs.")
    return Vocabulary(ids)


def system_of(name: str, observed: Factors, predicted: SongFactors, songs: Vocabulary) -> System:
    """Users from plays, songs from sound.

    Raises:
        InputError: predictions made for another factorisation.
    """
    note = f"Song factors predicted from sound by {predicted.settings.get('encoder', 'an encoder')}."
    lineage = derive(observed.users.lineage, predicted.lineage)
    return System(name, observed.users.vectors, predicted.rows(songs.ids), note=note, lineage=lineage)


def shuffled(system: System, rng: np.random.Generator, name: str = "shuffled") -> System:
    """A system's predictions dealt out to the wrong songs."""
    vectors = system.song_vectors[rng.permutation(len(system.song_vectors))]
    note = f"The predictions of {system.name}, dealt out to the wrong songs."
    return System(name, system.user_vectors, vectors, "control", note=note, lineage=system.lineage)


def fold_in(observed: Factors, hidden: sparse.csr_array) -> System:
    """The upper bound: song factors from the hidden plays, users as they are.

    Upper bound and content rows are not on an equal footing: this one sees the very plays it is scored on.
    """
    settings = fold_in_settings(observed)
    X = observed.users.vectors
    vectors = np.hstack([fold_in_songs(hidden, X[:, block], settings) for block in blocks(observed)])
    note = "Song factors solved from the hidden plays themselves: the upper bound of these factors, given enough plays."
    return System("fold_in", X, vectors, "ceiling", True, note, observed.users.lineage)
