"""Damaged exports are read or refused in words: no reader of histories lets a foreign exception out.

`make fuzz` runs 2,000 mutants of each kind, CI a hundred.
"""

import json
import random
import sqlite3
from pathlib import Path

import pytest
from fuzz_share import keep_counts, n_of

from deepcuts.data.histories import HISTORIES, read_history
from deepcuts.data.histories.what import describe
from deepcuts.errors import DeepcutsError

N_MUTANTS = n_of(2_000, 100)
VALUES = (b"null", b"[]", b"{}", b"1e999", b"-1", b"true", b'""', b'"\\ud800"', b"9" * 30, b'"x"', b"[null]")
BYTES = (b'"', b"\x00", b"\n", b"\xff\xfe", b",", b"\r", b"\t", b"{", b"\xe9")


def database() -> bytes:
    with sqlite3.connect(":memory:") as db:
        db.executescript(
            """
            CREATE TABLE media_file (id varchar, path varchar, title varchar, artist varchar, album_artist varchar);
            CREATE TABLE annotation (user_id varchar, item_id varchar, item_type varchar, play_count integer);
            INSERT INTO media_file VALUES ('s1', 'a.mp3', 'Song', 'Ann', 'Ann');
            INSERT INTO annotation VALUES ('u1', 's1', 'media_file', 2);
            """
        )
        return db.serialize()


def lines(*rows: dict) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


ABOUT = {"artist_name": "Ann", "track_name": "Song", "additional_info": {"isrc": ["X"]}, "mbid_mapping": None}
SPOTIFY = {"ts": "2024-03-05T10:03:20Z", "ms_played": 60000, "master_metadata_track_name": "Song",
           "master_metadata_album_artist_name": "Ann", "skipped": None, "reason_end": "trackdone"}  # fmt: skip
TRACK = {"artist": {"#text": "Ann"}, "name": "Song", "album": {"#text": "F"}, "date": {"uts": "1700000000"}}
MALOJA = {"artists": ["Ann"], "title": "Song", "album": {"albumtitle": "F"}, "length": 200}
SEEDS: dict[str, bytes] = {
    "endsong_0.json": json.dumps([SPOTIFY] * 3).encode(),
    "listens.jsonl": lines(*[{"listened_at": 1_700_000_000, "track_metadata": ABOUT}] * 2),
    "scrobbles.csv": b'Ann,First,Song,"27 Oct 2025 18:56"\nBob,,"X, y",27 Oct 2025 18:50\n',
    "recent.json": json.dumps({"recenttracks": {"track": [TRACK], "@attr": {"user": "ann"}}}).encode(),
    "maloja.json": json.dumps({"scrobbles": [{"time": 1_700_000_000, "track": MALOJA}]}).encode(),
    ".scrobbler.log": b"#AUDIOSCROBBLER/1.1\n#TZ/UTC\nAnn\tF\tSong\t1\t201\tL\t1700000000\t\n",
    "users.tsv": b"user_000001\t2009-05-04T23:08:57Z\t\tAnn\t\tHeroes\n" * 5,
    "navidrome.db": database(),
}  # fmt: skip


def mutant(data: bytes, rng: random.Random) -> bytes:
    """The same with one to three cells, bytes or pieces changed, taken out or put in."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) or 1)
        colons = [i for i in range(len(data)) if data[i : i + 2] == b": "]
        kind = rng.choice(["cell", "byte", "cut", "piece", "insert"] if colons else ["byte", "cut", "piece", "insert"])
        if kind == "cell":
            start = rng.choice(colons) + 2
            stop = min((i for i in (data.find(b",", start), data.find(b"}", start)) if i > 0), default=len(data))
            data = data[:start] + rng.choice(VALUES) + data[stop:]
        elif kind == "byte":
            data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at]
        elif kind == "piece":
            data = data[:at] + data[at + rng.randint(1, 20) :]
        else:
            data = data[:at] + rng.choice(BYTES) + data[at:]
    return data


@pytest.mark.parametrize("name", list(SEEDS))
def test_a_damaged_export_is_read_or_refused_in_words(tmp_path: Path, name: str) -> None:
    assert read_history(wrote(tmp_path / name, SEEDS[name])).plays.n_plays >= 1
    n_read = 0
    for number in range(N_MUTANTS):
        rng = random.Random(f"{name} {number}")
        path = wrote(tmp_path / name, mutant(SEEDS[name], rng))
        kind = rng.choice(["auto", "auto", *HISTORIES])
        n_read += not refused(read_history, path, kind=kind)
        refused(describe, path)
    keep_counts(f"histories: {name}", N_MUTANTS, n_read, 0)


def refused(call, path: Path, **options: str) -> bool:
    """Call it; whether an error of ours came. Others may not, and ours name the file."""
    try:
        call(path, **options)
    except DeepcutsError as error:
        assert path.name in f"{error}"  # noqa: PT017
        return True
    return False


def wrote(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
