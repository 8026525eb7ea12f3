"""Number words: names of numbers, splits and longer numbers."""

from collections import Counter

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.number_words import TASK, in_words, max_words
from seqhub.tasks.splits import SPLITS
from tests.helpers.task_cases import assert_follows, first_examples

TO_WORDS, TO_DIGITS = TASK.configs


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "zero"), (10, "ten"), (13, "thirteen"), (20, "twenty"), (21, "twenty one"), (100, "one hundred"),
        (115, "one hundred fifteen"), (990, "nine hundred ninety"), (1_000, "one thousand"),
        (1_001, "one thousand one"),
        (12_345, "twelve thousand three hundred forty five"), (50_600, "fifty thousand six hundred"),
        (700_008, "seven hundred thousand eight"),
    ],
)  # fmt: skip
def test_names_of_numbers(number: int, name: str) -> None:
    digits = " ".join(str(number))
    assert in_words(number) == TASK.solve(digits) == name
    assert TASK.solve_batch([name], TO_DIGITS) == [digits]


def test_the_longest_names() -> None:
    for digits in range(1, 6):
        numbers = range(10**digits) if digits < 5 else range(10_000, 100_000, 7)
        assert max(len(in_words(number).split(" ")) for number in numbers) == max_words(digits)
    assert len(in_words(121_121).split(" ")) == max_words(6)


@pytest.mark.parametrize("config", TASK.configs, ids=lambda each: each.name)
def test_long_numbers_of_digits_are_uniform_and_splits_are_disjoint(config) -> None:
    """No number is a noticeable part of a split."""
    texts = {}
    for split in SPLITS:
        examples = first_examples(f"number_words/{config.name}", split, 4_096)
        digits = [text if config.to_words else target for text, target in examples]
        counts = np.bincount([len(each.split(" ")) for each in digits], minlength=6)
        assert_follows(np.array([counts[:4].sum(), *counts[4:]]), np.array([100_000, 90_000, 90_000]))
        assert max(Counter(digits).values()) < 0.01 * len(digits)
        texts[split] = {text for text, _ in examples}
    assert not texts["train"] & texts["validation"]
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & texts["test"]


def test_the_directions_are_inverse() -> None:
    for text, target in first_examples("number_words/to-digits"):
        assert TASK.solve(target) == text


def test_models_are_tested_on_longer_numbers() -> None:
    for config in TASK.configs:
        (name,) = TASK.test_distributions(config)
        for text, target in first_examples(f"number_words/{config.name}@{name}", "test"):
            assert len((text if config.to_words else target).split(" ")) == 6


@pytest.mark.parametrize(
    ("config", "text"),
    [
        *((TO_WORDS, text) for text in ("", "12", "0 1", "1 x", "1 2 3 4 5 6 7", "one")),
        *((TO_DIGITS, text) for text in ("", "1 2", "hundred", "one hundred and one", "twenty eleven", "one one")),
        (TO_DIGITS, "one thousand thousand"),
    ],
)
def test_other_texts_are_errors(config, text: str) -> None:
    with pytest.raises(InvalidInputError, match="must be"):
        TASK.solve_batch([text], config)
