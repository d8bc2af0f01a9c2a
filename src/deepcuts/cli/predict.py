"""`deepcuts predict ...`: learn to hear factors; predict them for songs nobody has played."""

from pathlib import Path
from typing import Annotated

import typer

from deepcuts.artifacts import TEST, VALIDATION, Factors, Features, Split, Vocabulary
from deepcuts.cli.common import Out, Set, SplitOption, Toml, say, settings_of

app = typer.Typer(help="Learn from sound to factors, and predict.", no_args_is_help=True)

FeaturesFolder = Annotated[Path, typer.Argument(help="Features of the songs.")]


@app.command("fit")
def fit(
    features: FeaturesFolder,
    factors: Annotated[Path, typer.Argument(help="Factors of songs with plays.")],
    output: Out,
    encoder: Annotated[str, typer.Option("--encoder", help="linear, mlp, trees or cnn.")] = "cnn",
    split: SplitOption = None,
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Learn an encoder from songs that have both sound and plays.

    With --split, its validation songs choose when to stop; its test songs are left out even if their features
    are there. Killed training goes on where it was when the same command runs again.
    """
    from deepcuts.predict import ENCODERS, LessonSettings, fit_encoder  # torch takes seconds to load

    kind = ENCODERS.get(encoder)
    settings = settings_of(kind.settings if kind else LessonSettings, toml, assignments, encoder)
    observed = Factors.load(factors)
    validation = validation_songs(Split.load(split), observed) if split else None
    checkpoint = output.with_name(f".{output.name}.checkpoint")
    made = fit_encoder(
        encoder, Features.load(features), observed, settings, validation=validation, checkpoint=checkpoint
    )
    made.save(output)
    clear(checkpoint)
    say(f"{output}: {encoder}, learned from {len(made.origin.learned_from):,} songs, {made.origin.n_factors} factors")


def validation_songs(split: Split, observed: Factors) -> Vocabulary | None:
    """The validation songs of a split that have factors; None when there are none."""
    ids = split.songs.take(split.members(VALIDATION)).ids
    if observed.songs is None or not len(ids):
        return None
    known = ids.filter(observed.songs.find(ids) >= 0)
    return Vocabulary(known) if len(known) else None


def clear(checkpoint: Path) -> None:
    """Remove a checkpoint that is no longer needed."""
    if checkpoint.is_dir():
        for path in checkpoint.iterdir():
            path.unlink()
        checkpoint.rmdir()


@app.command("songs")
def songs(
    encoder: Annotated[Path, typer.Argument(help="A fitted encoder.")],
    features: FeaturesFolder,
    output: Out,
    split: SplitOption = None,
    unit_norm: Annotated[bool, typer.Option("--unit-norm", help="Divide each prediction by its length.")] = False,
) -> None:
    """Predict the factors of songs from sound alone: all songs with features, or a split's test songs."""
    from deepcuts.predict import load_encoder, predict_songs

    heard = Features.load(features)
    wanted = None
    if split is not None:
        chosen = Split.load(split)
        ids = chosen.songs.take(chosen.members(TEST)).ids
        wanted = Vocabulary(ids.filter(heard.songs.find(ids) >= 0))
        say(f"{len(wanted):,} of {len(ids):,} test songs have features")
    predicted = predict_songs(load_encoder(encoder), heard, wanted, unit_norm=unit_norm)
    predicted.save(output)
    say(f"{output}: factors of {len(predicted.songs or ()):,} songs")
