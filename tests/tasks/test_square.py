"""Square: the rows of the book, noise, and the direction from two points."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.splits import Split
from seqhub.tasks.square import CORNERS, TASK, SquareConfig
from tests.helpers.task_cases import assert_follows, first_rows


def book(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the 128 sequences of the book, generated one by one from NumPy's global generator."""
    before = np.random.get_state()
    np.random.seed(seed)
    bases = np.random.randint(4, size=128)
    directions = np.random.randint(2, size=128)
    points = []
    for base, direction in zip(bases, directions, strict=True):
        order = [(base + step) % 4 for step in range(4)]
        corners = [[(-1, -1), (-1, 1), (1, 1), (1, -1)][corner] for corner in (order if direction else order[::-1])]
        points.append(np.array(corners) + np.random.randn(4, 2) * 0.1)
    np.random.set_state(before)
    return np.array(points, dtype=np.float32), directions


@pytest.mark.parametrize(("split", "seed"), [("train", 13), ("validation", 17), ("test", 19)])
def test_tutorial_has_the_rows_of_the_book(split, seed):
    before = np.random.get_state()[1].copy()
    rows = first_rows("square/tutorial", split)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    points, directions = book(seed)
    np.testing.assert_array_equal(rows.inputs, points)
    np.testing.assert_array_equal(rows.labels, directions)


def test_class_counts_agree_with_the_book():
    assert first_rows("square/tutorial", "train").labels.sum() == 60
    assert np.bincount(first_rows("square/tutorial", "test").labels).tolist() == [53, 75]


@pytest.mark.parametrize("config", ["fixed", "variable"])
def test_points_are_corners_with_noise(config):
    rows = Split(f"square/{config}")
    batch = first_rows(f"square/{config}", rows=8192)
    lengths = np.bincount(batch.lengths, minlength=5)[rows.config.length[0] :]
    if config == "variable":
        assert_follows(lengths)
    else:
        assert lengths.tolist() == [8192]
    real = np.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
    points = batch.inputs[real]
    distances = points[:, None] - CORNERS
    nearest = np.square(distances).sum(axis=2).argmin(axis=1)
    noise = distances[np.arange(len(points)), nearest]
    assert abs(noise.mean()) < 0.002
    assert abs(noise.std() - 0.1) < 0.002
    assert_follows(np.bincount(nearest[np.cumsum(batch.lengths) - batch.lengths]))  # every corner may be first


def test_any_two_consecutive_points_determine_the_direction():
    batch = first_rows("square/fixed", rows=500)
    names = [TASK.labels[label] for label in batch.labels]
    for start in range(3):
        assert TASK.solve_batch(list(batch.inputs[:, start : start + 2])) == names


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[1, 1]], r"points of shape \(1, 2\)"),
        ([[1, 1, 1], [1, -1, 1]], r"points of shape \(2, 3\)"),
        ([[1, 1], [1, -1], [-1, -1], [-1, 1], [1, 1]], r"points of shape \(5, 2\)"),
        ([[1, 1], [-1, -1]], "corners CA: must be in the order"),
        ([[1, 1], [1, -1], [1, 1]], "corners CDC: must be in the order"),
        ([[1, 1], [1, float("nan")]], r"point \[ 1. nan\]: must be finite"),
    ],
)
def test_invalid_sequences_are_errors(points, message):
    with pytest.raises(InvalidInputError, match=message):
        TASK.solve(points)


@pytest.mark.parametrize("length", [(1, 4), (3, 2), (2, 5)])
def test_invalid_lengths_are_errors(length):
    with pytest.raises(InvalidConfigError, match="2 <= shortest <= longest <= 4"):
        SquareConfig(name="wrong", length=length)
