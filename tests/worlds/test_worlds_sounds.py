import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepcuts.artifacts import Plays, Tags
from deepcuts.errors import ArtifactError, ResourceError
from deepcuts.worlds.sounds import Studio, make_sounds, wav_bytes
from deepcuts.worlds.synth import SAMPLE_RATE, Controls, controls_from_latents, peaked_order, song_sound
from deepcuts.worlds.truth import load_truth
from deepcuts.worlds.world import World, WorldSettings, make_world

TINY = WorldSettings(n_songs=40, n_users=60, mean_listeners=10, seconds=2.0, n_jobs=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.wav"))}


def sound_of(controls: Controls, seed: int = 0, seconds: float = 8.0) -> np.ndarray:
    return song_sound(controls, seconds, np.random.default_rng(seed), snr_db=(20, 20), gain_db=0)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(TINY, tmp_path_factory.mktemp("planted") / "world")


def test_a_contour_is_worked_by_hand() -> None:
    assert peaked_order(4, 1.0).tolist() == [0, 1, 2, 3]
    assert peaked_order(4, 0.0).tolist() == [3, 2, 1, 0]
    # a peak at .35 of the way: heights .125/.35, .375 after the peak, ... = .36, .96, .58, .19
    assert peaked_order(4, (0.35 - 0.02) / 0.96).tolist() == [1, 3, 2, 0]


@pytest.mark.parametrize("rise", np.linspace(0, 1, 11))
def test_every_contour_holds_each_note_once(rise: float) -> None:
    assert sorted(peaked_order(8, rise)) == list(range(8))


def test_latents_become_controls_through_the_normal_distribution() -> None:
    controls = controls_from_latents(np.array([0.0, 1.959964, -1.959964, 0.0]))
    assert controls.brightness == pytest.approx(0.5)
    assert controls.register == pytest.approx(0.975)
    assert controls.swing == pytest.approx(0.025)
    assert controls.breath == controls.rise == 0.5  # no latent drives them


def test_a_wav_is_what_soundfile_reads(tmp_path: Path) -> None:
    sound = sound_of(Controls(), seconds=1.0)
    (tmp_path / "one.wav").write_bytes(wav_bytes(sound))
    read, rate = soundfile.read(tmp_path / "one.wav", dtype="int16")
    assert rate == SAMPLE_RATE == 22_050
    np.testing.assert_array_equal(read, sound)
    assert soundfile.info(tmp_path / "one.wav").subtype == "PCM_16"


def test_sounds_are_heard_at_their_level_and_seldom_clipped() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        controls = controls_from_latents(rng.standard_normal(12))
        sound = song_sound(controls, 8.0, rng, snr_db=(10, 30), gain_db=6) / 32_768
        assert sound.shape == (8 * SAMPLE_RATE,)
        assert -31 < 20 * np.log10(sound.std()) < -17  # -24 dBFS give or take 6 dB, and the noise
        assert np.mean(np.abs(sound) > 0.999) < 1e-3


def test_background_noise_stands_where_the_dial_puts_it() -> None:
    """Above the hats nothing but noise is left: its density there gives the level of all of it."""

    def noise_level(snr: float) -> float:
        quiet = Controls(breath=0.0, brightness=0.0)
        sound = song_sound(quiet, 8.0, np.random.default_rng(1), snr_db=(snr, snr), gain_db=0) / 32_768
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
        density = power[frequency > 10_700].mean()
        return float(10 * np.log10(density * len(power) / power.sum()))

    for snr in (5, 15):
        in_total = -10 * np.log10(1 + 10 ** (snr / 10))  # noise over music and noise together
        assert noise_level(snr) == pytest.approx(in_total, abs=0.7)


def test_more_brightness_puts_more_power_up_high_and_more_bass_down_low() -> None:
    def share(sound: np.ndarray, low: float, high: float) -> float:
        power = np.abs(np.fft.rfft(sound)) ** 2
        frequency = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
        return float(power[(frequency > low) & (frequency < high)].sum() / power.sum())

    dull, bright = sound_of(Controls(brightness=0.05)), sound_of(Controls(brightness=0.95))
    assert share(bright, 2_700, 3_000) > 1.5 * share(dull, 2_700, 3_000)
    light, heavy = sound_of(Controls(bass=0.05)), sound_of(Controls(bass=0.95))
    assert share(heavy, 30, 200) > 1.5 * share(light, 30, 200)


def test_a_world_is_whole_on_disk_and_its_parts_agree(world: World) -> None:
    plays, tags, truth = (
        Plays.load(world.folder / "plays"),
        Tags.load(world.folder / "plays" / "tags"),
        load_truth(world.folder),
    )
    assert plays.fingerprint == world.plays.fingerprint
    assert truth.fingerprint == world.truth.fingerprint
    assert plays.shape == (60, 40)
    assert plays.songs_table.columns == ["song_id", "artist", "title", "style"]
    assert plays.songs[0] == "song-00001"
    assert tags.songs == plays.songs
    assert [f"{one}.wav" for one in plays.songs.ids] == list(contents(world.sounds))
    assert {soundfile.info(path).frames for path in world.sounds.iterdir()} == {2 * SAMPLE_RATE}


def test_artists_and_titles_are_different_names(world: World) -> None:
    table = world.plays.songs_table
    assert table["title"].n_unique() == 40
    pairs = set(zip(table["artist"], world.truth.artist.tolist(), strict=True))
    assert len(pairs) == table["artist"].n_unique() == len(set(world.truth.artist.tolist()))


def test_tags_name_the_style_and_what_stands_out(world: World) -> None:
    weights = world.tags.weights.toarray()
    names = world.tags.tags.ids.to_list()
    for song in range(40):
        held = {names[tag] for tag in np.flatnonzero(weights[song])}
        assert world.plays.songs_table["style"][song] in held
        assert ("bright" in held) == (world.truth.audible[song, 0] > 0.8)
        assert ("straight" in held) == (world.truth.audible[song, 6] < -0.8)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(world: World, tmp_path: Path) -> None:
    again = make_world(TINY, tmp_path / "again")
    other = make_world(replace(TINY, seed=1), tmp_path / "other")
    assert contents(again.sounds) == contents(world.sounds)
    for part in ("plays", "truth", "plays/tags"):
        for path in (world.folder / part).iterdir():
            if path.is_file() and path.suffix != ".npz":
                assert (again.folder / part / path.name).read_bytes() == path.read_bytes(), path.name
    theirs = contents(other.sounds)
    assert all(theirs[name] != content for name, content in contents(world.sounds).items())


def test_a_lost_or_half_written_sound_is_made_again_and_whole_ones_are_left_alone(tmp_path: Path) -> None:
    world = make_world(TINY, tmp_path / "world")
    before = contents(world.sounds)
    lost, half, kept = (world.sounds / f"song-{n:05d}.wav" for n in (3, 7, 9))
    lost.unlink()
    half.write_bytes(half.read_bytes()[:1_000])
    stamp = kept.stat().st_mtime_ns
    make_world(TINY, tmp_path / "world")
    assert contents(world.sounds) == before
    assert kept.stat().st_mtime_ns == stamp
    assert not list(world.sounds.glob(".*"))


def test_many_workers_make_the_bytes_that_one_makes(tmp_path: Path) -> None:
    latents = np.random.default_rng(0).standard_normal((64, 12))
    names = [f"song-{n:05d}" for n in range(64)]
    for n_jobs in (1, 2):
        studio = Studio(tmp_path / str(n_jobs), 5, 0.5, (10, 30), 6)
        assert make_sounds(studio, names, latents, n_jobs) == 64
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_sound_does_not_depend_on_how_many_songs_there_are(tmp_path: Path) -> None:
    latents = np.random.default_rng(0).standard_normal((5, 12))
    for n in (2, 5):
        studio = Studio(tmp_path / str(n), 5, 0.5, (10, 30), 6)
        make_sounds(studio, [f"song-{i}" for i in range(n)], latents[:n], 1)
    few, many = contents(tmp_path / "2"), contents(tmp_path / "5")
    assert all(many[name] == content for name, content in few.items())


def test_two_worlds_do_not_mix_in_a_folder(world: World) -> None:
    with pytest.raises(ArtifactError, match=r"other settings \(beta_audible differ\)"):
        make_world(replace(TINY, beta_audible=0.0), world.folder)
    make_world(replace(TINY, n_jobs=2), world.folder)  # how many processes is no part of the world


def test_a_folder_that_is_no_world_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("my life's work")
    with pytest.raises(ArtifactError, match="not a planted world"):
        make_world(TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_stamp_is_told(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{")
    with pytest.raises(ArtifactError, match="damaged"):
        make_world(TINY, tmp_path)


def test_a_disk_without_room_is_refused_before_any_sound_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepcuts.worlds.sounds.free_bytes", lambda folder: 1_000_000)
    with pytest.raises(ResourceError, match=r"0\.00 GB free, the sounds need 0\.04 GB"):
        make_sounds(
            Studio(tmp_path / "sounds", 0, 10.0, (10, 30), 6), [str(i) for i in range(100)], np.zeros((100, 12))
        )
    assert not (tmp_path / "sounds").exists()


def test_the_stamp_holds_every_setting_that_matters(world: World) -> None:
    stamp = json.loads((world.folder / "world.json").read_text())
    assert set(stamp) == {*TINY.__dataclass_fields__, "synth_version"} - {"n_jobs"}


def test_workers_do_not_load_torch() -> None:
    code = "import sys, deepcuts.worlds.sounds; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
