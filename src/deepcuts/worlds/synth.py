"""The sound of one song of the planted world: toy music whose every audible latent can be heard.

Six controls shape the *spectrum*, so that a bag of frames hears them. Six live only in *time*: they move events of
equal content, and leave how many there are, how loud and of what colour alone. Events of a layer stand so far apart
(most a fifth of a second or more) that differences between neighbouring frames (delta-MFCC) hardly tell either.

    brightness  cutoff of all tones           swing     where the second of two hats falls
    register    pitch of the chords           roll      how close the four snares of a bar stand
    breath      level of a band of noise      rise      does the marimba climb or fall
    formant     where a resonance sits        echo      how soon a clap is answered by its echo
    drums       level of the drums            sweep     does the bass open up or close down
    bass        level of the bass             restless  how often the strokes change between two woodblocks

A bar is four beats, about two seconds. All tones and noises are short grains, made once a song and added where the
event table says: a thousand seconds of music a second, with NumPy and SciPy only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft
from scipy.special import ndtr

SAMPLE_RATE = 22_050
SYNTH_VERSION = 2  # part of a world's stamp: raise it when the same latents come to sound different

SPECTRAL = ("brightness", "register", "breath", "formant", "drums", "bass")
TEMPORAL = ("swing", "roll", "rise", "echo", "sweep", "restless")

ROOTS = np.array([0, -3, 5, -5])  # I vi IV V, in semitones
CHORD = np.array([0, 4, 7])
SCALE = np.array([0, 4, 7, 9, 12, 16, 19, 24])  # of the marimba, low to high
TABLE = 1024  # points in one period of a tone
LOOP = 16_384  # points in a seamless loop of noise or of a held chord
NOISE_LOOP = 65_536
RMS_LEVEL = 0.06  # -24 dBFS: even at +6 dB the peaks rarely reach full scale
BEATS, EIGHTHS = np.arange(4) / 4, np.arange(8) / 8  # places in a bar


class Controls(NamedTuple):
    """What can be heard in a song, each 0 to 1; 0.5 is neutral."""

    brightness: float = 0.5
    register: float = 0.5
    breath: float = 0.5
    formant: float = 0.5
    drums: float = 0.5
    bass: float = 0.5
    swing: float = 0.5
    roll: float = 0.5
    rise: float = 0.5
    echo: float = 0.5
    sweep: float = 0.5
    restless: float = 0.5


@dataclass(frozen=True)
class Score:
    """What differs between songs and means nothing: key, tempo, order of chords, where the clip starts.

    Attributes:
        bars: when each bar starts [n_bars], seconds; the first may start before the clip.
        bar: length of a bar, seconds.
        key: frequency of the keynote, Hz.
        roots: root of each bar's chord [n_bars], in semitones.
        shifts: where in the bar each layer starts, in bars, by layer.
        drums_play: bool [n_bars]: one bar of four is a break without drums.
    """

    bars: np.ndarray
    bar: float
    key: float
    roots: np.ndarray
    shifts: dict[str, float]
    drums_play: np.ndarray


def split_latents(n_audible: int) -> np.ndarray:
    """Which audible latents live only in time: bool [n_audible], the last half (rounded down)."""
    return np.arange(n_audible) >= n_audible - n_audible // 2


def controls_from_latents(latents: np.ndarray) -> Controls:
    """Standard normal latents of one song [n_audible] as controls, through the normal distribution function.

    The first half sets spectral controls, the second half temporal ones; controls without a latent stay neutral.
    """
    temporal = split_latents(len(latents))
    levels = ndtr(np.asarray(latents, dtype=np.float64))
    names = [*SPECTRAL[: int((~temporal).sum())], *TEMPORAL[: int(temporal.sum())]]
    return Controls(**dict(zip(names, levels.tolist(), strict=True)))


def song_sound(
    controls: Controls,
    seconds: float,
    rng: np.random.Generator,
    *,
    snr_db: tuple[float, float],
    gain_db: float,
) -> np.ndarray:
    """The sound of a song.

    Args:
        controls: what is to be heard.
        seconds: length, > 0.
        rng: draws all that means nothing: key, tempo, phases, order of chords, starting point, level, noise.
        snr_db: lowest and highest level of the music over its background noise, dB.
        gain_db: the level of the whole lies within ± this, dB.
    Returns:
        int16 [seconds * 22,050], mono.
    """
    n = round(seconds * SAMPLE_RATE)
    score = draw_score(seconds, rng)
    out = np.zeros(n, dtype=np.float32)
    add_chords(out, score, controls, rng)
    add_claps(out, score, controls, rng)
    add_marimba(out, score, controls, rng)
    add_blocks(out, score, controls, rng)
    add_bass(out, score, controls, rng)
    add_drums(out, score, controls, rng)
    # Not out @ out: BLAS sums in an order that depends on its threads, and the bytes must not.
    level = math.sqrt(float(np.mean(np.square(out)))) + 1e-9
    add_noise(out, level, decibels(-rng.uniform(*snr_db)), decibels(between(controls.breath, -36, -18)), rng)
    out *= RMS_LEVEL / level * decibels(rng.uniform(-gain_db, gain_db)) * 32_767
    np.rint(out, out=out)
    return np.clip(out, -32_767, 32_767, out=out).astype(np.int16)


def draw_score(seconds: float, rng: np.random.Generator) -> Score:
    """Draw all that means nothing but pitch phases and noise."""
    bar = 2.0 * rng.uniform(0.96, 1.04)
    bars = np.arange(math.ceil(seconds / bar) + 1) * bar - rng.uniform(0, bar)
    turn = np.arange(len(bars)) % 4
    shifts = dict(
        zip(("clap", "marimba", "blocks", "bass", "snare", "hat"), rng.integers(16, size=6) / 16, strict=True)
    )
    return Score(
        bars=bars,
        bar=bar,
        key=float(220.0 * 2 ** (rng.uniform(-2.5, 2.5) / 12)),
        roots=ROOTS[rng.permutation(4)][turn],
        shifts=shifts,
        drums_play=turn != rng.integers(4),
    )


def add_chords(out: np.ndarray, score: Score, controls: Controls, rng: np.random.Generator) -> None:
    """One soft held chord a bar."""
    roots, of_bar = np.unique(score.roots, return_inverse=True)
    base = score.key * 2 ** between(controls.register, -0.5, 1.5)
    held = 0.035 * held_chords(base * semitones(roots[:, None] + CHORD), controls, rng)
    n_bar = round(score.bar * SAMPLE_RATE)
    for start, chord in zip(score.bars, of_bar, strict=True):
        add_at(out, np.resize(held[chord], n_bar), start)


def add_claps(out: np.ndarray, score: Score, controls: Controls, rng: np.random.Generator) -> None:
    """A clap every beat, answered after .1 to .4 s (`echo`) by a darker one: each has a band of its own."""
    clap = 0.8 * noise_burst(0.1, 0.02, 4_400, 6_300, rng)
    echo = 0.8 * noise_burst(0.1, 0.02, 3_050, 4_050, rng)
    lag = between(controls.echo, 0.1, 0.4) / 2.0
    for start in score.bars:
        for place in BEATS + score.shifts["clap"] / 4:
            add_at(out, clap, start + place * score.bar)
            add_at(out, echo, start + (place + lag) * score.bar)


def add_marimba(out: np.ndarray, score: Score, controls: Controls, rng: np.random.Generator) -> None:
    """Nine short notes a bar, in turns of eight pitches that no key moves: falling, up and down, or rising."""
    length = round(0.1 * SAMPLE_RATE)
    pitches = 220.0 * semitones(SCALE)
    grains = 1.1 * decay(length, 0.035) * tones(pitches, tone_colour(pitches, controls), length, rng)
    order = peaked_order(8, controls.rise)
    turn = np.arange(9 * len(score.bars))
    notes = order[(turn + round(16 * score.shifts["marimba"])) % 8]
    for start, note in zip(score.bars[0] + turn / 9 * score.bar, notes, strict=True):
        add_at(out, grains[note], start)


def add_blocks(out: np.ndarray, score: Score, controls: Controls, rng: np.random.Generator) -> None:
    """Two woodblocks, one struck as often as the other, changing after every one to four strokes (`restless`)."""
    grains = [0.6 * noise_burst(0.07, 0.02, low, high, rng) for low, high in ((1_300, 1_700), (2_000, 2_700))]
    period = 8 * 4 ** -float(controls.restless)  # in strokes: 8 down to 2
    stroke = np.arange(9 * len(score.bars))
    blocks = np.floor(2 * stroke / period + rng.uniform(0, 2)).astype(np.int64) % 2
    starts = score.bars[0] + (stroke + score.shifts["blocks"]) / 9 * score.bar
    for start, block in zip(starts, blocks, strict=True):
        add_at(out, grains[block], start)


def add_bass(out: np.ndarray, score: Score, controls: Controls, rng: np.random.Generator) -> None:
    """Eight bass notes a bar, each of eight brightnesses once: closing down or opening up (`sweep`)."""
    length = round(0.15 * SAMPLE_RATE)
    roots, of_bar = np.unique(score.roots, return_inverse=True)
    pitches = score.key / 4 * semitones(roots)
    cutoffs = 120 * 2 ** np.linspace(0, 3.2, 8)
    harmonics = pitches[:, None, None] * np.arange(1, 21)
    colours = 1 / np.arange(1, 21) / (1 + (harmonics / cutoffs[:, None]) ** 4)
    each = np.repeat(pitches, 8)
    grains = tones(each, colours.reshape(len(each), 20), length, rng).reshape(len(roots), 8, length)
    grains *= decay(length, 0.1) * decibels(between(controls.bass, 0, 9))
    order = peaked_order(8, controls.sweep)
    for start, root in zip(score.bars, of_bar, strict=True):
        for place, note in zip((EIGHTHS + score.shifts["bass"]) % 1, order, strict=True):
            add_at(out, grains[root, note], start + place * score.bar)


def add_drums(out: np.ndarray, score: Score, controls: Controls, rng: np.random.Generator) -> None:
    """A bar: four kicks, four snares .2 to .5 s apart (`roll`), four pairs of hats .15 to .25 s apart (`swing`)."""
    level = decibels(between(controls.drums, -6, 6))
    kick = level * 0.9 * kick_drum()
    snare = level * 1.9 * noise_burst(0.10, 0.03, 600, 1_250, rng)
    hat = level * 0.8 * noise_burst(0.06, 0.015, 6_500, 10_500, rng)
    snares = (between(controls.roll, 0.25, 0.1) * np.arange(4) + score.shifts["snare"]) % 1
    pair = np.array([0, between(controls.swing, 0.125, 0.075)])
    hats = (BEATS[:, None] + pair).ravel() + score.shifts["hat"] / 4
    for start in score.bars[score.drums_play]:
        for grain, places in ((kick, BEATS), (snare, snares), (hat, hats)):
            for place in places:
                add_at(out, grain, start + place * score.bar)


def add_noise(out: np.ndarray, level: float, floor: float, breath: float, rng: np.random.Generator) -> None:
    """White background noise at `floor` and a band of breath from 3 to 6 kHz at `breath`, both relative to `level`."""
    half = NOISE_LOOP // 2 + 1
    frequency = np.linspace(0, SAMPLE_RATE / 2, half, dtype=np.float32)
    band = (frequency > 3_000) & (frequency < 6_000)
    shape = np.sqrt(np.float32(floor**2) + np.float32(breath**2) * band / band.mean())
    spectrum = rng.standard_normal(2 * half, dtype=np.float32).view(np.complex64) * shape
    loop = irfft(spectrum) * np.float32(level * math.sqrt(NOISE_LOOP / 2))
    for start in range(0, len(out), NOISE_LOOP):
        out[start : start + NOISE_LOOP] += loop[: len(out) - start]


def tones(pitches: np.ndarray, colours: np.ndarray, length: int, rng: np.random.Generator) -> np.ndarray:
    """Tones with given harmonics, read from a table of one period.

    Args:
        pitches: Hz [n_tones].
        colours: amplitudes of the harmonics 1, 2, ... [n_tones, n_harmonics]; those above 10 kHz are left out.
        length: in samples.
    Returns:
        float32 [n_tones, length].
    """
    n_tones, n_harmonics = colours.shape
    audible = pitches[:, None] * np.arange(1, n_harmonics + 1) < 10_000
    spectrum = np.zeros((n_tones, TABLE // 2 + 1), dtype=np.complex64)
    phases = np.exp(1j * rng.uniform(0, 2 * np.pi, (n_tones, n_harmonics)))
    spectrum[:, 1 : n_harmonics + 1] = colours * audible * phases * (TABLE / 2)
    table = irfft(spectrum, axis=1)
    steps = (pitches * (TABLE / SAMPLE_RATE)).astype(np.float32)
    at = (steps[:, None] * np.arange(length, dtype=np.float32)).astype(np.int32) & (TABLE - 1)
    return np.take_along_axis(table, at, axis=1)


def tone_colour(pitches: np.ndarray, controls: Controls) -> np.ndarray:
    """Amplitudes [n_tones, 32] of harmonics: falling as 1/h, cut at `brightness`, raised around `formant`."""
    harmonics = np.arange(1, 33)
    return spectral_shape(pitches[:, None] * harmonics, controls) / harmonics


def spectral_shape(frequency: np.ndarray, controls: Controls) -> np.ndarray:
    """Gain at a frequency (Hz): a low-pass set by `brightness` times a resonance set by `formant`."""
    cutoff = 700 * 2 ** (3.2 * controls.brightness)
    peak = 450 * 2 ** (2.6 * controls.formant)
    resonance = 1 + 5 * np.exp(-0.5 * (np.log2(frequency / peak) / 0.25) ** 2)
    return resonance / np.sqrt(1 + (frequency / cutoff) ** 4)


def held_chords(pitches: np.ndarray, controls: Controls, rng: np.random.Generator) -> np.ndarray:
    """Seamless loops [n_chords, LOOP] of chords with pitches [n_chords, n_notes], summed in one inverse transform."""
    harmonics = np.arange(1, 25)
    frequency = pitches[:, :, None] * harmonics
    gains = spectral_shape(frequency, controls) / harmonics * (frequency < 10_000)
    phases = np.exp(1j * rng.uniform(0, 2 * np.pi, frequency.shape))
    bins = np.minimum(np.rint(frequency * (LOOP / SAMPLE_RATE)).astype(np.int64), LOOP // 2 - 1)
    spectrum = np.zeros((len(pitches), LOOP // 2 + 1), dtype=np.complex64)
    chord = np.broadcast_to(np.arange(len(pitches))[:, None, None], bins.shape)
    np.add.at(spectrum, (chord, bins), gains * phases * (LOOP / 2))
    return irfft(spectrum, axis=1)


def kick_drum() -> np.ndarray:
    """A sine that drops from 120 to 50 Hz in .15 s."""
    length = round(0.15 * SAMPLE_RATE)
    t = np.arange(length) / SAMPLE_RATE
    phase = 2 * np.pi * (50 * t + 70 * 0.03 * (1 - np.exp(-t / 0.03)))
    return (np.sin(phase) * decay(length, 0.05)).astype(np.float32)


def noise_burst(seconds: float, fall: float, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """A burst of noise between two frequencies (Hz) with unit root mean square before its decay."""
    length = round(seconds * SAMPLE_RATE)
    spectrum = rng.standard_normal(2 * (2048 + 1), dtype=np.float32).view(np.complex64)
    frequency = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    spectrum = spectrum * ((frequency > low) & (frequency < high))
    burst = irfft(spectrum)[:length]
    return burst / np.sqrt(np.mean(burst**2)) * decay(length, fall)


def peaked_order(n: int, rise: float) -> np.ndarray:
    """The ranks 0..n-1 in the order of a contour that climbs for a share `rise` of the time and falls for the rest."""
    t = (np.arange(n) + 0.5) / n
    peak = between(rise, 0.02, 0.98)
    return np.argsort(np.argsort(np.where(t < peak, t / peak, (1 - t) / (1 - peak)), kind="stable"))


def decay(length: int, fall: float) -> np.ndarray:
    """An envelope float32 [length]: 4 ms up, then down to 1/e every `fall` seconds, 8 ms to silence at the end."""
    t = np.arange(length, dtype=np.float32) / np.float32(SAMPLE_RATE)
    ends = np.minimum(t / np.float32(0.004), (t[-1] - t) / np.float32(0.008))
    return np.exp(-t / np.float32(fall)) * np.clip(ends, 0, 1)


def add_at(out: np.ndarray, grain: np.ndarray, start: float) -> None:
    """Add a grain at a time in seconds; what lies outside the clip is cut off."""
    first = round(start * SAMPLE_RATE)
    begin, end = max(first, 0), min(first + len(grain), len(out))
    if begin < end:
        out[begin:end] += grain[begin - first : end - first]


def semitones(steps: np.ndarray | Sequence[int]) -> np.ndarray:
    """Frequency ratios of steps in semitones."""
    return 2 ** (np.asarray(steps) / 12)


def decibels(level: float) -> float:
    """An amplitude ratio from dB."""
    return float(10 ** (level / 20))


def between(share: float, low: float, high: float) -> float:
    """The point a share of the way from low to high."""
    return float(low + share * (high - low))
