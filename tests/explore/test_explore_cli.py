"""`deepcuts explore ...` from folders to folders."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import sparse
from typer.testing import CliRunner

from deepcuts import store
from deepcuts.artifacts import Factors, Features, Lineage, Plays, SongFactors, Tags, Vocabulary
from deepcuts.cli.explore import app
from deepcuts.errors import ArtifactError, InputError, SettingError

N = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plays with tags, factors of all songs but the last ten, predictions of all, pooled features."""
    root, rng = tmp_path_factory.mktemp("explore"), np.random.default_rng(0)
    latents, users = rng.normal(size=(N, 5)), rng.normal(size=(60, 5))
    scores = users @ latents.T
    user, song = np.nonzero(scores > np.quantile(scores, 0.85))
    ids = [f"song{number:03d}" for number in range(N)]
    table = pl.DataFrame({"song_id": ids, "artist": [f"Artist {n % 40}" for n in range(N)], "title": ids})
    plays = Plays.from_pairs([f"u{one:02d}" for one in user], [ids[one] for one in song], np.ones(len(user)),
                             songs_table=table)  # fmt: skip
    place = np.array([ids.index(one) for one in plays.songs.ids])
    plays.save(root / "plays")
    has = latents[place] @ rng.normal(size=(5, 6)) > 1
    words = Vocabulary(["rock", "pop", "folk", "jazz", "metal", "soul"], "tag")
    Tags(plays.songs, words, sparse.csr_array(has.astype(np.float32))).save(root / "plays" / "tags")
    known = np.arange(len(plays.songs) - 10)
    rows = latents[place].astype(np.float32)
    lineage = Lineage("a fit", plays.songs.take(known), "clean")
    Factors.of(plays.users, users.astype(np.float32), plays.songs.take(known), rows[known], lineage,
               settings={"alpha": 2.0, "n_factors": 5}).save(root / "factors")  # fmt: skip
    heard = rows + rng.normal(scale=0.3, size=rows.shape).astype(np.float32)
    SongFactors(plays.songs, heard, lineage).save(root / "predicted")
    Features(plays.songs, heard[:, :2], np.arange(len(place) + 1), "pooled", {"one_frame": True}).save(root / "pooled")
    return root


def run(*words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_tags_are_predicted_from_factors_and_compared_with_features(folder: Path, tmp_path: Path) -> None:
    told = run("tags", folder / "factors", folder / "plays" / "tags", "--features", folder / "pooled",
               "--set", "n_tags=4", "--set", "n_folds=4", "-o", tmp_path, "--json")  # fmt: skip
    rows = pl.DataFrame(json.loads(told))
    assert rows.filter(pl.col("inputs") == "factors")["auc"].mean() > 0.93
    assert rows.group_by("inputs").len()["len"].to_list() == [4, 4]
    meta = store.read_meta(tmp_path / "factors", "tagscores")
    assert meta.parents["factors"] == store.read_meta(folder / "factors").fingerprint
    assert store.read_meta(tmp_path / "features", "tagscores").shape["n_songs"] == meta.shape["n_songs"]


def test_artists_and_tags_of_factors_are_told_in_words_or_json(folder: Path) -> None:
    text = run("factors", folder / "factors", "--plays", folder / "plays", "--set", "n_factors=2")
    assert text.count("factor ") == 2
    assert "tags: " in text
    told = json.loads(run("factors", folder / "factors", "--plays", folder / "plays", "--factor", "3", "--json"))
    assert {row["factor"] for row in told["artists"]} == {3}
    assert len(told["artists"]) == 10


def test_lists_stand_side_by_side_and_cold_songs_are_folded_in(folder: Path) -> None:
    told = json.loads(run("lists", folder / "factors", folder / "predicted", "--plays", folder / "plays", "--show", "2",
                          "--json"))  # fmt: skip
    assert len(told["lists"]) == 2 * 5
    summary = {(row["measure"], row["system"]): row["value"] for row in told["summary"]}
    assert summary["overlap", "both"] > 4 * summary["overlap", "chance"]
    text = run("lists", folder / "factors", folder / "predicted", "--plays", folder / "plays", "--query", "song010",
               "--centred")  # fmt: skip
    assert "Artist 10 – song010" in text


def test_a_map_is_a_folder_with_a_picture_and_a_page(folder: Path, tmp_path: Path) -> None:
    quick = ["--set", "perplexity=10", "--set", "n_early=50", "--set", "n_iterations=50"]
    run("map", folder / "factors", "--plays", folder / "plays", "--predicted", folder / "predicted", "-o",
        tmp_path / "map", "--style", "rock", "--style", "pop", *quick)  # fmt: skip
    meta = store.read_meta(tmp_path / "map", "map")
    assert meta.settings["styles"] == ["rock", "pop"]
    assert set(meta.parents) == {"factors", "predicted", "plays"}
    assert pl.read_parquet(tmp_path / "map" / "map.parquet").columns == ["song_id", "x", "y"]
    assert (tmp_path / "map" / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "predicted from sound" in (tmp_path / "map" / "map.html").read_text(encoding="utf-8")


def test_wrong_folders_say_what_is_missing(folder: Path, tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, *words: str | Path) -> None:
        with pytest.raises(error, match=match):
            run(*words)

    plays, out = ["--plays", folder / "plays"], ["-o", tmp_path / "x"]
    refused(ArtifactError, "holds song-factors, expected factors", "map", folder / "predicted", *plays, *out)
    refused(InputError, "unknown tag id 'rok'", "map", folder / "factors", *plays, *out, "--style", "rok")
    refused(SettingError, "Did you mean 'perplexity'", "map", folder / "factors", *plays, *out, "--set", "perplexty=3")
    assert not (tmp_path / "x").exists()
