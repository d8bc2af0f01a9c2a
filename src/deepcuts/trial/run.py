"""One trial: audit, rows, scores and report in one call."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepcuts.artifacts import Factors, Features, Plays, SongFactors, Split, Vocabulary
from deepcuts.audio import PoolSettings, pool_features
from deepcuts.evaluate import AuditReport, EvaluateSettings, Evaluation, System, audit, evaluate, relevant_plays
from deepcuts.evaluate.scoring import NO_PLAYS, ScoreChunks
from deepcuts.trial.details import details_of
from deepcuts.trial.rivals import content_rivals
from deepcuts.trial.rows import of_known_listeners, ranked_songs, with_controls

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What came out.

    Attributes:
        evaluation: a row for each system, control and ceiling.
        audit: what was proven about leakage.
        about: how the split and the factors were made, for the report.
        details: system → AUC of kinds of songs and measures of its lists, for the report.
    """

    evaluation: Evaluation
    audit: AuditReport
    about: Mapping[str, Any]
    details: Mapping[str, Mapping[str, Any]]


def run_trial(
    plays: Plays,
    split: Split,
    observed: Factors,
    predicted: Mapping[str, SongFactors],
    settings: EvaluateSettings | None = None,
    *,
    ceilings: Callable[[Vocabulary], list[System]] | None = None,
    features: Features | None = None,
    checkpoint: Path | None = None,
    score_chunks: ScoreChunks | None = None,
) -> Trial:
    """Rank the hidden songs for every user with every system, beside controls and ceilings.

    Args:
        plays: all plays, hidden ones too.
        split: under which everything was learned.
        observed: factors of users and learning songs.
        predicted: song factors from sound, by the name of their system.
        ceilings: rows that only the truth of a planted world can know; see `trial.ceilings`.
        features: what the songs sound like: adds the rivals that need no factors of songs.
        checkpoint: a folder to resume from.
        score_chunks: where users are scored, as in `evaluate`.
    Raises:
        LeakageError: a play of a test song reached something that was learned.
        InputError: predictions of another factorisation, or nothing to rank.
    """
    settings = settings or EvaluateSettings()
    songs = ranked_songs(split, list(predicted.values()))
    audit(split, plays, [observed], predicted, test_songs=songs)  # before any row is built from leaky factors
    systems, songs = with_controls(
        plays, split, observed, predicted, ceilings=ceilings, seed=settings.seed, fame_from_predictions=features is None
    )
    if features is not None:
        pooled = features if features.one_frame else pool_features(features, PoolSettings())
        systems += content_rivals(split.learning_plays(plays), observed, pooled, songs)[0]
    proof = audit(split, plays, [observed], predicted, systems, test_songs=songs)
    hidden, unknown = of_known_listeners(relevant_plays(plays, observed.users.users, songs), observed)
    evaluation = evaluate(systems, hidden, settings, checkpoint=checkpoint, score_chunks=score_chunks)
    evaluation = without_unknown(evaluation, unknown)
    about = {"split": dict(split.settings), "factors": dict(observed.settings)}
    return Trial(evaluation, proof, about, details_of(evaluation, systems, plays, split, songs))


def without_unknown(evaluation: Evaluation, unknown: Sequence[str]) -> Evaluation:
    """The evaluation, with the listeners of whom nothing is known counted among those left out; the log names them."""
    if not unknown:
        return evaluation
    names = ", ".join(map(repr, unknown[:3])) + (", ..." if len(unknown) > 3 else "")
    log.warning(
        "%d listeners are left out, nothing is known of them (their plays are all hidden): %s", len(unknown), names
    )
    left_out = dict(evaluation.left_out)
    left_out[NO_PLAYS] -= len(unknown)
    return replace(evaluation, left_out={**left_out, "nothing is known of them": len(unknown)})
