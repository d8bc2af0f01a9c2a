"""One listening, told by ListenBrainz, Spotify, Last.fm and a Navidrome server: the same plays, a model and a playlist.

What docs/home.md tells a new user, word for word: each export and a folder of music give a model, a ranking and a
playlist, in three commands.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
import soundfile
from listening import Track, counted, draw_plays, lastfm, listenbrainz, navidrome, spotify
from tinytag import TinyTag

from deepcuts.artifacts import Plays

EXPORTS = ("listenbrainz_ann.zip", "my_spotify_data.zip", "ann.csv", "navidrome.db")
NAMES = ("Café del Mar", "Don’t Stop", "9 to 5", "Nothing, Really", "東京", "Intro")
# Where Debian's packages of free music put it; `apt install supertux-data wesnoth-1.16-music hyperrogue-music`.
DEBIAN = ("/usr/share/games/supertux2/music", "/usr/share/games/wesnoth", "/usr/share/hyperrogue/music")
# The same packages, unpacked elsewhere.
REAL = Path(os.environ["DEEPCUTS_MUSIC"]) if "DEEPCUTS_MUSIC" in os.environ else None


def make_track(music: Path, at: int) -> Track:
    """Four seconds with tags; every sixth artist has a song called "Intro", and names are as odd as real ones."""
    band, rate = at % 6, 22_050
    title = NAMES[at // 6] if at < 36 else f"Song {at}"
    file = f"Band {band}/Album/{at:02d}.flac"
    path, rng = music / file, np.random.default_rng(at)
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(4 * rate) / rate
    sound = 0.3 * np.sin(2 * np.pi * 110 * 2 ** (band + 0.1 * rng.normal()) * times) + rng.normal(0, 0.01, len(times))
    with soundfile.SoundFile(path, "w", rate, 1) as out:
        out.artist, out.title, out.album = f"Band {band}", title, "Album"
        out.write(sound)
    return Track(file, f"Band {band}", title, "Album", 4.0)


def real_tracks(folders: Sequence[Path]) -> tuple[Path, list[Track]]:
    """Debian's tracks that their tags name, each by a name of its own; and the folder above all of them."""
    music = Path(os.path.commonpath(folders))
    tags = {path: TinyTag.get(path) for folder in folders for path in sorted(folder.rglob("*.ogg"))}
    names = Counter((tag.artist, tag.title) for tag in tags.values())
    return music, [
        Track(path.relative_to(music).as_posix(), tag.artist, tag.title, tag.album or "", tag.duration or 0.0)
        for path, tag in tags.items()
        if tag.artist and tag.title and (tag.duration or 0) > 40 and names[tag.artist, tag.title] == 1
    ]


def write_exports(folder: Path, music: Path, tracks: Sequence[Track], plays: Sequence[tuple[int, Track]]) -> None:
    folder.mkdir()
    listenbrainz(folder / EXPORTS[0], plays)
    spotify(folder / EXPORTS[1], plays)
    lastfm(folder / EXPORTS[2], plays)
    navidrome(folder / EXPORTS[3], music, tracks, plays)


def matched(model: Path) -> dict[str, float]:
    """Library id → plays, of the songs that were found."""
    plays = Plays.load(model.with_name(f"{model.name}.steps") / "matched")
    assert len(plays.users) == 1
    return dict(zip(plays.songs.ids.to_list(), plays.counts.toarray()[0].tolist(), strict=True))


def opened(playlist: Path) -> list[float]:
    """The seconds of each file of a playlist, as a player finds and opens it."""
    files = [line for line in playlist.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    seconds = []
    for file in files:
        with av.open(str(playlist.parent / file)) as sound:
            assert next(sound.decode(audio=0)).samples
            seconds.append((sound.duration or 0) / 1e6)
    return seconds


def three_commands(deepcuts: Callable, export: Path, music: Path, folder: Path, seed: str) -> dict[str, float]:
    """A model, a ranking and a playlist, checked; the matched plays."""
    model, playlist = folder / "model", folder / "mix.m3u8"
    told = deepcuts("model", export, music, "-o", model)
    assert told.code == 0, told.err
    told = deepcuts("for-user", model, "--json", "-k", "5")
    assert told.code == 0, told.err
    ranking = pl.DataFrame(json.loads(told.out))
    plays = matched(model)
    assert ranking.height == 5
    assert not set(ranking["song_id"].to_list()) & set(plays)  # songs not played yet
    told = deepcuts("playlist", model, seed, "-k", "6", "-o", playlist)
    assert told.code == 0, told.err
    assert len(opened(playlist)) == 6
    return plays


def test_four_exports_of_one_listening_give_the_same_plays_a_model_and_a_playlist(
    deepcuts: Callable, tmp_path: Path
) -> None:
    music = tmp_path / "music"
    tracks = [make_track(music, at) for at in range(48)]
    plays = draw_plays(tracks, 60)
    write_exports(tmp_path / "exports", music, tracks, plays)
    expected = {file.removesuffix(".flac"): float(n) for file, n in counted(plays).items()}
    for export in EXPORTS:
        folder = tmp_path / export.partition(".")[0]
        folder.mkdir()
        found = three_commands(deepcuts, tmp_path / "exports" / export, music, folder, "Band 1 - Café del Mar")
        assert found == expected, export


def real_folders() -> list[Path]:
    """Where real tracks lie on this machine."""
    return [REAL] if REAL is not None else [Path(name) for name in DEBIAN if Path(name).is_dir()]


@pytest.mark.slow
@pytest.mark.skipif(not real_folders(), reason="no real tracks: apt install supertux-data wesnoth-1.16-music")
def test_four_exports_over_debians_free_music_give_the_same_plays(deepcuts: Callable, tmp_path: Path) -> None:
    """Real tags, real sound: matched plays of all four; and for the first a model, a ranking and a playlist."""
    music, tracks = real_tracks(real_folders())
    plays = draw_plays(tracks, 150)
    write_exports(tmp_path / "exports", music, tracks, plays)
    expected = {file.rpartition(".")[0]: float(n) for file, n in counted(plays).items()}
    library = tmp_path / "library"
    assert deepcuts("library", music, "-o", library).code == 0
    for export in EXPORTS:
        folder = tmp_path / export.partition(".")[0]
        assert deepcuts("data", "history", tmp_path / "exports" / export, "-o", f"{folder}.history").code == 0
        assert deepcuts("match", f"{folder}.history", library, "-o", f"{folder}.steps/matched").code == 0
        assert matched(folder) == expected, export
    first = plays[0][1]
    three_commands(deepcuts, tmp_path / "exports" / EXPORTS[0], music, tmp_path, f"{first.artist} - {first.title}")
