"""`deepcuts settings`: what `--set` and a settings file may change, with defaults and meanings."""

import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer

from deepcuts.audio import FEATURES, PoolSettings
from deepcuts.checks import did_you_mean
from deepcuts.data import DATASETS, SplitSettings
from deepcuts.errors import SettingError
from deepcuts.evaluate import EvaluateSettings
from deepcuts.factors import WmfSettings
from deepcuts.recommend import RecommendSettings, SimilarSettings
from deepcuts.worlds import TasteSettings, WorldSettings

ENCODER_NAMES = (
    "linear",
    "mlp",
    "trees",
    "kernel",
    "stack",
    "relevance",
    "cnn",
)  # without loading torch; a test compares them


def always(cls: type) -> Callable[[], type]:
    """A function that gives the class."""
    return lambda: cls


def encoder_settings(name: str) -> Callable[[], type]:
    """A function that gives an encoder's settings class: torch is loaded when it is called."""

    def load() -> type:
        from deepcuts.predict import ENCODERS  # torch takes seconds to load

        return ENCODERS[name].settings

    return load


def later(module: str, name: str) -> Callable[[], type]:
    """A function that gives a class of a module that takes long to load."""

    def load() -> type:
        cls: type = getattr(import_module(f"deepcuts.{module}"), name)
        return cls

    return load


# What a person calls it → (table of a settings file, where its class comes from).
CLASSES: dict[str, tuple[str, Callable[[], type]]] = {
    **{f"data {name}": ("data", always(cls)) for name, (cls, _) in DATASETS.items()},
    "data world": ("world", always(WorldSettings)),
    "data taste": ("taste", always(TasteSettings)),
    "data split": ("split", always(SplitSettings)),
    "model": ("model", later("chain.build", "ModelSettings")),
    "match": ("match", later("data.match", "MatchSettings")),
    "factors": ("factors", always(WmfSettings)),
    **{f"audio {name}": (name, always(extractor.settings)) for name, extractor in FEATURES.items()},
    "audio pool": ("pool", always(PoolSettings)),
    "audio words": ("words", later("audio.bagofwords", "WordsSettings")),
    **{f"predict {name}": (name, encoder_settings(name)) for name in ENCODER_NAMES},
    "recommend": ("recommend", always(RecommendSettings)),
    "similar": ("similar", always(SimilarSettings)),
    "evaluate": ("evaluate", always(EvaluateSettings)),
    "explore tags": ("tags", later("explore.tags", "TagSettings")),
    "explore factors": ("extremes", later("explore.factors", "ExtremeSettings")),
    "explore lists": ("lists", later("explore.lists", "ListSettings")),
    "explore map": ("map", later("explore.songmap", "MapSettings")),
    "experiment artists": ("artists", later("lab.artists", "ArtistsBench")),
    "experiment scale": ("scale", later("lab.scale", "ScaleBench")),
    "experiment lastfm": ("lastfm", later("lab.lastfm", "LastfmBench")),
    "experiment planted": ("planted", later("lab.planted", "PlantedBench")),
    "experiment real-paper": ("real_paper", later("lab.real_world", "RealPaper")),
    "experiment taste-profile": ("taste_profile", later("lab.taste_profile", "TasteProfileBench")),
}


def settings(
    command: Annotated[list[str] | None, typer.Argument(help="Such as `factors`, `data split`, `predict cnn`.")] = None,
) -> None:
    """Print the settings of a command with defaults and meanings, as a file for --settings; without one, list commands.

    For example `deepcuts settings predict cnn > my.toml`; edit; `deepcuts predict fit ... --settings my.toml`.
    """
    if not command:
        print("\n".join(CLASSES))
        return
    name = " ".join(command)
    if name not in CLASSES:
        raise SettingError(f"settings of {name!r}: unknown.{did_you_mean(name, CLASSES)}")
    table, load = CLASSES[name]
    print(as_toml(table, load()))


def as_toml(table: str, cls: Any) -> str:
    """A table of a settings file that holds every default of `cls`, each under its meaning."""
    docs = field_docs(cls)
    summary = (inspect.getdoc(cls) or "").split("\n", 1)[0]
    lines = [f"# {summary}", f"[{table}]"]
    last = ""
    for field in dataclasses.fields(cls):
        said = docs.get(field.name, "")
        if said != last:
            lines += [f"# {line}" for line in said.split("\n") if line]
        lines.append(f"{field.name} = {toml_value(field.default)}")
        last = said
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """A default as TOML writes it; None is the text "none"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps("none" if value is None else value, ensure_ascii=False)


def field_docs(cls: type) -> dict[str, str]:
    """What the docstrings of a settings class, and of those it builds on, say of each field (section `Attributes:`)."""
    docs: dict[str, str] = {}
    for one in cls.__mro__:
        text = inspect.cleandoc(one.__doc__ or "")
        if one is object or "Attributes:" not in text:
            continue
        section = text.split("Attributes:", 1)[1]
        for names, said in re.findall(r"^    ([A-Za-z]\w*(?:, \w+)*): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE):
            one_line = re.sub(r"\n\s+", "\n", said)
            for name in names.split(", "):
                docs.setdefault(name, one_line)
    return docs
