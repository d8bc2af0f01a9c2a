import struct

import numpy as np
import pytest

from deepcuts.audio.decode import REASONS, BadSound, decode, open_sound, probe, stream
from deepcuts.errors import InputError

FORMATS = [".wav", ".flac", ".ogg", ".opus", ".aiff", ".mp3", ".m4a", ".aac", ".wma"]


def loudest_hz(samples, rate):
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    return np.argmax(np.abs(np.fft.rfft(middle * np.hanning(len(middle))))) * rate / len(middle)


def level(samples):
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    return np.sqrt(2 * np.mean(middle.astype(np.float64) ** 2))


def reason_of(path):
    with pytest.raises(BadSound) as caught:
        decode(path)
    assert caught.value.reason in REASONS
    assert str(path) in str(caught.value)
    assert str(path.parent) not in caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_keeps_pitch_level_and_length(tmp_path, write_sound, tone, suffix):
    rate = 48_000 if suffix == ".opus" else 44_100
    path = write_sound(tmp_path / f"a{suffix}", np.stack([tone(997, 4, rate)] * 2, axis=1), rate)
    samples = decode(path, 22_050)
    assert samples.dtype == np.float32
    assert loudest_hz(samples, 22_050) == pytest.approx(997, abs=1)
    assert level(samples) == pytest.approx(0.5, rel=0.02)  # and not 3 dB more
    assert len(samples) == pytest.approx(4 * 22_050, abs=0.12 * 22_050)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".m4a"])
def test_channels_are_averaged(tmp_path, write_sound, tone, suffix):
    left, nothing = tone(500, 3, 44_100), np.zeros(3 * 44_100, np.float32)
    one_sided = decode(write_sound(tmp_path / f"one{suffix}", np.stack([left, nothing], 1), 44_100), 44_100)
    opposite = decode(write_sound(tmp_path / f"two{suffix}", np.stack([left, -left], 1), 44_100), 44_100)
    assert level(one_sided) == pytest.approx(0.25, rel=0.02)
    assert level(opposite) < 1e-3


def test_six_channels_are_averaged_with_equal_weight(tmp_path, write_sound, tone):
    channels = np.zeros((3 * 48_000, 6), np.float32)
    channels[:, 3] = tone(400, 3, 48_000, 0.6)  # the bass channel, which FFmpeg's own downmix drops
    assert level(decode(write_sound(tmp_path / "a.wav", channels, 48_000), 48_000)) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_kind_of_wav_has_the_same_full_scale(tmp_path, write_sound, tone, subtype):
    sound = tone(300, 1)
    found = decode(write_sound(tmp_path / "a.wav", sound, subtype=subtype))
    np.testing.assert_allclose(found, sound, atol=1 / 100 if subtype == "PCM_U8" else 1 / 30_000)


@pytest.mark.parametrize("rate", [8_000, 11_025, 48_000, 96_000, 192_000])
def test_resampling_keeps_the_tone_and_the_length(tmp_path, write_sound, tone, rate):
    samples = decode(write_sound(tmp_path / "a.wav", tone(1000, 2, rate), rate), 22_050)
    assert len(samples) == pytest.approx(2 * 22_050, abs=1)
    expected = tone(1000, 2, 22_050)
    np.testing.assert_allclose(samples[2000:-2000], expected[2000 : len(samples) - 2000], atol=1e-3)


def test_a_tone_above_the_new_rate_vanishes(tmp_path, write_sound, tone):
    samples = decode(write_sound(tmp_path / "a.wav", tone(15_000, 2, 48_000), 48_000), 22_050)
    assert np.abs(samples[2000:-2000]).max() < 1e-3


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".m4a"])
def test_the_blocks_joined_are_the_decoded_samples_exactly(tmp_path, write_sound, suffix):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (44_100 * 3, 2))
    path = write_sound(tmp_path / f"a{suffix}", noise, 44_100)
    whole = decode(path)
    for seconds in (0.05, 0.7, 60.0):
        blocks = list(stream(path, block_seconds=seconds))
        assert len(blocks) > 1 or seconds == 60
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".m4a"])
def test_a_clip_is_that_part_of_the_whole(tmp_path, write_sound, suffix):
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 22_050 * 5)
    path = write_sound(tmp_path / f"a{suffix}", noise)
    clip = decode(path, start=2.0, seconds=1.5)
    np.testing.assert_array_equal(clip, decode(path)[2 * 22_050 : 2 * 22_050 + len(clip)])
    assert len(clip) == round(1.5 * 22_050)
    assert len(decode(path, start=100.0)) == 0


def test_an_mp3_without_a_length_header_is_read_to_its_end(tmp_path, write_sound, tone):
    # Quiet first, loud later, variable bit rate: the first frames tell nothing about the length. Read by libsndfile
    # such a file stops at a third of its length or claims to be longer than it is.
    rng = np.random.default_rng(2)
    sound = np.concatenate([np.zeros(44_100 * 5), rng.uniform(-0.5, 0.5, 44_100 * 5)])
    content = write_sound(tmp_path / "a.mp3", sound, 44_100).read_bytes()
    assert b"Xing" in content[:200]
    bare = tmp_path / "bare.mp3"
    bare.write_bytes(content[content.index(content[:2], 104) :])
    assert b"Xing" not in bare.read_bytes()[:200]
    assert len(decode(bare, 44_100)) == pytest.approx(10 * 44_100, abs=4000)
    assert probe(bare).seconds is None


def test_an_mp3_whose_header_stands_behind_a_large_picture_is_judged_by_it(tmp_path, write_sound, tone):
    content = write_sound(tmp_path / "a.mp3", tone(440, 10, 44_100), 44_100).read_bytes()
    size = 200_000
    tag = b"ID3\x03\x00\x00" + bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0)) + b"\x00" * size
    (tmp_path / "b.mp3").write_bytes(tag + content)
    assert probe(tmp_path / "b.mp3").seconds == pytest.approx(10, abs=0.1)
    assert len(decode(tmp_path / "b.mp3", 44_100)) == pytest.approx(441_000, abs=4000)
    (tmp_path / "c.mp3").write_bytes(tag + content[: len(content) // 2])
    assert reason_of(tmp_path / "c.mp3") == "truncated"


def test_tags_in_an_old_encoding_do_not_matter(tmp_path, write_sound, tone):
    content = write_sound(tmp_path / "a.mp3", tone(440, 4, 44_100), 44_100).read_bytes()
    (tmp_path / "b.mp3").write_bytes(content + b"TAG" + b"Caf\xe9 \xff\xfe".ljust(125, b"\xe9"))
    assert len(decode(tmp_path / "b.mp3")) > 80_000


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".opus", ".aiff", ".mp3", ".m4a"])
def test_half_a_file_is_truncated(tmp_path, write_sound, suffix):
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, 48_000 * 6)
    content = write_sound(tmp_path / f"a{suffix}", noise, 48_000).read_bytes()
    half = tmp_path / f"half{suffix}"
    half.write_bytes(content[: len(content) // 2])
    assert reason_of(half) == "truncated"


def test_half_an_mp4_with_its_index_in_front_is_truncated(tmp_path, write_sound):
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, 44_100 * 6)
    content = write_sound(tmp_path / "a.m4a", noise, 44_100, movflags="faststart").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    (tmp_path / "half.m4a").write_bytes(content[: len(content) // 2])
    assert reason_of(tmp_path / "half.m4a") == "truncated"


@pytest.mark.parametrize("stated", [0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_written_to_a_pipe_is_not_called_truncated(tmp_path, write_sound, tone, stated):
    content = bytearray(write_sound(tmp_path / "a.wav", tone(440, 4)).read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", stated)
    (tmp_path / "piped.wav").write_bytes(content)
    assert len(decode(tmp_path / "piped.wav")) == pytest.approx(4 * 22_050, abs=10)


def test_a_few_damaged_bytes_in_an_mp3_are_passed_over(tmp_path, write_sound):
    noise = np.random.default_rng(4).uniform(-0.5, 0.5, 44_100 * 30)
    content = bytearray(write_sound(tmp_path / "a.mp3", noise, 44_100).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = np.random.default_rng(5).bytes(2000)
    (tmp_path / "b.mp3").write_bytes(content)
    assert len(decode(tmp_path / "b.mp3", 44_100)) == pytest.approx(30 * 44_100, abs=0.5 * 44_100)


def test_where_libsndfile_gives_up_ffmpeg_goes_on(tmp_path, write_sound):
    # libsndfile "lost sync" at a few damaged bytes of a FLAC and would lose all that follows.
    noise = np.random.default_rng(7).uniform(-0.5, 0.5, 44_100 * 30).astype(np.float32)
    content = bytearray(write_sound(tmp_path / "a.flac", noise, 44_100).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = np.random.default_rng(8).bytes(500)
    (tmp_path / "b.flac").write_bytes(content)
    found = decode(tmp_path / "b.flac", 44_100)
    assert len(found) == pytest.approx(len(noise), abs=0.5 * 44_100)
    np.testing.assert_allclose(found[: 10 * 44_100], noise[: 10 * 44_100], atol=1e-4)
    np.testing.assert_allclose(found[-10 * 44_100 :], noise[-10 * 44_100 :], atol=1e-4)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "zero bytes"),
        (b"<html><body>Not found</body></html>" * 300, "not audio"),
        (bytes(5000), "not audio"),
        (np.random.default_rng(6).bytes(50_000), "not audio"),
        (b"RIFF", "not audio"),
    ],
)
def test_what_is_not_sound_says_so(tmp_path, suffix, content, reason):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    assert reason_of(path) == reason


def test_a_folder_a_dangling_link_and_a_missing_file_are_unreadable(tmp_path):
    (tmp_path / "folder.mp3").mkdir()
    (tmp_path / "link.mp3").symlink_to(tmp_path / "nowhere.mp3")
    for name in ("folder.mp3", "link.mp3", "missing.mp3"):
        assert reason_of(tmp_path / name) == "unreadable"


def test_samples_that_are_not_finite_are_refused(tmp_path, write_sound, tone):
    sound = tone(440, 4)
    sound[1000] = np.nan
    assert reason_of(write_sound(tmp_path / "a.wav", sound, subtype="FLOAT")) == "not finite"


def test_the_name_of_a_file_does_not_choose_its_decoder(tmp_path, write_sound, tone):
    path = write_sound(tmp_path / "a.flac", tone(440, 2))
    wrong = tmp_path / "a.mp3"
    wrong.write_bytes(path.read_bytes())
    np.testing.assert_array_equal(decode(wrong), decode(path))


@pytest.mark.parametrize("n_channels", [1, 2, 6])
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff"])
def test_sixteen_bits_are_heard_as_the_floats_they_stand_for(tmp_path, write_sound, suffix, n_channels):
    numbers = np.random.default_rng(9).integers(-32_768, 32_768, (22_050, n_channels))
    found = decode(write_sound(tmp_path / f"a{suffix}", numbers / 32_768))
    np.testing.assert_allclose(found, numbers.mean(axis=1) / 32_768, rtol=0, atol=1e-7)


def test_an_mp3_that_turns_from_one_channel_to_two_keeps_all_its_sound(tmp_path, write_sound, tone):
    mono = write_sound(tmp_path / "a.mp3", tone(440, 4, 44_100), 44_100).read_bytes()
    stereo = write_sound(tmp_path / "b.mp3", np.stack([tone(660, 4, 44_100)] * 2, 1), 44_100).read_bytes()
    (tmp_path / "c.mp3").write_bytes(mono[mono.index(mono[:2], 104) :] + stereo[stereo.index(stereo[:2], 104) :])
    found = decode(tmp_path / "c.mp3", 44_100)
    assert len(found) == pytest.approx(8 * 44_100, abs=8000)
    for part, hz in ((found[: 4 * 44_100], 440), (found[-4 * 44_100 :], 660)):
        assert loudest_hz(part, 44_100) == pytest.approx(hz, abs=1)
        assert level(part) == pytest.approx(0.5, rel=0.02)


def test_the_facts_of_a_file_are_told(tmp_path, write_sound):
    path = write_sound(tmp_path / "a.flac", np.zeros((96_000, 2)), 48_000)
    facts, blocks = open_sound(path)
    assert (facts.rate, facts.channels, facts.seconds) == (48_000, 2, 2.0)
    assert sum(len(block) for block in blocks) == 96_000
    assert issubclass(BadSound, InputError)
