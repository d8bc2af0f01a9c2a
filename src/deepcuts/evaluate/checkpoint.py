"""An evaluation laid aside every half minute, so that a killed run goes on where it stopped."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from deepcuts.errors import ArtifactError
from deepcuts.evaluate.partial_result import PartialResult
from deepcuts.evaluate.systems import System
from deepcuts.store import Meta, content_of, fingerprint, load_array, read_meta, save_array, write_meta, writing

log = logging.getLogger(__name__)

KIND = "evaluation-checkpoint"
PARTS = ("values", "sums", "beaten")


def inputs_of(systems: Sequence[System], hidden: sparse.csr_array) -> dict[str, str]:
    """Fingerprints of what is evaluated: the hidden plays and each system's vectors."""
    known: dict[int, str] = {}  # many systems share their users, and hashing a gigabyte takes a second

    def array_hash(array: np.ndarray) -> str:
        if id(array) not in known:
            known[id(array)] = fingerprint(array)
        return known[id(array)]

    marks = {"hidden plays": fingerprint(hidden.indptr, hidden.indices)}
    for place, system in enumerate(systems):
        parts = (system.name, array_hash(system.user_vectors), array_hash(system.song_vectors))
        marks[f"system {place + 1}"] = fingerprint(*parts)
    return marks


def save_checkpoint(
    folder: Path, inputs: Mapping[str, str], settings: Mapping[str, Any], partial_results: Sequence[PartialResult]
) -> None:
    """Write the partial_results of the systems begun so far, whole or not at all; `inputs` as from `inputs_of`."""
    with writing(folder) as scratch:
        for place, partial in enumerate(partial_results):
            for part in PARTS:
                save_array(scratch, f"{place}-{part}", getattr(partial, part))
            save_array(scratch, f"{place}-counts", np.array([partial.tied, partial.n_done]))
        write_meta(scratch, Meta(KIND, "", inputs, settings, {"n_systems": len(partial_results)}))


def read_checkpoint(folder: Path, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> list[PartialResult]:
    """What an earlier run left; nothing when there is none, or it is damaged or of another evaluation.

    Whatever is passed over is named in the log, for it will be written over.
    """
    try:
        with content_of(folder):
            meta = read_meta(folder, KIND, verify=True)
            partial_results = [_load(folder, place) for place in range(meta.shape["n_systems"])]
    except ArtifactError as error:
        if folder.exists():
            log.warning("starting over: %s", error)
        return []
    differing = [name for name in settings if meta.settings.get(name) != settings[name]]
    differing += [name for name in sorted({*inputs, *meta.parents}) if meta.parents.get(name) != inputs.get(name)]
    if differing:
        log.warning("%s: the checkpoint was written with other %s; starting over.", folder, ", ".join(differing))
        return []
    log.info("%s: resuming after %d users of system %d", folder, partial_results[-1].n_done, len(partial_results))
    return partial_results


def _load(folder: Path, place: int) -> PartialResult:
    values, sums, beaten = (load_array(folder, f"{place}-{part}") for part in PARTS)
    tied, n_done = load_array(folder, f"{place}-counts").tolist()
    return PartialResult(values, sums, beaten, tied, n_done)
