"""Numbers in digits and in English words.

Source: the generalisation from short to longer numbers is that of Lake & Baroni (2018), "Generalization without
Systematicity", here for a known language: the name of a number is composed of the names of its parts.

    >>> TASK.solve("4 0 2 1 7")
    'forty thousand two hundred seventeen'
    >>> TASK.solve_batch(["nine hundred five"], TASK.configs[1])
    ['9 0 5']

`to-words` has the digits as the text and the words as the target, `to-digits` the opposite. Numbers have 1 to 5 digits;
3, 4 and 5 digits have the same probability. A shorter number is as probable as each of three digits, because otherwise
a few short numbers, such as the only one of one digit in the test, would be a large part of a split. In each config, a
number belongs to one split. The test
distribution `digits6` has numbers with one digit more than in training. Their words are all known: "hundred" then also
occurs before "thousand".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, FiniteDomain, IntRange, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID

_DIGITS = "0123456789"
_BELOW_20 = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_ONES = _BELOW_20.split()
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_MOST_LISTED = 5  # digits of the numbers of a finite domain
_SHORT = 3  # digits up to which all numbers have the same probability
_MAX_WORDS = 9  # as in "one hundred twenty one thousand one hundred twenty one"


@dataclass(frozen=True, kw_only=True)
class NumberWordsConfig(TaskConfig):
    """Range of the number of digits, and the direction; `length` is that of the texts."""

    digits: IntRange
    to_words: bool

    def __post_init__(self) -> None:
        self.require(1 <= self.digits[0] <= self.digits[1] <= 6, "1 to 6 digits")
        length = self.digits if self.to_words else (1, max_words(self.digits[1]))
        self.require(self.length == length, f"length {length}")


def max_words(digits: int) -> int:
    """Return the number of words of the longest number with up to this number of digits."""
    return (1, 2, 4, 6, 7, 9)[digits - 1]


def _config(name: str, digits: IntRange, to_words: bool) -> NumberWordsConfig:
    length = digits if to_words else (1, max_words(digits[1]))
    return NumberWordsConfig(name=name, length=length, digits=digits, to_words=to_words)


class NumberWords(Task[NumberWordsConfig]):
    """Translation of numbers between digits and English words."""

    name = "number_words"
    version = 2
    title = "Numbers in digits, translated into English words and back"
    symbols = (*_DIGITS, *_ONES, *_TENS, "hundred", "thousand")
    separator = " "
    description = (
        "A text is a number with 1 to 5 digits, as one word for each digit or in English words. The target is the same "
        "number in the other notation."
    )
    limits = (
        "The data are synthetic. They test whether a model learns a small grammar, and whether it applies it to "
        "numbers that are longer than those in training."
    )
    source = """@inproceedings{lake2018generalization,
  author    = {Lake, Brenden M. and Baroni, Marco},
  title     = {Generalization without Systematicity: On the Compositional Skills of Sequence-to-Sequence Recurrent
               Networks},
  booktitle = {International Conference on Machine Learning},
  year      = {2018}
}"""
    configs = (_config("to-words", (1, 5), True), _config("to-digits", (1, 5), False))

    def schema(self, config: NumberWordsConfig) -> TaskSchema:
        return TaskSchema(
            vocabulary=self.vocabulary,
            target="sequence",
            target_vocabulary=self.vocabulary,
            max_target=_MAX_WORDS if config.to_words else 6,
        )

    def sizes(self, config: NumberWordsConfig) -> Mapping[str, int]:
        return {"train": 50_000, "validation": 5_000, "test": 5_000}

    def test_distributions(self, config: NumberWordsConfig) -> Mapping[str, NumberWordsConfig]:
        return {"digits6": _config("digits6", (6, 6), config.to_words)}

    def finite_domain(self, config: NumberWordsConfig) -> FiniteDomain | None:
        if config.digits[1] > _MOST_LISTED:
            return None
        lowest, counts, weights = _ranges(config)
        numbers = np.concatenate([np.arange(low, low + count) for low, count in zip(lowest, counts, strict=True)])
        return FiniteDomain(_batch(numbers, config), np.repeat(weights, counts))

    def generate(self, config: NumberWordsConfig, random: BlockRandom) -> Batch:
        lowest, counts, weights = _ranges(config)
        ends = np.cumsum(counts * weights)
        positions = (random.uniform(1)[:, 0].astype(np.float64) * ends[-1]).astype(np.int64)
        which = np.searchsorted(ends, positions, side="right")
        return _batch(lowest[which] + (positions - (ends - counts * weights)[which]) // weights[which], config)

    def solve(self, sequence: str) -> str:
        words = sequence.split(" ")
        if not sequence or set(words) - set(_DIGITS) or len(words) > 6 or (words[0] == "0" and len(words) > 1):
            raise InvalidInputError(f"{sequence[:60]!r}: must be 1 to 6 digits with spaces, without zeros in front")
        return in_words(int("".join(words)))

    def solve_batch(self, sequences: Sequence[Any], config: NumberWordsConfig | None = None) -> list[Any]:
        if config is None or config.to_words:
            return [self.solve(sequence) for sequence in sequences]
        return [" ".join(str(_number(sequence))) for sequence in sequences]


def _ranges(config: NumberWordsConfig) -> NDArray[np.int64]:
    """Return the smallest number, the count of numbers and the weight of each number, for each number of digits.

    Returns:
        (3, D), for D numbers of digits.
    """
    least, most = config.digits
    rows = [
        (0 if digits == 1 else 10 ** (digits - 1), 10 if digits == 1 else 9 * 10 ** (digits - 1),
         10 ** max(0, most - max(digits, _SHORT)))
        for digits in range(least, most + 1)
    ]  # fmt: skip
    return np.array(rows, np.int64).T


def in_words(number: int) -> str:
    """Return the English name of a number below one million, without "and".

    >>> in_words(0), in_words(113), in_words(60_020)
    ('zero', 'one hundred thirteen', 'sixty thousand twenty')
    """
    if number < 20:
        return _ONES[number]
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {in_words(number % size)}" if number % size else ""
            return f"{in_words(number // size)} {name}{rest}"
    rest = f" {_ONES[number % 10]}" if number % 10 else ""
    return _TENS[number // 10 - 2] + rest


def _number(text: str) -> int:
    """Return the number with an English name, by adding and multiplying its words."""
    total = part = 0
    for word in text.split(" "):
        if word in _ONES:
            part += _ONES.index(word)
        elif word in _TENS:
            part += 10 * (_TENS.index(word) + 2)
        elif word == "hundred":
            part *= 100
        elif word == "thousand":
            total, part = 1000 * part, 0
        else:
            raise InvalidInputError(f"word {word!r} in {text[:60]!r}: must be the English name of a digit or number")
    if total + part >= 10**6 or in_words(total + part) != text:
        raise InvalidInputError(f"{text[:60]!r}: must be the English name of a number below one million")
    return total + part


def _batch(numbers: NDArray[np.int64], config: NumberWordsConfig) -> Batch:
    """Return the rows of numbers."""
    powers = 10 ** np.arange(config.digits[1] - 1, -1, -1)
    digits = numbers[:, None] // powers % 10 + 1  # ids
    leading = (numbers[:, None] < powers) & (powers > 1)
    by_digits = _compact(np.where(leading, PAD_ID, digits))
    thousands, rest = np.divmod(numbers, 1000)
    thousand = np.where(thousands > 0, 1 + NumberWords.symbols.index("thousand"), PAD_ID)[:, None]
    parts = [_names()[thousands], thousand, _names()[rest]]
    by_words = _compact(np.concatenate(parts, axis=1))
    by_words[numbers == 0, 0] = 1 + NumberWords.symbols.index("zero")
    inputs, targets = (by_digits, by_words) if config.to_words else (by_words, by_digits)
    inputs = inputs[:, : config.length[1]]
    return Batch(
        inputs.astype(np.uint16), (inputs != PAD_ID).sum(axis=1), np.where(targets == PAD_ID, NO_LABEL, targets)
    )


def _compact(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move the padding of each row to its end."""
    return np.take_along_axis(ids, np.argsort(ids == PAD_ID, axis=1, kind="stable"), axis=1)


@cache
def _names() -> NDArray[np.int64]:
    """Return the ids of the names of 0 to 999, (1000, 4), padded on the right; 0 has no name."""
    names = np.zeros((1000, 4), np.int64)
    for number in range(1, 1000):
        words = in_words(number).split(" ")
        names[number, : len(words)] = [1 + NumberWords.symbols.index(word) for word in words]
    return names


TASK = NumberWords()
