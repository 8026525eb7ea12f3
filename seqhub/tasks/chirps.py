"""Chirps: spectrograms of a tone with rising or falling frequency in noise.

Source: made for this package, after tutorials that read spectrograms with a CNN and an LSTM; the transform is from
Allen (1977), "Short Term Spectral Analysis, Synthesis, and Modification by Discrete Fourier Transform".

The audio is synthesised at 1,024 samples per second: noise of a random level, and a tone with a frequency that rises or
falls linearly by about 200 Hz in about half a second. A step is a Hann window of 64 samples; windows start every 32
samples, which is 1/32 of a second. Its 32 values are the power at 16, 32 ... 512 Hz, as decimal logarithms relative to
the mean of the quietest noise, clipped at -1. The target of `direction` is the direction of the frequency. The target
of `onset` is the start of the tone in seconds from the start of the audio: the start of a window, 2/32 to 21/32. A
prediction is right within 1/32.

    >>> low, high = np.full((40, 32), 0.5), np.eye(32)[8:20] * 4
    >>> np.concatenate([low[:10], high, low]).shape, TASK.solve(np.concatenate([low[:10], high, low]))
    ((62, 32), 'rising')
    >>> TASK.solve(np.concatenate([low[:10], high, low]), "onset")  # window 10 covers only its second half
    0.34375

A spectrogram reversed in time has the other direction, so a model that ignores the order of the steps stays at the
chance level. The chance level of `direction` is 1/2. The constant baseline of `onset` has a squared error of 0.0325.

Samples and the coefficients of the transform are integers. No sum of their products reaches 2**24, so all sums are
exact in float32, in any order of addition. Logarithms are from a table. So the values, multiples of 1/1024, are the
same on all machines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom, quantiles
from seqhub.tasks.schema import Batch, ConstantBaseline, IntRange, TaskConfig, TaskSchema

RATE = 1024  # samples per second
HOP = 32  # samples from one window to the next
BINS = 32  # number of frequencies; a window has twice as many samples
GRID = 1024  # values are multiples of 1 / GRID
LOUDNESS = 600  # amplitude of the tone, in units of a sample
QUIETEST, LOUDEST = 16, 64  # standard deviations of the noise, in the same unit

_STEPS_A_SECOND = RATE // HOP
_WINDOW = 2 * BINS  # samples
_TURN = 32  # bits of a full turn of the phase
_CENT = 1 << 20  # frequency as phase per sample: 1/64 of the distance between two bins
_SINES = 1024  # number of samples of one turn
_COEFFICIENT = 512  # largest coefficient of the transform; all are integers
_ROWS_AT_ONCE = 32  # so that the transformed windows stay in the cache
_MANTISSA = 11  # bits of a power that determine its logarithm
_FLOOR = -1.0
_TONE_THRESHOLD = 2.85  # noise is always below; the largest value is above if a tone fills half of a window or more


@dataclass(frozen=True, kw_only=True)
class ChirpsConfig(TaskConfig):
    """Ranges in windows, both ends included."""

    target: Literal["class", "number"]
    onset: IntRange  # where the tone starts
    duration: IntRange

    def __post_init__(self) -> None:
        self.require(
            self.onset[0] >= 2 and self.onset[1] + self.duration[1] <= self.length[0] + 1,
            "onset of at least 2 windows, and the end of the tone within the shortest audio",
        )


class Chirps(Task[ChirpsConfig]):
    """Direction and onset of a chirp."""

    name = "chirps"
    version = 1
    title = "Direction and onset of a chirp, from spectrograms"
    description = (
        "Synthesised audio has a tone in noise with a linearly rising or falling frequency. A sequence is its "
        "spectrogram: 40 to 64 windows, 1/32 of a second apart, of 32 logarithmic powers. The label is the direction, "
        "or the time in seconds at which the tone starts."
    )
    limits = (
        "The audio is synthetic: one clear tone in stationary noise. It tests whether a model distinguishes time and "
        "frequency, and says nothing about recordings."
    )
    source = """@article{allen1977short,
  author  = {Allen, Jont B.},
  title   = {Short Term Spectral Analysis, Synthesis, and Modification by Discrete {Fourier} Transform},
  journal = {IEEE Transactions on Acoustics, Speech, and Signal Processing},
  volume  = {25},
  number  = {3},
  pages   = {235--238},
  year    = {1977}
}"""
    directions = ("rising", "falling")
    configs = (
        ChirpsConfig(name="direction", length=(40, 64), target="class", onset=(2, 21), duration=(12, 20)),
        ChirpsConfig(name="onset", length=(40, 64), target="number", onset=(2, 21), duration=(12, 20)),
    )

    def schema(self, config: ChirpsConfig) -> TaskSchema:
        if config.target == "number":
            return TaskSchema(step_shape=(BINS,), target="number", tolerance=1 / _STEPS_A_SECOND)
        return TaskSchema(step_shape=(BINS,), labels=self.directions)

    def constant_baseline(self, config: ChirpsConfig) -> ConstantBaseline | None:
        if config.target != "number":
            return None
        first, last = config.onset
        count = last - first + 1  # equally probable onsets; the mean of an even number of them is between two
        error = (count**2 - 1) / 12 / _STEPS_A_SECOND**2
        return ConstantBaseline((first + last) / 2 / _STEPS_A_SECOND, error, (3 if count % 2 else 2) / count)

    def sizes(self, config: ChirpsConfig) -> dict[str, int]:
        return {"train": 8_000, "validation": 1_000, "test": 1_000}  # of up to 2,048 values each

    def generate(self, config: ChirpsConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        onsets = random.integers(*config.onset)
        durations = random.integers(*config.duration)
        falling = random.integers(0, 1)
        lowest = random.integers(5 * 64, 9 * 64)  # Hz / 16 * 64
        glide = random.integers(12 * 64, 16 * 64)
        start = random.integers(0, _SINES - 1)  # phase
        deviation = random.integers(QUIETEST, LOUDEST)
        hops = config.length[1] + 1  # a window has two hops
        noise = random.uint16(hops * HOP)

        phase = start * (2**_TURN // _SINES)
        first = (lowest + glide * falling) * _CENT  # change of the phase at the first sample
        change = (1 - 2 * falling) * glide * _CENT // (durations * HOP)  # of it, for each sample
        values = np.empty((random.size, config.length[1], BINS), dtype=np.float32)
        for begin in range(0, random.size, _ROWS_AT_ONCE):
            rows = slice(begin, begin + _ROWS_AT_ONCE)
            audio = np.take(quantiles(), noise[rows], axis=0, mode="clip")  # never clips; avoids a copy
            audio *= deviation[rows, None].astype(np.float32)
            np.rint(audio, out=audio)
            tones = _tones(phase[rows], first[rows], change[rows], config.duration[1])
            during = np.arange(config.duration[1]) < durations[rows, None]
            row, hop = np.nonzero(during)
            audio.reshape(-1, hops, HOP)[row, hop + onsets[rows][row]] += tones[during]
            values[rows] = spectrogram(audio)
        values[np.arange(config.length[1]) >= lengths[:, None]] = 0
        seconds = (onsets / _STEPS_A_SECOND).astype(np.float32)
        return Batch(values, lengths, seconds if config.target == "number" else falling)

    def solve(self, sequence: Any, config_name: str = "direction") -> Any:
        """Return the target of a config as `Task.solve` does."""
        values = np.asarray(sequence, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != BINS or not np.isfinite(values).all():
            raise InvalidInputError(f"values of shape {values.shape}: must be finite and (steps, {BINS})")
        tone = np.flatnonzero(values.max(axis=1, initial=_FLOOR) > _TONE_THRESHOLD)
        if len(tone) < 2:
            raise InvalidInputError(f"{len(tone)} windows with a value above {_TONE_THRESHOLD}: must be 2 or more")
        if config_name == "onset":
            return (int(tone[0]) + 1) / _STEPS_A_SECOND  # the tone starts in the second half of its first window
        return self.directions[int(values[tone[0]].argmax() > values[tone[-1]].argmax())]

    def solve_batch(self, sequences: Sequence[Any], config: ChirpsConfig | None = None) -> list[Any]:
        config_name = "direction" if config is None else config.name
        return [self.solve(sequence, config_name) for sequence in sequences]


def spectrogram(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logarithmic powers of audio.

    Args:
        audio: (N, samples), integers below 1,024; the number of samples must be a multiple of `HOP`, at least 2 `HOP`.

    Returns:
        (N, samples / HOP - 1, BINS), see the top of this file.
    """
    hops = audio.reshape(len(audio), -1, HOP)
    earlier, later = hops[:, :-1], hops[:, 1:]
    # Sample n of a window has the same real coefficient as sample 64 - n, and the opposite imaginary one; those of
    # sample 0 are 0. Half of a window is read backwards, and the products have half of the terms: all are integers
    # below 2**24, so the sums are exact. One small product for each row, which BLAS does not share between threads,
    # is faster on busy cores.
    backwards = np.empty_like(later)
    backwards[:, :, 1:] = later[:, :, :0:-1]
    backwards[:, :, 0] = 0
    sums, differences = earlier + backwards, earlier - backwards
    sums[:, :, 0] = later[:, :, 0]
    real, imaginary = _half_coefficients()
    powers, waves = sums @ real, differences @ imaginary
    np.square(powers, out=powers)
    np.square(waves, out=waves)
    powers += waves
    leading = powers.view(np.uint32)
    leading >>= np.uint32(23 - _MANTISSA)
    values: NDArray[np.float32] = np.take(_logarithms(), leading, axis=0, mode="clip")  # never clips; avoids a copy
    return values


def _tones(
    phase: NDArray[np.int64], first: NDArray[np.int64], change: NDArray[np.int64], hops: int
) -> NDArray[np.float32]:
    """Return tones whose frequency changes linearly: (N, hops, HOP).

    Args:
        phase: Phase of the first sample (N,), as a fraction of 2**_TURN. Whole turns are lost in 32 bits.
        first: Change of the phase at the first sample (N,).
        change: Its change at each sample (N,).
        hops: Duration.
    """
    n = np.arange(hops * HOP, dtype=np.uint32)
    changes: NDArray[np.uint32] = n * (n - np.uint32(1)) >> np.uint32(1)
    phases: NDArray[np.uint32] = change[:, None].astype(np.uint32) * changes
    phases += first[:, None].astype(np.uint32) * n
    phases += phase[:, None].astype(np.uint32)
    phases >>= np.uint32(_TURN - 10)
    return np.take(_sines(), phases, axis=0, mode="clip").reshape(-1, hops, HOP)  # never clips; avoids a copy


@cache
def _sines() -> NDArray[np.float32]:
    """Return one period of the tone as integers: (_SINES,)."""
    samples: NDArray[np.float32] = np.rint(LOUDNESS * np.sin(2 * np.pi * np.arange(_SINES) / _SINES)).astype(np.float32)
    return samples


@cache
def _coefficients() -> NDArray[np.float32]:
    """Return the real, then the imaginary coefficients of the windowed transform, integers: (_WINDOW, 2 * BINS)."""
    samples = np.arange(_WINDOW)
    turns = 2 * np.pi * np.outer(samples, np.arange(1, BINS + 1)) / _WINDOW
    hann = _COEFFICIENT * (0.5 - 0.5 * np.cos(2 * np.pi * samples / _WINDOW))
    waves: NDArray[np.float32] = np.rint(hann[:, None] * np.hstack([np.cos(turns), np.sin(turns)])).astype(np.float32)
    return waves


@cache
def _half_coefficients() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the real and the imaginary coefficients of samples 0 to 31 and their mirror images, both (HOP, BINS).

    In the place of sample 0, whose coefficients are 0, are those of sample 32, which is its own mirror image.
    """
    both = _coefficients()[:HOP].copy()
    both[0] = _coefficients()[HOP]
    return both[:, :BINS].copy(), both[:, BINS:].copy()


@cache
def _logarithms() -> NDArray[np.float32]:
    """Return the spectrogram values of all powers by the leading bits of their float32: (2**(8 + _MANTISSA),)."""
    bits = np.arange(2 ** (8 + _MANTISSA), dtype=np.uint32) << np.uint32(23 - _MANTISSA)
    middle = bits + np.uint32(1 << (22 - _MANTISSA))
    powers = np.minimum(middle, np.float32(np.finfo(np.float32).max).view(np.uint32)).view(np.float32)
    quietest = QUIETEST**2 * np.square(_coefficients(), dtype=np.float64).sum() / BINS  # mean power of that noise
    exact = np.maximum(np.log10(powers.astype(np.float64) / quietest), _FLOOR)
    values: NDArray[np.float32] = (np.rint(exact * GRID) / GRID).astype(np.float32)
    return values


TASK = Chirps()
