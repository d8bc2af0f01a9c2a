"""`deepcuts predict ...`: learn to hear factors; predict them for songs nobody has played."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deepcuts.artifacts import VALIDATION, Factors, Features, Plays, SongFactors, Split, Vocabulary
from deepcuts.cli.common import Out, Set, SplitOption, Toml, changed, checkpoint_of, is_set, one_of, say
from deepcuts.cli.on import On, cluster_on
from deepcuts.cli.settings import ENCODER_NAMES
from deepcuts.errors import SettingError
from deepcuts.store import refuse_to_replace

app = typer.Typer(help="Learn from sound to factors, and predict.", no_args_is_help=True)

FeaturesFolder = Annotated[Path, typer.Argument(help="Features of the songs.")]


@app.command("fit")
def fit(
    features: FeaturesFolder,
    factors: Annotated[Path, typer.Argument(help="Factors of songs with plays.")],
    output: Out,
    encoder: Annotated[
        str | None, typer.Option("--encoder", help=f"One of {', '.join(ENCODER_NAMES)}; cnn when nothing is said.")
    ] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="paper, small or best, in place of --encoder.")] = None,
    split: SplitOption = None,
    plays: Annotated[
        Path | None,
        typer.Option("--plays", help="Plays that the factors come from: to measure trust, and for --set loss=wpe."),
    ] = None,
    toml: Toml = None,
    assignments: Set = None,
) -> None:
    """Learn an encoder from songs that have both sound and plays.

    --preset best takes what ranks never-played songs best (docs/quality.md), --preset paper the paper's network.
    With --split, its validation songs choose when to stop; its test songs are left out even if their features
    are there. With a split that has no validation songs, linear (mse), trees and kernel learn from all others; mlp and
    cnn still cut the fraction `validation`, for they need songs to stop by. With --plays, ends by ranking the songs
    kept aside for the listeners who play them: how far to trust the encoder. Test songs' plays stay hidden. Killed
    training goes on where it was when the same command runs again.
    """
    from deepcuts.predict import (
        ENCODERS,
        encoder_of_preset,
        fit_encoder,
        learns_from_all,
    )  # torch takes seconds to load

    if preset is not None and encoder is not None:
        raise SettingError("--preset and --encoder both choose the encoder. Give one of them.")
    heard = Features.load(features) if preset is not None else None
    if preset is not None and heard is not None:
        encoder, base = encoder_of_preset(preset, heard)
    else:
        encoder = one_of("--encoder", encoder or "cnn", tuple(ENCODERS))
        base = ENCODERS[encoder].settings()
    refuse_to_replace(output, kind="encoder")
    settings = changed(base, toml, assignments, encoder)
    observed, validation = Factors.load(factors), None
    counts = Plays.load(plays) if plays is not None else None
    if split is not None:
        chosen = Split.load(split)
        if counts is not None and observed.lineage.protocol != "joint":
            counts = chosen.learning_plays(counts)
        observed = observed.without_songs(chosen.test_songs)
        validation = validation_songs(chosen, observed)
        if not len(chosen.members(VALIDATION)) and not is_set("validation", toml, assignments, encoder):
            settings = learns_from_all(settings)
    heard = heard or Features.load(features)
    with checkpoint_of(output) as checkpoint:
        made = fit_encoder(
            encoder, heard, observed, settings, validation=validation, checkpoint=checkpoint, plays=counts
        )
        made.save(output)
    n_heard = int((observed.songs.songs.find(heard.songs.ids) >= 0).sum())
    say(f"{output}: {encoder}, {made.provenance.n_factors} factors: heard {n_heard:,} songs; factors from "
        f"{len(made.provenance.lineage.learned_from or ()):,} songs")  # fmt: skip
    tell_trust(made, heard, observed, counts, settings, validation)


def tell_trust(
    encoder: Any, features: Features, factors: Factors, plays: Plays | None, settings: Any, chosen: Vocabulary | None
) -> None:
    """Say how well songs that were not fitted are ranked, or why that cannot be said."""
    from deepcuts.trial.trust import Trust, trust_in_encoder

    if plays is None:
        say("trust: not measured. Name the plays that the factors come from with --plays")
        return
    found = trust_in_encoder(encoder, features, factors, plays, settings, chosen)
    say(found.sentence() if isinstance(found, Trust) else f"trust: not measured: {found}")


def validation_songs(split: Split, observed: Factors) -> Vocabulary | None:
    """The validation songs of a split that have factors; None when there are none."""
    ids = split.songs.take(split.members(VALIDATION)).ids
    known = ids.filter(observed.songs.songs.find(ids) >= 0)
    return Vocabulary(known) if len(known) else None


@app.command("songs")
def songs(
    encoder: Annotated[Path, typer.Argument(help="A fitted encoder.")],
    features: FeaturesFolder,
    output: Out,
    split: Annotated[Path | None, typer.Option("--split", help="Predict only the test songs of this split.")] = None,
    unit_norm: Annotated[bool, typer.Option("--unit-norm", help="Divide each prediction by its length.")] = False,
    on: On = None,
) -> None:
    """Predict the factors of songs from sound alone: all songs with features, or a split's test songs."""
    from deepcuts.cluster.predict import ray_predict
    from deepcuts.predict import Encoder, load_encoder, predict_songs

    refuse_to_replace(output, kind="song-factors")
    heard = Features.load(features)
    wanted = None
    if split is not None:
        chosen = Split.load(split)
        ids = chosen.test_songs.ids
        wanted = Vocabulary(ids.filter(heard.songs.find(ids) >= 0))
        say(f"{len(wanted):,} of {len(ids):,} test songs have features")
    learned = load_encoder(encoder)
    with cluster_on(on) as cluster:
        predict = Encoder.predict if cluster is None else ray_predict(cluster, encoder, features)
        predicted = predict_songs(learned, heard, wanted, unit_norm=unit_norm, predict=predict)
    predicted.save(output)
    say(f"{output}: factors of {len(predicted):,} songs")


@app.command("average")
def average(
    predictions: Annotated[list[Path], typer.Argument(help="Predicted factors of the same songs, on one scale.")],
    output: Out,
) -> None:
    """Average predictions of several encoders: they err differently, so together they err less."""
    from deepcuts.predict import average_predictions  # torch takes seconds to load

    refuse_to_replace(output, kind="song-factors")
    loaded = [SongFactors.load(folder) for folder in predictions]
    mean = average_predictions(loaded)
    mean.save(output)
    say(f"{output}: mean of {len(loaded)} predictions of {len(mean):,} songs")
