"""`deepcuts doctor`: what is installed and what works here. `deepcuts show`: what a folder holds."""

import dataclasses
import importlib.metadata
import platform
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from deepcuts import __version__
from deepcuts.audio.decode import decode
from deepcuts.cli.common import Json, print_json, say
from deepcuts.errors import DeepcutsError, ResourceError
from deepcuts.kernels import native
from deepcuts.store import read_meta
from deepcuts.walk import free_bytes

PACKAGES = (
    *("numpy", "scipy", "polars", "safetensors", "scikit-learn", "openTSNE"),
    *("soundfile", "soxr", "av", "h5py", "matplotlib"),
)
# Package → what cannot be done without it, and the extra that installs it.
OPTIONAL = {
    "torch": ("learning networks, CUDA", "torch"),
    "onnx": ("saving networks so that they predict without torch", "torch"),
    "onnxruntime": ("predicting with a network without torch", "serve"),
    "fastapi": ("deepcuts serve", "serve"),
    "uvicorn": ("deepcuts serve", "serve"),
    "optuna": ("deepcuts tune", "tune"),
    "ray": ("--on ray", "cluster"),
}
FORMATS = ("wav", "flac", "ogg", "opus", "mp3", "m4a")


def show(folder: Annotated[Path, typer.Argument(help="Any artifact.")]) -> None:
    """Print what a folder holds: kind, shape, settings, parents (JSON)."""
    print_json(dataclasses.asdict(read_meta(folder)))


SERVERS = """deepcuts beside a media server: exact settings

1  Make the model from the server's own database, so that ids match, and serve it:
     deepcuts model navidrome.db navidrome.db -o model
     deepcuts serve model --host 0.0.0.0 --login --user YOUR_NAME
   Passwords and API keys are in model.serve/accounts.json (readable by you only).

2  Navidrome: install the AudioMuse-AI plugin (a .ndp file) in its plugins folder, and set
     ND_PLUGINS_ENABLED=true
     ND_AGENTS=audiomuseai,lastfm,spotify,deezer
   In the plugin's settings:
     API base URL   http://THIS_HOST:8765
     API token      the api_key of YOUR_NAME
   Instant Mix and Radio then come from deepcuts.

3  Jellyfin: install the AudioMuse-AI plugin; in its settings:
     Backend URL    http://THIS_HOST:8765
     API token      the api_key of YOUR_NAME
   Item ids must be Jellyfin's: plays from playback_reporting.db keep them.

4  A music player (Symfonium, Feishin, Amperfy, DSub, ...) talks to deepcuts directly, as to any OpenSubsonic server:
     address        http://THIS_HOST:8765
     user           YOUR_NAME
     password       from model.serve/accounts.json"""


def doctor(
    servers: Annotated[
        bool, typer.Option("--servers", help="Print the settings for Navidrome, Jellyfin and players instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check this machine: packages, kernels, codecs, CUDA. Exit code 6 when something needed is missing."""
    if servers:
        print(SERVERS)
        return
    found: dict[str, Any] = {
        "deepcuts": __version__,
        "python": platform.python_version(),
        "cores": native.n_cores(),
        "free_disk_gb": round(free_bytes(Path.cwd()) / 1e9, 1),
        "packages": {name: installed(name) for name in PACKAGES},
        "optional": {name: optional(name) for name in OPTIONAL},
        "kernels": native.backend(),
        "decoders": {kind: decodes(kind) for kind in FORMATS},
        "cuda": cuda(),
    }
    if as_json:
        print_json(found)
    else:
        tell(found)
    lacking = [name for name, state in {**found["packages"], **found["decoders"]}.items() if state.startswith("no")]
    if lacking:
        raise ResourceError(f"doctor: {', '.join(lacking)} not working. Run: pip install -c constraints.txt -e .")
    if not as_json:
        print("all is well")


def tell(found: dict[str, Any]) -> None:
    """The findings, one line each."""
    for name, state in found.items():
        if isinstance(state, dict):
            for part, inner in state.items():
                print(f"{name:<22}{part:<14}{inner}")
        else:
            print(f"{name:<22}{state}")
    if "numpy" in found["kernels"]:
        say("not all loops are compiled: some stages run slowly. Install a C compiler, then deepcuts again.")


def installed(name: str) -> str:
    """The version of a package, or "no"."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "no: not installed"


def optional(name: str) -> str:
    """The version of a package that some work needs, or what that work is and how to install the package."""
    what, extra = OPTIONAL[name]
    version = installed(name)
    return version if not version.startswith("no") else f"missing; for {what}: pip install 'deepcuts[{extra}]'"


def decodes(kind: str) -> str:
    """Write a second of a tone in a format and read it back."""
    from deepcuts.cli.tones import write_tone

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"tone.{kind}"
        try:
            write_tone(path, kind)
            n = len(decode(path))
        except (DeepcutsError, OSError, ValueError, RuntimeError) as error:
            return f"no: {error}"
    return "works" if abs(n - 22_050) < 2_500 else f"no: {n} samples came back of 22,050"


def cuda() -> str:
    """The first CUDA device, or why there is none."""
    try:
        import torch
    except ImportError:
        return "none (torch is not installed); everything runs on the CPU"
    if not torch.cuda.is_available():
        return f"none (torch {torch.__version__}); everything runs on the CPU"
    return torch.cuda.get_device_name(0)


if sys.platform == "win32":  # pragma: no cover
    say("deepcuts is tested on Linux; on Windows use WSL.")
