"""Batches of the course, compared with recorded output of its generator."""

from itertools import islice

import numpy as np
import pytest

from benchmarks.baselines import CourseGenerator
from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.tasks.qrsu import tutorial_stream

WIDTHS = {"easy": 9, "normal": 41, "moderate": 81, "hard": 111, "nightmare": 501}
EASY = [
    ("BbXcXcbE", "Q"),
    ("BYdadYE", "U"),
    ("BXddbXcE", "Q"),
    ("BXacYdE", "R"),
    ("BbYbXdbE", "S"),
    ("BXbcYaE", "R"),
    ("BXcbYacE", "R"),
    ("BXbbaYdE", "R"),
]
NORMAL = ("BbcccXbcaccdccdadddddcbcbdXbcccaE", "Q")
LABELS = {"easy": "Q", "normal": "Q", "moderate": "Q", "hard": "S", "nightmare": "Q"}


def read(x: np.ndarray, y: np.ndarray) -> list[tuple[str, str]]:
    """Return texts and labels of one-hot batches, without padding."""
    texts = ["".join("XYabcdBE"[step.argmax()] for step in row if step.any()) for row in x]
    return list(zip(texts, ("QRSU"[row.argmax()] for row in y), strict=True))


def test_first_batch_of_easy():
    x, y = next(tutorial_stream("easy", batch_size=32, seed=8382))
    assert read(x, y)[:8] == EASY
    columns = [6, 3, 0, 4, 0, 4, 3, 7]  # B b X c X c b E
    np.testing.assert_array_equal(x[0], np.vstack([np.zeros(8, int), np.eye(8, dtype=int)[columns]]))
    assert y[0].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_first_sequence_of_normal():
    assert read(*next(tutorial_stream("normal")))[0] == NORMAL


@pytest.mark.parametrize("level", LABELS)
def test_first_label_of_every_level(level):
    assert read(*next(tutorial_stream(level)))[0][1] == LABELS[level]


@pytest.mark.parametrize("level", WIDTHS)
def test_shapes_types_and_padding(level):
    for x, y in islice(tutorial_stream(level, batch_size=8), 2):
        assert (x.shape, x.dtype) == ((8, WIDTHS[level], 8), np.int32)
        assert (y.shape, y.dtype) == ((8, 4), np.float32)
        steps = x.sum(axis=2)
        assert set(np.unique(steps)) == {0, 1}
        assert (np.diff(steps, axis=1) >= 0).all()  # padding in front
        assert (steps[:, 0] == 0).all()  # at least one step: the array is one wider than the longest sequence
        assert y.sum(axis=1).tolist() == [1.0] * 8


def test_defaults_agree_with_the_course():
    for one, two in zip(next(tutorial_stream("easy")), next(tutorial_stream("easy", 32, 8382)), strict=True):
        np.testing.assert_array_equal(one, two)


def test_sequences_do_not_depend_on_the_batch_size():
    small = [row for batch in islice(tutorial_stream("easy", batch_size=4), 6) for row in read(*batch)]
    assert small == read(*next(tutorial_stream("easy", batch_size=24)))


def test_seeds_differ_and_streams_are_independent():
    one, two, other = tutorial_stream("easy"), tutorial_stream("easy"), tutorial_stream("easy", seed=9001)
    for _ in range(3):
        first, _, third = (read(*next(each)) for each in (one, other, other))
        assert first == read(*next(two))
        assert first != third


def test_global_generator_does_not_change():
    np.random.seed(5)
    before = np.random.get_state()
    next(tutorial_stream("hard"))
    after = np.random.get_state()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_stream_does_not_depend_on_the_global_generator():
    batches = tutorial_stream("easy")
    np.random.seed(0)
    next(batches)
    np.random.rand(100)
    second = read(*next(batches))
    undisturbed = tutorial_stream("easy")
    next(undisturbed)
    assert second == read(*next(undisturbed))


def test_invalid_arguments_are_errors():
    with pytest.raises(UnknownNameError, match="no level 'tough'; known: easy, normal, moderate, hard, nightmare"):
        tutorial_stream("tough")
    with pytest.raises(InvalidInputError, match="batch_size=0: must be at least 1"):
        tutorial_stream("easy", batch_size=0)


@pytest.mark.parametrize("level", WIDTHS)
def test_generator_of_the_benchmarks_gives_the_same_batches(level):
    """The benchmarks reproduce the implementation of the course, which is longer."""
    course, stream = CourseGenerator(level, batch_size=8, seed=3), tutorial_stream(level, batch_size=8, seed=3)
    for _ in range(3):
        for one, two in zip(course.batch(), next(stream), strict=True):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)
