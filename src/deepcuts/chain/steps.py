"""Steps of a long chain, each a folder: done once, done again when what it stands on has changed."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepcuts import store
from deepcuts.errors import ArtifactError

log = logging.getLogger(__name__)

RECORD = "steps.json"


@dataclass
class Steps:
    """The steps of a model, in a folder beside it.

    Attributes:
        folder: holds one artifact a step, and steps.json.
        sources: where plays and music come from, for `update`.
        done: step → fingerprint of what it was made from.
        ran: steps that ran this time.
    """

    folder: Path
    sources: dict[str, Any] = field(default_factory=dict)
    done: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)

    @staticmethod
    def beside(model: Path, sources: dict[str, Any] | None = None) -> "Steps":
        """The steps of a model: `MODEL.steps`.

        Raises:
            ArtifactError: steps.json is damaged, or there is none and no sources are given.
        """
        folder = model.resolve().with_name(f"{model.resolve().name}.steps")
        path = folder / RECORD
        if not path.exists():
            if sources is None:
                raise ArtifactError(f"{folder}: no such folder, so it is not known what {model} was made from. "
                                    "Make it with `deepcuts model PLAYS MUSIC -o MODEL`.")  # fmt: skip
            return Steps(folder, sources)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            held = Steps(folder, _checked_sources(content["sources"]), dict(content["done"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{path}: damaged ({error}). Remove {folder} and make the model again.") from error
        if sources is not None and sources != held.sources:
            return Steps(folder, sources, held.done)
        return held

    def path(self, name: str) -> Path:
        """The folder of a step."""
        return self.folder / name

    def run(self, name: str, inputs: list[str], make: Callable[[Path], None], command: str = "") -> Path:
        """Do a step unless it was done from the same inputs.

        Args:
            inputs: fingerprints of all that it stands on, settings included.
            make: writes the folder it is given.
            command: how a person does the same by hand, for the log.
        """
        made_from, folder = store.fingerprint(*inputs), self.path(name)
        if self.done.get(name) == made_from and store.is_whole(folder):
            log.info("%s: unchanged", name)
            return folder
        log.info("%s%s", name, f": {command}" if command else "")
        make(folder)
        self.finish(name, made_from)
        return folder

    def finish(self, name: str, made_from: str) -> None:
        """Record a step as done, at once: a killed chain goes on after it."""
        self.done[name] = made_from
        self.ran.append(name)
        content = {"sources": self.sources, "done": self.done}
        store.write_file(self.folder / RECORD, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _checked_sources(sources: dict[str, Any]) -> dict[str, Any]:
    """What a model is made of, as `build_model` writes it.

    Raises:
        ValueError, KeyError or TypeError: it is not that.
    """
    plays, music, user, settings = (sources[name] for name in ("plays", "music", "user", "settings"))
    texts = [*plays, music, "" if user is None else user]
    if not (isinstance(plays, list) and isinstance(settings, dict) and all(isinstance(one, str) for one in texts)):
        raise ValueError("its sources are not paths and settings")
    return dict(sources)
