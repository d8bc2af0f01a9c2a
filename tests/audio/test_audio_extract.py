import errno
import json
import logging
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from deepcuts.artifacts import Features
from deepcuts.audio import extract as extract_module
from deepcuts.audio import workers
from deepcuts.audio.extract import extract
from deepcuts.audio.extractors import FEATURES, Extractor, find_extractor
from deepcuts.audio.logmel import LogMelSettings, logmel
from deepcuts.errors import ArtifactError, InputError, ResourceError, SettingError

SETTINGS = LogMelSettings(rate=8000, n_bands=20, window=512, hop=512, min_seconds=0.5)


def noise(seed, seconds=1.0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(8000 * seconds)).astype(np.float32)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def music(tmp_path, write_sound):
    for number, name in enumerate(["d", "x/b", "a", "x/y/c"]):
        write_sound(tmp_path / f"music/{name}.wav", noise(number), 8000, "FLOAT")
    return tmp_path / "music"


def run(source, out, **options):
    return extract(source, "logmel", SETTINGS, out, **{"jobs": 1, **options})


def test_a_folder_of_sounds_becomes_features(music, tmp_path):
    report = run(music, tmp_path / "mel")
    features = Features.load(tmp_path / "mel")
    assert features.songs.ids.to_list() == ["a", "b", "c", "d"]
    assert (features.kind, features.frames.dtype, features.n_channels) == ("logmel", np.float16, 20)
    assert features.settings["frame_rate"] == 8000 / 512
    for song, seed in enumerate([2, 1, 3, 0]):
        np.testing.assert_array_equal(features[song], logmel(noise(seed), SETTINGS).astype(np.float16))
    assert (report.n_songs, report.n_files, report.n_quarantined, report.seconds) == (4, 4, 0, 4.0)
    assert report.times_real_time > 1
    files = pl.read_parquet(tmp_path / "mel/files.parquet")
    assert files["file"].to_list() == ["a.wav", "x/b.wav", "x/y/c.wav", "d.wav"]
    assert files["n_frames"].to_list() == features.lengths.tolist()
    assert not (tmp_path / ".mel.work").exists()


def test_the_artifact_does_not_depend_on_processes_place_or_order(music, tmp_path):
    run(music, tmp_path / "one")
    run(music, tmp_path / "elsewhere/two", jobs=2)
    run(sorted(music.rglob("*.wav"), reverse=True), tmp_path / "three")
    assert contents(tmp_path / "one") == contents(tmp_path / "elsewhere/two") == contents(tmp_path / "three")
    assert str(tmp_path) not in (tmp_path / "one/meta.json").read_text()


def test_bad_files_are_set_aside_each_with_its_reason_and_the_rest_is_finished(music, tmp_path, write_sound):
    cut = write_sound(music / "cut.flac", noise(9, 5), 8000)
    cut.write_bytes(cut.read_bytes()[:20_000])
    (music / "empty.ogg").touch()
    (music / "page.mp3").write_bytes(b"<html>" * 1000)
    (music / "link.mp3").symlink_to(tmp_path / "nowhere")
    write_sound(music / "short.wav", noise(5, 0.3), 8000)
    write_sound(music / "silent.wav", np.zeros(8000), 8000)
    write_sound(music / "nan.wav", np.full(8000, np.nan), 8000, "FLOAT")
    write_sound(music / "huge.wav", np.float32(1e18) * noise(1), 8000, "FLOAT")
    report = run(music, tmp_path / "mel", jobs=2)
    assert (report.n_songs, report.n_quarantined) == (4, 8)
    found = {row["file"]: row["reason"] for row in report.quarantine.iter_rows(named=True)}
    assert found == {
        "cut.flac": "truncated",
        "empty.ogg": "zero bytes",
        "huge.wav": "not finite",
        "link.mp3": "unreadable",
        "nan.wav": "not finite",
        "page.mp3": "not audio",
        "short.wav": "too short",
        "silent.wav": "silent",
    }
    assert pl.read_parquet(tmp_path / "mel/quarantine.parquet").equals(report.quarantine)
    assert pl.read_csv(tmp_path / "mel/quarantine.csv")["file"].to_list() == sorted(found)
    assert len(Features.load(tmp_path / "mel").songs) == 4


def test_only_bad_files_are_an_error_that_tells_the_first(tmp_path, write_sound):
    write_sound(tmp_path / "music/a.wav", np.zeros(8000), 8000)
    with pytest.raises(InputError, match=r"none of the 1 files.*a.wav: silent"):
        run(tmp_path / "music", tmp_path / "mel")
    assert not (tmp_path / "mel").exists()


def heard_paths(monkeypatch):
    """The files that are really decoded."""
    heard = []
    extractor = find_extractor("logmel")

    def hear(path, settings):
        heard.append(path.name)
        return extractor.extract(path, settings)

    monkeypatch.setitem(FEATURES, "logmel", Extractor(extractor.settings, extractor.suffixes, hear))
    return heard


def test_a_second_run_hears_only_what_is_new_or_changed(music, tmp_path, write_sound, monkeypatch):
    run(music, tmp_path / "mel")
    heard = heard_paths(monkeypatch)
    before = contents(tmp_path / "mel")
    assert run(music, tmp_path / "mel").n_reused == 4
    assert contents(tmp_path / "mel") == before
    (music / "a.wav").rename(music / "renamed.wav")
    write_sound(music / "d.wav", noise(77), 8000, "FLOAT")
    write_sound(music / "e.wav", noise(78), 8000, "FLOAT")
    report = run(music, tmp_path / "mel")
    assert heard == ["d.wav", "e.wav"]
    assert (report.n_songs, report.n_reused) == (5, 3)
    run(music, tmp_path / "fresh")
    assert contents(tmp_path / "mel") == contents(tmp_path / "fresh")


def test_bad_files_are_not_heard_again_but_unreadable_ones_are(music, tmp_path, write_sound, monkeypatch):
    write_sound(music / "silent.wav", np.zeros(8000), 8000)
    (music / "link.wav").symlink_to(tmp_path / "later.wav")
    assert run(music, tmp_path / "mel").n_quarantined == 2
    write_sound(tmp_path / "later.wav", noise(5), 8000)
    heard = heard_paths(monkeypatch)
    assert run(music, tmp_path / "mel").n_quarantined == 1
    assert heard == ["link.wav"]


def test_a_run_that_fails_midway_goes_on_where_it_was(music, tmp_path, monkeypatch):
    heard = heard_paths(monkeypatch)
    real = workers.extract_file

    def until_the_third(path, job):
        if len(heard) == 2:
            raise KeyboardInterrupt
        return real(path, job)

    monkeypatch.setattr(workers, "extract_file", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        run(music, tmp_path / "mel")
    assert not (tmp_path / "mel").exists()
    monkeypatch.setattr(workers, "extract_file", real)
    assert run(music, tmp_path / "mel").n_reused == 2
    assert sorted(heard) == ["a.wav", "b.wav", "c.wav", "d.wav"]


def test_a_full_disk_loses_nothing(music, tmp_path, monkeypatch):
    heard = heard_paths(monkeypatch)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(extract_module, "_write_frames", full)
        with pytest.raises(ResourceError, match="disk is full"):
            run(music, tmp_path / "mel")
    assert not (tmp_path / "mel").exists()
    assert not (tmp_path / ".mel.partial").exists()
    assert run(music, tmp_path / "mel").n_reused == 4
    assert len(heard) == 4


def test_a_shard_that_does_not_fit_leaves_the_earlier_ones(music, tmp_path, monkeypatch):
    real = np.savez

    def savez(file, **arrays):
        real(file, **arrays)
        raise OSError(errno.ENOSPC, "No space left on device")

    run(music, tmp_path / "whole")
    monkeypatch.setattr(np, "savez", savez)
    with pytest.raises(ResourceError, match="disk is full"):
        run(music, tmp_path / "mel")
    assert list((tmp_path / ".mel.work").iterdir()) == []
    monkeypatch.undo()
    run(music, tmp_path / "mel")
    assert contents(tmp_path / "mel") == contents(tmp_path / "whole")


def test_damaged_work_is_heard_again(music, tmp_path, monkeypatch, caplog):
    run(music, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(extract_module, "_assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(music, tmp_path / "mel")
    (shard,) = (tmp_path / ".mel.work").iterdir()
    shard.write_bytes(shard.read_bytes()[:1000])
    (tmp_path / ".mel.work" / "x.npz.1.partial").touch()
    with caplog.at_level(logging.WARNING):
        assert run(music, tmp_path / "mel").n_reused == 0
    assert "damaged" in caplog.text
    assert contents(tmp_path / "mel") == contents(tmp_path / "whole")


def test_features_made_otherwise_are_refused_and_not_replaced_silently(music, tmp_path):
    run(music, tmp_path / "mel")
    before = contents(tmp_path / "mel")
    other = LogMelSettings(rate=8000, n_bands=10, window=512, hop=512, min_seconds=0.5)
    with pytest.raises(ArtifactError, match=r"n_bands = 20 there and 10 here.*Choose another"):
        extract(music, "logmel", other, tmp_path / "mel", jobs=1)
    assert contents(tmp_path / "mel") == before
    extract(music, "logmel", other, tmp_path / "mel", jobs=1, overwrite=True)
    assert Features.load(tmp_path / "mel").n_channels == 10


def test_a_folder_of_something_else_is_never_replaced(music, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(ArtifactError, match="not a deepcuts artifact"):
            run(music, tmp_path / "mine", overwrite=overwrite)


def test_a_run_killed_between_the_two_renames_of_the_old_artifact_recovers(music, tmp_path):
    run(music, tmp_path / "mel")
    before = contents(tmp_path / "mel")
    (tmp_path / "mel").rename(tmp_path / ".mel.old")
    assert run(music, tmp_path / "mel").n_reused == 4
    assert contents(tmp_path / "mel") == before


def test_files_of_one_song_follow_each_other_in_the_order_of_the_table(music, tmp_path, write_sound):
    (music / "bad.wav").touch()
    table = pl.DataFrame(
        {"song_id": ["S", "S", "S", "R", "Q"], "file": ["d.wav", "bad.wav", "a.wav", "x/b.wav", "none.wav"]}
    )
    report = run(music, tmp_path / "mel", table=table)
    features = Features.load(tmp_path / "mel")
    assert features.songs.ids.to_list() == ["R", "S"]
    expected = np.concatenate([logmel(noise(0), SETTINGS), logmel(noise(2), SETTINGS)])
    np.testing.assert_array_equal(features[1], expected.astype(np.float16))
    assert (report.missing, report.n_ignored, report.n_quarantined) == (("Q",), 1, 1)


def test_the_same_sound_under_two_names_is_two_songs(music, tmp_path):
    (music / "copy.wav").write_bytes((music / "a.wav").read_bytes())
    run(music, tmp_path / "mel")
    features = Features.load(tmp_path / "mel")
    first, second = features.songs.positions(["a", "copy"])
    np.testing.assert_array_equal(features[first], features[second])


def test_many_small_shards_give_the_same_artifact(music, tmp_path, monkeypatch):
    run(music, tmp_path / "whole")
    monkeypatch.setattr(extract_module, "SECONDS_BETWEEN_SHARDS", 0.0)
    run(music, tmp_path / "mel")
    assert contents(tmp_path / "mel") == contents(tmp_path / "whole")


def test_wrong_calls_are_refused(music, tmp_path):
    with pytest.raises(SettingError, match="Did you mean 'logmel'"):
        extract(music, "logmle", SETTINGS, tmp_path / "mel")
    with pytest.raises(SettingError, match="echonest takes EchonestSettings"):
        extract(music, "echonest", SETTINGS, tmp_path / "mel")
    with pytest.raises(SettingError, match="jobs = 0"):
        run(music, tmp_path / "mel", jobs=0)


def test_a_file_that_kills_its_process_is_set_aside_alone(music, tmp_path):
    script = tmp_path / "script.py"
    # Spawned workers import this script again, so the decoder that dies is theirs too.
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from deepcuts.audio.extractors import FEATURES, Extractor\n"
        "from deepcuts.audio.extract import extract\n"
        "from deepcuts.audio.logmel import LogMelSettings\n"
        "extractor = FEATURES['logmel']\n"
        "def hear(path, settings):\n"
        "    if path.name == 'd.wav': os._exit(11)\n"
        "    return extractor.extract(path, settings)\n"
        "FEATURES['logmel'] = Extractor(extractor.settings, extractor.suffixes, hear)\n"
        "if __name__ == '__main__':\n"
        "    settings = LogMelSettings(rate=8000, n_bands=20, window=512, hop=512, min_seconds=0.5)\n"
        "    report = extract(sys.argv[1], 'logmel', settings, Path(sys.argv[2]), jobs=2)\n"
        "    print(report.n_songs, report.quarantine.select('file', 'reason').rows())\n"
    )
    done = subprocess.run(
        [sys.executable, script, music, tmp_path / "mel"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "3 [('d.wav', 'unreadable')]", done.stderr
    meta = json.loads((tmp_path / "mel/meta.json").read_text())
    assert meta["shape"]["n_songs"] == 3


def test_a_script_without_a_guard_is_told_what_to_do(music, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from deepcuts.audio.extract import extract\n"
        "from deepcuts.audio.logmel import LogMelSettings\n"
        "extract(sys.argv[1], 'logmel', LogMelSettings(), Path(sys.argv[2]), jobs=2)\n"
    )
    done = subprocess.run(
        [sys.executable, script, music, tmp_path / "mel"], capture_output=True, text=True, timeout=120, check=False
    )
    assert "__main__" in done.stderr.splitlines()[-1], done.stderr


def test_a_decoder_that_fails_in_its_own_way_spoils_one_file_only(music, tmp_path, monkeypatch):
    extractor = find_extractor("logmel")

    def hear(path, settings):
        if path.name == "d.wav":
            raise MemoryError("no room")
        return extractor.extract(path, settings)

    monkeypatch.setitem(FEATURES, "logmel", Extractor(extractor.settings, extractor.suffixes, hear))
    report = run(music, tmp_path / "mel")
    assert report.quarantine.select("file", "reason").rows() == [("d.wav", "unreadable")]


def test_every_kind_of_features_has_settings_suffixes_and_a_recipe():
    for kind, extractor in FEATURES.items():
        settings = extractor.settings()
        assert settings.n_channels > 0, kind
        assert settings.frame_rate >= 0
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in extractor.suffixes)


@pytest.mark.slow
def test_an_hour_of_sound_is_heard_in_bounded_memory(tmp_path, write_sound):
    import soundfile

    path = tmp_path / "hour.wav"
    minute = np.random.default_rng(0).uniform(-0.5, 0.5, (44_100 * 60, 2)).astype(np.float32)
    with soundfile.SoundFile(path, "w", 44_100, 2, "PCM_16") as file:
        for _ in range(60):
            file.write(minute)
    script = (
        "import resource, sys\n"
        "from deepcuts.audio import LogMelSettings\n"
        "from deepcuts.audio.workers import Job, extract_file\n"
        "from pathlib import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "result = extract_file(Path(sys.argv[1]), Job('logmel', LogMelSettings(), frozenset()))\n"
        "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(result.outcome.n_frames, (after - before) / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, timeout=300, check=True)
    n_frames, mebibytes = done.stdout.split()
    assert int(n_frames) == 1 + (3600 * 22_050 - 1024) // 512
    # The sound is 1,260 MB as stereo floats, 318 MB resampled; the frames are 79 MB, held as parts, joined and as half.
    assert float(mebibytes) < 300
