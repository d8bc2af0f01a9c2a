"""Sound files as people have them: each is heard as players hear it, or set aside with the reason, in bounded time."""

import os
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from deepcuts.audio.decode import BadSound, decode, probe
from deepcuts.audio.extract import extract
from deepcuts.audio.logmel import LogMelSettings

RATE = 8_000
SMALL = LogMelSettings(rate=RATE, window=256, hop=128, n_bands=16, min_seconds=0.5)


def tone(seconds: float = 8.0, hz: float = 440.0, rate: int = RATE, level: float = 0.25) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def wav(path: Path, samples: np.ndarray | None = None, rate: int = RATE) -> Path:
    soundfile.write(str(path), tone() if samples is None else samples, rate, subtype="PCM_16")
    return path


def encode(path: Path, codec: str, samples: np.ndarray, rate: int = 44_100, container: str | None = None) -> Path:
    """Samples [n] or [n, 2] by FFmpeg's encoder."""
    frames = np.atleast_2d(samples.T).astype(np.float32)
    with av.open(str(path), "w", format=container) as out:
        layout = "stereo" if len(frames) == 2 else "mono"
        stream = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(frames), format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate,
                                      frame_size=stream.codec_context.frame_size or 1024)  # fmt: skip
        for made in [*resampler.resample(frame), *resampler.resample(None)]:
            out.mux(stream.encode(made))
        out.mux(stream.encode(None))
    return path


def seconds_of(path: Path | str) -> float:
    return len(decode(path, RATE)) / RATE


def heard(folder: Path, out: Path, **more):
    return extract(folder, "logmel", SMALL, out, jobs=1, **more)


def test_a_decoder_that_crashes_its_process_ends_nothing(tmp_path, monkeypatch):
    """With `isolated` the parent lives on; without a decoder at hand that crashes, the worker is told to."""
    from deepcuts.audio import workers

    (tmp_path / "music").mkdir()
    wav(tmp_path / "music/a.wav")
    with workers._pool(workers.Job("logmel", SMALL, frozenset()), 1) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
    report = heard(tmp_path / "music", tmp_path / "mel", isolated=True)
    assert report.n_songs == 1


# ---- names ----


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"Band: Song.wav", b"two\nlines.wav", b"...And Then.wav", b"#1.wav",
                                  b"100%.wav", b"a?b*c.wav", "né.wav".encode(), "ne\u0301.wav".encode()])  # fmt: skip
def test_any_name_is_heard(tmp_path, name):
    folder = tmp_path / "music"
    folder.mkdir()
    os.rename(wav(tmp_path / "x.wav"), os.fsencode(folder) + b"/" + name)
    report = heard(folder, tmp_path / "mel")
    assert (report.n_songs, report.n_quarantined) == (1, 0)


def test_a_name_with_a_colon_is_no_protocol_where_ffmpeg_decodes(tmp_path, monkeypatch):
    encode(tmp_path / "x.mp3", "libmp3lame", tone(2, rate=44_100))
    (tmp_path / "x.mp3").rename(tmp_path / "Band: Song.mp3")
    monkeypatch.chdir(tmp_path)
    assert seconds_of("Band: Song.mp3") == pytest.approx(2, abs=0.1)


def test_an_mp3_whose_name_is_not_utf8_is_heard(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.mp3"
    os.rename(encode(tmp_path / "x.mp3", "libmp3lame", tone(2, rate=44_100)), raw)
    assert seconds_of(Path(os.fsdecode(raw))) == pytest.approx(2, abs=0.1)


# ---- folders ----


def test_what_a_walk_passes_over_is_listed_with_the_reason(tmp_path):
    music = tmp_path / "music"
    (music / "...And Then").mkdir(parents=True)
    (music / "@eaDir").mkdir()
    wav(music / "...And Then/a.wav")
    wav(music / ".b.wav")
    wav(music / "@eaDir/c.wav")
    (music / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "else").mkdir()
    wav(tmp_path / "else/d.wav")
    (music / "linked").symlink_to(tmp_path / "else")
    (music / "loop").symlink_to(music)
    report = heard(music, tmp_path / "mel")
    assert report.n_songs == 2
    assert dict(report.ignored.iter_rows()) == {
        ".b.wav": "hidden", "@eaDir": "system", "Thumbs.db": "suffix", "loop": "link",
    }  # fmt: skip
    assert "@eaDir,system" in (tmp_path / "mel/ignored.csv").read_text()


def test_a_file_that_a_table_names_is_heard_whatever_its_suffix(tmp_path):
    import polars as pl

    music = tmp_path / "music"
    music.mkdir()
    wav(music / "x.wav").rename(music / "a.sound")
    report = heard(music, tmp_path / "mel", table=pl.DataFrame({"song_id": ["s"], "file": ["a.sound"]}))
    assert (report.n_songs, report.ignored.height) == (1, 0)


def test_special_files_are_set_aside_at_once(tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    wav(music / "a.wav")
    os.mkfifo(music / "pipe.wav")
    (music / "zero.wav").symlink_to("/dev/zero")
    report = heard(music, tmp_path / "mel")
    assert report.n_songs == 1
    assert dict(report.ignored.iter_rows()) == {"pipe.wav": "special", "zero.wav": "special"}
    with pytest.raises(BadSound, match="not a regular file"):
        decode(music / "pipe.wav")


# ---- headers ----


@pytest.mark.parametrize("size", [0, 1, 8, 36, 0xFFFF_FFFF, 0x7FFF_FFFF, None])
def test_a_wav_that_states_a_wrong_size_is_heard_whole(tmp_path, size):
    data = bytearray(wav(tmp_path / "a.wav").read_bytes())
    at = data.find(b"data") + 4
    right = int.from_bytes(data[at : at + 4], "little")
    data[at : at + 4] = (round(right * 1.01) if size is None else size).to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    assert seconds_of(tmp_path / "a.wav") == pytest.approx(8, abs=0.01)


@pytest.mark.parametrize("size", [0, 8, 36, 0xFFFF_FFFF, None])
def test_an_aiff_that_states_a_wrong_size_is_heard_whole(tmp_path, size):
    soundfile.write(str(tmp_path / "a.aiff"), tone(), RATE, subtype="PCM_16")
    data = bytearray((tmp_path / "a.aiff").read_bytes())
    at = data.find(b"SSND") + 4
    right = int.from_bytes(data[at : at + 4], "big")
    data[at : at + 4] = (round(right * 1.01) if size is None else size).to_bytes(4, "big")
    (tmp_path / "a.aiff").write_bytes(data)
    assert seconds_of(tmp_path / "a.aiff") == pytest.approx(8, abs=0.01)


def test_a_wav_that_lost_a_tenth_is_still_truncated(tmp_path):
    data = wav(tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[: len(data) * 9 // 10])
    with pytest.raises(BadSound, match="truncated"):
        decode(tmp_path / "a.wav")


def test_chunks_behind_a_short_sound_are_not_heard(tmp_path):
    data = wav(tmp_path / "a.wav", tone(0.002)).read_bytes()  # 16 samples, 32 bytes
    (tmp_path / "a.wav").write_bytes(data + b"LIST" + struct.pack("<I", 4000) + b"INFO" + bytes(3996))
    assert len(decode(tmp_path / "a.wav", RATE)) == 16


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_an_id3_tag_in_front_is_passed_over(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(str(path), tone(), RATE)
    path.write_bytes(b"ID3\x03\x00\x00\x00\x00\x02\x00" + bytes(256) + path.read_bytes())
    assert seconds_of(path) == pytest.approx(8, abs=0.05)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"\r\n", b"\r\n\r\n\r\n\r\n\r\n", b"xxxxxxxx" * 4])
def test_bytes_behind_the_last_box_of_an_m4a_do_not_matter(tmp_path, tail):
    path = encode(tmp_path / "a.m4a", "aac", tone(4, rate=44_100))
    path.write_bytes(path.read_bytes() + tail)
    assert seconds_of(path) == pytest.approx(4, abs=0.2)


def test_half_an_m4a_is_truncated(tmp_path):
    path = encode(tmp_path / "a.m4a", "aac", tone(4, rate=44_100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadSound, match="truncated"):
        decode(path)


@pytest.mark.parametrize("rate", [1, 2, 8, 999, 768_001, 2**31 - 1])
def test_an_absurd_rate_is_refused_at_once(tmp_path, rate):
    data = bytearray(wav(tmp_path / "a.wav").read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(BadSound, match=f"{rate} Hz"):
        decode(tmp_path / "a.wav")


def test_integers_of_64_bits_are_set_aside_and_end_nothing(tmp_path):
    music = tmp_path / "music"
    music.mkdir()
    wav(music / "a.wav")
    body = np.zeros(8000, np.int64).tobytes()
    fmt = struct.pack("<HHIIHH", 1, 1, 8000, 64_000, 8, 64)
    (music / "b.wav").write_bytes(
        b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data"
        + struct.pack("<I", len(body)) + body
    )  # fmt: skip
    report = heard(music, tmp_path / "mel")
    assert report.n_songs + report.n_quarantined == 2
    assert report.n_songs >= 1


# ---- joined and chained files ----


def test_a_chained_ogg_is_heard_whole(tmp_path):
    for name, hz in (("a", 440), ("b", 880)):
        soundfile.write(str(tmp_path / f"{name}.ogg"), tone(8, hz), RATE)
    (tmp_path / "c.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() + (tmp_path / "b.ogg").read_bytes())
    samples = decode(tmp_path / "c.ogg", RATE)
    assert len(samples) / RATE == pytest.approx(16, abs=0.05)
    second = np.abs(np.fft.rfft(samples[9 * RATE : 10 * RATE]))
    assert np.argmax(second) == pytest.approx(880, abs=2)


def test_a_chained_opus_is_heard_whole(tmp_path):
    encode(tmp_path / "a.opus", "libopus", tone(3, rate=48_000), 48_000)
    data = (tmp_path / "a.opus").read_bytes()
    (tmp_path / "b.opus").write_bytes(data + data)
    assert seconds_of(tmp_path / "b.opus") == pytest.approx(6, abs=0.2)


@pytest.mark.parametrize("codec", ["ogg", "opus"])
def test_an_ogg_cut_at_a_page_is_truncated(tmp_path, codec):
    path = tmp_path / f"a.{codec}"
    if codec == "ogg":
        soundfile.write(str(path), np.random.default_rng(0).normal(0, 0.1, 20 * RATE), RATE)
    else:
        encode(path, "libopus", tone(20, rate=48_000), 48_000)
    data = path.read_bytes()
    last = data.rfind(b"OggS")
    path.write_bytes(data[: data.rfind(b"OggS", 0, last)])
    with pytest.raises(BadSound, match="truncated"):
        decode(path)


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1)])
def test_joined_mp3s_of_other_channels_are_mixed_by_their_own(tmp_path, first, second):
    parts = []
    for channels in (first, second):
        samples = np.stack([tone(2, rate=44_100)] * channels, axis=1) if channels > 1 else tone(2, rate=44_100)
        parts.append(encode(tmp_path / f"{channels}.mp3", "libmp3lame", samples).read_bytes())
    (tmp_path / "j.mp3").write_bytes(b"".join(parts))
    samples = decode(tmp_path / "j.mp3", RATE)
    assert len(samples) / RATE == pytest.approx(4, abs=0.3)
    for at in (1.0, 3.0):  # the level is that of the tone in both halves
        middle = samples[round((at - 0.4) * RATE) : round((at + 0.4) * RATE)]
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.25 / np.sqrt(2), rel=0.05)


def test_joined_mp3s_of_other_rates_keep_their_pitch(tmp_path):
    for rate in (44_100, 22_050):
        encode(tmp_path / f"{rate}.mp3", "libmp3lame", tone(2, rate=rate), rate)
    (tmp_path / "j.mp3").write_bytes((tmp_path / "44100.mp3").read_bytes() + (tmp_path / "22050.mp3").read_bytes())
    samples = decode(tmp_path / "j.mp3", RATE)
    assert len(samples) / RATE == pytest.approx(4, abs=0.3)
    assert np.argmax(np.abs(np.fft.rfft(samples[-RATE - 800 : -800]))) == pytest.approx(440, abs=3)


# ---- formats ----


@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [("webm", "libopus", "webm"), ("mkv", "libmp3lame", "matroska"), ("mov", "aac", "mov"), ("mp2", "mp2", "mp2"),
     ("ac3", "ac3", "ac3"), ("tta", "tta", "tta"), ("w64", "pcm_s16le", "w64"),
     ("wv", "wavpack", "wv"), ("aac", "aac", "adts")],
)  # fmt: skip
def test_every_format_that_ffmpeg_knows_is_found_by_its_suffix(tmp_path, suffix, codec, container):
    rate = 48_000 if codec == "libopus" else 44_100
    music = tmp_path / "music"
    music.mkdir()
    encode(music / f"a.{suffix}", codec, tone(2, rate=rate), rate, container)
    report = heard(music, tmp_path / "mel")
    assert (report.n_songs, report.n_quarantined) == (1, 0)
    assert report.seconds == pytest.approx(2, abs=0.2)


def test_a_free_format_mp3_is_heard(tmp_path):
    path = encode(tmp_path / "a.mp3", "libmp3lame", tone(3, rate=48_000), 48_000)
    data = bytearray(path.read_bytes())
    at, frames = data.find(b"\xff\xfb"), 0
    kbps = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[data[at + 2] >> 4]
    length = 144 * kbps * 1000 // 48_000  # every frame alike: 48 kHz needs no padding
    while at + 4 <= len(data) and data[at] == 0xFF:
        data[at + 2] &= 0x0F
        at, frames = at + length, frames + 1
    path.write_bytes(data)
    assert frames > 50
    assert seconds_of(path) == pytest.approx(3, abs=0.3)


def test_the_facts_of_a_chained_file_state_no_length(tmp_path):
    soundfile.write(str(tmp_path / "a.ogg"), tone(2), RATE)
    data = (tmp_path / "a.ogg").read_bytes()
    (tmp_path / "b.ogg").write_bytes(data * 2)
    assert probe(tmp_path / "b.ogg").seconds is None
