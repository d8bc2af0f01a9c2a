"""One trial: audit, rows, scores and report in one call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcuts.artifacts import Factors, Plays, SongFactors, Split, Vocabulary
from deepcuts.evaluate import AuditReport, EvaluateSettings, Evaluation, System, audit, evaluate, relevant_plays
from deepcuts.evaluate.scoring import ScoreChunks
from deepcuts.trial.details import details_of
from deepcuts.trial.rows import ranked_songs, with_controls


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
        checkpoint: a folder to resume from.
        score_chunks: where users are scored, as in `evaluate`.
    Raises:
        LeakageError: a play of a test song reached something that was learned.
        InputError: predictions of another factorisation, or nothing to rank.
    """
    settings = settings or EvaluateSettings()
    songs = ranked_songs(split, list(predicted.values()))
    audit(split, plays, [observed], predicted, test_songs=songs)  # before any row is built from leaky factors
    systems, songs = with_controls(plays, split, observed, predicted, ceilings=ceilings, seed=settings.seed)
    proof = audit(split, plays, [observed], predicted, systems, test_songs=songs)
    hidden = relevant_plays(plays, observed.users.users, songs)
    evaluation = evaluate(systems, hidden, settings, checkpoint=checkpoint, score_chunks=score_chunks)
    about = {"split": dict(split.settings), "factors": dict(observed.settings)}
    return Trial(evaluation, proof, about, details_of(evaluation, systems, plays, split, songs))
