"""Proposals of settings by optuna: what came of earlier trials says where to look next.

optuna is loaded here alone, and only when somebody searches.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepcuts.errors import ResourceError
from deepcuts.trial.spaces import Choice, Span

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study

N_RANDOM = 10  # proposals before the estimator knows enough


def load_optuna() -> Any:
    """The package optuna, told to be quiet.

    Raises:
        ResourceError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ResourceError("tune: needs optuna, which is not installed. pip install 'deepcuts[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def distributions_of(space: Mapping[str, Span | Choice]) -> dict[str, "BaseDistribution"]:
    """The space in optuna's words."""
    kinds = load_optuna().distributions

    def one(of: Span | Choice) -> "BaseDistribution":
        if isinstance(of, Choice):
            return kinds.CategoricalDistribution(of.values)
        if of.whole:
            return kinds.IntDistribution(int(of.low), int(of.high), log=of.log)
        return kinds.FloatDistribution(float(of.low), float(of.high), log=of.log)

    return {name: one(of) for name, of in space.items()}


def study_of(space: Mapping[str, Span | Choice], known: Sequence[tuple[Mapping[str, Any], float]]) -> "Study":
    """A study that knows some trials.

    Args:
        known: settings and score of each; those that the space does not hold are left out.
    """
    study = load_optuna().create_study(direction="maximize")
    for settings, score in known:
        add(study, space, settings, score)
    return study


def add(study: "Study", space: Mapping[str, Span | Choice], settings: Mapping[str, Any], score: float) -> None:
    """Let a study know a trial, if the space holds its settings."""
    if set(settings) != set(space) or not all(space[name].holds(value) for name, value in settings.items()):
        return
    optuna = load_optuna()
    study.add_trial(
        optuna.trial.create_trial(params=dict(settings), distributions=distributions_of(space), value=score)
    )


def propose(study: "Study", space: Mapping[str, Span | Choice], seed: int, number: int) -> dict[str, Any]:
    """Settings of the next trial: they depend on the seed, the number and what the study knows, on nothing else."""
    optuna = load_optuna()
    study.sampler = optuna.samplers.TPESampler(seed=1_000_003 * seed + number, n_startup_trials=N_RANDOM)
    asked = study.ask(distributions_of(space))
    study.tell(asked, state=optuna.trial.TrialState.FAIL)  # its outcome comes by `add`, with what is read from the log
    return dict(asked.params)
