"""Chirps: exact arithmetic, margins of the threshold, and dependence on the order of the steps."""

from pathlib import Path

import numpy as np
import pytest
import torch

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.tasks import chirps
from seqhub.tasks.chirps import BINS, GRID, TASK, ChirpsConfig, spectrogram
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train


def audio(rows: int = 3, hops: int = 20) -> np.ndarray:
    samples = np.random.default_rng(0).integers(-1023, 1024, (rows, hops * chirps.HOP))
    return samples.astype(np.float32)


def test_values_are_the_logarithms_of_a_fourier_transform():
    samples = audio()
    windows = np.lib.stride_tricks.sliding_window_view(samples, 2 * BINS, axis=1)[:, :: chirps.HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2 * BINS) / (2 * BINS))
    powers = np.square(np.abs(np.fft.rfft(windows * hann)[..., 1:]))
    powers /= chirps.QUIETEST**2 * np.square(hann).sum()  # the mean power of noise of that deviation
    values = spectrogram(samples)
    assert values.shape == powers.shape
    loud = powers > 10
    assert loud.mean() > 0.9
    np.testing.assert_allclose(values[loud], np.log10(powers[loud]), atol=0.02)


def test_the_quietest_noise_has_power_one_and_silence_the_floor():
    noise = np.rint(np.random.default_rng(0).normal(0, chirps.QUIETEST, (50, 2080))).astype(np.float32)
    assert abs(np.log10((10.0 ** spectrogram(noise)[..., :-1]).mean())) < 0.05
    assert (spectrogram(np.zeros((1, 2080), np.float32)) == -1).all()


def test_sums_are_exact_in_any_order():
    coefficients = chirps._coefficients()
    assert (coefficients == np.rint(coefficients)).all()
    assert np.abs(coefficients).sum(axis=0).max() * 1023 < 2**24
    windows = audio().reshape(-1, 2 * BINS)
    exact = windows.astype(np.int64) @ coefficients.astype(np.int64)
    shuffled = np.random.default_rng(1).permutation(2 * BINS)
    np.testing.assert_array_equal(windows @ coefficients, exact)
    np.testing.assert_array_equal(windows[:, shuffled] @ coefficients[shuffled], exact)


def test_samples_and_values_are_whole_multiples():
    batch = Split("chirps/direction").blocks(0, 1)
    np.testing.assert_array_equal(batch.inputs * GRID, np.rint(batch.inputs * GRID))
    assert chirps.LOUDNESS + 4.3 * chirps.LOUDEST < 1024
    assert -1 == batch.inputs.min() < batch.inputs.max() < 5


def test_values_have_a_margin_to_the_threshold():
    """Noise is far below it, and windows with half a window of tone are far above."""
    batch = Split("chirps/onset", "test").blocks(0, 2)
    loudest, rows = batch.inputs.max(axis=2), np.arange(len(batch))
    onsets = np.rint(batch.labels * chirps.RATE / chirps.HOP).astype(int)
    before = np.arange(loudest.shape[1]) < onsets[:, None] - 1
    assert loudest[before].max() < chirps._TONE_THRESHOLD - 0.3
    assert loudest[rows, onsets - 1].min() > chirps._TONE_THRESHOLD + 0.3


def test_reversal_in_time_reverses_the_direction():
    rows = Split("chirps/direction", "test")
    for example in rows.examples(rows.blocks(0, 1)[:200]):
        assert {TASK.solve(example.inputs[::-1]), example.target} == set(TASK.directions)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((40, 31)), r"values of shape \(40, 31\): must be finite and \(steps, 32\)"),
        (np.full((40, 32), np.nan), "finite"),
        (np.zeros((0, 32)), "0 windows with a value above 2.85: must be 2 or more"),
        (np.zeros((40, 32)), "0 windows"),
    ],
)
def test_invalid_spectrograms_are_errors(values, message):
    with pytest.raises(InvalidInputError, match=message):
        TASK.solve(values)


@pytest.mark.parametrize("onset", [(1, 21), (2, 22)])
def test_tones_that_do_not_fit_are_errors(onset):
    with pytest.raises(InvalidConfigError, match="within the shortest audio"):
        ChirpsConfig(name="x", length=(40, 64), target="class", onset=onset, duration=(12, 20))


def accuracies(model: torch.nn.Module) -> dict[str, float]:
    """Return the accuracy on test rows, on rows reversed in time, and on rows with shuffled steps."""
    batch = Split("chirps/direction", "test").blocks(0, 1)
    random, right = np.random.default_rng(0), {}
    for name, order in {
        "unchanged": np.arange,
        "reversed": lambda steps: np.arange(steps)[::-1],
        "shuffled": random.permutation,
    }.items():
        values = batch.inputs.copy()
        for row, steps in enumerate(batch.lengths):
            values[row, :steps] = values[row, order(steps)]
        mask = np.arange(values.shape[1]) < batch.lengths[:, None]
        with torch.inference_mode():
            logits = model(input_values=torch.from_numpy(values), attention_mask=torch.from_numpy(mask)).logits
        right[name] = float((logits.argmax(dim=1).numpy() == batch.labels).mean())
    return right


@pytest.mark.slow
def test_recipe_learns_the_direction_and_depends_on_the_order_of_steps(tmp_path: Path):
    train(TrainConfig(task="chirps/direction", output_dir=tmp_path / "run", **recipe("chirps/direction")))
    right = accuracies(load_model(tmp_path / "run"))
    assert right["unchanged"] >= 0.99
    assert right["reversed"] <= 0.1
    assert 0.3 <= right["shuffled"] <= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_recipe_learns_the_onset(tmp_path: Path, seed: int):
    task_id = "chirps/onset"
    train(TrainConfig(task=task_id, output_dir=tmp_path / "run", seed=seed, **recipe(task_id)))
    assert evaluate(tmp_path / "run", num_examples=2000).evaluation["test"]["mse"] <= 1e-3
