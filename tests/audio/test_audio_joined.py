"""Joined files are heard to their end, and a missing end is noticed in every container that says how long it is."""

import av
import numpy as np
import pytest
import soundfile

from deepcuts.audio.decode import BadSound, decode
from deepcuts.audio.extents import zeros_at_end
from deepcuts.audio.lengths import stated_bytes

RATE = 8_000
SECONDS = 4.0


def tone(hz=440.0, rate=RATE, channels=1):
    wave = 0.25 * np.sin(2 * np.pi * hz * np.arange(round(SECONDS * rate)) / rate)
    return np.stack([wave.astype(np.float32)] * channels, axis=1)


def by_ffmpeg(path, codec, container=None, rate=44_100):
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone(rate=rate).T), format="fltp", layout="mono")
        frame.sample_rate = rate
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate, frame_size=size)
        for made in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    return path.read_bytes()


def by_sndfile(path, **how):
    soundfile.write(str(path), tone(**how), how.get("rate", RATE))
    return path.read_bytes()


def heard(path, data):
    path.write_bytes(data)
    return decode(path, RATE)


def hz_of(samples):
    """The loudest frequency of a second of sound."""
    return int(np.argmax(np.abs(np.fft.rfft(samples[:RATE]))))


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff", "ogg"])
@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (1, 1)])
def test_both_of_two_joined_files_are_heard_at_their_level(tmp_path, suffix, first, second):
    one = by_sndfile(tmp_path / f"a.{suffix}", hz=440, channels=first)
    two = by_sndfile(tmp_path / f"b.{suffix}", hz=880, channels=second)
    samples = heard(tmp_path / f"c.{suffix}", one + two)
    assert len(samples) / RATE == pytest.approx(8, abs=0.02)
    assert [hz_of(samples[RATE:]), hz_of(samples[5 * RATE :])] == [440, 880]
    for half in (samples[RATE : 3 * RATE], samples[5 * RATE : 7 * RATE]):
        assert np.sqrt(np.mean(half**2)) == pytest.approx(0.25 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_joined_files_of_other_rates_keep_their_pitch(tmp_path, suffix):
    one = by_sndfile(tmp_path / f"a.{suffix}", hz=440, rate=44_100)
    two = by_sndfile(tmp_path / f"b.{suffix}", hz=440, rate=16_000)
    samples = heard(tmp_path / f"c.{suffix}", one + two)
    assert len(samples) / RATE == pytest.approx(8, abs=0.02)
    assert [hz_of(samples[RATE:]), hz_of(samples[5 * RATE :])] == [440, 440]


@pytest.mark.parametrize("first", ["flac", "wav", "mp3"])
@pytest.mark.parametrize("second", ["flac", "ogg", "mp3", "wav"])
def test_a_file_of_another_codec_behind_is_heard_too(tmp_path, first, second):
    made = {
        "flac": by_sndfile(tmp_path / "a.flac"), "wav": by_sndfile(tmp_path / "a.wav"),
        "ogg": by_sndfile(tmp_path / "a.ogg"), "mp3": by_ffmpeg(tmp_path / "a.mp3", "libmp3lame"),
    }  # fmt: skip
    samples = heard(tmp_path / f"c.{first}", made[first] + made[second])
    assert len(samples) / RATE == pytest.approx(8, abs=0.2)


def test_joined_m4a_are_heard_whole(tmp_path):
    data = by_ffmpeg(tmp_path / "a.m4a", "aac")
    assert len(heard(tmp_path / "b.m4a", data * 2)) / RATE == pytest.approx(8, abs=0.2)


def test_a_tag_behind_a_flac_is_no_second_file(tmp_path):
    data = by_sndfile(tmp_path / "a.flac")
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    assert len(heard(tmp_path / "b.flac", data + tag)) == 4 * RATE


@pytest.mark.parametrize(("suffix", "kind"), [("w64", "W64"), ("rf64", "RF64"), ("caf", "CAF"), ("au", "AU")])
def test_uncompressed_sound_without_its_end_is_truncated(tmp_path, suffix, kind):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(str(path), tone(), RATE, subtype="PCM_16", format=kind)
    data = path.read_bytes()
    place, length = stated_bytes(path, 0, data[:4])
    assert (length, place) == (4 * RATE * 2, len(data) - 4 * RATE * 2)  # two bytes a sample, the last in the file
    assert len(decode(path, RATE)) == 4 * RATE
    with pytest.raises(BadSound, match="truncated"):
        heard(path, data[: len(data) * 3 // 4])


@pytest.mark.parametrize("suffix", ["au", "caf"])
def test_a_length_that_a_program_did_not_know_yet_states_nothing(tmp_path, suffix):
    data = bytearray(by_sndfile(tmp_path / f"a.{suffix}"))
    at, size = (8, 4) if suffix == "au" else (data.find(b"data") + 4, 8)
    data[at : at + size] = b"\xff" * size
    assert len(heard(tmp_path / f"b.{suffix}", bytes(data))) == 4 * RATE


@pytest.mark.parametrize(("suffix", "codec", "container"), [("mka", "libmp3lame", "matroska"), ("tta", "tta", "tta")])
def test_half_of_a_file_whose_container_knows_its_length_is_truncated(tmp_path, suffix, codec, container):
    data = by_ffmpeg(tmp_path / f"a.{suffix}", codec, container)
    assert len(decode(tmp_path / f"a.{suffix}", RATE)) / RATE == pytest.approx(4, abs=0.2)
    with pytest.raises(BadSound, match=r"the header says 4\.\d s"):
        heard(tmp_path / f"b.{suffix}", data[: len(data) // 2])


@pytest.mark.parametrize(("suffix", "codec"), [("ac3", "ac3"), ("mp2", "mp2"), ("aac", "aac")])
def test_room_that_a_download_never_filled_is_a_missing_end(tmp_path, suffix, codec):
    data = by_ffmpeg(tmp_path / f"a.{suffix}", codec, "adts" if suffix == "aac" else None)
    kept = len(data) * 3 // 4
    with pytest.raises(BadSound, match="zeros: the end is missing"):
        heard(tmp_path / f"b.{suffix}", data[:kept] + bytes(len(data) - kept))


@pytest.mark.parametrize("codec", ["ogg", "opus"])
def test_pages_lost_within_an_ogg_are_noticed(tmp_path, codec):
    noise = np.random.default_rng(0).normal(0, 0.1, 20 * 44_100).astype(np.float32)
    path = tmp_path / f"a.{codec}"
    soundfile.write(str(path), noise if codec == "ogg" else noise[: 18 * 48_000], 44_100 if codec == "ogg" else 48_000,
                    format="OGG", subtype="VORBIS" if codec == "ogg" else "OPUS")  # fmt: skip
    data = path.read_bytes()
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]
    lost = data[: pages[len(pages) // 2]] + data[pages[len(pages) * 3 // 4] :]
    with pytest.raises(BadSound, match="truncated"):
        heard(path, lost)


def test_zeros_at_the_end_are_counted(tmp_path):
    path = tmp_path / "a"
    for kept, zeros in ((b"x", 0), (b"x\0x", 7), (b"x", 3 << 20), (b"", 5)):
        path.write_bytes(kept + bytes(zeros))
        assert zeros_at_end(path) == zeros
